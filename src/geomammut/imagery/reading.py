"""Chips read as 8-bit RGB from imagery: many with one call of GDAL, from the overview that suffices."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
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
from geomammut.imagery.resizing import Resizing
from geomammut.imagery.sources import ImagerySource

ResamplingName = Literal["nearest", "bilinear", "cubic", "average"]
_MARGIN = 4  # pixels beyond a warped window that the kernel reaches
_ALIGNED = 0.01  # pixels by which a raster may be off the grid and still count as lying on it
_FINE_ENOUGH = 1.001  # times the grid's, the size of an overview's pixels up to which it serves
_OWN_BYTES = 64 << 20  # of a chip's pixels before they shrink, beyond which GDAL shrinks them bit by bit

Pixels = NDArray[np.uint8]
Validity = NDArray[np.bool_] | None  # None: there is data everywhere


@dataclass(frozen=True)
class _Place:
    """Where a chip lies in a raster whose pixels are a shift and a scale of the grid's.

    Attributes:
        columns, rows: First and last (exclusive) of the chip's pixels that lie whole in the raster.
        box: What these cover: left, top, width and height in the raster's pixels.
        fits: Whether they are pixels of the raster as they are.
        window: Left, top, right and bottom of the raster's pixels that decide them; None where GDAL resamples.
    """

    columns: tuple[int, int]
    rows: tuple[int, int]
    box: tuple[float, float, float, float]
    fits: bool
    window: tuple[int, int, int, int] | None

    @property
    def width(self) -> int:
        return self.columns[1] - self.columns[0]

    @property
    def height(self) -> int:
        return self.rows[1] - self.rows[0]


@dataclass(frozen=True)
class _Part:
    """A part of a raster in memory: [H, W, 3] from column `left` and row `top`, and where there is data."""

    left: int
    top: int
    colours: NDArray[Any]
    known: Validity

    def cut(self, window: tuple[int, int, int, int]) -> tuple[NDArray[Any], Validity]:
        """Return [h, w, 3], a view, and [h, w]."""
        left, top, right, bottom = window
        here = np.s_[top - self.top : bottom - self.top, left - self.left : right - self.left]
        known = None if self.known is None or self.known[here].all() else self.known[here]
        return self.colours[here], known


@dataclass(frozen=True)
class ImageryReader:
    """Open imagery; `read` gives chips of it on a grid.

    Attributes:
        dataset: The raster, at the overview that the grid's pixels need.
        source: Which of its bands are wanted, and how they become 8-bit.
        resizing: Kernel for pixels that do not fit the grid.
        crs: The grid's coordinate system, in metres.
        gsd_m: The grid's metres per pixel.
    """

    dataset: DatasetReader
    source: ImagerySource
    resizing: Resizing
    crs: str
    gsd_m: float

    def read(self, corners: NDArray[np.int64], size: int) -> Iterator[tuple[Pixels, Validity]]:
        """Yield uint8 [size, size, 3] and bool [size, size], where there is data, for each chip.

        `corners` [N, 2] are easting and northing of their upper left corners in whole pixels of the grid;
        what lies between the chips is read too. Where the grid is but a shift and a scale of the raster's own
        pixels they are resampled directly, or taken as they are if they fit. Otherwise they are first brought
        to the grid's pixel size, so that the warp needs no wider kernel: far faster than GDAL's widened ones,
        and as free of aliasing.

        Raises:
            RasterioError: A part of the file cannot be read.
        """
        for colours, known in self._read_upright(corners, size) if self._upright else self._read_around(corners, size):
            if self.source.stretch is None:
                yield colours, known
                continue
            valid = known
            if np.issubdtype(colours.dtype, np.floating):
                valid = _both(valid, np.asarray(np.isfinite(colours).all(axis=2)))
            if not self.says_missing:
                valid = _both(valid, np.asarray(colours.any(axis=2)))
            yield stretched(colours, self.source.stretch), valid

    @cached_property
    def says_missing(self) -> bool:
        """Whether the file tells which pixels lack data: by a nodata value, alpha or a mask."""
        flags = self.dataset.mask_flag_enums
        return any(flags[band - 1] != [MaskFlags.all_valid] for band in self.source.bands)

    @property
    def shrink(self) -> float:
        """How many of the raster's pixels are read for one of the grid's, to each side; 1 if fewer."""
        own = self.dataset.transform
        return max(1.0, self.gsd_m / min(own.a, -own.e)) if self._upright else 1.0

    @cached_property
    def _upright(self) -> bool:
        return _is_upright(self.dataset, self.crs)

    @property
    def _kind(self) -> str:
        return str(self.dataset.dtypes[self.source.bands[0] - 1])

    def _read_upright(self, corners: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[Any], Validity]]:
        places = [self._place(x, y, size) for x, y in corners.tolist()]
        windows = np.array([place.window for place in places if place is not None and place.window is not None])
        part = None
        if len(windows):
            left, top = windows[:, :2].min(axis=0).tolist()
            right, bottom = windows[:, 2:].max(axis=0).tolist()
            across, down = right - left, bottom - top
            part = _Part(left, top, *self._read_own(Window(left, top, across, down), across, down))
        for place in places:
            if place is not None and (place.width, place.height) == (size, size):
                yield self._look(place, part)
                continue
            colours, valid = np.zeros((size, size, 3), self._kind), np.zeros((size, size), bool)
            if place is not None:
                here = np.s_[slice(*place.rows), slice(*place.columns)]
                colours[here], known = self._look(place, part)
                valid[here] = True if known is None else known
            yield colours, valid

    def _place(self, x: int, y: int, size: int) -> _Place | None:
        """Return where a chip lies, or None if it lies outside."""
        own = self.dataset.transform
        # All follows from the chip's own corner, so that its pixels do not depend on what it is read with.
        left, top = (x * self.gsd_m - own.c) / own.a, (y * self.gsd_m - own.f) / own.e
        step, step_down = self.gsd_m / own.a, -self.gsd_m / own.e
        columns = _whole_pixels(left, step, size, self.dataset.width)
        rows = _whole_pixels(top, step_down, size, self.dataset.height)
        width, height = columns[1] - columns[0], rows[1] - rows[0]
        if width <= 0 or height <= 0:
            return None
        box = (left + columns[0] * step, top + rows[0] * step_down, width * step, height * step_down)
        whole = (round(box[0]), round(box[1]), width, height)
        if max(abs(a - b) for a, b in zip(box, whole, strict=True)) < _ALIGNED:
            return _Place(columns, rows, box, True, (whole[0], whole[1], whole[0] + width, whole[1] + height))
        # What the raster is off the grid by, it may be short of at its edges.
        left, top = max(box[0], 0.0), max(box[1], 0.0)
        right, bottom = min(box[0] + box[2], self.dataset.width), min(box[1] + box[3], self.dataset.height)
        box = (left, top, right - left, bottom - top)
        pixel_bytes = self.source.bytes_per_pixel * self.shrink**2
        if not self.resizing.can(self._kind) or size * size * pixel_bytes > _OWN_BYTES:
            return _Place(columns, rows, box, False, None)
        reach = self.resizing.reach(self.shrink)
        return _Place(
            columns,
            rows,
            box,
            False,
            (
                max(0, math.floor(left) - reach),
                max(0, math.floor(top) - reach),
                min(self.dataset.width, math.ceil(right) + reach),
                min(self.dataset.height, math.ceil(bottom) + reach),
            ),
        )

    def _look(self, place: _Place, part: _Part | None) -> tuple[NDArray[Any], Validity]:
        """Return what the raster has of a chip, [height, width, 3], and where it has data."""
        if part is not None and place.window is not None:
            colours, known = part.cut(place.window)
            if place.fits:
                return np.ascontiguousarray(colours), known
            if known is None:
                left, top, width, height = place.box
                box = (left - place.window[0], top - place.window[1], width, height)
                return self.resizing.resized(colours, box, place.width, place.height), None
        # GDAL's kernels leave out the pixels that lack data.
        return self._read_own(Window(*place.box), place.width, place.height)

    def _read_around(self, corners: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[Any], Validity]]:
        (left, bottom), (right, top) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        to_crs = Affine(self.gsd_m, 0, left * self.gsd_m, 0, -self.gsd_m, top * self.gsd_m)
        colours, known = self._read_warped(to_crs, right - left + size, top - bottom + size)
        for x, y in (corners - [left, top]).tolist():
            here = np.s_[-y : size - y, x : x + size]
            yield np.ascontiguousarray(colours[here]), None if known is None else known[here]

    def _read_warped(self, to_crs: Affine, width: int, height: int) -> tuple[NDArray[Any], Validity]:
        columns, rows, pixel = self._seen_from(to_crs, width, height)
        if len(columns) == 0:  # the raster's projection has no answer here
            return np.zeros((height, width, 3), self._kind), np.zeros((height, width), bool)
        is_right = columns > self.dataset.width / 2
        turns = self.dataset.crs.is_geographic and abs(self.dataset.transform.a) * self.dataset.width > 180
        if not (turns and np.ptp(columns) > self.dataset.width / 2):
            return self._warp(columns, rows, pixel, to_crs, width, height)
        # Here the raster, once around the globe, ends and begins: its two ends fill the window.
        right = np.append(columns[is_right], self.dataset.width), np.append(rows[is_right], rows[is_right][-1:])
        left = np.append(columns[~is_right], 0.0), np.append(rows[~is_right], rows[~is_right][-1:])
        (colours, here), (others, there) = (self._warp(*end, pixel, to_crs, width, height) for end in (right, left))
        if here is None or there is None:  # the other end only touches the window
            return (colours, None) if here is None else (others, None)
        return np.where(here[..., None], colours, others), here | there

    def _warp(
        self,
        columns: NDArray[np.float64],
        rows: NDArray[np.float64],
        pixel: float,
        to_crs: Affine,
        width: int,
        height: int,
    ) -> tuple[NDArray[Any], Validity]:
        """Return a window whose edges lie at these of the raster's pixels, one of which is `pixel` of its own."""
        own = self.dataset.transform
        planes = np.zeros((3, height, width), self._kind)
        wanted = [columns.min(), rows.min(), columns.max(), rows.max()]
        shrink = max(1.0, pixel)
        margin = _MARGIN * shrink
        left, top = max(0, math.floor(wanted[0] - margin)), max(0, math.floor(wanted[1] - margin))
        right = min(self.dataset.width, math.ceil(wanted[2] + margin))
        bottom = min(self.dataset.height, math.ceil(wanted[3] + margin))
        if left >= right or top >= bottom:
            return _channels_last(planes), np.zeros((height, width), bool)
        across, down = max(1, round((right - left) / shrink)), max(1, round((bottom - top) / shrink))
        part, known = self._read_own(Window(left, top, right - left, bottom - top), across, down)
        part_to_own = Affine.translation(left, top) @ Affine.scale((right - left) / across, (bottom - top) / down)
        places = {
            "src_transform": own @ part_to_own,
            "src_crs": self.dataset.crs,
            "dst_transform": to_crs,
            "dst_crs": self.crs,
        }
        kernel = Resampling.bilinear if self.resizing.kernel == Resampling.average else self.resizing.kernel
        reproject(part.transpose(2, 0, 1), planes, resampling=kernel, **places)
        colours = _channels_last(planes)
        inside = wanted[0] >= 0 and wanted[1] >= 0
        if inside and wanted[2] <= self.dataset.width and wanted[3] <= self.dataset.height and known is None:
            return colours, None
        # A pixel counts as data only if all that the kernel took for it is.
        seen = np.full((down, across), 255, np.uint8) if known is None else known * np.uint8(255)
        mask = np.zeros((height, width), np.uint8)
        reproject(seen, mask, resampling=Resampling.nearest if known is None else kernel, **places)
        return colours, mask > 250

    def _seen_from(
        self, to_crs: Affine, width: int, height: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return columns and rows, in the raster's pixels, of points along a window's edges, and how many of
        the raster's pixels its central one is wide."""
        share = np.linspace(0, 1, 21)
        edge = np.concatenate([share, share, np.zeros(21), np.ones(21)])
        other = np.concatenate([np.zeros(21), np.ones(21), share, share])
        x = np.append(edge * width, [width / 2, width / 2 + 1, width / 2])
        y = np.append(other * height, [height / 2, height / 2, height / 2 + 1])
        there = transform(self.crs, self.dataset.crs, to_crs.a * x + to_crs.c, to_crs.e * y + to_crs.f)
        xs, ys = np.array(there[:2])
        if self.dataset.crs.is_geographic:  # of the longitudes that name a place, that next to the raster
            middle, _ = self.dataset.transform @ (self.dataset.width / 2, self.dataset.height / 2)
            xs = xs - 360 * np.round((xs - middle) / 360)
        columns, rows = ~self.dataset.transform @ np.array([xs, ys])
        known = np.isfinite(columns) & np.isfinite(rows)
        sides = np.hypot(columns[-2:] - columns[-3], rows[-2:] - rows[-3])
        pixel = float(sides.min()) if np.isfinite(sides).all() else 1.0
        return columns[known], rows[known], pixel

    def _read_own(self, window: Window, width: int, height: int) -> tuple[NDArray[Any], Validity]:
        """Return [height, width, 3] of a window in the raster's own pixels, and where data is."""
        bands = list(dict.fromkeys(self.source.bands))
        size: dict[str, Any] = {"window": window, "resampling": self.resizing.kernel}
        part = np.empty((height, width, len(bands)), self._kind)
        self.dataset.read(bands, out=part.transpose(2, 0, 1), **size)
        if len(bands) < 3:
            part = part[..., [bands.index(band) for band in self.source.bands]]
        known: Validity = None
        if self.says_missing:
            size["resampling"] = Resampling.nearest
            mask = self.dataset.dataset_mask(out_shape=(height, width), **size)
            known = mask > 0 if (mask == 0).any() else None
        return part, known


@contextmanager
def open_reader(source: ImagerySource, resampling: ResamplingName, crs: str, gsd_m: float) -> Iterator[ImageryReader]:
    """Open imagery for reading on a grid; to be used in the thread that opened it.

    Raises:
        RasterioError: It cannot be opened (any more).
    """
    with open_dataset(source.dataset, source.drivers, overview=_overview_for(source, crs, gsd_m)) as dataset:
        yield ImageryReader(dataset, source, Resizing(Resampling[resampling]), crs, gsd_m)


@lru_cache(maxsize=1024)
def _overview_for(source: ImagerySource, crs: str, gsd_m: float) -> int | None:
    """Return the coarsest overview that still resolves a grid which is a shift and a scale of the raster."""
    with open_dataset(source.dataset, source.drivers) as dataset:
        if not _is_upright(dataset, crs):
            return None
        pixel = min(dataset.transform.a, -dataset.transform.e)
        factors = dataset.overviews(source.bands[0])
        coarser = [level for level, factor in enumerate(factors) if factor * pixel <= gsd_m * _FINE_ENOUGH]
        return max(coarser, key=lambda level: factors[level], default=None)


def stretched(colours: NDArray[Any], limits: Sequence[tuple[float, float]]) -> Pixels:
    """Return [H, W, 3] as uint8, each band's low limit at 0 and its high one at 255."""
    result = np.empty(colours.shape, np.uint8)
    for band, (low, high) in enumerate(limits):
        scaled = (colours[..., band].astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        result[..., band] = np.clip(np.nan_to_num(scaled), 0, 255).round()
    return result


def _is_upright(dataset: DatasetReader, crs: str) -> bool:
    """Return whether the raster's pixels are a shift and a scale of those of a grid in `crs`."""
    own = dataset.transform
    return bool(own.b == own.d == 0 and own.a > 0 > own.e and dataset.crs == CRS.from_user_input(crs))


def _channels_last(colours: NDArray[Any]) -> NDArray[Any]:
    """Return [3, H, W] as [H, W, 3]."""
    result = np.empty((*colours.shape[1:], 3), colours.dtype)
    for band in range(3):  # far faster than to transpose
        result[..., band] = colours[band]
    return result


def _whole_pixels(start: float, step: float, count: int, end: int) -> tuple[int, int]:
    """Return the first and the last (exclusive) of `count` pixels from `start` that lie whole in 0 … `end`."""
    first = math.ceil(-start / step - _ALIGNED)
    last = math.floor((end - start) / step + _ALIGNED)
    return min(max(first, 0), count), min(max(last, 0), count)


def _both(valid: Validity, other: NDArray[np.bool_]) -> Validity:
    return other if valid is None else valid & other
