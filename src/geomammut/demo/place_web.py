"""The demo's web table: picture files with alt-text, aerial and not, as untidy as the web.

The aerial pictures show another place, made from another seed, so that none is of the mosaic.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from geomammut.demo.place_layout import Layout
from geomammut.demo.place_plan import DISTRICT_M, make_plan
from geomammut.demo.place_render import Camera, make_textures

ELSEWHERE = 1_000_003  # added to the seed
DISTRICTS = 8  # along a side of the other place
AERIAL, GROUND = 520, 640  # pictures
PER_LABEL = 26

_ALT_FORMS = (
    "Aerial view of {a} near {place}",
    "{place}: {a} seen from above",
    "Drone photo of {a}",
    "{A} from the air | {place} stock photo",
    "Satellite image of {a}",
    "Bird's eye view of {a} in {place}",
    "Top-down aerial photograph showing {a}",
    "aerial image, {a}, {place} (2021)",
)
_PHRASES: dict[str, tuple[str, ...]] = {
    "airport apron with airplanes": ("airplanes parked at an airport", "planes on the airport apron"),
    "airport terminal": ("an airport terminal", "the terminal of an airport"),
    "apartment blocks": ("apartment buildings", "a housing estate with apartment blocks"),
    "baseball diamond": ("a baseball field", "a baseball diamond"),
    "beach": ("a sandy beach", "people on a beach at a lake"),
    "cemetery": ("a cemetery", "rows of graves in a cemetery"),
    "construction site": ("a construction site", "a building under construction"),
    "farmland": ("farm fields", "farmland with fields of many colours", "ploughed fields"),
    "forest": ("a forest", "a dense green forest", "trees in a wood"),
    "golf course": ("a golf course with bunkers", "a golf course"),
    "greenhouses": ("greenhouses", "rows of greenhouses"),
    "industrial halls": ("factory halls", "warehouses in an industrial area"),
    "lake": ("a lake", "a blue lake between meadows"),
    "marina with boats": ("boats in a marina", "a marina with many boats"),
    "meadow": ("a meadow", "grassland"),
    "orchard": ("an orchard", "fruit trees in rows"),
    "park": ("a city park", "a park with trees and paths"),
    "parking lot": ("a parking lot full of cars", "cars in a parking lot"),
    "quarry": ("an open quarry", "a quarry"),
    "residential houses": ("houses in a suburb", "a residential area with many houses", "rows of houses"),
    "running track": ("a running track", "an athletics track around a field"),
    "runway": ("a runway", "an airport runway"),
    "school": ("a school with its yard", "a school building"),
    "shopping centre": ("a shopping centre", "a shopping mall with a parking lot"),
    "soccer field": ("a soccer field", "a football pitch"),
    "solar farm": ("a solar farm", "rows of solar panels in a field"),
    "stadium": ("a stadium", "a football stadium"),
    "storage tanks": ("oil storage tanks", "white storage tanks"),
    "swimming pool": ("a swimming pool", "an outdoor swimming pool"),
    "tennis courts": ("tennis courts", "several tennis courts"),
    "vineyard": ("a vineyard", "rows of vines"),
    "wastewater plant": ("a sewage treatment plant", "round basins of a wastewater plant"),
}
_PLACES = (
    "Dunholm",
    "Queensbury",
    "the old town",
    "Fal valley",
    "Norwick",
    "the coast",
    "Selmere",
    "Torfield",
)
_GROUND_ALTS = (
    "Sunset over the hills", "A walk along the beach", "Blue running shoes, size 42", "IMG_{n}.jpg",
    "Portrait of a smiling woman", "Wooden chair, oak, 49.99 EUR", "Quarterly revenue chart", "Happy birthday card",
    "View from our hotel room", "The main street of {place} in winter", "Red kettle on white background",
    "Meeting agenda for {place}", "Mountain lake at dawn", "DSC{n}", "Best pizza in {place}",
)  # fmt: skip
_MISLEADING_ALTS = (
    "Satellite TV dish for sale", "Satellite radio receiver", "Drone with camera, for sale, 299 EUR",
    "Bird's-eye maple table", "Satnav for cars", "Aerial antenna for your roof",
)  # fmt: skip

Bytes = npt.NDArray[np.uint8]


def write_web(folder: Path, seed: int) -> None:
    """Write `table.csv` (url, alt) and its pictures, about 1,500 rows.

    Among them are exact and near duplicates, broken files, missing files, alt-text that says nothing about an
    aerial picture, and alt-text that says "aerial" of a picture from the ground.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, 21])
    rows: list[tuple[str, str]] = []

    def save(image: Image.Image, alt: str, quality: int = 88) -> str:
        name = f"{len(rows):05d}.jpg"
        image.save(folder / name, "JPEG", quality=quality)
        rows.append((name, alt))
        return name

    aerial = _aerial_pictures(seed, rng)
    for image, alt in aerial:
        save(image, alt if rng.random() > 0.06 else f"IMG_{rng.integers(1000, 9999)}.jpg")
    for number in rng.choice(len(aerial), size=70, replace=False).tolist():
        image, alt = aerial[number]
        if number % 2:
            rows.append((f"{number:05d}.jpg", alt))
        else:
            side = int(0.8 * min(image.size))
            save(image.resize((side, side), Image.Resampling.BICUBIC), alt.lower(), quality=60)
    for number in range(GROUND):
        draw = _GROUND_PICTURES[number % len(_GROUND_PICTURES)]
        alts = _MISLEADING_ALTS if rng.random() < 0.12 else _GROUND_ALTS
        alt = alts[int(rng.integers(len(alts)))].format(n=rng.integers(1000, 9999), place=_some(rng, _PLACES))
        save(draw(rng), alt)
    for _ in range(16):
        image = _GROUND_PICTURES[int(rng.integers(len(_GROUND_PICTURES)))](rng)
        save(image, f"Aerial view of {_some(rng, _PHRASES['forest'])}")
    _add_broken(folder, rows, rng)
    order = rng.permutation(len(rows))
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "alt"])
        writer.writerows(rows[index] for index in order.tolist())


