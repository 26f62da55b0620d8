"""Stage 4: what the bytes hold, whether it may be an image from above, and how it is stored."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fingerprints import fingerprint

Image.init()  # FORMATS names decoders, and Pillow loads some only when asked
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")  # told by their first bytes, not by their name
MAX_PIXELS = 2**26
MIN_SIDE = 64
MAX_ASPECT = 3.0
STORED_SIDE = 512
STORED_QUALITY = 90

# Thresholds of `check_statistics`, in grey levels 0..255 and shares of a thumbnail. Measured on 3,995 images
# from above (RSICD, UC Merced, EuroSAT, OpenAerialMap), they drop 0.5%; of 200 drawn charts and banners, 91%.
THUMBNAIL_SIDE = 128
BLANK_CONTRAST = 3.0
WHITE = 245
WHITE_BORDER_SHARE = 0.6
CHART_FLAT_SHARE = 0.55
CHART_CONTRAST = 50.0


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
        Dropped: It is no image, broken, too large to decode, too small, too long, blank, a thing on a white
            background, or a chart or text.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            _check_size(width, height)
            upright = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
            unchanged = (opened.format, opened.mode) == ("JPEG", "RGB") and upright and max(opened.size) <= STORED_SIDE
            opened.draft("RGB", (2 * STORED_SIDE, 2 * STORED_SIDE))  # a JPEG is decoded no finer than needed
            image = _as_rgb(ImageOps.exif_transpose(opened))
    except Dropped:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Dropped("too many pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise Dropped("not an image") from error
    except Exception as error:  # a decoder given broken bytes raises whatever it stumbles over
        raise Dropped("broken image", f"{type(error).__name__}: {error}") from error
    check_statistics(np.asarray(_shrunk(image, THUMBNAIL_SIDE)))
    stored = image if unchanged else _shrunk(image, STORED_SIDE)
    return WebImage(
        jpeg=data if unchanged else _encoded(stored),
        width=stored.width,
        height=stored.height,
        original_pixels=width * height,
        fingerprint=fingerprint(image),
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
    return image.convert("RGB")


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC)


def _encoded(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=STORED_QUALITY)
    return encoded.getvalue()


def check_statistics(thumbnail: NDArray[np.uint8]) -> None:
    """Raise Dropped if `thumbnail` (RGB [h, w, 3], at most THUMBNAIL_SIDE a side) is no image from above.

    Three simple measures: the range of grey levels (blank), the share of near-white pixels along the border
    (a thing on a white background), and the share of pixels equal to their right and lower neighbours in an
    image that has contrast (charts, text, logos; a calm sea is as flat, but has none).
    """
    grey = thumbnail.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    darkest, brightest = np.percentile(grey, (1, 99))
    contrast = float(brightest - darkest)
    if contrast < BLANK_CONTRAST:
        raise Dropped("blank", f"contrast {contrast:.1f}")
    white: NDArray[np.bool_] = np.all(thumbnail >= WHITE, axis=2)
    margin = max(2, round(0.05 * min(white.shape)))
    inner = white[margin:-margin, margin:-margin]
    border_share = float(white.sum() - inner.sum()) / (white.size - inner.size)
    if border_share >= WHITE_BORDER_SHARE:
        raise Dropped("white background", f"{border_share:.0%} of the border is white")
    to_right = np.abs(np.diff(grey, axis=1))[:-1]
    to_below = np.abs(np.diff(grey, axis=0))[:, :-1]
    flat_share = float(((to_right <= 1.5) & (to_below <= 1.5)).mean())
    if contrast >= CHART_CONTRAST and flat_share >= CHART_FLAT_SHARE:
        raise Dropped("chart or text", f"{flat_share:.0%} of it is flat")
