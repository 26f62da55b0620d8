"""The plan of the demo place: a warped grid of districts, their land uses by quota, and which are held out.

Plan coordinates are metres on the unwarped grid; `Plan.world` bends them into the place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomammut.demo.place_sheet import Frame, Points

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

# Land uses: (name, how urban, districts or lots per 200 districts in training, the same per 56 held out).
_DOUBLES = (("airport", 6, 3), ("lake", 7, 3))
_WHOLES = (
    ("residential", 0.75, 40, 8),
    ("farmland", 0.2, 34, 5),
    ("forest", 0.15, 24, 4),
    ("golf", 0.35, 8, 4),
)
# Lots: (name, how urban, quarter lots, half lots) in the held-out area; the training area has about three times as many.
_LOTS = (
    ("stadium", 0.75, 4, 0),
    ("tank farm", 0.5, 3, 2),
    ("solar farm", 0.1, 2, 3),
    ("quarry", 0.15, 2, 2),
    ("greenhouses", 0.25, 2, 2),
    ("wastewater", 0.4, 4, 0),
    ("cemetery", 0.6, 4, 0),
    ("school", 0.8, 0, 4),
    ("apartments", 0.95, 4, 2),
    ("commercial", 0.95, 3, 2),
    ("sports", 0.65, 2, 3),
    ("construction", 0.7, 4, 0),
    ("orchard", 0.2, 2, 2),
    ("park", 0.85, 4, 0),
    ("meadow", 0.15, 4, 0),
    ("industrial", 0.55, 2, 3),
)
_RIVERSIDE = ("residential", "farmland", "forest")


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
    warp: npt.NDArray[np.float64]  # [waves, 6]: amplitude x, y, wave vector x, y, phase x, y
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

    def world(self, points: Points | Sequence[tuple[float, float]]) -> Points:
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


def make_plan(seed: int, count: int, *, hold_out: bool = True) -> Plan:
    """Plan a place of `count` × `count` districts, holding out a corner of about 22% of them if asked."""
    rng = np.random.default_rng([seed, 1])
    wide = max(2, round(count * 0.5)) if hold_out else 0
    tall = max(2, round(0.22 * count * count / wide)) if hold_out else 0
    held = frozenset((i, j) for i in range(count - wide, count) for j in range(count - tall, count))
    side = float(count * DISTRICT_M)
    waves = []
    for _ in range(5):
        length, way = rng.uniform(2600, 5200), rng.uniform(0, 2 * np.pi)
        k = 2 * np.pi / length
        waves.append([*rng.uniform(25, 50, 2), k * np.cos(way), k * np.sin(way), *rng.uniform(0, 2 * np.pi, 2)])
    lines = (0.0, side)
    plan = Plan(
        seed=seed,
        count=count,
        held_out=held,
        warp=np.array(waves),
        fixed_x=(*lines, side - wide * DISTRICT_M) if hold_out else lines,
        fixed_y=(*lines, side - tall * DISTRICT_M) if hold_out else lines,
        towns=_towns(rng, side, held),
    )
    _lay_lines(plan, rng, wide, tall)
    river_cells = _lay_river(plan, rng, tall)
    _lay_uses(plan, rng, river_cells)
    _thin_edges(plan, rng)
    _lay_roundabouts(plan, rng)
    _lay_streets(plan, rng)
    return plan


def urban(plan: Plan, x: float, y: float) -> float:
    """Return how urban a plan point is, 0..1."""
    distance = np.hypot(plan.towns[:, 0] - x, plan.towns[:, 1] - y)
    return float(np.exp(-((distance / (0.19 * plan.side + 250)) ** 2)).max())


def _towns(rng: np.random.Generator, side: float, held: frozenset[Cell]) -> Points:
    centres = [
        (rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.35)),
        (rng.uniform(0.65, 0.85), rng.uniform(0.1, 0.3)),
    ]
    centres += [
        (rng.uniform(0.15, 0.35), rng.uniform(0.7, 0.9)),
        (rng.uniform(0.68, 0.85), rng.uniform(0.72, 0.85)),
    ]
    return np.array(centres) * side


def _lay_lines(plan: Plan, rng: np.random.Generator, wide: int, tall: int) -> None:
    """Give every inner grid line a kind; motorway, railway and primary roads cross both regions."""
    n = plan.count
    kinds: dict[tuple[str, int], str] = {}
    held_col, held_row = (n - wide + 1, n - tall + 1) if wide else (n // 2 + 1, n // 2 + 1)
    kinds["v", int(rng.integers(held_col, max(held_col + 1, n - 2)))] = "motorway"
    kinds["h", int(rng.integers(held_row, max(held_row + 1, n - 1)))] = "rail"
    if n >= 8:
        kinds["h", int(rng.integers(2, max(3, held_row - 3)))] = "motorway"
        kinds["v", int(rng.integers(2, max(3, held_col - 3)))] = "rail"
    for axis in "vh":
        for line in range(1, n):
            if line % 4 == (2 if axis == "v" else 3):
                kinds.setdefault((axis, line), "primary")
    for axis in "vh":
        for line in range(1, n):
            for part in range(n):
                x, y = (line, part + 0.5) if axis == "v" else (part + 0.5, line)
                near = urban(plan, x * DISTRICT_M, y * DISTRICT_M)
                minor = "residential" if near > 0.45 else "unclassified" if rng.random() < 0.7 else "track"
                plan.edges[axis, line, part] = kinds.get((axis, line), minor)
    rails = sorted(edge for edge, kind in plan.edges.items() if kind == "rail")
    plan.yards.update(edge for k, edge in enumerate(rails) if k % 3 == 1)


def _lay_river(plan: Plan, rng: np.random.Generator, tall: int) -> set[Cell]:
    """Let a river walk from the left border to the right one, through the held-out rows; return its cells."""
    n = plan.count
    row = max(1, n - tall - 3) if tall else n // 2 - 1
    last = max(row, n - tall // 2 - 1) if tall else min(n - 1, n // 2 + 1)
    column, cells = 0, [(0, row)]
    while column < n - 1 or row < last:
        down = row < last and (column == n - 1 or rng.random() < (last - row) / max(1, n - 1 - column))
        column, row = (column, row + 1) if down else (column + 1, row)
        cells.append((column, row))
    points = [(-60.0, (cells[0][1] + 0.5) * DISTRICT_M)]
    for i, j in cells:
        dx, dy = rng.uniform(-0.17, 0.17, 2)
        points.append(((i + 0.5 + dx) * DISTRICT_M, (j + 0.5 + dy) * DISTRICT_M))
    points.append((plan.side + 60.0, points[-1][1]))
    plan.river = np.array(points)
    return set(cells)


def _lay_uses(plan: Plan, rng: np.random.Generator, river: set[Cell]) -> None:
    everywhere = {(i, j) for i in range(plan.count) for j in range(plan.count)}
    for region, share, column in (
        (everywhere - plan.held_out, len(everywhere - plan.held_out) / 200, 0),
        (set(plan.held_out), len(plan.held_out) / 56, 1),
    ):
        if region:
            _lay_region(plan, rng, region, river, share, column)


def _lay_region(
    plan: Plan, rng: np.random.Generator, region: set[Cell], river: set[Cell], share: float, column: int
) -> None:
    left = set(region)
    for use, *counts in _DOUBLES:
        for _ in range(max(1, round(counts[column] * share))):
            _lay_double(plan, rng, use, left, river)
    noise = {cell: rng.normal(0, 0.10) for cell in sorted(left)}
    cells = sorted(left, key=lambda c: _cell_urban(plan, c) + noise[c])
    roles: list[tuple[float, str]] = []
    for use, score, *counts in _WHOLES:
        roles += [(score + rng.normal(0, 0.12), use) for _ in range(max(1, round(counts[column] * share)))]
    roles = roles[: len(cells)]
    roles += [(rng.uniform(0.15, 1.0), "mixed") for _ in range(len(cells) - len(roles))]
    ranked = [use for _, use in sorted(roles)]
    use_of = dict(zip(cells, ranked, strict=True))
    for cell in cells:
        if cell in river and use_of[cell] not in _RIVERSIDE:
            rank = cells.index(cell)
            swaps = [c for c in cells if c not in river and use_of[c] in _RIVERSIDE]
            if swaps:
                other = min(swaps, key=lambda c: abs(cells.index(c) - rank))
                use_of[cell], use_of[other] = use_of[other], use_of[cell]
            else:
                use_of[cell] = "residential"
    mixed = [cell for cell in cells if use_of[cell] == "mixed"]
    for cell in cells:
        if use_of[cell] != "mixed":
            _add_district(plan, cell, (1, 1), [(use_of[cell], 0, 0, 1, 1)])
    _fill_mixed(plan, rng, mixed)


def _cell_urban(plan: Plan, cell: Cell) -> float:
    return urban(plan, (cell[0] + 0.5) * DISTRICT_M, (cell[1] + 0.5) * DISTRICT_M)


def _lay_double(plan: Plan, rng: np.random.Generator, use: str, left: set[Cell], river: set[Cell]) -> None:
    """Give two neighbouring districts to one use where only a minor road parts them."""
    options: list[tuple[float, Cell, Cell, Edge]] = []
    for i, j in sorted(left - river):
        for (di, dj), edge in (((1, 0), ("v", i + 1, j)), ((0, 1), ("h", j + 1, i))):
            other = (i + di, j + dj)
            if other in left and other not in river and plan.edges[edge] not in ("motorway", "rail", "primary"):
                score = _cell_urban(plan, (i, j)) + _cell_urban(plan, other) + rng.uniform(0, 0.8)
                options.append((score, (i, j), (1 + di, 1 + dj), edge))
    if not options:
        return
    _, cell, span, edge = min(options)
    plan.edges.pop(edge)
    left -= {cell, (cell[0] + span[0] - 1, cell[1] + span[1] - 1)}
    _add_district(plan, cell, span, [(use, 0, 0, 1, 1)])


def _fill_mixed(plan: Plan, rng: np.random.Generator, cells: list[Cell]) -> None:
    """Deal half and quarter lots to the mixed districts, rural ones first."""
    capacity = 4 * len(cells)
    scale = capacity / sum(q + 2 * h for _, _, q, h in _LOTS)
    singles: list[tuple[float, str]] = []
    halves: list[tuple[float, str]] = []
    for use, score, q, h in _LOTS:
        singles += [(score + rng.normal(0, 0.22), use) for _ in range(math.ceil(q * scale))]
        halves += [(score + rng.normal(0, 0.22), use) for _ in range(round(h * scale + 0.2))]
    rng.shuffle(halves)
    while len(singles) + 2 * len(halves) > capacity and halves:
        surplus = halves.pop()
        if all(use != surplus[1] for _, use in singles):
            singles.append(surplus)
    rng.shuffle(singles)
    singles = singles[: max(0, capacity - 2 * len(halves))]
    while len(singles) + 2 * len(halves) < capacity:
        singles.append((rng.uniform(0.2, 0.9), str(rng.choice(["park", "industrial", "apartments", "meadow"]))))
    singles.sort()
    halves.sort()
    for cell in cells:
        parts: list[tuple[str, float, float, float, float]] = []
        upright = bool(rng.random() < 0.5)
        for k in (0, 1):
            take_half = halves and (
                len(singles) < 2 or rng.random() < 2 * len(halves) / (2 * len(halves) + len(singles))
            )
            uses = [halves.pop(0)[1]] if take_half else [singles.pop(0)[1], singles.pop(0)[1]]
            for m, use in enumerate(uses):
                a, b = m / len(uses), (m + 1) / len(uses)
                box = (k / 2, a, (k + 1) / 2, b) if upright else (a, k / 2, b, (k + 1) / 2)
                parts.append((use, *box))
        _add_district(plan, cell, (1, 1), parts)


def _add_district(plan: Plan, cell: Cell, span: Cell, parts: list[tuple[str, float, float, float, float]]) -> None:
    # Lots hold shares of the district here; `_lay_streets` turns them into plan coordinates when edges are known.
    lots = [Lot(*part) for part in parts]
    plan.districts[cell] = District(cell, span, lots, held_out=cell in plan.held_out)


def _thin_edges(plan: Plan, rng: np.random.Generator) -> None:
    """Drop about half the minor roads between rural districts, as long as the network stays connected."""
    rural = {"forest", "farmland", "golf"}
    use = {cell: d.lots[0].use for cell, d in plan.districts.items() if len(d.lots) == 1}
    for edge in sorted(plan.edges):
        axis, line, part = edge
        if plan.edges[edge] not in ("unclassified", "track") or rng.random() < 0.45:
            continue
        sides = ((line - 1, part), (line, part)) if axis == "v" else ((part, line - 1), (part, line))
        if all(use.get(cell) in rural for cell in sides):
            kind = plan.edges.pop(edge)
            if not _connected(plan):
                plan.edges[edge] = kind


def _connected(plan: Plan) -> bool:
    ends: dict[Cell, list[Cell]] = {}
    for (axis, line, part), kind in plan.edges.items():
        if kind != "rail":
            a, b = ((line, part), (line, part + 1)) if axis == "v" else ((part, line), (part + 1, line))
            ends.setdefault(a, []).append(b)
            ends.setdefault(b, []).append(a)
    seen, queue = set(), [next(iter(ends))]
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += ends[node]
    return len(seen) == len(ends)


def edges_at(plan: Plan, node: Cell) -> dict[str, Edge]:
    """Return the edges that meet at a grid node, by the side they leave it on."""
    i, j = node
    around: dict[str, Edge] = {
        "up": ("v", i, j - 1),
        "down": ("v", i, j),
        "left": ("h", j, i - 1),
        "right": ("h", j, i),
    }
    return {side: edge for side, edge in around.items() if edge in plan.edges}


def _lay_roundabouts(plan: Plan, rng: np.random.Generator) -> None:
    for i in range(1, plan.count):
        for j in range(1, plan.count):
            kinds = [plan.edges[edge] for edge in edges_at(plan, (i, j)).values()]
            minor = all(kind in ("primary", "residential", "unclassified") for kind in kinds)
            if minor and len(kinds) >= 3 and rng.random() < (0.6 if "primary" in kinds else 0.25):
                plan.roundabouts[i, j] = float(rng.uniform(13, 21))


def _lay_streets(plan: Plan, rng: np.random.Generator) -> None:
    """Turn lot shares into plan coordinates within the margins, and lay each district's own streets."""
    for district in plan.districts.values():
        (i, j), (wide, tall) = district.cell, district.span
        west = max(plan.margin(("v", i, j + k), True) for k in range(tall))
        east = max(plan.margin(("v", i + wide, j + k), False) for k in range(tall))
        north = max(plan.margin(("h", j, i + k), True) for k in range(wide))
        south = max(plan.margin(("h", j + tall, i + k), False) for k in range(wide))
        x0, x1 = i * DISTRICT_M + west, (i + wide) * DISTRICT_M - east
        y0, y1 = j * DISTRICT_M + north, (j + tall) * DISTRICT_M - south
        single = len(district.lots) == 1
        gap = 0.0 if single else 5.0

        def lot_at(lot: Lot, x0: float = x0, y0: float = y0, x1: float = x1, y1: float = y1, g: float = gap) -> Lot:
            w, h = x1 - x0, y1 - y0
            return Lot(
                lot.use,
                x0 + w * lot.x0 + (g if lot.x0 else 0),
                y0 + h * lot.y0 + (g if lot.y0 else 0),
                x0 + w * lot.x1 - (g if lot.x1 < 1 else 0),
                y0 + h * lot.y1 - (g if lot.y1 < 1 else 0),
            )

        shares = list(district.lots)
        district.lots = [lot_at(lot) for lot in shares]
        attach = _Attach(plan, district, (x0, y0, x1, y1))
        if single and shares[0].use == "residential":
            _residential_streets(attach, rng)
        elif not single:
            _service_streets(attach, shares)


