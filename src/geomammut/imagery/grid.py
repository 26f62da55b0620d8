"""Where chips lie: cells of a grid of constant GSD, or squares centred on points, in blocks that are read at once."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geomammut.imagery.sources import ImagerySource

MAX_MISSING = 0.01  # the share of a chip's pixels that may lack data
_BLOCK_PIXELS = 3072  # the side of a block; bounds the memory
_TRUE_METRES = 0.01  # how far from 1 the scale of a CRS may be for its metres to count as metres on the ground


@dataclass(frozen=True)
class Centres:
    """Points on the ground that chips are to be centred on.

    Attributes:
        lon, lat: float64 [N], degrees (EPSG:4326).
        keys: What tells the points apart; with `seed` it decides the jitter, wherever the point stands in the list.
        ranks: float64 [N]; of the points in one cell of the grid, the lowest rank gets the chip (ties by key).
        jitter: How far a chip's centre may be off the point, in each direction, as a share of its side
            (0 to 0.5); drawn evenly.
        seed: Changes the draw.
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    keys: Sequence[str]
    ranks: NDArray[np.float64]
    jitter: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class ChipBlock:
    """Neighbouring chips that are read together: a unit of work that depends on no other.

    Attributes:
        crs: Projected, in metres.
        corners: int64 [N, 2], easting and northing of each chip's upper left corner in whole pixels (times
            the GSD: metres); from north to south, then west to east.
        sources: The imagery that reaches into the block (its place in the plan), the preferred first.
        covers: bool [N, len(sources)], whether that imagery's outline covers the chip.
    """

    crs: str
    corners: NDArray[np.int64]
    sources: tuple[int, ...]
    covers: NDArray[np.bool_]


@dataclass(frozen=True)
class GridPlan:
    """The squares that imagery is cut into. Iterate for its blocks; nothing of the imagery is read for that.

    Every place belongs to one grid: that of the imagery, among those that reach it, whose grid comes first in
    the order given. A cell whose centre lies in a cell of an earlier grid is left out.

    Attributes:
        sources: The imagery, each at the level that fits the GSD.
        size: Side of a chip in pixels.
        gsd_m: Metres per pixel.
        area: Polygons in EPSG:4326; only chips wholly inside (to within a pixel) are made.
        centres: Points to centre chips on, at most one a cell; without them every cell is a chip.
    """

    sources: Sequence[ImagerySource]
    size: int
    gsd_m: float
    area: BaseGeometry | None = None
    centres: Centres | None = None

    def __iter__(self) -> Iterator[ChipBlock]:
        for number, grid in enumerate(self._grids):
            earlier = self._grids[:number]
            for key in sorted(grid.blocks, key=lambda key: (-key[1], key[0])):
                block = self._block(grid, key, earlier)
                if block is not None:
                    yield block

    def __len__(self) -> int:
        """Return how many chips are tried: cells that imagery touches and that lie in the area."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(len(block.corners) for block in self)

    @property
    def step(self) -> float:
        """Side of a cell in metres."""
        return self.size * self.gsd_m

    @property
    def slack(self) -> float:
        """Metres by which the last bits of an outline's coordinates may be off, so that they open no cell."""
        return self.gsd_m / 10

    @cached_property
    def _grids(self) -> list["_Grid"]:
        owners: dict[str, list[int]] = defaultdict(list)
        for index, source in enumerate(self.sources):
            owners[grid_crs(source)].append(index)
        in_degrees = [_outline(source, "EPSG:4326") for source in self.sources]
        tree = shapely.STRtree(in_degrees)
        grids = []
        for crs, own in owners.items():
            near = sorted(set(own) | set(tree.query([in_degrees[index] for index in own])[1].tolist()))
            outlines = {index: _outline(self.sources[index], crs) for index in near}
            area = None
            if self.area is not None:
                # Edges of an area are straight in degrees; 0.01° keeps their course to a few centimetres.
                area = reproject(shapely.segmentize(self.area, 0.01), "EPSG:4326", crs)
                area = shapely.buffer(area, self.gsd_m, join_style="mitre")
            grids.append(_Grid(self, crs, frozenset(own), outlines, area))
        return grids

    def _block(self, grid: "_Grid", key: tuple[int, int], earlier: Sequence["_Grid"]) -> ChipBlock | None:
        cells, corners = grid.squares(key)
        if len(cells) == 0:
            return None
        near = sorted(grid.blocks[key])
        boxes = pixel_boxes(corners, self.size, self.gsd_m)
        wanted = np.zeros(len(cells), bool)
        covers = np.zeros((len(cells), len(near)), bool)
        for place, index in enumerate(near):
            outline = grid.outlines[index]
            covers[:, place] = _cover(outline, boxes)
            if index in grid.own:
                wanted |= shapely.intersects(shapely.buffer(outline, -self.slack), boxes)
        if grid.area is not None:
            wanted &= shapely.covers(grid.area, boxes)
        centres = (cells.astype(np.float64) + 0.5) * self.step
        for other in earlier:
            wanted &= ~other.reaches(centres, grid.crs)
        if not wanted.any():
            return None
        order = np.flatnonzero(wanted)
        order = order[np.lexsort((corners[order, 0], -corners[order, 1]))]
        return ChipBlock(grid.crs, corners[order], tuple(near), covers[order])


