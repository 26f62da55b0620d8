"""Captioned images to measure on: a benchmark in Karpathy's layout, or a pair set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomammut.errors import UserError
from geomammut.evaluation.benchmarks import check_counts, find_benchmark
from geomammut.evaluation.images import image_files
from geomammut.pairs.benchmark import KarpathyEntry, find_image, read_karpathy
from geomammut.pairs.pair_set import PairSet


@dataclass(frozen=True)
class CaptionedImages:
    """N images and what people say of them.

    Attributes:
        title: What the benchmark is called in results.
        names: What each image is called.
        captions: The captions of each image, one or more, as written.
        read: Index → the bytes of the image's file.
    """

    title: str
    names: list[str]
    captions: list[list[str]]
    read: Callable[[int], bytes]


def read_captioned(
    annotations: Path | None,
    images: Path | None,
    split: str | None,
    pairs: Path | CaptionedImages | None,
    *,
    images_needed: bool,
    benchmark: str | None,
    subset: bool,
) -> tuple[CaptionedImages, str, dict[str, Any] | None]:
    """Read one split of annotations with a folder of images, or a pair set; and check a known benchmark's counts.

    Without `images`, the annotations' captions can be had, but no image read.

    Returns:
        The images, what to call the benchmark, and what `check_counts` says of a known one.

    Raises:
        UserError: Something is missing or broken; every missing image is one too many.
    """
    if images_needed and (annotations is None) != (images is None):
        raise UserError("give either --annotations, --images and --split, or --pairs")
    if benchmark is None and subset:
        raise UserError("--subset is of a known benchmark; name it with --benchmark")
    known = None if benchmark is None else find_benchmark(benchmark, "retrieval")
    found = pairs if isinstance(pairs, CaptionedImages) else _read(annotations, images, split, pairs)
    if known is None:
        return found, found.title, None
    extra = unnamed_images(Path(annotations), Path(images)) if annotations and images else ()
    captions = sum(map(len, found.captions))
    published = check_counts(known, len(found.names), split=split, captions=captions, extra=extra, subset=subset)
    return found, known.name, published


def _read(annotations: Path | None, images: Path | None, split: str | None, pairs: Path | None) -> CaptionedImages:
    if pairs is not None and annotations is None and images is None:
        pair_set = PairSet(Path(pairs))
        found = CaptionedImages(
            pair_set.folder.name, pair_set.ids, pair_set.captions, lambda index: pair_set.read_jpegs([index])[0]
        )
    elif pairs is None and annotations is not None:
        found = _from_karpathy(Path(annotations), None if images is None else Path(images), split)
    else:
        raise UserError("give either --annotations, --images and --split, or --pairs")
    bare = [name for name, some in zip(found.names, found.captions, strict=True) if not some]
    if bare:
        raise UserError(f"{found.title}: {len(bare)} of {len(found.names)} images have no caption, first {bare[0]}")
    return found


def unnamed_images(annotations: Path, folder: Path) -> list[str]:
    """Return the image files in `folder` that no split of the annotations names."""
    named = {record.filename for record in read_karpathy(annotations, None)}
    return [path.name for path in image_files(folder) if path.name not in named]


def _from_karpathy(annotations: Path, folder: Path | None, split: str | None) -> CaptionedImages:
    if split is None:
        raise UserError("--annotations needs --split, such as --split test")
    records = read_karpathy(annotations, split)
    files = [] if folder is None else _files(annotations, folder, records, split)
    return CaptionedImages(
        f"{annotations.stem}:{split}",
        [record.filename for record in records],
        [list(record.captions) for record in records],
        lambda index: files[index].read_bytes(),
    )


def _files(annotations: Path, folder: Path, records: list[KarpathyEntry], split: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"no folder of images at {folder}")
    found = [find_image(folder, record) for record in records]
    files = [path for path in found if path is not None]
    if len(files) < len(found):
        outside = records[found.index(None)].filename
        raise UserError(f"{annotations} names a file outside {folder}: {outside}")
    missing = [record.filename for record, path in zip(records, files, strict=True) if not path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(records)} images of split {split!r} are not in {folder}, "
            f"first {missing[0]}; a benchmark counts only whole"
        )
    return files