class _Attach:
    """Runs a district's streets to its edges and notes where they meet them."""

    def __init__(self, plan: Plan, district: District, box: tuple[float, float, float, float]) -> None:
        self.plan, self.district, self.box = plan, district, box

    def street(self, upright: bool, at: float, bend: Callable[[npt.NDArray[np.float64]], Points]) -> None:
        """Lay a street across the district at `at`; `bend` maps 0..1 along it to sideways metres."""
        i, j = self.district.cell
        x0, y0, x1, y1 = self.box
        axis, lines, part = ("h", (j, j + 1), i) if upright else ("v", (i, i + 1), j)
        ends = []
        for line, inside in zip(lines, (y0, y1) if upright else (x0, x1), strict=True):
            edge: Edge = (axis, line, part)
            joins = self.plan.edges.get(edge) not in (None, "motorway", "rail")
            if joins:
                self.plan.junctions.setdefault(edge, set()).add(at)
            ends.append(line * DISTRICT_M if joins else inside + (14 if line == lines[0] else -14))
        run = np.linspace(0, 1, 14)
        reach = ends[0] + (ends[1] - ends[0]) * run
        aside = at + bend(run) * np.sin(np.pi * run) ** 0.5
        self.district.streets.append(np.stack([aside, reach] if upright else [reach, aside], axis=1))


