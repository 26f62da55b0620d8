"""Land uses by quota: whole, double and mixed districts, rural and urban ones where they belong."""

import math

import numpy as np

from geomammut.demo.place.plan.plan import DISTRICT_M, Cell, District, Edge, Lot, Plan

# Land uses: (name, how urban, districts or lots per 200 districts in training, the same per 56 held out).
_DOUBLES = (("airport", 6, 3), ("lake", 7, 3))
_WHOLES = (
    ("residential", 0.75, 40, 8),
    ("farmland", 0.2, 34, 5),
    ("forest", 0.15, 24, 4),
    ("golf", 0.35, 8, 4),
)
# Lots: (name, how urban, quarter lots, half lots) in the held-out area; training has about three times as many.
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


def lay_uses(plan: Plan, rng: np.random.Generator, river: set[Cell]) -> None:
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
            _add_district(plan, cell, (1, 1), [Lot(use_of[cell], 0, 0, 1, 1)])
    _fill_mixed(plan, rng, mixed)


def _cell_urban(plan: Plan, cell: Cell) -> float:
    return plan.urban((cell[0] + 0.5) * DISTRICT_M, (cell[1] + 0.5) * DISTRICT_M)


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
    _add_district(plan, cell, span, [Lot(use, 0, 0, 1, 1)])


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
        lots: list[Lot] = []
        upright = bool(rng.random() < 0.5)
        for k in (0, 1):
            take_half = halves and (
                len(singles) < 2 or rng.random() < 2 * len(halves) / (2 * len(halves) + len(singles))
            )
            uses = [halves.pop(0)[1]] if take_half else [singles.pop(0)[1], singles.pop(0)[1]]
            for m, use in enumerate(uses):
                a, b = m / len(uses), (m + 1) / len(uses)
                box = (k / 2, a, (k + 1) / 2, b) if upright else (a, k / 2, b, (k + 1) / 2)
                lots.append(Lot(use, *box))
        _add_district(plan, cell, (1, 1), lots)


def _add_district(plan: Plan, cell: Cell, span: Cell, lots: list[Lot]) -> None:
    # Lots hold shares of the district here; `lay_streets` turns them into plan coordinates when edges are known.
    plan.districts[cell] = District(cell, span, lots, held_out=cell in plan.held_out)
