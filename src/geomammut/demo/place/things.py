"""Buildings, parking lots, cars and trees: the things that many parts of a place share."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Point, Points, circle, inside
from geomammut.demo.place.sheet import (
    AREA,
    BUILDING,
    DETAIL,
    MARKING,
    ROOFTOP,
    Sheet,
)
from geomammut.demo.place.surfaces import Colour, shade

TILE_RED: Colour = (160, 84, 62)
BROWN: Colour = (122, 94, 78)
SLATE: Colour = (84, 86, 92)
GREY: Colour = (132, 132, 134)
SAND_ROOF: Colour = (176, 152, 122)
PALETTES: tuple[tuple[Colour, ...], ...] = (
    (TILE_RED, TILE_RED, (176, 98, 70), BROWN),
    (SLATE, GREY, BROWN, (104, 100, 98)),
    (TILE_RED, SLATE, GREY, BROWN, SAND_ROOF),
    (SAND_ROOF, (190, 172, 148), GREY, (150, 120, 96)),
)
FLAT_ROOFS: tuple[Colour, ...] = (
    (148, 146, 142),
    (176, 174, 168),
    (204, 204, 202),
    (118, 116, 114),
    (160, 148, 134),
)
HALL_ROOFS: tuple[Colour, ...] = (
    (196, 198, 200),
    (168, 172, 176),
    (92, 118, 152),
    (134, 96, 82),
    (110, 128, 114),
    (216, 216, 214),
    (140, 138, 134),
)
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
LEAVES: tuple[Colour, ...] = ((62, 88, 44), (72, 98, 48), (54, 78, 44), (86, 104, 52))


def car(sheet: Sheet, x: float, y: float, angle: float, level: int = MARKING, surface: str = "road") -> None:
    """Paint one car with its windscreen, or now and then a van or a lorry."""
    rng = sheet.rng
    long = 4.6 if rng.random() < 0.9 else float(rng.choice([6.5, 11.0]))
    frame = Frame(x, y, angle, long, 2.0 if long < 6 else 2.6)
    colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))] if long < 6 else (222, 222, 224)
    sheet.fill(level, frame.whole(), sheet.vary(colour, 5), surface, 1.5 if long < 6 else 3.0)
    if long < 6:
        sheet.fill(level, frame.rect(0.4, -0.8, 1.3, 0.8), (36, 40, 46), surface, 1.5)


def leaf(sheet: Sheet) -> Colour:
    return sheet.pick(*LEAVES, amount=6)


def gable(sheet: Sheet, frame: Frame, colour: Colour, eaves: float, *, hip: bool = False) -> None:
    """Paint a pitched roof with its ridge along the frame's width."""
    w, d = frame.width / 2, frame.depth / 2
    ridge = w - d * 0.8 if hip and w > d else w
    top = eaves + d * 0.35
    down = frame.angle + math.pi / 2
    sheet.fill(BUILDING, frame.whole(), colour, "roof", eaves)
    sheet.facet(BUILDING, frame.at([(-w, -d), (w, -d), (ridge, 0), (-ridge, 0)]), colour, top, down + math.pi)
    sheet.facet(BUILDING, frame.at([(-w, d), (w, d), (ridge, 0), (-ridge, 0)]), colour, top, down)
    if ridge < w:
        sheet.facet(BUILDING, frame.at([(w, -d), (w, d), (ridge, 0)]), colour, top, frame.angle)
        sheet.facet(BUILDING, frame.at([(-w, -d), (-w, d), (-ridge, 0)]), colour, top, frame.angle + math.pi)


def house(sheet: Sheet, frame: Frame, palette: tuple[Colour, ...], **tags: str) -> None:
    """Paint and map a house: plain, hipped or with a wing."""
    rng = sheet.rng
    colour = sheet.pick(*palette, amount=9)
    eaves = float(rng.uniform(3.5, 6.5))
    hip = bool(rng.random() < 0.35)
    gable(sheet, frame, colour, eaves, hip=hip)
    outline = frame.whole()
    if rng.random() < 0.3 and frame.width > 11:
        w, d = frame.width / 2, frame.depth / 2
        side = 1.0 if rng.random() < 0.5 else -1.0
        wing_w, reach = d * 1.1, d * float(rng.uniform(0.5, 0.9))
        x0 = w - wing_w if side > 0 else -w
        wing = frame.inner(x0, 0, x0 + wing_w, d + reach)
        gable(sheet, Frame(wing.cx, wing.cy, wing.angle + math.pi / 2, wing.depth, wing.width), colour, eaves)
        a, b = x0, x0 + wing_w
        corners = [(-w, -d), (w, -d), (w, d), (b, d), (b, d + reach), (a, d + reach), (a, d), (-w, d)]
        outline = frame.at(list(dict.fromkeys(corners)))
    if rng.random() < 0.5:
        x, y = frame.point(rng.uniform(-0.3, 0.3) * frame.width, frame.depth * 0.1)
        sheet.fill(ROOFTOP, Frame(x, y, frame.angle, 1.3, 1.3).whole(), (96, 82, 76), "roof", eaves + 4)
    sheet.map_area(outline, **tags)
    sheet.take(outline)


