"""Where chips lie: cells of a grid of constant GSD, or squares centred on points, in blocks that are read at once."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geomammut.imagery.outlines import (
    DEGREES,
    clipped,
    grids_of,
    near,
    on_globe,
    outline,
    reproject,
    transformer,
)
from geomammut.imagery.sources import ImagerySource

MAX_MISSING = 0.01  # the share of a chip's pixels that may lack data
_BLOCK_PIXELS = 3072  # the side of a block; bounds the memory
_SAMPLES = 5  # a cell is looked at in as many points, to each side, for whether others cover it


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

    Where grids meet, the one whose imagery comes first in the order given goes first: a cell of another that cells
    of earlier ones cover is left out, one that sticks out of them is kept, so that no rim is lost. A point to centre
    a chip on belongs to the first grid that has it in a cell.

    Attributes:
        sources: The imagery, each at the level that fits the GSD.
        size: Side of a chip in pixels.
        gsd_m: Metres per pixel.
        area: Polygons in EPSG:4326; only chips wholly inside (to within a pixel) are made.
        centres: Points to centre chips on, at most one a cell; without them every cell is a chip.
        stride: Side of a cell in pixels, at most `size`, which None stands for: a chip's lower left corner is its
            cell's, and where the stride is less, neighbours overlap.
    """

    sources: Sequence[ImagerySource]
    size: int
    gsd_m: float
    area: BaseGeometry | None = None
    centres: Centres | None = None
    stride: int | None = None

    def __iter__(self) -> Iterator[ChipBlock]:
        for grid in self._grids:
            for key in sorted(grid.blocks, key=lambda key: (-key[1], key[0])):
                block = self._block(grid, key)
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
        return self.pixels_apart * self.gsd_m

    @property
    def pixels_apart(self) -> int:
        """Side of a cell in pixels."""
        return self.size if self.stride is None else self.stride

    @property
    def slack(self) -> float:
        """Metres by which the last bits of an outline's coordinates may be off, so that they open no cell."""
        return self.gsd_m / 10

    @cached_property
    def _grids(self) -> list["_Grid"]:
        owned: dict[str, dict[int, BaseGeometry]] = defaultdict(dict)
        for index, source in enumerate(self.sources):
            for crs, part in grids_of(source).items():
                owned[crs][index] = part
        globe = [on_globe(source) for source in self.sources]
        tree = shapely.STRtree(globe)
        grids: list[_Grid] = []
        for crs, own in owned.items():
            around = near(*(globe[index] for index in own))
            met = {*own, *tree.query([globe[index] for index in own], predicate="intersects")[1].tolist()}
            outlines = {index: outline(self.sources[index], crs, around) for index in sorted(met)}
            area = None
            if self.area is not None:
                # Edges of an area are straight in degrees; 0.01° keeps their course to a few centimetres.
                area = reproject(shapely.segmentize(clipped(self.area, around), 0.01), DEGREES, crs)
                area = shapely.buffer(area, self.gsd_m, join_style="mitre")
            grids.append(_Grid(self, crs, own, outlines, area, tuple(grids)))
        return grids

    def _block(self, grid: "_Grid", key: tuple[int, int]) -> ChipBlock | None:
        cells, corners = grid.squares(key)
        if len(cells) == 0:
            return None
        met = sorted(grid.blocks[key])
        boxes = pixel_boxes(corners, self.size, self.gsd_m)
        covers = np.stack([covered(grid.outlines[index], boxes) for index in met], axis=1)
        wanted = grid.is_touched(cells)
        if grid.area is not None:
            wanted &= shapely.covers(grid.area, boxes)
        if self.centres is None and grid.earlier:
            wanted[wanted] = grid.sticks_out(cells[wanted])
        if not wanted.any():
            return None
        order = np.flatnonzero(wanted)
        order = order[np.lexsort((corners[order, 0], -corners[order, 1]))]
        return ChipBlock(grid.crs, corners[order], tuple(met), covers[order])


