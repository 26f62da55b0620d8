"""What a plan holds: districts with their lots, the edges between them, and the warp that bends them.

Plan coordinates are metres on the unwarped grid; `Plan.world` bends them into the place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from geomammut.demo.place.shapes import Frame, Point, Points

DISTRICT_M = 480
Cell = tuple[int, int]
Edge = tuple[str, int, int]  # ("v", line, row): x = line; ("h", line, column): y = line

# Half the width that each kind of edge takes from the districts beside it, metres.
MARGIN = {
    "motorway": 37.0,
    "rail": 15.0,
    "primary": 15.0,
    "residential": 9.0,
    "unclassified": 8.0,
    "track": 5.0,
}
YARD_M = 40.0


class Lot(NamedTuple):
    """A rectangle of the plan with one land use."""

    use: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass
class District:
    """One district, or a double one (`span` cells from its first)."""

    cell: Cell
    span: Cell
    lots: list[Lot]
    streets: list[Points] = field(default_factory=list)  # plan coordinates
    held_out: bool = False


@dataclass
class Plan:
    """Everything that districts must agree on: the warp, the edges, the river, the uses."""

    seed: int
    count: int
    held_out: frozenset[Cell]
    warp: Points  # [waves, 6]: amplitude x, y, wave vector x, y, phase x, y
    fixed_x: tuple[float, ...]
    fixed_y: tuple[float, ...]
    towns: Points
    edges: dict[Edge, str] = field(default_factory=dict)
    junctions: dict[Edge, set[float]] = field(default_factory=dict)
    yards: set[Edge] = field(default_factory=set)
    roundabouts: dict[Cell, float] = field(default_factory=dict)
    river: Points | None = None  # centre line, plan coordinates
    districts: dict[Cell, District] = field(default_factory=dict)

    @property
    def side(self) -> int:
        return self.count * DISTRICT_M

    def world(self, points: Points | Sequence[Point]) -> Points:
        """Bend plan coordinates [N, 2] into the place. Region boundaries and the outer border stay straight."""
        plan = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        shift = np.zeros_like(plan)
        for ax, ay, kx, ky, px, py in self.warp:
            wave = kx * plan[:, 0] + ky * plan[:, 1]
            shift[:, 0] += ax * np.sin(wave + px)
            shift[:, 1] += ay * np.sin(wave + py)
        for axis, lines in ((0, self.fixed_x), (1, self.fixed_y)):
            for line in lines:
                shift[:, axis] *= 1 - np.exp(-(((plan[:, axis] - line) / 350.0) ** 2))
        return np.round(plan + shift, 2)

    def rng(self, *key: int) -> np.random.Generator:
        """Return the generator of one part of the place: the same key gives the same numbers."""
        return np.random.default_rng([self.seed, *key])

    def quad(self, x0: float, y0: float, x1: float, y1: float, step: float = 40.0) -> Points:
        """Return a plan rectangle's outline in the place."""
        nx, ny = max(2, math.ceil((x1 - x0) / step) + 1), max(2, math.ceil((y1 - y0) / step) + 1)
        xs, ys = np.linspace(x0, x1, nx), np.linspace(y0, y1, ny)
        top = np.stack([xs, np.full(nx, y0)], axis=1)
        right = np.stack([np.full(ny, x1), ys], axis=1)
        bottom = np.stack([xs[::-1], np.full(nx, y1)], axis=1)
        left = np.stack([np.full(ny, x0), ys[::-1]], axis=1)
        return self.world(np.concatenate([top[:-1], right[:-1], bottom[:-1], left[:-1]]))

    def frame(self, lot: Lot) -> Frame:
        """Return a turned rectangle that fits inside a lot."""
        a, b, c, d = self.world([(lot.x0, lot.y0), (lot.x1, lot.y0), (lot.x1, lot.y1), (lot.x0, lot.y1)])
        across, down = (b - a) + (c - d), (d - a) + (c - b)
        angle = math.atan2(across[1], across[0])
        skew = abs(math.cos(math.atan2(down[1], down[0]) - angle))
        width = min(np.hypot(*(b - a)), np.hypot(*(c - d)))
        depth = min(np.hypot(*(d - a)), np.hypot(*(c - b)))
        centre = (a + b + c + d) / 4
        return Frame(
            float(centre[0]),
            float(centre[1]),
            angle,
            float(width - skew * depth),
            float(depth - 0.5 * skew * width),
        )

    def margin(self, edge: Edge, far_side: bool) -> float:
        """Return the width an edge takes from the district on its far (right or lower) or near side."""
        kind = self.edges.get(edge)
        if kind is None:
            return 0.0
        return MARGIN[kind] + (YARD_M if edge in self.yards and far_side else 0.0)

    def edges_at(self, node: Cell) -> dict[str, Edge]:
        """Return the edges that meet at a grid node, by the side they leave it on."""
        i, j = node
        around: dict[str, Edge] = {
            "up": ("v", i, j - 1),
            "down": ("v", i, j),
            "left": ("h", j, i - 1),
            "right": ("h", j, i),
        }
        return {side: edge for side, edge in around.items() if edge in self.edges}

    def urban(self, x: float, y: float) -> float:
        """Return how urban a plan point is, 0..1."""
        distance = np.hypot(self.towns[:, 0] - x, self.towns[:, 1] - y)
        return float(np.exp(-((distance / (0.19 * self.side + 250)) ** 2)).max())
