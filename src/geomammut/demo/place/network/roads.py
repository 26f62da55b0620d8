"""Roads between districts and within them, and roundabouts."""

import math
from collections.abc import Collection

import numpy as np
import shapely

from geomammut.demo.place.network.lines import Flags, Ground, Values, Way, bridges, cut, plan_line
from geomammut.demo.place.plan import DISTRICT_M, Cell, Edge
from geomammut.demo.place.shapes import Point, Points, along, circle, closed, offset
from geomammut.demo.place.sheet import MARKING, ROAD, Sheet
from geomammut.demo.place.things import car

WIDTH = {
    "primary": 12.5,
    "residential": 7.0,
    "unclassified": 6.0,
    "track": 3.5,
    "service": 5.5,
}


def lay_edge(ground: Ground, edge: Edge, kind: str, name: str) -> None:
    """Lay the road along one edge of the grid; it passes over motorways and water."""
    plan = ground.plan
    axis, line, part = edge
    low, high = part * DISTRICT_M + 0.0, (part + 1) * DISTRICT_M + 0.0
    low += plan.roundabouts.get(_edge_node(edge, 0), 0.0)
    high -= plan.roundabouts.get(_edge_node(edge, 1), 0.0)
    over: list[float] = []
    for end in (0, 1):
        across = [plan.edges[e] for e in plan.edges_at(_edge_node(edge, end)).values() if e[0] != axis]
        if "motorway" in across:
            over.append((part + end) * DISTRICT_M)
    junctions = plan.junctions.get(edge, set()) | {at + side * 25.0 for at in over for side in (-1, 1)}
    run = _run(low, high, junctions)
    points = plan.world(plan_line(axis, line, run))
    wet = bridges(points, ground.water, 2)
    for at in over:
        wet |= np.abs(run - at) <= 24.9
    ground.corridors.append((points, WIDTH[kind] + 3))
    for way in cut(points, wet, _among(run, junctions)):
        _paint_road(ground.sheet, way, kind, name)


def lay_streets(ground: Ground, cell: Cell) -> None:
    """Lay a district's own streets, which share points where they cross."""
    sheet = ground.sheet
    district = ground.plan.districts[cell]
    kind = "residential" if len(district.lots) == 1 else "service"
    lines = [shapely.LineString(street) for street in district.streets]
    for k, line in enumerate(lines):
        crossings: set[Point] = set()
        for other in lines[:k] + lines[k + 1 :]:
            meeting = shapely.intersection(line, other)
            crossings |= {(round(p.x, 3), round(p.y, 3)) for p in shapely.get_parts(meeting) if p.geom_type == "Point"}
        where = {line.project(shapely.Point(*p)): p for p in crossings}
        ends = {0.0: line.coords[0], line.length: line.coords[-1]}
        fixed = where | ends
        inner = [float(t) for t in np.arange(6, line.length - 4, 6) if all(abs(t - w) > 3 for w in where)]
        stops = np.array(sorted([*where, *ends, *inner]))
        points = ground.plan.world(np.array([fixed.get(t) or line.interpolate(t).coords[0] for t in stops]))
        wet = bridges(points, ground.water, 2)
        ground.corridors.append((points, WIDTH[kind] + 3))
        name = sheet.namer.street()
        for way in cut(points, wet, _among(stops, where)):
            if not (way.bridge and sheet.rng.random() < 0.65):  # most streets end at the bank
                _paint_road(sheet, way, kind, name if kind == "residential" else "")


