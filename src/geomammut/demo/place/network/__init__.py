"""The network: the roads, railways and the river that run through the whole place."""

from typing import NamedTuple

import shapely

from geomammut.demo.place.network.lines import Ground
from geomammut.demo.place.network.motorways import lay_motorway
from geomammut.demo.place.network.railways import lay_railway
from geomammut.demo.place.network.river import lay_river
from geomammut.demo.place.network.roads import lay_edge, lay_roundabout, lay_streets
from geomammut.demo.place.plan import Plan
from geomammut.demo.place.shapes import Points, ring
from geomammut.demo.place.sheet import Sheet


class Network(NamedTuple):
    """The finished lines: their sheet, and the ground that they take."""

    sheet: Sheet
    corridors: list[tuple[Points, float]]  # centre lines and full widths
    river: list[Points]  # outlines


def lay_network(plan: Plan) -> Network:
    """Paint and map every road, railway and river of the plan."""
    sheet = Sheet(plan.rng(2), (0, 0, 1, 1))
    water = lay_river(plan, sheet)
    shapely.prepare(water)
    ground = Ground(plan, sheet, water, [])
    names = {(axis, line): sheet.namer.street() for axis in "vh" for line in range(plan.count + 1)}
    for edge, kind in sorted(plan.edges.items()):
        if kind not in ("motorway", "rail"):
            lay_edge(ground, edge, kind, names[edge[0], edge[1]])
    for cell in sorted(plan.districts):
        lay_streets(ground, cell)
    for node, radius in sorted(plan.roundabouts.items()):
        lay_roundabout(ground, node, radius)
    for lay, wanted in ((lay_motorway, "motorway"), (lay_railway, "rail")):
        for axis, line in sorted({(axis, line) for (axis, line, _), kind in plan.edges.items() if kind == wanted}):
            lay(ground, axis, line)
    return Network(sheet, ground.corridors, [ring(part) for part in shapely.get_parts(water)])
