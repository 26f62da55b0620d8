"""Datasets of others in memory, of torchgeo or of Hugging Face `datasets`, read as benchmarks."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.evaluation.captioned import CaptionedImages
from geomammut.evaluation.labelled import LabelledImages, png
from geomammut.evaluation.masked import MaskedImages


class Items(Protocol):
    """A dataset of torchgeo or of Hugging Face `datasets`: items by index, each a mapping."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


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
        lambda index: png(_rgb(_item(dataset, index, image, title))),
        len(dataset),
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
        lambda index: png(_rgb(_item(dataset, index, image, title))),
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
