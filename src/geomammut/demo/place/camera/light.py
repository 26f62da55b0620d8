"""The sun, and the shadows that everything painted casts by its height."""

import math
from typing import NamedTuple

import numpy as np

from geomammut.demo.place.camera.textures import HEIGHT_UNITS, SCALE, Bytes, Flags


class Light(NamedTuple):
    """The light over one tile: sun azimuth (where it stands, clockwise from +x with y down) and elevation, radians."""

    azimuth: float
    elevation: float


def shadows(height: Bytes, light: Light) -> Flags:
    """Return where something toward the sun stands above the line of sight to it.

    The reach doubles in each step: m(p) ← max(m(p), m(p + 2^k d) − 2^k s), which is exact along the sun's line.
    """
    dx, dy = math.cos(light.azimuth), math.sin(light.azimuth)
    fall = math.tan(light.elevation) / SCALE * HEIGHT_UNITS * 16
    ground = height.astype(np.int16) * 16
    sight = ground.copy()
    tallest = int(ground.max())
    for k in range(8):
        reach = 2**k
        if fall * reach > tallest:
            break
        sx, sy = round(reach * dx), round(reach * dy)
        here, there = shifted(sight.shape, sx, sy)
        np.maximum(sight[here], sight[there] - np.int16(fall * reach), out=sight[here])
    return sight > ground + 24


def shifted(shape: tuple[int, ...], sx: int, sy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return slices p and p + (sx, sy) of equal size."""
    rows, cols = shape
    here = (slice(max(0, -sy), rows - max(0, sy)), slice(max(0, -sx), cols - max(0, sx)))
    there = (slice(max(0, sy), rows - max(0, -sy)), slice(max(0, sx), cols - max(0, -sx)))
    return here, there