def _residential_streets(attach: _Attach, rng: np.random.Generator) -> None:
    x0, y0, x1, y1 = attach.box
    upright = bool(rng.random() < 0.5)
    low, high = (x0, x1) if upright else (y0, y1)
    rows = int(rng.integers(5, 8))
    gap = (high - low) / rows
    bow, waves, phase = rng.uniform(-18, 18), rng.uniform(0.5, 1.5), rng.uniform(0, 6)

    def bend(run: npt.NDArray[np.float64]) -> Points:
        return bow * np.sin(waves * 2 * np.pi * run + phase)

    for k in range(rows):
        attach.street(upright, round(low + gap * (k + 0.5), 1), bend)
    across = (y0, y1) if upright else (x0, x1)
    for share in rng.choice([0.3, 0.5, 0.7], size=int(rng.integers(1, 3)), replace=False):
        at = across[0] + float(share) * (across[1] - across[0])
        attach.street(not upright, round(at + rng.uniform(-15, 15), 1), lambda run: run * 0)


def _service_streets(attach: _Attach, shares: list[Lot]) -> None:
    x0, y0, x1, y1 = attach.box
    straight: Callable[[npt.NDArray[np.float64]], Points] = lambda run: run * 0  # noqa: E731
    whole_x = all(lot.x0 >= 0.5 or lot.x1 <= 0.5 for lot in shares)
    whole_y = all(lot.y0 >= 0.5 or lot.y1 <= 0.5 for lot in shares)
    if whole_x:
        attach.street(True, (x0 + x1) / 2, straight)
    if whole_y:
        attach.street(False, (y0 + y1) / 2, straight)
