"""Sports grounds of the demo place: pitches with their lines, running tracks, stadiums, golf courses."""

import itertools
import math

import numpy as np

from geomammut.demo.place_buildings import flat_block, lawn, parking, path, scatter_trees
from geomammut.demo.place_sheet import (
    AREA,
    BUILDING,
    DETAIL,
    ROOFTOP,
    TREE,
    WATER,
    Frame,
    Points,
    Sheet,
    blob,
    circle,
    smooth,
)

LINE = (222, 224, 216)


def pitch(sheet: Sheet, frame: Frame, sport: str, *, scene: bool = True) -> None:
    """Paint and map a pitch of one sport as large as its lines need within the frame."""
    frame = frame.lengthwise()
    if sport == "soccer":
        _soccer(sheet, frame)
    elif sport == "tennis":
        _tennis(sheet, frame)
    elif sport == "baseball":
        _baseball(sheet, frame)
        return
    else:
        _court(sheet, frame)
    sheet.map_area(frame.whole(), leisure="pitch", sport=sport)
    sheet.take(frame.whole())
    if scene and sport == "soccer":
        sheet.scene("soccer field", frame.cx, frame.cy)


def _marks(sheet: Sheet, points: Points, width: float = 0.5) -> None:
    sheet.line(DETAIL, points, width, LINE, "pitch")


def _closed(points: Points) -> Points:
    return np.concatenate([points, points[:1]])


def _soccer(sheet: Sheet, frame: Frame) -> None:
    rng = sheet.rng
    worn = rng.random() < 0.2
    green = sheet.pick((84, 126, 58), (74, 116, 56), (96, 132, 66), (52, 122, 72)) if not worn else (134, 128, 82)
    sheet.fill(DETAIL, frame.whole(), green, "pitch")
    if rng.random() < 0.65:
        lighter = tuple(min(255, int(c * 1.10) + 4) for c in green)
        bands = frame.width / int(rng.integers(8, 16))
        sheet.stripes(
            DETAIL,
            frame.whole(),
            frame.angle + math.pi / 2,
            2 * bands,
            0.5,
            (lighter[0], lighter[1], lighter[2]),
            "pitch",
        )
    w, d = frame.width / 2 - 3, frame.depth / 2 - 3
    k = d / 34
    _marks(sheet, _closed(frame.rect(-w, -d, w, d)))
    _marks(sheet, frame.at([(0, -d), (0, d)]))
    ring = circle(0, 0, 9.15 * k, 24)
    _marks(sheet, _closed(frame.at(ring)))
    for side in (-1, 1):
        for deep, half in ((16.5, 20.2), (5.5, 9.2)):
            _marks(
                sheet,
                frame.at(
                    [
                        (side * w, -half * k),
                        (side * (w - deep * k), -half * k),
                        (side * (w - deep * k), half * k),
                        (side * w, half * k),
                    ]
                ),
            )
        sheet.fill(DETAIL, frame.rect(side * w - 0.8, -3.6 * k, side * w + 0.8, 3.6 * k), (236, 236, 236), "pitch", 2)


def _tennis(sheet: Sheet, frame: Frame) -> None:
    rng = sheet.rng
    court = sheet.pick((58, 104, 160), (178, 96, 66), (66, 128, 84), (88, 92, 158), amount=5)
    around = court if court[0] > 150 else sheet.pick((62, 122, 80), (50, 90, 140), (150, 84, 66), amount=5)
    sheet.fill(DETAIL, frame.whole(), around, "pitch")
    count = max(1, round(frame.width / 18))
    pitch_w = frame.width / count
    for k in range(count):
        one = frame.inner(
            -frame.width / 2 + k * pitch_w,
            -frame.depth / 2,
            -frame.width / 2 + (k + 1) * pitch_w,
            frame.depth / 2,
        )
        sheet.fill(DETAIL, one.rect(-5.5, -11.9, 5.5, 11.9), court, "pitch")
        _marks(sheet, _closed(one.rect(-5.5, -11.9, 5.5, 11.9)))
        for x in (-4.1, 4.1):
            _marks(sheet, one.at([(x, -11.9), (x, 11.9)]))
        for y in (-6.4, 6.4):
            _marks(sheet, one.at([(-4.1, y), (4.1, y)]))
        _marks(sheet, one.at([(0, -6.4), (0, 6.4)]))
        sheet.line(DETAIL, one.at([(-6, 0), (6, 0)]), 0.5, (60, 60, 60), "pitch", 1)
    sheet.scene("tennis courts", frame.cx, frame.cy)
    if rng.random() < 0.3:
        sheet.line(DETAIL, _closed(frame.whole()), 0.5, (60, 66, 60), "pitch")


