"""The camera over the demo place: strokes of paint become colour, height and surface; sun, haze and sensor do the rest.

Painted at half a metre, seen at one metre. Shadows are cast from the heights of everything painted.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from geomammut.demo.place_plan import DISTRICT_M, Plan
from geomammut.demo.place_sheet import TREE, Op, Sheet
from geomammut.demo.place_surfaces import CLASS_INDEX, SURFACE_INDEX, SURFACES

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

SCALE = 2  # painted pixels per metre
BORDER_M = 40  # what is painted around a tile, so that shadows fall into it
HEIGHT_UNITS = 4.0  # per metre, in a byte: up to 63 m
TEXTURE = 1536  # side of the periodic textures, pixels

_BASE = SURFACE_INDEX["grass"]


class Light(NamedTuple):
    """The light over one tile: sun azimuth (where it stands, clockwise from +x with y down) and elevation, radians."""

    azimuth: float
    elevation: float


class Textures(NamedTuple):
    """Periodic textures, [TEXTURE, TEXTURE], made once per process."""

    grain: Floats
    blotch: Floats
    noise: Floats  # [TEXTURE, TEXTURE, 3]
    heights: dict[str, Bytes]  # canopy height by surface, HEIGHT_UNITS, at SCALE
    hues: dict[str, Bytes]  # canopy colour shift around 128, at SCALE


class Layers(NamedTuple):
    """The painted layers of a tile with its border, at SCALE pixels per metre."""

    colour: Image.Image
    surface: Image.Image
    height: npt.NDArray[np.uint8]


@cache
def make_textures(seed: int) -> Textures:
    """Make the textures of a seed, once per process."""
    rng = np.random.default_rng([seed, 3])
    fine = rng.standard_normal((TEXTURE, TEXTURE), dtype=np.float32)
    grain = 0.6 * fine + 0.8 * _box(fine, 1)
    blotch = sum((_waves(rng, size) * weight for size, weight in ((14, 0.35), (40, 0.35), (120, 0.4))), np.zeros(1))
    noise = rng.standard_normal((TEXTURE, TEXTURE, 3), dtype=np.float32)
    heights, hues = {}, {}
    for name, spacing, low, high in (("deciduous", 6.2, 2.4, 5.2), ("conifer", 4.2, 1.5, 2.7)):
        heights[name], hues[name] = _canopy(rng, spacing, low, high, pointed=name == "conifer")
    return Textures(grain, blotch.astype(np.float32), noise, heights, hues)


def _box(values: Floats, radius: int) -> Floats:
    """Return the periodic box mean."""
    for axis in (0, 1):
        values = sum((np.roll(values, k, axis) for k in range(-radius, radius + 1)), np.zeros_like(values))
        values /= 2 * radius + 1
    return values


def _waves(rng: np.random.Generator, size: int) -> Floats:
    """Return smooth periodic noise of unit deviation with features of about `size` pixels."""
    cells = max(4, TEXTURE // size)
    coarse = rng.integers(0, 256, (cells, cells)).astype(np.uint8)
    wrapped = np.pad(coarse, 2, mode="wrap")
    image = Image.fromarray(wrapped).resize(
        (TEXTURE, TEXTURE), Image.Resampling.BICUBIC, box=(2, 2, 2 + cells, 2 + cells)
    )
    values = np.asarray(image, dtype=np.float32)
    return (values - values.mean()) / values.std()


def _canopy(rng: np.random.Generator, spacing: float, low: float, high: float, *, pointed: bool) -> tuple[Bytes, Bytes]:
    """Stamp tree crowns on a jittered periodic grid; return heights and hue shifts."""
    height = np.full((TEXTURE, TEXTURE), 4, dtype=np.uint8)
    hue = np.full((TEXTURE, TEXTURE), 128, dtype=np.uint8)
    cells = int(TEXTURE / (spacing * SCALE))
    pitch = TEXTURE / cells
    radii = np.linspace(low, high, 6)
    stamps = [_crown(radius, pointed) for radius in radii]
    count = cells * cells
    grid = np.stack(np.divmod(np.arange(count), cells), axis=1)
    spots = ((grid + rng.uniform(0, 1, (count, 2))) * pitch).astype(int)
    kinds = rng.integers(len(stamps), size=count)
    tall = rng.integers(24, 44, count) if pointed else rng.integers(22, 38, count)
    tints = np.clip(rng.normal(128, 16, count), 80, 176).astype(int)
    for (x, y), kind, rim, tint in zip(spots.tolist(), kinds.tolist(), tall.tolist(), tints.tolist(), strict=True):
        dome, inside = stamps[kind]
        half = dome.shape[0] // 2
        x, y = min(max(x, half), TEXTURE - half - 1), min(max(y, half), TEXTURE - half - 1)
        spot = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
        under, crown = height[spot], dome + np.uint8(rim)
        over = inside & (crown > under)
        np.copyto(under, crown, where=over)
        hue[spot][over] = tint
    return height, hue


_CROWNS: dict[tuple[int, bool], tuple[Bytes, npt.NDArray[np.bool_]]] = {}


def _crown(radius_m: float, pointed: bool) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return a crown's relief above its rim in HEIGHT_UNITS and its outline, at SCALE."""
    key = (round(radius_m * 4), pointed)
    if key not in _CROWNS:
        radius = key[0] / 4 * SCALE
        half = math.ceil(radius)
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        distance = np.hypot(x, y) / max(radius, 0.5)
        rise = (1 - distance) if pointed else np.sqrt(np.clip(1 - distance**2, 0, 1))
        relief = np.clip(rise, 0, 1) * radius_m * HEIGHT_UNITS * (1.6 if pointed else 0.9)
        _CROWNS[key] = relief.astype(np.uint8), distance <= 1
    return _CROWNS[key]


