"""The pictures of docs/smooth-attention.md: maps as the radius grows, and heat and masks on real imagery.

    .venv/bin/python benchmarks/map_pictures.py DEMO RSICD_MODEL DATA docs/images

DEMO is a folder of `geomammut demo`, RSICD_MODEL a model of `recipes/rsicd_small.toml`, DATA a folder with MBRSC's
images of Dubai (`dubai/images`), a NAIP and an OpenEarthMap raster (`geotiff`). Each picture is under 150 kB.
"""

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rasterio.windows import Window

from geomammut import heatmap, load_model, segment
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.images import read_pixels
from geomammut.localization.heatmaps import overlay
from geomammut.localization.legend import class_colours
from geomammut.model.score_maps import score_maps

SIDE, LINE, MOST_BYTES = 320, 18, 150_000
Pixels = NDArray[np.uint8]


def panel(pixels: Pixels, words: Sequence[tuple[str, tuple[int, ...]]]) -> Image.Image:
    """Return a picture of width SIDE over words in colours."""
    picture = Image.fromarray(pixels)
    picture = picture.resize((SIDE, round(SIDE * picture.height / picture.width)), Image.Resampling.LANCZOS)
    lines = [list(words[at : at + 3]) for at in range(0, len(words), 3)]
    whole = Image.new("RGB", (SIDE, picture.height + LINE * 2), "white")
    whole.paste(picture)
    draw = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        x = 2
        for word, colour in line:
            y = picture.height + LINE * number + 1
            if len(words) > 1:
                draw.rectangle((x, y + 3, x + 10, y + 13), fill=colour)
                x += 14
            draw.text((x, y), word, fill="black", font=ImageFont.load_default(13))
            x += round(draw.textlength(word, font=ImageFont.load_default(13))) + 12
    return whole


def save(panels: Sequence[Image.Image], out: Path) -> None:
    """Write panels side by side as a JPEG of less than 150 kB."""
    height = max(one.height for one in panels)
    row = Image.new("RGB", (sum(one.width for one in panels) + 6 * (len(panels) - 1), height), "white")
    x = 0
    for one in panels:
        row.paste(one, (x, 0))
        x += one.width + 6
    for quality in range(88, 30, -6):
        jpeg = io.BytesIO()
        row.save(jpeg, "JPEG", quality=quality)
        if jpeg.tell() < MOST_BYTES:
            break
    out.write_bytes(jpeg.getvalue())


def by_radius(demo: Path, text: str, out: Path) -> None:
    model = load_model(demo / "model")
    with (
        rasterio.open(demo / "place" / "mosaic.tif") as mosaic,
        rasterio.open(demo / "place" / "classes.tif") as classes,
    ):
        # where water, of all windows of 512 px, makes up the share nearest to a quarter
        step = 512
        best = min(
            ((row, column) for row in range(0, mosaic.height, step) for column in range(0, mosaic.width, step)),
            key=lambda at: abs((classes.read(1, window=Window(at[1], at[0], step, step)) == 5).mean() - 0.25),
        )
        pixels = mosaic.read([1, 2, 3], window=Window(best[1], best[0], step, step)).transpose(1, 2, 0)
    texts = encode_texts(model, [text])
    panels = [panel(pixels, [("made-up place, 512 m", (0,))])]
    for radius in (0, 1, 2, 7):
        heat = score_maps(model, pixels, texts, window=radius)[0]
        told = f"r = {radius}, cosine {heat.min():.2f} to {heat.max():.2f}"
        panels.append(panel(overlay(pixels, heat), [(told, (0,))]))
    heat = score_maps(model, pixels, texts, window=(0, 1, 2))[0]
    panels.append(panel(overlay(pixels, heat), [("r = 0, 1, 2 averaged", (0,))]))
    save(panels, out)


def on_imagery(model: Path, image: Path, text: str, classes: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        heat, mask = Path(folder, "heat.png"), Path(folder, "mask.png")
        heatmap(str(model), image, text, heat)
        segment(str(model), image, classes, Path(folder, "mask.tif"), picture=mask)
        names = [part.split("|")[0].strip() for part in classes.split(",")]
        legend = [(name, colour[:3]) for name, colour in zip(names, class_colours(names), strict=True)]
        save(
            [
                panel(read_pixels(image), [("the image", (0,))]),
                panel(read_pixels(heat), [(f"heat: {text}", (0,))]),
                panel(read_pixels(mask), legend),
            ],
            out,
        )


def main() -> None:
    demo, model, data, out = (Path(word) for word in sys.argv[1:5])
    by_radius(demo, "An aerial image of a lake.", out / "maps-by-radius.jpg")
    classes = "building|houses, road|street, water|sea, trees|vegetation, bare land|desert|sand"
    dubai = data / "dubai" / "images" / "tile2_image_part_005.jpg"  # the one with most of all five classes
    on_imagery(model, dubai, "the sea", classes, out / "maps-dubai.jpg")
    on_imagery(model, data / "geotiff" / "oem_koeln_50.tif", "trees", classes, out / "maps-koeln.jpg")
    fields = "farmland|fields, water|river, road, trees, bare land"
    on_imagery(model, data / "geotiff" / "naip_north_dakota_2020.tif", "farmland", fields, out / "maps-naip.jpg")


if __name__ == "__main__":
    main()
