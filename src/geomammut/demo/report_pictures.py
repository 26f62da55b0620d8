"""The report's pictures: the map, chips with outlines, masks in one set of colours."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from shapely.geometry import GeometryCollection, LineString, Point, Polygon, shape
from shapely.geometry.base import BaseGeometry, BaseMultipartGeometry

from geomammut.demo.place.surfaces import LAND_CLASSES
from geomammut.evaluation.images import read_rgb
from geomammut.evaluation.masks import IGNORED
from geomammut.localization.legend import class_colours
from geomammut.markup import Html, markup, tag
from geomammut.pairs.pair_set import PairSet

MAP_SIDE = 1100  # of the map's longer side, pixels
OUTLINE_COLOURS = ("#ffd43b", "#4dd4ff", "#ff6fa3", "#8ef06e", "#ff9f43", "#c9a2ff", "#f4f4f4", "#ff5c4d")
IGNORED_COLOUR = (128, 128, 128)

Colour = tuple[int, int, int]


def jpeg_uri(image: Image.Image, quality: int = 82) -> str:
    """Return a picture as the data URI of a JPEG."""
    return _uri(image.convert("RGB"), "JPEG", quality=quality, optimize=True)


def png_uri(image: Image.Image) -> str:
    """Return a picture as the data URI of a PNG."""
    return _uri(image, "PNG", optimize=True)


def encoded_uri(jpeg: bytes) -> str:
    """Return an encoded JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(data.getvalue()).decode("ascii")


def place_map(mosaic: Path, areas: dict[str, Path], pairs: dict[str, PairSet]) -> Html:
    """Draw a thinned mosaic with areas and chip footprints over it.

    Args:
        mosaic: A georeferenced raster.
        areas: GeoJSON files, EPSG:4326, by the name that their outlines get as a class; missing ones are
            left out.
        pairs: Pair sets by the area that they were made of.
    """
    with rasterio.open(mosaic) as raster:
        scale = MAP_SIDE / max(raster.width, raster.height)
        height, width = round(raster.height * scale), round(raster.width * scale)
        whole = rasterio.windows.Window(0, 0, raster.width, raster.height)
        thinned = Image.fromarray(read_rgb(raster, whole, (2 * height, 2 * width)))
        thinned = thinned.resize((width, height), Image.Resampling.BOX)
        to_raster = Transformer.from_crs("EPSG:4326", raster.crs, always_xy=True)
        to_pixel = ~raster.transform

    def place(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_raster.transform(coordinates[:, 0], coordinates[:, 1])
        columns = to_pixel.a * x + to_pixel.b * y + to_pixel.c
        rows = to_pixel.d * x + to_pixel.e * y + to_pixel.f
        placed: NDArray[np.float64] = np.column_stack([columns, rows]) * scale
        return placed

    drawn = [tag("image", href=jpeg_uri(thinned, 78), width=width, height=height)]
    for name, path in areas.items():
        if path.is_file():
            shapes = [shape(feature["geometry"]) for feature in json.loads(path.read_text())["features"]]
            outline = shapely.transform(shapely.union_all(shapes), place)
            drawn.append(tag("path", d=svg_path(outline), class_=f"area {name}"))
    for name, pair_set in pairs.items():
        footprints = [shape(json.loads(text)) for text in pair_set.table["footprint"].to_pylist() if text]
        lines = svg_path(shapely.transform(GeometryCollection(footprints), place))
        drawn.append(tag("path", d=lines, class_=f"chips {name}"))
    label = "The mosaic seen from above, with the training and held-out areas and the footprints of the chips"
    return tag("svg", *drawn, viewBox=f"0 0 {width} {height}", class_="map", role="img", aria_label=label)


def outlined_chip(jpeg: bytes, width: int, height: int, alt: str, outlines: Sequence[Any]) -> Html:
    """Draw a chip with landmarks' outlines (GeoJSON in chip pixels), each in its own colour."""
    drawn = [tag("image", href=encoded_uri(jpeg), width=width, height=height)]
    for number, outline in enumerate(outlines):
        path = svg_path(shape(outline))
        colour = OUTLINE_COLOURS[number % len(OUTLINE_COLOURS)]
        drawn.append(tag("path", d=path, class_="casing"))
        drawn.append(tag("path", d=path, class_="outline", stroke=colour))
    box = f"0 0 {width} {height}"
    return tag("svg", *drawn, viewBox=box, class_="chip", role="img", aria_label=alt)


def svg_path(geometry: BaseGeometry) -> str:
    """Return a geometry as the data of an SVG path; a point becomes a small circle."""
    if isinstance(geometry, Point):
        geometry = geometry.buffer(2.5, quad_segs=4)
    if isinstance(geometry, Polygon):
        rings = [geometry.exterior, *geometry.interiors]
        return "".join(f"{_line(ring.coords[:-1])}Z" for ring in rings if not ring.is_empty)
    if isinstance(geometry, LineString):
        return _line(list(geometry.coords))
    assert isinstance(geometry, BaseMultipartGeometry)
    return "".join(svg_path(part) for part in geometry.geoms)


def _line(coordinates: Sequence[tuple[float, ...]]) -> str:
    return "M" * bool(coordinates) + "L".join(f"{point[0]:.1f} {point[1]:.1f}" for point in coordinates)


def class_palette(names: Sequence[str]) -> list[Colour]:
    """Return a colour for each class: the demo place's own, or one of a set of distinct ones."""
    own = {land_class.name: land_class.colour for land_class in LAND_CLASSES}
    return [own.get(name, other[:3]) for name, other in zip(names, class_colours(names), strict=True)]


def mask_picture(indices: NDArray[np.int64], palette: Sequence[Colour]) -> Image.Image:
    """Colour class indices [H, W]; pixels of no class are grey."""
    colours = np.array([*palette, IGNORED_COLOUR], np.uint8)
    stored = np.where(indices == IGNORED, len(palette), indices).astype(np.uint8)
    image = Image.fromarray(stored, "P")
    image.putpalette(colours.tobytes())
    return image


def legend(names: Sequence[str], colours: Sequence[str]) -> Html:
    """Return names, each behind a dot of its colour."""
    dots = [
        tag("li", tag("i", style=f"background:{colour}"), name) for name, colour in zip(names, colours, strict=True)
    ]
    return tag("ul", markup(*dots), class_="legend")


def css_colour(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
