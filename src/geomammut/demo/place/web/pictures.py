"""Pictures that are not aerial: horizons, products, faces, banners and charts."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from geomammut.demo.place.surfaces import Colour


def _ramp(top: npt.ArrayLike, bottom: npt.ArrayLike, width: int, height: int) -> Image.Image:
    t = np.linspace(0, 1, height)[:, None, None]
    plane = np.asarray(top) * (1 - t) + np.asarray(bottom) * t
    return Image.fromarray(np.broadcast_to(plane, (height, width, 3)).astype(np.uint8).copy())


def _ink(colour: Iterable[float]) -> Colour:
    r, g, b = (int(c) for c in colour)
    return r, g, b


def _noisy(picture: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32)
    return Image.fromarray(np.clip(pixels + rng.normal(0, strength, pixels.shape), 0, 255).astype(np.uint8))


def _horizon(rng: np.random.Generator, size: list[int]) -> Image.Image:
    """A sky over hills, water or a field, seen from the ground."""
    width, height = size
    sky = rng.choice([(90, 150, 220), (230, 150, 90), (150, 160, 180), (70, 90, 150)])
    picture = _ramp(sky, np.clip(sky + rng.uniform(20, 70), 0, 255), width, height)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 7))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height * 0.4), rng.uniform(8, 40)
        for _ in range(5):
            dx, dy = rng.normal(0, r / 2), rng.normal(0, r / 5)
            pen.ellipse((x + dx - r / 2, y + dy - r / 4, x + dx + r / 2, y + dy + r / 4), fill=(236, 236, 240))
    picture = picture.filter(ImageFilter.GaussianBlur(2))
    pen = ImageDraw.Draw(picture)
    for layer in range(int(rng.integers(1, 4))):
        base = height * (0.5 + 0.12 * layer)
        phase = rng.uniform(0, 6, 3)
        crest = [
            (x, base + 14 * math.sin(x / 37 + phase[0]) + 8 * math.sin(x / 13 + phase[1]))
            for x in range(0, width + 9, 8)
        ]
        shade = rng.choice([(60, 90, 60), (90, 100, 120), (120, 110, 70), (70, 100, 130)]) * (1 - 0.2 * layer)
        pen.polygon([*crest, (width + 8, height), (0, height)], fill=_ink(shade))
    if rng.random() < 0.5:
        x = rng.uniform(0.2, 0.8) * width
        far, near = height * 0.6, height
        road = [(x - 4, far), (x + 4, far), (x + width * 0.3, near), (x - width * 0.3, near)]
        pen.polygon(road, fill=(96, 94, 92))
    if rng.random() < 0.4:
        x, r = rng.uniform(0, width), rng.uniform(14, 36)
        pen.rectangle((x - 3, height * 0.5, x + 3, height * 0.9), fill=(70, 54, 40))
        pen.ellipse((x - r, height * 0.5 - r, x + r, height * 0.5 + r), fill=(50, 86, 44))
    return _noisy(picture, rng, 4)


def _product(rng: np.random.Generator, size: list[int]) -> Image.Image:
    """One thing on a white ground with a soft shadow."""
    width, height = size
    picture = _ramp((252, 252, 252), (232, 232, 234), width, height)
    pen = ImageDraw.Draw(picture)
    cx, cy = width / 2, height / 2
    pen.ellipse((cx - width * 0.3, height * 0.74, cx + width * 0.3, height * 0.84), fill=(196, 196, 198))
    picture = picture.filter(ImageFilter.GaussianBlur(5))
    pen = ImageDraw.Draw(picture)
    for k in range(int(rng.integers(1, 5))):
        colour = _ink(rng.integers(20, 230, 3))
        w, h = rng.uniform(0.1, 0.3) * width / (1 + 0.4 * k), rng.uniform(0.1, 0.28) * height / (1 + 0.4 * k)
        box = (cx - w, cy - h, cx + w, cy + h)
        if rng.random() < 0.4:
            pen.ellipse(box, fill=colour)
        else:
            pen.rounded_rectangle(box, radius=float(rng.uniform(2, 18)), fill=colour)
        pen.line((cx - w * 0.6, cy - h * 0.7, cx - w * 0.6, cy + h * 0.7), fill=(250, 250, 250), width=3)
    return _noisy(picture.filter(ImageFilter.GaussianBlur(0.8)), rng, 2)


def _face(rng: np.random.Generator, size: list[int]) -> Image.Image:
    """A head and shoulders before a blurred room."""
    width, height = size
    back = rng.integers(60, 220, 3)
    picture = _ramp(back, np.clip(back - 40, 0, 255), width, height)
    pen = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, 50)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_ink(np.clip(back + rng.normal(0, 30, 3), 0, 255)))
    picture = picture.filter(ImageFilter.GaussianBlur(9))
    pen = ImageDraw.Draw(picture)
    skin = _ink(rng.choice([(232, 190, 160), (198, 150, 116), (130, 90, 66), (246, 212, 190)]))
    hair = _ink(rng.choice([(40, 30, 26), (110, 76, 44), (196, 164, 104), (150, 150, 150)]))
    cx, cy, r = width * rng.uniform(0.4, 0.6), height * 0.42, min(width, height) * rng.uniform(0.17, 0.26)
    pen.ellipse((cx - 2.1 * r, cy + 1.2 * r, cx + 2.1 * r, cy + 5 * r), fill=_ink(rng.integers(20, 220, 3)))
    pen.ellipse((cx - 1.1 * r, cy - 1.45 * r, cx + 1.1 * r, cy + 0.9 * r), fill=hair)
    pen.ellipse((cx - 0.9 * r, cy - 1.1 * r, cx + 0.9 * r, cy + 1.25 * r), fill=skin)
    for side in (-1, 1):
        x = cx + side * 0.36 * r
        pen.ellipse((x - 0.12 * r, cy - 0.2 * r, x + 0.12 * r, cy), fill=(40, 34, 32))
    pen.arc((cx - 0.4 * r, cy + 0.2 * r, cx + 0.4 * r, cy + 0.8 * r), 20, 160, fill=(150, 60, 60), width=3)
    return _noisy(picture.filter(ImageFilter.GaussianBlur(1.2)), rng, 4)


def _banner(rng: np.random.Generator, size: list[int]) -> Image.Image:
    """Large letters on flat colour."""
    width, height = size
    picture = Image.new("RGB", (width, height), _ink(rng.integers(0, 256, 3)))
    pen = ImageDraw.Draw(picture)
    ink = _ink(rng.integers(0, 256, 3))
    if rng.random() < 0.6:
        pen.rectangle((0, height * 0.6, width, height), fill=_ink(rng.integers(0, 256, 3)))
    if rng.random() < 0.5:
        r = height * 0.16
        pen.ellipse((width * 0.5 - r, height * 0.2 - r, width * 0.5 + r, height * 0.2 + r), fill=ink)
    for k, word in enumerate(
        rng.choice(["SALE", "NEW", "ACME", "50%", "JOIN", "Hotel", "FREE", "2024", "Online", "MAP"], 2)
    ):
        font = ImageFont.load_default(int(rng.integers(24, 54)))
        pen.text((width * 0.1, height * (0.35 + 0.28 * k)), str(word), fill=ink, font=font)
    return picture


def _chart(rng: np.random.Generator, size: list[int]) -> Image.Image:
    """Bars, a line or a pie with axes."""
    width, height = size
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    kind = int(rng.integers(3))
    values = rng.uniform(0.1, 0.9, int(rng.integers(5, 12)))
    palette = [_ink(rng.integers(30, 220, 3)) for _ in range(4)]
    left, bottom = width * 0.12, height * 0.88
    if kind < 2:
        for y in np.linspace(height * 0.1, bottom, 6):
            pen.line((left, y, width * 0.95, y), fill=(222, 222, 222))
        pen.line((left, height * 0.08, left, bottom, width * 0.95, bottom), fill=(40, 40, 40), width=2)
        step = (width * 0.8) / len(values)
        tops = [(left + step * (k + 0.5), bottom - v * height * 0.75) for k, v in enumerate(values)]
        if kind == 0:
            for k, (x, y) in enumerate(tops):
                pen.rectangle((x - step * 0.35, y, x + step * 0.35, bottom), fill=palette[k % 4])
        else:
            pen.line([c for p in tops for c in p], fill=palette[0], width=3)
    else:
        start = 0.0
        for k, v in enumerate(values / values.sum() * 360):
            pen.pieslice((width * 0.2, height * 0.15, width * 0.8, height * 0.9), start, start + v, fill=palette[k % 4])
            start += v
    title = str(rng.choice(["Revenue", "Results", "Figure 2", "Growth"]))
    pen.text((width * 0.2, 3), title, fill=(30, 30, 30), font=ImageFont.load_default(14))
    return picture


PAINTERS = {
    "horizon": _horizon,
    "product": _product,
    "face": _face,
    "banner": _banner,
    "chart": _chart,
}
