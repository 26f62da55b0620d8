"""The web table: local pictures with alt-texts, aerial and not, clean and broken."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from geomammut.demo.place.sheet import Scene
from geomammut.demo.place.web.pictures import PAINTERS
from geomammut.demo.place.web.texts import GROUND_KINDS, aerial_text, ground_text

Bytes = npt.NDArray[np.uint8]

AERIAL, OTHER, DUPLICATES, BROKEN = 560, 700, 120, 60


def write_web(folder: Path, pixels: Bytes, scenes: Sequence[Scene], seed: int) -> None:
    """Write `table.csv` (url, alt) and its pictures; `pixels` and `scenes` are another place's, never the mosaic's."""
    rng = np.random.default_rng([seed, 8])
    folder.mkdir(parents=True)
    rows: list[tuple[str, str]] = []
    share = min(1.0, len(scenes) / 500)
    for k in range(round(AERIAL * share)):
        picture, text = _aerial(rng, pixels, scenes)
        rows.append((_save(folder, f"a{k:04d}.jpg", picture, rng), text))
    aerial = list(rows)
    for k in range(round(OTHER * share)):
        kind = GROUND_KINDS[int(rng.integers(len(GROUND_KINDS)))]
        picture = PAINTERS[kind](rng, rng.integers(160, 257, 2).tolist())
        rows.append((_save(folder, f"g{k:04d}.jpg", picture, rng), ground_text(rng, kind)))
    originals = list(rows)
    for k in range(round(DUPLICATES * share)):
        url, text = originals[int(rng.integers(len(originals)))] if k % 3 else aerial[int(rng.integers(len(aerial)))]
        rows.append((_duplicate(folder, k, url, rng), text if rng.random() < 0.6 else f"{text} (2)"))
    for k in range(round(BROKEN * share)):
        url, text = originals[int(rng.integers(len(originals)))]
        rows.append((_broken(folder, k, url), text))
    rows.append(("../mosaic.tif", "aerial view of the whole place"))
    rows.append(("/etc/hostname", "satellite image"))
    order = rng.permutation(len(rows))
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("url", "alt"))
        writer.writerows(rows[k] for k in order)


def _aerial(rng: np.random.Generator, pixels: Bytes, scenes: Sequence[Scene]) -> tuple[Image.Image, str]:
    labels = sorted({scene.label for scene in scenes})
    label = labels[int(rng.integers(len(labels)))]
    group = [scene for scene in scenes if scene.label == label]
    scene = group[int(rng.integers(len(group)))]
    width, height = rng.integers(160, 257, 2).tolist()
    zoom = float(rng.choice([1.0, 1.0, 0.8, 1.25]))
    half_w, half_h = width * zoom / 2, height * zoom / 2
    side = pixels.shape[0]
    x = float(np.clip(scene.x + rng.normal(0, 14), half_w, side - half_w))
    y = float(np.clip(scene.y + rng.normal(0, 14), half_h, side - half_h))
    part = pixels[int(y - half_h) : int(y + half_h), int(x - half_w) : int(x + half_w)]
    picture = Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < 0.4:
        picture = picture.transpose(Image.Transpose(int(rng.integers(0, 7))))
    picture = ImageEnhance.Color(picture).enhance(float(rng.uniform(0.7, 1.35)))
    picture = ImageEnhance.Contrast(picture).enhance(float(rng.uniform(0.85, 1.2)))
    picture = ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.85, 1.15)))
    if rng.random() < 0.05:
        pen = ImageDraw.Draw(picture)
        pen.text((8, picture.height - 22), "© stock.example", fill=(255, 255, 255), font=ImageFont.load_default(14))
    reach = 0.35 * min(width, height) * zoom
    near = sorted({s.label for s in scenes if s.label != label and math.hypot(s.x - x, s.y - y) < reach})
    return picture, aerial_text(rng, label, near[int(rng.integers(len(near)))] if near else None)


def _save(folder: Path, name: str, picture: Image.Image, rng: np.random.Generator) -> str:
    picture.convert("RGB").save(folder / name, quality=int(rng.integers(62, 95)))
    return name


def _duplicate(folder: Path, k: int, url: str, rng: np.random.Generator) -> str:
    """Copy a picture exactly, or nearly: another size, crop or quality."""
    name = f"d{k:04d}.jpg"
    if k % 2:
        (folder / name).write_bytes((folder / url).read_bytes())
        return name
    with Image.open(folder / url) as picture:
        scale = float(rng.uniform(0.75, 1.2))
        copy = picture.resize((int(picture.width * scale), int(picture.height * scale)), Image.Resampling.LANCZOS)
    margin = int(rng.integers(0, 4))
    copy = copy.crop((margin, margin, copy.width - margin, copy.height - margin))
    copy.save(folder / name, quality=int(rng.integers(45, 80)))
    return name


def _broken(folder: Path, k: int, url: str) -> str:
    """Write a truncated file, a page under a picture's name, an empty file, a wrong header, or nothing at all."""
    name = f"b{k:04d}.jpg"
    whole = (folder / url).read_bytes()
    contents = (
        whole[: len(whole) // 3],
        b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not found</body></html>",
        b"",
        b"\xff\xd8\xff\xe0" + whole[200:260],
    )
    if k % 5 < 4:
        (folder / name).write_bytes(contents[k % 5])
    return name
