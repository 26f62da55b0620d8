"""Heatmaps and masks by words, on pictures and on georeferenced rasters of any size."""

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from PIL import Image
from pyproj import Geod, Transformer
from rasterio import features
from rasterio.windows import Window
from shapely.geometry import Polygon, mapping
from shapely.geometry.polygon import orient
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.images import open_raster, read_rgb
from geomammut.evaluation.masks import DEFAULT_TEMPLATE
from geomammut.evaluation.prompts import class_embeddings
from geomammut.files import whole_file
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.model.score_maps import sao_scorer, score_strips
from geomammut.progress import progress_bar

NODATA_CLASS = 0

_TIFF = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
_OVERLAY_SIDE = 4096  # longest side of an overlay picture
_STRIP_ROWS = 256
_BLOCK_CACHE = 256 << 20  # bytes; GDAL's own default is a share of the machine's memory
# Dark violet through red to pale yellow, readable over imagery and by the colour-blind.
_HEAT = np.array([[20, 11, 52], [101, 21, 110], [186, 54, 85], [249, 142, 9], [252, 255, 164]], np.float32)
_CLASS_COLOURS = (
    "4269d0 efb118 ff725c 6cc5b0 3ca951 ff8ab7 a463f2 97bbf5 9c6b4e 9498a0 "
    "1b4f72 7d6608 922b21 0e6655 196f3d 884ea0 5b2c6f 2e86c1 6e2c00 424949"
).split()


def heatmap(model: str, image: Path, text: str, out: Path, *, window: int = 1, seed: int = 0) -> Path:
    """Show where in an image a text fits.

    Args:
        model: What `load_model` takes.
        image: A picture, or a raster of any size.
        text: What to look for.
        out: `.png` for an overlay on the image (at most 4096 pixels a side, colours from the 2nd to the
            98th percentile of its scores), or `.tif` for the scores themselves: float32 cosines, the
            image's CRS and transform kept, NaN where it has no data.
        window: Radius of the Smooth-Attention window, in patches.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: No text, no such image or model, or another kind of output.
    """
    out = Path(out)
    if not text.strip():
        raise UserError("the text is empty; say what to look for, such as --text 'a stadium'")
    _check_output(out, (".png", ".tif", ".tiff"), window)
    with _opened(Path(image)) as raster:
        loaded = load_model(model)
        strips = _strips(loaded, raster, encode_texts(loaded, [text]), window)
        if out.suffix.lower() == ".png":
            _write_overlay(raster, strips, out)
        else:
            _write_heat(raster, strips, out, text)
    return out


def segment(
    model: str,
    image: Path,
    classes: str,
    out: Path,
    *,
    geojson: Path | None = None,
    window: int = 1,
    seed: int = 0,
) -> Path:
    """Divide an image into classes named by words.

    Args:
        model: What `load_model` takes.
        image: A picture, or a raster of any size; held in memory a strip at a time.
        classes: Names divided by commas, synonyms by bars: "building|house roofs, road, water".
        out: `.tif`: uint8, 0 where the image has no data, 1, 2, … for the classes in order, with a colour
            table and the names in its tags (`CLASS_1` …); the image's CRS and transform kept.
        geojson: Also write polygons in EPSG:4326 here, with class, area_m2 and mean_score (cosine).
        window: Radius of the Smooth-Attention window, in patches.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: No two classes, no such image or model, or polygons wanted of an image without a CRS.
    """
    out = Path(out)
    parse_classes(classes)
    _check_output(out, (".tif", ".tiff"), window)
    with _opened(Path(image)) as raster:
        if geojson is not None and raster.crs is None:
            raise UserError(f"{image} has no CRS, so its polygons have no place; leave out --geojson")
    return segment_with(load_model(model), image, classes, out, geojson=geojson, window=window)


def segment_with(
    model: VisionLanguageModel, image: Path, classes: str, out: Path, *, geojson: Path | None = None, window: int = 1
) -> Path:
    """Do what `segment` does, with a model that is loaded already."""
    prompts = parse_classes(classes)
    with _opened(Path(image)) as raster:
        embeddings = class_embeddings(model, list(prompts.values()), [DEFAULT_TEMPLATE])
        strips = _strips(model, raster, embeddings, window)
        with tempfile.TemporaryDirectory(prefix="geomammut-") as scratch, whole_file(out) as partial:
            best_scores = Path(scratch, "best_scores.tif") if geojson is not None else None
            _write_classes(raster, strips, list(prompts), partial, best_scores)
            if geojson is not None and best_scores is not None:
                _write_polygons(partial, best_scores, list(prompts), Path(geojson))
    return out


