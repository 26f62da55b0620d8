"""Zero-shot segmentation of a folder of images beside a folder of masks (DESIGN §5)."""

import difflib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.evaluation.images import image_files, read_pixels
from geomammut.evaluation.prompts import check_template, class_embeddings
from geomammut.evaluation.results import write_results
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.model.score_maps import attention_score_maps, score_maps
from geomammut.pictures import UNREADABLE
from geomammut.progress import track

SegmentationMethod = Literal["sao", "attention"]
DEFAULT_TEMPLATE = "An aerial image of {}."
IGNORED = -1


@dataclass(frozen=True)
class MaskClasses:
    """What a mask's values mean, and the words for it.

    Attributes:
        names: The names of C classes.
        prompts: What to call each in a prompt, one or more.
        values: Each class's value in the mask; a colour #RRGGBB counts as the integer 0xRRGGBB.
        ignore: Values of pixels that do not count.
        coloured: Values are colours.
        template: Sentence with `{}` for the class.
    """

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    values: tuple[int, ...]
    ignore: tuple[int, ...]
    coloured: bool
    template: str


def eval_segmentation(
    model: str,
    images: Path,
    masks: Path,
    classes: Path,
    out: Path,
    *,
    window: int = 1,
    method: SegmentationMethod = "sao",
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot segmentation at the images' own resolution, and write the results.

    Each pixel goes to the class of the highest score; a class's text embedding is the mean over its
    prompts. Nothing is tuned on the masks.

    Args:
        model: What `load_model` takes.
        images: Folder of images.
        masks: Folder of masks of the same file stems, RGB colours or single-band integers.
        classes: JSON: {"classes": [{"name", "mask": "#RRGGBB" or integer, "prompts": [...]}],
            "ignore": [...], "template": "… {} …"}; prompts, ignore and template may be left out.
        out: The results' JSON file.
        window: Radius of the Smooth-Attention window, in patches.
        method: `sao` (Smooth-Attention) or `attention` (raw last cross-attention block, the baseline).
        seed: Recorded; nothing here is random.

    Returns:
        The results, as written: `metrics` miou and pixel_accuracy in percent, `per_class` IoU.

    Raises:
        UserError: Something given is missing or broken; a mask of another size or with unknown values.
    """
    if method not in ("sao", "attention"):
        raise UserError(f"no method {method!r}: choose sao or attention")
    if window < 0:
        raise UserError(f"the window radius is {window}; it must be 0 or more")
    meaning = read_mask_classes(Path(classes))
    files = _paired(Path(images), Path(masks))
    score = class_scorer(load_model(model), meaning, method, window)
    size = len(meaning.names)
    confusion = np.zeros((size, size), np.int64)
    ignored = 0
    for image, mask in track(files, "segmenting"):
        pixels, truth = read_pixels(image), read_mask(mask, meaning)
        if pixels.shape[:2] != truth.shape:
            raise UserError(
                f"{mask} is {truth.shape[1]} × {truth.shape[0]} pixels, "
                f"its image {pixels.shape[1]} × {pixels.shape[0]}; they must be of one size"
            )
        confusion += count_confusion(truth, score(pixels).argmax(0), size)
        ignored += int((truth == IGNORED).sum())
    if not confusion.any():
        raise UserError(f"every pixel of the masks in {masks} is ignored; nothing is left to measure")
    metrics, ious = segmentation_metrics(confusion)
    return write_results(
        Path(out),
        model=model,
        benchmark=_title(Path(images).resolve()),
        protocol=f"zero-shot, {method}" + (f", window {window}" if method == "sao" else ""),
        counts={
            "images": len(files),
            "classes": size,
            "pixels": int(confusion.sum()),
            "ignored_pixels": ignored,
        },
        metrics=metrics,
        per_class={name: None if iou is None else round(iou, 4) for name, iou in zip(meaning.names, ious, strict=True)},
        confusion=confusion.tolist(),
        seed=seed,
    )


def count_confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count pixels by truth (rows) and prediction (columns), [C, C]; truth IGNORED does not count."""
    counted = truth != IGNORED
    flat = truth[counted] * classes + predicted[counted]
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def segmentation_metrics(confusion: NDArray[np.int64]) -> tuple[dict[str, float], list[float | None]]:
    """Return miou over the classes that the truth holds, pixel_accuracy, and each class's IoU, in percent.

    A class that the truth lacks has IoU None; pixels wrongly given to it count against the others.
    """
    hit = np.diag(confusion)
    truth = confusion.sum(1)
    union = truth + confusion.sum(0) - hit
    ious = [100 * float(h / u) if t else None for h, u, t in zip(hit, union, truth, strict=True)]
    present = [iou for iou in ious if iou is not None]
    metrics = {
        "miou": sum(present) / len(present),
        "pixel_accuracy": 100 * float(hit.sum() / confusion.sum()),
    }
    return metrics, ious


def read_mask(path: Path, classes: MaskClasses) -> NDArray[np.int64]:
    """Read a mask as class indices [H, W], IGNORED where it does not count.

    Raises:
        UserError: It cannot be read, is of the wrong kind, or holds a value that means nothing.
    """
    try:
        with Image.open(path) as image:
            if not classes.coloured and image.mode in ("RGB", "RGBA", "CMYK", "YCbCr"):
                raise UserError(f"{path} holds colours, but its classes are integers; write them as #RRGGBB")
            stored = np.array(image.convert("RGB") if classes.coloured else image).astype(np.int64)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as a mask ({error})") from error
    if classes.coloured:
        stored = stored[..., 0] << 16 | stored[..., 1] << 8 | stored[..., 2]
    indices = [*range(len(classes.values)), *[IGNORED] * len(classes.ignore)]
    meanings = sorted(zip((*classes.values, *classes.ignore), indices, strict=True))
    known = np.array([value for value, _ in meanings])
    place = np.searchsorted(known, stored).clip(max=len(known) - 1)
    unknown = stored[known[place] != stored]
    if unknown.size:
        value = f"#{unknown[0]:06X}" if classes.coloured else str(unknown[0])
        count = len(np.unique(unknown))
        raise UserError(
            f"{path} holds {count} value{'s' * (count > 1)} that no class has, first {value} "
            f"({unknown.size} pixels in all); add them to classes or to ignore"
        )
    return np.take(np.array([index for _, index in meanings]), place)


def read_mask_classes(path: Path) -> MaskClasses:
    """Read and check a classes.json; see `eval_segmentation`.

    Raises:
        UserError: What is wrong, and in which entry.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"no classes at {path} ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error
    _check_keys(stored, ("classes", "ignore", "template"), str(path))
    entries, ignore = stored.get("classes"), stored.get("ignore", [])
    if not isinstance(entries, list) or len(entries) < 2 or not isinstance(ignore, list):
        raise UserError(f"{path} needs a list `classes` of two classes or more; `ignore` must be a list, too")
    template = stored.get("template", DEFAULT_TEMPLATE)
    check_template(str(template), str(path))
    names, prompts, values = [], [], []
    for number, entry in enumerate(entries):
        where = f"{path}: classes[{number}]"
        _check_keys(entry, ("name", "mask", "prompts"), where)
        name = entry.get("name")
        some = entry.get("prompts", [name])
        if not isinstance(name, str) or not isinstance(some, list) or not some:
            raise UserError(f"{where} needs a `name`; `prompts` must be a list of texts")
        if not all(isinstance(prompt, str) and prompt.strip() for prompt in some):
            raise UserError(f"{where} has a prompt that is empty or no text")
        names.append(name)
        prompts.append(tuple(some))
        values.append(_mask_value(entry.get("mask"), where))
    ignored = [_mask_value(value, f"{path}: ignore") for value in ignore]
    every = [entry["mask"] for entry in entries] + ignore
    if len({isinstance(value, str) for value in every}) > 1:
        raise UserError(f"{path} mixes colours and integers; a mask has either")
    if len(set(values + ignored)) < len(every) or len(set(names)) < len(names):
        raise UserError(f"{path} gives a name or a mask value twice")
    return MaskClasses(
        tuple(names), tuple(prompts), tuple(values), tuple(ignored), isinstance(every[0], str), str(template)
    )


def _check_keys(entry: object, allowed: Sequence[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{where} must be a JSON object with {', '.join(allowed)}")
    for key in entry:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1) or [" or ".join(allowed)]
            raise UserError(f"{where} has an unknown key {key!r}; did you mean {near[0]}?")


def _mask_value(value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        return int(value[1:], 16)
    raise UserError(f"{where}: the mask value {value!r} is neither #RRGGBB nor an integer")


def _title(images: Path) -> str:
    return images.parent.name if images.name.lower() == "images" else images.name


def _paired(images: Path, masks: Path) -> list[tuple[Path, Path]]:
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
    return [(path, by_stem[path.stem]) for path in found]


def class_scorer(
    model: VisionLanguageModel, classes: MaskClasses, method: SegmentationMethod, window: int = 1
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return what scores pixels uint8 [H, W, 3] as float32 [C, H, W]: of several prompts of a class, the mean.

    Args:
        model: One with attention maps, for the method "attention".
        classes: Their prompts.
        method: "sao" (smooth attention) or "attention" (the raw last cross-attention block).
        window: Radius of the smooth attention, in patches.
    """
    if method == "sao":
        embeddings = class_embeddings(model, classes.prompts, [classes.template])
        return partial(score_maps, model, text_embeddings=embeddings, window=window)
    texts = [classes.template.replace("{}", prompt) for some in classes.prompts for prompt in some]
    ends = np.cumsum([len(some) for some in classes.prompts])[:-1]

    def score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        maps = attention_score_maps(model, pixels, texts)
        return np.stack([some.mean(0) for some in np.split(maps, ends)])

    return score
