"""Stadiums and sports centres."""

import itertools

import numpy as np

from geomammut.demo.place.shapes import Frame, Points
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, ROOFTOP, TREE, Sheet
from geomammut.demo.place.surfaces import shade
from geomammut.demo.place.things import lawn, parking, scatter_trees
from geomammut.demo.place.uses.pitches import pitch, running_track, stadium_shape


def stadium(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """An oval of stands around a pitch, sometimes with a roof ring and a track, in a paved ground with parking."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.vary((164, 160, 152), 6), "paved")
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.6, 0.6)]))).lengthwise()
    track = rng.random() < 0.35
    k = float(rng.uniform(0.62, 0.86)) * min(1.0, frame.width / 170, frame.depth / 130)
    field_w, field_d = (88 * k, 47 * k) if track else (58 * k, 40 * k)
    belt = float(rng.uniform(15, 24)) * k
    w, d = field_w + belt, field_d + belt
    corner = d if track else d * float(rng.choice([0.35, 0.7, 1.0]))
    outer = stadium_shape(frame, w, d, corner)
    seats = sheet.pick((174, 64, 60), (62, 90, 156), (168, 168, 170), (206, 160, 70), (72, 124, 92))
    sheet.fill(BUILDING, stadium_shape(frame, w + 2, d + 2, corner), (150, 148, 146), "stand", 12 * k)
    steps = 5
    for step in range(steps):
        inset = belt * step / steps
        rim = stadium_shape(frame, w - inset, d - inset, max(4, corner - inset))
        sheet.fill(BUILDING, rim, shade(seats, 0.86 + 0.06 * step), "stand", (11 - 2.0 * step) * k)
    if rng.random() < 0.55:
        roof = sheet.pick((224, 224, 222), (190, 192, 196), (150, 154, 160))
        sheet.fill(BUILDING, outer, roof, "stand", 17 * k)
        rim = stadium_shape(frame, w - belt * 0.6, d - belt * 0.6, max(4, corner - belt * 0.6))
        sheet.fill(BUILDING, rim, seats, "stand", 5 * k)
    well = stadium_shape(frame, field_w, field_d, max(4, corner - belt))
    sheet.fill(BUILDING, well, (178, 92, 72) if track else (96, 130, 66), "pitch", 0.0)
    start = len(sheet.ops)
    if track:
        field = frame.inner(-field_w * 0.6, -field_d * 0.72, field_w * 0.6, field_d * 0.72)
    else:
        field = frame.inner(-field_w + 4, -field_d + 4, field_w - 4, field_d - 4)
    pitch(sheet, field, "soccer", scene=False)
    sheet.ops[start:] = [op._replace(level=ROOFTOP) for op in sheet.ops[start:]]  # the pitch lies inside the stands
    for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        x, y = frame.point(sx * (w + 1), sy * (d + 1) * 0.86)
        sheet.disc(TREE, x, y, 1.1, (206, 206, 206), "thing", 32)
    name = sheet.namer.of("stadium", 0.8)
    sheet.map_area(stadium_shape(frame, w + 2, d + 2, corner), leisure="stadium", building="stadium", name=name)
    sheet.take(stadium_shape(frame, w + 6, d + 6, corner))
    sheet.scene("stadium", frame.cx, frame.cy)
    sheet.scene("stadium", *frame.point(w * 0.5, 0))
    full = frame.width / 2
    for side in (-1, 1):
        room = full - w - 12
        if room > 20:
            a, b = sorted((side * (w + 8), side * full))
            parking(sheet, frame.inner(a, -frame.depth / 2, b, frame.depth / 2), full=0.5)
        depth = frame.depth / 2 - d - 12
        if depth > 18:
            a, b = sorted((side * (d + 8), side * frame.depth / 2))
            parking(sheet, frame.inner(-w, a, w, b), full=0.4)
    scatter_trees(sheet, ground, 70, 2, 4)


def sports(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A sports centre: pitches of several kinds, a club house, sometimes a public pool."""
    rng = sheet.rng
    lawn(sheet, ground)
    sheet.map_area(ground, leisure="sports_centre", name=sheet.namer.of("park", 0.5))
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.25, 0.25)]))).lengthwise()
    w, d = frame.width / 2 - 4, frame.depth / 2 - 4
    columns = [0.0, 0.52, 1.0] if frame.width > 260 else [0.0, 1.0]
    for a, b in itertools.pairwise(columns):
        x0, x1 = -w + 2 * w * a + 4, -w + 2 * w * b - 4
        upper = frame.inner(x0, -d, x1, -d + min(2 * d, 100))
        if rng.random() < 0.25:
            running_track(sheet, upper)
        elif upper.width > 160:
            flip = bool(rng.random() < 0.5)
            cut = upper.width / 2 - 86 if flip else 86 - upper.width / 2
            parts = [(-upper.width / 2, cut), (cut + 6, upper.width / 2)]
            wide, narrow = sorted(parts, key=lambda part: part[0] - part[1])
            _field(sheet, upper.inner(wide[0], -upper.depth / 2, wide[1], upper.depth / 2), "soccer")
            _field(sheet, upper.inner(narrow[0], -upper.depth / 2, narrow[1], upper.depth / 2), "baseball")
        else:
            _field(sheet, upper, "soccer" if rng.random() < 0.5 else "baseball")
        lower = frame.inner(x0, -d + 106, x1, d)
        if lower.depth > 36:
            count = max(2, min(6, int(lower.width * 0.55 / 18)))
            courts = lower.inner(-lower.width / 2, -18, -lower.width / 2 + 18 * count, 18)
            pitch(sheet, courts, "tennis")
            rest = lower.inner(
                -lower.width / 2 + 18 * count + 8, -lower.depth / 2 + 4, lower.width / 2, lower.depth / 2 - 4
            )
            if rng.random() < 0.45 and rest.width > 34:
                _lido(sheet, rest)
            elif rest.width > 20:
                parking(sheet, rest, full=0.5)
        elif lower.depth > 16:
            parking(sheet, lower, full=0.5)
    scatter_trees(sheet, ground, 110, 2.2, 4.6)


def _field(sheet: Sheet, frame: Frame, sport: str) -> None:
    """Lay a pitch of full size, or as large as the frame allows."""
    if sport == "soccer":
        frame = frame.lengthwise()
        size = min(1.0, frame.width / 110, frame.depth / 74)
        frame = frame.inner(-52 * size, -34 * size, 52 * size, 34 * size)
    pitch(sheet, frame, sport)


def _lido(sheet: Sheet, frame: Frame) -> None:
    frame = frame.lengthwise()
    sheet.fill(DETAIL, frame.whole(), (206, 200, 188), "paved")
    w, d = min(25.0, frame.width / 2 - 4), min(10.0, frame.depth / 2 - 4)
    pool = frame.rect(-w, -d, w, d)
    sheet.fill(DETAIL, pool, sheet.pick((70, 170, 200), (86, 186, 208)), "water")
    for y in np.arange(-d + 2.5, d - 1, 2.5):
        sheet.line(DETAIL, frame.at([(-w, y), (w, y)]), 0.5, (52, 120, 160), "water")
    sheet.map_area(pool, leisure="swimming_pool", access="yes")
    sheet.take(frame.whole())
    sheet.scene("swimming pool", frame.cx, frame.cy)
