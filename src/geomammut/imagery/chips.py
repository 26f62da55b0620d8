"""Chips: square RGB pictures of constant ground sample distance, cut from imagery and encoded as JPEG."""

import math
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import simplejpeg
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from shapely.geometry.base import BaseGeometry

from geomammut.errors import UserError
from geomammut.imagery.grid import MAX_MISSING, Centres, ChipBlock, GridPlan, pixel_boxes
from geomammut.imagery.outlines import on_globe_all
from geomammut.imagery.patchwork import patched
from geomammut.imagery.reading import ImageryReader, Pixels, ResamplingName, Validity, open_reader
from geomammut.imagery.sources import ImagerySource, alike
from geomammut.progress import console

NO_DATA = "no data in part of the chip"
BLANK = "blank"
CLOUD = "cloud-white"
UNREADABLE = "unreadable"

JPEG_QUALITY = 90
_BLANK_SPREAD = 1.0  # the standard deviation, in grey levels of 256, under which a chip shows nothing
_WHITE, _COLOURLESS = 215, 25  # a pixel is cloud-white if its darkest channel is above, its channels' range within
_CLOUD_SHARE = 0.5  # of a chip's pixels
_BLACK_SHARE = 0.1  # of pure black, from which 8-bit imagery that names no missing pixels is taken to miss them
_READ_BYTES = 20 << 20  # what one read may bring into memory: more is no faster, since caches are small
_MAX_WORKERS = 8  # threads that read and encode; each holds a block
_FULL = 0.5  # of a window read at once, the share that must be chips


@dataclass(frozen=True)
class Chip:
    """A picture cut from imagery.

    Attributes:
        pixels: uint8 [size, size, 3], red, green, blue; north (of the grid) is up.
        jpeg: The same, encoded.
        footprint: Its outline in EPSG:4326: a polygon, or two where it runs across ±180°.
        crs: The grid's coordinate system, projected, in metres.
        transform: From pixel (column, row) to `crs`.
        gsd_m: Metres per pixel.
        source: Name of the imagery it comes from, or most of it does.
        acquired: Time of acquisition as that imagery states it (ISO 8601), or None.
    """

    pixels: Pixels
    jpeg: bytes
    footprint: BaseGeometry
    crs: str
    transform: Affine
    gsd_m: float
    source: str
    acquired: str | None


