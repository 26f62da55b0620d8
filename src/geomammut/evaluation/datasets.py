"""Images to measure on, with their classes or masks: read from folders, or from datasets of others in memory."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.evaluation.captioned import CaptionedImages
from geomammut.evaluation.images import SUFFIXES, image_files, read_pixels


@dataclass(frozen=True)
class LabelledImages:
    """N images, each of one of C classes.

    Attributes:
        title: What the benchmark is called in results.
        names: What each image is called.
        classes: Names of the classes, or of their folders.
        truth: Each image's class, N indices; every class has an image.
        read: Index → the bytes of the image's file.
    """

    title: str
    names: list[str]
    classes: list[str]
    truth: list[int]
    read: Callable[[int], bytes]


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


class Items(Protocol):
    """A dataset of torchgeo or of Hugging Face `datasets`: items by index, each a mapping."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


def read_class_folders(folder: Path) -> LabelledImages:
    """Read a folder that holds one folder per class, its images however deep within.

    Raises:
        UserError: There are no class folders, or one holds no image.
    """
    if not folder.is_dir():
        raise UserError(f"no folder at {folder}; --images takes a folder that holds one folder per class")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise UserError(f"{folder} holds {len(folders)} class folders; it needs one folder of images per class")
    files: list[Path] = []
    truth: list[int] = []
    for index, each in enumerate(folders):
        found = _images_within(each)
        if not found:
            raise UserError(f"the class folder {each} holds no image; fill it or remove it")
        files += found
        truth += [index] * len(found)
    return LabelledImages(
        folder.resolve().name,
        [str(file) for file in files],
        [each.name for each in folders],
        truth,
        lambda index: files[index].read_bytes(),
    )


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


def read_mask_tree(root: Path, find: str, mask: Mapping[str, str]) -> MaskedImages:
    """Read a tree in which images and masks stand as their owner published them.

    Args:
        root: The tree.
        find: Glob of its images.
        mask: What in an image's path below `root` to replace by what to get its mask's.

    Raises:
        UserError: No image, an image without a mask, or a mask without an image.
    """
    if not root.is_dir():
        raise UserError(f"no folder at {root}")
    found = sorted(path for path in root.glob(find) if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise UserError(f"{root} holds no image {find}; --images takes the benchmark as its owner packs it")

    def mask_of(path: Path) -> Path:
        parts = path.relative_to(root).as_posix()
        for old, new in mask.items():
            parts = parts.replace(old, new)
        return root / parts

    masks = [mask_of(path) for path in found]
    without = [path for path, of_it in zip(found, masks, strict=True) if not of_it.is_file()]
    if without:
        raise UserError(
            f"{len(without)} of {len(found)} images in {root} have no mask, first {without[0].relative_to(root)} "
            f"(its mask would be {mask_of(without[0]).relative_to(root)})"
        )
    spare = sorted({path for of_it in masks for path in of_it.parent.glob(f"*{of_it.suffix}")} - {*masks, *found})
    if spare:
        raise UserError(f"{len(spare)} masks in {root} have no image, first {spare[0].relative_to(root)}")
    return _masked_files(root.resolve().name, found, masks)


def labelled_images(dataset: Items, *, title: str, image: str = "image", label: str = "label") -> LabelledImages:
    """Read a classification dataset of torchgeo, or of Hugging Face `datasets`.

    Args:
        dataset: Its items hold an image (PIL, or an array or tensor [C, H, W]) and the index of a class;
            its classes stand in `dataset.classes`, or in `dataset.features[label].names`.
        title: What to call it in results.
        image: Key of an item's image.
        label: Key of an item's class.

    Raises:
        UserError: It does not say its classes, or one has no image.
    """
    features: Mapping[str, Any] = getattr(dataset, "features", None) or {}
    classes = getattr(dataset, "classes", None) or getattr(features.get(label), "names", None)
    if not classes:
        raise UserError(f"the dataset {title} tells no class names: it has neither `classes` nor features[{label!r}]")
    truth = [int(_item(dataset, index, label, title)) for index in range(len(dataset))]
    empty = sorted(set(range(len(classes))) - set(truth))
    if empty:
        raise UserError(f"the dataset {title} holds no image of the class {classes[empty[0]]!r}")
    return LabelledImages(
        title,
        [f"{title}[{index}]" for index in range(len(dataset))],
        [str(name) for name in classes],
        truth,
        lambda index: _png(_item(dataset, index, image, title)),
    )


def masked_images(dataset: Items, *, title: str, image: str = "image", mask: str = "mask") -> MaskedImages:
    """Read a segmentation dataset of torchgeo, or of Hugging Face `datasets`; arguments as of `labelled_images`."""
    return MaskedImages(
        title,
        [f"{title}[{index}]" for index in range(len(dataset))],
        lambda index: _rgb(_item(dataset, index, image, title)),
        lambda index: np.asarray(_item(dataset, index, mask, title)).squeeze(),
    )


def captioned_images(
    dataset: Items, *, title: str, image: str = "image", captions: str = "captions"
) -> CaptionedImages:
    """Read a captioned dataset; arguments as of `labelled_images`, an item's captions being one text or several."""
    texts = [_item(dataset, index, captions, title) for index in range(len(dataset))]
    return CaptionedImages(
        title,
        [f"{title}[{index}]" for index in range(len(dataset))],
        [[some] if isinstance(some, str) else list(some) for some in texts],
        lambda index: _png(_item(dataset, index, image, title)),
    )


def _images_within(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _masked_files(title: str, images: Sequence[Path], masks: Sequence[Path]) -> MaskedImages:
    return MaskedImages(
        title, [str(path) for path in images], lambda index: read_pixels(images[index]), lambda index: masks[index]
    )


def _item(dataset: Items, index: int, key: str, title: str) -> Any:
    item = dataset[index]
    if key not in item:
        raise UserError(f"{title}[{index}] has no {key!r}; it has: {', '.join(map(str, item))}")
    return item[key]


def _rgb(image: Any) -> NDArray[np.uint8]:
    """Return an image of a dataset as uint8 [H, W, 3]; floats are 0..1, or 0..255 if one passes 1."""
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[0] < 3:
        raise UserError(f"an image of shape {list(pixels.shape)} is not [C, H, W] with red, green and blue first")
    pixels = np.moveaxis(pixels[:3], 0, 2)
    if np.issubdtype(pixels.dtype, np.floating) and pixels.max(initial=0) <= 1:
        pixels = pixels * 255
    return np.ascontiguousarray(pixels.round().clip(0, 255).astype(np.uint8))


def _png(image: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(_rgb(image)).save(data, "PNG", compress_level=1)
    return data.getvalue()
