"""Roads, railways and the river: the lines that run through the whole place."""

import math
from typing import NamedTuple

import numpy as np
import shapely

from geomammut.demo.place_plan import DISTRICT_M, Cell, Edge, Plan, edges_at
from geomammut.demo.place_sheet import (
    AREA,
    BRIDGE,
    DECK,
    MARKING,
    ROAD,
    WATER,
    Frame,
    Points,
    Sheet,
    along,
    circle,
    offset,
    smooth,
)
from geomammut.demo.place_surfaces import Colour

WIDTH = {
    "primary": 12.5,
    "residential": 7.0,
    "unclassified": 6.0,
    "track": 3.5,
    "motorway_link": 6.0,
    "service": 5.5,
}
MOTORWAY_OFFSET, CARRIAGEWAY = 8.2, 11.0
CAR_COLOURS: tuple[Colour, ...] = (
    (228, 228, 230),
    (228, 228, 230),
    (40, 42, 46),
    (120, 124, 130),
    (168, 172, 176),
    (150, 36, 34),
    (44, 66, 120),
    (90, 92, 86),
)


class Network(NamedTuple):
    """The finished lines: their sheet, and the ground that they take."""

    sheet: Sheet
    corridors: list[tuple[Points, float]]  # centre lines and full widths
    river: list[Points]  # outlines


class _Way(NamedTuple):
    points: Points
    bridge: bool


def lay_network(plan: Plan) -> Network:
    """Paint and map every road, railway and river of the plan."""
    rng = plan.rng(2)
    sheet = Sheet(rng, (0, 0, 1, 1))
    corridors: list[tuple[Points, float]] = []
    water = _lay_river(plan, sheet)
    shapely.prepare(water)
    names = {(axis, line): sheet.namer.street() for axis in "vh" for line in range(plan.count + 1)}
    for edge, kind in sorted(plan.edges.items()):
        if kind not in ("motorway", "rail"):
            _lay_edge(plan, sheet, edge, kind, names[edge[0], edge[1]], water, corridors)
    for cell in sorted(plan.districts):
        _lay_streets(plan, sheet, cell, water, corridors)
    for node, radius in sorted(plan.roundabouts.items()):
        _lay_roundabout(plan, sheet, node, radius, corridors)
    for axis, line in sorted({(a, ln) for (a, ln, _), kind in plan.edges.items() if kind == "motorway"}):
        _lay_motorway(plan, sheet, axis, line, water, corridors)
    for axis, line in sorted({(a, ln) for (a, ln, _), kind in plan.edges.items() if kind == "rail"}):
        _lay_railway(plan, sheet, axis, line, water, corridors)
    outlines = [np.asarray(part.exterior.coords)[:-1] for part in shapely.get_parts(water)]
    return Network(sheet, corridors, outlines)


def car(sheet: Sheet, x: float, y: float, angle: float, level: int = MARKING, surface: str = "road") -> None:
    """Paint one car with its windscreen, or now and then a van or a lorry."""
    rng = sheet.rng
    long = 4.6 if rng.random() < 0.9 else float(rng.choice([6.5, 11.0]))
    frame = Frame(x, y, angle, long, 2.0 if long < 6 else 2.6)
    colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))] if long < 6 else (222, 222, 224)
    sheet.fill(level, frame.whole(), sheet.vary(colour, 5), surface, 1.5 if long < 6 else 3.0)
    if long < 6:
        sheet.fill(level, frame.rect(0.4, -0.8, 1.3, 0.8), (36, 40, 46), surface, 1.5)


def _lay_river(plan: Plan, sheet: Sheet) -> shapely.Geometry:
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
        outline = np.asarray(shapely.buffer(water, grow).exterior.coords)[:-1]
        sheet.fill(AREA if grow > 5 else WATER, outline, bank, surface)
    name = sheet.namer.of("river")
    inside = shapely.intersection(shapely.LineString(line), square)
    for part in shapely.get_parts(inside):
        sheet.map_line(np.asarray(part.coords), waterway="river", name=name)
    step = 3 * DISTRICT_M
    for x in range(0, plan.side, step):
        piece = shapely.intersection(water, shapely.box(x, 0, x + step, plan.side))
        for part in shapely.get_parts(piece):
            if part.geom_type == "Polygon":
                sheet.map_area(np.asarray(part.exterior.coords)[:-1], natural="water", water="river", name=name)
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


