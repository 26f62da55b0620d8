"""Railways: two tracks, trains, and yards of sidings."""

import math

import numpy as np

from geomammut.demo.place.network.lines import Ground, Values, bridges, cut, plan_line
from geomammut.demo.place.plan import DISTRICT_M, Edge
from geomammut.demo.place.shapes import Frame, Points, along, normals, offset
from geomammut.demo.place.sheet import DECK, MARKING, ROAD, Sheet


def lay_railway(ground: Ground, axis: str, line: int) -> None:
    """Lay two tracks along a grid line, with the yards beside them."""
    sheet = ground.sheet
    run = np.arange(0, ground.plan.side + 1, 12.0)
    centre = ground.plan.world(plan_line(axis, line, run))
    wet = bridges(centre, ground.water, 1)
    ground.corridors.append((centre, 15.0))
    for way in cut(centre, wet):
        width, height = (14, 5.0) if way.bridge else (11.5, None)
        sheet.line(way.levels[0], way.points, width, (150, 142, 128), "rail", height)
    name = sheet.namer.word() + " Line"
    for side in (-2.3, 2.3):
        for way in cut(np.round(offset(centre, side), 2), wet):
            _paint_track(sheet, way.points, way.levels[1], 5.0 if way.bridge else None)
            sheet.map_line(way.points, railway="rail", gauge="1435", name=name, **way.tags)
    for edge in sorted(ground.plan.yards):
        if edge[:2] == (axis, line):
            _lay_yard(sheet, edge, centre, run)
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


def _lay_yard(sheet: Sheet, edge: Edge, centre: Points, run: Values) -> None:
    """Lay sidings beside the main line, on its right or lower side, with wagons."""
    rng = sheet.rng
    low, high = edge[2] * DISTRICT_M + 60, (edge[2] + 1) * DISTRICT_M - 60
    span = (run >= low) & (run <= high)
    main, side = centre[span], 1.0 if edge[0] == "h" else -1.0
    tracks = int(rng.integers(4, 7))
    outer = 2.3 + 5.2 * tracks
    shape = np.concatenate([offset(main, side * 4), offset(main, side * (outer + 4))[::-1]])
    sheet.fill(ROAD, shape, sheet.vary((140, 128, 112), 6), "rail")
    sheet.map_area(shape, landuse="railway")
    for k in range(1, tracks + 1):
        ease = np.clip(np.minimum(np.arange(len(main)), np.arange(len(main))[::-1]) / (2.0 + k * 0.9), 0, 1)
        ease = ease * ease * (3 - 2 * ease)
        track = np.round(main + side * (2.3 + 5.2 * k * ease)[:, None] * normals(main), 2)
        _paint_track(sheet, track, MARKING)
        sheet.map_line(track, railway="rail", service="siding")
        if rng.random() < 0.75:
            start = int(rng.integers(7, max(8, len(track) // 2)))
            _train(sheet, track[start : start + int(rng.integers(5, 14))])
    middle = len(main) // 2
    sheet.scene("railway", *offset(main, side * outer / 2)[middle])
