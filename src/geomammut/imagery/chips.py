"""Chips: square RGB pictures of constant ground sample distance, cut from imagery on an aligned grid."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geomammut.errors import UserError
from geomammut.imagery.sources import ImagerySource
from geomammut.progress import console

NO_DATA = "no data in part of the chip"
BLANK = "blank"
UNREADABLE = "unreadable"
COVERED = "covered by an earlier source"
_MAX_MISSING = 0.01  # the share of a chip's pixels that may lack data
_BLANK_SPREAD = 1.0  # the standard deviation, in grey levels of 256, under which a chip shows nothing
_BLOCK_PIXELS = 2048  # the side of what is read at once; bounds the memory
_TRUE_METRES = 0.01  # how far from 1 the scale of a CRS may be for its metres to count as metres on the ground

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Chip:
    """A picture cut from imagery.

    Attributes:
        pixels: uint8 [size, size, 3], red, green, blue; north (of the grid) is up.
        footprint: Its outline, a polygon in EPSG:4326.
        crs: The grid's coordinate system, projected, in metres.
        transform: From pixel (column, row) to `crs`.
        gsd_m: Metres per pixel.
        source: Name of the imagery it comes from.
        acquired: When that was taken (ISO 8601), or None.
    """

    pixels: Pixels
    footprint: BaseGeometry
    crs: str
    transform: Affine
    gsd_m: float
    source: str
    acquired: str | None


@dataclass(frozen=True)
class SourceGrid:
    """The cells that one source is cut into: squares at whole multiples of `step` in `crs`.

    Attributes:
        source: The imagery.
        crs: Projected, in metres.
        step: Side of a cell in metres.
        cells: int64 [N, 2], column (eastwards) and row (northwards) of each cell; cell (c, r) has its
            south-western corner at (c · step, r · step). From north to south, then west to east.
    """

    source: ImagerySource
    crs: str
    step: float
    cells: npt.NDArray[np.int64]


class ChipGrid:
    """The chips of some imagery; iterate for the chips, any number of times.

    `len()` is the number of cells that will be read: those that imagery touches and that lie in the area.

    Attributes:
        grids: The cells of each source.
        dropped: Reason → cells that gave no chip, of the latest iteration so far; with the chips it adds
            up to `len()`.
    """

    def __init__(self, grids: Sequence[SourceGrid], *, size: int, gsd_m: float) -> None:
        self.grids = list(grids)
        self.size = size
        self.gsd_m = gsd_m
        self.dropped: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(grid.cells) for grid in self.grids)

    def __iter__(self) -> Iterator[Chip]:
        dropped = Counter[str]()
        self.dropped = dropped
        taken: dict[str, set[tuple[int, int]]] = {}
        for grid in self.grids:
            is_free = _not_taken(grid, taken)
            if not is_free.all():
                dropped[COVERED] += int((~is_free).sum())
            mine: set[tuple[int, int]] = set()
            for cell, pixels in _read_cells(grid, grid.cells[is_free], self.size, self.gsd_m):
                if isinstance(pixels, str):
                    dropped[pixels] += 1
                    continue
                mine.add(cell)
                yield _chip(grid, cell, pixels, self.gsd_m)
            taken.setdefault(grid.crs, set()).update(mine)


def chips(sources: Sequence[ImagerySource], *, size: int, gsd_m: float, area: BaseGeometry | None = None) -> ChipGrid:
    """Return the chips of `sources`, to be iterated: every cell of a grid that the imagery fills.

    The grid lies in the source's own coordinate system if that is projected and its metres are metres on
    the ground to 1%, else in its UTM zone; cell borders are whole multiples of `size * gsd_m`, so that
    imagery of one place falls into the same cells whatever files it came in. Imagery is resampled with a
    cubic kernel, widened where it shrinks; pixels that fit the grid already are taken as they are. Where
    sources overlap, the one given first that fills a cell wins it. Chips that lack data in more than 1%
    of their pixels, show nothing or cannot be read are dropped and counted.

    Args:
        sources: From `open_sources`.
        size: Side of a chip in pixels.
        gsd_m: Ground sample distance in metres per pixel.
        area: Polygons in EPSG:4326; only chips wholly inside (to within a pixel) are made.

    Raises:
        UserError: `size` or `gsd_m` is out of range, or not a single cell fits.
    """
    if not 8 <= size <= 8192:
        raise UserError(f"chip size {size} is out of range; give 8 to 8192 pixels")
    if not (math.isfinite(gsd_m) and 0.001 <= gsd_m <= 10_000):
        raise UserError(f"gsd {gsd_m} is out of range; give metres per pixel, such as 0.5")
    grids = [_grid(source.at(gsd_m), size * gsd_m, gsd_m, area) for source in sources]
    made = ChipGrid(grids, size=size, gsd_m=gsd_m)
    if len(made) == 0:
        where = "the imagery" if area is None else "the imagery within the area"
        raise UserError(
            f"{where} holds no whole chip of {size} px at {gsd_m:g} m ({size * gsd_m:g} m wide); "
            "give a smaller size or gsd, or more imagery"
        )
    for grid in grids:
        if grid.source.gsd_m > 1.5 * gsd_m:
            pixel = f"{grid.source.gsd_m:.2g} m"
            console.print(f"note: {grid.source.name} has pixels of {pixel}; chips at {gsd_m:g} m only enlarge them")
    return made


def count_cells(sources: Sequence[ImagerySource], *, size: int, gsd_m: float, area: BaseGeometry | None = None) -> int:
    """Return how many cells `chips` would read."""
    return len(chips(sources, size=size, gsd_m=gsd_m, area=area))


def grid_crs(source: ImagerySource) -> str:
    """Return the CRS of a source's grid: its own if its metres are true to 1%, else its UTM zone."""
    own = pyproj.CRS(source.crs)
    left, bottom, right, top = source.bounds
    lons, lats = _transformer(source.crs, "EPSG:4326").transform(
        [(left + right) / 2, left, right, right, left], [(bottom + top) / 2, bottom, bottom, top, top]
    )
    if own.is_projected and all(axis.unit_name in ("metre", "meter") for axis in own.axis_info[:2]):
        scale = pyproj.Proj(own).get_factors(lons, lats)
        off = np.abs(np.concatenate([scale.meridional_scale, scale.parallel_scale]) - 1)
        if np.max(off) <= _TRUE_METRES:
            return source.crs
    lon, lat = float(lons[0]), float(lats[0])
    if lat > 84 or lat < -80:
        return "EPSG:32661" if lat > 0 else "EPSG:32761"
    zone = min(int((lon + 180) // 6) + 1, 60)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


@cache
def _transformer(from_crs: str, to_crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(from_crs, to_crs, always_xy=True)


def _reproject(geometry: BaseGeometry, from_crs: str, to_crs: str) -> BaseGeometry:
    transformer = _transformer(from_crs, to_crs)
    return shapely.transform(geometry, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def _grid(source: ImagerySource, step: float, gsd_m: float, area: BaseGeometry | None) -> SourceGrid:
    crs = grid_crs(source)
    outline: BaseGeometry = shapely.box(*source.bounds)
    if crs != source.crs:
        outline = _reproject(shapely.segmentize(outline, shapely.length(outline) / 64), source.crs, crs)
    left, bottom, right, top = outline.bounds
    if area is not None:
        # Edges of an area are straight in degrees; 0.01° keeps their course to a few centimetres.
        area = _reproject(shapely.segmentize(area, 0.01), "EPSG:4326", crs)
        west, south, east, north = area.bounds
        left, bottom, right, top = max(left, west), max(bottom, south), min(right, east), min(top, north)
    slack = gsd_m / 10  # the last bits of a corner's coordinates open no further cell
    columns = np.arange(math.floor((left + slack) / step), math.ceil((right - slack) / step))
    rows = np.arange(math.floor((bottom + slack) / step), math.ceil((top - slack) / step))[::-1]
    if columns.size * rows.size == 0:
        return SourceGrid(source, crs, step, np.empty((0, 2), np.int64))
    cells = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.int64)
    boxes = shapely.box(*(cells * step).T, *((cells + 1) * step).T)
    inside = shapely.buffer(outline, -slack)
    shapely.prepare(inside)
    wanted = shapely.intersects(inside, boxes)
    if area is not None:
        within = shapely.buffer(area, gsd_m, join_style="mitre")
        shapely.prepare(within)
        wanted &= shapely.covers(within, boxes)
    return SourceGrid(source, crs, step, cells[wanted])


def _not_taken(grid: SourceGrid, taken: dict[str, set[tuple[int, int]]]) -> npt.NDArray[np.bool_]:
    """Return which cells of `grid` no earlier source filled, judged by their centres across grids."""
    is_free = np.ones(len(grid.cells), dtype=bool)
    centres = (grid.cells + 0.5) * grid.step
    for crs, cells in taken.items():
        x, y = centres.T if crs == grid.crs else _transformer(grid.crs, crs).transform(centres[:, 0], centres[:, 1])
        for index in np.flatnonzero(np.isfinite(x)):
            if (math.floor(x[index] / grid.step), math.floor(y[index] / grid.step)) in cells:
                is_free[index] = False
    return is_free


def _read_cells(
    grid: SourceGrid, cells: npt.NDArray[np.int64], size: int, gsd_m: float
) -> Iterator[tuple[tuple[int, int], Pixels | str]]:
    """Yield each cell with its pixels, or with the reason why it gives no chip; block by block."""
    if len(cells) == 0:
        return
    left, top = int(cells[:, 0].min()), int(cells[:, 1].max())
    columns, rows = int(cells[:, 0].max()) - left + 1, top - int(cells[:, 1].min()) + 1
    transform = Affine(gsd_m, 0, left * grid.step, 0, -gsd_m, (top + 1) * grid.step)
    per_block = max(1, _BLOCK_PIXELS // size)
    blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for column, row in cells.tolist():
        blocks.setdefault(((top - row) // per_block, (column - left) // per_block), []).append((column, row))
    with rasterio.open(grid.source.dataset) as raster:
        has_alpha = ColorInterp.alpha in raster.colorinterp
        with WarpedVRT(
            raster,
            crs=grid.crs,
            transform=transform,
            width=columns * size,
            height=rows * size,
            resampling=Resampling.nearest if _fits(raster, grid.crs, transform) else Resampling.cubic,
            add_alpha=not has_alpha,
            warp_mem_limit=128,
        ) as warped:
            alpha = warped.colorinterp.index(ColorInterp.alpha) + 1
            reader = _CellReader(warped, alpha, grid.source, left, top, size)
            for _, members in sorted(blocks.items()):
                yield from reader.read(members)


def _fits(raster: rasterio.DatasetReader, crs: str, transform: Affine) -> bool:
    """Return whether the raster's pixels are the grid's, so that they can be taken as they are."""
    own = raster.transform
    if raster.crs != CRS.from_user_input(crs):
        return False
    corners = [~transform @ (own @ corner) for corner in ((0, 0), (raster.width, raster.height))]
    (left, top), (right, bottom) = corners
    same_size = abs(right - left - raster.width) < 0.01 and abs(bottom - top - raster.height) < 0.01
    return same_size and not own.b and abs(left - round(left)) < 0.01 and abs(top - round(top)) < 0.01


@dataclass(frozen=True)
class _CellReader:
    """Reads cells from a raster warped to the grid, whose first pixel is that of cell (left, top)."""

    warped: WarpedVRT
    alpha: int
    source: ImagerySource
    left: int
    top: int
    size: int

    def read(self, cells: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Pixels | str]]:
        """Read the rectangle of `cells` at once and yield each with its pixels or the reason for none."""
        size = self.size
        left, top = min(column for column, _ in cells), max(row for _, row in cells)
        right, bottom = max(column for column, _ in cells) + 1, min(row for _, row in cells) - 1
        corner = ((left - self.left) * size, (self.top - top) * size)
        try:
            rgb, valid = self._read_window(Window(*corner, (right - left) * size, (top - bottom) * size))
        except RasterioError:
            if len(cells) == 1:
                yield cells[0], UNREADABLE
            else:  # only the broken part of the file is lost
                for cell in cells:
                    yield from self.read([cell])
            return
        thin = max(1, size // 64)  # 64 × 64 pixels tell a blank chip from a picture
        for column, row in cells:
            x, y = (column - left) * size, (top - row) * size
            pixels = np.ascontiguousarray(rgb[y : y + size, x : x + size])
            if np.count_nonzero(valid[y : y + size, x : x + size]) < (1 - _MAX_MISSING) * size * size:
                yield (column, row), NO_DATA
            elif pixels[::thin, ::thin].std(axis=(0, 1)).max() < _BLANK_SPREAD:
                yield (column, row), BLANK
            else:
                yield (column, row), pixels

    def _read_window(self, window: Window) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """Return uint8 [H, W, 3] and bool [H, W], whether there is data."""
        wanted = [*dict.fromkeys(self.source.bands), self.alpha]
        bands = self.warped.read(wanted, window=window)
        valid = bands[-1] > 0
        colours = bands[[wanted.index(band) for band in self.source.bands]]
        if self.source.stretch is not None:
            if np.issubdtype(colours.dtype, np.floating):
                valid &= np.isfinite(colours).all(axis=0)
            colours = _stretched(colours, self.source.stretch)
        return np.ascontiguousarray(colours.transpose(1, 2, 0)), valid


def _stretched(colours: npt.NDArray[np.generic], limits: Sequence[tuple[float, float]]) -> Pixels:
    """Return [3, H, W] as uint8, each band's low limit at 0 and its high one at 255."""
    stretched = np.empty(colours.shape, np.uint8)
    for band, (low, high) in enumerate(limits):
        scaled = (colours[band].astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        stretched[band] = np.clip(np.nan_to_num(scaled), 0, 255).round()
    return stretched


def _chip(grid: SourceGrid, cell: tuple[int, int], pixels: Pixels, gsd_m: float) -> Chip:
    column, row = cell
    square = shapely.box(column * grid.step, row * grid.step, (column + 1) * grid.step, (row + 1) * grid.step)
    return Chip(
        pixels=pixels,
        footprint=_reproject(square, grid.crs, "EPSG:4326"),
        crs=grid.crs,
        transform=Affine(gsd_m, 0, column * grid.step, 0, -gsd_m, (row + 1) * grid.step),
        gsd_m=gsd_m,
        source=grid.source.name,
        acquired=grid.source.acquired,
    )
