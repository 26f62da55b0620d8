"""Works of the demo place: tank farms, solar farms, quarries, greenhouses, wastewater plants, airports."""

import math

import numpy as np

from geomammut.demo.place_buildings import (
    PALETTES,
    flat_block,
    hall,
    house,
    parking,
    scatter_trees,
    tree_row,
)
from geomammut.demo.place_sheet import (
    AREA,
    BUILDING,
    DETAIL,
    MARKING,
    ROOFTOP,
    Frame,
    Points,
    Sheet,
    blob,
    circle,
    smooth,
)
from geomammut.demo.place_surfaces import Colour


def tank_farm(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Tanks in rows inside bunds, pipes between them, a pump house."""
    rng = sheet.rng
    base = sheet.pick((150, 142, 126), (126, 126, 96), (168, 160, 148))
    sheet.fill(AREA, ground, base, "paved" if base[0] - base[2] < 22 else "grass")
    sheet.map_area(ground, landuse="industrial", name=sheet.namer.of("works", 0.4))
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.4, 0.4)]))).lengthwise()
    w, d = frame.width / 2 - 4, frame.depth / 2 - 4
    radius = float(rng.choice([7.0, 10.0, 14.0, 19.0])) * float(rng.uniform(0.9, 1.1))
    pitch = 2 * radius + float(rng.uniform(7, 14))
    white = sheet.pick((228, 228, 224), (200, 202, 202), (186, 178, 164), amount=4)
    floating = rng.random() < 0.4
    columns, rows = max(1, int(2 * w / pitch)), max(1, int((2 * d - 14) / pitch))
    for a in range(columns):
        x = -w + (a + 0.5) * 2 * w / columns
        for b in range(rows):
            y = -d + 14 + (b + 0.5) * (2 * d - 14) / rows
            cell = frame.rect(x - w / columns + 1.5, y - d / rows + 2, x + w / columns - 1.5, y + d / rows - 2)
            sheet.line(DETAIL, np.concatenate([cell, cell[:1]]), 1.2, (178, 168, 146), "paved", 1.2)
            if rng.random() < 0.1:
                continue
            cx, cy = frame.at([(x, y)])[0]
            if rng.random() < 0.2:
                for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)):
                    sx, sy = frame.at([(x + dx * radius, y + dy * radius)])[0]
                    tank(sheet, sx, sy, radius * 0.42, white, floating=False)
            else:
                tank(sheet, cx, cy, radius * float(rng.choice([1.0, 1.0, 0.8])), white, floating=floating)
            if (a + b) % 2 == 0:
                sheet.scene("storage tanks", cx, cy)
    for k in range(3):
        y = -d + 4 + 1.6 * k
        sheet.line(DETAIL, frame.at([(-w, y), (w, y)]), 0.8, (196, 196, 192), "paved", 1.5)
    for a in range(columns):
        x = -w + (a + 0.5) * 2 * w / columns
        sheet.line(DETAIL, frame.at([(x, -d + 4), (x, d - radius)]), 0.8, (190, 188, 180), "paved", 1.0)
    flat_block(sheet, frame.inner(-w, -d - 3, -w + 16, -d + 2), (170, 168, 160), 4, units=1, building="industrial")


def tank(sheet: Sheet, x: float, y: float, radius: float, colour: Colour, *, floating: bool) -> None:
    """Paint and map one storage tank; a floating roof lies below its rim."""
    rng = sheet.rng
    hue = sheet.pick(colour, colour, colour, (168, 128, 98), amount=6)
    height = float(np.clip(radius * 0.9, 6, 15))
    sheet.disc(BUILDING, x, y, radius, hue, "tank", height)
    if floating:
        darker = (int(hue[0] * 0.8), int(hue[1] * 0.8), int(hue[2] * 0.82))
        sheet.disc(ROOFTOP, x, y, radius - 1.0, darker, "tank", height * float(rng.uniform(0.3, 0.8)))
    else:
        lighter = (min(255, hue[0] + 10), min(255, hue[1] + 10), min(255, hue[2] + 10))
        sheet.disc(ROOFTOP, x, y, radius * 0.66, lighter, "tank", height + 0.5)
        sheet.disc(ROOFTOP, x, y, max(0.6, radius * 0.08), (120, 120, 120), "tank", height + 1)
    turn = float(rng.uniform(0, 6.28))
    rim = np.array([x, y]) + radius * np.array([[math.cos(t), math.sin(t)] for t in np.linspace(turn, turn + 0.7, 6)])
    sheet.line(ROOFTOP, rim, 0.6, (110, 108, 104), "tank", height)
    sheet.map_area(circle(x, y, radius), man_made="storage_tank", content=str(rng.choice(["oil", "fuel", "water"])))


def solar_farm(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Rows of panels with grass between, in blocks, behind a fence."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((122, 128, 78), (136, 132, 90), (108, 120, 72)), "meadow")
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.7, 0.7), rng.uniform(-0.25, 0.25)])))
    w, d = frame.width / 2 - 8, frame.depth / 2 - 8
    row, gap = float(rng.uniform(3.4, 6.0)), float(rng.uniform(2.6, 5.0))
    blue = sheet.pick((44, 56, 92), (36, 42, 62), (58, 76, 116), (50, 58, 78), amount=4)
    columns = max(1, round(2 * w / rng.uniform(55, 110)))
    for k in range(columns):
        x0, x1 = -w + 2 * w * k / columns + 2.5, -w + 2 * w * (k + 1) / columns - 2.5
        for y in np.arange(-d, d - row, row + gap):
            if rng.random() < 0.03:
                continue
            cut = 10 * float(rng.integers(0, 2)) * float(rng.random() < 0.15)
            panel = frame.rect(x0 + cut, y, x1, y + row)
            sheet.fill(DETAIL, panel, sheet.vary(blue, 4), "solar", 1.6)
            sheet.line(
                DETAIL,
                frame.at([(x0 + cut, y + row / 2), (x1, y + row / 2)]),
                0.5,
                (92, 102, 128),
                "solar",
                1.6,
            )
        block = frame.rect(x0, -d, x1, d)
        sheet.map_area(block, power="generator", generator__source="solar", generator__method="photovoltaic")
        sheet.scene("solar farm", *frame.at([((x0 + x1) / 2, 0)])[0])
        hut = frame.inner(x1 + 0.5, -3, x1 + 4.5, 4)
        sheet.fill(BUILDING, hut.whole(), (206, 206, 202), "roof", 3)
    outer = frame.whole(2)
    sheet.line(DETAIL, np.concatenate([outer, outer[:1]]), 2.5, (164, 150, 118), "dirt road")
    sheet.map_area(outer, power="plant", plant__source="solar", name=sheet.namer.of("plant", 0.5))
    sheet.take(outer)
    scatter_trees(sheet, ground, 40, 2, 4)


def quarry(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Benches that step down to a floor with a pond, haul roads, heaps and machines."""
    rng = sheet.rng
    sheet.fill(AREA, ground, (110, 118, 72), "meadow")
    stone = sheet.pick((204, 194, 172), (188, 164, 132), (176, 174, 168), (198, 176, 146))
    outline = blob(rng, frame.cx, frame.cy, 1, 1, 0.3) - (frame.cx, frame.cy)
    c, s = math.cos(frame.angle), math.sin(frame.angle)
    turn = np.array([[c, s], [-s, c]])
    size = np.array([frame.width, frame.depth]) / 2 / 1.12
    steps = int(rng.integers(4, 7))
    drift = rng.uniform(-0.08, 0.08, 2) * size
    for k in range(steps):
        scale = 1 - k / (steps + 1.2)
        ragged = outline * (1 + 0.035 * rng.normal(size=(len(outline), 1)))
        shape = (ragged * size * scale + drift * k) @ turn + (frame.cx, frame.cy)
        if k == 0:
            pit = shape
        tone = (int(stone[0] * 0.70), int(stone[1] * 0.68), int(stone[2] * 0.66))
        sheet.fill(DETAIL, shape, sheet.vary(tone, 5), "soil", 3.0 * (steps - k))
        floor = shape.mean(axis=0) + (shape - shape.mean(axis=0)) * 0.965
        sheet.fill(DETAIL, floor, sheet.vary(stone, 7), "soil", 3.0 * (steps - k - 1))
    sheet.map_area(pit, landuse="quarry", name=sheet.namer.of("quarry", 0.6))
    sheet.take(pit)
    centre = pit.mean(axis=0) + drift @ turn * steps
    if rng.random() < 0.6:
        pond = blob(rng, *(centre + rng.uniform(-8, 8, 2)), size[0] * 0.16, size[1] * 0.14, 0.4)
        sheet.fill(DETAIL, pond, sheet.pick((86, 148, 148), (104, 140, 124), (70, 110, 120)), "water")
        sheet.map_area(pond, natural="water")
    ramp = [
        (size[0] * r * math.cos(t), size[1] * r * math.sin(t))
        for r, t in zip(np.linspace(0.95, 0.2, 14), np.linspace(0, 4.4, 14) + rng.uniform(0, 6), strict=True)
    ]
    sheet.line(
        DETAIL,
        smooth(np.array(ramp) @ turn + (frame.cx, frame.cy), 2),
        6,
        sheet.vary((216, 206, 186), 4),
        "soil",
    )
    for _ in range(int(rng.integers(4, 9))):
        x, y = centre + rng.uniform(-0.3, 0.3, 2) * size
        for k in range(3):
            sheet.disc(DETAIL, x, y, 6 - 2 * k, sheet.vary(stone, 5), "soil", 2.0 + 1.6 * k)
    for _ in range(5):
        x, y = centre + rng.uniform(-0.3, 0.3, 2) * size
        sheet.fill(BUILDING, Frame(x, y, float(rng.uniform(0, 3)), 8, 3.6).whole(), (222, 184, 62), "soil", 3.4)
    sheet.scene("quarry", *centre)
    edge = pit[int(rng.integers(len(pit)))]
    sheet.scene("quarry", *(0.55 * edge + 0.45 * centre))
    scatter_trees(sheet, ground, 160, 2, 4.4)


def greenhouses(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Long glass or film houses side by side, with work yards and a basin."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((150, 140, 112), (120, 124, 82), (160, 150, 128)), "meadow")
    sheet.map_area(ground, landuse="greenhouse_horticulture")
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.5, 0.5)]))).lengthwise()
    w, d = frame.width / 2 - 4, frame.depth / 2 - 4
    bay = float(rng.uniform(6, 10))
    tint = sheet.pick((198, 212, 214), (216, 220, 214), (176, 196, 196), (206, 214, 202), amount=4)
    blocks = max(1, round(frame.width / rng.uniform(60, 110)))
    for k in range(blocks):
        x0, x1 = -w + 2 * w * k / blocks + 3, -w + 2 * w * (k + 1) / blocks - 3
        if blocks > 2 and rng.random() < 0.12:
            _basin(sheet, frame.inner(x0, -d * 0.4, x1, d * 0.4))
            continue
        separate = rng.random() < 0.4
        y = -d
        while y < d - bay:
            tall = frame.inner(x0, y, x1, y + bay)
            glass = sheet.vary(tint, 5)
            sheet.fill(BUILDING, tall.whole(), glass, "glass", 4.5)
            half = tall.rect(-tall.width / 2, -bay / 2, tall.width / 2, -bay * 0.05)
            sheet.fill(
                BUILDING,
                half,
                (int(glass[0] * 0.88), int(glass[1] * 0.9), int(glass[2] * 0.93)),
                "glass",
                4.5,
            )
            if separate:
                sheet.map_area(tall.whole(), building="greenhouse")
            y += bay + (3.0 if separate else 0.0)
        if not separate:
            block = frame.inner(x0, -d, x1, y)
            for x in np.arange(x0 + 8, x1 - 4, 12):
                sheet.line(BUILDING, frame.at([(x, -d), (x, y)]), 0.5, (156, 172, 172), "glass", 4.6)
            sheet.map_area(block.whole(), building="greenhouse")
        sheet.scene("greenhouses", *frame.at([((x0 + x1) / 2, 0)])[0])
    sheet.take(frame.whole())
    scatter_trees(sheet, ground, 50, 2, 3.6)


