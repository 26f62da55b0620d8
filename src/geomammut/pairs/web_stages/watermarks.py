"""Watermarks: one stamp repeated all over a picture, as the previews of stock agencies carry.

What repeats in nature (roofs, rows of trees, parked cars) resembles its near neighbours more than its far ones, repeats
not quite exactly, and in a part of the picture. A stamp repeats to the pixel, at a distance, everywhere.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.pairs.web_stages.dropped import Dropped

Plane = NDArray[np.float32]

LEAST_SIDE = 160  # pixels of a picture that is looked at
CLIP = 10.0  # grey levels of detail: the stamp is faint, and a roof's edge shall not outdo it
NEAR = 7, 24  # pixels, of a picture of 256
FAR = 28, 120
STANDS_OUT = 9.0  # standard deviations of the far correlations
MOST = 0.4  # correlation: more is no picture with a stamp but a pattern
CELLS = 4  # a side, in each of which the stamp may repeat
EVERYWHERE = 0.05  # correlation in three quarters of the cells

_SIDE = 256
_DOWN, _ACROSS = np.mgrid[:_SIDE, :_SIDE]
_DOWN, _ACROSS = (np.where(each > _SIDE // 2, each - _SIDE, each) for each in (_DOWN, _ACROSS))
_away = np.hypot(_DOWN, _ACROSS)[: _SIDE // 2 + 1]  # the other half is the same
_IS_NEAR, _IS_FAR = ((_away >= nearest) & (_away <= farthest) for nearest, farthest in (NEAR, FAR))


def check_watermark(image: Image.Image) -> None:
    """Raise Dropped if a stamp is repeated all over `image`, of at most 256 pixels a side."""
    if min(image.size) < LEAST_SIDE:
        return
    grey = np.asarray(image.convert("L")).astype(np.float32)
    detail = np.clip(grey - _box_mean(grey, 3, "reflect"), -CLIP, CLIP)
    detail -= detail.mean()
    power = float(np.square(detail).sum())
    if power < grey.size:  # as good as none
        return
    waves = np.fft.rfft2(detail, (_SIDE, _SIDE))
    correlation = np.fft.irfft2(np.square(np.abs(waves)), (_SIDE, _SIDE)).astype(np.float32) / power
    sharp = (correlation - _box_mean(correlation, 4, "wrap"))[: len(_away)]
    far = np.where(_IS_FAR, sharp, -1.0)
    place = np.unravel_index(int(far.argmax()), far.shape)
    peak = float(far[place])
    if peak > MOST or peak < STANDS_OUT * float(sharp[_IS_FAR].std()) or peak < float(sharp[_IS_NEAR].max()):
        return
    if _repeats_everywhere(detail, int(_DOWN[place]), int(_ACROSS[place])):
        raise Dropped("watermark", f"something repeats {_DOWN[place]} pixels down and {_ACROSS[place]} across")


def _repeats_everywhere(detail: Plane, down: int, across: int) -> bool:
    """Tell whether details correlate with those so far away, at least 0 down, in nearly every part of a picture."""
    width = detail.shape[1]
    product = (detail * np.roll(detail, (down, across), (0, 1)))[down:, max(across, 0) : width + min(across, 0)]
    rows, columns = (size // CELLS for size in product.shape)
    if min(rows, columns) < CELLS:
        return False
    cells = product[: rows * CELLS, : columns * CELLS].reshape(CELLS, rows, CELLS, columns).mean(axis=(1, 3))
    return float(np.sort(cells, axis=None)[CELLS**2 // 4]) >= EVERYWHERE * float(np.square(detail).mean())


def _box_mean(plane: Plane, reach: int, mode: str) -> Plane:
    """Return the mean of the square about each value; `mode` is numpy's way to go on beyond the edges."""
    side = 2 * reach + 1
    padded = np.pad(plane, reach, mode=mode)  # type: ignore[call-overload]
    sums = np.pad(padded.cumsum(axis=0, dtype=np.float64).cumsum(axis=1), ((1, 0), (1, 0)))
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(boxes / side**2, np.float32)
