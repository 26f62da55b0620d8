"""Pitches of several sports with their lines, and running tracks."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, circle, closed
from geomammut.demo.place.sheet import DETAIL, Sheet
from geomammut.demo.place.surfaces import Colour, shade

LINE: Colour = (222, 224, 216)


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


def stadium_shape(frame: Frame, half_w: float, half_d: float, corner: float) -> Points:
    """Return a rectangle with round corners (a stadium's oval when the corner is as large as the half depth)."""
    points = []
    corner = min(corner, half_w, half_d)
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for turn in np.linspace(0, np.pi / 2, 9) + quarter * np.pi / 2:
            x = sx * (half_w - corner) + corner * math.cos(turn)
            points.append((x, sy * (half_d - corner) + corner * math.sin(turn)))
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
        lane = closed(stadium_shape(frame, w - inset, d - inset, d - inset))
        sheet.line(DETAIL, lane, 0.5, shade(red, 1, lift=26), "pitch")
    sheet.fill(DETAIL, inner, sheet.pick((90, 130, 62), (104, 128, 66)), "pitch")
    field = frame.inner(-(w - belt) * 0.64, -(d - belt) * 0.9, (w - belt) * 0.64, (d - belt) * 0.9)
    pitch(sheet, field, "soccer", scene=False)
    sheet.map_area(outer, inner, leisure="track", sport="athletics")
    sheet.take(outer)
    sheet.scene("running track", *frame.point(w * 0.62, 0))
    if scale > 0.8:
        sheet.scene("running track", *frame.point(-w * 0.62, 0))


def _marks(sheet: Sheet, points: Points, width: float = 0.5) -> None:
    sheet.line(DETAIL, points, width, LINE, "pitch")


def _soccer(sheet: Sheet, frame: Frame) -> None:
    rng = sheet.rng
    worn = rng.random() < 0.2
    green = sheet.pick((84, 126, 58), (74, 116, 56), (96, 132, 66), (52, 122, 72)) if not worn else (134, 128, 82)
    sheet.fill(DETAIL, frame.whole(), green, "pitch")
    if rng.random() < 0.65:
        bands = frame.width / int(rng.integers(8, 16))
        lighter = shade(green, 1.10, lift=4)
        sheet.stripes(DETAIL, frame.whole(), frame.angle + math.pi / 2, 2 * bands, 0.5, lighter, "pitch")
    w, d = frame.width / 2 - 3, frame.depth / 2 - 3
    k = d / 34
    _marks(sheet, closed(frame.rect(-w, -d, w, d)))
    _marks(sheet, frame.at([(0, -d), (0, d)]))
    ring = circle(0, 0, 9.15 * k, 24)
    _marks(sheet, closed(frame.at(ring)))
    for side in (-1, 1):
        for deep, half in ((16.5, 20.2), (5.5, 9.2)):
            x0, x1, y = side * w, side * (w - deep * k), half * k
            _marks(sheet, frame.at([(x0, -y), (x1, -y), (x1, y), (x0, y)]))
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
        _marks(sheet, closed(one.rect(-5.5, -11.9, 5.5, 11.9)))
        for x in (-4.1, 4.1):
            _marks(sheet, one.at([(x, -11.9), (x, 11.9)]))
        for y in (-6.4, 6.4):
            _marks(sheet, one.at([(-4.1, y), (4.1, y)]))
        _marks(sheet, one.at([(0, -6.4), (0, 6.4)]))
        sheet.line(DETAIL, one.at([(-6, 0), (6, 0)]), 0.5, (60, 60, 60), "pitch", 1)
    sheet.scene("tennis courts", frame.cx, frame.cy)
    if rng.random() < 0.3:
        sheet.line(DETAIL, closed(frame.whole()), 0.5, (60, 66, 60), "pitch")


def _court(sheet: Sheet, frame: Frame) -> None:
    sheet.fill(DETAIL, frame.whole(), sheet.pick((172, 90, 66), (80, 108, 150), (110, 112, 112)), "pitch")
    w, d = frame.width / 2 - 1.5, frame.depth / 2 - 1.5
    _marks(sheet, closed(frame.rect(-w, -d, w, d)))
    _marks(sheet, frame.at([(0, -d), (0, d)]))
    for side in (-1, 1):
        x0, x1 = side * w, side * (w - 5.8)
        _marks(sheet, frame.at([(x0, -2.5), (x1, -2.5), (x1, 2.5), (x0, 2.5)]))


def _baseball(sheet: Sheet, frame: Frame) -> None:
    """A quarter disc of grass with its sanded infield; the home plate is at a corner of the frame."""
    reach = min(frame.width, frame.depth) * 0.95
    home = frame.point(-reach / 2, reach / 2)
    base = frame.angle - math.pi / 2
    turn = np.linspace(0, np.pi / 2, 20)

    def fan(radius: float) -> Points:
        arc = radius * np.stack([np.cos(base + turn), np.sin(base + turn)], axis=1)
        return np.concatenate([[home], home + arc])

    sheet.fill(DETAIL, fan(reach), sheet.pick((86, 128, 60), (98, 132, 66)), "pitch")
    sheet.stripes(DETAIL, fan(reach), frame.angle + 0.8, 12, 0.5, (100, 142, 70), "pitch")
    dirt = sheet.pick((182, 136, 96), (170, 116, 82), (196, 156, 116))
    sheet.fill(DETAIL, fan(reach * 0.42), dirt, "pitch")
    diamond = Frame(*home, base + math.pi / 4, 0, 0)
    k = reach * 0.27
    sheet.fill(DETAIL, Frame(*home, base, 0, 0).rect(k * 0.16, k * 0.16, k, k), (90, 132, 62), "pitch")
    sheet.disc(DETAIL, *diamond.point(k * 0.82, 0), 2.6, dirt, "pitch")
    for turned in (0, math.pi / 2):
        tip = home + reach * np.array([math.cos(base + turned), math.sin(base + turned)])
        _marks(sheet, np.stack([home, tip]))
    sheet.disc(DETAIL, *home, 4.0, dirt, "pitch")
    sheet.map_area(fan(reach), leisure="pitch", sport="baseball")
    sheet.take(fan(reach))
    sheet.scene("baseball diamond", *diamond.point(reach * 0.45, 0))
