"""Open land of the demo place: fields, forests, orchards, meadows, lakes with beaches and marinas."""

import math

import numpy as np
import shapely

from geomammut.demo.place_buildings import (
    PALETTES,
    flat_block,
    house,
    inside,
    leaf,
    parking,
    path,
    scatter_trees,
)
from geomammut.demo.place_sheet import (
    AREA,
    BUILDING,
    DETAIL,
    MARKING,
    ROAD,
    WATER,
    Frame,
    Points,
    Sheet,
    along,
    blob,
    smooth,
)
from geomammut.demo.place_surfaces import Colour
from geomammut.demo.place_works import farmstead

Box = tuple[float, float, float, float]

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


def outline_pieces(shape: shapely.Geometry, least: float = 200.0) -> list[shapely.Polygon]:
    """Return a geometry's polygons larger than `least` m²."""
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > least]


def ring(polygon: shapely.Polygon) -> Points:
    return np.asarray(polygon.exterior.coords)[:-1]


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
        for part in outline_pieces(field):
            shape = ring(part)
            sheet.fill(AREA, shape, tone, "farm", 0.0)
            sheet.stripes(AREA, shape, angle, period, 0.45, rows, "farm")
            if rng.random() < 0.7:  # tramlines
                sheet.stripes(
                    AREA,
                    shape,
                    angle,
                    float(rng.uniform(18, 30)),
                    0.05,
                    sheet.vary((150, 128, 96), 6),
                    "farm",
                )
            if rng.random() < 0.35:  # headland
                inner = shapely.buffer(part, -8)
                for core in outline_pieces(inner):
                    line = np.concatenate([ring(core), ring(core)[:1]])
                    sheet.line(AREA, line, 1.0, rows, "farm")
            sheet.map_area(shape, landuse="farmland", crop=crop)
            x, y = part.representative_point().coords[0]
            if part.area > 9000:
                sheet.scene("farmland", x, y)
        if rng.random() < 0.3:
            for spot, _ in zip(*along(np.concatenate([outline, outline[:1]]), 9), strict=True):
                if rng.random() < 0.5 and sheet.free(spot[None]):
                    sheet.tree(*spot, rng.uniform(1.6, 3.6), leaf(sheet))
    if rng.random() < 0.6:
        yard = Frame(*frame.at([(frame.width * 0.2, frame.depth * 0.22)])[0], frame.angle, 60, 46)
        if sheet.free_ground(yard.whole()):
            farmstead(sheet, yard)


def pivot_fields(sheet: Sheet, usable: shapely.Geometry, frame: Frame) -> None:
    """Round fields under pivots."""
    rng = sheet.rng
    radius = min(frame.width, frame.depth) / 4 - 4
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = frame.at([(sx * frame.width / 4, sy * frame.depth / 4)])[0]
            disc = shapely.intersection(shapely.Point(x, y).buffer(radius, quad_segs=20), usable)
            crop, ground, rows, _ = CROPS[int(rng.integers(len(CROPS)))]
            for part in outline_pieces(disc, 4000):
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


