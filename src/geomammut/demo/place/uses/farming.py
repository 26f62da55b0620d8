"""Farms: fields of crops, fields under pivots, orchards and vineyards, meadows, farmsteads."""

import math

import numpy as np
import shapely

from geomammut.demo.place.shapes import Frame, Points, along, circle, closed, pieces, ring, smooth
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, Sheet
from geomammut.demo.place.surfaces import Colour
from geomammut.demo.place.things import PALETTES, hall, house, leaf, scatter_trees, tree_row

CROPS: tuple[tuple[str, Colour, Colour, float], ...] = (  # crop, ground, rows, period in metres
    ("", (134, 104, 78), (116, 90, 68), 3.0),  # ploughed
    ("", (154, 126, 96), (142, 114, 86), 5.0),
    ("wheat", (196, 174, 112), (184, 162, 102), 9.0),
    ("barley", (178, 166, 104), (168, 154, 96), 7.0),
    ("maize", (92, 116, 56), (108, 112, 66), 3.0),
    ("rape", (206, 196, 74), (194, 184, 70), 12.0),
    ("beet", (82, 122, 60), (106, 114, 70), 4.0),
    ("", (188, 170, 132), (172, 152, 116), 6.0),  # stubble
    ("grass", (112, 138, 70), (104, 130, 66), 10.0),
    ("vegetables", (98, 128, 72), (136, 112, 84), 5.0),
)


def farmland(sheet: Sheet, usable: shapely.Geometry, frame: Frame, quarters: list[Points]) -> None:
    """Fields of several crops, each with its own rows, parted by strips of grass; `quarters` are field outlines."""
    rng = sheet.rng
    strip = float(rng.uniform(1.0, 3.0))
    offset = float(rng.choice([0.0, rng.uniform(-0.5, 0.5)]))
    for outline in quarters:
        field = shapely.buffer(shapely.intersection(shapely.Polygon(outline), usable), -strip)
        crop, ground, rows, period = CROPS[int(rng.integers(len(CROPS)))]
        tone = sheet.vary(ground, 7)
        angle = frame.angle + offset + (math.pi / 2 if rng.random() < 0.4 else 0)
        for part in pieces(field, 200):
            shape = ring(part)
            sheet.fill(AREA, shape, tone, "farm", 0.0)
            sheet.stripes(AREA, shape, angle, period, 0.45, rows, "farm")
            if rng.random() < 0.7:  # tramlines
                apart = float(rng.uniform(18, 30))
                sheet.stripes(AREA, shape, angle, apart, 0.05, sheet.vary((150, 128, 96), 6), "farm")
            if rng.random() < 0.35:  # headland
                inner = shapely.buffer(part, -8)
                for core in pieces(inner, 200):
                    line = closed(ring(core))
                    sheet.line(AREA, line, 1.0, rows, "farm")
            sheet.map_area(shape, landuse="farmland", crop=crop)
            x, y = part.representative_point().coords[0]
            if part.area > 9000:
                sheet.scene("farmland", x, y)
        if rng.random() < 0.3:
            for x, y in along(closed(outline), 9)[0]:
                if rng.random() < 0.5 and sheet.free(np.array([[x, y]])):
                    sheet.tree(x, y, rng.uniform(1.6, 3.6), leaf(sheet))
    if rng.random() < 0.6:
        yard = Frame(*frame.point(frame.width * 0.2, frame.depth * 0.22), frame.angle, 60, 46)
        if sheet.free_ground(yard.whole()):
            farmstead(sheet, yard)


