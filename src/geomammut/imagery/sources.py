"""Imagery as the user has it: GeoTIFFs, folders of them, tiles, STAC items, opened as one kind of thing."""

import math
import re
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from geomammut.errors import UserError
from geomammut.imagery.addresses import gdal_address, is_address, is_stac, path_of, plain_address
from geomammut.imagery.datasets import open_dataset
from geomammut.imagery.stac import stac_pictures
from geomammut.imagery.tiles import find_tiles, tile_level
from geomammut.progress import console

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2")
_STRETCH_PERCENTILES = (2.0, 98.0)
_STRETCH_PIXELS = 1024  # the longer side of the overview on which the percentiles are taken
_PERCENTS = np.linspace(0, 100, 101)
_SAME_GSD = 1.1


@dataclass(frozen=True)
class ImagerySource:
    """One raster, with what is needed to read it as 8-bit RGB.

    Attributes:
        name: The file's or folder's name.
        dataset: What `rasterio.open` takes: a path, or a virtual raster as XML for a folder of tiles.
        crs: Coordinate system, as an authority code or WKT.
        bounds: Left, bottom, right, top in `crs`.
        gsd_m: Size of a pixel on the ground at the centre, in metres.
        acquired: Time of acquisition as the file states it (ISO 8601), or None.
        bands: The three bands (from 1) taken as red, green and blue.
        band_rule: Why those, in words.
        kind: Type of its numbers, such as `uint8`.
        stretch: (low, high) a band, mapped to 0–255; None for 8-bit imagery, which is taken as it is.
            It is the 2nd and 98th percentile of overviews of all imagery that is alike.
        drivers: GDAL drivers that may open it; None for all. What a catalog points at is opened as
            nothing that could point further.
        coarser: The same imagery at coarser levels, finest first (the other zooms of a folder of tiles).
    """

    name: str
    dataset: str
    crs: str
    bounds: tuple[float, float, float, float]
    gsd_m: float
    acquired: str | None = None
    bands: tuple[int, int, int] = (1, 2, 3)
    band_rule: str = "the first three"
    kind: str = "uint8"
    stretch: tuple[tuple[float, float], ...] | None = None
    drivers: tuple[str, ...] | None = None
    coarser: tuple["ImagerySource", ...] = ()

    def at(self, gsd_m: float) -> "ImagerySource":
        """Return the coarsest level that still resolves `gsd_m` (to 2%), or the finest if none does."""
        fine_enough = [level for level in self.coarser if level.gsd_m <= gsd_m * 1.02]
        return max(fine_enough, key=lambda level: level.gsd_m, default=self)

    @property
    def bytes_per_pixel(self) -> int:
        """Memory that a pixel takes while it is read."""
        return 3 * np.dtype(self.kind).itemsize

    @property
    def look(self) -> str:
        """Return how its pixels become 8-bit RGB, in words."""
        red, green, blue = self.bands
        colours = f"band {red} as grey" if red == green == blue else f"bands {red}, {green}, {blue} as red, green, blue"
        limits = "" if self.stretch is None else ", ".join(f"{low:.4g}–{high:.4g}" for low, high in self.stretch)
        how = f"{self.kind} stretched from {limits} to 0–255" if limits else "8 bit, as they are"
        return f"{colours} ({self.band_rule}), {how}"


def open_sources(paths: Sequence[str | Path]) -> list[ImagerySource]:
    """Return the imagery found at `paths`, in their order; nothing but headers and overviews is read.

    A path is a GeoTIFF, COG or other raster that GDAL reads, an `.mbtiles` file, a folder of GeoTIFFs, a
    folder of XYZ tiles (`[PREFIX-]x-y-z.png`, or `z/x/y.png` below it), a STAC document (`.json`; see
    `imagery.stac`) or an address: `https://…` (of a raster, a STAC document or a STAC API's search),
    `s3://…`, `/vsi…`.

    Raises:
        UserError: Nothing is there, it is no imagery, or it has no coordinate system.
    """
    opened = [each for path in paths for each in _open_path(path)]
    if not opened:
        raise UserError("no imagery is given; give a GeoTIFF, an .mbtiles file or a folder of XYZ tiles")
    return _with_stretch(opened)


def alike(sources: Sequence[ImagerySource]) -> list[int]:
    """Return a number for each source; those with the same are taken for parts of one picture.

    They have the same bands, type of numbers and stretch, and pixels of the same size on the ground: within 10%
    of another's, since degrees and web-mercator metres shrink towards the poles.
    """
    order = sorted(range(len(sources)), key=lambda index: sources[index].gsd_m)
    numbers = [0] * len(sources)
    latest: dict[tuple[object, ...], tuple[int, float]] = {}
    for index in order:
        source = sources[index]
        look = (source.bands, source.kind, source.stretch)
        number, gsd_m = latest.get(look, (index, source.gsd_m))
        numbers[index] = number if source.gsd_m <= gsd_m * _SAME_GSD else index
        latest[look] = numbers[index], source.gsd_m
    return numbers