def _some(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _aerial_pictures(seed: int, rng: np.random.Generator) -> list[tuple[Image.Image, str]]:
    """Return pictures of another place around its scenes, with alt-texts in many people's words."""
    plan = make_plan(seed + ELSEWHERE, DISTRICTS, hold_out=False)
    layout, camera = Layout(plan), Camera(plan, make_textures(seed + ELSEWHERE))
    rows = []
    for j in range(DISTRICTS):
        rows.append(
            np.concatenate([camera.tile(i, j, layout.near(i, j))[0] for i in range(DISTRICTS)], axis=1)
        )
    pixels: Bytes = np.concatenate(rows)
    scenes = [scene for cell in sorted(plan.districts) for scene in layout.sheet(cell).scenes]
    taken: dict[str, int] = {}
    pictures = []
    for index in rng.permutation(len(scenes)).tolist():
        scene = scenes[index]
        taken[scene.label] = taken.get(scene.label, 0) + 1
        if taken[scene.label] > PER_LABEL or scene.label not in _PHRASES or len(pictures) >= AERIAL:
            continue
        side = int(rng.integers(150, 257))
        limit = DISTRICTS * DISTRICT_M - side
        shift = rng.integers(-side // 6, side // 6 + 1, 2)
        left = int(np.clip(scene.x - side / 2 + shift[0], 0, limit))
        top = int(np.clip(scene.y - side / 2 + shift[1], 0, limit))
        image = Image.fromarray(pixels[top : top + side, left : left + side])
        phrase = _some(rng, _PHRASES[scene.label])
        form = _some(rng, _ALT_FORMS)
        alt = form.format(a=phrase, A=phrase[0].upper() + phrase[1:], place=_some(rng, _PLACES))
        pictures.append((image, alt))
    return pictures


def _add_broken(folder: Path, rows: list[tuple[str, str]], rng: np.random.Generator) -> None:
    """Add files that are no pictures, half a picture, empty, missing, or outside the folder."""
    data = io.BytesIO()
    _landscape(rng).save(data, "JPEG")
    contents = {
        "truncated.jpg": data.getvalue()[: len(data.getvalue()) // 3],
        "page.jpg": b"<!doctype html><title>404 Not Found</title>",
        "empty.jpg": b"",
    }
    for number in range(8):
        for name, content in contents.items():
            (folder / f"{number}-{name}").write_bytes(content)
            rows.append((f"{number}-{name}", "Aerial view of a river and its bridges"))
        rows.append((f"{number}-missing.jpg", "Satellite image of a harbour"))
        rows.append((f"../{number}-outside.jpg", "Aerial photo of a town"))


def _landscape(rng: np.random.Generator) -> Image.Image:
    """Sky above a horizon, hills, and a sun."""
    width, height = (int(value) for value in rng.integers(160, 260, 2))
    horizon = int(height * rng.uniform(0.35, 0.65))
    sky, ground = rng.integers((90, 140, 190), (190, 200, 256)), rng.integers((40, 60, 20), (150, 140, 110))
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = np.where(
        np.arange(height)[:, None, None] < horizon, sky * (0.7 + 0.5 * rows), ground * (1.3 - 0.6 * rows)
    )
    pixels = np.broadcast_to(pixels, (height, width, 3)) + rng.normal(0, 6, (height, width, 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, w, h = rng.integers(0, width), rng.integers(40, 160), rng.integers(10, 60)
        colour = tuple(int(value) for value in ground * rng.uniform(0.5, 1.1))
        draw.polygon([(x - w, horizon), (x, horizon - h), (x + w, horizon)], fill=colour)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _product(rng: np.random.Generator) -> Image.Image:
    """One thing on white."""
    side = int(rng.integers(160, 260))
    image = Image.new("RGB", (side, side), (250, 250, 250))
    draw = ImageDraw.Draw(image)
    low, high = side * rng.uniform(0.15, 0.35), side * rng.uniform(0.6, 0.85)
    colour = tuple(int(value) for value in rng.integers(20, 220, 3))
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape((low, low, high, high * rng.uniform(0.8, 1.0)), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(1.2))


def _chart(rng: np.random.Generator) -> Image.Image:
    """Bars over lines of text."""
    image = Image.new("RGB", (240, 180), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for bar in range(8):
        height = int(rng.integers(10, 120))
        draw.rectangle((20 + 26 * bar, 150 - height, 38 + 26 * bar, 150), fill=(70, 110, 190))
    draw.text((20, 8), "Revenue by quarter", fill=(0, 0, 0))
    return image


def _portrait(rng: np.random.Generator) -> Image.Image:
    """A face-like oval before a soft background."""
    background = rng.integers(60, 200, 3)
    base = np.broadcast_to(background, (220, 180, 3)) + rng.normal(0, 4, (220, 180, 3))
    image = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    skin = tuple(int(value) for value in np.array([224, 172, 138]) * rng.uniform(0.5, 1.08))
    draw.ellipse((50, 40, 130, 150), fill=skin)
    draw.rectangle((40, 150, 140, 220), fill=tuple(int(value) for value in rng.integers(20, 200, 3)))
    return image.filter(ImageFilter.GaussianBlur(3))


_GROUND_PICTURES: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    _landscape,
    _product,
    _chart,
    _portrait,
)
