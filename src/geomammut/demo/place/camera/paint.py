"""Paints sheets: their strokes become colour, surface and height, at half a metre."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from geomammut.demo.place.camera.light import Light
from geomammut.demo.place.camera.textures import HEIGHT_UNITS, SCALE, Bytes, crown
from geomammut.demo.place.sheet import TREE, Op, Sheet
from geomammut.demo.place.surfaces import SURFACE_INDEX


class Layers(NamedTuple):
    """The painted layers of a tile with its border, at SCALE pixels per metre."""

    colour: Image.Image
    surface: Image.Image
    height: Bytes


def paint(sheets: Iterable[Sheet], left: float, top: float, side: float, light: Light) -> Layers:
    """Paint what of these sheets falls into the square at (left, top)."""
    pixels = round(side * SCALE)
    colour = Image.new("RGB", (pixels, pixels), (98, 112, 66))
    surface = Image.new("L", (pixels, pixels), SURFACE_INDEX["grass"])
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


def _raise_crown(op: Op, relief: Bytes, left: float, top: float) -> None:
    assert op.height is not None
    dome, inside = crown(op.size, pointed=False)
    half = dome.shape[0] // 2
    x, y = round((op.points[0, 0] - left) * SCALE), round((op.points[0, 1] - top) * SCALE)
    rows, cols = relief.shape
    a, b, c, d = max(0, y - half), min(rows, y + half + 1), max(0, x - half), min(cols, x + half + 1)
    if a >= b or c >= d:
        return
    part = (slice(a - y + half, b - y + half), slice(c - x + half, d - x + half))
    rim = max(0.0, op.height - op.size * 0.9) * HEIGHT_UNITS
    raised = np.where(inside[part], np.minimum(255, dome[part] + rim), 0).astype(np.uint8)
    np.maximum(relief[a:b, c:d], raised, out=relief[a:b, c:d])