def _with_stretch(opened: Sequence["_Opened"]) -> list[ImagerySource]:
    """Give sources of more than 8 bits their stretch: one for all that are alike, so that no edge shows."""
    sources = [each.source for each in opened]
    groups: dict[int, list[int]] = {}
    for index, number in enumerate(alike(sources)):
        if opened[index].percentiles is not None:
            groups.setdefault(number, []).append(index)
    for members in groups.values():
        known = [opened[index] for index in members if opened[index].pixels]
        limits = [(0.0, 0.0)] * 3
        if known:
            values = np.concatenate([each.percentiles for each in known], axis=1)
            weights = np.repeat([float(each.pixels) for each in known], len(_PERCENTS))
            limits = [_limits(band, weights) for band in values]
        for index in members:
            sources[index] = replace(sources[index], stretch=tuple(limits))
    return sources


def _limits(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    if len(values) == len(_PERCENTS):
        low, high = np.interp(_STRETCH_PERCENTILES, _PERCENTS, values)
    else:
        shares = np.array(_STRETCH_PERCENTILES) / 100
        low, high = np.quantile(values, shares, weights=weights, method="inverted_cdf")
    return float(low), float(high)


@dataclass(frozen=True)
class _Opened:
    """A source that has no stretch yet, and what it follows from: for imagery of more than 8 bits, the value at each
    percent, [3, 101], and of how many pixels."""

    source: ImagerySource
    percentiles: NDArray[np.float64] | None = None
    pixels: int = 0


def _open_path(path: str | Path) -> Iterator[_Opened]:
    text = plain_address(str(path))
    if is_stac(text):
        yield from _open_stac(text)
        return
    if is_address(text):
        yield _open_raster(gdal_address(text), Path(path_of(text)).name)
        return
    local = Path(path)
    if local.is_dir():
        yield from _open_folder(local)
        return
    if not local.exists():
        raise UserError(f"imagery {path} does not exist; give a GeoTIFF, an .mbtiles file or a folder of tiles")
    if local.suffix.lower() == ".mbtiles":
        _refuse_vector_tiles(local)
    yield _open_raster(str(local), local.name)


def _open_folder(folder: Path) -> Iterator[_Opened]:
    rasters = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in RASTER_SUFFIXES]
    for path in rasters:
        yield _open_raster(str(path), path.name)
    tiles = find_tiles(folder)
    for prefix, zooms in tiles.items():
        levels = []
        for zoom in sorted(zooms, reverse=True):
            level = tile_level(zoom, zooms[zoom])
            if level is not None:
                if level.unreadable:
                    console.print(f"note: {folder}: {level.unreadable} tiles of zoom {zoom} are no images: left out")
                levels.append(_open_raster(level.dataset, f"{prefix or folder.name} z{zoom}").source)
        if levels:
            yield _Opened(replace(levels[0], name=prefix or folder.name, coarser=tuple(levels[1:])))
    if not rasters and not tiles:
        raise UserError(f"{folder} holds no imagery; put GeoTIFFs or XYZ tiles named x-y-z.png (or z/x/y.png) in it")