def pivot_fields(sheet: Sheet, usable: shapely.Geometry, frame: Frame) -> None:
    """Round fields under pivots."""
    rng = sheet.rng
    radius = min(frame.width, frame.depth) / 4 - 4
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = frame.point(sx * frame.width / 4, sy * frame.depth / 4)
            disc = shapely.intersection(shapely.Point(x, y).buffer(radius, quad_segs=20), usable)
            crop, ground, rows, _ = CROPS[int(rng.integers(len(CROPS)))]
            for part in pieces(disc, 4000):
                sheet.fill(AREA, ring(part), sheet.vary(ground), "farm")
                for r in np.arange(8, radius, 9):
                    arc = shapely.intersection(shapely.Point(x, y).buffer(r, quad_segs=16).exterior, part)
                    for piece in shapely.get_parts(arc):
                        if piece.geom_type == "LineString":
                            sheet.line(AREA, np.asarray(piece.coords), 1.5, rows, "farm")
                turn = float(rng.uniform(0, 6.28))
                arm = np.array([[x, y], [x + radius * math.cos(turn), y + radius * math.sin(turn)]])
                sheet.line(DETAIL, arm, 0.6, (206, 206, 202), "farm", 3)
                sheet.map_area(ring(part), landuse="farmland", crop=crop)
                sheet.scene("farmland", x, y)


def orchard(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Rows of small trees, or of vines."""
    rng = sheet.rng
    vines = rng.random() < 0.25
    soil = sheet.pick((140, 132, 84), (158, 136, 100), (124, 130, 76))
    sheet.fill(AREA, ground, soil, "meadow")
    sheet.map_area(ground, landuse="vineyard" if vines else "orchard")
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.6, 0.6)])))
    w, d = frame.width / 2 - 5, frame.depth / 2 - 5
    gap = float(rng.uniform(3, 4) if vines else rng.uniform(5.5, 8))
    step = float(gap * rng.uniform(0.75, 1.0))
    size = float(rng.uniform(1.6, 2.5))
    green = sheet.pick((74, 100, 50), (86, 108, 58), (64, 88, 48), (98, 112, 70))
    for y in np.arange(-d, d, gap):
        if vines:
            sheet.line(DETAIL, frame.at([(-w, y), (w, y)]), 1.5, sheet.vary(green, 5), "tree", 1.8)
            continue
        for x in np.arange(-w, w, step):
            if rng.random() < 0.95:
                tx, ty = frame.point(x + rng.normal(0, 0.2), y + rng.normal(0, 0.2))
                sheet.tree(tx, ty, size * float(rng.uniform(0.8, 1.1)), sheet.vary(green, 5), 3.8)
    label = "vineyard" if vines else "orchard"
    for k in (-0.5, 0, 0.5):
        sheet.scene(label, *frame.point(k * w, -k * d))


def meadow(sheet: Sheet, ground: Points, frame: Frame) -> None:
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((120, 136, 74), (142, 140, 90), (106, 130, 68)), "meadow")
    sheet.map_area(ground, landuse="meadow")
    for _ in range(3):
        line = smooth(frame.at(rng.uniform(-0.5, 0.5, (4, 2)) * (frame.width, frame.depth)), 4)
        sheet.line(DETAIL, line, 1.0, (164, 150, 112), "meadow")
    for _ in range(int(rng.integers(0, 25))):
        x, y = frame.point(*(rng.uniform(-0.45, 0.45, 2) * (frame.width, frame.depth)))
        sheet.disc(BUILDING, x, y, 0.9, (214, 196, 140), "meadow", 1.2)
    sheet.scene("meadow", frame.cx, frame.cy)
    scatter_trees(sheet, ground, int(rng.integers(10, 60)), 2, 4.5)


def farmstead(sheet: Sheet, frame: Frame) -> None:
    """A farm house, barns and silos around a yard."""
    rng = sheet.rng
    sheet.fill(DETAIL, frame.whole(), sheet.vary((162, 150, 128), 6), "paved")
    palette = PALETTES[int(rng.integers(len(PALETTES)))]
    house(sheet, frame.inner(-18, -14, -5, -5), palette, building="farm")
    for x, y, w, d in ((2, -16, 26, -4), (-20, 2, 14, 14)):
        hall(sheet, frame.inner(x, y, max(x + 8, w), d), building="barn")
    for k in range(2):
        cx, cy = frame.point(20 + 6 * k, 8)
        sheet.disc(BUILDING, cx, cy, 2.6, (206, 206, 200), "tank", 11)
        sheet.map_area(circle(cx, cy, 2.6), man_made="silo")
    sheet.map_area(frame.whole(), landuse="farmyard", name=sheet.namer.of("farm", 0.7))
    tree_row(sheet, frame.point(-24, -20), frame.point(26, -20), 8, 2.5, 4.5)