def _edge_node(edge: Edge, end: int) -> Cell:
    axis, line, part = edge
    return (line, part + end) if axis == "v" else (part + end, line)


def _cut(points: Points, wet: np.ndarray) -> list[_Way]:
    """Cut a line where `wet` says that a bridge carries it; neighbouring pieces share their end."""
    ways, start = [], 0
    for k in range(1, len(points)):
        if k == len(points) - 1 or wet[k] != wet[start]:
            ways.append(_Way(points[start : k + 1], bool(wet[start])))
            start = k
    return ways


def _bridges(points: Points, water: shapely.Geometry, reach: int) -> np.ndarray:
    """Say at which points a road is over water, `reach` points more on both sides."""
    wet = shapely.contains_xy(water, points[:, 0], points[:, 1])
    return np.convolve(wet.astype(float), np.ones(2 * reach + 1), mode="same") > 0


def _params(low: float, high: float, extra: set[float]) -> np.ndarray:
    """Return positions every 6 m or so with the junctions among them."""
    regular = np.linspace(low, high, max(2, round((high - low) / 6)))
    inner = [t for t in extra if low < t < high]
    clear = [t for t in regular[1:-1] if all(abs(t - e) > 3 for e in inner)]
    return np.array(sorted([low, high, *clear, *inner]))


def _plan_line(axis: str, line: float, params: np.ndarray) -> Points:
    across = np.full(len(params), line * DISTRICT_M)
    return np.stack([across, params] if axis == "v" else [params, across], axis=1)


def _lay_edge(
    plan: Plan,
    sheet: Sheet,
    edge: Edge,
    kind: str,
    name: str,
    water: shapely.Geometry,
    corridors: list[tuple[Points, float]],
) -> None:
    axis, line, part = edge
    low, high = part * DISTRICT_M + 0.0, (part + 1) * DISTRICT_M + 0.0
    low += plan.roundabouts.get(_edge_node(edge, 0), 0.0)
    high -= plan.roundabouts.get(_edge_node(edge, 1), 0.0)
    over: list[float] = []
    for end in (0, 1):
        across = [plan.edges[e] for e in edges_at(plan, _edge_node(edge, end)).values() if e[0] != axis]
        if "motorway" in across:
            over.append((part + end) * DISTRICT_M)
    junctions = set(plan.junctions.get(edge, set()))
    junctions |= {at + side * 25.0 for at in over for side in (-1, 1)}
    params = _params(low, high, junctions)
    points = plan.world(_plan_line(axis, line, params))
    wet = _bridges(points, water, 2)
    for at in over:
        wet |= np.abs(params - at) <= 24.9
    corridors.append((points, WIDTH[kind] + 3))
    for way in _keeping(points, wet, params, junctions):
        _paint_road(sheet, way, kind, name)


def _keeping(points: Points, wet: np.ndarray, params: np.ndarray, junctions: set[float]) -> list[_Way]:
    """Cut a line at its bridges; keep junctions as vertices when thinning the rest."""
    ways, start = [], 0
    for k in range(1, len(points)):
        last = k == len(points) - 1
        if last or wet[k] != wet[start]:
            keep = [start]
            for m in range(start + 1, k):
                if any(abs(params[m] - t) < 1e-6 for t in junctions) or m - keep[-1] >= 7:
                    keep.append(m)
            ways.append(_Way(points[[*keep, k]], bool(wet[start])))
            start = k
    return ways