def forest(sheet: Sheet, usable: shapely.Geometry, frame: Frame) -> None:
    """A wood with ragged edges, clearings, a second species, a ride."""
    rng = sheet.rng
    kinds = ["deciduous", "conifer"] if rng.random() < 0.55 else ["conifer", "deciduous"]
    colours: dict[str, Colour] = {
        "deciduous": sheet.pick((70, 96, 46), (84, 104, 52), (62, 88, 44), amount=5),
        "conifer": sheet.pick((44, 66, 42), (50, 74, 48), (40, 60, 44), amount=4),
    }
    wood = shapely.buffer(usable, -float(rng.uniform(2, 12)))
    holes = []
    for _ in range(int(rng.integers(0, 4))):
        x, y = frame.at([rng.uniform(-0.35, 0.35, 2) * (frame.width, frame.depth)])[0]
        holes.append(shapely.Polygon(blob(rng, x, y, rng.uniform(16, 44), rng.uniform(14, 34), 0.4)))
    cleared = shapely.difference(wood, shapely.union_all(holes)) if holes else wood
    if rng.random() < 0.6:
        ends = frame.at(
            [
                (-frame.width * 0.6, rng.uniform(-0.3, 0.3) * frame.depth),
                (0, rng.uniform(-0.3, 0.3) * frame.depth),
                (frame.width * 0.6, rng.uniform(-0.3, 0.3) * frame.depth),
            ]
        )
        ride = smooth(ends, 4)
        inside_ride = shapely.intersection(shapely.LineString(ride), shapely.buffer(usable, 2))
        for part in shapely.get_parts(inside_ride):
            if part.geom_type == "LineString":
                line = np.asarray(part.coords)
                sheet.line(ROAD, line, 3.0, (158, 140, 110), "dirt road")
                sheet.map_line(line, highway="track")
    for part in outline_pieces(cleared, 1500):
        sheet.fill(DETAIL, ring(part), colours[kinds[0]], kinds[0])
        gaps = [np.asarray(hole.coords)[:-1] for hole in part.interiors]
        for gap in gaps:
            sheet.fill(DETAIL, gap, sheet.vary((126, 132, 78), 8), "meadow", 0.0)
        tags = {"natural": "wood"} if rng.random() < 0.5 else {"landuse": "forest"}
        leaves = "broadleaved" if kinds[0] == "deciduous" else "needleleaved"
        sheet.map_area(ring(part), gaps, leaf_type=leaves, name=sheet.namer.of("forest", 0.4), **tags)
        edge = np.concatenate([ring(part), ring(part)[:1]])
        for spot, _ in zip(*along(edge, 6), strict=True):
            if rng.random() < 0.55:
                x, y = spot + rng.normal(0, 1.5, 2)
                sheet.tree(x, y, rng.uniform(2.2, 4.0), sheet.vary(colours[kinds[0]], 6), 10)
        for _ in range(int(rng.integers(0, 3))):
            x, y = part.representative_point().coords[0] + rng.uniform(-90, 90, 2)
            patch = shapely.intersection(shapely.Polygon(blob(rng, x, y, 50, 40, 0.5)), shapely.buffer(part, -6))
            for piece in outline_pieces(patch, 400):
                if not piece.interiors:
                    sheet.fill(DETAIL, ring(piece), colours[kinds[1]], kinds[1])
    if not shapely.is_empty(cleared):
        (x0, y0, x1, y1) = shapely.bounds(cleared)
        for _ in range(12):
            spot = shapely.Point(rng.uniform(x0, x1), rng.uniform(y0, y1))
            if shapely.contains(shapely.buffer(cleared, -50), spot):
                sheet.scene("forest", spot.x, spot.y)


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
                tx, ty = frame.at([(x + rng.normal(0, 0.2), y + rng.normal(0, 0.2))])[0]
                sheet.tree(tx, ty, size * float(rng.uniform(0.8, 1.1)), sheet.vary(green, 5), 3.8)
    label = "vineyard" if vines else "orchard"
    for k in (-0.5, 0, 0.5):
        sheet.scene(label, *frame.at([(k * w, -k * d)])[0])


def meadow(sheet: Sheet, ground: Points, frame: Frame) -> None:
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((120, 136, 74), (142, 140, 90), (106, 130, 68)), "meadow")
    sheet.map_area(ground, landuse="meadow")
    for _ in range(3):
        line = smooth(frame.at(rng.uniform(-0.5, 0.5, (4, 2)) * (frame.width, frame.depth)), 4)
        sheet.line(DETAIL, line, 1.0, (164, 150, 112), "meadow")
    for _ in range(int(rng.integers(0, 25))):
        x, y = frame.at([rng.uniform(-0.45, 0.45, 2) * (frame.width, frame.depth)])[0]
        sheet.disc(BUILDING, x, y, 0.9, (214, 196, 140), "meadow", 1.2)
    sheet.scene("meadow", frame.cx, frame.cy)
    scatter_trees(sheet, ground, int(rng.integers(10, 60)), 2, 4.5)