class ChipPlan:
    """The chips of some imagery; iterate for the chips, any number of times.

    Iterating reads and encodes in threads, a few blocks ahead, and gives the chips in the plan's order.
    To share the work among machines, hand out the blocks of `plan` and call `read`: a chip's bytes do
    not depend on what else is read, where, or in which order.

    Attributes:
        plan: Where the chips lie. `len()` is the number of chips that are tried.
        dropped: Reason → squares that gave no chip, of the latest iteration so far; with the chips it adds
            up to `len()`.
    """

    def __init__(self, plan: GridPlan, *, resampling: ResamplingName, jpeg_quality: int) -> None:
        self.plan = plan
        self.resampling: ResamplingName = resampling
        self.jpeg_quality = jpeg_quality
        self.dropped: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Chip]:
        dropped = Counter[str]()
        self.dropped = dropped
        workers = min(_MAX_WORKERS, os.cpu_count() or 1)
        ahead: deque[Future[list[Chip | str]]] = deque()
        pool = ThreadPoolExecutor(workers)
        try:
            for block in self.plan:
                ahead.append(pool.submit(self.read, block))
                if len(ahead) > workers:
                    yield from _kept(ahead.popleft().result(), dropped)
            while ahead:
                yield from _kept(ahead.popleft().result(), dropped)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    @property
    def rules(self) -> str:
        """Return how the chips are made, in words."""
        size, centres = self.plan.size, self.plan.centres
        where = (
            "on a grid"
            if centres is None
            else f"centred on points to within {centres.jitter * self.plan.step:.3g} m east and north (drawn with seed "
            f"{centres.seed}), at most one in each cell of a grid"
        )
        return (
            f"{size} × {size} pixels at {self.plan.gsd_m:g} m per pixel, {where}; JPEG, quality {self.jpeg_quality}; "
            f"{self.resampling} resampling of pixels that do not fit the grid. Where imagery overlaps, the one listed "
            "first that fills a chip gives it; what none has whole is put together from imagery that is alike, and "
            "counted to that which gave the most pixels"
        )

    def read(self, block: ChipBlock) -> list[Chip | str]:
        """Return the block's chips, in the order of its corners; for those that gave none, the reason.

        A chip comes from the first of the block's sources that fills it and does not fail otherwise. One that
        none of them has whole is put together from those that are alike. If there is no chip, the reason is
        that of the first source that could have given it.
        """
        size, gsd_m = self.plan.size, self.plan.gsd_m
        outcomes: list[Chip | str] = [NO_DATA] * len(block.corners)
        is_open, tried = np.ones(len(block.corners), bool), np.zeros(len(block.corners), bool)
        footprints = on_globe_all(pixel_boxes(block.corners, size, gsd_m), block.crs)

        def made(number: int, pixels: Pixels, source: ImagerySource) -> Chip:
            is_open[number] = False
            x, y = (block.corners[number] * gsd_m).tolist()
            return Chip(
                pixels=pixels,
                jpeg=encode_jpeg(pixels, self.jpeg_quality),
                footprint=footprints[number],
                crs=block.crs,
                transform=Affine(gsd_m, 0, x, 0, -gsd_m, y),
                gsd_m=gsd_m,
                source=source.name,
                acquired=source.acquired,
            )

        for place, index in enumerate(block.sources):
            source = self.plan.sources[index]
            wanted = np.flatnonzero(is_open & block.covers[:, place])
            for number, found in self._read_source(source, block, wanted):
                if not isinstance(found, str):
                    outcomes[number] = made(number, found, source)
                elif not tried[number]:
                    outcomes[number] = found
                tried[number] = True
        for group in self._alike_in(block):
            wanted = np.flatnonzero([outcome == NO_DATA for outcome in outcomes])
            patches = patched(
                block, wanted, group, footprints=footprints, size=size, gsd_m=gsd_m, resampling=self.resampling
            )
            for number, patch in patches:
                fault = _fault(patch.pixels, patch.valid, patch.says_missing)
                outcomes[number] = fault or made(number, patch.pixels, patch.source)
        return outcomes

    def _alike_in(self, block: ChipBlock) -> list[list[ImagerySource]]:
        """Return the block's sources that are alike, group by group."""
        groups: dict[int, list[ImagerySource]] = {}
        for index in block.sources:
            groups.setdefault(self._alike[index], []).append(self.plan.sources[index])
        return list(groups.values())

    @cached_property
    def _alike(self) -> list[int]:
        return alike(self.plan.sources)

    def _read_source(
        self, source: ImagerySource, block: ChipBlock, wanted: NDArray[np.intp]
    ) -> Iterator[tuple[int, Pixels | str]]:
        if len(wanted) == 0:
            return
        try:
            with open_reader(source, self.resampling, block.crs, self.plan.gsd_m) as reader:
                pixel_bytes = source.bytes_per_pixel * reader.shrink**2
                for part in _windows(block.corners, wanted, self.plan.size, pixel_bytes):
                    yield from self._read_window(reader, block, part)
        except RasterioError:  # it was there when it was planned
            yield from ((number, UNREADABLE) for number in wanted.tolist())

    def _read_window(
        self, reader: ImageryReader, block: ChipBlock, part: NDArray[np.intp]
    ) -> Iterator[tuple[int, Pixels | str]]:
        """Read some of a block's chips, and judge each."""
        found = reader.read(block.corners[part], self.plan.size)
        for place, number in enumerate(part.tolist()):
            try:
                pixels, valid = next(found)
            except RasterioError:
                if len(part) == 1:
                    yield number, UNREADABLE
                    return
                for each in part[place:]:  # only the broken part of the file is lost
                    yield from self._read_window(reader, block, np.array([each]))
                return
            yield number, _fault(pixels, valid, reader.says_missing) or pixels


