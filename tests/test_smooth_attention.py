"""Smooth-Attention equals its definition, at any logits, radius, shape and precision."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from geomammut.model.smooth_attention import smooth_attention


def plain_definition(
    logits: Tensor,
    values: Tensor,
    radius: int,
    extra_logits: Tensor | None = None,
    extra_values: Tensor | None = None,
) -> Tensor:
    """Σ exp(s) v / Σ exp(s) over each window, one window after another, in float64."""
    logits, values = logits.double(), values.double()
    out = torch.empty_like(values)
    height, width = logits.shape[2:]
    for y in range(height):
        for x in range(width):
            rows = slice(max(0, y - radius), y + radius + 1)
            columns = slice(max(0, x - radius), x + radius + 1)
            s = logits[:, :, rows, columns].flatten(2)
            v = values[:, :, rows, columns].flatten(2, 3)
            if extra_logits is not None and extra_values is not None:
                s = torch.cat([s, extra_logits.double()[:, :, None]], 2)
                v = torch.cat([v, extra_values.double()[:, :, None]], 2)
            out[:, :, y, x] = torch.einsum("bhj,bhjd->bhd", s.softmax(-1), v)
    return out


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    radius=st.integers(0, 10),
    spread=st.sampled_from([0.0, 1.0, 30.0, 200.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    extra=st.booleans(),
)
def test_equals_the_definition(
    seed: int,
    shape: tuple[int, int, int, int],
    radius: int,
    spread: float,
    dtype: torch.dtype,
    extra: bool,
) -> None:
    random = torch.Generator().manual_seed(seed)
    batch, heads = shape[:2]
    logits = ((torch.rand(shape, generator=random) * 2 - 1) * spread).to(dtype)
    values = torch.randn(*shape, 5, generator=random).to(dtype)
    more = (
        (
            ((torch.rand(batch, heads, generator=random) * 2 - 1) * spread).to(dtype),
            torch.randn(batch, heads, 5, generator=random).to(dtype),
        )
        if extra
        else ()
    )
    pooled = smooth_attention(logits, values, radius, *more)
    assert pooled.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(pooled.double(), plain_definition(logits, values, radius, *more), atol=1e-4, rtol=0)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**31),
    heads=st.integers(1, 16),
    height=st.integers(1, 64),
    width=st.integers(1, 64),
    radius=st.integers(0, 70),
    spread=st.sampled_from([1.0, 200.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@example(seed=0, heads=16, height=64, width=64, radius=5, spread=200.0, dtype=torch.float32)
@example(seed=1, heads=3, height=64, width=64, radius=63, spread=200.0, dtype=torch.bfloat16)
def test_equals_the_definition_on_large_grids(
    seed: int, heads: int, height: int, width: int, radius: int, spread: float, dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (torch.randn(1, heads, height, width, generator=random) * spread).clamp(-200, 200).to(dtype)
    values = torch.randn(1, heads, height, width, 3, generator=random).to(dtype)
    pooled = smooth_attention(logits, values, radius)
    # a few windows, each against the definition
    for y, x in torch.randint(0, 64, (40, 2), generator=random).remainder(torch.tensor([height, width])).tolist():
        rows = slice(max(0, y - radius), y + radius + 1)
        columns = slice(max(0, x - radius), x + radius + 1)
        share = logits[:, :, rows, columns].double().flatten(2).softmax(-1)
        expected = torch.einsum("bhj,bhjd->bhd", share, values[:, :, rows, columns].double().flatten(2, 3))
        torch.testing.assert_close(pooled[:, :, y, x].double(), expected, atol=1e-4, rtol=0)


def test_two_limits() -> None:
    torch.manual_seed(1)
    logits, values = 20 * torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8, 4)
    torch.testing.assert_close(smooth_attention(logits, values, 0), values)
    everywhere = torch.einsum("bhp,bhpd->bhd", logits.flatten(2).softmax(-1), values.flatten(2, 3))
    for radius in (7, 8, 1000):
        pooled = smooth_attention(logits, values, radius)
        torch.testing.assert_close(pooled, everywhere[:, :, None, None].expand_as(pooled), atol=1e-5, rtol=0)


def test_a_faraway_peak_does_not_swamp_a_window() -> None:
    """A running sum with the peak subtracted again would leave zero divided by zero here."""
    logits = torch.full((1, 1, 1, 9), -200.0)
    logits[..., 0] = 200.0
    values = torch.arange(9.0).reshape(1, 1, 1, 9, 1)
    pooled = smooth_attention(logits, values, 1).flatten()
    torch.testing.assert_close(pooled, torch.tensor([0.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.5]))


@pytest.mark.parametrize("radius", [0, 1, 2, 9])
@pytest.mark.parametrize("extra", [False, True])
def test_gradients(radius: int, extra: bool) -> None:
    torch.manual_seed(2)
    inputs = [3 * torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4, 2)]
    if extra:
        inputs += [torch.randn(1, 2), torch.randn(1, 2, 2)]
    inputs = [x.double().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(lambda s, v, *more: smooth_attention(s, v, radius, *more), inputs)


def test_autocast_does_not_lower_its_precision() -> None:
    torch.manual_seed(3)
    logits, values = 100 * torch.randn(1, 2, 5, 5), torch.randn(1, 2, 5, 5, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = smooth_attention(logits, values, 2)
    torch.testing.assert_close(pooled.double(), plain_definition(logits, values, 2), atol=1e-4, rtol=0)


def test_cost_does_not_grow_with_the_radius() -> None:
    logits, values = torch.randn(1, 4, 32, 32), torch.randn(1, 4, 32, 32, 32)

    def products(radius: int) -> int:
        with FlopCounterMode(display=False) as counter:
            smooth_attention(logits, values, radius)
        return counter.get_total_flops()

    assert products(0) == products(1) == products(31)
    assert products(8) < 17**2 * 2 * values.numel() / 2  # the plain definition's, halved


def test_wrong_shapes_are_named() -> None:
    logits, values = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3, 4)
    with pytest.raises(ValueError, match="radius is -1"):
        smooth_attention(logits, values, -1)
    with pytest.raises(ValueError, match="do not fit"):
        smooth_attention(logits, values[:, :1], 1)
    with pytest.raises(ValueError, match="together"):
        smooth_attention(logits, values, 1, extra_logits=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="extra key"):
        smooth_attention(logits, values, 1, torch.zeros(1, 2), torch.zeros(1, 2, 3))
