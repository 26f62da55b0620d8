"""Maps of the field that need no training, on the image tower of ours: other attentions in its last block.

The published methods change the last block of CLIP's class-token ViT; ours is pooled by a mean, so its own patch
tokens already speak for the image. Each baseline is the published change, done to our last block; what follows the
block (norm, projection, length 1) is the model's own.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from geomammut.model.layers import SelfBlock
from geomammut.model.mammut import Mammut
from geomammut.model.score_maps import PatchScorer, best_of_names

NEIGHBOURS_SIGMA = 5.0  # patches, NACLIP's

# Queries, keys [B, H, L, d], side of the grid → weights [B, H, L, L]
Weights = Callable[[Tensor, Tensor, int], Tensor]


def itself(query: Tensor, key: Tensor, grid: int) -> Tensor:
    """MaskCLIP (Zhou et al. 2022, arXiv 2112.01071): each patch takes its own value alone."""
    return torch.eye(grid * grid).expand(*query.shape[:2], -1, -1)


def correlative(query: Tensor, key: Tensor, grid: int) -> Tensor:
    """SCLIP (Wang et al. 2023, arXiv 2312.01597): softmax(q qᵀ) + softmax(k kᵀ)."""
    return _softmax(query, query) + _softmax(key, key)


def queries(query: Tensor, key: Tensor, grid: int) -> Tensor:
    """ClearCLIP (Lan et al. 2024, arXiv 2407.12442): softmax(q qᵀ), without the residual and the MLP."""
    return _softmax(query, query)


def neighbours(query: Tensor, key: Tensor, grid: int) -> Tensor:
    """NACLIP (Hajimiri et al. 2025, arXiv 2404.08181): k kᵀ + a Gaussian about each patch, no residual or MLP."""
    steps = torch.arange(grid)
    rows, columns = steps.repeat_interleave(grid), steps.repeat(grid)
    distance = (rows[:, None] - rows).square() + (columns[:, None] - columns).square()
    prior = (-distance / (2 * NEIGHBOURS_SIGMA**2)).exp()
    return ((key @ key.transpose(-2, -1)) * key.shape[-1] ** -0.5 + prior).softmax(dim=-1)


def _softmax(one: Tensor, other: Tensor) -> Tensor:
    return ((one @ other.transpose(-2, -1)) * one.shape[-1] ** -0.5).softmax(dim=-1)


def scorer(model: Mammut, texts: Sequence[Tensor], weights: Weights, whole_block: bool) -> PatchScorer:
    """Return what scores windows with another attention in the last block, and with or without what goes past it."""
    names = torch.cat(list(texts))

    def score(images: Tensor) -> Tensor:
        before = model.visual.tokens(images).before
        block, grid = model.visual.blocks[-1], model.config.vision.grid
        assert isinstance(block, SelfBlock)
        query, key, value = block.attn.queries_keys_values(block.ln_1(before), None)
        mixed = block.attn.out_proj(block.attn.merge_heads(weights(query, key, grid) @ value))
        tokens = block.finish(before + mixed) if whole_block else mixed
        projected = model.visual.ln_post(tokens) @ model.visual.proj
        embeddings = torch.nn.functional.normalize(projected, dim=-1)
        cosines = (embeddings @ names.T).transpose(1, 2).unflatten(-1, (grid, grid))
        return best_of_names(cosines, [len(own) for own in texts])

    return score


BASELINES: dict[str, Callable[[Mammut, Sequence[Tensor]], PatchScorer]] = {
    "MaskCLIP": partial(scorer, weights=itself, whole_block=True),
    "SCLIP": partial(scorer, weights=correlative, whole_block=True),
    "ClearCLIP": partial(scorer, weights=queries, whole_block=False),
    "NACLIP": partial(scorer, weights=neighbours, whole_block=False),
}