def paint(sheets: Iterable[Sheet], left: float, top: float, side: float, light: Light) -> Layers:
    """Paint what of these sheets falls into the square at (left, top)."""
    pixels = round(side * SCALE)
    colour = Image.new("RGB", (pixels, pixels), (98, 112, 66))
    surface = Image.new("L", (pixels, pixels), _BASE)
    height = Image.new("L", (pixels, pixels), 0)
    pens = (ImageDraw.Draw(colour), ImageDraw.Draw(surface), ImageDraw.Draw(height))
    visible = [op for sheet in sheets for op in within(sheet, left, top, side)]
    visible.sort(key=lambda op: op.level)
    trees: list[Op] = []
    for op in visible:
        if op.level == TREE:
            trees.append(op)
        _stroke(op, pens, colour, surface, left, top, light)
    relief = np.asarray(height).copy()
    for op in trees:
        if op.kind == "tree":
            _raise_crown(op, relief, left, top)
    return Layers(colour, surface, relief)


def within(sheet: Sheet, left: float, top: float, side: float) -> list[Op]:
    """Return the strokes whose bounds meet a square."""
    box = sheet.bounds()
    meets = (box[:, 0] < left + side) & (box[:, 2] > left) & (box[:, 1] < top + side) & (box[:, 3] > top)
    return [sheet.ops[k] for k in np.flatnonzero(meets)]


def _stroke(
    op: Op,
    pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    colour: Image.Image,
    surface: Image.Image,
    left: float,
    top: float,
    light: Light,
) -> None:
    flat = ((op.points - (left, top)) * SCALE).ravel().tolist()
    hue = op.colour
    tall = None if op.height is None else min(255, int(op.height * HEIGHT_UNITS))
    if op.kind == "stripes":
        _stripes(op, flat, colour, surface)
        return
    if op.kind == "line":
        width = max(1, round(op.size * SCALE))
        joint = "curve" if width > 3 else None
        pens[0].line(flat, fill=hue, width=width, joint=joint)
        pens[1].line(flat, fill=op.surface, width=width, joint=joint)
        if tall is not None:
            pens[2].line(flat, fill=tall, width=width, joint=joint)
        return
    if op.kind in ("disc", "tree"):
        radius = op.size * SCALE
        box = [flat[0] - radius, flat[1] - radius, flat[0] + radius, flat[1] + radius]
        pens[0].ellipse(box, fill=hue)
        pens[1].ellipse(box, fill=op.surface)
        if op.kind == "disc":
            pens[2].ellipse(box, fill=tall or 0)
        return
    if op.kind == "facet":
        slope = 0.30 * math.cos(op.extra[0] - light.azimuth) / math.tan(light.elevation)
        bright = min(1.3, max(0.62, 1 + slope))
        hue = (min(255, int(hue[0] * bright)), min(255, int(hue[1] * bright)), min(255, int(hue[2] * bright)))
    pens[0].polygon(flat, fill=hue)
    pens[1].polygon(flat, fill=op.surface)
    if tall is not None:
        pens[2].polygon(flat, fill=tall)


