"""What a tower does last: an attention pooling, which can be asked for everywhere instead of once (DESIGN §5)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from geomammut.model.smooth_attention import smooth_attention

# A radius in patches, or several whose embeddings are averaged.
Window = int | Sequence[int]


class PoolingHead(NamedTuple):
    """Tokens on their way to one embedding: finish(Σ softmax(logits) · values), heads side by side.

    Attributes:
        logits: [B, H, L], of the pooling query; all alike where a tower takes the mean.
        values: [B, H, L, d].
        grid: h and w; the last h · w tokens are the patches, row by row. What stands before them (class token,
            registers) joins every window.
        finish: The rest of the head, [..., H · d] → [..., E].
    """

    logits: Tensor
    values: Tensor
    grid: tuple[int, int]
    finish: Callable[[Tensor], Tensor]

    def everywhere(self, window: Window) -> Tensor:
        """Embed what lies around every patch: [B, h, w, E], of length 1.

        Radius 0 is each patch by itself; from max(h, w) − 1 on, every patch gets the image's embedding. Of several
        radii the embeddings of length 1 are averaged.
        """
        embeddings = [F.normalize(self.finish(self._around(radius)), dim=-1) for radius in radii(window)]
        if len(embeddings) == 1:
            return embeddings[0]
        total = embeddings[0]
        for more in embeddings[1:]:
            total = total + more
        return F.normalize(total, dim=-1)

    def _around(self, radius: int) -> Tensor:
        """Return the pooled values around every patch, [B, h, w, H · d]."""
        height, width = self.grid
        logits, values = self.logits, self.values
        first = logits.shape[-1] - height * width
        extra_logits = extra_values = None
        if first:  # several keys pool as one does that has their summed weight and mean value
            others = logits[:, :, :first].float()
            extra_logits = others.logsumexp(dim=-1)
            extra_values = (others.softmax(dim=-1).unsqueeze(-1) * values[:, :, :first]).sum(dim=2)
        pooled = smooth_attention(
            logits[:, :, first:].reshape(*logits.shape[:2], height, width),
            values[:, :, first:].reshape(*values.shape[:2], height, width, -1),
            radius,
            extra_logits,
            extra_values,
        )
        return pooled.movedim(1, 3).flatten(3).to(values.dtype)


def radii(window: Window) -> tuple[int, ...]:
    """Return a window's radii, each once, ascending.

    Raises:
        ValueError: None, or a negative one.
    """
    found = tuple(sorted({window} if isinstance(window, int) else set(window)))
    if not found or found[0] < 0:
        raise ValueError(f"the window radius is {window}; it must be 0 or more")
    return found


def mean_head(values: Tensor, grid: tuple[int, int], finish: Callable[[Tensor], Tensor]) -> PoolingHead:
    """Return the head that takes the mean of tokens [B, L, W]."""
    one_head = values.unsqueeze(1)
    return PoolingHead(one_head.new_zeros(one_head.shape[:3]), one_head, grid, finish)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, L, W] → [B, H, L, W / H]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def pooling_logits(query: Tensor, key: Tensor) -> Tensor:
    """One query per head [B or 1, H, 1, d] and keys [B, H, L, d] → logits [B, H, L], scaled."""
    scale: float = query.shape[-1] ** -0.5
    return (query @ key.transpose(-2, -1)).squeeze(2) * scale
