"""Golf courses."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, blob, normals, smooth
from geomammut.demo.place.sheet import AREA, DETAIL, WATER, Sheet
from geomammut.demo.place.surfaces import Colour
from geomammut.demo.place.things import flat_block, path, scatter_trees


def golf(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Fairways that bend through rough, greens with bunkers, tees, ponds, lines of trees."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((104, 122, 66), (116, 124, 72), (92, 116, 60)), "golf")
    sheet.map_area(ground, leisure="golf_course", name=sheet.namer.of("golf", 0.9))
    frame = frame.tilted(float(rng.uniform(-0.3, 0.3))).lengthwise()
    w, d = frame.width / 2 - 16, frame.depth / 2 - 16
    holes = int(rng.integers(5, 8))
    pitch_y = 2 * d / holes
    fairway = sheet.pick((122, 156, 76), (134, 164, 84), (110, 148, 74))
    for k in range(holes):
        y, way, sway = -d + pitch_y * (k + 0.5), 1 if k % 2 else -1, min(pitch_y * 0.42, 24)
        x0, x1 = -w * rng.uniform(0.8, 1), w * rng.uniform(0.75, 1)
        bends = [
            (way * (part * x0 + rest * x1), y + rng.uniform(-sway, sway) * share)
            for part, rest, share in ((1, 0, 0.5), (0.5, 0.2, 1), (0.2, 0.55, 1), (0, 1, 0.5))
        ]
        _hole(sheet, smooth(frame.at(bends), 4), fairway, frame.angle)
    for _ in range(int(rng.integers(1, 3))):
        x, y = frame.point(rng.uniform(-0.8, 0.8) * w, rng.uniform(-0.8, 0.8) * d)
        pond = blob(rng, x, y, rng.uniform(12, 26), rng.uniform(9, 18))
        sheet.fill(WATER, pond, (62, 92, 86), "water")
        sheet.fill(DETAIL, pond, sheet.pick((58, 86, 84), (50, 78, 88)), "water")
        sheet.map_area(pond, natural="water", water="pond")
        sheet.take(pond)
    club = frame.inner(-w, d + 2, -w + 30, d + 14)
    flat_block(sheet, club, sheet.pick((150, 96, 76), (120, 118, 116)), 6, units=2, building="yes")
    line = smooth(frame.at([(-w, d), (-w * 0.3, 0), (w * 0.2, d * 0.3), (w, -d)]), 4)
    path(sheet, line, 2.2, level=AREA)
    scatter_trees(sheet, ground, int(rng.integers(300, 700)), 2.0, 4.8)


def _hole(sheet: Sheet, line: Points, fairway: Colour, angle: float) -> None:
    """Paint and map a fairway along a line, its green with bunkers at the end and its tee at the start."""
    rng = sheet.rng
    mown = line[2:-2]
    steps = np.arange(len(mown))
    from_ends = np.minimum(steps, steps[::-1])
    half = (13 + 5 * np.sin(steps / 5 + rng.uniform(0, 6))) * np.clip((from_ends + 2) / 6, 0.4, 1)
    normal = normals(mown)
    outline = np.concatenate([mown + half[:, None] * normal, (mown - half[:, None] * normal)[::-1]])
    sheet.fill(DETAIL, outline, fairway, "golf")
    lighter = (min(255, fairway[0] + 12), min(255, fairway[1] + 12), min(255, fairway[2] + 8))
    sheet.stripes(DETAIL, outline, angle + float(rng.uniform(-0.8, 0.8)), 8, 0.5, lighter, "golf")
    sheet.map_area(outline, golf="fairway")
    sheet.take(outline)
    (start_x, start_y), (end_x, end_y), end = line[0], line[-1], line[-1]
    green = blob(rng, end_x, end_y, rng.uniform(8, 12), rng.uniform(7, 11), 0.3)
    sheet.fill(DETAIL, end + (green - end) * 1.35, (118, 158, 78), "golf")
    sheet.fill(DETAIL, green, sheet.pick((146, 190, 96), (152, 194, 104), amount=4), "golf")
    sheet.map_area(green, golf="green")
    sheet.take(green)
    for _ in range(int(rng.integers(1, 4))):
        turn = rng.uniform(0, 6.28)
        _bunker(sheet, end + rng.uniform(14, 19) * np.array([math.cos(turn), math.sin(turn)]))
    for _ in range(int(rng.integers(0, 3))):
        j = int(rng.integers(4, len(mown) - 4))
        _bunker(sheet, mown[j] + normal[j] * (half[j] + 4) * rng.choice([-1, 1]))
    tee = Frame(start_x, start_y, float(rng.uniform(0, 3)), 9, 5)
    sheet.fill(DETAIL, tee.whole(), (138, 176, 92), "golf")
    sheet.take(tee.whole())
    sheet.scene("golf course", *line[len(line) * 3 // 5])


def _bunker(sheet: Sheet, spot: Points) -> None:
    rng = sheet.rng
    shape = blob(rng, float(spot[0]), float(spot[1]), rng.uniform(3.5, 7.5), rng.uniform(3, 5), 0.5)
    if sheet.free(shape):
        sheet.fill(DETAIL, shape, sheet.pick((226, 212, 172), (234, 224, 196), amount=4), "sand")
        sheet.map_area(shape, golf="bunker", natural="sand")
        sheet.take(shape)