def parse_classes(classes: str) -> dict[str, list[str]]:
    """Parse "building|house roofs, road" into {"building": ["building", "house roofs"], "road": ["road"]}.

    Raises:
        UserError: Fewer than two classes, more than 255, an empty name, or one twice.
    """
    parsed: dict[str, list[str]] = {}
    for part in classes.split(","):
        synonyms = [synonym.strip() for synonym in part.split("|")]
        if not all(synonyms):
            raise UserError(f"--classes {classes!r} has an empty name; write it as 'building, road, water'")
        if synonyms[0] in parsed:
            raise UserError(f"--classes names {synonyms[0]!r} twice")
        parsed[synonyms[0]] = synonyms
    if not 2 <= len(parsed) <= 255:
        raise UserError(f"--classes names {len(parsed)} class; segmenting needs 2 to 255 to choose from")
    return parsed


def _check_output(out: Path, suffixes: tuple[str, ...], window: int) -> None:
    if out.suffix.lower() not in suffixes:
        raise UserError(f"cannot write {out}: its name must end in {' or '.join(suffixes)}")
    if window < 0:
        raise UserError(f"the window radius is {window}; it must be 0 or more")


@contextmanager
def _opened(image: Path) -> Iterator[rasterio.DatasetReader]:
    with warnings.catch_warnings():
        # A picture without georeference is welcome here, and a nodata value is taken before an alpha band.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        warnings.simplefilter("ignore", rasterio.errors.NodataShadowWarning)
        with rasterio.Env(GDAL_CACHEMAX=_BLOCK_CACHE), open_raster(image) as raster:
            yield raster


Strip = tuple[Window, NDArray[np.float32], NDArray[np.bool_]]


def _strips(model: VisionLanguageModel, raster: rasterio.DatasetReader, texts: Tensor, window: int) -> Iterator[Strip]:
    """Yield windows over full rows with their scores [C, rows, W] and where the raster has data [rows, W]."""

    def read_rows(first: int, count: int) -> NDArray[np.uint8]:
        return read_rgb(raster, Window(0, first, raster.width, count))

    score = sao_scorer(model, texts, window)
    with progress_bar() as bar:
        task = bar.add_task("scoring rows", total=raster.height)
        for first, scores in score_strips(model, score, read_rows, raster.height, raster.width):
            rows = Window(0, first, raster.width, scores.shape[1])
            yield rows, scores, raster.dataset_mask(window=rows) > 0
            bar.advance(task, scores.shape[1])


def _profile(raster: rasterio.DatasetReader, **more: Any) -> dict[str, Any]:
    profile = dict(_TIFF, width=raster.width, height=raster.height, count=1, BIGTIFF="IF_SAFER", **more)
    if raster.crs is not None:
        profile.update(crs=raster.crs, transform=raster.transform)
    return profile


def _write_heat(raster: rasterio.DatasetReader, strips: Iterator[Strip], out: Path, text: str) -> None:
    profile = _profile(raster, dtype="float32", nodata=np.nan, predictor=3)
    with whole_file(out) as partial, rasterio.open(partial, "w", **profile) as written:
        written.set_band_description(1, text)
        for rows, scores, valid in strips:
            written.write(np.where(valid, scores[0], np.nan).astype(np.float32), 1, window=rows)


