"""`pairs preview`: pairs drawn on a sheet, to see whether the landmarks are where the captions say."""

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry.base import BaseGeometry

from geomammut.errors import UserError
from geomammut.files import whole_file
from geomammut.pairs.pair_set import PairSet
from geomammut.pictures import UNREADABLE

_COLUMNS = 4
_SIDE = 360  # of a drawn picture, pixels
_GAP, _LINE, _FONT = 16, 17, 13
_WRAP = 54  # characters that fit under a picture
_CAPTIONS = 3  # shown of a pair
_COLOURS = ("#ff3b30", "#ffd60a", "#30d158", "#0af0ff", "#ff2fd6", "#ff9500", "#bf9cff", "#ffffff")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def pairs_preview(folder: Path, out: Path, *, count: int = 12, seed: int = 0) -> Path:
    """Draw pairs at random on a sheet: each picture with its landmarks' outlines, a legend and captions.

    Args:
        folder: A pair set.
        out: The sheet: `.png`, `.jpg` or `.webp`.
        count: How many pairs, 1 to 400; all if there are fewer.
        seed: Picks the pairs.

    Returns:
        `out`.

    Raises:
        UserError: `folder` is no pair set, `out` is of an unknown kind, or `count` is out of range.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{out} is of an unknown kind; give a name that ends in {', '.join(_SUFFIXES)}")
    if not 1 <= count <= 400:
        raise UserError(f"--count {count} is out of range; give 1 to 400")
    pairs = PairSet(folder)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:count]).tolist()
    captions, landmarks = pairs.captions, pairs.table["landmarks"]
    cards = [_card(pairs, index, captions[index], landmarks[index].as_py()) for index in chosen]
    with whole_file(out) as partial:
        _sheet(cards).save(partial, quality=75)
    return out


def _sheet(cards: list[Image.Image]) -> Image.Image:
    """Return the cards in rows, each row as high as its highest card."""
    rows = [cards[start : start + _COLUMNS] for start in range(0, len(cards), _COLUMNS)]
    heights = [max(card.height for card in row) for row in rows]
    width = _GAP + min(_COLUMNS, len(cards)) * (_SIDE + _GAP)
    sheet = Image.new("RGB", (width, _GAP + sum(heights) + _GAP * len(rows)), "white")
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            sheet.paste(card, (_GAP + column * (_SIDE + _GAP), top))
        top += height + _GAP
    return sheet


def _card(pairs: PairSet, index: int, captions: list[str], landmarks: str | None) -> Image.Image:
    """Return one pair: its picture with outlines, the legend, the captions."""
    entries: list[dict[str, Any]] = [entry for entry in json.loads(landmarks or "[]") if "outline" in entry]
    lines = [
        line
        for caption in captions[:_CAPTIONS]
        for line in textwrap.wrap("- " + caption, _WRAP, subsequent_indent="   ", max_lines=5, placeholder=" ...")
    ]
    card = Image.new("RGB", (_SIDE, _SIDE + 8 + _LINE * (len(entries) + len(lines)) + 6), "white")
    try:
        picture = pairs.read_picture(index)
    except UNREADABLE:
        picture = Image.new("RGB", (1, 1), "grey")
    scale = _SIDE / max(picture.size)
    card.paste(picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(card)
    font = ImageFont.load_default(_FONT)
    top = _SIDE + 8
    for number, entry in enumerate(entries):
        colour = _COLOURS[number % len(_COLOURS)]
        outline = shapely.geometry.shape(entry["outline"])
        _draw(draw, shapely.transform(outline, lambda xy: xy * scale), colour)
        draw.rectangle((0, top + 3, 11, top + 14), fill=colour, outline="black")
        draw.text((18, top), _legend(entry), fill="black", font=font)
        top += _LINE
    for line in lines:
        draw.text((0, top + 4), line, fill="#333333", font=font)
        top += _LINE
    return card


def _legend(entry: dict[str, Any]) -> str:
    many = f", one of {entry['count']}" if entry.get("count", 1) > 1 else ""
    return textwrap.shorten(f"{entry['phrase']} {entry.get('position', '')}{many}", _WRAP - 3, placeholder="...")


def _draw(draw: ImageDraw.ImageDraw, shape: BaseGeometry, colour: str) -> None:
    """Draw lines, outlines and points with a dark rim, to be seen on any ground."""
    for part in shapely.get_parts(shape):
        if shapely.get_dimensions(part) == 0:
            x, y = part.x, part.y
            for reach, ink in ((7, "black"), (6, colour)):
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=2)
            continue
        rings = [part.exterior, *part.interiors] if shapely.get_dimensions(part) == 2 else [part]
        for ring in rings:
            points = [tuple(point) for point in shapely.get_coordinates(ring).tolist()]
            draw.line(points, fill="black", width=4)
            draw.line(points, fill=colour, width=2)
