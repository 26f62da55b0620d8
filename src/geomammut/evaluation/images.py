"""Images of a benchmark: found, read, embedded."""

import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window
from torch import Tensor

from geomammut.errors import UserError
from geomammut.model.interface import VisionLanguageModel
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import progress_bar

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})

_IMAGES_AT_ONCE = 64


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


def encode_images(model: VisionLanguageModel, load: Callable[[int], Image.Image], names: list[str]) -> Tensor:
    """Embed images, read and preprocessed in threads ahead of the model.

    Args:
        model: Gives `preprocess` and `encode_image`.
        load: Index → RGB image; may raise one of UNREADABLE.
        names: What each of the N images is called in a message.

    Returns:
        [N, E], float32 on the CPU.

    Raises:
        UserError: Some images cannot be read: how many, and which first. A benchmark is whole or void.
    """

    def prepare(index: int) -> Tensor | str:
        try:
            return model.preprocess(load(index))
        except UNREADABLE as error:
            return str(error) or type(error).__name__

    broken: list[str] = []
    batches: list[Tensor] = []
    starts = deque(range(0, len(names), _IMAGES_AT_ONCE))
    ahead: deque[tuple[range, list[Future[Tensor | str]]]] = deque()
    with ThreadPoolExecutor(max(2, cpu_count() or 2)) as pool, progress_bar() as bar, torch.inference_mode():
        task = bar.add_task("embedding images", total=len(names))
        while starts or ahead:
            while starts and len(ahead) < 2:
                first = starts.popleft()
                indices = range(first, min(first + _IMAGES_AT_ONCE, len(names)))
                ahead.append((indices, [pool.submit(prepare, index) for index in indices]))
            indices, futures = ahead.popleft()
            prepared = [future.result() for future in futures]
            images = [image for image in prepared if isinstance(image, Tensor)]
            if len(images) < len(prepared):
                broken += [
                    f"{names[index]} ({why})"
                    for index, why in zip(indices, prepared, strict=True)
                    if isinstance(why, str)
                ]
            if not broken:
                batch = torch.stack(images).to(model.device)
                batches.append(model.encode_image(batch).float().cpu())
            bar.advance(task, len(prepared))
    if broken:
        raise UserError(f"{len(broken)} of {len(names)} images cannot be read, first {broken[0]}; restore them")
    embeddings = torch.cat(batches)
    if not embeddings.isfinite().all():
        raise UserError(f"{model.name} gives image embeddings that are not finite; its weights are broken")
    return embeddings
