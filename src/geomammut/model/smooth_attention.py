"""The Smooth-Attention-Operation: attention pooling inside a sliding window (DESIGN §5, our reading)."""

import torch
from torch import Tensor

# Heads are taken in groups whose window weights hold at most this many numbers, so that the memory
# beyond inputs and output stays small whatever the batch.
_WEIGHTS_AT_ONCE = 1 << 18


def smooth_attention(
    logits: Tensor,
    values: Tensor,
    radius: int,
    extra_logits: Tensor | None = None,
    extra_values: Tensor | None = None,
) -> Tensor:
    """Pool values around every patch p: z_p = Σ exp(s_j) v_j / Σ exp(s_j), over j within `radius` of p.

    The distance is Chebyshev's and windows are cut at the border. Radius 0 returns the values; from
    max(h, w) − 1 on, every p holds the global attention pooling. A square window is a row window followed
    by a column window, so each axis takes one product with a banded weight matrix: the cost does not
    depend on the radius, and, since every sum is taken afresh relative to its own window's largest
    logit, nothing is ever subtracted and logits of ±200 cost no precision.

    Args:
        logits: s, [B, H, h, w].
        values: v, [B, H, h, w, d].
        radius: Window radius in patches, ≥ 0.
        extra_logits: Logit of one further key per head that joins every window (a CLS token), [B, H].
        extra_values: Its value, [B, H, d].

    Returns:
        z, [B, H, h, w, d]; computed and returned in float32 also of half-precision inputs, whose rounding would
        cost more than the operation does (float64 of float64 inputs).

    Raises:
        ValueError: Shapes that do not fit each other, or a negative radius.
    """
    _check(logits, values, radius, extra_logits, extra_values)
    batch, heads, height, width, depth = values.shape
    dtype = torch.promote_types(torch.promote_types(logits.dtype, values.dtype), torch.float32)
    group = max(1, _WEIGHTS_AT_ONCE // (height * width * max(height, width)))
    s, v = logits.flatten(0, 1), values.flatten(0, 1)
    extra = None
    if extra_logits is not None and extra_values is not None:
        extra = extra_logits.flatten(0, 1), extra_values.flatten(0, 1)
    pooled = []
    with torch.autocast(values.device.type, enabled=False):
        for first in range(0, batch * heads, group):
            some = slice(first, first + group)
            more = (extra[0][some].to(dtype), extra[1][some].to(dtype)) if extra else None
            pooled.append(_pool_heads(s[some].to(dtype), v[some].to(dtype), radius, more))
    return torch.cat(pooled).view(batch, heads, height, width, depth)


def _pool_heads(logits: Tensor, values: Tensor, radius: int, extra: tuple[Tensor, Tensor] | None) -> Tensor:
    """Pool heads [N, h, w] and [N, h, w, d] in both directions, then let the extra key join."""
    means, peaks, sums = _pool_last_axis(values, logits, None, radius)
    means, peaks, sums = _pool_last_axis(means.transpose(1, 2), peaks.transpose(1, 2), sums.transpose(1, 2), radius)
    if extra is not None:
        logit, value = extra[0][:, None, None], extra[1][:, None, None]
        share = torch.sigmoid(logit - peaks - sums)[..., None]
        means = means + (value - means) * share
    return means.transpose(1, 2)


def _pool_last_axis(means: Tensor, peaks: Tensor, sums: Tensor | None, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Merge groups of keys within `radius` along one axis.

    A group is (mean value [..., n, d], largest logit [..., n], log Σ exp(logit − largest) [..., n], which is None
    where each is of one key). Keeping the largest logit apart from the sum is exact where their own sum would round
    at |logit| · 2⁻²⁴.
    """
    place = torch.arange(peaks.shape[-1], device=peaks.device)
    band = peaks.new_zeros(len(place), len(place)).masked_fill((place[:, None] - place).abs() > radius, -torch.inf)
    keys = peaks[..., None, :] + band  # [..., n windows, n keys]
    top = keys.detach().amax(-1)  # constant: the quotient needs no gradient
    keys = keys.sub_(top[..., None])
    if sums is not None:
        keys = keys.add_(sums[..., None, :])
    # Softmax takes the same time whatever the band, unlike the exponential of so many infinities.
    weights = keys.softmax(-1)
    largest, where = keys.max(-1)
    return weights @ means, top, largest - weights.gather(-1, where[..., None]).squeeze(-1).log()


def _check(
    logits: Tensor, values: Tensor, radius: int, extra_logits: Tensor | None, extra_values: Tensor | None
) -> None:
    if radius < 0:
        raise ValueError(f"the window radius is {radius}; it must be 0 or more")
    if logits.ndim != 4 or values.ndim != 5 or values.shape[:4] != logits.shape:
        raise ValueError(
            f"logits [B, H, h, w] and values [B, H, h, w, d] do not fit: "
            f"{tuple(logits.shape)} and {tuple(values.shape)}"
        )
    if (extra_logits is None) != (extra_values is None):
        raise ValueError("extra_logits and extra_values must be given together")
    if extra_logits is not None and extra_values is not None:
        batch, heads, depth = values.shape[0], values.shape[1], values.shape[4]
        if extra_logits.shape != (batch, heads) or extra_values.shape != (batch, heads, depth):
            raise ValueError(
                f"the extra key must be [{batch}, {heads}] and [{batch}, {heads}, {depth}], "
                f"not {tuple(extra_logits.shape)} and {tuple(extra_values.shape)}"
            )
