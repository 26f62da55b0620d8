"""The verb `segment`: an image divided into classes named by words."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window as PixelWindow

from geomammut.errors import UserError
from geomammut.evaluation.images import read_rgb
from geomammut.evaluation.masks import DEFAULT_TEMPLATE
from geomammut.evaluation.prompts import name_embeddings
from geomammut.files import whole_file
from geomammut.localization.heatmaps import check_output
from geomammut.localization.legend import NODATA_CLASS, Colour, class_colours, parse_classes
from geomammut.localization.polygons import write_polygons
from geomammut.localization.rasters import Written, opened, picture_shape, write_cog
from geomammut.localization.scoring import scored
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.model.pooling_head import Window

# Cosines and probabilities are kept as integers, for a float would take two and four times the room.
SCORE_STEP = 1 / 32767
PROBABILITY_STEP, NO_PROBABILITY = 0.004, 255


def segment(
    model: str | os.PathLike[str] | VisionLanguageModel,
    image: Path,
    classes: str,
    out: Path,
    *,
    geojson: Path | None = None,
    probabilities: Path | None = None,
    picture: Path | None = None,
    window: Window = 1,
    seed: int = 0,
) -> Path:
    """Divide an image into classes named by words. A killed run goes on when it is called again.

    Args:
        model: What `load_model` takes, or what it returned.
        image: A picture, or a raster of any size; held in memory a strip at a time.
        classes: Names divided by commas, synonyms by bars: "building|house roofs, road, water, background". A
            pixel goes to the class that scores highest there; a class's score at a patch is that of the best of
            its synonyms, and the class `background` is asked for by words for anything.
        out: `.tif`, a cloud-optimized GeoTIFF: uint8, 0 where the image has no data, 1, 2, … for the classes in
            order, with a colour table and the names in its tags (`CLASS_1` …); the image's CRS and transform kept.
        geojson: Also write simplified polygons in EPSG:4326 here, with class, area_m2 and mean_score (cosine).
        probabilities: Also write a GeoTIFF here with a band for each class: the softmax over the classes of the
            cosines times the scale that the model was trained with, in steps of 0.004.
        picture: Also write the classes over the image here, `.png`, at most 4096 pixels a side.
        window: Radius of the Smooth-Attention window, in patches, or several that are averaged.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: No two classes, no such image or model, or polygons wanted of an image without a CRS.
    """
    out = Path(out)
    prompts = parse_classes(classes)
    names = list(prompts)
    check_output(out, (".tif", ".tiff"), window)
    if probabilities is not None:
        check_output(Path(probabilities), (".tif", ".tiff"), window)
    if picture is not None:
        check_output(Path(picture), (".png",), window)
    with opened(Path(image)) as raster:
        if geojson is not None and raster.crs is None:
            raise UserError(f"{image} has no CRS, so its polygons have no place; leave out --geojson")
    loaded = load_model(model) if isinstance(model, str | os.PathLike) else model
    layers = {"class": ("uint8", 1)}
    if geojson is not None:
        layers["score"] = ("int16", 1)
    if probabilities is not None:
        layers["probability"] = ("uint8", len(names))

    def keep(scores: NDArray[np.float32], valid: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        kept: dict[str, NDArray[Any]] = {"class": np.where(valid, scores.argmax(0) + 1, NODATA_CLASS)[None]}
        if geojson is not None:
            kept["score"] = np.round(scores.max(0).clip(-1, 1) / SCORE_STEP)[None]
        if probabilities is not None:
            shares = torch.from_numpy(scores).mul(loaded.logit_scale).softmax(0).numpy()
            kept["probability"] = np.where(valid, np.round(shares / PROBABILITY_STEP), NO_PROBABILITY)
        return kept

    texts = name_embeddings(loaded, list(prompts.values()), [DEFAULT_TEMPLATE])
    with opened(Path(image)) as raster, scored(loaded, raster, texts, window, out, layers, keep) as rows:
        mask = rows.folder / "class.tif"
        colours = {NODATA_CLASS: (0, 0, 0, 0), **dict(enumerate(class_colours(names), start=1))}
        tags = {f"CLASS_{index}": name for index, name in enumerate(names, start=1)}
        what = Written("uint8", NODATA_CLASS, ["class"], colours, tags)
        write_cog(mask, raster, what, lambda first, count: rows.read("class", first, count))
        if geojson is not None:
            write_polygons(
                mask, lambda first, count: rows.read("score", first, count)[0] * SCORE_STEP, names, Path(geojson)
            )
        if picture is not None:
            _write_picture(raster, mask, Path(picture))
        if probabilities is not None:
            likely = rows.folder / "probability.tif"
            what = Written("uint8", NO_PROBABILITY, names, scale=PROBABILITY_STEP)
            write_cog(likely, raster, what, lambda first, count: rows.read("probability", first, count))
            shutil.move(likely, probabilities)
        mask.replace(out)
    return out


def _write_picture(raster: rasterio.DatasetReader, mask: Path, out: Path) -> None:
    shape = picture_shape(raster)
    pixels = read_rgb(raster, PixelWindow(0, 0, raster.width, raster.height), shape)
    with rasterio.open(mask) as classes:
        shown, colours = classes.read(1, out_shape=shape), classes.colormap(1)
    with whole_file(out) as partial:
        Image.fromarray(class_overlay(pixels, shown, colours)).save(partial)


def class_overlay(
    pixels: NDArray[np.uint8], classes: NDArray[np.uint8], colours: Mapping[int, Colour]
) -> NDArray[np.uint8]:
    """Lay the colours of classes [H, W] half over a picture uint8 [H, W, 3], as opaque as each is."""
    palette = np.zeros((256, 4), np.float32)
    for index, colour in colours.items():
        palette[index] = colour
    coloured = palette[classes]
    opacity = coloured[..., 3:] / 255 * 0.5
    mixed: NDArray[np.uint8] = np.round(pixels * (1 - opacity) + coloured[..., :3] * opacity).astype(np.uint8)
    return mixed
