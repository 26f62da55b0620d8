"""Score maps: how well each text fits each pixel of an image of any size."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.pooling_head import Window

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float32]
# Preprocessed windows [B, 3, S, S] → patch scores [B, C, h, w]
PatchScorer = Callable[[Tensor], Tensor]
# For each of C classes the embeddings of its texts [n, E], of length 1; or [C, E], one text a class
ClassTexts = Tensor | Sequence[Tensor]
# First row, number of rows → uint8 [rows, W, 3]
RowReader = Callable[[int, int], Pixels]

_WINDOWS_AT_ONCE = 32


def score_maps(
    model: VisionLanguageModel,
    pixels: Pixels,
    texts: ClassTexts,
    *,
    window: Window,
    stride: int | None = None,
) -> Scores:
    """Score every pixel of an image in memory; see `sao_scorer` and `score_strips`.

    Args:
        model: Gives `dense_image_embeddings`.
        pixels: The image at its own resolution, uint8 [H, W, 3].
        texts: Of C classes.
        window: Radius of the Smooth-Attention window, in patches, or several that are averaged.
        stride: Pixels from one model window to the next; half the model's image size by default.

    Returns:
        Scores in −1..1, float32 [C, H, W].
    """
    height, width = pixels.shape[:2]

    def read_rows(first: int, count: int) -> Pixels:
        return pixels[first : first + count]

    strips = score_strips(model, sao_scorer(model, texts, window), read_rows, height, width, stride=stride)
    return np.concatenate([strip for _, strip in strips], axis=1)


def sao_scorer(model: VisionLanguageModel, texts: ClassTexts, window: Window) -> PatchScorer:
    """Return what scores patches by Smooth-Attention of radius `window`.

    A class's score at a patch is the highest of the cosines of the patch's embedding and the class's texts.
    """
    of_classes = [own.reshape(-1, own.shape[-1]) for own in texts]
    names = torch.cat(of_classes).to(model.device)

    def score(images: Tensor) -> Tensor:
        cosines = torch.einsum("bhwe,ne->bnhw", model.dense_image_embeddings(images, window), names)
        return best_of_names(cosines, [len(own) for own in of_classes])

    return score


def attention_scorer(model: VisionLanguageModel, names: Sequence[Sequence[str]]) -> PatchScorer:
    """Return what scores patches by raw attention, the baseline that Smooth-Attention is measured against.

    A class's score at a patch is the highest share, 0..1, of the attention that its texts pay in the last
    cross-attention block.

    Raises:
        UserError: The model has no cross-attention.
    """
    maps: Callable[[Tensor, Sequence[str]], Tensor] | None = getattr(model, "attention_maps", None)
    if maps is None:
        raise UserError(f"{model.name} has no cross-attention to look at; use --method sao")
    texts = [text for own in names for text in own]
    return lambda images: best_of_names(maps(images, texts), [len(own) for own in names])


def best_of_names(scores: Tensor, names: Sequence[int]) -> Tensor:
    """Return the scores of classes [B, C, h, w], the best of their names', of those of all names one after another.

    Args:
        scores: [B, N, h, w].
        names: How many of the N each class has.
    """
    return torch.stack([own.amax(dim=1) for own in torch.split(scores, list(names), dim=1)], dim=1)


def score_strips(
    model: VisionLanguageModel,
    score: PatchScorer,
    read_rows: RowReader,
    height: int,
    width: int,
    *,
    stride: int | None = None,
) -> Iterator[tuple[int, Scores]]:
    """Score an image of any size from top to bottom, holding one row of windows at a time.

    Windows of the model's image size S stand on one grid over the whole image; patch scores are
    interpolated to pixels and overlapping windows averaged with weights that fall towards their borders,
    so that no border shows. An image smaller than S is mirrored outwards.

    Args:
        model: Gives S, mean, std and device.
        score: What scores a batch of windows.
        read_rows: Gives the image's rows.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        stride: Pixels from one window to the next, S // 2 by default.

    Yields:
        First row and finished scores float32 [C, rows, W]; together the strips cover every row once.
    """
    size = model.image_size
    stride = stride or max(1, size // 2)
    tops, lefts = _starts(height, size, stride), _starts(width, size, stride)
    taper = torch.sin(torch.pi * (torch.arange(size) + 0.5) / size).square() + 1e-3
    row_weights, column_weights = _summed_weights(tops, taper), _summed_weights(lefts, taper)
    weight = taper[:, None] * taper
    sums: Tensor | None = None  # [C, S, padded width]: rows from the current top on
    for number, top in enumerate(tops):
        rows = _mirrored(read_rows(top, min(size, height - top)), size, len(column_weights))
        for some, window_scores in _scored_windows(model, score, rows, lefts):
            if sums is None:
                sums = torch.zeros(window_scores.shape[1], size, len(column_weights))
            for left, one in zip(some, window_scores, strict=True):
                sums[:, :, left : left + size] += one * weight
        assert sums is not None
        done = min(size, height - top) if number == len(tops) - 1 else tops[number + 1] - top
        weights = row_weights[top : top + done, None] * column_weights[:width]
        yield top, (sums[:, :done, :width] / weights).numpy()
        sums[:, : size - done] = sums[:, done:].clone()
        sums[:, size - done :] = 0


@torch.inference_mode()
def _scored_windows(
    model: VisionLanguageModel, score: PatchScorer, rows: Pixels, lefts: Sequence[int]
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Yield left edges of windows along pixels [S, padded width, 3] and their scores [B, C, S, S]."""
    size = model.image_size
    mean = torch.tensor(model.mean).view(3, 1, 1)
    std = torch.tensor(model.std).view(3, 1, 1)
    for first in range(0, len(lefts), _WINDOWS_AT_ONCE):
        some = lefts[first : first + _WINDOWS_AT_ONCE]
        crops = np.stack([rows[:, left : left + size] for left in some])
        images = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - mean) / std
        patches = score(images.to(model.device)).float().cpu()
        yield some, F.interpolate(patches, size=(size, size), mode="bilinear", align_corners=False)


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Return where windows start along an axis; the last one ends with the image."""
    last = max(0, length - size)
    return [*range(0, last, stride), last]


def _summed_weights(starts: Sequence[int], taper: Tensor) -> Tensor:
    weights = torch.zeros(starts[-1] + len(taper))
    for start in starts:
        weights[start : start + len(taper)] += taper
    return weights


def _mirrored(rows: Pixels, height: int, width: int) -> Pixels:
    missing = (0, height - rows.shape[0]), (0, width - rows.shape[1]), (0, 0)
    return np.ascontiguousarray(np.pad(rows, missing, mode="symmetric"))
