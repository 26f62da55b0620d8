"""Periodic textures, made once per process, and the crowns of trees."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

SCALE = 2  # painted pixels per metre
HEIGHT_UNITS = 4.0  # per metre, in a byte: up to 63 m
TEXTURE = 1536  # side of the periodic textures, pixels


class Textures(NamedTuple):
    """Periodic textures, [TEXTURE, TEXTURE], made once per process."""

    grain: Floats
    blotch: Floats
    noise: Floats  # [TEXTURE, TEXTURE, 3]
    heights: dict[str, Bytes]  # canopy height by surface, HEIGHT_UNITS, at SCALE
    hues: dict[str, Bytes]  # canopy colour shift around 128, at SCALE


@cache
def make_textures(seed: int) -> Textures:
    """Make the textures of a seed, once per process."""
    rng = np.random.default_rng([seed, 3])
    fine = rng.standard_normal((TEXTURE, TEXTURE), dtype=np.float32)
    grain = 0.6 * fine + 0.8 * _box(fine, 1)
    blotch = sum((_waves(rng, size) * weight for size, weight in ((14, 0.35), (40, 0.35), (120, 0.4))), np.zeros(1))
    noise = rng.standard_normal((TEXTURE, TEXTURE, 3), dtype=np.float32)
    heights, hues = {}, {}
    for name, spacing, low, high in (("deciduous", 6.2, 2.4, 5.2), ("conifer", 4.2, 1.5, 2.7)):
        heights[name], hues[name] = _canopy(rng, spacing, low, high, pointed=name == "conifer")
    return Textures(grain, blotch.astype(np.float32), noise, heights, hues)


def _box(values: Floats, radius: int) -> Floats:
    """Return the periodic box mean."""
    for axis in (0, 1):
        total: Floats = sum((np.roll(values, k, axis) for k in range(-radius, radius + 1)), np.zeros_like(values))
        values = total / np.float32(2 * radius + 1)
    return values


def _waves(rng: np.random.Generator, size: int) -> Floats:
    """Return smooth periodic noise of unit deviation with features of about `size` pixels."""
    cells = max(4, TEXTURE // size)
    coarse = rng.integers(0, 256, (cells, cells)).astype(np.uint8)
    wrapped = np.pad(coarse, 2, mode="wrap")
    image = Image.fromarray(wrapped).resize(
        (TEXTURE, TEXTURE), Image.Resampling.BICUBIC, box=(2, 2, 2 + cells, 2 + cells)
    )
    values = np.asarray(image, dtype=np.float32)
    waves: Floats = (values - values.mean()) / values.std()
    return waves


def _canopy(rng: np.random.Generator, spacing: float, low: float, high: float, *, pointed: bool) -> tuple[Bytes, Bytes]:
    """Stamp tree crowns on a jittered periodic grid; return heights and hue shifts."""
    height = np.full((TEXTURE, TEXTURE), 4, dtype=np.uint8)
    hue = np.full((TEXTURE, TEXTURE), 128, dtype=np.uint8)
    cells = int(TEXTURE / (spacing * SCALE))
    pitch = TEXTURE / cells
    radii = np.linspace(low, high, 6)
    stamps = [crown(radius, pointed) for radius in radii]
    count = cells * cells
    grid = np.stack(np.divmod(np.arange(count), cells), axis=1)
    spots = ((grid + rng.uniform(0, 1, (count, 2))) * pitch).astype(int)
    kinds = rng.integers(len(stamps), size=count)
    tall = rng.integers(24, 44, count) if pointed else rng.integers(22, 38, count)
    tints = np.clip(rng.normal(128, 16, count), 80, 176).astype(int)
    for (cx, cy), kind, rim, tint in zip(spots.tolist(), kinds.tolist(), tall.tolist(), tints.tolist(), strict=True):
        dome, inside = stamps[kind]
        half = dome.shape[0] // 2
        x, y = min(max(cx, half), TEXTURE - half - 1), min(max(cy, half), TEXTURE - half - 1)
        spot = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
        under, raised = height[spot], dome + np.uint8(rim)
        over = inside & (raised > under)
        np.copyto(under, raised, where=over)
        hue[spot][over] = tint
    return height, hue


_CROWNS: dict[tuple[int, bool], tuple[Bytes, Flags]] = {}


def crown(radius_m: float, pointed: bool) -> tuple[Bytes, Flags]:
    """Return a crown's relief above its rim in HEIGHT_UNITS and its outline, at SCALE."""
    key = (round(radius_m * 4), pointed)
    if key not in _CROWNS:
        radius_m = key[0] / 4  # of the key, so that a crown never depends on what was drawn before it
        radius = radius_m * SCALE
        half = math.ceil(radius)
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        distance = np.hypot(x, y) / max(radius, 0.5)
        rise = (1 - distance) if pointed else np.sqrt(np.clip(1 - distance**2, 0, 1))
        relief = np.clip(rise, 0, 1) * radius_m * HEIGHT_UNITS * (1.6 if pointed else 0.9)
        _CROWNS[key] = relief.astype(np.uint8), distance <= 1
    return _CROWNS[key]
