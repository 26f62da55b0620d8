"""Where people live: houses along streets, and apartments."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, along, area
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, ROOFTOP, Sheet
from geomammut.demo.place.surfaces import Colour
from geomammut.demo.place.things import FLAT_ROOFS, PALETTES, flat_block, gable, house, lawn, parking, scatter_trees


def residential(sheet: Sheet, ground: Points, streets: list[Points]) -> None:
    """Stand houses along both sides of the streets, with drives, gardens, pools and trees."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((94, 116, 62), (106, 118, 68), (84, 108, 58)), "lawn")
    sheet.map_area(ground, landuse="residential")
    palette = PALETTES[int(rng.integers(len(PALETTES)))]
    terrace = rng.random() < 0.22
    gap = float(rng.uniform(14.5, 23))
    setback = float(rng.uniform(8.5, 13))
    pools = float(rng.choice([0.04, 0.12, 0.3]))
    kind = str(rng.choice(["house", "residential", "detached"]))
    spots: list[tuple[float, float]] = []
    for street in streets:
        for side in (-1, 1):
            step = 46.0 if terrace else gap
            for at, heading in zip(*along(street, step, float(rng.uniform(8, 16))), strict=True):
                angle = math.atan2(heading[1], heading[0]) + (math.pi if side > 0 else 0)
                normal = side * np.array([-heading[1], heading[0]])
                wide = 36.0 if terrace else float(rng.uniform(9.5, min(16, gap - 4)))
                deep = float(rng.uniform(7.5, 10.5))
                x, y = at + normal * (setback + deep / 2 + rng.normal(0, 0.5))
                frame = Frame(x, y, angle + float(rng.normal(0, 0.03)), wide, deep)
                if not sheet.free_ground(frame.whole(-1.0)):
                    continue
                if not terrace and rng.random() < 0.25:
                    frame = Frame(x, y, angle + math.pi / 2, deep, min(wide, 11))
                if terrace:
                    _terrace(sheet, frame, palette)
                else:
                    house(sheet, frame, palette, building=kind, addr__housenumber=str(rng.integers(1, 120)))
                    _garden(sheet, Frame(x, y, angle, wide, deep), setback, pools)
                if rng.random() < 0.35:
                    spots.append((x, y))
    for x, y in spots[:: max(1, len(spots) // 8)]:
        sheet.scene("residential houses", x, y)
    scatter_trees(sheet, ground, int(rng.integers(250, 620)), 1.6, 4.6)


def _terrace(sheet: Sheet, frame: Frame, palette: tuple[Colour, ...]) -> None:
    colour = sheet.pick(*palette)
    gable(sheet, frame, colour, 6.0)
    for x in np.arange(-frame.width / 2 + 6, frame.width / 2 - 3, 6.0):
        sheet.line(ROOFTOP, frame.at([(x, -frame.depth / 2), (x, frame.depth / 2)]), 0.5, (90, 80, 76), "roof", 8.0)
    sheet.map_area(frame.whole(), building="terrace")
    sheet.take(frame.whole())


def _garden(sheet: Sheet, frame: Frame, setback: float, pools: float) -> None:
    """Paint a drive to the street, and behind the house a pool, a shed or a terrace. Local y runs from the street."""
    rng = sheet.rng
    w, d = frame.width / 2, frame.depth / 2
    x = w - 2.5 if rng.random() < 0.5 else -w - 0.5
    sheet.fill(DETAIL, frame.rect(x, -d - setback + 3.5, x + 3.2, -d + 1), sheet.vary((164, 158, 148), 8), "paved")
    if rng.random() < pools:
        px, py = rng.uniform(-w + 3, w - 3), d + rng.uniform(6, 9)
        size = rng.uniform(2.2, 3.0), rng.uniform(3.5, 5.5)
        rim = frame.rect(px - size[1] - 1.2, py - size[0] - 1.2, px + size[1] + 1.2, py + size[0] + 1.2)
        if sheet.free_ground(rim):
            pool = frame.rect(px - size[1], py - size[0], px + size[1], py + size[0])
            sheet.fill(DETAIL, rim, (206, 200, 188), "paved")
            sheet.fill(DETAIL, pool, sheet.pick((72, 172, 196), (92, 190, 206), (60, 150, 184)), "water")
            sheet.map_area(pool, leisure="swimming_pool", access="private")
            sheet.take(rim)
    elif rng.random() < 0.25:
        shed = frame.inner(-w, d + 7, -w + 3.5, d + 10)
        if sheet.free_ground(shed.whole()):
            sheet.fill(BUILDING, shed.whole(), sheet.pick((120, 104, 90), (96, 98, 100)), "roof", 2.5)
            sheet.map_area(shed.whole(), building="shed")
            sheet.take(shed.whole())


def apartments(sheet: Sheet, ground: Points, frame: Frame) -> None:
    rng = sheet.rng
    lawn(sheet, ground)
    sheet.map_area(ground, landuse="residential", residential="apartments")
    frame = frame.tilted(float(rng.choice([0, 0, rng.uniform(-0.5, 0.5)]))).lengthwise()
    w, d = frame.width / 2 - 6, frame.depth / 2 - 6
    colour = sheet.pick(*FLAT_ROOFS)
    towers = rng.random() < 0.3
    if towers:
        for x in np.arange(-w + 14, w - 10, 52):
            for y in np.arange(-d + 14, d - 10, 52):
                size = float(rng.uniform(20, 26))
                block = frame.inner(x - size / 2, y - size / 2, x + size / 2, y + size / 2)
                hue, tall = sheet.vary(colour), float(rng.uniform(26, 46))
                flat_block(sheet, block, hue, tall, units=3, building="apartments")
                sheet.scene("apartment blocks", block.cx, block.cy)
    else:
        deep = float(rng.uniform(12, 16))
        for y in np.arange(-d, d - deep, float(rng.uniform(36, 48))):
            x = -w
            while x < w - 30:
                wide = min(float(rng.uniform(42, 80)), w - x)
                block = frame.inner(x, y, x + wide, y + deep)
                tall = float(rng.uniform(12, 24))
                flat_block(sheet, block, sheet.vary(colour), tall, units=int(wide / 12), building="apartments")
                if rng.random() < 0.7:
                    sheet.scene("apartment blocks", block.cx, block.cy)
                x += wide + 12
    for _ in range(5):
        spot = frame.inner(0, 0, float(rng.uniform(34, 60)), 17)
        cx, cy = frame.point(rng.uniform(-w + 25, w - 25), rng.uniform(-d + 10, d - 10))
        lot = Frame(cx, cy, spot.angle, spot.width, spot.depth)
        if sheet.free_ground(lot.whole(-2)):
            parking(sheet, lot, full=0.7)
    scatter_trees(sheet, ground, int(area(ground) / 220), 2.2, 4.8)
