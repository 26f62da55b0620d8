"""The plan of a place: a warped grid of districts, their land uses by quota, and which are held out."""

import numpy as np

from geomammut.demo.place.plan.lines import lay_lines, lay_river, lay_roundabouts, thin_edges
from geomammut.demo.place.plan.plan import DISTRICT_M, Cell, District, Edge, Lot, Plan
from geomammut.demo.place.plan.streets import lay_streets
from geomammut.demo.place.plan.uses import lay_uses
from geomammut.demo.place.shapes import Points

__all__ = ["DISTRICT_M", "Cell", "District", "Edge", "Lot", "Plan", "make_plan"]


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
        towns=_towns(rng, side),
    )
    lay_lines(plan, rng, wide, tall)
    river_cells = lay_river(plan, rng, tall)
    lay_uses(plan, rng, river_cells)
    thin_edges(plan, rng)
    lay_roundabouts(plan, rng)
    lay_streets(plan, rng)
    return plan


def _towns(rng: np.random.Generator, side: float) -> Points:
    corners = (
        (0.15, 0.4, 0.15, 0.35),
        (0.65, 0.85, 0.1, 0.3),
        (0.15, 0.35, 0.7, 0.9),
        (0.68, 0.85, 0.72, 0.85),
    )
    return np.array([(rng.uniform(x0, x1), rng.uniform(y0, y1)) for x0, x1, y0, y1 in corners]) * side