def chips(
    sources: Sequence[ImagerySource],
    *,
    size: int,
    gsd_m: float,
    area: BaseGeometry | None = None,
    centres: Centres | None = None,
    resampling: ResamplingName = "cubic",
    jpeg_quality: int = JPEG_QUALITY,
    stride: int | None = None,
) -> ChipPlan:
    """Return the chips of `sources`, to be iterated: every cell of a grid that the imagery fills.

    The grid lies in the source's own coordinate system if that is projected and its metres are metres on
    the ground to 1%, else in its UTM zone; cell borders are whole multiples of `size * gsd_m`, so that
    imagery of one place falls into the same cells whatever files it came in. Pixels that fit the grid
    are taken as they are, others resampled.

    Where sources overlap, the one given first that fills a chip gives it. A chip that none has whole, as at the
    edge of two files, is put together from sources that are alike (`alike`): each pixel from the first that
    has it; its `source` and `acquired` are those of the one that gave the most. Where grids meet, the grid of the
    imagery given first goes first, and is filled by all imagery that reaches it.

    Dropped and counted are chips that lack data in more than 1% of their pixels, are blank (a standard
    deviation under 1 of 255), cloud-white (more than half of the pixels above 215 in every channel and
    colourless) or unreadable. Imagery that does not say which pixels are missing misses those that are 0
    in all bands if it has more than 8 bits, and whole chips of which a tenth is pure black if it has 8.

    Args:
        sources: From `open_sources`.
        size: Side of a chip in pixels.
        gsd_m: Ground sample distance in metres per pixel.
        area: Polygons in EPSG:4326; only chips wholly inside (to within a pixel) are made.
        centres: Chips are centred on these points instead, at most one in each cell of the grid.
        resampling: Kernel for pixels that do not fit the grid; all are widened where imagery shrinks.
        jpeg_quality: 1 to 100, libjpeg's scale.
        stride: Pixels from a chip to the next, 1 to `size`, so that neighbours overlap; None for `size`.

    Raises:
        UserError: A number is out of range, or not a single chip fits.
    """
    if not 8 <= size <= 8192:
        raise UserError(f"chip size {size} is out of range; give 8 to 8192 pixels")
    if not (math.isfinite(gsd_m) and 0.001 <= gsd_m <= 10_000):
        raise UserError(f"gsd {gsd_m} is out of range; give metres per pixel, such as 0.5")
    if not 1 <= jpeg_quality <= 100:
        raise UserError(f"JPEG quality {jpeg_quality} is out of range; give 1 to 100, such as {JPEG_QUALITY}")
    if stride is not None and not 1 <= stride <= size:
        raise UserError(f"stride {stride} is out of range; give 1 to {size} pixels, the size of a chip")
    levels = [source.at(gsd_m) for source in sources]
    made = ChipPlan(
        GridPlan(levels, size, gsd_m, area, centres, stride), resampling=resampling, jpeg_quality=jpeg_quality
    )
    if next(iter(made.plan), None) is None:
        where = "the imagery" if area is None else "the imagery within the area"
        what = "whole chip" if centres is None else "point to centre a chip on"
        raise UserError(
            f"{where} holds no {what} of {size} px at {gsd_m:g} m ({size * gsd_m:g} m wide); "
            "give a smaller size or gsd, or more imagery"
        )
    for source in levels:
        if source.gsd_m > 1.5 * gsd_m:
            console.print(
                f"note: {source.name} has pixels of {source.gsd_m:.2g} m; chips at {gsd_m:g} m only enlarge them"
            )
    return made


def count_cells(sources: Sequence[ImagerySource], *, size: int, gsd_m: float, area: BaseGeometry | None = None) -> int:
    """Return how many cells `chips` would read."""
    return len(chips(sources, size=size, gsd_m=gsd_m, area=area))


def encode_jpeg(pixels: Pixels, quality: int = JPEG_QUALITY) -> bytes:
    """Return uint8 [H, W, 3] as a JPEG file."""
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality, colorspace="RGB", colorsubsampling="420")
    return jpeg


def _kept(outcomes: list[Chip | str], dropped: Counter[str]) -> Iterator[Chip]:
    for outcome in outcomes:
        if isinstance(outcome, str):
            dropped[outcome] += 1
        else:
            yield outcome


def _windows(
    corners: NDArray[np.int64], part: NDArray[np.intp], size: int, bytes_per_pixel: float
) -> Iterator[NDArray[np.intp]]:
    """Split chips into those whose common rectangle is worth reading at once, and fits into memory."""
    low, high = corners[part].min(axis=0), corners[part].max(axis=0)
    pixels = int(np.prod(high - low + size))
    if len(part) == 1 or (pixels * bytes_per_pixel <= _READ_BYTES and len(part) * size * size >= _FULL * pixels):
        yield part
        return
    axis = int(np.argmax(high - low))
    order = part[np.argsort(corners[part, axis], kind="stable")]
    middle = len(order) // 2
    yield from _windows(corners, np.sort(order[:middle]), size, bytes_per_pixel)
    yield from _windows(corners, np.sort(order[middle:]), size, bytes_per_pixel)


def _fault(pixels: Pixels, valid: Validity, says_missing: bool) -> str | None:
    """Return why these pixels make no chip, or None."""
    if valid is not None and np.count_nonzero(valid) < (1 - MAX_MISSING) * valid.size:
        return NO_DATA
    thin = max(1, len(pixels) // 64)  # 64 × 64 pixels tell a picture from none
    few = np.ascontiguousarray(pixels[::thin, ::thin].transpose(2, 0, 1)).reshape(3, -1)
    off = few.astype(np.float32)
    off -= off.mean(axis=1, keepdims=True)
    if max(np.vdot(band, band) for band in off) < _BLANK_SPREAD**2 * few.shape[1]:
        return BLANK
    red, green, blue = few
    darkest = np.minimum(np.minimum(red, green), blue)
    brightest = np.maximum(np.maximum(red, green), blue)
    if not says_missing and np.count_nonzero(brightest == 0) > _BLACK_SHARE * brightest.size:
        return NO_DATA
    white = (darkest > _WHITE) & (brightest - darkest <= _COLOURLESS)
    return CLOUD if np.count_nonzero(white) > _CLOUD_SHARE * white.size else None
