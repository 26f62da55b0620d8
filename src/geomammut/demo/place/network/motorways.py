"""Motorways with their traffic, and the slip roads that join them to primary roads."""

import math

import numpy as np

from geomammut.demo.place.network.lines import Ground, Values, bridges, cut, plan_line
from geomammut.demo.place.plan import DISTRICT_M
from geomammut.demo.place.shapes import Points, along, offset, smooth
from geomammut.demo.place.sheet import ROAD
from geomammut.demo.place.things import car

OFFSET, CARRIAGEWAY, LINK = 8.2, 11.0, 6.0  # from the centre line, and widths, metres


def lay_motorway(ground: Ground, axis: str, line: int) -> None:
    """Lay two carriageways along a grid line."""
    sheet, rng = ground.sheet, ground.sheet.rng
    run = np.arange(0, ground.plan.side + 1, 10.0)
    centre = ground.plan.world(plan_line(axis, line, run))
    wet = bridges(centre, ground.water, 2)
    ground.corridors.append((centre, 2 * (OFFSET + CARRIAGEWAY / 2) + 4))
    grey = sheet.pick((132, 130, 126), (108, 108, 110), amount=4)
    sheet.line(ROAD, centre, 5.0, (110, 122, 74), "grass")
    ref = f"M{line}"
    for side in (-1, 1):
        way_points = np.round(offset(centre, side * OFFSET), 2)
        for way in cut(way_points if side > 0 else way_points[::-1], wet if side > 0 else wet[::-1]):
            height = 6.0 if way.bridge else None
            level, top = way.levels
            if way.bridge:
                sheet.line(level, way.points, CARRIAGEWAY + 3, (190, 186, 178), "road", height)
            sheet.line(level, way.points, CARRIAGEWAY, grey, "road", height)
            for dash, heading in zip(*along(way.points, 14.0), strict=True):
                sheet.line(top, np.stack([dash, dash + 5 * heading]), 0.5, (218, 218, 214), "road", height)
            for rim in (-1, 1):
                edge = offset(way.points, rim * (CARRIAGEWAY / 2 - 1.0))
                sheet.line(top, edge, 0.5, (206, 206, 202), "road", height)
            sheet.map_line(way.points, highway="motorway", oneway="yes", ref=ref, lanes="2", **way.tags)
        spots, headings = along(way_points, 9.0)
        for k in range(len(spots)):
            if rng.random() < 0.13:
                lane = float(rng.choice([-2.3, 1.5]))
                x, y = spots[k] + lane * np.array([-headings[k, 1], headings[k, 0]])
                car(sheet, x, y, math.atan2(headings[k, 1], headings[k, 0]))
    _lay_links(ground, axis, line, run, centre)
    for k in range(12, len(centre) - 12, 17):
        sheet.scene("motorway", *centre[k])


def _lay_links(ground: Ground, axis: str, line: int, run: Values, centre: Points) -> None:
    """Join the motorway to the primary roads that cross it, by four slip roads each."""
    plan, sheet = ground.plan, ground.sheet
    for part in range(1, plan.count):
        node = (line, part) if axis == "v" else (part, line)
        cross = [edge for edge in plan.edges_at(node).values() if edge[0] != axis]
        if len(cross) < 2 or any(plan.edges[edge] != "primary" for edge in cross):
            continue
        at = part * DISTRICT_M
        for side in (-1, 1):
            foot_at = line * DISTRICT_M + side * 25.0
            foot = plan.world([(foot_at, at) if axis == "v" else (at, foot_at)])[0]
            for way in (-1, 1):
                near = int(np.argmin(np.abs(run - (at + way * 60))))
                far = int(np.argmin(np.abs(run - (at + way * 200))))
                right = side if axis == "h" else -side
                curb = offset(centre, right * 25.0)[near]
                merge = np.round(offset(centre, right * OFFSET), 2)[far]
                link = np.concatenate([[foot], smooth(np.stack([foot, curb, merge]), 3)[1:-1], [merge]])
                sheet.line(ROAD, link, LINK, (118, 117, 115), "road")
                sheet.map_line(np.round(link, 2), highway="motorway_link", oneway="yes")
