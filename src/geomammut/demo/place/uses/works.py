"""Works: tank farms, solar farms, quarries, greenhouses, wastewater plants."""

import math

import numpy as np

from geomammut.demo.place.shapes import Frame, Points, blob, circle, closed, smooth
from geomammut.demo.place.sheet import AREA, BUILDING, DETAIL, MARKING, ROOFTOP, Sheet
from geomammut.demo.place.surfaces import Colour, shade
from geomammut.demo.place.things import flat_block, scatter_trees


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
            sheet.line(DETAIL, closed(cell), 1.2, (178, 168, 146), "paved", 1.2)
            if rng.random() < 0.1:
                continue
            cx, cy = frame.point(x, y)
            if rng.random() < 0.2:
                for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)):
                    sx, sy = frame.point(x + dx * radius, y + dy * radius)
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
        darker = shade(hue, 0.8, 0.8, 0.82)
        sheet.disc(ROOFTOP, x, y, radius - 1.0, darker, "tank", height * float(rng.uniform(0.3, 0.8)))
    else:
        lighter = shade(hue, 1, lift=10)
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
            seam = frame.at([(x0 + cut, y + row / 2), (x1, y + row / 2)])
            sheet.line(DETAIL, seam, 0.5, (92, 102, 128), "solar", 1.6)
        block = frame.rect(x0, -d, x1, d)
        sheet.map_area(block, power="generator", generator__source="solar", generator__method="photovoltaic")
        sheet.scene("solar farm", *frame.point((x0 + x1) / 2, 0))
        hut = frame.inner(x1 + 0.5, -3, x1 + 4.5, 4)
        sheet.fill(BUILDING, hut.whole(), (206, 206, 202), "roof", 3)
    outer = frame.whole(2)
    sheet.line(DETAIL, closed(outer), 2.5, (164, 150, 118), "dirt road")
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
        tone = shade(stone, 0.70, 0.68, 0.66)
        sheet.fill(DETAIL, shape, sheet.vary(tone, 5), "soil", 3.0 * (steps - k))
        floor = shape.mean(axis=0) + (shape - shape.mean(axis=0)) * 0.965
        sheet.fill(DETAIL, floor, sheet.vary(stone, 7), "soil", 3.0 * (steps - k - 1))
    sheet.map_area(pit, landuse="quarry", name=sheet.namer.of("quarry", 0.6))
    sheet.take(pit)
    centre = pit.mean(axis=0) + drift @ turn * steps
    if rng.random() < 0.6:
        x, y = centre + rng.uniform(-8, 8, 2)
        pond = blob(rng, x, y, size[0] * 0.16, size[1] * 0.14, 0.4)
        sheet.fill(DETAIL, pond, sheet.pick((86, 148, 148), (104, 140, 124), (70, 110, 120)), "water")
        sheet.map_area(pond, natural="water")
    ramp = [
        (size[0] * r * math.cos(t), size[1] * r * math.sin(t))
        for r, t in zip(np.linspace(0.95, 0.2, 14), np.linspace(0, 4.4, 14) + rng.uniform(0, 6), strict=True)
    ]
    road = smooth(np.array(ramp) @ turn + (frame.cx, frame.cy), 2)
    sheet.line(DETAIL, road, 6, sheet.vary((216, 206, 186), 4), "soil")
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
                shade(glass, 0.88, 0.9, 0.93),
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
        sheet.scene("greenhouses", *frame.point((x0 + x1) / 2, 0))
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
            cx, cy = frame.point(x, y)
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
        cx, cy = frame.point(w * 0.6 + 24 * k, d - 12)
        sheet.disc(BUILDING, cx, cy, 8, (150, 152, 140), "roof", 9)
        sheet.disc(ROOFTOP, cx, cy, 5, (176, 178, 168), "roof", 10)
    scatter_trees(sheet, ground, 90, 2, 4)
