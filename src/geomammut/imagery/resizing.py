"""Pictures resized from a part of them that need not begin or end at whole pixels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray
from rasterio.enums import Resampling

# GDAL's kernels, by a library that takes a quarter of its time; and how far they reach, in pixels to each side.
_KERNELS = {Resampling.bilinear: (FilterType.bilinear, 1), Resampling.cubic: (FilterType.catmull_rom, 2)}
_PIXELS = {"uint8": PixelType.U8x3, "uint16": PixelType.U16x3}


@dataclass(frozen=True)
class Resizing:
    """A kernel, widened where it shrinks, so that what is too fine to be seen does not alias."""

    kernel: Resampling
    _resizer: Resizer = field(default_factory=Resizer)

    def can(self, kind: str) -> bool:
        """Return whether pictures of this type of number can be resized with the kernel."""
        return self.kernel in _KERNELS and kind in _PIXELS

    def reach(self, shrink: float) -> int:
        """Return how many pixels around a part count for it, where its sides become `shrink` times shorter."""
        return int(np.ceil(_KERNELS[self.kernel][1] * max(1.0, shrink))) + 1

    def resized(
        self, pixels: NDArray[Any], part: tuple[float, float, float, float], width: int, height: int
    ) -> NDArray[Any]:
        """Return [height, width, 3] of `pixels` [H, W, 3], uint8 or uint16.

        `part` is left, top, width and height in pixels. Around it the kernel takes what `pixels` has.
        """
        kind = _PIXELS[str(pixels.dtype)]
        result = ImageData(width, height, kind)
        kernel = ResizeAlg.convolution(_KERNELS[self.kernel][0])
        options = ResizeOptions(kernel, use_alpha=False, crop_box=CropBox(*part))
        self._resizer.resize(ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes()), result, options)
        return np.frombuffer(result.get_buffer(), pixels.dtype).reshape(height, width, 3)
