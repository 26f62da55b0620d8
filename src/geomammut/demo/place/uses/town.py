"""What a town has besides homes: shops, schools, parks, cemeteries, construction sites, industry."""

import itertools
import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, area, blob, circle, closed, inside, smooth
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, ROOFTOP, TREE, WATER, Sheet
from geomammut.demo.place.things import (
    FLAT_ROOFS,
    flat_block,
    gable,
    hall,
    lawn,
    parking,
    path,
    scatter_trees,
    tree_row,
)
from geomammut.demo.place.uses.pitches import pitch, running_track


def commercial(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A large shop with its parking lot, sometimes with a second building."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.vary((158, 154, 146), 6), "paved")
    sheet.map_area(ground, landuse="retail")
    frame = frame.lengthwise()
    w, d = frame.width / 2 - 6, frame.depth / 2 - 6
    share = float(rng.uniform(0.38, 0.55))
    split = -w + 2 * w * share
    frame = frame.turned(math.pi if rng.random() < 0.5 else 0.0)
    store = frame.inner(-w, -d, split - 5, d * float(rng.uniform(0.5, 1.0)))
    store_y = store.depth / 2 - d
    colour = sheet.pick((206, 206, 204), (178, 176, 170), (150, 148, 146), (188, 180, 170))
    name = sheet.namer.of("shop", 0.8)
    tall, units = float(rng.uniform(7, 11)), int(rng.integers(8, 22))
    flat_block(sheet, store, colour, tall, units=units, building="retail", shop="supermarket", name=name)
    if rng.random() < 0.5:
        solar = store.inner(-store.width * 0.3, -store.depth * 0.35, store.width * 0.3, 0)
        sheet.stripes(ROOFTOP, solar.whole(), solar.angle, 3.0, 0.7, (44, 54, 84), "roof")
    sheet.map_node(*store.point(0, 2), amenity="cafe", name=sheet.namer.of("cafe"))
    sheet.scene("shopping centre", *frame.point(split - 14, store_y))
    parking(sheet, frame.inner(split + 2, -d, w, d), full=float(rng.uniform(0.25, 0.9)))
    for side in (-1, 1):
        tree_row(sheet, frame.point(-w, side * (d + 3)), frame.point(w, side * (d + 3)), 12)


def school(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A winged building, a yard, a running track or a pitch."""
    rng = sheet.rng
    lawn(sheet, ground)
    sheet.map_area(ground, amenity="school", name=sheet.namer.of("school", 0.8))
    frame = frame.lengthwise()
    w, d = frame.width / 2 - 6, frame.depth / 2 - 6
    yard = frame.inner(-w, -d, -w + 96, d)
    sheet.fill(DETAIL, yard.whole(), sheet.vary((152, 150, 146), 6), "paved")
    colour = sheet.pick(*FLAT_ROOFS, (158, 92, 72))
    wing = float(rng.uniform(13, 17))
    shape = int(rng.integers(3))
    x0, x1, y0, y1 = -w + 5, -w + 86, -d + 4, min(d - 4, -d + 80)
    parts = [(x0, y0, x1, y0 + wing), (x0, y0, x0 + wing, y1)]
    if shape == 1:
        parts.append((x1 - wing, y0, x1, y1))
    elif shape == 2:
        parts.append((x0, (y0 + y1) / 2, x1, (y0 + y1) / 2 + wing))
    for part in parts:
        flat_block(sheet, frame.inner(*part), colour, 8.5, units=5, building="school")
    sheet.scene("school", *frame.point((x0 + x1) / 2, (y0 + y1) / 2))
    for x in (-w + 40, -w + 60):
        court = frame.inner(x - 7, d - 34, x + 7, d - 8)
        if sheet.free_ground(court.whole()):
            pitch(sheet, court, "basketball")
    field = frame.inner(-w + 104, -d, w, d)
    if min(field.width, field.depth) > 70 and max(field.width, field.depth) > 130:
        running_track(sheet, field)
    elif min(field.width, field.depth) > 40:
        w, d = field.width * 0.42, field.depth * 0.4
        pitch(sheet, field.inner(-w, -d, w, d), "soccer")
    scatter_trees(sheet, ground, 60, 2.2, 4.5)


def park(sheet: Sheet, ground: Points, frame: Frame) -> None:
    rng = sheet.rng
    lawn(sheet, ground)
    sheet.map_area(ground, leisure="park", name=sheet.namer.of("park", 0.8))
    w, d = frame.width / 2, frame.depth / 2
    if rng.random() < 0.75:
        x, y = frame.point(rng.uniform(-0.4, 0.4) * w, rng.uniform(-0.4, 0.4) * d)
        pond = blob(rng, x, y, w * rng.uniform(0.22, 0.42), d * rng.uniform(0.2, 0.4))
        sheet.fill(WATER, pond + (pond - pond.mean(axis=0)) * 0.06, (140, 138, 100), "grass")
        sheet.fill(WATER, pond, sheet.pick((54, 84, 76), (62, 96, 104), (72, 92, 70)), "water")
        sheet.map_area(pond, natural="water", water="pond")
        sheet.take(pond)
    ends = frame.at([(-w, -d), (w, -d), (w, d), (-w, d)])
    for a, b in ((0, 2), (1, 3)):
        bend = frame.at([(rng.uniform(-0.7, 0.7) * w, rng.uniform(-0.7, 0.7) * d)])
        line = smooth(np.concatenate([ends[a : a + 1], bend, ends[b : b + 1]]), 4)
        path(sheet, line, 3.0)
        sheet.take_line(line, 2)
    ring = circle(*frame.point(0, 0), min(w, d) * 0.8, 40)
    path(sheet, closed(ring), 2.5)
    if rng.random() < 0.6:
        x, y = frame.point(w * 0.5, -d * 0.5)
        sheet.disc(DETAIL, x, y, 9, (214, 190, 144), "paved")
        for _ in range(5):
            sx, sy = np.array([x, y]) + rng.uniform(-6, 6, 2)
            thing = Frame(sx, sy, rng.uniform(0, 3), 3, 1.5)
            sheet.fill(TREE, thing.whole(), sheet.pick((200, 60, 50), (60, 110, 190), (230, 190, 60)), "thing", 2)
        sheet.map_area(circle(x, y, 9), leisure="playground")
    sheet.scene("park", frame.cx, frame.cy)
    scatter_trees(sheet, ground, int(area(ground) / 110), 2.5, 5.6)


def cemetery(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Rows of graves in fields between paths, a chapel, old trees."""
    rng = sheet.rng
    lawn(sheet, ground)
    sheet.map_area(ground, landuse="cemetery", name=sheet.namer.of("cemetery", 0.7))
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.4, 0.4)])))
    w, d = frame.width / 2 - 5, frame.depth / 2 - 5
    columns, rows = max(2, round(w / 28)), max(2, round(d / 24))
    chapel = frame.inner(-10, -6, 10, 6)
    gable(sheet, chapel, sheet.pick((150, 84, 64), (86, 86, 92)), 7.0)
    sheet.map_area(chapel.whole(), building="chapel", amenity="place_of_worship")
    sheet.take(chapel.whole())
    xs, ys = np.linspace(-w, w, columns + 1), np.linspace(-d, d, rows + 1)
    for x in xs:
        path(sheet, frame.at([(x, -d), (x, d)]), 2.6)
    for y in ys:
        path(sheet, frame.at([(-w, y), (w, y)]), 2.6)
    pitch_x, pitch_y = float(rng.uniform(2.2, 3.0)), float(rng.uniform(3.6, 4.8))
    for a, b in itertools.pairwise(xs):
        for c, e in itertools.pairwise(ys):
            if rng.random() < 0.12:
                continue
            for y in np.arange(c + 4, e - 3, pitch_y):
                for x in np.arange(a + 3.4, b - 2.5, pitch_x):
                    if rng.random() < 0.86 and not (abs(x) < 13 and abs(y) < 9):
                        stone = sheet.pick((196, 194, 188), (120, 118, 116), (160, 156, 150), (84, 84, 86), amount=10)
                        sheet.fill(DETAIL, frame.rect(x - 0.6, y - 1.1, x + 0.6, y + 0.9), stone, "thing", 0.9)
    for x in xs:
        tree_row(sheet, frame.point(x + 2.5, -d), frame.point(x + 2.5, d), float(rng.uniform(11, 24)), 2, 4)
    sheet.scene("cemetery", *frame.point(w * 0.45, d * 0.4))
    sheet.scene("cemetery", *frame.point(-w * 0.45, -d * 0.4))
    scatter_trees(sheet, ground, 40, 2, 4)


