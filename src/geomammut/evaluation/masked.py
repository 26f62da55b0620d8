"""Images and masks of them, in two folders or in the tree of a benchmark's owner."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomammut.errors import UserError
from geomammut.evaluation.benchmarks import Benchmark, check_counts
from geomammut.evaluation.images import SUFFIXES, image_files, read_pixels


@dataclass(frozen=True)
class MaskedImages:
    """N images and a mask of each.

    Attributes:
        title: What the benchmark is called in results.
        names: What each image is called.
        pixels: Index → uint8 [H, W, 3].
        mask: Index → the mask as stored: a file, or its values [H, W] (or colours [H, W, 3]).
    """

    title: str
    names: list[str]
    pixels: Callable[[int], NDArray[np.uint8]]
    mask: Callable[[int], Path | NDArray[Any]]


def read_masked(
    images: Path | MaskedImages, masks: Path | None, known: Benchmark | None, split: str | None, subset: bool
) -> tuple[MaskedImages, dict[str, Any] | None]:
    """Read images and masks from two folders, or a known benchmark's own tree; and check its counts.

    Returns:
        The images, and what `check_counts` says of a known benchmark.

    Raises:
        UserError: What is missing or too much.
    """
    if known is None and (split is not None or subset):
        raise UserError("--split and --subset are of a known benchmark; name it with --benchmark")
    if isinstance(images, MaskedImages):
        found = images
    elif masks is not None:
        found = read_mask_folders(Path(images), Path(masks))
    elif known is not None:
        found = read_mask_tree(Path(images), known.find, known.mask, _members(known, Path(images), split))
    else:
        raise UserError("give --masks, the folder of masks, or name a known --benchmark")
    return found, None if known is None else check_counts(known, len(found.names), split=split, subset=subset)


def read_mask_folders(images: Path, masks: Path) -> MaskedImages:
    """Read a folder of images beside a folder of masks of the same file stems.

    Raises:
        UserError: An image without a mask, or a mask without an image: how many, and which first.
    """
    by_stem = {path.stem: path for path in image_files(masks)}
    found = image_files(images)
    if not found:
        raise UserError(f"no image in {images}")
    without = [path for path in found if path.stem not in by_stem]
    if without:
        raise UserError(
            f"{len(without)} of {len(found)} images in {images} have no mask of the same name in {masks}, "
            f"first {without[0].name}"
        )
    spare = sorted(set(by_stem) - {path.stem for path in found})
    if spare:
        raise UserError(f"{len(spare)} masks in {masks} have no image, first {by_stem[spare[0]].name}")
    title = images.resolve().parent.name if images.name.lower() == "images" else images.resolve().name
    return _masked_files(title, found, [by_stem[path.stem] for path in found])


def read_mask_tree(
    root: Path, find: str, mask: Mapping[str, str], members: Sequence[str] | None = None
) -> MaskedImages:
    """Read a tree in which images and masks stand as their owner published them.

    Args:
        root: The tree.
        find: Glob of its images.
        mask: What in an image's path below `root` to replace by what to get its mask's.
        members: File names or stems of the images to read; by default all that are found.

    Raises:
        UserError: No image, an image without a mask, or a mask without an image.
    """
    if not root.is_dir():
        raise UserError(f"no folder at {root}")
    everything = _found(root, find)
    if not everything:
        raise UserError(f"{root} holds no image {find}; --images takes the benchmark as its owner packs it")
    found = [path for path in everything if members is None or not {path.name, path.stem}.isdisjoint(members)]
    if not found:
        raise UserError(f"none of the {len(everything)} images in {root} is of this split")

    def mask_of(path: str) -> str:
        for old, new in mask.items():
            path = path.replace(old, new)
        return path

    masks = {path: root / mask_of(path.relative_to(root).as_posix()) for path in everything}
    without = [path for path in found if not masks[path].is_file()]
    if without:
        raise UserError(
            f"{len(without)} of {len(found)} images in {root} have no mask, first {without[0].relative_to(root)} "
            f"(its mask would be {masks[without[0]].relative_to(root)})"
        )
    spare = sorted(set(_found(root, mask_of(find))) - {*masks.values(), *everything})
    if spare and members is None:
        raise UserError(f"{len(spare)} masks in {root} have no image, first {spare[0].relative_to(root)}")
    return _masked_files(root.resolve().name, found, [masks[path] for path in found])


def _members(known: Benchmark, root: Path, split: str | None) -> Sequence[str] | None:
    """Return the names of a split's images, where no folder of its own tells them."""
    listed = known.members.get(split or "")
    if not isinstance(listed, str):
        return listed
    try:
        return (root / listed).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{root / listed}, which lists the images of the split {split}, cannot be read") from error


def _found(root: Path, glob: str) -> list[Path]:
    return sorted(path for path in root.glob(glob) if path.suffix.lower() in SUFFIXES and path.is_file())


def _masked_files(title: str, images: Sequence[Path], masks: Sequence[Path]) -> MaskedImages:
    return MaskedImages(
        title, [str(path) for path in images], lambda index: read_pixels(images[index]), lambda index: masks[index]
    )
