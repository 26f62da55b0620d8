"""Windows of imagery read as 8-bit RGB on a grid, at once and from the overview that suffices."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject, transform
from rasterio.windows import Window

from geomammut.imagery.datasets import open_dataset
from geomammut.imagery.sources import ImagerySource

ResamplingName = Literal["nearest", "bilinear", "cubic", "average"]
_MARGIN = 4  # pixels beyond a warped window that the kernel reaches
_ALIGNED = 0.01  # pixels by which a raster may be off the grid and still count as lying on it

Pixels = NDArray[np.uint8]
Validity = NDArray[np.bool_] | None  # None: there is data everywhere


@dataclass(frozen=True)
class ImageryReader:
    """Open imagery; `read` gives any window of it on any grid."""

    dataset: DatasetReader
    source: ImagerySource
    resampling: Resampling

    def read(self, crs: str, to_crs: Affine, width: int, height: int) -> tuple[Pixels, Validity]:
        """Return uint8 [3, height, width] and bool [height, width], where there is data.

        `to_crs` leads from (column, row) to `crs`; its pixels are square and north is up. Where that is but
        a shift and a scale of the raster's own pixels they are resampled directly, or taken as they are if
        they fit. Otherwise they are first brought to the grid's pixel size, so that the warp needs no
        wider kernel: far faster than GDAL's widened ones, and as free of aliasing.

        Raises:
            RasterioError: A part of the file cannot be read.
        """
        own = self.dataset.transform
        upright = own.b == own.d == 0 and own.a > 0 > own.e
        if upright and self.dataset.crs == CRS.from_user_input(crs):
            colours, valid = self._read_upright(~own @ to_crs, width, height)
        else:
            colours, valid = self._read_warped(crs, to_crs, width, height)
        if self.source.stretch is None:
            return colours, valid
        if np.issubdtype(colours.dtype, np.floating):
            valid = _both(valid, np.asarray(np.isfinite(colours).all(axis=0)))
        if not self.says_missing:
            valid = _both(valid, np.asarray(colours.any(axis=0)))
        return stretched(colours, self.source.stretch), valid

    @cached_property
    def says_missing(self) -> bool:
        """Whether the file tells which pixels lack data: by a nodata value, alpha or a mask."""
        flags = self.dataset.mask_flag_enums
        return any(flags[band - 1] != [MaskFlags.all_valid] for band in self.source.bands)

    def _read_upright(self, to_own: Affine, width: int, height: int) -> tuple[NDArray[Any], Validity]:
        left, right = _whole_pixels(to_own.c, to_own.a, width, self.dataset.width)
        top, bottom = _whole_pixels(to_own.f, to_own.e, height, self.dataset.height)
        colours = np.zeros((3, height, width), self.dataset.dtypes[self.source.bands[0] - 1])
        if left >= right or top >= bottom:
            return colours, np.zeros((height, width), bool)
        x, y = to_own @ (left, top)
        across, down = (right - left) * to_own.a, (bottom - top) * to_own.e
        if max(abs(v) for v in (x - round(x), y - round(y), across - (right - left), down - (bottom - top))) < _ALIGNED:
            x, y, across, down = round(x), round(y), right - left, bottom - top
        part, known = self._read_own(Window(x, y, across, down), right - left, bottom - top)
        if part.shape == colours.shape:
            return part, known
        colours[:, top:bottom, left:right] = part
        valid = np.zeros((height, width), bool)
        valid[top:bottom, left:right] = True if known is None else known
        return colours, valid

    def _read_warped(self, crs: str, to_crs: Affine, width: int, height: int) -> tuple[NDArray[Any], Validity]:
        own = self.dataset.transform
        colours = np.zeros((3, height, width), self.dataset.dtypes[self.source.bands[0] - 1])
        columns, rows, pixel = self._seen_from(crs, to_crs, width, height)
        if len(columns) == 0:  # the raster's projection has no answer here
            return colours, np.zeros((height, width), bool)
        wanted = [columns.min(), rows.min(), columns.max(), rows.max()]
        shrink = max(1.0, pixel)
        margin = _MARGIN * shrink
        left, top = max(0, math.floor(wanted[0] - margin)), max(0, math.floor(wanted[1] - margin))
        right = min(self.dataset.width, math.ceil(wanted[2] + margin))
        bottom = min(self.dataset.height, math.ceil(wanted[3] + margin))
        if left >= right or top >= bottom:
            return colours, np.zeros((height, width), bool)
        across, down = max(1, round((right - left) / shrink)), max(1, round((bottom - top) / shrink))
        part, known = self._read_own(Window(left, top, right - left, bottom - top), across, down)
        part_to_own = Affine.translation(left, top) @ Affine.scale((right - left) / across, (bottom - top) / down)
        places = {
            "src_transform": own @ part_to_own,
            "src_crs": self.dataset.crs,
            "dst_transform": to_crs,
            "dst_crs": crs,
        }
        kernel = Resampling.bilinear if self.resampling == Resampling.average else self.resampling
        reproject(part, colours, resampling=kernel, **places)
        inside = wanted[0] >= 0 and wanted[1] >= 0
        if inside and wanted[2] <= self.dataset.width and wanted[3] <= self.dataset.height and known is None:
            return colours, None
        # A pixel counts as data only if all that the kernel took for it is.
        seen = np.full((down, across), 255, np.uint8) if known is None else known * np.uint8(255)
        mask = np.zeros((height, width), np.uint8)
        reproject(seen, mask, resampling=Resampling.nearest if known is None else kernel, **places)
        return colours, mask > 250

    def _seen_from(
        self, crs: str, to_crs: Affine, width: int, height: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return columns and rows, in the raster's pixels, of points along a window's edges, and how many of
        the raster's pixels its central one is wide."""
        share = np.linspace(0, 1, 21)
        edge = np.concatenate([share, share, np.zeros(21), np.ones(21)])
        other = np.concatenate([np.zeros(21), np.ones(21), share, share])
        x = np.append(edge * width, [width / 2, width / 2 + 1, width / 2])
        y = np.append(other * height, [height / 2, height / 2, height / 2 + 1])
        there = transform(crs, self.dataset.crs, to_crs.a * x + to_crs.c, to_crs.e * y + to_crs.f)
        columns, rows = ~self.dataset.transform @ np.array(there[:2])
        known = np.isfinite(columns) & np.isfinite(rows)
        sides = np.hypot(columns[-2:] - columns[-3], rows[-2:] - rows[-3])
        pixel = float(sides.min()) if np.isfinite(sides).all() else 1.0
        return columns[known], rows[known], pixel

    def _read_own(self, window: Window, width: int, height: int) -> tuple[NDArray[Any], Validity]:
        """Return the three bands [3, height, width] of a window in the raster's own pixels, and where data is."""
        bands = list(dict.fromkeys(self.source.bands))
        size: dict[str, Any] = {"window": window, "resampling": self.resampling}
        part = self.dataset.read(bands, out_shape=(len(bands), height, width), **size)
        if len(bands) < 3:
            part = part[[bands.index(band) for band in self.source.bands]]
        known: Validity = None
        if self.says_missing:
            size["resampling"] = Resampling.nearest
            mask = self.dataset.dataset_mask(out_shape=(height, width), **size)
            known = mask > 0 if (mask == 0).any() else None
        return part, known