def lake(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A lake, sometimes with an island, with a beach on one side and a marina on another."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((94, 116, 62), (110, 122, 70)), "grass")
    frame = frame.lengthwise()
    w, d = frame.width / 2, frame.depth / 2
    shore = blob(rng, 0, 0, w * 0.72, d * 0.70, 0.16)
    shore = frame.at(shore)
    shore = smooth(np.concatenate([shore, shore[:1]]), 2)[:-1]
    blue = sheet.pick((52, 84, 96), (44, 74, 84), (66, 102, 110), (58, 88, 78), amount=4)
    centre = np.array([frame.cx, frame.cy])
    for grow, hue, surface in ((1.03, (134, 132, 96), "grass"), (1.0, blue, "water")):
        sheet.fill(WATER, centre + (shore - centre) * grow, hue, surface)
    deep = (int(blue[0] * 0.86), int(blue[1] * 0.9), int(blue[2] * 0.92))
    sheet.fill(WATER, centre + (shore - centre) * 0.88, deep, "water")
    holes: list[Points] = []
    if rng.random() < 0.6:
        x, y = frame.at([(rng.uniform(-0.2, 0.2) * w, rng.uniform(-0.25, 0.0) * d)])[0]
        island = blob(rng, x, y, rng.uniform(22, 44), rng.uniform(16, 28), 0.35)
        sheet.fill(WATER, island, (104, 122, 68), "grass")
        holes.append(island)
        for _ in range(40):
            p = rng.uniform(island.min(axis=0), island.max(axis=0))
            if inside(island, *p):
                sheet.tree(*p, rng.uniform(2.4, 4.6), leaf(sheet))
    sheet.map_area(shore, holes, natural="water", water="lake", name=sheet.namer.of("lake", 0.9))
    sheet.take(shore)
    for k in (-0.45, 0.45):
        sheet.scene("lake", *frame.at([(k * w, -d * 0.25)])[0])
    _beach(sheet, frame, shore, centre)
    _marina(sheet, frame, shore)
    loop = centre + (shore - centre) * 1.13
    path(sheet, loop[::3], 2.2)
    for spot in rng.uniform(ground.min(axis=0), ground.max(axis=0), (420, 2)):
        if inside(ground, *spot) and sheet.free(spot[None]):
            sheet.tree(*spot, rng.uniform(2.2, 5.2), leaf(sheet))


def _beach(sheet: Sheet, frame: Frame, shore: Points, centre: Points) -> None:
    """Sand along a stretch of the shore, with parasols."""
    rng = sheet.rng
    local = (shore - centre) @ np.array(
        [[math.cos(-frame.angle), math.sin(-frame.angle)], [-math.sin(-frame.angle), math.cos(-frame.angle)]]
    )
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
        sheet.disc(
            BUILDING,
            x,
            y,
            float(rng.uniform(0.8, 1.4)),
            sheet.pick((210, 60, 60), (60, 120, 200), (240, 220, 90), (240, 240, 240)),
            "sand",
            2.0,
        )


def _marina(sheet: Sheet, frame: Frame, shore: Points) -> None:
    """A quay on the lower shore with piers, fingers, boats and a breakwater that shelters them."""
    rng = sheet.rng
    wide = float(rng.uniform(130, 200))
    local = np.stack(
        [
            (shore[:, 0] - frame.cx) * math.cos(frame.angle) + (shore[:, 1] - frame.cy) * math.sin(frame.angle),
            -(shore[:, 0] - frame.cx) * math.sin(frame.angle) + (shore[:, 1] - frame.cy) * math.cos(frame.angle),
        ],
        axis=1,
    )
    side = 1.0 if rng.random() < 0.5 else -1.0
    near = (np.abs(local[:, 0]) < wide / 2) & (local[:, 1] > 0)
    quay_y = float(local[near, 1].min()) - 3 if near.any() else frame.depth * 0.3
    deck = sheet.pick((176, 160, 132), (190, 186, 176), (150, 136, 116))
    land = frame.inner(-wide / 2 - 14, quay_y, wide / 2 + 14, frame.depth / 2)
    sheet.fill(DETAIL, land.whole(), sheet.vary((170, 164, 152), 5), "paved")
    sheet.fill(
        DETAIL,
        frame.rect(-wide / 2 - 14, quay_y - 1.5, wide / 2 + 14, quay_y + 1.5),
        (196, 190, 178),
        "marina",
        1.0,
    )
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
                    _boat(
                        sheet,
                        *frame.at([(x + way * 6.2, y - 2.3)])[0],
                        frame.angle + (0 if way > 0 else math.pi),
                    )
    basin = frame.rect(-wide / 2 - 12, quay_y - reach - 18, wide / 2 + 12, quay_y)
    cargo = rng.random() < 0.3
    harbour = frame.rect(-wide / 2 - 14, quay_y - reach - 18, wide / 2 + 14, frame.depth / 2)
    if cargo:
        sheet.map_area(harbour, landuse="harbour", name=sheet.namer.of("marina", 0.8))
    else:
        sheet.map_area(harbour, leisure="marina", name=sheet.namer.of("marina", 0.8))
    mole_y = quay_y - reach - 16
    mole = smooth(
        frame.at(
            [
                (side * (wide / 2 + 10), quay_y),
                (side * (wide / 2 + 12), mole_y),
                (-side * wide * 0.25, mole_y - 4),
            ]
        ),
        3,
    )
    sheet.line(DETAIL, mole, 7, (122, 116, 108), "marina", 1.8)
    for spot, heading in zip(*along(mole, 1.6), strict=True):
        normal = np.array([-heading[1], heading[0]])
        for _ in range(2):
            px, py = spot + normal * rng.uniform(-3.4, 3.4)
            sheet.disc(
                MARKING,
                px,
                py,
                float(rng.uniform(0.6, 1.3)),
                sheet.pick((152, 146, 138), (104, 100, 96), (178, 172, 162)),
                "marina",
                2.2,
            )
    sheet.map_line(mole, man_made="breakwater")
    club = frame.inner(-wide / 2, quay_y + 8, -wide / 2 + 34, quay_y + 20)
    flat_block(sheet, club, sheet.pick((206, 204, 198), (140, 100, 84)), 6, units=3, building="yes")
    house(
        sheet,
        frame.inner(wide / 2 - 18, quay_y + 8, wide / 2 - 4, quay_y + 17),
        PALETTES[1],
        building="boathouse",
    )
    lot = frame.inner(-wide / 2 + 2, quay_y + 24, wide / 2, frame.depth / 2 - 4)
    if lot.depth > 18:
        parking(sheet, lot, full=0.6)
    for k in range(0, piers, 2):
        x = -wide / 2 + (k + 0.5) * wide / piers
        sheet.scene("marina with boats", *frame.at([(x, quay_y - reach * 0.5)])[0])
    sheet.take(basin)


def _boat(sheet: Sheet, x: float, y: float, angle: float) -> None:
    rng = sheet.rng
    long, wide = float(rng.uniform(6, 12)), float(rng.uniform(2.2, 3.4))
    boat = Frame(x, y, angle, long, wide)
    a, b = long / 2, wide / 2
    hull = boat.at([(-a, -b), (a * 0.3, -b), (a, 0), (a * 0.3, b), (-a, b)])
    sheet.fill(
        MARKING,
        hull,
        sheet.pick((240, 240, 240), (236, 236, 232), (60, 70, 100), (150, 60, 50), amount=4),
        "marina",
        1.4,
    )
    sheet.fill(
        MARKING,
        boat.rect(-a * 0.6, -b * 0.55, a * 0.1, b * 0.55),
        sheet.pick((90, 110, 140), (196, 176, 140), (206, 206, 206)),
        "marina",
        1.8,
    )
    if rng.random() < 0.4:
        sheet.disc(MARKING, *boat.at([(0.1 * a, 0)])[0], 0.4, (230, 230, 230), "marina", 11)
