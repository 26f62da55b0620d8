"""Images of a benchmark: found and read."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from geomammut.errors import UserError
from geomammut.pictures import UNREADABLE, open_picture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, by name; hidden ones are left out.

    Raises:
        UserError: No such folder.
    """
    if not folder.is_dir():
        raise UserError(f"no folder of images at {folder}")
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Read an image file whole as uint8 [H, W, 3].

    Raises:
        UserError: It cannot be read, or is not 8-bit.
    """
    if path.suffix.lower() in {".tif", ".tiff"}:
        with open_raster(path) as raster:
            return read_rgb(raster, Window(0, 0, raster.width, raster.height))
    try:
        return np.array(open_picture(path))
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as an image ({error})") from error


def open_raster(path: Path) -> rasterio.DatasetReader:
    """Open an image file, georeferenced or not, for reading by windows.

    Raises:
        UserError: No such file, no image, or not 8-bit.
    """
    if not path.is_file():
        raise UserError(f"no image at {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            raster = rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        raise UserError(f"{path} cannot be read as an image ({error})") from error
    if raster.dtypes[0] != "uint8":
        kind = raster.dtypes[0]
        raster.close()
        raise UserError(f"{path} is {kind}, not 8-bit; convert it first: gdal_translate -ot Byte -scale")
    return raster


def read_rgb(raster: rasterio.DatasetReader, window: Window, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a window of a raster as uint8 [h, w, 3], thinned to `shape` if given.

    The first three bands are taken for red, green and blue; a single band is grey, or indexes its palette.

    Raises:
        UserError: The file breaks off.
    """
    bands = [1, 2, 3] if raster.count >= 3 else [1]
    try:
        pixels: NDArray[np.uint8] = raster.read(bands, window=window, out_shape=(len(bands), *shape) if shape else None)
    except rasterio.errors.RasterioIOError as error:
        raise UserError(f"{raster.name} cannot be read to its end; is it cut short?") from error
    if len(bands) == 3:
        return np.stack(list(pixels), axis=2)
    if raster.colorinterp[0] == rasterio.enums.ColorInterp.palette:
        palette = np.zeros((256, 3), np.uint8)
        for index, colour in raster.colormap(1).items():
            palette[index] = colour[:3]
        coloured: NDArray[np.uint8] = palette[pixels[0]]
        return coloured
    return np.stack([pixels[0]] * 3, axis=2)
