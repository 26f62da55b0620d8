"""Airports: a runway, taxiways, an apron with aircraft, a terminal, hangars."""

import math

import numpy as np

from geomammut.demo.place.shapes import Box, Frame, Points
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, ROOFTOP, Sheet
from geomammut.demo.place.surfaces import shade
from geomammut.demo.place.things import flat_block, hall, parking, scatter_trees


def airport(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A runway with its markings, a taxiway, an apron with aircraft, a terminal, hangars."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((120, 128, 76), (132, 132, 84), (106, 122, 70)), "meadow")
    sheet.stripes(AREA, ground, frame.angle + 0.3, 44, 0.5, (126, 134, 80), "meadow")
    sheet.map_area(ground, aeroway="aerodrome", name=sheet.namer.of("airport", 0.9))
    frame = frame.lengthwise().tilted(float(rng.uniform(-0.10, 0.10)))
    if rng.random() < 0.5:
        frame = frame.turned(math.pi)
    w, d = frame.width / 2 - 10, frame.depth / 2 - 10
    wide = float(rng.choice([24.0, 32.0, 45.0]))
    y = -d + wide / 2 + 24
    paving = sheet.pick((96, 97, 100), (120, 119, 116), (168, 164, 154), amount=4)
    runway = frame.inner(-w, y - wide / 2, w, y + wide / 2)
    sheet.fill(DETAIL, runway.whole(-3), (128, 126, 112), "runway")
    sheet.fill(DETAIL, runway.whole(), paving, "runway")
    _runway_marks(sheet, runway)
    ref = f"{int(rng.integers(1, 19)):02d}"
    sheet.map_area(runway.whole(), aeroway="runway", ref=ref)
    taxi_y, taxi_w = y + wide / 2 + float(rng.uniform(45, 70)), float(rng.choice([12.0, 16.0, 20.0]))
    concrete = sheet.pick((172, 168, 158), (140, 138, 134), (116, 116, 116))
    taxi = [[(-w + 8, y), (-w + 24, taxi_y), (w - 24, taxi_y), (w - 8, y)]]
    taxi += [[(x, y), (x, taxi_y)] for x in (-w * 0.35, w * 0.35)]
    apron_w, apron_y = w * float(rng.uniform(0.45, 0.75)), taxi_y + 34
    taxi += [[(x, taxi_y), (x, apron_y + 4)] for x in (-apron_w * 0.6, apron_w * 0.6)]
    for part in taxi:
        line = frame.at(part)
        sheet.line(DETAIL, line, taxi_w, concrete, "runway")
        sheet.line(DETAIL, line, 0.5, (206, 178, 60), "runway")
        sheet.map_line(line, aeroway="taxiway", width=str(taxi_w))
    # The runway lies over the taxiways' ends.
    sheet.fill(DETAIL, runway.whole(), paving, "runway")
    _runway_marks(sheet, runway)
    apron_d = float(rng.uniform(70, 100))
    apron = frame.inner(-apron_w, apron_y, apron_w, min(apron_y + apron_d, d - 60))
    sheet.fill(DETAIL, apron.whole(), sheet.vary(concrete, 6), "runway")
    for x in np.arange(-apron.width / 2 + 15, apron.width / 2, 15):
        seam = apron.at([(x, -apron.depth / 2), (x, apron.depth / 2)])
        sheet.line(DETAIL, seam, 0.5, shade(concrete, 0.9), "runway")
    sheet.map_area(apron.whole(), aeroway="apron")
    sheet.take(frame.rect(-w, -frame.depth / 2, w, taxi_y + taxi_w))
    sheet.take(apron.whole(-8))
    large = rng.random() < 0.5
    _park_airplanes(sheet, apron, large)
    for k in range(3):
        sheet.scene("runway", *runway.point(runway.width * (k - 1) * 0.41, 0))
    _terminal(sheet, frame, apron, apron_w, d, large)
    scatter_trees(sheet, frame.rect(-w, apron_y + 20, w, d + 8), 120, 2, 4.4)


def _park_airplanes(sheet: Sheet, apron: Frame, large: bool) -> None:
    rng = sheet.rng
    span = float(rng.uniform(28, 38)) if large else float(rng.uniform(11, 17))
    for x in np.arange(-apron.width / 2 + span * 0.7, apron.width / 2 - span * 0.5, span * 1.35):
        rows = (apron.depth / 2 - span * 0.6,) if large else (-apron.depth * 0.2, apron.depth * 0.25)
        for row in rows:
            if rng.random() < 0.72:
                px, py = apron.point(x, row)
                _airplane(sheet, px, py, apron.angle + math.pi / 2 * (1 if large else rng.choice([-1, 1])), span)
    sheet.scene("airport apron with airplanes", *apron.point(0, apron.depth / 4))
    sheet.scene("airport apron with airplanes", *apron.point(-apron.width / 3, 0))


def _runway_marks(sheet: Sheet, runway: Frame) -> None:
    white = (226, 226, 222)
    w, d = runway.width / 2, runway.depth / 2
    for x in np.arange(-w + 70, w - 70, 46):
        sheet.fill(DETAIL, runway.rect(x, -0.5, x + 26, 0.5), white, "runway")
    for side in (-1, 1):
        for y in np.arange(-d + 2.5, d - 2, 3.6):
            sheet.fill(DETAIL, runway.rect(*_box(side * (w - 8), side * (w - 36), y, y + 1.7)), white, "runway")
        for y in (-d * 0.45, d * 0.45):
            box = runway.rect(*_box(side * (w - 150), side * (w - 180), y - 2, y + 2))
            sheet.fill(DETAIL, box, white, "runway")
        for y in (-2.6, 1.0):
            sheet.fill(DETAIL, runway.rect(*_box(side * (w - 46), side * (w - 56), y, y + 1.6)), white, "runway")
        sheet.line(DETAIL, runway.at([(-w, side * (d - 0.8)), (w, side * (d - 0.8))]), 0.7, white, "runway")
    for side in (-1, 1):
        for offset_y in (-1.5, 0.0, 1.5):
            skid = runway.at([(side * (w - 140), offset_y * 2), (side * (w - 280), offset_y * 2)])
            sheet.line(DETAIL, skid, 1.0, (70, 70, 72), "runway")


def _box(xa: float, xb: float, y0: float, y1: float) -> Box:
    return min(xa, xb), y0, max(xa, xb), y1


def _airplane(sheet: Sheet, x: float, y: float, angle: float, span: float) -> None:
    """Paint an aircraft of this wing span, nose along `angle`."""
    plane = Frame(x, y, angle, 0, 0)
    white = sheet.pick((236, 236, 238), (236, 236, 238), (206, 210, 216), (222, 206, 190), amount=4)
    k = span / 2
    swept = 0.55 if span > 20 else 0.08
    nose, tail, belly = k * 1.05, -k * 1.0, max(0.8, k * 0.10)
    wings = [(k * 0.25, 0), (k * 0.25 - swept * k, k), (-k * 0.05 - swept * k, k), (-k * 0.2, 0)]
    for side in (1, -1):
        sheet.fill(ROOFTOP, plane.at([(px, side * py) for px, py in wings]), white, "runway", 3)
        stab = [(tail + k * 0.3, 0), (tail, k * 0.38), (tail - k * 0.08, k * 0.38), (tail + k * 0.02, 0)]
        sheet.fill(ROOFTOP, plane.at([(px, side * py) for px, py in stab]), white, "runway", 4)
        if span > 20:
            engine = plane.rect(k * 0.02, side * k * 0.36 - 1, k * 0.26, side * k * 0.36 + 1)
            sheet.fill(ROOFTOP, engine, (150, 152, 158), "runway", 3)
    hull = [(nose, 0), (nose - belly * 1.6, belly), (tail + belly, belly * 0.8), (tail - belly, 0)]
    hull += [(tail + belly, -belly * 0.8), (nose - belly * 1.6, -belly)]
    sheet.fill(ROOFTOP, plane.at(hull), white, "runway", 5)
    fin = sheet.pick((40, 70, 150), (180, 40, 40), (230, 160, 40), (40, 120, 90))
    sheet.line(ROOFTOP, plane.at([(tail + k * 0.3, 0), (tail - belly, 0)]), max(0.6, k * 0.05), fin, "runway", 7)


def _terminal(sheet: Sheet, frame: Frame, apron: Frame, apron_w: float, d: float, large: bool) -> None:
    rng = sheet.rng
    front = frame.local(np.array([apron[:2]]))[0, 1] + apron.depth / 2 + 4
    if large:
        block = frame.inner(-apron_w * 0.5, front, apron_w * 0.4, front + 24)
        colour = sheet.pick((206, 208, 210), (168, 172, 178))
        flat_block(sheet, block, colour, 12, units=12, building="terminal", aeroway="terminal")
        sheet.scene("airport terminal", block.cx, block.cy)
    else:
        block = frame.inner(-12, front, 12, front + 12)
        flat_block(sheet, block, (186, 182, 176), 6, units=2, building="terminal", aeroway="terminal")
    for k in range(int(rng.integers(2, 5))):
        x = apron_w * 0.5 + 34 * k
        shed = frame.inner(x, front, x + 28, front + 24)
        if x + 30 < frame.width / 2:
            hall(sheet, shed, building="hangar", aeroway="hangar")
    lot = frame.inner(-apron_w * 0.7, front + 30, apron_w * 0.3, min(front + 78, d + 4))
    if lot.depth > 18:
        parking(sheet, lot, full=float(rng.uniform(0.3, 0.8)))
    sheet.disc(BUILDING, *frame.point(-apron_w * 0.6, front + 8), 4, (196, 196, 196), "roof", 26)