def _paint_road(sheet: Sheet, way: _Way, kind: str, name: str) -> None:
    rng = sheet.rng
    points, width = way.points, WIDTH[kind]
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    asphalt: Colour = sheet.pick((104, 104, 106), (92, 93, 97), (122, 120, 116), amount=4)
    level, top = (BRIDGE, DECK) if way.bridge else (ROAD, MARKING)
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
    if kind != "track" and not way.bridge:
        spots, headings = along(points, 1.0)
        for k in range(len(spots)):
            if rng.random() < (0.012 if kind == "primary" else 0.005):
                side = 1 if rng.random() < 0.5 else -1
                x, y = spots[k] + side * width * 0.23 * np.array([-headings[k, 1], headings[k, 0]])
                car(sheet, x, y, math.atan2(headings[k, 1], headings[k, 0]))
    tags = {"highway": kind, "surface": "unpaved" if kind == "track" else "asphalt"}
    tags["name"] = name if kind != "track" else ""
    tags["maxspeed"] = {"primary": "70", "residential": "30"}.get(kind, "")
    if way.bridge:
        tags |= {"bridge": "yes", "layer": "1"}
        middle = points[len(points) // 2] if len(points) > 2 else points.mean(axis=0)
        if length > 30:
            sheet.scene("bridge", *middle)
            half = (width + 3.4) / 2
            outline = np.concatenate([offset(points, -half), offset(points, half)[::-1]])
            sheet.map_area(outline, man_made="bridge", layer="1")
    sheet.map_line(points, **tags)


def _lay_streets(
    plan: Plan, sheet: Sheet, cell: Cell, water: shapely.Geometry, corridors: list[tuple[Points, float]]
) -> None:
    district = plan.districts[cell]
    kind = "residential" if len(district.lots) == 1 else "service"
    lines = [shapely.LineString(street) for street in district.streets]
    for k, line in enumerate(lines):
        crossings: set[tuple[float, float]] = set()
        for other in lines[:k] + lines[k + 1 :]:
            meeting = shapely.intersection(line, other)
            crossings |= {(round(p.x, 3), round(p.y, 3)) for p in shapely.get_parts(meeting) if p.geom_type == "Point"}
        where = {line.project(shapely.Point(*p)): p for p in crossings}
        ends = {0.0: line.coords[0], line.length: line.coords[-1]}
        inner = [float(t) for t in np.arange(6, line.length - 4, 6) if all(abs(t - w) > 3 for w in where)]
        stops = sorted([*where, *ends, *inner])
        fixed = where | ends
        points = plan.world([fixed.get(t) or line.interpolate(t).coords[0] for t in stops])
        wet = _bridges(points, water, 2)
        corridors.append((points, WIDTH[kind] + 3))
        name = sheet.namer.street()
        for way in _keeping(points, wet, np.array(stops), set(where)):
            if not (way.bridge and sheet.rng.random() < 0.65):  # most streets end at the bank
                _paint_road(sheet, way, kind, name if kind == "residential" else "")


def _lay_roundabout(plan: Plan, sheet: Sheet, node: Cell, radius: float, corridors: list[tuple[Points, float]]) -> None:
    centre = plan.world([(node[0] * DISTRICT_M, node[1] * DISTRICT_M)])[0]
    joins = []
    for side, (dx, dy) in {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}.items():
        if side in edges_at(plan, node):
            joins.append(plan.world([(node[0] * DISTRICT_M + dx * radius, node[1] * DISTRICT_M + dy * radius)])[0])
    ring = {math.atan2(p[1] - centre[1], p[0] - centre[0]): p for p in joins}
    for turn in np.linspace(-np.pi, np.pi, 20, endpoint=False):
        if all(abs(math.remainder(turn - known, 2 * np.pi)) > 0.12 for known in ring):
            ring[float(turn)] = np.round(centre + radius * np.array([math.cos(turn), math.sin(turn)]), 2)
    points = np.array([ring[turn] for turn in sorted(ring)])
    closed = np.concatenate([points, points[:1]])
    x, y = float(centre[0]), float(centre[1])
    width = 8.0
    sheet.disc(ROAD, x, y, radius + width / 2 + 2, (160, 156, 148), "paved")
    sheet.disc(ROAD, x, y, radius + width / 2, sheet.vary((104, 104, 106), 4), "road")
    sheet.disc(MARKING, x, y, radius - width / 2, (178, 172, 160), "paved")
    sheet.disc(MARKING, x, y, radius - width / 2 - 1, sheet.vary((92, 122, 62), 6), "lawn")
    if sheet.rng.random() < 0.6:
        for spot in circle(x, y, (radius - 5) * 0.45, int(sheet.rng.integers(1, 6))):
            sheet.tree(*spot, sheet.rng.uniform(1.5, 3), sheet.vary((64, 96, 48), 6))
    for turn in np.arange(0, 6.28, 0.7):
        if sheet.rng.random() < 0.3:
            car(sheet, x + radius * math.cos(turn), y + radius * math.sin(turn), turn + 1.57)
    corridors.append((closed, width + 4))
    sheet.map_line(closed, highway="primary", junction="roundabout", oneway="yes")
    sheet.scene("roundabout", x, y)


def _lay_motorway(
    plan: Plan,
    sheet: Sheet,
    axis: str,
    line: int,
    water: shapely.Geometry,
    corridors: list[tuple[Points, float]],
) -> None:
    rng = sheet.rng
    params = np.arange(0, plan.side + 1, 10.0)
    centre = plan.world(_plan_line(axis, line, params))
    wet = _bridges(centre, water, 2)
    corridors.append((centre, 2 * (MOTORWAY_OFFSET + CARRIAGEWAY / 2) + 4))
    grey = sheet.pick((132, 130, 126), (108, 108, 110), amount=4)
    sheet.line(ROAD, centre, 5.0, (110, 122, 74), "grass")
    ref = f"M{line}"
    for side in (-1, 1):
        way_points = np.round(offset(centre, side * MOTORWAY_OFFSET), 2)
        for way in _cut(way_points if side > 0 else way_points[::-1], wet if side > 0 else wet[::-1]):
            height = 6.0 if way.bridge else None
            level, top = (BRIDGE, DECK) if way.bridge else (ROAD, MARKING)
            if way.bridge:
                sheet.line(level, way.points, CARRIAGEWAY + 3, (190, 186, 178), "road", height)
            sheet.line(level, way.points, CARRIAGEWAY, grey, "road", height)
            for dash, heading in zip(*along(way.points, 14.0), strict=True):
                sheet.line(top, np.stack([dash, dash + 5 * heading]), 0.5, (218, 218, 214), "road", height)
            for rim in (-1, 1):
                edge = offset(way.points, rim * (CARRIAGEWAY / 2 - 1.0))
                sheet.line(top, edge, 0.5, (206, 206, 202), "road", height)
            extra = {"bridge": "yes", "layer": "1"} if way.bridge else {}
            sheet.map_line(way.points, highway="motorway", oneway="yes", ref=ref, lanes="2", **extra)
        spots, headings = along(way_points, 9.0)
        for k in range(len(spots)):
            if rng.random() < 0.13:
                lane = float(rng.choice([-2.3, 1.5]))
                x, y = spots[k] + lane * np.array([-headings[k, 1], headings[k, 0]])
                car(sheet, x, y, math.atan2(headings[k, 1], headings[k, 0]))
    _lay_links(plan, sheet, axis, line, params, centre)
    for k in range(12, len(centre) - 12, 17):
        sheet.scene("motorway", *centre[k])


def _lay_links(plan: Plan, sheet: Sheet, axis: str, line: int, params: np.ndarray, centre: Points) -> None:
    """Join the motorway to the primary roads that cross it, by four slip roads each."""
    for part in range(1, plan.count):
        node = (line, part) if axis == "v" else (part, line)
        cross = [edge for edge in edges_at(plan, node).values() if edge[0] != axis]
        if len(cross) < 2 or any(plan.edges[edge] != "primary" for edge in cross):
            continue
        at = part * DISTRICT_M
        for side in (-1, 1):
            foot_at = line * DISTRICT_M + side * 25.0
            foot = plan.world([(foot_at, at) if axis == "v" else (at, foot_at)])[0]
            for way in (-1, 1):
                near = int(np.argmin(np.abs(params - (at + way * 60))))
                far = int(np.argmin(np.abs(params - (at + way * 200))))
                right = side if axis == "h" else -side
                curb = offset(centre, right * 25.0)[near]
                merge = np.round(offset(centre, right * MOTORWAY_OFFSET), 2)[far]
                link = np.concatenate([[foot], smooth(np.stack([foot, curb, merge]), 3)[1:-1], [merge]])
                sheet.line(ROAD, link, WIDTH["motorway_link"], (118, 117, 115), "road")
                sheet.map_line(np.round(link, 2), highway="motorway_link", oneway="yes")


def _lay_railway(
    plan: Plan,
    sheet: Sheet,
    axis: str,
    line: int,
    water: shapely.Geometry,
    corridors: list[tuple[Points, float]],
) -> None:
    params = np.arange(0, plan.side + 1, 12.0)
    centre = plan.world(_plan_line(axis, line, params))
    wet = _bridges(centre, water, 1)
    corridors.append((centre, 15.0))
    for way in _cut(centre, wet):
        level = BRIDGE if way.bridge else ROAD
        sheet.line(
            level,
            way.points,
            14 if way.bridge else 11.5,
            (150, 142, 128),
            "rail",
            5.0 if way.bridge else None,
        )
    name = sheet.namer.word() + " Line"
    for side in (-2.3, 2.3):
        for way in _cut(np.round(offset(centre, side), 2), wet):
            extra = {"bridge": "yes", "layer": "1"} if way.bridge else {}
            _paint_track(sheet, way.points, DECK if way.bridge else MARKING, 5.0 if way.bridge else None)
            sheet.map_line(way.points, railway="rail", gauge="1435", name=name, **extra)
    for edge in sorted(plan.yards):
        if edge[:2] == (axis, line):
            _lay_yard(plan, sheet, edge, centre, params)
    for k in range(9, len(centre) - 9, 15):
        sheet.scene("railway", *centre[k])
    for k in range(20, len(centre) - 30, 37):
        _train(sheet, np.round(offset(centre, 2.3), 2)[k : k + int(sheet.rng.integers(6, 20))])


def _paint_track(sheet: Sheet, points: Points, level: int, height: float | None = None) -> None:
    sheet.line(level, points, 2.6, (98, 88, 80), "rail", height)
    for rail in (-0.75, 0.75):
        sheet.line(level, offset(points, rail), 0.5, (176, 170, 164), "rail", height)


def _train(sheet: Sheet, track: Points) -> None:
    """Paint wagons of one kind along a track."""
    colour = sheet.pick((150, 60, 50), (70, 96, 140), (206, 208, 210), (96, 100, 92), (160, 120, 70))
    spots, headings = along(track, 16.0, 8.0)
    for (x, y), heading in zip(spots, headings, strict=True):
        frame = Frame(x, y, math.atan2(heading[1], heading[0]), 14.4, 3.0)
        sheet.fill(DECK, frame.whole(), sheet.vary(colour, 10), "rail", 4.0)
        sheet.fill(DECK, frame.rect(-6.5, -0.5, 6.5, 0.5), sheet.vary(colour, 25), "rail", 4.0)


def _lay_yard(plan: Plan, sheet: Sheet, edge: Edge, centre: Points, params: np.ndarray) -> None:
    """Lay sidings beside the main line, on its right or lower side, with wagons."""
    rng = sheet.rng
    low, high = edge[2] * DISTRICT_M + 60, (edge[2] + 1) * DISTRICT_M - 60
    span = (params >= low) & (params <= high)
    main, side = centre[span], 1.0 if edge[0] == "h" else -1.0
    tracks = int(rng.integers(4, 7))
    outer = 2.3 + 5.2 * tracks
    shape = np.concatenate([offset(main, side * 4), offset(main, side * (outer + 4))[::-1]])
    sheet.fill(ROAD, shape, sheet.vary((140, 128, 112), 6), "rail")
    sheet.map_area(shape, landuse="railway")
    for k in range(1, tracks + 1):
        ease = np.clip(np.minimum(np.arange(len(main)), np.arange(len(main))[::-1]) / (2.0 + k * 0.9), 0, 1)
        ease = ease * ease * (3 - 2 * ease)
        tangent = np.gradient(main, axis=0)
        tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        track = np.round(main + side * (2.3 + 5.2 * k * ease)[:, None] * normal, 2)
        _paint_track(sheet, track, MARKING)
        sheet.map_line(track, railway="rail", service="siding")
        if rng.random() < 0.75:
            start = int(rng.integers(7, max(8, len(track) // 2)))
            _train(sheet, track[start : start + int(rng.integers(5, 14))])
    middle = len(main) // 2
    sheet.scene("railway", *offset(main, side * outer / 2)[middle])