def _stripes(op: Op, flat: list[float], colour: Image.Image, surface: Image.Image) -> None:
    """Paint stripes of one colour inside a polygon, through a mask of its bounds."""
    xs, ys = flat[0::2], flat[1::2]
    x0, y0 = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    x1, y1 = min(colour.width, math.ceil(max(xs)) + 1), min(colour.height, math.ceil(max(ys)) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    angle, period, share = op.extra
    mask = Image.new("L", (x1 - x0, y1 - y0), 0)
    ImageDraw.Draw(mask).polygon([v - (x0, y0)[k % 2] for k, v in enumerate(flat)], fill=255)
    # The stripes hang on the polygon's first corner, so that a field looks the same from every tile.
    nx, ny = -math.sin(angle), math.cos(angle)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    phase = ((x - flat[0]) * nx + (y - flat[1]) * ny) / (period * SCALE)
    on = (phase - np.floor(phase)) < share
    pattern = Image.fromarray(np.where(on, np.asarray(mask), 0).astype(np.uint8))
    colour.paste(op.colour, (x0, y0), pattern)
    surface.paste(op.surface, (x0, y0), pattern)


def _raise_crown(op: Op, relief: npt.NDArray[np.uint8], left: float, top: float) -> None:
    assert op.height is not None
    dome, inside = _crown(op.size, pointed=False)
    half = dome.shape[0] // 2
    x, y = round((op.points[0, 0] - left) * SCALE), round((op.points[0, 1] - top) * SCALE)
    rows, cols = relief.shape
    a, b, c, d = max(0, y - half), min(rows, y + half + 1), max(0, x - half), min(cols, x + half + 1)
    if a >= b or c >= d:
        return
    part = (slice(a - y + half, b - y + half), slice(c - x + half, d - x + half))
    rim = max(0.0, op.height - op.size * 0.9) * HEIGHT_UNITS
    crown = np.where(inside[part], np.minimum(255, dome[part] + rim), 0).astype(np.uint8)
    np.maximum(relief[a:b, c:d], crown, out=relief[a:b, c:d])


def shadows(height: npt.NDArray[np.uint8], light: Light) -> npt.NDArray[np.bool_]:
    """Return where something toward the sun stands above the line of sight to it.

    The reach doubles in each step: m(p) ← max(m(p), m(p + 2^k d) − 2^k s), which is exact along the sun's line.
    """
    dx, dy = math.cos(light.azimuth), math.sin(light.azimuth)
    fall = math.tan(light.elevation) / SCALE * HEIGHT_UNITS * 16
    ground = height.astype(np.int16) * 16
    sight = ground.copy()
    tallest = int(ground.max())
    for k in range(8):
        reach = 2**k
        if fall * reach > tallest:
            break
        sx, sy = round(reach * dx), round(reach * dy)
        here, there = _shifted(sight.shape, sx, sy)
        np.maximum(sight[here], sight[there] - np.int16(fall * reach), out=sight[here])
    return sight > ground + 24


def _shifted(shape: tuple[int, ...], sx: int, sy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return slices p and p + (sx, sy) of equal size."""
    rows, cols = shape
    here = (slice(max(0, -sy), rows - max(0, sy)), slice(max(0, -sx), cols - max(0, sx)))
    there = (slice(max(0, sy), rows - max(0, -sy)), slice(max(0, sx), cols - max(0, -sx)))
    return here, there


class Camera:
    """Renders tiles of one place; light and colour change slowly over it, by districts."""

    def __init__(self, plan: Plan, textures: Textures) -> None:
        self.textures = textures
        rng = plan.rng(4)
        nodes = plan.count + 1
        self._gain = rng.uniform(0.94, 1.24, (nodes, nodes)).astype(np.float32)
        self._warmth = rng.uniform(-0.07, 0.07, (nodes, nodes)).astype(np.float32)
        self._haze = (rng.beta(1.2, 5, (nodes, nodes)) * 0.34).astype(np.float32)
        self._season = rng.beta(0.9, 1.6, (nodes, nodes)).astype(np.float32)
        self._vivid = rng.uniform(0.62, 0.98, (nodes, nodes)).astype(np.float32)
        self._sun = rng.uniform(0, 2 * np.pi, 4)
        self._tilt = 2 * np.pi / plan.side

    def light(self, x: float, y: float) -> Light:
        """Return the sun over a point: it stands somewhere in the south, as on flights of different hours."""
        wave = math.sin(x * self._tilt * 1.3 + self._sun[0]) + math.sin(y * self._tilt * 1.7 + self._sun[1])
        climb = math.sin(x * self._tilt * 0.9 + self._sun[2]) + math.sin(y * self._tilt * 1.2 + self._sun[3])
        return Light(math.pi / 2 + 0.45 * wave, math.radians(46 + 6 * climb))

    def tile(self, i: int, j: int, sheets: list[Sheet]) -> tuple[Bytes, Bytes]:
        """Return the pixels [480, 480, 3] and land classes [480, 480] of one grid square."""
        left, top = i * DISTRICT_M - BORDER_M, j * DISTRICT_M - BORDER_M
        side = DISTRICT_M + 2 * BORDER_M
        light = self.light(left + side / 2, top + side / 2)
        layers = paint(sheets, left, top, side, light)
        surface = np.asarray(layers.surface)
        height, colour = self._grow(surface, layers, left, top)
        dark = shadows(height, light)
        relief = self._relief(height, surface, light)
        seen = slice(BORDER_M - 1, side - BORDER_M + 1)  # one more on each side, for the lens
        lit = _halve(np.where(dark, 0, 255).astype(np.uint8))[seen, seen].astype(np.float32) / 255
        shade = _halve(relief)[seen, seen].astype(np.float32) / 128
        pixels = np.asarray(colour.reduce(SCALE))[seen, seen].astype(np.float32)
        ground = surface[::SCALE, ::SCALE][seen, seen]
        pixels = self._expose(pixels, ground, lit, shade, i, j)
        pixels = self._sense(pixels, i, j)
        classes = _CLASS_OF[ground[1:-1, 1:-1]]
        return pixels, classes

    def _grow(self, surface: Bytes, layers: Layers, left: int, top: int) -> tuple[Bytes, Image.Image]:
        """Put the canopy's height and colour on forested ground."""
        height = layers.height
        colour = layers.colour
        side = surface.shape[0]
        rows = (np.arange(side) + top * SCALE) % TEXTURE
        cols = (np.arange(side) + left * SCALE) % TEXTURE
        pixels: Bytes | None = None
        for name in ("deciduous", "conifer"):
            wooded = surface == SURFACE_INDEX[name]
            if wooded.any():
                spot = np.ix_(rows, cols)
                np.maximum(height, self.textures.heights[name][spot], out=height, where=wooded)
                shift = self.textures.hues[name][spot][wooded].astype(np.float32) / 128
                pixels = np.asarray(colour).copy() if pixels is None else pixels
                hued = pixels[wooded] * np.stack([shift**1.5, shift, shift**0.7], axis=-1)
                pixels[wooded] = np.clip(hued, 0, 255).astype(np.uint8)
        return height, colour if pixels is None else Image.fromarray(pixels)

    def _relief(self, height: Bytes, surface: Bytes, light: Light) -> Bytes:
        """Shade crowns by their own slope toward the sun; 128 is flat ground."""
        sx, sy = round(2 * math.cos(light.azimuth)), round(2 * math.sin(light.azimuth))
        here, there = _shifted(height.shape, sx, sy)
        rise = np.zeros(height.shape, dtype=np.int16)
        rise[here] = height[here].astype(np.int16) - height[there]
        strength = _RELIEF[surface]
        shade: Bytes = np.clip(128 + np.clip(rise, -24, 16) * strength, 0, 255).astype(np.uint8)
        return shade

    def _field(self, nodes: Floats, i: int, j: int, size: int) -> Floats:
        """Return a slowly changing quantity over a tile, [size, size]."""
        t = np.linspace(0, 1, size, dtype=np.float32)
        upper = nodes[j, i] * (1 - t) + nodes[j, i + 1] * t
        lower = nodes[j + 1, i] * (1 - t) + nodes[j + 1, i + 1] * t
        field: Floats = upper[None, :] * (1 - t)[:, None] + lower[None, :] * t[:, None]
        return field

    def _expose(self, pixels: Floats, ground: Bytes, lit: Floats, shade: Floats, i: int, j: int) -> Floats:
        size = pixels.shape[0]
        texture = self._crop(self.textures.grain, i, j, size) * _GRAIN[ground]
        texture += self._crop(self.textures.blotch, i, j, size) * _BLOTCH[ground]
        bright = self._field(self._gain, i, j, size) * (1 + texture) * shade
        season = self._field(self._season, i, j, size) * _VEGETATION[ground]
        warmth = self._field(self._warmth, i, j, size)
        grey = pixels.mean(axis=-1)
        vivid = self._field(self._vivid, i, j, size)
        haze = self._field(self._haze, i, j, size)
        # Sky light is bluish and remains in the shadows; the sun's is slightly warm.
        for band, (sky, sun, turn, heat, veil) in enumerate(
            ((0.30, 0.72, 0.34, 1.0, 188.0), (0.34, 0.68, 0.10, 0.1, 198.0), (0.42, 0.60, -0.02, -1.0, 212.0))
        ):
            plane = grey + (pixels[..., band] - grey) * vivid
            plane *= (sky + sun * lit) * bright * (1 + turn * season) * (1 + heat * warmth)
            plane += (veil - plane) * haze
            pixels[..., band] = plane
        return pixels

    def _sense(self, pixels: Floats, i: int, j: int) -> Bytes:
        """Blur by the lens and add the sensor's noise."""
        core = 0.64 * pixels[1:-1] + 0.18 * (pixels[:-2] + pixels[2:])
        core = 0.64 * core[:, 1:-1] + 0.18 * (core[:, :-2] + core[:, 2:])
        core += 2.2 * self._crop(self.textures.noise, 3 * i + j, i + 5 * j, core.shape[0])
        seen: Bytes = np.clip(core, 0, 255).astype(np.uint8)
        return seen

    def _crop(self, texture: Floats, i: int, j: int, size: int) -> Floats:
        rows = (np.arange(size) + j * DISTRICT_M) % TEXTURE
        cols = (np.arange(size) + i * DISTRICT_M) % TEXTURE
        crop: Floats = texture[rows[:, None], cols[None, :]]
        return crop


def _halve(values: Bytes) -> Bytes:
    return np.asarray(Image.fromarray(values).reduce(SCALE))


_GRAIN = np.array([s.grain for s in SURFACES.values()], dtype=np.float32)
_BLOTCH = np.array([s.blotch for s in SURFACES.values()], dtype=np.float32)
_VEGETATION = np.array([s.vegetation for s in SURFACES.values()], dtype=np.float32)
_RELIEF = np.array([s.relief * 5.0 for s in SURFACES.values()], dtype=np.float32)
_CLASS_OF = np.array([CLASS_INDEX[s.land_class] if s.land_class else 0 for s in SURFACES.values()], dtype=np.uint8)