@dataclass(frozen=True)
class _Grid:
    """One coordinate system's cells: squares at whole multiples of the plan's step; (c, r) has its
    south-western corner at (c · step, r · step)."""

    plan: GridPlan
    crs: str
    own: frozenset[int]
    outlines: dict[int, BaseGeometry]
    area: BaseGeometry | None
    per_block: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_block", max(1, _BLOCK_PIXELS // self.plan.size))
        for outline in self.outlines.values():
            shapely.prepare(outline)
        if self.area is not None:
            shapely.prepare(self.area)

    @cached_property
    def blocks(self) -> dict[tuple[int, int], list[int]]:
        """Column and row of each block that this grid's own imagery touches, with all imagery that does."""
        step = self.plan.step * self.per_block
        found: dict[tuple[int, int], list[int]] = {}
        for index in sorted(self.outlines, key=lambda index: index not in self.own):
            inside = shapely.buffer(self.outlines[index], -self.plan.slack)
            if inside.is_empty:
                continue
            left, bottom, right, top = inside.bounds
            if self.area is not None:
                west, south, east, north = self.area.bounds
                left, bottom, right, top = max(left, west), max(bottom, south), min(right, east), min(top, north)
            if left >= right or bottom >= top:
                continue
            columns = np.arange(math.floor(left / step), math.ceil(right / step))
            rows = np.arange(math.floor(bottom / step), math.ceil(top / step))
            keys = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
            shapely.prepare(inside)
            boxes = shapely.box(*(keys * step).T, *((keys + 1) * step).T)
            for column, row in keys[shapely.intersects(inside, boxes)].tolist():
                if index in self.own:
                    found.setdefault((column, row), []).append(index)
                elif (column, row) in found:
                    found[column, row].append(index)
        return found

    def squares(self, key: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the cells [N, 2] of a block and the upper left corner, in pixels, of the square in each."""
        if self.plan.centres is not None:
            return self._centred.get(key, (np.empty((0, 2), np.int64),) * 2)
        offsets = np.arange(self.per_block)
        cells = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2) + np.array(key) * self.per_block
        return cells, (cells + np.array([0, 1])) * self.plan.size

    @cached_property
    def _centred(self) -> dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]]:
        centres, size, gsd_m = self.plan.centres, self.plan.size, self.plan.gsd_m
        assert centres is not None
        x, y = transformer("EPSG:4326", self.crs).transform(centres.lon, centres.lat)
        left, bottom, right, top = shapely.total_bounds(np.array([self.outlines[index] for index in self.own]))
        here = np.flatnonzero((x >= left) & (x < right) & (y >= bottom) & (y < top))
        pixels = np.column_stack([x[here], y[here]]) / gsd_m
        cells = np.floor(pixels / size).astype(np.int64)
        keys = np.array([centres.keys[index] for index in here.tolist()], dtype=np.str_)
        order = np.lexsort((keys, centres.ranks[here], cells[:, 1], cells[:, 0]))
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(cells[order], axis=0) != 0).any(axis=1)
        best = order[first]
        jitter = [_draw(str(keys[index]), centres.seed) for index in best]
        shift = np.round(np.array(jitter).reshape(-1, 2) * (centres.jitter * size)).astype(np.int64)
        corners = np.round(pixels[best]).astype(np.int64) + np.array([-(size // 2), size - size // 2]) + shift
        members: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, (column, row) in enumerate((cells[best] // self.per_block).tolist()):
            members[column, row].append(place)
        return {key: (cells[best][places], corners[places]) for key, places in members.items()}

    def reaches(self, points: NDArray[np.float64], crs: str) -> NDArray[np.bool_]:
        """Return which points [N, 2] in `crs` lie in a cell that this grid's own imagery touches."""
        step = self.plan.step
        inside = np.zeros(len(points), bool)
        moved = np.column_stack(transformer(crs, self.crs).transform(points[:, 0], points[:, 1]))
        left, bottom, right, top = shapely.total_bounds(np.array([self.outlines[index] for index in self.own]))
        known = np.isfinite(moved).all(axis=1)
        known[known] = (
            (moved[known] > [left - step, bottom - step]) & (moved[known] < [right + step, top + step])
        ).all(1)
        cells = np.floor(moved[known] / step)
        boxes = shapely.box(*(cells * step).T, *((cells + 1) * step).T)
        touched = np.zeros(len(cells), bool)
        for index in self.own:
            touched |= shapely.intersects(shapely.buffer(self.outlines[index], -self.plan.slack), boxes)
        inside[known] = touched
        return inside


def grid_crs(source: ImagerySource) -> str:
    """Return the CRS of a source's grid: its own if its metres are true to 1%, else its UTM zone."""
    own = pyproj.CRS(source.crs)
    left, bottom, right, top = source.bounds
    lons, lats = transformer(source.crs, "EPSG:4326").transform(
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
def transformer(from_crs: str, to_crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(from_crs, to_crs, always_xy=True)


def reproject(geometry: BaseGeometry, from_crs: str, to_crs: str) -> BaseGeometry:
    """Return `geometry` with its corners moved to another CRS."""
    moved: BaseGeometry = reproject_all(np.array([geometry]), from_crs, to_crs)[0]
    return moved


def reproject_all(geometries: NDArray[np.object_], from_crs: str, to_crs: str) -> NDArray[np.object_]:
    """Return `geometries` [N] with their corners moved to another CRS."""
    move = transformer(from_crs, to_crs)
    moved: NDArray[np.object_] = shapely.transform(
        geometries, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))
    )
    return moved


def pixel_boxes(corners: NDArray[np.int64], size: int, gsd_m: float) -> NDArray[np.object_]:
    """Return the squares, in metres of the grid, whose upper left corners [N, 2] are given in pixels."""
    x, y = corners[:, 0], corners[:, 1]
    boxes: NDArray[np.object_] = shapely.box(x * gsd_m, (y - size) * gsd_m, (x + size) * gsd_m, y * gsd_m)
    return boxes


def _outline(source: ImagerySource, crs: str) -> BaseGeometry:
    outline: BaseGeometry = shapely.box(*source.bounds)
    if crs == source.crs:
        return outline
    outline = reproject(shapely.segmentize(outline, shapely.length(outline) / 64), source.crs, crs)
    # Far from its zone a projection has no answer; such imagery is none for this grid.
    if not np.isfinite(shapely.get_coordinates(outline)).all():
        return shapely.Polygon()
    return shapely.make_valid(outline)


def _cover(outline: BaseGeometry, boxes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which boxes the outline covers but for what a chip may lack, twice over: pixels decide in the end."""
    shapely.prepare(outline)
    covers: NDArray[np.bool_] = shapely.covers(outline, boxes)
    cut = np.flatnonzero(~covers & shapely.intersects(outline, boxes))
    if len(cut):
        shares = shapely.area(shapely.intersection(boxes[cut], outline)) / shapely.area(boxes[cut])
        covers[cut] = shares > 1 - 2 * MAX_MISSING
    return covers


def _draw(key: str, seed: int) -> tuple[float, float]:
    """Return two numbers from -1 to 1 that follow from `key` and `seed` alone."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    east, north = (int.from_bytes(half, "little") / 2**31 - 1 for half in (digest[:4], digest[4:]))
    return east, north
