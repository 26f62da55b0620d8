"""Some hundreds of openly licensed photographs, out of packages of Debian, as more negatives for a classifier.

    .venv/bin/python benchmarks/open_photographs.py PHOTOGRAPHS
    .venv/bin/python benchmarks/aerial_classifier.py DATA --photographs PHOTOGRAPHS

Downloads the packages below with `apt-get download`, unpacks them without installing them, and writes each
photograph once, as JPEG of at most 256 px, with the copyright file of its package beside it. Pictures cut out on
transparent ground are laid over another photograph, out of focus. Licences: GCompris and Tux Paint GPL and
CC BY-SA, OpenCV Apache 2.0, backgrounds CC BY-SA and GPL; the copyright files tell. Nothing of it is in this
repository.
"""

import argparse
import io
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from geomammut.pictures import UNREADABLE

PACKAGES = [
    "gcompris-qt-data",
    "gnome-backgrounds",
    "labelme-examples",
    "lomiri-wallpapers-16.04",
    "mate-backgrounds",
    "opencv-doc",
    "palapeli-data",
    "plasma-workspace-wallpapers",
    "tuxpaint-stamps-default",
]
CUT_OUT = "tuxpaint-stamps-default"  # of the others, what is transparent is drawn
FROM_ABOVE = {"rcc-explore_monuments-37"}  # the names of what is no negative: a fortress
SIDE = 256  # pixels, the longer side
COLOURS = 700  # of 32 levels a channel, among 96 × 96 pixels: fewer are a drawing's or a diagram's
START = re.compile(rb"\xff\xd8\xff|RIFF....WEBP", re.DOTALL)  # of a JPEG or WebP file inside a Qt resource
MOST = 4_000_000  # bytes of such a file


def pictures(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield the JPEG, WebP and PNG pictures of an unpacked package, with a name for each, small."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if path.suffix == ".rcc":
            data = path.read_bytes()
            found = [data[match.start() : match.start() + MOST] for match in START.finditer(data)]
        elif path.suffix.lower() in {".jpg", ".jpeg", ".webp", ".png"}:
            found = [path.read_bytes()]
        else:
            continue
        for number, encoded in enumerate(found):
            try:
                image = Image.open(io.BytesIO(encoded))
                image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is decoded small at once
                image.thumbnail((2 * SIDE, 2 * SIDE))
            except UNREADABLE:
                continue
            yield f"{path.parent.name}-{path.stem}-{number}".replace("/", "_"), image


def transparent(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info


def photographic(image: Image.Image) -> bool:
    pixels = np.asarray(image.convert("RGB").resize((96, 96))) // 8
    width, height = image.size
    shape = min(width, height) >= 100 and max(width, height) <= 4 * min(width, height)
    return shape and len(np.unique(pixels.reshape(-1, 3), axis=0)) >= COLOURS


def fingerprint(image: Image.Image) -> int:
    """Return a difference hash of 64 bits."""
    grey = np.asarray(image.convert("L").resize((9, 8))).astype(int)
    return sum(1 << place for place, more in enumerate((grey[:, 1:] > grey[:, :-1]).ravel().tolist()) if more)


def laid_over(cut: Image.Image, ground: Image.Image) -> Image.Image:
    """Return what is cut out, before a photograph out of focus."""
    cut = cut.crop(cut.getchannel("A").getbbox())
    margin = max(cut.size) // 10
    size = (cut.width + 2 * margin, cut.height + 2 * margin)
    picture = ground.resize(size).filter(ImageFilter.GaussianBlur(margin / 3))
    picture.paste(cut, (margin, margin), cut)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", type=Path, help="where the .deb files are, if they are here already")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    seen: list[int] = []
    photographs: list[Image.Image] = []
    cuts: list[Image.Image] = []
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.packages is None:
            subprocess.run(["apt-get", "download", *PACKAGES], cwd=temporary, check=True)
        for package in PACKAGES:
            here = Path(temporary) / package
            [deb] = (arguments.packages or Path(temporary)).glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", deb, here], check=True)
            shutil.copy(here / "usr/share/doc" / package / "copyright", arguments.out / f"{package}.copyright")
            before = len(seen)
            for name, image in pictures(here):
                cut = transparent(image)
                if (cut and package != CUT_OUT) or name in FROM_ABOVE or not photographic(image):
                    continue
                mark = fingerprint(image)
                if any((mark ^ other).bit_count() <= 4 for other in seen):
                    continue
                seen.append(mark)
                (cuts if cut else photographs).append(image.convert("RGBA" if cut else "RGB"))
            print(package, len(seen) - before, flush=True)
            shutil.rmtree(here)
    draws = random.Random(0)
    for number, image in enumerate([*photographs, *(laid_over(cut, draws.choice(photographs)) for cut in cuts)]):
        image.thumbnail((SIDE, SIDE))
        image.save(arguments.out / f"{number:04}.jpg", quality=92)


if __name__ == "__main__":
    main()
