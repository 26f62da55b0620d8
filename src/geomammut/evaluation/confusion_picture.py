"""The confusion of classes as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from geomammut.files import whole_file

_CELL = 18
_FONT = 12
_INK = np.array([8, 48, 107])  # of a cell that holds its whole row
_MARGIN = 8


def write_confusion_picture(path: Path, confusion: NDArray[np.float64], classes: Sequence[str]) -> None:
    """Draw a confusion matrix as a PNG: truth in rows, prediction in columns, a row's share as darkness.

    Args:
        path: The PNG.
        confusion: [C, C].
        classes: Names of the C classes.
    """
    share = confusion / confusion.sum(1, keepdims=True).clip(1)
    cells = (255 + share[..., None] * (_INK - 255)).round().astype(np.uint8)
    side = _CELL * len(classes)
    font = ImageFont.load_default(_FONT)
    names = [name if len(name) <= 30 else f"{name[:29]}…" for name in classes]
    room = max(int(font.getlength(name)) for name in names) + 2 * _MARGIN
    picture = Image.new("RGB", (room + side + _MARGIN, room + side + _MARGIN), "white")
    picture.paste(Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST), (room, room))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((room - 1, room - 1, room + side, room + side), outline="#999999")
    for index, name in enumerate(names):
        middle = room + index * _CELL + _CELL // 2
        draw.text((room - _MARGIN, middle), name, "black", font, anchor="rm")
        upright = Image.new("RGB", (room - _MARGIN, _CELL), "white")
        ImageDraw.Draw(upright).text((0, _CELL // 2), name, "black", font, anchor="lm")
        picture.paste(upright.transpose(Image.Transpose.ROTATE_90), (middle - _CELL // 2, 0))
    with whole_file(path) as partial:
        picture.save(partial, "PNG")