def lay_roundabout(ground: Ground, node: Cell, radius: float) -> None:
    """Lay a ring of road around a node, with a vertex where each of its roads joins it."""
    plan, sheet = ground.plan, ground.sheet
    at_x, at_y = node[0] * DISTRICT_M, node[1] * DISTRICT_M
    centre = plan.world([(at_x, at_y)])[0]
    sides = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
    there = plan.edges_at(node)
    joins = [
        plan.world([(at_x + dx * radius, at_y + dy * radius)])[0] for side, (dx, dy) in sides.items() if side in there
    ]
    ring = {math.atan2(p[1] - centre[1], p[0] - centre[0]): p for p in joins}
    for turn in np.linspace(-np.pi, np.pi, 20, endpoint=False):
        if all(abs(math.remainder(turn - known, 2 * np.pi)) > 0.12 for known in ring):
            ring[float(turn)] = np.round(centre + radius * np.array([math.cos(turn), math.sin(turn)]), 2)
    loop = closed(np.array([ring[turn] for turn in sorted(ring)]))
    x, y = float(centre[0]), float(centre[1])
    width = 8.0
    sheet.disc(ROAD, x, y, radius + width / 2 + 2, (160, 156, 148), "paved")
    sheet.disc(ROAD, x, y, radius + width / 2, sheet.vary((104, 104, 106), 4), "road")
    sheet.disc(MARKING, x, y, radius - width / 2, (178, 172, 160), "paved")
    sheet.disc(MARKING, x, y, radius - width / 2 - 1, sheet.vary((92, 122, 62), 6), "lawn")
    if sheet.rng.random() < 0.6:
        for tree_x, tree_y in circle(x, y, (radius - 5) * 0.45, int(sheet.rng.integers(1, 6))):
            sheet.tree(tree_x, tree_y, sheet.rng.uniform(1.5, 3), sheet.vary((64, 96, 48), 6))
    for turn in np.arange(0, 6.28, 0.7):
        if sheet.rng.random() < 0.3:
            car(sheet, x + radius * math.cos(turn), y + radius * math.sin(turn), turn + 1.57)
    ground.corridors.append((loop, width + 4))
    sheet.map_line(loop, highway="primary", junction="roundabout", oneway="yes")
    sheet.scene("roundabout", x, y)


def _edge_node(edge: Edge, end: int) -> Cell:
    axis, line, part = edge
    return (line, part + end) if axis == "v" else (part + end, line)


def _run(low: float, high: float, junctions: set[float]) -> Values:
    """Return positions every 6 m or so with the junctions among them."""
    regular = np.linspace(low, high, max(2, round((high - low) / 6)))
    inner = [t for t in junctions if low < t < high]
    clear = [t for t in regular[1:-1] if all(abs(t - e) > 3 for e in inner)]
    return np.array(sorted([low, high, *clear, *inner]))


def _among(run: Values, junctions: Collection[float]) -> Flags:
    return np.array([any(abs(at - t) < 1e-6 for t in junctions) for at in run])


def _paint_road(sheet: Sheet, way: Way, kind: str, name: str) -> None:
    points, width = way.points, WIDTH[kind]
    asphalt = sheet.pick((104, 104, 106), (92, 93, 97), (122, 120, 116), amount=4)
    level, top = way.levels
    height = 5.0 if way.bridge else None
    if kind == "track":
        sheet.line(level, points, width, sheet.vary((158, 138, 106), 7), "dirt road", height)
        sheet.line(level, points, 1.0, (124, 124, 82), "dirt road", height)
    else:
        if way.bridge:
            sheet.line(level, points, width + 3.4, (186, 182, 172), "road", height)
        elif kind in ("residential", "primary"):
            sheet.line(ROAD - 1, points, width + 4, sheet.vary((160, 156, 148), 5), "paved")
        sheet.line(level, points, width, asphalt, "road", height)
    if kind == "primary":
        for dash, heading in zip(*along(points, 9.0, 3.0), strict=True):
            sheet.line(top, np.stack([dash, dash + 4 * heading]), 0.5, (214, 214, 208), "road", height)
        for side in (-1, 1):
            sheet.line(top, offset(points, side * (width / 2 - 0.8)), 0.5, (188, 188, 182), "road", height)
    if way.bridge:
        _map_bridge(sheet, points, width + 3.4)
    elif kind != "track":
        _drive_cars(sheet, points, width, 0.012 if kind == "primary" else 0.005)
    surface = "unpaved" if kind == "track" else "asphalt"
    speed = {"primary": "70", "residential": "30"}.get(kind, "")
    name = name if kind != "track" else ""
    sheet.map_line(points, highway=kind, surface=surface, name=name, maxspeed=speed, **way.tags)


def _drive_cars(sheet: Sheet, points: Points, width: float, share: float) -> None:
    for spot, heading in zip(*along(points, 1.0), strict=True):
        if sheet.rng.random() < share:
            side = 1 if sheet.rng.random() < 0.5 else -1
            x, y = spot + side * width * 0.23 * np.array([-heading[1], heading[0]])
            car(sheet, x, y, math.atan2(heading[1], heading[0]))


def _map_bridge(sheet: Sheet, points: Points, width: float) -> None:
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    if length > 30:
        x, y = points[len(points) // 2] if len(points) > 2 else points.mean(axis=0)
        sheet.scene("bridge", x, y)
        outline = np.concatenate([offset(points, -width / 2), offset(points, width / 2)[::-1]])
        sheet.map_area(outline, man_made="bridge", layer="1")