def _write_overlay(raster: rasterio.DatasetReader, strips: Iterator[Strip], out: Path) -> None:
    step = -(-max(raster.width, raster.height) // _OVERLAY_SIDE)
    thinned = []
    for rows, scores, valid in strips:
        some = slice(-rows.row_off % step, None, step), slice(None, None, step)
        thinned.append(np.where(valid[some], scores[0][some], np.nan))
    heat = np.concatenate(thinned)
    whole = Window(0, 0, raster.width, raster.height)
    picture = overlay(read_rgb(raster, whole, heat.shape), heat)
    with whole_file(out) as partial:
        Image.fromarray(picture).save(partial)


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Lay heat over a picture, more opaque where it is hotter.

    Args:
        pixels: uint8 [H, W, 3].
        heat: [H, W], of any range, shown from its 2nd to its 98th percentile; NaN is left bare.

    Returns:
        uint8 [H, W, 3].
    """
    colour, opacity = heat_colours(heat)
    mixed: NDArray[np.uint8] = np.round(pixels * (1 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def heat_colours(heat: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the colours of heat [H, W] as `overlay` lays it: 0..255 [H, W, 3], and opacity 0..1 [H, W, 1]."""
    shown = heat[np.isfinite(heat)]
    low, high = np.percentile(shown, [2, 98]) if shown.size else (0.0, 1.0)
    level = ((heat - low) / max(float(high - low), 1e-9)).clip(0, 1)
    bare = ~np.isfinite(level)
    level = np.where(bare, 0, level)
    steps = np.linspace(0, 1, len(_HEAT))
    colour = np.stack([np.interp(level, steps, _HEAT[:, channel]) for channel in range(3)], axis=-1)
    opacity = np.where(bare, 0, 0.25 + 0.5 * level)[..., None]
    return colour, opacity


def _write_classes(
    raster: rasterio.DatasetReader,
    strips: Iterator[Strip],
    names: list[str],
    out: Path,
    best_scores: Path | None,
) -> None:
    """Write the class raster, and the winning class's score beside it where it is asked for."""
    with rasterio.open(out, "w", **_profile(raster, dtype="uint8", nodata=NODATA_CLASS)) as written:
        written.write_colormap(1, {NODATA_CLASS: (0, 0, 0, 0), **class_colours(len(names))})
        tags = {f"CLASS_{index}": name for index, name in enumerate(names, start=1)}
        written.update_tags(**tags)
        kept = None
        if best_scores is not None:
            kept = rasterio.open(best_scores, "w", **_profile(raster, dtype="float32"))
        for rows, scores, valid in strips:
            winner = np.where(valid, scores.argmax(0) + 1, NODATA_CLASS).astype(np.uint8)
            written.write(winner, 1, window=rows)
            if kept is not None:
                kept.write(scores.max(0), 1, window=rows)
        if kept is not None:
            kept.close()


def class_colours(count: int) -> dict[int, tuple[int, int, int, int]]:
    """Return a colour, RGBA, for each class 1 … count."""
    colours = {}
    for index in range(1, count + 1):
        colour = bytes.fromhex(_CLASS_COLOURS[(index - 1) % len(_CLASS_COLOURS)])
        colours[index] = (colour[0], colour[1], colour[2], 255)
    return colours


def _write_polygons(mask: Path, best_scores: Path, names: list[str], out: Path) -> None:
    """Write each connected area of a class as a GeoJSON polygon in EPSG:4326 (RFC 7946)."""
    with rasterio.open(mask) as classes, rasterio.open(best_scores) as scores:
        polygons, values = [], []
        for geometry, value in features.shapes(rasterio.band(classes, 1)):
            if value != NODATA_CLASS:
                polygons.append(Polygon(geometry["coordinates"][0], geometry["coordinates"][1:]))
                values.append(int(value))
        means = _mean_scores(scores, polygons)
        to_earth = Transformer.from_crs(classes.crs, "EPSG:4326", always_xy=True)
    placed = shapely.transform(polygons, lambda xy: np.column_stack(to_earth.transform(xy[:, 0], xy[:, 1])).round(8))
    earth = Geod(ellps="WGS84")
    with whole_file(out) as partial, partial.open("w", encoding="utf-8") as written:
        written.write('{"type": "FeatureCollection", "features": [')
        for number, (polygon, value, mean) in enumerate(zip(placed, values, means, strict=True)):
            outer_counterclockwise = orient(polygon)
            area, _ = earth.geometry_area_perimeter(outer_counterclockwise)
            feature = {
                "type": "Feature",
                "properties": {
                    "class": names[value - 1],
                    "area_m2": round(area, 2),
                    "mean_score": round(mean, 4),
                },
                "geometry": mapping(outer_counterclockwise),
            }
            written.write((",\n" if number else "\n") + json.dumps(feature, ensure_ascii=False))
        written.write("\n]}\n")


def _mean_scores(scores: rasterio.DatasetReader, polygons: list[Polygon]) -> list[float]:
    """Return the mean score over each polygon's pixels, reading the raster a strip at a time."""
    sums, counts = np.zeros(len(polygons) + 1), np.zeros(len(polygons) + 1)
    left, bottom, right, top = shapely.bounds(polygons).reshape(-1, 4).T
    to_pixel = ~scores.transform
    corner_rows = [to_pixel.d * x + to_pixel.e * y + to_pixel.f for x in (left, right) for y in (bottom, top)]
    highest, lowest = np.min(corner_rows, axis=0), np.max(corner_rows, axis=0)
    for first in range(0, scores.height, _STRIP_ROWS):
        rows = Window(0, first, scores.width, min(_STRIP_ROWS, scores.height - first))
        touching = np.flatnonzero((highest < first + rows.height) & (lowest > first))
        if not touching.size:
            continue
        owners = features.rasterize(
            ((polygons[index], int(index) + 1) for index in touching),
            out_shape=(rows.height, rows.width),
            transform=scores.window_transform(rows),
            dtype="int32",
        ).ravel()
        sums += np.bincount(owners, weights=scores.read(1, window=rows).ravel(), minlength=len(sums))
        counts += np.bincount(owners, minlength=len(counts))
    return [float(mean) for mean in sums[1:] / counts[1:].clip(min=1)]
