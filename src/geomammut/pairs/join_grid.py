"""The grid on which chips and landmarks are joined: every chip lies in one cell, a landmark in those that it touches.

A cell is some thirty chips wide, so that a cell's chips and the landmarks near them are matched in memory.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

_METRES_PER_DEGREE = 111_195.0
_CHIPS_ACROSS = 32
# A landmark belongs to a cell if it comes this close, in sides of a chip. A chip lies in the cell of its
# centre, and one of another projection in the cell of the chip that may cover it: 1.5 sides at most.
_MARGIN = 2.0
_ROW = 1 << 32  # a cell's number is row · 2³² + column
_FEW_CELLS = 64  # a landmark over more is looked up among the wanted cells, and cut step by step
_FEW_COORDINATES = 100

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Geometries = NDArray[np.object_]


@dataclass(frozen=True)
class JoinGrid:
    """Cells of about `32 · chip_side_m` a side that cover the Earth, numbered from north to south, then eastwards.

    All rows are equally high in degrees; each has as many columns as keep its cells about square, and the
    last column touches the first. The cells depend on the size of a chip alone, so that nothing about
    a run (how it is divided, on how many machines) can change what is joined.
    """

    chip_side_m: float

    @cached_property
    def _height(self) -> float:
        """Height of a row in degrees."""
        return min(180.0, _CHIPS_ACROSS * self.chip_side_m / _METRES_PER_DEGREE)

    @cached_property
    def _margin(self) -> float:
        """In degrees of latitude."""
        return _MARGIN * self.chip_side_m / _METRES_PER_DEGREE

    @cached_property
    def _columns(self) -> Ints:
        """Columns of each row, by its edge nearest to the equator."""
        north = 90 - self._height * np.arange(np.ceil(180 / self._height))
        south = np.maximum(north - self._height, -90)
        widest = np.where((north > 0) & (south < 0), 0, np.minimum(np.abs(north), np.abs(south)))
        return np.maximum(1, np.floor(360 * np.cos(np.radians(widest)) / self._height)).astype(np.int64)

    def cells_of(self, lon: Floats, lat: Floats) -> Ints:
        """Return the cell in which each point of EPSG:4326 lies."""
        row = self._rows(lat)
        columns = self._columns[row]
        return row * _ROW + np.floor((lon + 180) / 360 * columns).astype(np.int64) % columns

    def cover(self, geometries: Geometries, wanted: Ints) -> tuple[Ints, Ints, Geometries]:
        """Return which geometries come near which cells, and what of them does.

        Args:
            geometries: In EPSG:4326.
            wanted: The cells that hold chips, sorted; no others are returned.

        Returns:
            Indices into `geometries`, cells, and the geometries cut to the cells with their margins: of
            each what is needed for the chips there, so that a coastline of a country's length is carried
            in pieces. Ordered by index, then cell.
        """
        index, cell = self._boxes_near(shapely.bounds(geometries), wanted)
        pieces = geometries[index]
        windows = self._windows(cell)
        box, around = shapely.bounds(pieces), shapely.bounds(windows)
        cut = np.flatnonzero((box[:, :2] < around[:, :2]).any(axis=1) | (box[:, 2:] > around[:, 2:]).any(axis=1))
        owners, first, count = np.unique(index[cut], return_index=True, return_counts=True)
        for owner, start, many in zip(owners.tolist(), first.tolist(), count.tolist(), strict=True):
            places = cut[start : start + many]
            pieces[places] = _cut(geometries[owner], windows[places])
        full = ~shapely.is_empty(pieces)
        return index[full], cell[full], pieces[full]

    def _rows(self, lat: Floats) -> Ints:
        return np.clip(np.floor((90 - lat) / self._height), 0, len(self._columns) - 1).astype(np.int64)

    def _boxes_near(self, bounds: Floats, wanted: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of bounding box (its index) and wanted cell that come near each other."""
        west, south, east, north = bounds.T
        top, bottom = self._rows(north + self._margin), self._rows(south - self._margin)
        index, row = _ranges(top, bottom)
        columns = self._columns[row]
        slack = self._margin / self._narrowest(row)
        left = np.floor((west[index] - slack + 180) / 360 * columns).astype(np.int64)
        right = np.floor((east[index] + slack + 180) / 360 * columns).astype(np.int64)
        right = np.minimum(right, left + columns - 1)
        few = right - left < _FEW_CELLS
        small, column = _ranges(left[few], right[few])
        found = [(index[few][small], row[few][small] * _ROW + column % columns[few][small])]
        for i in np.flatnonzero(~few).tolist():
            start, end = np.searchsorted(wanted, (row[i] * _ROW, (row[i] + 1) * _ROW))
            in_row = wanted[start:end]
            near = in_row[(in_row % _ROW - left[i]) % columns[i] <= right[i] - left[i]]
            found.append((np.full(len(near), index[i]), near))
        index, cell = (np.concatenate(parts) for parts in zip(*found, strict=True))
        at = np.minimum(np.searchsorted(wanted, cell), len(wanted) - 1)
        is_wanted = wanted[at] == cell
        index, cell = index[is_wanted], cell[is_wanted]
        order = np.lexsort((cell, index))
        return index[order], cell[order]

    def _narrowest(self, row: Ints) -> Floats:
        """Return the cosine of latitude at the polar edge of each row with its margin, at least a little."""
        north = 90 - self._height * row + self._margin
        polar = np.maximum(np.abs(north), np.abs(north - self._height - 2 * self._margin))
        cosine: Floats = np.cos(np.radians(np.minimum(polar, 89.9)))
        return cosine

    def _windows(self, cells: Ints) -> Geometries:
        """Return the cells with their margins as polygons; at the antimeridian in two parts."""
        unique, where = np.unique(cells, return_inverse=True)
        row, column = unique // _ROW, unique % _ROW
        width = 360 / self._columns[row]
        slack = self._margin / self._narrowest(row)
        west, east = -180 + column * width - slack, -180 + (column + 1) * width + slack
        north = 90 - row * self._height
        low, high = north - self._height - self._margin, north + self._margin
        windows = shapely.box(west, low, east, high)
        for i in np.flatnonzero((west < -180) | (east > 180)).tolist():
            turns = [shapely.box(west[i] + turn, low[i], east[i] + turn, high[i]) for turn in (-360, 0, 360)]
            windows[i] = shapely.union_all(turns)
        found: Geometries = windows[where]
        return found