def construction(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Bare ground, tracks, a pit with foundations, half-built blocks, a crane, materials."""
    rng = sheet.rng
    soil = sheet.pick((168, 140, 108), (150, 128, 100), (182, 158, 126))
    sheet.fill(AREA, ground, soil, "soil")
    sheet.map_area(ground, landuse="construction")
    w, d = frame.width / 2, frame.depth / 2
    for _ in range(9):
        x, y = frame.point(rng.uniform(-w, w), rng.uniform(-d, d))
        patch = blob(rng, x, y, rng.uniform(10, 30), rng.uniform(8, 22), 0.4)
        if all(inside(ground, *p) for p in patch):
            sheet.fill(AREA, patch, sheet.vary(soil, 16), "soil")
    for _ in range(4):
        line = smooth(frame.at(rng.uniform((-w * 0.85, -d * 0.85), (w * 0.85, d * 0.85), (4, 2))), 3)
        sheet.line(DETAIL, line, 4, sheet.vary((190, 172, 144), 6), "soil")
    for k in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(-w * 0.6, w * 0.6), rng.uniform(-d * 0.6, d * 0.6)
        size = rng.uniform(14, 26), rng.uniform(9, 16)
        part = frame.inner(x - size[0], y - size[1], x + size[0], y + size[1])
        if not sheet.free_ground(part.whole(-3)):
            continue
        sheet.take(part.whole())
        if k % 2:
            sheet.fill(DETAIL, part.whole(-3), (120, 100, 80), "soil")
            sheet.fill(DETAIL, part.whole(), (178, 174, 168), "soil")
            for gx in np.arange(-size[0] + 3, size[0], 6):
                sheet.line(DETAIL, part.at([(gx, -size[1]), (gx, size[1])]), 0.8, (120, 116, 110), "soil")
        else:
            tall = float(rng.uniform(5, 16))
            sheet.fill(BUILDING, part.whole(), (176, 172, 166), "roof", tall)
            for gx in np.arange(-size[0] + 2, size[0] - 1, 4.5):
                for gy in np.arange(-size[1] + 2, size[1] - 1, 4.5):
                    box = part.rect(gx, gy, gx + 1.2, gy + 1.2)
                    sheet.fill(ROOFTOP, box, (112, 108, 104), "roof", tall + 1.5)
            sheet.map_area(part.whole(), building="construction")
    x, y = rng.uniform(-0.3, 0.3, 2) * (w, d)
    turn = float(rng.uniform(0, 6.28))
    arm = frame.at(
        [(x - 9 * math.cos(turn), y - 9 * math.sin(turn)), (x + 34 * math.cos(turn), y + 34 * math.sin(turn))]
    )
    sheet.line(TREE, arm, 1.3, (226, 186, 60), "thing", 34)
    for _ in range(30):
        cx, cy = frame.point(rng.uniform(-w, w) * 0.9, rng.uniform(-d, d) * 0.9)
        stack = Frame(cx, cy, float(rng.uniform(0, 3)), float(rng.uniform(2, 9)), 2.4)
        if sheet.free_ground(stack.whole()):
            colour = sheet.pick((206, 180, 60), (150, 70, 50), (90, 120, 170), (190, 188, 184), (120, 90, 60))
            sheet.fill(BUILDING, stack.whole(), colour, "soil", 2.4)
    sheet.scene("construction site", frame.cx, frame.cy)


def industrial(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Halls on a paved yard with containers, lorries and parking."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((156, 152, 144), (136, 134, 130), (170, 162, 148)), "paved")
    sheet.map_area(ground, landuse="industrial", name=sheet.namer.of("works", 0.5))
    frame = frame.lengthwise()
    w, d = frame.width / 2 - 5, frame.depth / 2 - 5
    x = -w
    while x < w - 34:
        wide = min(float(rng.uniform(46, 110)), w - x)
        y = -d
        while y < d - 26:
            deep = min(float(rng.uniform(30, 75)), d - y)
            part = frame.inner(x, y, x + wide, y + deep)
            role = rng.random()
            if role < 0.72:
                kind = "industrial" if rng.random() < 0.5 else "warehouse"
                hall(sheet, part.inner(-wide / 2, -deep / 2, wide / 2 - 3, deep / 2 - 3), building=kind)
                sheet.scene("industrial halls", part.cx, part.cy)
            elif role < 0.86:
                parking(sheet, part, full=0.6)
            else:
                _containers(sheet, part)
            y += deep + float(rng.uniform(9, 16))
        x += wide + float(rng.uniform(12, 20))
    scatter_trees(sheet, ground, 50, 1.8, 3.4)


def _containers(sheet: Sheet, frame: Frame) -> None:
    rng = sheet.rng
    frame = frame.lengthwise()
    for x in np.arange(-frame.width / 2 + 2, frame.width / 2 - 7, 7.2):
        for y in np.arange(-frame.depth / 2 + 2, frame.depth / 2 - 3, 2.9):
            if rng.random() < 0.7:
                colour = sheet.pick((160, 62, 48), (52, 86, 140), (186, 186, 182), (78, 120, 84), (196, 140, 60))
                tall = float(rng.choice([2.6, 5.2]))
                sheet.fill(BUILDING, frame.rect(x, y, x + 6.1, y + 2.45), colour, "thing", tall)