def _refuse_vector_tiles(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            row = database.execute("select value from metadata where name = 'format'").fetchone()
    except sqlite3.Error as error:
        raise UserError(f"{path} is no readable MBTiles file ({error}); get it again") from error
    if row is not None and row[0] in ("pbf", "mvt"):
        raise UserError(f"{path} holds vector tiles, no imagery; give an .mbtiles file of png, jpg or webp tiles")


def _open_stac(location: str) -> Iterator[_Opened]:
    """Yield the pictures of a catalog's items; those that cannot be read are told of, and left out."""
    left_out = Counter[str]()
    count = 0
    for picture in stac_pictures(location, left_out):
        try:
            opened = _open_raster(picture.dataset, picture.name, picture.drivers, picture.bands)
        except UserError as error:
            left_out[str(error).replace(picture.name, "an item", 1)] += 1
            continue
        count += 1
        yield replace(opened, source=replace(opened.source, acquired=picture.acquired or opened.source.acquired))
    if not count:
        why = left_out.most_common(1)[0][0] if left_out else "it has no items"
        raise UserError(f"STAC {location} gives no imagery: {why}")
    for why, number in left_out.most_common():
        console.print(f"note: {location}: {number} of {count + left_out.total()} items left out: {why}", soft_wrap=True)


def _open_raster(
    dataset: str, name: str, drivers: tuple[str, ...] | None = None, bands: tuple[int, int, int] | None = None
) -> _Opened:
    try:
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            raster = stack.enter_context(open_dataset(dataset, drivers))
            return _describe(raster, dataset, name, drivers, bands)
    except RasterioError as error:
        reason = " ".join(str(error).split()).replace(dataset, name)
        raise UserError(f"imagery {name} cannot be read ({reason}); is it a raster?") from error


def _describe(
    raster: DatasetReader,
    dataset: str,
    name: str,
    drivers: tuple[str, ...] | None,
    bands: tuple[int, int, int] | None,
) -> _Opened:
    if raster.crs is None:
        how = f"`rio edit-info --crs EPSG:… {name}` or `gdal_edit -a_srs EPSG:… {name}`"
        raise UserError(f"imagery {name} has no coordinate system; set it with {how}")
    if raster.transform.is_identity:
        raise UserError(f"imagery {name} has no position; set it with `rio edit-info --transform … {name}`")
    if any(np.issubdtype(np.dtype(kind), np.complexfloating) for kind in raster.dtypes):
        raise UserError(f"imagery {name} holds complex numbers (raw radar?); give a picture of it")
    if raster.colorinterp[0] == ColorInterp.palette:
        how = f"`gdal_translate -expand rgb {name} rgb.tif`"
        raise UserError(f"imagery {name} holds numbers of colours (a palette), as masks do; make a picture with {how}")
    authority = raster.crs.to_authority()
    chosen, rule = (bands, "as the catalog names them") if bands is not None else _colour_bands(raster)
    kind = raster.dtypes[chosen[0] - 1]
    corners = [raster.transform @ corner for corner in ((0, 0), (raster.width, 0), (raster.width, raster.height))]
    xs, ys = zip(*corners, raster.transform @ (0, raster.height), strict=True)
    source = ImagerySource(
        name=name,
        dataset=dataset,
        crs=":".join(authority) if authority else raster.crs.to_wkt(),
        bounds=(min(xs), min(ys), max(xs), max(ys)),
        gsd_m=ground_sample_distance(raster),
        acquired=_acquired(raster),
        bands=chosen,
        band_rule=rule,
        kind=kind,
        drivers=drivers,
    )
    return _Opened(source) if kind == "uint8" else _Opened(source, *_percentiles(raster, chosen))


def ground_sample_distance(raster: DatasetReader) -> float:
    """Return the side, in metres on the ground, of a square as large as the raster's central pixel."""
    to_degrees = _to_degrees(raster.crs.to_wkt())
    column, row = raster.width / 2, raster.height / 2
    corners = [raster.transform @ (column + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]
    lons, lats = to_degrees.transform([x for x, _ in corners], [y for _, y in corners])
    area_m2, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)
    return math.sqrt(abs(area_m2))


@cache
def _to_degrees(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _colour_bands(raster: DatasetReader) -> tuple[tuple[int, int, int], str]:
    """Return the bands that say they are red, green and blue, else the first three, else grey thrice; and why."""
    meanings = [meaning.name for meaning in raster.colorinterp]
    described = [(text or "").strip().lower() for text in raster.descriptions]
    for names in (meanings, described):
        if all(colour in names for colour in ("red", "green", "blue")):
            red, green, blue = (names.index(colour) + 1 for colour in ("red", "green", "blue"))
            return (red, green, blue), "as the file names them"
    pictures = [band for band, meaning in enumerate(meanings, start=1) if meaning != "alpha"]
    if len(pictures) < 3:
        return (pictures[0],) * 3, "the only one" if len(pictures) == 1 else "the first of two"
    return (pictures[0], pictures[1], pictures[2]), f"the first three of {len(pictures)}, which say no colour"


def _percentiles(raster: DatasetReader, bands: tuple[int, int, int]) -> tuple[NDArray[np.float64], int]:
    """Return the value at each percent of an overview, [3, 101], and how many of the raster's pixels have one."""
    scale = min(1.0, _STRETCH_PIXELS / max(raster.width, raster.height))
    shape = (3, max(1, round(raster.height * scale)), max(1, round(raster.width * scale)))
    overview = raster.read(list(bands), out_shape=shape, masked=True).astype(np.float64)
    data = overview.data.any(axis=0)  # 0 in all bands is a missing value more often than not
    known = [values[np.isfinite(values)] for values in (band[data].compressed() for band in overview)]
    if not all(len(values) for values in known):
        return np.zeros((3, len(_PERCENTS))), 0
    return np.stack([np.percentile(values, _PERCENTS) for values in known]), round(len(known[0]) / scale**2)


def _acquired(raster: DatasetReader) -> str | None:
    text = raster.tags(ns="IMAGERY").get("ACQUISITIONDATETIME") or raster.tags().get("TIFFTAG_DATETIME")
    stated = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)(?:[ T](\d\d:\d\d:\d\d))?", text or "")
    if stated is None:
        return None
    year, month, day, time = stated.groups()
    return f"{year}-{month}-{day}" + (f"T{time}" if time else "")