def _basin(sheet: Sheet, frame: Frame) -> None:
    sheet.fill(DETAIL, frame.whole(), (150, 142, 120), "paved")
    sheet.fill(DETAIL, frame.whole(3), sheet.pick((44, 66, 74), (70, 92, 78)), "water")
    sheet.map_area(frame.whole(3), natural="water", water="basin")


def wastewater(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """Round clarifiers with their bridges, rectangular basins, digesters and an office."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((96, 118, 64), (112, 120, 72)), "lawn")
    sheet.map_area(ground, man_made="wastewater_plant", name=sheet.namer.of("works", 0.3))
    frame = frame.tilted(float(rng.choice([0, rng.uniform(-0.4, 0.4)]))).lengthwise()
    w, d = frame.width / 2 - 4, frame.depth / 2 - 4
    radius = float(rng.uniform(11, 18))
    split = float(rng.uniform(-0.15, 0.2)) * d
    pitch = 2 * radius + float(rng.uniform(5, 9))
    sludge = sheet.pick((92, 96, 78), (70, 84, 76), (104, 92, 72), (60, 82, 90))
    count = max(2, int(2 * w / pitch))
    for k in range(count):
        for lane in range(max(1, int((split + d) / pitch))):
            lanes = max(1, int((split + d) / pitch))
            y = -d + (lane + 0.5) * (split + d) / lanes
            x = -w + (k + 0.5) * 2 * w / count
            cx, cy = frame.at([(x, y)])[0]
            size = min(radius, (split + d) / 2 - 1)
            sheet.disc(DETAIL, cx, cy, size, (188, 186, 178), "paved", 1.5)
            sheet.disc(DETAIL, cx, cy, size - 1.2, sheet.vary(sludge, 5), "water", 0.8)
            sheet.disc(DETAIL, cx, cy, size * 0.2, (150, 148, 140), "paved", 2.0)
            turn = float(rng.uniform(0, 6.28))
            tip = np.array([cx, cy]) + (size - 0.5) * np.array([math.cos(turn), math.sin(turn)])
            sheet.line(MARKING, np.stack([[cx, cy], tip]), 1.2, (202, 202, 198), "paved", 2.4)
            sheet.take(circle(cx, cy, size + 1))
            if k % 2 == 0:
                sheet.scene("wastewater plant", cx, cy)
    x = -w
    while x < w * 0.45:
        wide = float(rng.uniform(26, 46))
        tank_frame = frame.inner(x, split + 8, min(x + wide, w), d)
        if tank_frame.depth > 14:
            sheet.fill(DETAIL, tank_frame.whole(), (186, 184, 176), "paved", 1.2)
            lanes = int(rng.integers(3, 6))
            for k in range(lanes):
                a = -tank_frame.width / 2 + tank_frame.width * k / lanes + 0.8
                b = -tank_frame.width / 2 + tank_frame.width * (k + 1) / lanes - 0.8
                lane_shape = tank_frame.rect(a, -tank_frame.depth / 2 + 1, b, tank_frame.depth / 2 - 1)
                sheet.fill(DETAIL, lane_shape, sheet.pick(sludge, (126, 108, 84)), "water", 0.5)
            sheet.take(tank_frame.whole())
            sheet.scene("wastewater plant", tank_frame.cx, tank_frame.cy)
        x += wide + 7
    office = frame.inner(w * 0.55, split + 10, w * 0.85, split + 24)
    flat_block(sheet, office, (170, 168, 162), 6, units=3, building="industrial")
    for k in range(2):
        cx, cy = frame.at([(w * 0.6 + 24 * k, d - 12)])[0]
        sheet.disc(BUILDING, cx, cy, 8, (150, 152, 140), "roof", 9)
        sheet.disc(ROOFTOP, cx, cy, 5, (176, 178, 168), "roof", 10)
    scatter_trees(sheet, ground, 90, 2, 4)


def airport(sheet: Sheet, ground: Points, frame: Frame) -> None:
    """A runway with its markings, a taxiway, an apron with aircraft, a terminal, hangars."""
    rng = sheet.rng
    sheet.fill(AREA, ground, sheet.pick((120, 128, 76), (132, 132, 84), (106, 122, 70)), "meadow")
    sheet.stripes(AREA, ground, frame.angle + 0.3, 44, 0.5, (126, 134, 80), "meadow")
    name = sheet.namer.of("airport", 0.9)
    sheet.map_area(ground, aeroway="aerodrome", name=name)
    frame = frame.lengthwise()
    frame = frame.tilted(float(rng.uniform(-0.10, 0.10)))
    if rng.random() < 0.5:
        frame = Frame(frame.cx, frame.cy, frame.angle + math.pi, frame.width, frame.depth)
    w, d = frame.width / 2 - 10, frame.depth / 2 - 10
    wide = float(rng.choice([24.0, 32.0, 45.0]))
    y = -d + wide / 2 + 24
    paving = sheet.pick((96, 97, 100), (120, 119, 116), (168, 164, 154), amount=4)
    runway = frame.inner(-w, y - wide / 2, w, y + wide / 2)
    sheet.fill(DETAIL, runway.whole(-3), (128, 126, 112), "runway")
    sheet.fill(DETAIL, runway.whole(), paving, "runway")
    _runway_marks(sheet, runway)
    ref = f"{int(rng.integers(1, 19)):02d}"
    sheet.map_area(runway.whole(), aeroway="runway", ref=ref)
    taxi_y, taxi_w = y + wide / 2 + float(rng.uniform(45, 70)), float(rng.choice([12.0, 16.0, 20.0]))
    concrete = sheet.pick((172, 168, 158), (140, 138, 134), (116, 116, 116))
    taxi = [[(-w + 8, y), (-w + 24, taxi_y), (w - 24, taxi_y), (w - 8, y)]]
    taxi += [[(x, y), (x, taxi_y)] for x in (-w * 0.35, w * 0.35)]
    apron_w, apron_y = w * float(rng.uniform(0.45, 0.75)), taxi_y + 34
    taxi += [[(x, taxi_y), (x, apron_y + 4)] for x in (-apron_w * 0.6, apron_w * 0.6)]
    for part in taxi:
        line = frame.at(part)
        sheet.line(DETAIL, line, taxi_w, concrete, "runway")
        sheet.line(DETAIL, line, 0.5, (206, 178, 60), "runway")
        sheet.map_line(line, aeroway="taxiway", width=str(taxi_w))
    # The runway lies over the taxiways' ends.
    sheet.fill(DETAIL, runway.whole(), paving, "runway")
    _runway_marks(sheet, runway)
    apron_d = float(rng.uniform(70, 100))
    apron = frame.inner(-apron_w, apron_y, apron_w, min(apron_y + apron_d, d - 60))
    sheet.fill(DETAIL, apron.whole(), sheet.vary(concrete, 6), "runway")
    for x in np.arange(-apron.width / 2 + 15, apron.width / 2, 15):
        seam = apron.at([(x, -apron.depth / 2), (x, apron.depth / 2)])
        sheet.line(
            DETAIL,
            seam,
            0.5,
            (int(concrete[0] * 0.9), int(concrete[1] * 0.9), int(concrete[2] * 0.9)),
            "runway",
        )
    sheet.map_area(apron.whole(), aeroway="apron")
    sheet.take(frame.rect(-w, -frame.depth / 2, w, taxi_y + taxi_w))
    sheet.take(apron.whole(-8))
    large = rng.random() < 0.5
    span = float(rng.uniform(28, 38)) if large else float(rng.uniform(11, 17))
    for x in np.arange(-apron.width / 2 + span * 0.7, apron.width / 2 - span * 0.5, span * 1.35):
        rows = (apron.depth / 2 - span * 0.6,) if large else (-apron.depth * 0.2, apron.depth * 0.25)
        for row in rows:
            if rng.random() < 0.72:
                px, py = apron.at([(x, row)])[0]
                airplane(sheet, px, py, apron.angle + math.pi / 2 * (1 if large else rng.choice([-1, 1])), span)
    plane = apron.at([(0, apron.depth / 4)])[0]
    sheet.scene("airport apron with airplanes", *plane)
    sheet.scene("airport apron with airplanes", *apron.at([(-apron.width / 3, 0)])[0])
    for k in range(3):
        sheet.scene("runway", *runway.at([(runway.width * (k - 1) * 0.41, 0)])[0])
    _terminal(sheet, frame, apron, apron_w, d, large)
    scatter_trees(sheet, frame.rect(-w, apron_y + 20, w, d + 8), 120, 2, 4.4)


def _runway_marks(sheet: Sheet, runway: Frame) -> None:
    white = (226, 226, 222)
    w, d = runway.width / 2, runway.depth / 2
    for x in np.arange(-w + 70, w - 70, 46):
        sheet.fill(DETAIL, runway.rect(x, -0.5, x + 26, 0.5), white, "runway")
    for side in (-1, 1):
        for y in np.arange(-d + 2.5, d - 2, 3.6):
            sheet.fill(DETAIL, runway.rect(*sorted_x(side * (w - 8), side * (w - 36), y, y + 1.7)), white, "runway")
        for y in (-d * 0.45, d * 0.45):
            box = runway.rect(*sorted_x(side * (w - 150), side * (w - 180), y - 2, y + 2))
            sheet.fill(DETAIL, box, white, "runway")
        for y in (-2.6, 1.0):
            sheet.fill(DETAIL, runway.rect(*sorted_x(side * (w - 46), side * (w - 56), y, y + 1.6)), white, "runway")
        sheet.line(DETAIL, runway.at([(-w, side * (d - 0.8)), (w, side * (d - 0.8))]), 0.7, white, "runway")
    for side in (-1, 1):
        for offset_y in (-1.5, 0.0, 1.5):
            skid = runway.at([(side * (w - 140), offset_y * 2), (side * (w - 280), offset_y * 2)])
            sheet.line(DETAIL, skid, 1.0, (70, 70, 72), "runway")


def sorted_x(xa: float, xb: float, y0: float, y1: float) -> tuple[float, float, float, float]:
    return min(xa, xb), y0, max(xa, xb), y1


def airplane(sheet: Sheet, x: float, y: float, angle: float, span: float) -> None:
    """Paint an aircraft of this wing span, nose along `angle`."""
    plane = Frame(x, y, angle, 0, 0)
    white = sheet.pick((236, 236, 238), (236, 236, 238), (206, 210, 216), (222, 206, 190), amount=4)
    k = span / 2
    swept = 0.55 if span > 20 else 0.08
    nose, tail, belly = k * 1.05, -k * 1.0, max(0.8, k * 0.10)
    wings = [(k * 0.25, 0), (k * 0.25 - swept * k, k), (-k * 0.05 - swept * k, k), (-k * 0.2, 0)]
    for side in (1, -1):
        sheet.fill(ROOFTOP, plane.at([(px, side * py) for px, py in wings]), white, "runway", 3)
        stab = [(tail + k * 0.3, 0), (tail, k * 0.38), (tail - k * 0.08, k * 0.38), (tail + k * 0.02, 0)]
        sheet.fill(ROOFTOP, plane.at([(px, side * py) for px, py in stab]), white, "runway", 4)
        if span > 20:
            engine = plane.rect(k * 0.02, side * k * 0.36 - 1, k * 0.26, side * k * 0.36 + 1)
            sheet.fill(ROOFTOP, engine, (150, 152, 158), "runway", 3)
    hull = [(nose, 0), (nose - belly * 1.6, belly), (tail + belly, belly * 0.8), (tail - belly, 0)]
    hull += [(tail + belly, -belly * 0.8), (nose - belly * 1.6, -belly)]
    sheet.fill(ROOFTOP, plane.at(hull), white, "runway", 5)
    fin = sheet.pick((40, 70, 150), (180, 40, 40), (230, 160, 40), (40, 120, 90))
    sheet.line(ROOFTOP, plane.at([(tail + k * 0.3, 0), (tail - belly, 0)]), max(0.6, k * 0.05), fin, "runway", 7)


def _terminal(sheet: Sheet, frame: Frame, apron: Frame, apron_w: float, d: float, large: bool) -> None:
    rng = sheet.rng
    front = _local_y(frame, apron) + apron.depth / 2 + 4
    if large:
        block = frame.inner(-apron_w * 0.5, front, apron_w * 0.4, front + 24)
        flat_block(
            sheet,
            block,
            sheet.pick((206, 208, 210), (168, 172, 178)),
            12,
            units=12,
            building="terminal",
            aeroway="terminal",
        )
        sheet.scene("airport terminal", block.cx, block.cy)
    else:
        block = frame.inner(-12, front, 12, front + 12)
        flat_block(sheet, block, (186, 182, 176), 6, units=2, building="terminal", aeroway="terminal")
    for k in range(int(rng.integers(2, 5))):
        x = apron_w * 0.5 + 34 * k
        shed = frame.inner(x, front, x + 28, front + 24)
        if x + 30 < frame.width / 2:
            hall(sheet, shed, building="hangar", aeroway="hangar")
    lot = frame.inner(-apron_w * 0.7, front + 30, apron_w * 0.3, min(front + 78, d + 4))
    if lot.depth > 18:
        parking(sheet, lot, full=float(rng.uniform(0.3, 0.8)))
    tower = frame.at([(-apron_w * 0.6, front + 8)])[0]
    sheet.disc(BUILDING, *tower, 4, (196, 196, 196), "roof", 26)


def _local_y(outer: Frame, inner: Frame) -> float:
    dx, dy = inner.cx - outer.cx, inner.cy - outer.cy
    return -math.sin(outer.angle) * dx + math.cos(outer.angle) * dy


def farmstead(sheet: Sheet, frame: Frame) -> None:
    """A farm house, barns and silos around a yard."""
    rng = sheet.rng
    sheet.fill(DETAIL, frame.whole(), sheet.vary((162, 150, 128), 6), "paved")
    palette = PALETTES[int(rng.integers(len(PALETTES)))]
    house(sheet, frame.inner(-18, -14, -5, -5), palette, building="farm")
    for x, y, w, d in ((2, -16, 26, -4), (-20, 2, 14, 14)):
        hall(sheet, frame.inner(x, y, max(x + 8, w), d), building="barn")
    for k in range(2):
        cx, cy = frame.at([(20 + 6 * k, 8)])[0]
        sheet.disc(BUILDING, cx, cy, 2.6, (206, 206, 200), "tank", 11)
        sheet.map_area(circle(cx, cy, 2.6), man_made="silo")
    sheet.map_area(frame.whole(), landuse="farmyard", name=sheet.namer.of("farm", 0.7))
    tree_row(sheet, frame.at([(-24, -20)])[0], frame.at([(26, -20)])[0], 8, 2.5, 4.5)
