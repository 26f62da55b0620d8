"""How many stamped pictures the watermark rule finds, and how many clean ones it drops. A figure of docs/results.md.

    .venv/bin/python benchmarks/watermarks.py --data ../shared/data

Stamps are drawn here over copies of real images: a name again and again, at an angle or level, white or black, 20 to
50% opaque, as JPEG of quality 60 to 90. Before, the images are enlarged to 450 pixels, as large as previews are.
"""

import argparse
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw, ImageFont

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.picture_rules import SIDE, shrunk
from geomammut.pairs.web_stages.watermarks import check_watermark

Picture = Image.Image
NAMES = ("shutterstock", "alamy", "iStock", "Adobe Stock", "depositphotos", "dreamstime", "123RF", "Getty Images")
PREVIEW = 450

random = np.random.default_rng(0)


def squares(image: Picture, side: int) -> Iterator[Picture]:
    for top in range(0, image.height - side + 1, side):
        for left in range(0, image.width - side + 1, side):
            yield image.crop((left, top, left + side, top + side))


def images(data: Path) -> Iterator[tuple[str, Picture]]:
    for path in sorted(path for path in (data / "ucm").glob("*/*") if path.is_file()):
        yield "UC Merced", Image.open(path).convert("RGB")
    for path in sorted([*data.glob("uganda/tiles/*.png"), *data.glob("sintra/*.jpg")]):
        yield "OpenAerialMap, Sintra", Image.open(path).convert("RGB")
    with rasterio.open(data / "geotiff" / "oem_koeln_50.tif") as raster:
        koeln = Image.fromarray(raster.read([1, 2, 3]).transpose(1, 2, 0))
    for image in [koeln, *(Image.open(path).convert("RGB") for path in sorted(data.glob("dubai/images/*")))]:
        for square in squares(image, 256):
            yield "Köln, Dubai", square
    for path in sorted(data.glob("natural/*.jpg")):
        yield "photographs", Image.open(path).convert("RGB")


def stamped(image: Picture) -> Picture:
    side = max(image.size)
    mask = Image.new("L", (2 * side, 2 * side))
    draw, name = ImageDraw.Draw(mask), str(random.choice(NAMES))
    font = ImageFont.load_default(size=round(side * random.choice([0.055, 0.07, 0.085])))
    width = round(draw.textlength(name, font=font) + side * random.uniform(0.05, 0.125))
    height, opacity = round(side * random.uniform(0.14, 0.25)), round(255 * random.uniform(0.2, 0.5))
    for row, top in enumerate(range(0, 2 * side, height)):
        for left in range(-(row % 2) * width // 2, 2 * side, width):
            draw.text((left, top), name, fill=opacity, font=font)
    mask = mask.rotate(int(random.choice([0, 30, 45, -30])), Image.Resampling.BICUBIC)
    mask = mask.crop((side // 2, side // 2, side // 2 + image.width, side // 2 + image.height))
    colour = str(random.choice(["white", "white", "black"]))
    return Image.composite(Image.new("RGB", image.size, colour), image, mask)


def as_preview(image: Picture, stamp: bool) -> Picture:
    scale = PREVIEW / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    data = io.BytesIO()
    (stamped(image) if stamp else image).save(data, "JPEG", quality=int(random.choice([60, 75, 90])))
    return shrunk(Image.open(io.BytesIO(data.getvalue())).convert("RGB"), SIDE)


def is_watermarked(image: Picture) -> bool:
    try:
        check_watermark(image)
    except Dropped:
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=2, help="of the images, one in so many")
    options = parser.parse_args()
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    seconds = 0.0
    for name, image in list(images(options.data))[:: options.every]:
        small = shrunk(image, SIDE)
        started = time.thread_time()
        as_it_is = is_watermarked(small)
        seconds += time.thread_time() - started
        told = (as_it_is, *(is_watermarked(as_preview(image, stamp)) for stamp in (False, True)))
        found.setdefault(name, []).append(told)
    for name, told in found.items():
        clean, preview, marked = np.mean(told, axis=0)
        print(
            f"{name:22} {len(told):4}: dropped as they are {clean:.1%}, as previews {preview:.1%}; stamped {marked:.1%}"
        )
    print(f"{1000 * seconds / sum(map(len, found.values())):.1f} ms of processor time a picture")


if __name__ == "__main__":
    main()
