"""The plan's small parts: each district's lots within its roads' margins, and its own streets."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geomammut.demo.place.plan.plan import DISTRICT_M, District, Edge, Lot, Plan
from geomammut.demo.place.shapes import Box

Values = npt.NDArray[np.float64]


def lay_streets(plan: Plan, rng: np.random.Generator) -> None:
    """Turn lot shares into plan coordinates within the margins, and lay each district's own streets."""
    for district in plan.districts.values():
        (i, j), (wide, tall) = district.cell, district.span
        west = max(plan.margin(("v", i, j + k), True) for k in range(tall))
        east = max(plan.margin(("v", i + wide, j + k), False) for k in range(tall))
        north = max(plan.margin(("h", j, i + k), True) for k in range(wide))
        south = max(plan.margin(("h", j + tall, i + k), False) for k in range(wide))
        x0, x1 = i * DISTRICT_M + west, (i + wide) * DISTRICT_M - east
        y0, y1 = j * DISTRICT_M + north, (j + tall) * DISTRICT_M - south
        box = (x0, y0, x1, y1)
        shares = district.lots
        single = len(shares) == 1
        district.lots = [_within(box, share, 0.0 if single else 5.0) for share in shares]
        attach = _Attach(plan, district, box)
        if single and shares[0].use == "residential":
            _residential_streets(attach, rng)
        elif not single:
            _service_streets(attach, shares)


def _within(box: Box, share: Lot, gap: float) -> Lot:
    """Return the rectangle that is a share of a box, `gap` away from the lots beside it."""
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    return Lot(
        share.use,
        x0 + w * share.x0 + (gap if share.x0 else 0),
        y0 + h * share.y0 + (gap if share.y0 else 0),
        x0 + w * share.x1 - (gap if share.x1 < 1 else 0),
        y0 + h * share.y1 - (gap if share.y1 < 1 else 0),
    )


def _straight(run: Values) -> Values:
    return run * 0


class _Attach:
    """Runs a district's streets to its edges and notes where they meet them."""

    def __init__(self, plan: Plan, district: District, box: Box) -> None:
        self.plan, self.district, self.box = plan, district, box

    def street(self, upright: bool, at: float, bend: Callable[[Values], Values]) -> None:
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

    def bend(run: Values) -> Values:
        return bow * np.sin(waves * 2 * np.pi * run + phase)

    for k in range(rows):
        attach.street(upright, round(low + gap * (k + 0.5), 1), bend)
    across = (y0, y1) if upright else (x0, x1)
    for share in rng.choice([0.3, 0.5, 0.7], size=int(rng.integers(1, 3)), replace=False):
        at = across[0] + float(share) * (across[1] - across[0])
        attach.street(not upright, round(at + rng.uniform(-15, 15), 1), _straight)


def _service_streets(attach: _Attach, shares: list[Lot]) -> None:
    x0, y0, x1, y1 = attach.box
    whole_x = all(lot.x0 >= 0.5 or lot.x1 <= 0.5 for lot in shares)
    whole_y = all(lot.y0 >= 0.5 or lot.y1 <= 0.5 for lot in shares)
    if whole_x:
        attach.street(True, (x0 + x1) / 2, _straight)
    if whole_y:
        attach.street(False, (y0 + y1) / 2, _straight)
