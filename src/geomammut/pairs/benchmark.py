"""Benchmarks in the Karpathy layout (RSICD, RSITMD, UCM-Captions, …) as pair sets."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pictures import UNREADABLE, check_size
from geomammut.progress import track

_JPEG_QUALITY = 95  # only for images that are no JPEG already


def pairs_import(annotations: Path, images: Path, split: str, out: Path, *, seed: int = 0) -> Path:
    """Turn one split of a captioned benchmark into a pair set.

    Every caption is kept, duplicates too. Images that are JPEG already are copied byte for byte. Missing
    and broken images are counted and skipped.

    Args:
        annotations: JSON in the Karpathy layout: {"images": [{"filename", "split", "sentences": [{"raw"}]}]}.
        images: Folder that the file names are relative to.
        split: "train", "val" or "test", as the annotations call it.
        out: Folder of the new pair set.
        seed: Nothing here is drawn by chance.

    Returns:
        `out`.

    Raises:
        UserError: An input is missing or malformed, the split is unknown, or no image is left.
    """
    del seed
    annotations, images, out = Path(annotations), Path(images), Path(out)
    if not images.is_dir():
        raise UserError(f"image folder {images} not found; give the folder that holds the benchmark's images")
    entries = read_karpathy(annotations, split)
    dropped: Counter[str] = Counter()
    funnel = Funnel()

    def pairs() -> Iterator[Pair]:
        kept = 0
        for entry in track(entries, f"importing {split}"):
            pair = _pair(entry, images, annotations.name, split)
            if isinstance(pair, str):
                dropped[pair] += 1
                continue
            kept += 1
            yield pair
        funnel.step(f"images of the split {split}", len(entries), kept, dict(dropped.most_common()))

    return write_pair_set(out, pairs(), funnel=funnel, card=_card(annotations, split, len(entries)))


@dataclass(frozen=True)
class KarpathyEntry:
    """One image of a benchmark: its file name, the folder it may stand in, and its captions as written."""

    filename: str
    folder: str
    captions: tuple[str, ...]


def read_karpathy(annotations: Path, split: str | None) -> list[KarpathyEntry]:
    """Return the entries of one split, or of all for None, in the file's order.

    NWPU-Captions' own layout is read, too: classes, each a list of images.

    Raises:
        UserError: The file is missing, not in the Karpathy layout, or has no such split.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"annotations {annotations} not found; give the benchmark's JSON file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"annotations {annotations} are no JSON ({error}); get the file again") from error
    entries = content.get("images", _by_class(content)) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f'annotations {annotations} are not in the Karpathy layout: no list "images" of objects')
    if entries and not any("split" in entry for entry in entries):
        raise UserError(f'annotations {annotations} are not in the Karpathy layout: no entry of "images" has a "split"')
    splits = Counter(str(entry.get("split")) for entry in entries)
    if split is not None and split not in splits:
        found = ", ".join(f"{name} ({count})" for name, count in sorted(splits.items())) or "none"
        raise UserError(f"{annotations} has no split {split!r}; its splits are: {found}")
    return [_entry(entry) for entry in entries if split in (None, str(entry.get("split")))]


def _by_class(content: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the entries of NWPU-Captions' own layout: class → images, whose captions stand in raw, raw_1, … raw_4."""
    images = [(name, image) for name, some in content.items() if isinstance(some, list) for image in some]
    if not images or not all(isinstance(image, dict) and "raw" in image for _, image in images):
        return None
    return [
        {**image, "filepath": name, "sentences": [{"raw": image[key]} for key in image if key.startswith("raw")]}
        for name, image in images
    ]


def _entry(entry: dict[str, Any]) -> KarpathyEntry:
    sentences = entry.get("sentences")
    captions = (
        sentence.get("raw")
        for sentence in (sentences if isinstance(sentences, list) else ())
        if isinstance(sentence, dict)
    )
    return KarpathyEntry(
        str(entry.get("filename") or ""),
        str(entry.get("filepath") or ""),
        tuple(raw for raw in captions if isinstance(raw, str) and raw.strip()),
    )


def _pair(entry: KarpathyEntry, images: Path, annotations: str, split: str) -> Pair | str:
    """Return an entry's pair, or why there is none."""
    name = entry.filename
    captions = tuple(" ".join(raw.split()) for raw in entry.captions)
    if not name or not captions:
        return "no caption" if name else "no file name"
    path = find_image(images, entry)
    if path is None:
        return "path leads out of the image folder"
    if not path.is_file():
        return "image missing"
    try:
        jpeg, width, height = _as_jpeg(path.read_bytes())
    except UNREADABLE:
        return "image broken"
    return Pair(
        id=content_id(jpeg, name),
        captions=captions,
        jpeg=jpeg,
        width=width,
        height=height,
        source="benchmark",
        provenance={"writer": "benchmark", "annotations": annotations, "split": split, "filename": name},
    )


def find_image(images: Path, entry: KarpathyEntry) -> Path | None:
    """Return the path of an entry's image, in its own folder or directly in `images`; it may be missing.

    None if it leads out of `images`, by `..`, a root or a link.
    """
    root = images.resolve()
    for parts in (PurePosixPath(entry.folder, entry.filename), PurePosixPath(entry.filename)):
        path = (root / parts).resolve()
        if not path.is_relative_to(root):
            return None
        if path.is_file():
            return path
    return root / entry.filename


def _as_jpeg(data: bytes) -> tuple[bytes, int, int]:
    """Return image data as JPEG with width and height; JPEG data as they are. Decodes all of it."""
    with Image.open(io.BytesIO(data)) as image:
        check_size(image)
        image.load()
        if image.format == "JPEG":
            return data, image.width, image.height
        encoded = io.BytesIO()
        image.convert("RGB").save(encoded, "JPEG", quality=_JPEG_QUALITY)
        return encoded.getvalue(), image.width, image.height


def _card(annotations: Path, split: str, count: int) -> str:
    return f"""# Benchmark pairs: {annotations.name}, split {split}

The {count:,} entries of one split of a captioned benchmark, with every caption that people wrote.

Made by `geomammut pairs import` {__version__}. Images that were JPEG are the benchmark's own bytes; others
were encoded as JPEG, quality {_JPEG_QUALITY}. What was left out, and why: `funnel.json`.

## Use

Meant for training on, or measuring by, this split alone. The same command on the same files gives the same set to the
byte.

## Licence

The benchmark's own licence holds for its images and captions; many allow research only. Do not train on a
split that you measure on.
"""
