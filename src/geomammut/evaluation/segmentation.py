"""Zero-shot segmentation of images beside their masks (DESIGN §5)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geomammut.errors import UserError
from geomammut.evaluation.benchmarks import Benchmark, find_benchmark
from geomammut.evaluation.intervals import bootstrap_intervals
from geomammut.evaluation.leaks import leak_report
from geomammut.evaluation.masked import MaskedImages, read_masked
from geomammut.evaluation.masks import (
    IGNORED,
    MaskClasses,
    mask_classes,
    mask_indices,
    read_mask,
    read_mask_classes,
)
from geomammut.evaluation.prompts import name_embeddings
from geomammut.evaluation.results import write_results
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.model.pooling_head import Window, radii
from geomammut.model.score_maps import PatchScorer, attention_scorer, sao_scorer, score_strips
from geomammut.progress import track

SegmentationMethod = Literal["sao", "attention"]


def eval_segmentation(
    model: str,
    images: Path | MaskedImages,
    out: Path,
    *,
    masks: Path | None = None,
    classes: Path | None = None,
    benchmark: str | None = None,
    split: str | None = None,
    subset: bool = False,
    window: Window = 1,
    method: SegmentationMethod = "sao",
    leaks: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot segmentation at the images' own resolution, and write the results.

    Windows of the model's input size slide over each image. A pixel goes to the class of the highest score; a
    class's score at a patch is that of the best of its prompts. A background is asked for by the same words in
    every benchmark. Nothing is tuned on the masks.

    Args:
        model: What `load_model` takes.
        images: Folder of images; of a known benchmark without `masks`, the tree that its owner packs.
        out: The results' JSON file.
        masks: Folder of masks of the same file stems, RGB colours or single-band integers.
        classes: JSON: {"classes": [{"name", "mask": "#RRGGBB" or integer, "prompts": [...], "background": true}],
            "ignore": [...], "template": "… {} …"}; prompts, background, ignore and template may be left out. A
            known benchmark has its own.
        benchmark: Which it is (`benchmarks list`): its layout, its classes, and the counts to check.
        split: Which of its splits.
        subset: Measure, with a note, though counts are not those published.
        window: Radius of the Smooth-Attention window, in patches, or several that are averaged.
        method: `sao` (Smooth-Attention) or `attention` (raw last cross-attention block, the baseline).
        leaks: Also report which images are nearly ones of the pair sets that the model's records name.
        seed: Of the bootstrap.

    Returns:
        The results, as written: `metrics` miou and pixel_accuracy in percent with `intervals` over images,
        `per_class` IoU, `confusion` of pixels.

    Raises:
        UserError: Something given is missing or broken; a mask of another size or with unknown values.
    """
    if method not in ("sao", "attention"):
        raise UserError(f"no method {method!r}: choose sao or attention")
    try:
        told = ", ".join(map(str, radii(window)))
    except ValueError as error:
        raise UserError(str(error)) from error
    known = None if benchmark is None else find_benchmark(benchmark, "segmentation")
    meaning = _classes(classes, known)
    found, published = read_masked(images, masks, known, split, subset)
    segment = pixel_classifier(load_model(model), meaning, method, window)
    size = len(meaning.names)
    confusions = []
    ignored = 0
    for index in track(range(len(found.names)), "segmenting"):
        pixels, truth = found.pixels(index), _truth(found, index, meaning)
        if pixels.shape[:2] != truth.shape:
            raise UserError(
                f"the mask of {found.names[index]} is {truth.shape[1]} × {truth.shape[0]} pixels, "
                f"its image {pixels.shape[1]} × {pixels.shape[0]}; they must be of one size"
            )
        confusions.append(count_confusion(truth, segment(pixels), size))
        ignored += int((truth == IGNORED).sum())
    counted = np.stack([confusion for confusion in confusions if confusion.any()] or [np.zeros((size, size), np.int64)])
    confusion: NDArray[np.int64] = counted.sum(0)
    if not confusion.any():
        raise UserError(f"every pixel of the masks of {found.title} is ignored; nothing is left to measure")
    metrics, ious = segmentation_metrics(confusion)
    intervals = bootstrap_intervals(
        len(counted), lambda drawn: segmentation_metrics(np.tensordot(drawn, counted, 1))[0], seed=seed
    )
    return write_results(
        Path(out),
        model=model,
        benchmark=known.name if known else found.title,
        protocol=f"zero-shot, {method}" + (f", window {told}" if method == "sao" else ""),
        counts={
            "images": len(found.names),
            "classes": size,
            "pixels": int(confusion.sum()),
            "ignored_pixels": ignored,
        },
        metrics=metrics,
        intervals=intervals,
        published=published,
        leaks=leak_report(model, found.names, found.pixels) if leaks else None,
        per_class={name: None if iou is None else round(iou, 4) for name, iou in zip(meaning.names, ious, strict=True)},
        prompts={name: list(some) for name, some in zip(meaning.names, meaning.prompts, strict=True)},
        template=meaning.template,
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


def pixel_classifier(
    model: VisionLanguageModel, classes: MaskClasses, method: SegmentationMethod, window: Window = 1
) -> Callable[[NDArray[np.uint8]], NDArray[np.int64]]:
    """Return what gives each of the pixels uint8 [H, W, 3] its class, [H, W].

    Scores of one row of windows are held at a time, so that an image of 13,000 pixels takes no more than its
    pixels and its answer.

    Args:
        model: One with attention maps, for the method "attention".
        classes: Their prompts; of several of a class, the best at each patch.
        method: "sao" (smooth attention) or "attention" (the raw last cross-attention block).
        window: Radius of the smooth attention, in patches.
    """
    score = class_scorer(model, classes, method, window)

    def classify(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        def rows(first: int, count: int) -> NDArray[np.uint8]:
            return pixels[first : first + count]

        strips = score_strips(model, score, rows, *pixels.shape[:2])
        return np.concatenate([strip.argmax(0) for _, strip in strips])

    return classify


def class_scorer(
    model: VisionLanguageModel, classes: MaskClasses, method: SegmentationMethod, window: Window = 1
) -> PatchScorer:
    """Return what scores patches for each class. Arguments as of `pixel_classifier`."""
    if method == "sao":
        return sao_scorer(model, name_embeddings(model, classes.prompts, [classes.template]), window)
    prompts = [[classes.template.replace("{}", prompt) for prompt in some] for some in classes.prompts]
    return attention_scorer(model, prompts)


def _classes(classes: Path | None, known: Benchmark | None) -> MaskClasses:
    if classes is not None:
        return read_mask_classes(Path(classes))
    if known is None:
        raise UserError("give --classes, which tells what the masks' values mean, or name a known --benchmark")
    stored = {"classes": known.classes, "ignore": list(known.ignore)}
    return mask_classes(stored, f"benchmarks.toml: {known.name}")


def _truth(found: MaskedImages, index: int, classes: MaskClasses) -> NDArray[np.int64]:
    mask = found.mask(index)
    if isinstance(mask, Path):
        return read_mask(mask, classes)
    return mask_indices(mask, classes, f"the mask of {found.names[index]}")
