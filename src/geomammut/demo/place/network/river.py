"""The river: its water, its banks and the trees along it."""

import numpy as np
import shapely

from geomammut.demo.place.plan import DISTRICT_M, Plan
from geomammut.demo.place.shapes import along, pieces, ring, smooth
from geomammut.demo.place.sheet import AREA, WATER, Sheet


def lay_river(plan: Plan, sheet: Sheet) -> shapely.Geometry:
    """Paint a river of changing width along its meanders; return its area."""
    rng = sheet.rng
    assert plan.river is not None
    line = smooth(plan.river, 4)
    spots, way = along(line, 14.0)
    run = np.arange(len(spots)) * 14.0
    swing = 26 * np.sin(run / 75 + rng.uniform(0, 6)) * np.sin(run / 430 + rng.uniform(0, 6))
    line = plan.world(spots + swing[:, None] * np.stack([-way[:, 1], way[:, 0]], axis=1))
    half = 17 + 6 * np.sin(run / 310 + rng.uniform(0, 6)) + 3 * np.sin(run / 90 + rng.uniform(0, 6))
    discs = shapely.buffer(shapely.points(line), half, quad_segs=8)
    water = shapely.union_all(shapely.convex_hull(shapely.union(discs[:-1], discs[1:])))
    square = shapely.box(0, 0, plan.side, plan.side)
    colour = sheet.pick((58, 78, 66), (48, 70, 72), (74, 84, 66), amount=3)
    for grow, bank, surface in (
        (9, (104, 116, 70), "grass"),
        (2.2, (128, 118, 90), "grass"),
        (0, colour, "water"),
    ):
        sheet.fill(AREA if grow > 5 else WATER, ring(shapely.buffer(water, grow)), bank, surface)
    name = sheet.namer.of("river")
    inside = shapely.intersection(shapely.LineString(line), square)
    for part in shapely.get_parts(inside):
        sheet.map_line(np.asarray(part.coords), waterway="river", name=name)
    step = 3 * DISTRICT_M
    for x in range(0, plan.side, step):
        piece = shapely.intersection(water, shapely.box(x, 0, x + step, plan.side))
        for part in pieces(piece):
            sheet.map_area(ring(part), natural="water", water="river", name=name)
    for k in range(8, len(line), 22):
        if 64 < line[k, 0] < plan.side - 64:
            sheet.scene("river", line[k, 0], line[k, 1])
    for k in range(0, len(line) - 1):
        for side in (-1, 1):
            if rng.random() < 0.28:
                out = side * (half[k] + rng.uniform(4, 12))
                normal = np.array([-(line[k + 1] - line[k])[1], (line[k + 1] - line[k])[0]])
                x, y = line[k] + out * normal / max(np.hypot(*normal), 1e-6)
                sheet.tree(x, y, rng.uniform(2.5, 5.5), sheet.vary((66, 92, 46), 7))
    return shapely.intersection(water, square)