def _court(sheet: Sheet, frame: Frame) -> None:
    sheet.fill(DETAIL, frame.whole(), sheet.pick((172, 90, 66), (80, 108, 150), (110, 112, 112)), "pitch")
    w, d = frame.width / 2 - 1.5, frame.depth / 2 - 1.5
    _marks(sheet, _closed(frame.rect(-w, -d, w, d)))
    _marks(sheet, frame.at([(0, -d), (0, d)]))
    for side in (-1, 1):
        _marks(
            sheet,
            frame.at([(side * w, -2.5), (side * (w - 5.8), -2.5), (side * (w - 5.8), 2.5), (side * w, 2.5)]),
        )


def _baseball(sheet: Sheet, frame: Frame) -> None:
    """A quarter disc of grass with its sanded infield; the home plate is at a corner of the frame."""
    reach = min(frame.width, frame.depth) * 0.95
    home = frame.at([(-reach / 2, reach / 2)])[0]
    base = frame.angle - math.pi / 2
    turn = np.linspace(0, np.pi / 2, 20)

    def fan(radius: float) -> Points:
        return np.concatenate(
            [home[None], home + radius * np.stack([np.cos(base + turn), np.sin(base + turn)], axis=1)]
        )

    sheet.fill(DETAIL, fan(reach), sheet.pick((86, 128, 60), (98, 132, 66)), "pitch")
    sheet.stripes(DETAIL, fan(reach), frame.angle + 0.8, 12, 0.5, (100, 142, 70), "pitch")
    dirt = sheet.pick((182, 136, 96), (170, 116, 82), (196, 156, 116))
    sheet.fill(DETAIL, fan(reach * 0.42), dirt, "pitch")
    diamond = Frame(*home, base + math.pi / 4, 0, 0)
    k = reach * 0.27
    sheet.fill(DETAIL, Frame(*home, base, 0, 0).rect(k * 0.16, k * 0.16, k, k), (90, 132, 62), "pitch")
    mound = diamond.at([(k * 0.82, 0)])[0]
    sheet.disc(DETAIL, *mound, 2.6, dirt, "pitch")
    for turned in (0, math.pi / 2):
        tip = home + reach * np.array([math.cos(base + turned), math.sin(base + turned)])
        _marks(sheet, np.stack([home, tip]))
    sheet.disc(DETAIL, *home, 4.0, dirt, "pitch")
    sheet.map_area(fan(reach), leisure="pitch", sport="baseball")
    sheet.take(fan(reach))
    sheet.scene("baseball diamond", *diamond.at([(reach * 0.45, 0)])[0])


def stadium_shape(frame: Frame, half_w: float, half_d: float, corner: float) -> Points:
    """Return a rectangle with round corners (a stadium's oval when the corner is as large as the half depth)."""
    points = []
    corner = min(corner, half_w, half_d)
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for turn in np.linspace(0, np.pi / 2, 9) + quarter * np.pi / 2:
            points.append(
                (
                    sx * (half_w - corner) + corner * math.cos(turn),
                    sy * (half_d - corner) + corner * math.sin(turn),
                )
            )
    return frame.at(points)


