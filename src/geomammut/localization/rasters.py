"""Rasters of any size, read by windows and written as cloud-optimized GeoTIFFs."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from rasterio.windows import Window

from geomammut.evaluation.images import open_raster, read_rgb

# First row, number of rows → [bands, rows, W]
Rows = Callable[[int, int], NDArray[Any]]

_BLOCK = 512
BLOCK_CACHE = 256 << 20  # bytes; GDAL's own default is a share of the machine's memory
_PICTURE_SIDE = 4096  # longest side of an overlay picture


@contextmanager
def opened(image: Path) -> Iterator[rasterio.DatasetReader]:
    """Open a picture or raster, with GDAL's memory bounded."""
    with warnings.catch_warnings():
        # A picture without georeference is welcome here, and a nodata value is taken before an alpha band.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        warnings.simplefilter("ignore", rasterio.errors.NodataShadowWarning)
        with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE), open_raster(image) as raster:
            yield raster


def has_data(raster: rasterio.DatasetReader, window: Window) -> NDArray[np.bool_]:
    """Return where a window of a raster has data, [rows, columns]."""
    valid: NDArray[np.bool_] = raster.dataset_mask(window=window) > 0
    return valid


def rgb_without_holes(raster: rasterio.DatasetReader, window: Window, colour: Sequence[float]) -> NDArray[np.uint8]:
    """Read a window as uint8 [rows, columns, 3], painted in `colour` (0..1) where there is no data."""
    pixels, valid = read_rgb(raster, window), has_data(raster, window)
    if not valid.all():
        pixels = pixels.copy()
        pixels[~valid] = np.round(255 * np.asarray(colour)).astype(np.uint8)
    return pixels


def picture_shape(raster: rasterio.DatasetReader) -> tuple[int, int]:
    """Return the height and width of a raster's overlay picture, at most 4096 pixels a side."""
    step = max(1.0, max(raster.shape) / _PICTURE_SIDE)
    return max(1, round(raster.height / step)), max(1, round(raster.width / step))


@dataclass(frozen=True)
class Written:
    """What a raster's bands are.

    Attributes:
        dtype: Of the pixels.
        nodata: Their value where there is none.
        bands: What each band is called.
        colours: Colour table of a single band.
        tags: Further words.
        scale: What a stored value is to be multiplied with.
    """

    dtype: str
    nodata: float
    bands: Sequence[str]
    colours: Mapping[int, tuple[int, int, int, int]] | None = None
    tags: Mapping[str, str] | None = None
    scale: float = 1.0


def write_cog(path: Path, like: rasterio.DatasetReader, what: Written, rows: Rows) -> None:
    """Write a cloud-optimized GeoTIFF with another raster's size, CRS and transform, a strip at a time.

    A plain GeoTIFF stands beside `path` meanwhile.
    """
    plain = path.with_suffix(".plain.tif")
    profile: dict[str, Any] = {
        "driver": "GTiff", "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate",
        "zlevel": 1, "width": like.width, "height": like.height, "count": len(what.bands), "dtype": what.dtype,
        "nodata": what.nodata, "interleave": "band", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if like.crs is not None:
        profile.update(crs=like.crs, transform=like.transform)
    with rasterio.open(plain, "w", **profile) as raster:
        if what.colours is not None:
            raster.write_colormap(1, dict(what.colours))
        else:
            raster.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (len(what.bands) - 1)
        raster.update_tags(**(what.tags or {}))
        raster.descriptions = tuple(what.bands)
        raster.scales = [what.scale] * len(what.bands)
        for first in range(0, like.height, _BLOCK):
            count = min(_BLOCK, like.height - first)
            raster.write(rows(first, count), window=Window(0, first, like.width, count))
    smooth = what.colours is None
    copy(
        plain, path, driver="COG", compress="deflate", blocksize=_BLOCK, bigtiff="IF_SAFER",
        overview_resampling="average" if smooth else "mode", predictor="yes" if smooth else "no",
    )  # fmt: skip
    plain.unlink()
