"""One image of a batch: a random crop, perhaps turned or mirrored, decoded no finer than it is needed."""

import io
import math
import re
import threading

import numpy as np
import simplejpeg
import torch
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2.functional import adjust_brightness, adjust_contrast, adjust_saturation

from geomammut.pictures import open_picture
from geomammut.training.recipe import AugmentPart

DIRECTIONS = re.compile(
    r"\b(left|right|top|bottom|upper|lower|above|below|under|north\w*|south\w*|east\w*|west\w*|horizontal\w*|"
    r"vertical\w*|upright|clockwise)\b",
    re.IGNORECASE,
)
_JPEG = b"\xff\xd8\xff"
_KERNEL = ResizeAlg.convolution(FilterType.bilinear)  # widened where it shrinks

Pixels = NDArray[np.uint8]


class Augment:
    """Random crop, flip, right-angle turn and tones of images; see AugmentPart.

    A caption with direction words keeps its image upright and unflipped, since they would turn false.

    Args:
        part: How much of it.
        image_size: S.
        mean: Of each channel, for pixels in 0..1.
        std: Standard deviation, likewise.
    """

    def __init__(
        self,
        part: AugmentPart,
        image_size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        self.part = part
        self.image_size = image_size
        self._scale = [np.float32(1 / (255 * deviation)) for deviation in std]
        self._shift = [np.float32(middle / deviation) for middle, deviation in zip(mean, std, strict=True)]
        self._own = threading.local()

    def __call__(self, picture: bytes, caption: str, generator: np.random.Generator) -> Pixels:
        """Return uint8 [S, S, 3] of an encoded image; raises one of `pictures.UNREADABLE` if it is corrupt."""
        share = generator.uniform(self.part.crop, 1.0) ** 0.5
        x, y = generator.uniform(size=2)
        turns, flip = int(generator.integers(4)), bool(generator.integers(2))
        crop = self._cropped(picture, share, float(x), float(y))
        if self.part.symmetries and not DIRECTIONS.search(caption):
            crop = np.rot90(crop, turns)
            if flip:
                crop = crop[:, ::-1]
        if jitter := self.part.color_jitter:
            crop = _with_tones(crop, *generator.uniform(1 - jitter, 1 + jitter, size=3))
        return crop

    def normalize(self, pixels: Pixels, image: NDArray[np.float32]) -> None:
        """Write pixels [S, S, 3] into `image` [3, S, S], as the model takes it."""
        for channel, (scale, shift) in enumerate(zip(self._scale, self._shift, strict=True)):
            np.multiply(pixels[..., channel], scale, out=image[channel])
            image[channel] -= shift

    def _cropped(self, picture: bytes, share: float, x: float, y: float) -> Pixels:
        """Resize a square of `share` of the shorter side, at `x`, `y` in 0..1 of the room that is left."""
        size = self.image_size
        pixels = _decoded(picture, math.ceil(size / share))
        height, width = pixels.shape[:2]
        side = min(height, width) * share
        box = CropBox(x * (width - side), y * (height - side), side, side)
        result = ImageData(size, size, PixelType.U8x3)
        options = ResizeOptions(_KERNEL, use_alpha=False, crop_box=box)
        self._resizer.resize(ImageData(width, height, PixelType.U8x3, pixels.tobytes()), result, options)
        return np.frombuffer(result.get_buffer(), np.uint8).reshape(size, size, 3)

    @property
    def _resizer(self) -> Resizer:
        if not hasattr(self._own, "resizer"):
            self._own.resizer = Resizer()
        resizer: Resizer = self._own.resizer
        return resizer


def _with_tones(pixels: Pixels, brightness: float, contrast: float, saturation: float) -> Pixels:
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    image = adjust_contrast(adjust_brightness(image, brightness), contrast)
    toned: Pixels = adjust_saturation(image, saturation).permute(1, 2, 0).numpy()
    return toned


def _decoded(picture: bytes, least: int) -> Pixels:
    """Return [H, W, 3], both sides at least `least` if the picture has as much.

    A JPEG is decoded at an eighth, a quarter … of its size where that suffices.
    """
    if not picture.startswith(_JPEG):
        return np.asarray(open_picture(io.BytesIO(picture)))
    height, width, *_ = simplejpeg.decode_jpeg_header(picture)
    if Image.MAX_IMAGE_PIXELS and height * width > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{width} × {height} pixels are more than is safe to unpack")
    least = min(least, height, width)
    pixels: Pixels = simplejpeg.decode_jpeg(picture, min_height=least, min_width=least)
    return pixels