def flat_block(sheet: Sheet, frame: Frame, colour: Colour, height: float, *, units: int, **tags: str) -> None:
    """Paint and map a flat-roofed building with a parapet and rooftop units."""
    rng = sheet.rng
    sheet.fill(BUILDING, frame.whole(), shade(colour, 0.86), "roof", height + 0.8)
    sheet.fill(BUILDING, frame.whole(0.9), colour, "roof", height)
    w, d = frame.width / 2 - 3, frame.depth / 2 - 3
    for _ in range(units):
        if w > 1 and d > 1:
            x, y = rng.uniform(-w, w), rng.uniform(-d, d)
            size = rng.uniform(1.2, 3.0, 2)
            box = frame.rect(x - size[0], y - size[1], x + size[0], y + size[1])
            sheet.fill(ROOFTOP, box, sheet.pick((196, 196, 194), (110, 112, 116)), "roof", height + 2.2)
    sheet.map_area(frame.whole(), **tags)
    sheet.take(frame.whole())


def hall(sheet: Sheet, frame: Frame, **tags: str) -> None:
    """Paint and map an industrial hall: flat with skylights, ribbed, or with several low gables."""
    rng = sheet.rng
    colour = sheet.pick(*HALL_ROOFS, amount=7)
    height = float(rng.uniform(6, 13))
    style = rng.random()
    frame = frame.lengthwise()
    w, d = frame.width / 2, frame.depth / 2
    if style < 0.4:
        flat_block(sheet, frame, colour, height, units=int(rng.integers(2, 10)), **tags)
        for x in np.arange(-w + 6, w - 5, rng.uniform(8, 14)):
            sheet.fill(ROOFTOP, frame.rect(x, -d * 0.7, x + 1.6, d * 0.7), shade(colour, 1.15), "roof", height)
        return
    if style < 0.75:
        bays = max(1, round(frame.depth / rng.uniform(14, 24)))
        for k in range(bays):
            bay = frame.inner(-w, -d + 2 * d * k / bays, w, -d + 2 * d * (k + 1) / bays)
            gable(sheet, bay, colour, height)
    else:
        teeth = max(3, round(frame.width / rng.uniform(7, 11)))
        sheet.fill(BUILDING, frame.whole(), colour, "roof", height)
        for k in range(teeth):
            x = -w + 2 * w * k / teeth
            glass = frame.rect(x, -d + 1, x + 2 * w / teeth * 0.35, d - 1)
            sheet.fill(ROOFTOP, glass, shade(colour, 0.66), "roof", height)
    sheet.map_area(frame.whole(), **tags)
    sheet.take(frame.whole())


def parking(sheet: Sheet, frame: Frame, *, full: float = 0.6, **tags: str) -> None:
    """Paint and map a parking lot: aisles, marked bays, cars, a few trees."""
    rng = sheet.rng
    frame = frame.lengthwise()
    colour = sheet.pick((112, 112, 112), (98, 98, 102), (140, 137, 130), amount=5)
    sheet.fill(DETAIL, frame.whole(), colour, "parking")
    w, d = frame.width / 2, frame.depth / 2
    rows = max(1, int(frame.depth / 16.5))
    aisle = frame.depth / rows
    bay = 2.6
    for k in range(rows):
        y = -d + aisle * (k + 0.5)
        for side in (-1, 1):
            middle = y + side * min(5.6, aisle / 2 - 2.6)
            for x in np.arange(-w + 3, w - 3, bay):
                sheet.line(DETAIL, frame.at([(x, middle - 2.4), (x, middle + 2.4)]), 0.5, (166, 166, 162), "parking")
                if rng.random() < full:
                    cx, cy = frame.point(x + bay / 2, middle + rng.normal(0, 0.25))
                    way = math.pi / 2 * (1 if rng.random() < 0.5 else -1)
                    car(sheet, cx, cy, frame.angle + way, MARKING, "parking")
        if k and rng.random() < 0.6:
            for x in np.arange(-w + 6, w - 5, rng.uniform(9, 18)):
                tx, ty = frame.point(x, -d + aisle * k)
                sheet.tree(tx, ty, rng.uniform(1.6, 2.8), leaf(sheet))
    if not tags:
        tags = {"surface": "asphalt"}
    sheet.map_area(frame.whole(), amenity="parking", **tags)
    sheet.take(frame.whole())
    if frame.depth > 28 and frame.width > 36:
        sheet.scene("parking lot", frame.cx, frame.cy)


def scatter_trees(sheet: Sheet, outline: Points, count: int, low: float = 2.0, high: float = 5.0) -> None:
    """Stand up to `count` trees on free ground within the outline's bounds."""
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    for x, y in sheet.rng.uniform((x0, y0), (x1, y1), (count, 2)):
        radius = float(sheet.rng.uniform(low, high))
        if inside(outline, x, y) and sheet.free(circle(x, y, radius * 0.7, 6)):
            sheet.tree(x, y, radius, leaf(sheet))


def tree_row(sheet: Sheet, start: Point, end: Point, gap: float, low: float = 2.0, high: float = 3.5) -> None:
    """Stand trees along a line where the ground is free."""
    first, way = np.array(start), np.subtract(end, start)
    count = max(1, int(np.hypot(*way) / gap))
    for t in (np.arange(count) + 0.5) / count:
        x, y = first + t * way + sheet.rng.normal(0, 0.6, 2)
        if sheet.rng.random() < 0.9 and sheet.free(np.array([[x, y]])):
            sheet.tree(x, y, sheet.rng.uniform(low, high), leaf(sheet))


def path(sheet: Sheet, points: Points, width: float = 2.5, *, level: int = DETAIL, **tags: str) -> None:
    """Paint and map a footpath."""
    sheet.line(level, points, width, sheet.vary((190, 178, 154), 5), "paved")
    sheet.map_line(points, highway="footway", **tags)


def lawn(sheet: Sheet, outline: Points) -> None:
    sheet.fill(AREA, outline, sheet.vary((92, 118, 62), 8), "lawn")
