"""The teacher of a pseudo-label round: it says which patches of an image show which phrase."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.localization.pseudo_labels import (
    DEFAULT_SHARE,
    PhraseGate,
    companions,
    region_labels,
    score_bars,
    standardized,
)
from geomammut.model.mammut import Mammut
from geomammut.pairs.pair_set import PairSet

IMAGES_AT_ONCE = 64
MEASURED_IMAGES = 256  # to learn from what scores are usual
COUNTED_PAIRS = 10_000  # to learn from which phrases go together
NOVEL_LIKELY, NOVEL_SURE = 0.75, 0.98  # quantiles of the likeness of training images to a novel phrase


@dataclass(frozen=True)
class Teacher:
    """A model that labels regions. What scores are usual was measured on training images, without masks.

    Attributes:
        model: Frozen.
        gate: Its K phrases; the last `novel` of them are such that no pair states them.
        texts: [K, E], embeddings of the phrases' prompts.
        mean: [K], of the scores of patches.
        std: [K], their deviation.
        bars: [K]; see `score_bars`.
        together: [K, K]; see `companions`.
        novel: How many.
        novel_bars: [2, novel]: below the first likeness an image does not show the phrase, above the second it does.
        window: Radius of the Smooth-Attention.
    """

    model: Mammut
    gate: PhraseGate
    texts: Tensor
    mean: Tensor
    std: Tensor
    bars: Tensor
    together: Tensor
    novel: int
    novel_bars: Tensor
    window: int

    @torch.no_grad()
    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardized phrase scores [B, h, w, K], and the likeness [B, K] of whole images to the phrases."""
        raw, likeness = _raw_scores(self.model, images, self.texts, self.window)
        return standardized(raw, self.mean, self.std), likeness

    def labels(self, images: Tensor, stated: Sequence[Mapping[int, float]]) -> Tensor:
        """Return region labels [B, h, w, K] of preprocessed images; see `region_labels`.

        An image states a novel phrase if it is more like it than almost all training images; of one that is only
        likely to show it, nothing is told.
        """
        scores, likeness = self.scores(images)
        return self.labels_of(scores, likeness, stated)

    def labels_of(self, scores: Tensor, likeness: Tensor, stated: Sequence[Mapping[int, float]]) -> Tensor:
        """Return the labels that go with what `scores` returned."""
        first = len(self.gate.phrases) - self.novel
        likely, sure = likeness[:, first:] > self.novel_bars[0], likeness[:, first:] > self.novel_bars[1]
        aligned = [
            dict(own) | {first + int(number): DEFAULT_SHARE for number in row.nonzero().flatten()}
            for own, row in zip(stated, sure, strict=True)
        ]
        labels = region_labels(scores, aligned, self.bars, self.together)
        untold = (likely & ~sure)[:, None, None, :].expand(-1, *labels.shape[1:3], -1)
        labels[..., first:].masked_fill_(untold, torch.nan)
        return labels


@torch.no_grad()
def new_teacher(
    model: Mammut, gate: PhraseGate, prompts: Sequence[str], pairs: PairSet, *, novel: int, window: int, seed: int
) -> Teacher:
    """Freeze a model, and measure on training images what scores of each phrase are usual."""
    model.eval().requires_grad_(False)
    texts = model.encode_text(prompts)
    order = np.random.default_rng(seed).permutation(len(pairs))
    measured = order[:MEASURED_IMAGES]
    found = [_raw_scores(model, images, texts, window) for images in image_batches(model, pairs, measured)]
    raw, likeness = torch.cat([scores for scores, _ in found]), torch.cat([likeness for _, likeness in found])
    mean, std = raw.mean(dim=(0, 1, 2)), raw.flatten(0, 2).std(dim=0).clamp(min=1e-6)
    counted = order[:COUNTED_PAIRS].tolist()
    stated = [gate.shares(pairs.captions_of(index), pairs.landmarks_of(index)) for index in counted]
    bars = score_bars(standardized(raw, mean, std), stated[: len(measured)])
    novel_bars = torch.stack([likeness.quantile(share, dim=0) for share in (NOVEL_LIKELY, NOVEL_SURE)])
    novel_bars = novel_bars[:, len(gate.phrases) - novel :]
    together = companions(stated, len(gate.phrases)).to(model.device)
    return Teacher(model, gate, texts, mean, std, bars, together, novel, novel_bars, window)


def image_batches(model: Mammut, pairs: PairSet, chosen: NDArray[np.integer[Any]]) -> Iterator[Tensor]:
    """Yield preprocessed images of the pairs `chosen`, on the model's device."""
    for start in range(0, len(chosen), IMAGES_AT_ONCE):
        pictures = [pairs.read_picture(int(index)) for index in chosen[start : start + IMAGES_AT_ONCE]]
        yield torch.stack([model.preprocess(picture) for picture in pictures]).to(model.device)


def _raw_scores(model: Mammut, images: Tensor, texts: Tensor, window: int) -> tuple[Tensor, Tensor]:
    tokens = model.visual.tokens(images)
    whole = torch.nn.functional.normalize(model.visual.pool(tokens), dim=-1)
    return model.visual.dense(tokens, window) @ texts.T, whole @ texts.T
