"""What a picture's pixels give away: the rules of the image stage, on pictures made here and on real ones."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.picture_rules import check_map, check_picture
from geomammut.pictures import open_picture


def ground(seed: int = 0, side: int = 240) -> Image.Image:
    """Something like land from above: patches of several sizes, with noise."""
    generator = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), (96.0, 106.0, 80.0))
    for cells in (4, 12, 40):
        coarse = generator.normal(0, 18, (cells, cells, 3)).astype(np.float32)
        layers = [
            np.asarray(Image.fromarray(coarse[:, :, band]).resize((side, side), Image.Resampling.BICUBIC))
            for band in range(3)
        ]
        pixels += np.stack(layers, axis=2)
    pixels += generator.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def framed(colour: str, left: int, top: int) -> Image.Image:
    image = ground()
    canvas = Image.new("RGB", (image.width + 2 * left, image.height + 2 * top), colour)
    canvas.paste(image, (left, top))
    return canvas


def captioned() -> Image.Image:
    """A black strip with letters under the picture, as agencies put it."""
    image = ground()
    canvas = Image.new("RGB", (image.width, image.height + 22), "black")
    canvas.paste(image, (0, 0))
    ImageDraw.Draw(canvas).text(
        (6, image.height + 4), "Image ID: 2B3C4D  agency", fill="white", font=ImageFont.load_default(size=11)
    )
    return canvas


def collage(columns: int, rows: int, colour: str, gutter: int = 6) -> Image.Image:
    side = 120
    canvas = Image.new("RGB", (columns * (side + gutter) - gutter, rows * (side + gutter) - gutter), colour)
    for column in range(columns):
        for row in range(rows):
            canvas.paste(ground(column + 5 * row, side), (column * (side + gutter), row * (side + gutter)))
    return canvas


def street_map() -> Image.Image:
    image = Image.new("RGB", (300, 300), (242, 239, 233))
    draw = ImageDraw.Draw(image)
    draw.polygon([(20, 30), (140, 50), (110, 150)], fill=(170, 211, 223))
    draw.polygon([(180, 170), (280, 190), (250, 280), (190, 270)], fill=(200, 250, 204))
    for step in range(8):
        line = [(0, 40 * step), (300, 40 * step + 25 - 9 * step)]
        draw.line(line, fill=(150, 150, 150), width=7)
        draw.line(line, fill=(249, 178, 156) if step % 2 else (255, 255, 255), width=5)
        draw.line([(40 * step, 0), (40 * step + 30, 300)], fill=(130, 130, 130), width=2)
    for place in ((60, 80), (180, 40), (120, 210)):
        draw.text(place, "High Street", fill=(60, 60, 60), font=ImageFont.load_default(size=12))
    return image


def chart() -> Image.Image:
    image = Image.new("RGB", (400, 300), (245, 245, 240))
    draw = ImageDraw.Draw(image)
    for bar in range(6):
        draw.rectangle([50 + 55 * bar, 60 + 30 * bar, 85 + 55 * bar, 260], fill=(40, 90 + 20 * bar, 160))
    draw.line([(40, 20), (40, 260), (390, 260)], fill="black", width=2)
    return image


def drop_reason(image: Image.Image) -> str | None:
    try:
        check_picture(image)
    except Dropped as dropped:
        return dropped.reason
    return None


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (framed("black", 12, 12), "frame"),
        (framed("#40a040", 0, 16), "frame"),
        (framed("white", 10, 0), "frame"),
        (captioned(), "frame"),
        (collage(2, 2, "white"), "collage"),
        (collage(3, 1, "black"), "collage"),
        (collage(2, 1, "white"), "collage"),
        (collage(2, 2, "white", 0), "collage"),
        (collage(3, 3, "white", 0), "collage"),
        (chart(), "chart or text"),
        (Image.new("RGB", (200, 200), (30, 60, 90)), "blank"),
    ],
)
def test_pictures_of_other_kinds_are_dropped(image: Image.Image, reason: str) -> None:
    assert drop_reason(image) == reason


def test_a_map_is_dropped() -> None:
    assert drop_reason(street_map()) in {"map or drawing", "chart or text"}
    with pytest.raises(Dropped, match="map"):
        check_map(street_map())


def stamped(image: Image.Image, opacity: float) -> Image.Image:
    """A faint name, again and again, as the previews of agencies have it."""
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for row, top in enumerate(range(0, image.height, 52)):
        for left in range(-50 * (row % 2), image.width, 104):
            draw.text((left, top), "agency", fill=round(255 * opacity), font=ImageFont.load_default(size=20))
    return Image.composite(Image.new("RGB", image.size, "white"), image, mask)


def test_a_stamp_all_over_a_picture_is_a_watermark() -> None:
    assert drop_reason(stamped(ground(), 0.3)) == "watermark"


def test_houses_in_rows_are_no_watermark() -> None:
    random = np.random.default_rng(0)
    image = ground(2)
    draw = ImageDraw.Draw(image)
    for top in range(0, 240, 40):
        for left in range(0, 240, 40):
            x, y = (np.array([left, top]) + random.integers(0, 4, 2)).tolist()
            draw.rectangle((x + 8, y + 8, x + 28, y + 24), fill=(150, 90, 80), outline=(90, 60, 60))
    check_picture(image)


def with_things(*things: tuple[tuple[int, int, int, int], str]) -> Image.Image:
    image = ground(3)
    draw = ImageDraw.Draw(image)
    for box, colour in things:
        draw.rectangle(box, fill=colour)
    return image


@pytest.mark.parametrize(
    "image",
    [
        ground(1),
        ground(2, 64),  # EuroSAT's size
        with_things(((0, 0, 239, 110), "#12304a")),  # a calm sea on one side
        with_things(((90, 0, 110, 239), "#707274")),  # a motorway from side to side
        with_things(((60, 40, 140, 120), "white")),  # a white roof
        ground(4).rotate(20, fillcolor="black"),  # the corners of a scene that was turned
    ],
)
def test_ground_seen_from_above_is_kept(image: Image.Image) -> None:
    check_picture(image)


@pytest.mark.parametrize("folder", ["rsicd/images", "ucm", "eurosat", "dubai/images"])
def test_real_images_from_above_are_hardly_ever_dropped(shared_data: Path, folder: str) -> None:
    """All of them: docs/results.md."""
    paths = sorted(path for path in (shared_data / folder).rglob("*") if path.suffix in {".jpg", ".png", ".tif"})
    chosen = paths[:: max(1, len(paths) // 150)]
    reasons = Counter(drop_reason(open_picture(path)) for path in chosen)
    assert reasons[None] >= 0.98 * len(chosen), reasons