@contextmanager
def open_reader(source: ImagerySource, resampling: ResamplingName) -> Iterator[ImageryReader]:
    """Open imagery for reading; to be used in the thread that opened it.

    Raises:
        RasterioError: It cannot be opened (any more).
    """
    with open_dataset(source.dataset, source.drivers) as dataset:
        yield ImageryReader(dataset, source, Resampling[resampling])


def stretched(colours: NDArray[Any], limits: Sequence[tuple[float, float]]) -> Pixels:
    """Return [3, H, W] as uint8, each band's low limit at 0 and its high one at 255."""
    result = np.empty(colours.shape, np.uint8)
    for band, (low, high) in enumerate(limits):
        scaled = (colours[band].astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        result[band] = np.clip(np.nan_to_num(scaled), 0, 255).round()
    return result


def _whole_pixels(start: float, step: float, count: int, end: int) -> tuple[int, int]:
    """Return the first and the last (exclusive) of `count` pixels from `start` that lie whole in 0 … `end`."""
    first = math.ceil(-start / step - _ALIGNED)
    last = math.floor((end - start) / step + _ALIGNED)
    return min(max(first, 0), count), min(max(last, 0), count)


def _both(valid: Validity, other: NDArray[np.bool_]) -> Validity:
    return other if valid is None else valid & other
