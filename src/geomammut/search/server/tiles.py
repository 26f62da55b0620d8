"""The archive's imagery in web mercator: map tiles, and areas for the model to look at. Nothing else is ever opened."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rio_tiler.errors import RioTilerError
from rio_tiler.io import Reader
from rio_tiler.utils import render

from geomammut.errors import UserError
from geomammut.imagery.datasets import open_dataset
from geomammut.imagery.reading import stretched
from geomammut.imagery.sources import ImagerySource

TILE = 512  # pixels
MAX_ZOOM = 24
MAX_AREA_PIXELS = 2048 * 2048
_EQUATOR_M = 40075016.68557849
_MERCATOR = CRS.from_epsg(3857)
_MERCATOR_LATITUDE = 85.0511287
_MAX_RASTERS = 32  # of which one tile is put together
_MAX_READ = 64_000_000  # pixels of a raster that one tile may cost

Bounds = tuple[float, float, float, float]
Pixels = NDArray[np.uint8]


class Imagery:
    """The rasters of an archive, the first that has data giving each pixel.

    Attributes:
        bounds: Left, bottom, right, top of each raster in degrees.
        zooms: From which to which zoom there are tiles.
    """

    def __init__(self, sources: Sequence[ImagerySource]) -> None:
        self._sources = tuple(sources)
        self.bounds = [_in_degrees(source) for source in self._sources]
        self._corners = np.array([mercator(bounds) for bounds in self.bounds]).reshape(-1, 4)
        finest = min((source.gsd_m for source in self._sources), default=1.0)
        nearest = max((min(abs(south), abs(north)) for _, south, _, north in self.bounds), default=0.0)
        pixels_around = _EQUATOR_M * math.cos(math.radians(min(nearest, 85))) / finest
        self.zooms = (0, min(MAX_ZOOM, max(0, math.ceil(math.log2(pixels_around / TILE)))))

    def tile(self, zoom: int, column: int, row: int) -> tuple[bytes, str] | None:
        """Return a tile, JPEG or PNG, and its media type; None where there is no imagery."""
        side = _EQUATOR_M / 2**zoom
        left, top = column * side - _EQUATOR_M / 2, _EQUATOR_M / 2 - row * side
        pixels, valid = self._read((left, top - side, left + side, top), TILE, TILE)
        if not valid.any():
            return None
        planes = pixels.transpose(2, 0, 1)
        if valid.all():
            return render(planes, img_format="JPEG", quality=85), "image/jpeg"
        return render(planes, mask=valid.astype(np.uint8) * 255, img_format="PNG", zlevel=1), "image/png"

    def area(self, box: Bounds, gsd_m: float) -> tuple[Pixels, NDArray[np.bool_], Bounds]:
        """Read an area at a resolution on the ground.

        Args:
            box: West, south, east, north in degrees.
            gsd_m: Metres per pixel.

        Returns:
            uint8 [H, W, 3], bool [H, W] where there is data, and left, bottom, right, top in web mercator.

        Raises:
            UserError: It is no area, too large, or has no imagery.
        """
        west, south, east, north = box
        if not (west < east and -_MERCATOR_LATITUDE < south < north < _MERCATOR_LATITUDE):
            raise UserError("the box is none: west must be less than east, south less than north, within 85°")
        left, bottom, right, top = mercator(box)
        pixel = gsd_m / math.cos(math.radians((south + north) / 2))
        width, height = max(1, round((right - left) / pixel)), max(1, round((top - bottom) / pixel))
        if width * height > MAX_AREA_PIXELS:
            side = math.sqrt(MAX_AREA_PIXELS) * gsd_m / 1000
            raise UserError(
                f"the area is {width * gsd_m / 1000:,.1f} × {height * gsd_m / 1000:,.1f} km; at {gsd_m:g} m per pixel "
                f"at most {side:.2g} × {side:.2g} km are looked at at once: zoom in or draw a smaller box"
            )
        pixels, valid = self._read((left, bottom, right, top), width, height)
        if not valid.any():
            raise UserError("there is no imagery in the box")
        return pixels, valid, (left, bottom, right, top)

    def _read(self, box: Bounds, width: int, height: int) -> tuple[Pixels, NDArray[np.bool_]]:
        left, bottom, right, top = box
        pixels, valid = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
        corners = self._corners
        meets = (corners[:, 0] < right) & (corners[:, 2] > left) & (corners[:, 1] < top) & (corners[:, 3] > bottom)
        for index in np.flatnonzero(meets)[:_MAX_RASTERS].tolist():
            try:
                more, known = _read_one(self._sources[index], box, width, height)
            except (RasterioError, RioTilerError):
                continue  # a raster that is gone leaves a gap
            new = known & ~valid
            np.copyto(pixels, more, where=new[..., None])
            valid |= known
            if valid.all():
                break
        return pixels, valid


def mercator(box: Bounds) -> Bounds:
    """Return west, south, east, north in degrees as left, bottom, right, top in web mercator."""
    west, south, east, north = box
    limit = _MERCATOR_LATITUDE
    y = [math.asinh(math.tan(math.radians(max(-limit, min(limit, latitude))))) for latitude in (south, north)]
    scale = _EQUATOR_M / 2 / math.pi
    return math.radians(west) * scale, y[0] * scale, math.radians(east) * scale, y[1] * scale


@lru_cache(maxsize=4096)  # each tile asks for it again
def _in_degrees(source: ImagerySource) -> Bounds:
    to_degrees = Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*source.bounds, densify_pts=21)
    return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)


def _read_one(source: ImagerySource, box: Bounds, width: int, height: int) -> tuple[Pixels, NDArray[np.bool_]]:
    south_north = math.degrees(math.atan(math.sinh((box[1] + box[3]) / 2 / (_EQUATOR_M / 2 / math.pi))))
    level = source.at((box[2] - box[0]) / width * math.cos(math.radians(south_north)))
    bands = list(dict.fromkeys(level.bands))
    with open_dataset(level.dataset, level.drivers) as dataset:
        if _cost(dataset, level, box, width) > _MAX_READ:
            return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
        with Reader(None, dataset=dataset) as reader:
            image = reader.part(
                box,
                dst_crs=_MERCATOR,
                bounds_crs=_MERCATOR,
                indexes=bands,
                width=width,
                height=height,
                resampling_method="bilinear",
                reproject_method="bilinear",
            )
    colours = image.data.transpose(1, 2, 0)[..., [bands.index(band) for band in level.bands]]
    known = image.mask > 0
    if level.stretch is None:
        return colours.astype(np.uint8), known
    return stretched(colours, level.stretch), known & np.isfinite(colours).all(axis=2) & colours.any(axis=2)


def _cost(dataset: DatasetReader, source: ImagerySource, box: Bounds, width: int) -> float:
    """Return how many pixels are read, at the overview that suffices, to see as much of a raster as lies in a box."""
    left, bottom, right, top = mercator(_in_degrees(source))
    across = max(0.0, min(right, box[2]) - max(left, box[0])) / (right - left)
    down = max(0.0, min(top, box[3]) - max(bottom, box[1])) / (top - bottom)
    shrink = (box[2] - box[0]) / width / ((right - left) / dataset.width)
    overview = max((factor for factor in dataset.overviews(source.bands[0]) if factor <= shrink), default=1)
    return float(across * dataset.width * down * dataset.height / overview**2)