@dataclass(frozen=True)
class _Grid:
    """One coordinate system's cells: squares at whole multiples of the plan's step; (c, r) has its
    south-western corner at (c · step, r · step)."""

    plan: GridPlan
    crs: str
    own: dict[int, BaseGeometry]  # what of the imagery whose grid this is lies on it
    outlines: dict[int, BaseGeometry]  # of all imagery that meets it
    area: BaseGeometry | None
    earlier: tuple["_Grid", ...]
    per_block: int = field(init=False)

    def __post_init__(self) -> None:
        per_block = max(1, (_BLOCK_PIXELS - self.plan.size) // self.plan.pixels_apart + 1)
        object.__setattr__(self, "per_block", per_block)
        for shape in self.outlines.values():
            shapely.prepare(shape)
        if self.area is not None:
            shapely.prepare(self.area)

    @cached_property
    def blocks(self) -> dict[tuple[int, int], list[int]]:
        """Column and row of each block that this grid's own imagery touches, with all imagery that does."""
        found: dict[tuple[int, int], list[int]] = {}
        for shape in self._own_inside:
            for key in self._keys(shape):
                found.setdefault(key, [])
        # Chips that are centred, or overlap, reach beyond their block.
        margin = self.plan.size * self.plan.gsd_m - self.plan.step if self.plan.centres is None else self.plan.step
        for index, shape in self.outlines.items():
            for key in self._keys(shapely.buffer(shape, margin - self.plan.slack, join_style="mitre")):
                if key in found:
                    found[key].append(index)
        return found

    def _keys(self, shape: BaseGeometry) -> Iterator[tuple[int, int]]:
        """Yield column and row of the blocks that a shape touches."""
        step = self.plan.step * self.per_block
        if shape.is_empty:
            return
        left, bottom, right, top = shape.bounds
        if self.area is not None:
            west, south, east, north = self.area.bounds
            left, bottom, right, top = max(left, west), max(bottom, south), min(right, east), min(top, north)
            if not (left < right and bottom < top):
                return
        columns = np.arange(math.floor(left / step), math.ceil(right / step))
        rows = np.arange(math.floor(bottom / step), math.ceil(top / step))
        keys = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        shapely.prepare(shape)
        boxes = shapely.box(*(keys * step).T, *((keys + 1) * step).T)
        yield from map(tuple, keys[shapely.intersects(shape, boxes)].tolist())

    @cached_property
    def _own_inside(self) -> NDArray[np.object_]:
        return np.array([shapely.buffer(shape, -self.plan.slack) for shape in self.own.values()])

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._own_inside)

    def is_touched(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which cells [N, 2] this grid's own imagery touches."""
        step = self.plan.step
        touched = np.zeros(len(cells), bool)
        boxes = shapely.box(*(cells * step).T, *((cells + 1) * step).T)
        touched[self._tree.query(boxes, predicate="intersects")[0]] = True
        return touched

    def squares(self, key: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the cells [N, 2] of a block and the upper left corner, in pixels, of the square in each."""
        if self.plan.centres is not None:
            return self._centred.get(key, (np.empty((0, 2), np.int64),) * 2)
        offsets = np.arange(self.per_block)
        cells = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2) + np.array(key) * self.per_block
        return cells, cells * self.plan.pixels_apart + np.array([0, self.plan.size])

    @cached_property
    def _centred(self) -> dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]]:
        centres, size, gsd_m = self.plan.centres, self.plan.size, self.plan.gsd_m
        assert centres is not None
        x, y = transformer(DEGREES, self.crs).transform(centres.lon, centres.lat)
        left, bottom, right, top = shapely.total_bounds(list(self.own.values()))
        is_here = (x >= left) & (x < right) & (y >= bottom) & (y < top)
        for grid in self.earlier:
            is_here[is_here] = ~grid.has(np.column_stack([centres.lon[is_here], centres.lat[is_here]]), DEGREES)
        here = np.flatnonzero(is_here)
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

    def sticks_out(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which cells [N, 2] are not covered by cells of earlier grids."""
        share = np.linspace(0.02, 0.98, _SAMPLES)
        inside = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
        points = ((cells[:, None] + inside) * self.plan.step).reshape(-1, 2)
        is_free = np.ones(len(points), bool)
        for grid in self.earlier:
            is_free[is_free] = ~grid.has(points[is_free], self.crs)
        return np.asarray(is_free.reshape(len(cells), len(inside)).any(axis=1))

    def has(self, points: NDArray[np.float64], crs: str) -> NDArray[np.bool_]:
        """Return which points [N, 2] in `crs` lie in a cell that this grid's own imagery touches."""
        step = self.plan.step
        moved = np.column_stack(transformer(crs, self.crs).transform(points[:, 0], points[:, 1]))
        left, bottom, right, top = shapely.total_bounds(list(self.own.values()))
        known = np.asarray(np.isfinite(moved).all(axis=1))
        known[known] = (
            (moved[known] > [left - step, bottom - step]) & (moved[known] < [right + step, top + step])
        ).all(1)
        cells, place = np.unique(np.floor(moved[known] / step).astype(np.int64), axis=0, return_inverse=True)
        known[known] = self.is_touched(cells)[place]
        return known


def pixel_boxes(corners: NDArray[np.int64], size: int, gsd_m: float) -> NDArray[np.object_]:
    """Return the squares, in metres of the grid, whose upper left corners [N, 2] are given in pixels."""
    x, y = corners[:, 0], corners[:, 1]
    boxes: NDArray[np.object_] = shapely.box(x * gsd_m, (y - size) * gsd_m, (x + size) * gsd_m, y * gsd_m)
    return boxes


def covered(outline: BaseGeometry, boxes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which boxes [N] an outline covers but for what a chip may lack, twice over: pixels decide in the end."""
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
