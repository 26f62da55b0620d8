"""Stage 4: what the bytes hold, whether it may be an image from above, and how it is stored."""

import io
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fingerprints import fingerprint
from geomammut.pairs.web_stages.picture_rules import check_picture, shrunk, shrunk_size

Image.init()  # FORMATS names decoders, and Pillow loads some only when asked
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")  # told by their first bytes, not by their name
MAX_PIXELS = 2**26
MIN_SIDE = 64
MAX_ASPECT = 3.0
STORED_SIDE = 512
STORED_QUALITY = 90


@dataclass(frozen=True)
class WebImage:
    """An image as it will be stored.

    Attributes:
        jpeg: Encoded, at most STORED_SIDE a side.
        width: Of the stored image, in pixels.
        height: Likewise.
        original_pixels: Width times height as fetched.
        fingerprint: See `fingerprints.fingerprint`.
    """

    jpeg: bytes
    width: int
    height: int
    original_pixels: int
    fingerprint: bytes


def read_image(data: bytes) -> WebImage:
    """Decode, judge and re-encode one image.

    A JPEG that needs no change is kept byte for byte.

    Raises:
        Dropped: It is no image, broken, too large to decode, too small, too long, or of a kind that the
            `picture_rules` know.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            _check_size(width, height)
            upright = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
            unchanged = (opened.format, opened.mode) == ("JPEG", "RGB") and upright and max(opened.size) <= STORED_SIDE
            opened.draft("RGB", shrunk_size(opened.size, STORED_SIDE))  # a JPEG is decoded no finer than needed
            image = _as_rgb(opened if upright else ImageOps.exif_transpose(opened))
    except Dropped:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Dropped("too many pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise Dropped("not an image") from error
    except Exception as error:  # a decoder given broken bytes raises whatever it stumbles over
        raise Dropped("broken image", f"{type(error).__name__}: {error}") from error
    stored = shrunk(image, STORED_SIDE)  # itself, if no larger
    check_picture(stored)
    return WebImage(
        jpeg=data if unchanged else _encoded(stored),
        width=stored.width,
        height=stored.height,
        original_pixels=width * height,
        fingerprint=fingerprint(stored),
    )


def _check_size(width: int, height: int) -> None:
    size = f"{width} × {height}"
    if width * height > MAX_PIXELS:
        raise Dropped("too many pixels", size)
    if min(width, height) < MIN_SIDE:
        raise Dropped("too small", size)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Dropped("too long", size)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, dtype=np.float64)
        white = 65535.0 if levels.max() > 255 else 255.0
        image = Image.fromarray((levels.clip(0, white) * (255 / white)).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _encoded(image: Image.Image) -> bytes:
    jpeg: bytes = simplejpeg.encode_jpeg(np.asarray(image), STORED_QUALITY, colorspace="RGB", colorsubsampling="420")
    return jpeg
