"""Lakes with an island, a beach and a marina."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, along, blob, closed, inside, smooth
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, MARKING, WATER, Sheet
from geomammut.demo.place.surfaces import Colour, shade
from geomammut.demo.place.things import PALETTES, flat_block, house, leaf, parking, path

HULLS: tuple[Colour, ...] = ((240, 240, 240), (236, 236, 232), (60, 70, 100), (150, 60, 50))
STONES: tuple[Colour, ...] = ((152, 146, 138), (104, 100, 96), (178, 172, 162))


def lake(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A lake, sometimes with an island, with a beach on one side and a marina on another."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((94, 116, 62), (110, 122, 70)), "grass")
    frame = frame.lengthwise()
    w, d = frame.width / 2, frame.depth / 2
    shore = smooth(closed(frame.at(blob(rng, 0, 0, w * 0.72, d * 0.70, 0.16))), 2)[:-1]
    blue = sheet.pick((52, 84, 96), (44, 74, 84), (66, 102, 110), (58, 88, 78), amount=4)
    centre = np.array([frame.cx, frame.cy])
    for grow, hue, surface in ((1.03, (134, 132, 96), "grass"), (1.0, blue, "water")):
        sheet.fill(WATER, centre + (shore - centre) * grow, hue, surface)
    sheet.fill(WATER, centre + (shore - centre) * 0.88, shade(blue, 0.86, 0.9, 0.92), "water")
    holes: list[Points] = []
    if rng.random() < 0.6:
        x, y = frame.point(rng.uniform(-0.2, 0.2) * w, rng.uniform(-0.25, 0.0) * d)
        island = blob(rng, x, y, rng.uniform(22, 44), rng.uniform(16, 28), 0.35)
        sheet.fill(WATER, island, (104, 122, 68), "grass")
        holes.append(island)
        for _ in range(40):
            x, y = rng.uniform(island.min(axis=0), island.max(axis=0))
            if inside(island, x, y):
                sheet.tree(x, y, rng.uniform(2.4, 4.6), leaf(sheet))
    sheet.map_area(shore, *holes, natural="water", water="lake", name=sheet.namer.of("lake", 0.9))
    sheet.take(shore)
    for k in (-0.45, 0.45):
        sheet.scene("lake", *frame.point(k * w, -d * 0.25))
    _beach(sheet, frame, shore, centre)
    _marina(sheet, frame, shore)
    loop = centre + (shore - centre) * 1.13
    path(sheet, loop[::3], 2.2)
    for spot in rng.uniform(ground.min(axis=0), ground.max(axis=0), (420, 2)):
        x, y = spot
        if inside(ground, x, y) and sheet.free(spot[None]):
            sheet.tree(x, y, rng.uniform(2.2, 5.2), leaf(sheet))


def _beach(sheet: Sheet, frame: Frame, shore: Points, centre: Points) -> None:
    """Sand along a stretch of the shore, with parasols."""
    rng = sheet.rng
    local = frame.local(shore)
    turn = np.arctan2(local[:, 1] / frame.depth, local[:, 0] / frame.width)
    middle = float(rng.choice([-1.5, 0.1, 3.0]) + rng.uniform(-0.2, 0.2))
    distance = np.abs(np.remainder(turn - middle + np.pi, 2 * np.pi) - np.pi)
    order = np.argsort(np.remainder(turn - middle + np.pi, 2 * np.pi))
    line = shore[[k for k in order if distance[k] < 0.75]]
    if len(line) < 6:
        return
    out = (line - centre) / np.hypot(*(line - centre).T)[:, None]
    width = float(rng.uniform(26, 44)) * np.sin(np.linspace(0.15, np.pi - 0.15, len(line)))[:, None]
    sand = np.concatenate([line - out * 3, (line + out * width)[::-1]])
    tone = sheet.pick((222, 206, 164), (232, 218, 184), (208, 192, 152), amount=4)
    sheet.fill(DETAIL, sand, tone, "sand")
    wet = np.concatenate([line - out * 5, (line - out * 2)[::-1]])
    sheet.fill(DETAIL, wet, (150, 150, 124), "water")
    shallow = np.concatenate([line - out * 14, (line - out * 5)[::-1]])
    sheet.fill(WATER, shallow, (98, 130, 124), "water")
    sheet.map_area(sand, natural="beach", surface="sand")
    sheet.take(sand)
    for k in range(4, len(line) - 4, 7):
        sheet.scene("beach", *(line[k] + out[k] * 4))
    for _ in range(60):
        k = int(rng.integers(2, len(line) - 2))
        x, y = line[k] + out[k] * rng.uniform(3, max(4, float(width[k, 0]) - 3))
        radius = float(rng.uniform(0.8, 1.4))
        colour = sheet.pick((210, 60, 60), (60, 120, 200), (240, 220, 90), (240, 240, 240))
        sheet.disc(BUILDING, x, y, radius, colour, "sand", 2.0)


def _marina(sheet: Sheet, frame: Frame, shore: Points) -> None:
    """A quay on the lower shore with piers, fingers, boats and a breakwater that shelters them."""
    rng = sheet.rng
    wide = float(rng.uniform(130, 200))
    local = frame.local(shore)
    side = 1.0 if rng.random() < 0.5 else -1.0
    near = (np.abs(local[:, 0]) < wide / 2) & (local[:, 1] > 0)
    quay_y = float(local[near, 1].min()) - 3 if near.any() else frame.depth * 0.3
    deck = sheet.pick((176, 160, 132), (190, 186, 176), (150, 136, 116))
    land = frame.inner(-wide / 2 - 14, quay_y, wide / 2 + 14, frame.depth / 2)
    sheet.fill(DETAIL, land.whole(), sheet.vary((170, 164, 152), 5), "paved")
    quay = frame.rect(-wide / 2 - 14, quay_y - 1.5, wide / 2 + 14, quay_y + 1.5)
    sheet.fill(DETAIL, quay, (196, 190, 178), "marina", 1.0)
    sheet.take(land.whole())
    piers = max(3, int(wide / rng.uniform(28, 38)))
    reach = float(rng.uniform(52, 82))
    for k in range(piers):
        x = -wide / 2 + (k + 0.5) * wide / piers
        line = frame.at([(x, quay_y), (x, quay_y - reach)])
        sheet.line(DETAIL, line, 2.4, deck, "marina", 1.0)
        sheet.map_line(line, man_made="pier", floating="yes")
        for y in np.arange(quay_y - 6, quay_y - reach, -4.6):
            for way in (-1, 1):
                if rng.random() < 0.5:
                    sheet.line(DETAIL, frame.at([(x, y), (x + way * 8, y)]), 0.6, deck, "marina", 0.8)
                if rng.random() < 0.78:
                    bow = frame.angle + (0 if way > 0 else math.pi)
                    _boat(sheet, *frame.point(x + way * 6.2, y - 2.3), bow)
    basin = frame.rect(-wide / 2 - 12, quay_y - reach - 18, wide / 2 + 12, quay_y)
    use = {"landuse": "harbour"} if rng.random() < 0.3 else {"leisure": "marina"}
    harbour = frame.rect(-wide / 2 - 14, quay_y - reach - 18, wide / 2 + 14, frame.depth / 2)
    sheet.map_area(harbour, **use, name=sheet.namer.of("marina", 0.8))
    _breakwater(sheet, frame, side * wide / 2, quay_y, quay_y - reach - 16)
    club = frame.inner(-wide / 2, quay_y + 8, -wide / 2 + 34, quay_y + 20)
    flat_block(sheet, club, sheet.pick((206, 204, 198), (140, 100, 84)), 6, units=3, building="yes")
    boathouse = frame.inner(wide / 2 - 18, quay_y + 8, wide / 2 - 4, quay_y + 17)
    house(sheet, boathouse, PALETTES[1], building="boathouse")
    lot = frame.inner(-wide / 2 + 2, quay_y + 24, wide / 2, frame.depth / 2 - 4)
    if lot.depth > 18:
        parking(sheet, lot, full=0.6)
    for k in range(0, piers, 2):
        x = -wide / 2 + (k + 0.5) * wide / piers
        sheet.scene("marina with boats", *frame.point(x, quay_y - reach * 0.5))
    sheet.take(basin)


def _breakwater(sheet: Sheet, frame: Frame, x: float, quay_y: float, mole_y: float) -> None:
    """Pile stones along a mole that starts at the quay near `x` and bends before the piers."""
    rng = sheet.rng
    out = math.copysign(1, x)
    mole = smooth(frame.at([(x + out * 10, quay_y), (x + out * 12, mole_y), (-0.5 * x, mole_y - 4)]), 3)
    sheet.line(DETAIL, mole, 7, (122, 116, 108), "marina", 1.8)
    for spot, heading in zip(*along(mole, 1.6), strict=True):
        normal = np.array([-heading[1], heading[0]])
        for _ in range(2):
            px, py = spot + normal * rng.uniform(-3.4, 3.4)
            radius = float(rng.uniform(0.6, 1.3))
            sheet.disc(MARKING, px, py, radius, sheet.pick(*STONES), "marina", 2.2)
    sheet.map_line(mole, man_made="breakwater")


def _boat(sheet: Sheet, x: float, y: float, angle: float) -> None:
    rng = sheet.rng
    long, wide = float(rng.uniform(6, 12)), float(rng.uniform(2.2, 3.4))
    boat = Frame(x, y, angle, long, wide)
    a, b = long / 2, wide / 2
    hull = boat.at([(-a, -b), (a * 0.3, -b), (a, 0), (a * 0.3, b), (-a, b)])
    sheet.fill(MARKING, hull, sheet.pick(*HULLS, amount=4), "marina", 1.4)
    cabin = boat.rect(-a * 0.6, -b * 0.55, a * 0.1, b * 0.55)
    sheet.fill(MARKING, cabin, sheet.pick((90, 110, 140), (196, 176, 140), (206, 206, 206)), "marina", 1.8)
    if rng.random() < 0.4:
        sheet.disc(MARKING, *boat.point(0.1 * a, 0), 0.4, (230, 230, 230), "marina", 11)