def running_track(sheet: Sheet, frame: Frame) -> None:
    """Paint and map an oval track with its lanes around a soccer pitch, as large as fits (at most 180 × 98 m)."""
    frame = frame.lengthwise()
    scale = min(1.0, frame.width / 180, frame.depth / 98)
    w, d, belt = 88 * scale, 47 * scale, 9.5 * scale
    red = sheet.pick((170, 82, 64), (184, 96, 76), (150, 74, 66), (66, 104, 158), amount=5)
    outer = stadium_shape(frame, w, d, d)
    inner = stadium_shape(frame, w - belt, d - belt, d - belt)
    sheet.fill(DETAIL, outer, red, "pitch")
    for k in range(1, 6):
        inset = belt * k / 6
        _lane = _closed(stadium_shape(frame, w - inset, d - inset, d - inset))
        sheet.line(DETAIL, _lane, 0.5, tuple(min(255, c + 26) for c in red), "pitch")
    sheet.fill(DETAIL, inner, sheet.pick((90, 130, 62), (104, 128, 66)), "pitch")
    field = frame.inner(-(w - belt) * 0.64, -(d - belt) * 0.9, (w - belt) * 0.64, (d - belt) * 0.9)
    pitch(sheet, field, "soccer", scene=False)
    sheet.map_area(outer, [inner], leisure="track", sport="athletics")
    sheet.take(outer)
    sheet.scene("running track", *frame.at([(w * 0.62, 0)])[0])
    if scale > 0.8:
        sheet.scene("running track", *frame.at([(-w * 0.62, 0)])[0])


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
        shade = 0.86 + 0.06 * step
        hue = tuple(min(255, int(c * shade)) for c in seats)
        rim = stadium_shape(frame, w - inset, d - inset, max(4, corner - inset))
        sheet.fill(BUILDING, rim, (hue[0], hue[1], hue[2]), "stand", (11 - 2.0 * step) * k)
    if rng.random() < 0.55:
        roof = sheet.pick((224, 224, 222), (190, 192, 196), (150, 154, 160))
        sheet.fill(BUILDING, outer, roof, "stand", 17 * k)
        rim = stadium_shape(frame, w - belt * 0.6, d - belt * 0.6, max(4, corner - belt * 0.6))
        sheet.fill(BUILDING, rim, (seats[0], seats[1], seats[2]), "stand", 5 * k)
    well = stadium_shape(frame, field_w, field_d, max(4, corner - belt))
    sheet.fill(BUILDING, well, (178, 92, 72) if track else (96, 130, 66), "pitch", 0.0)
    start = len(sheet.ops)
    if track:
        pitch(
            sheet,
            frame.inner(-field_w * 0.6, -field_d * 0.72, field_w * 0.6, field_d * 0.72),
            "soccer",
            scene=False,
        )
    else:
        pitch(sheet, frame.inner(-field_w + 4, -field_d + 4, field_w - 4, field_d - 4), "soccer", scene=False)
    sheet.ops[start:] = [op._replace(level=ROOFTOP) for op in sheet.ops[start:]]  # the pitch lies inside the stands
    for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        x, y = frame.at([(sx * (w + 1), sy * (d + 1) * 0.86)])[0]
        sheet.disc(TREE, x, y, 1.1, (206, 206, 206), "thing", 32)
    sheet.map_area(
        stadium_shape(frame, w + 2, d + 2, corner),
        leisure="stadium",
        building="stadium",
        name=sheet.namer.of("stadium", 0.8),
    )
    sheet.take(stadium_shape(frame, w + 6, d + 6, corner))
    sheet.scene("stadium", frame.cx, frame.cy)
    sheet.scene("stadium", *frame.at([(w * 0.5, 0)])[0])
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
        y = -d + pitch_y * (k + 0.5)
        way = 1 if k % 2 else -1
        sway = min(pitch_y * 0.42, 24)
        x0, x1 = -w * rng.uniform(0.8, 1), w * rng.uniform(0.75, 1)
        bends = [
            (x0, y + rng.uniform(-sway, sway) * 0.5),
            (0.5 * x0 + 0.2 * x1, y + rng.uniform(-sway, sway)),
        ]
        bends += [
            (0.2 * x0 + 0.55 * x1, y + rng.uniform(-sway, sway)),
            (x1, y + rng.uniform(-sway, sway) * 0.5),
        ]
        line = frame.at([(way * x, y) for x, y in bends])
        line = smooth(line, 4)
        mown = line[2:-2]
        from_ends = np.minimum(np.arange(len(mown)), np.arange(len(mown))[::-1])
        half = (13 + 5 * np.sin(np.arange(len(mown)) / 5 + rng.uniform(0, 6))) * np.clip((from_ends + 2) / 6, 0.4, 1)
        tangent = np.gradient(mown, axis=0)
        tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        outline = np.concatenate([mown + half[:, None] * normal, (mown - half[:, None] * normal)[::-1]])
        sheet.fill(DETAIL, outline, fairway, "golf")
        lighter = (min(255, fairway[0] + 12), min(255, fairway[1] + 12), min(255, fairway[2] + 8))
        sheet.stripes(DETAIL, outline, frame.angle + float(rng.uniform(-0.8, 0.8)), 8, 0.5, lighter, "golf")
        sheet.map_area(outline, golf="fairway")
        sheet.take(outline)
        end, start = line[-1], line[0]
        green = blob(rng, *end, rng.uniform(8, 12), rng.uniform(7, 11), 0.3)
        sheet.fill(DETAIL, end + (green - end) * 1.35, (118, 158, 78), "golf")
        sheet.fill(DETAIL, green, sheet.pick((146, 190, 96), (152, 194, 104), amount=4), "golf")
        sheet.map_area(green, golf="green")
        sheet.take(green)
        for _ in range(int(rng.integers(1, 4))):
            turn = rng.uniform(0, 6.28)
            spot = end + rng.uniform(14, 19) * np.array([math.cos(turn), math.sin(turn)])
            _bunker(sheet, spot)
        for _ in range(int(rng.integers(0, 3))):
            j = int(rng.integers(4, len(mown) - 4))
            _bunker(sheet, mown[j] + normal[j] * (half[j] + 4) * rng.choice([-1, 1]))
        tee = Frame(*start, float(rng.uniform(0, 3)), 9, 5)
        sheet.fill(DETAIL, tee.whole(), (138, 176, 92), "golf")
        sheet.take(tee.whole())
        sheet.scene("golf course", *(line[len(line) * 3 // 5]))
    for _ in range(int(rng.integers(1, 3))):
        x, y = frame.at([(rng.uniform(-0.8, 0.8) * w, rng.uniform(-0.8, 0.8) * d)])[0]
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


def _bunker(sheet: Sheet, spot: Points) -> None:
    rng = sheet.rng
    shape = blob(rng, float(spot[0]), float(spot[1]), rng.uniform(3.5, 7.5), rng.uniform(3, 5), 0.5)
    if sheet.free(shape):
        sheet.fill(DETAIL, shape, sheet.pick((226, 212, 172), (234, 224, 196), amount=4), "sand")
        sheet.map_area(shape, golf="bunker", natural="sand")
        sheet.take(shape)
