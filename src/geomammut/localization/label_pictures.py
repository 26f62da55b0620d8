"""Region labels beside the images that they are of, as one picture."""

import colorsys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from geomammut.files import whole_file
from geomammut.localization.teacher import Teacher
from geomammut.pairs.pair_set import PairSet

SHOWN = 8
_SIDE = 192  # pixels
_GAP = 8
_LINE = 15
_FONT = 12
_BACKGROUND, _NOT_TOLD = (255, 255, 255), (190, 190, 190)


@torch.no_grad()
def write_label_pictures(path: Path, teacher: Teacher, pairs: PairSet) -> None:
    """Write a PNG of up to SHOWN pairs spread over the set: the image, its labels below, and what they mean.

    White is no phrase, grey is not told.
    """
    chosen = np.linspace(0, len(pairs) - 1, min(SHOWN, len(pairs))).round().astype(int).tolist()
    pictures = [pairs.read_picture(index).convert("RGB") for index in chosen]
    images = torch.stack([teacher.model.preprocess(picture) for picture in pictures]).to(teacher.model.device)
    captions, landmarks = pairs.captions, pairs.landmarks
    stated = [teacher.gate.shares(captions[index], landmarks[index]) for index in chosen]
    labels = teacher.labels(images, stated).cpu().numpy()
    names = [[teacher.gate.phrases[number] for number in sorted(own)] for own in stated]
    columns = [_column(*shown) for shown in zip(pictures, labels, stated, names, strict=True)]
    height = max(column.height for column in columns)
    sheet = Image.new("RGB", (len(columns) * (_SIDE + _GAP) + _GAP, height + 2 * _GAP), "white")
    for number, column in enumerate(columns):
        sheet.paste(column, (_GAP + number * (_SIDE + _GAP), _GAP))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        sheet.save(partial, "PNG")


def _column(
    picture: Image.Image, labels: NDArray[np.float32], stated: dict[int, float], names: list[str]
) -> Image.Image:
    colours = [_colour(number, len(names)) for number in range(len(names))]
    cells = np.full((*labels.shape[:2], 3), _BACKGROUND, np.uint8)
    cells[np.isnan(labels[..., sorted(stated)]).any(-1) if stated else slice(None)] = _NOT_TOLD
    for phrase, colour in zip(sorted(stated), colours, strict=True):
        cells[labels[..., phrase] == 1.0] = colour
    column = Image.new("RGB", (_SIDE, 2 * _SIDE + _GAP + _LINE * len(names) + _GAP), "white")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    column.paste(picture.resize((_SIDE, _SIDE), box=(left, top, left + side, top + side)), (0, 0))
    column.paste(Image.fromarray(cells).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (0, _SIDE + _GAP))
    draw = ImageDraw.Draw(column)
    draw.rectangle((0, _SIDE + _GAP, _SIDE - 1, 2 * _SIDE + _GAP - 1), outline="#999999")
    font = ImageFont.load_default(_FONT)
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        y = 2 * _SIDE + 2 * _GAP + number * _LINE
        draw.rectangle((0, y, _LINE - 4, y + _LINE - 4), fill=colour)
        draw.text((_LINE, y + _LINE // 2 - 2), name if len(name) <= 28 else f"{name[:27]}…", "black", font, anchor="lm")
    return column


def _colour(number: int, count: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number / max(count, 1), 0.75, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