def intersection(geometries: Geometries, windows: Geometries | BaseGeometry) -> Geometries:
    """Cut geometries to windows, keeping each one's dimension: a polygon's touching edge is dropped."""
    try:
        cut = shapely.intersection(geometries, windows)
    except shapely.errors.GEOSException:  # an invalid ring
        cut = shapely.intersection(shapely.make_valid(geometries), windows)
    mixed = shapely.get_type_id(cut) == shapely.GeometryType.GEOMETRYCOLLECTION
    lower = shapely.get_dimensions(cut) < shapely.get_dimensions(geometries)
    for i in np.flatnonzero(mixed | lower).tolist():
        dimension = shapely.get_dimensions(geometries[i])
        parts = shapely.get_parts(cut[i])
        cut[i] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])
    return np.asarray(cut, dtype=object)


def _cut(geometry: BaseGeometry, windows: Geometries) -> Geometries:
    """Cut one geometry to each window; one of many corners first to halves, quarters, …: n log n, not n²."""
    if len(windows) > 4 and shapely.get_num_coordinates(geometry) > _FEW_COORDINATES:
        half = len(windows) // 2
        return np.concatenate([_cut(_within(geometry, part), part) for part in (windows[:half], windows[half:])])
    same = np.full(len(windows), geometry, dtype=object)
    return intersection(same, windows)


def _within(geometry: BaseGeometry, windows: Geometries) -> BaseGeometry:
    frame = shapely.box(*shapely.total_bounds(windows))
    part: BaseGeometry = intersection(np.array([geometry], dtype=object), frame)[0]
    return part


def _ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return every integer of each range first..last, with the index of its range."""
    count = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(count)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return index, np.arange(len(index)) - start + first[index]
