"""Picture files, which may be broken, hostile or no pictures at all."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

# What a picture file that is broken, hostile or no picture makes Pillow raise.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def open_picture(file: Path | BinaryIO) -> Image.Image:
    """Decode a picture file as RGB.

    Raises:
        One of UNREADABLE: It cannot be decoded, or has more pixels than is safe to unpack
            (`PIL.Image.MAX_IMAGE_PIXELS`, 89 million).
    """
    with Image.open(file) as picture:
        check_size(picture)
        return picture.convert("RGB")


def check_size(picture: Image.Image) -> None:
    """Raise DecompressionBombError if an opened picture has more pixels than is safe to unpack."""
    if Image.MAX_IMAGE_PIXELS and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{picture.width} × {picture.height} pixels are more than is safe to unpack")
