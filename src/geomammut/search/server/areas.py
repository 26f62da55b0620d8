"""What the model sees in an area of the map: heat of a query, and masks of classes."""

import json
import tempfile
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import from_bounds
from rio_tiler.utils import render

from geomammut.errors import UserError
from geomammut.localization.heatmaps import heat_colours
from geomammut.localization.legend import class_colours, parse_classes
from geomammut.localization.segments import segment
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.score_maps import score_maps
from geomammut.search.server.tiles import Bounds, Imagery


def heat_picture(
    model: VisionLanguageModel, imagery: Imagery, query: NDArray[np.float32], box: Bounds, gsd_m: float
) -> tuple[bytes, float, float]:
    """Show where in an area a query fits, by smooth attention.

    Args:
        model: The archive's.
        imagery: Of the archive.
        query: [E], of length 1.
        box: West, south, east, north in degrees.
        gsd_m: Metres per pixel at which the model looks.

    Returns:
        A PNG with transparency that covers the box in web mercator, and the least and the largest cosine.

    Raises:
        UserError: The box is none, too large, or has no imagery.
    """
    pixels, valid, _ = imagery.area(box, gsd_m)
    scores = score_maps(model, pixels, torch.from_numpy(query)[None], window=1)[0]
    heat = np.where(valid, scores, np.nan)
    colour, opacity = heat_colours(heat)
    planes = np.round(colour).astype(np.uint8).transpose(2, 0, 1)
    picture = render(planes, mask=np.round(opacity[..., 0] * 255).astype(np.uint8), img_format="PNG", zlevel=1)
    return picture, float(np.nanmin(heat)), float(np.nanmax(heat))


def masks(model: VisionLanguageModel, imagery: Imagery, classes: str, box: Bounds, gsd_m: float) -> tuple[bytes, bytes]:
    """Divide an area into classes named by words, as `geomammut segment` does a file.

    Returns:
        The mask as GeoTIFF (web mercator), and its polygons as GeoJSON, which also lists `classes` with their colours.

    Raises:
        UserError: No two classes, or the box is none, too large, or has no imagery.
    """
    try:
        names = list(parse_classes(classes))
    except UserError as error:
        raise UserError(str(error).removeprefix("--")) from error  # as a field, not an option
    pixels, valid, bounds = imagery.area(box, gsd_m)
    with tempfile.TemporaryDirectory(prefix="geomammut-") as scratch:
        area, mask, polygons = (Path(scratch, name) for name in ("area.tif", "mask.tif", "mask.geojson"))
        _write_area(area, pixels, valid, bounds)
        segment(model, area, classes, mask, geojson=polygons)
        collection = json.loads(polygons.read_text(encoding="utf-8"))
        collection["classes"] = [
            {"name": name, "colour": f"#{red:02x}{green:02x}{blue:02x}"}
            for name, (red, green, blue, _) in zip(names, class_colours(names), strict=True)
        ]
        return mask.read_bytes(), json.dumps(collection, ensure_ascii=False).encode()


def _write_area(path: Path, pixels: NDArray[np.uint8], valid: NDArray[np.bool_], bounds: Bounds) -> None:
    height, width = valid.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 4, "width": width, "height": height}
    place = {"crs": "EPSG:3857", "transform": from_bounds(*bounds, width, height)}
    with rasterio.open(path, "w", **profile, **place, photometric="RGB", alpha="YES") as written:
        written.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        written.write(pixels.transpose(2, 0, 1), [1, 2, 3])
        written.write(valid.astype(np.uint8) * 255, 4)
