"""The areas of a class raster as GeoJSON polygons."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio import features
from rasterio.transform import Affine
from shapely.geometry import Polygon

from geomammut.files import whole_file
from geomammut.localization.legend import NODATA_CLASS

_STRIP_ROWS = 256
# Of the Visvalingam–Whyatt simplification, in pixels: it takes away the steps of a slanting border, which are
# triangles of half a pixel, and leaves whatever is larger than one.
_TOLERANCE = 1.0


def write_polygons(mask: Path, scores: Callable[[int, int], NDArray[np.floating]], names: list[str], out: Path) -> None:
    """Write each connected area of a class as a GeoJSON polygon in EPSG:4326 (RFC 7946).

    Borders are simplified together: what two areas share, they still share.

    Args:
        mask: Class raster, 1 … C, with a CRS.
        scores: First row, number of rows → the score of each pixel's class [rows, W].
        names: Of the classes.
        out: The GeoJSON file.
    """
    with rasterio.open(mask) as classes:
        polygons, values = _areas(classes)
        means = _mean_scores(scores, polygons, classes.height, classes.width)
        to_earth = Transformer.from_crs(classes.crs, "EPSG:4326", always_xy=True)
        to_ground = classes.transform
    # The steps of all borders take most of the memory: of each polygon there is never more than what is needed.
    simple = shapely.coverage_simplify(polygons, _TOLERANCE) if len(polygons) else polygons
    del polygons

    def placed(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_earth.transform(*_apply(to_ground, xy).T)).round(8)

    earth = Geod(ellps="WGS84")
    with whole_file(out) as partial, partial.open("w", encoding="utf-8") as written:
        written.write('{"type": "FeatureCollection", "features": [')
        for number, (area, value, mean) in enumerate(zip(simple, values, means, strict=True)):
            polygon = shapely.orient_polygons(shapely.transform(area, placed))
            area_m2, _ = earth.geometry_area_perimeter(polygon)
            properties = {"class": names[value - 1], "area_m2": round(area_m2, 2), "mean_score": round(mean, 4)}
            written.write(
                (",\n" if number else "\n")
                + f'{{"type": "Feature", "properties": {json.dumps(properties, ensure_ascii=False)}, '
                + f'"geometry": {shapely.to_geojson(polygon)}}}'
            )
        written.write("\n]}\n")


def _areas(classes: rasterio.DatasetReader) -> tuple[NDArray[np.object_], list[int]]:
    """Return the connected areas of a class raster as polygons in pixels, and their classes."""
    to_pixels = ~classes.transform
    polygons, values = [], []
    for geometry, value in features.shapes(rasterio.band(classes, 1)):
        if value != NODATA_CLASS:
            area = Polygon(geometry["coordinates"][0], geometry["coordinates"][1:])
            polygons.append(shapely.transform(area, lambda xy: np.rint(_apply(to_pixels, xy))))
            values.append(int(value))
    return np.array(polygons, dtype=object), values


def _apply(transform: Affine, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = xy.T
    return np.column_stack(
        [transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f]
    )


def _mean_scores(
    scores: Callable[[int, int], NDArray[np.floating]], polygons: NDArray[np.object_], height: int, width: int
) -> list[float]:
    """Return the mean score over the pixels of each polygon, given in pixels, a strip of rows at a time."""
    sums, counts = np.zeros(len(polygons) + 1), np.zeros(len(polygons) + 1)
    _, top, _, bottom = shapely.bounds(polygons).reshape(-1, 4).T
    for first in range(0, height, _STRIP_ROWS):
        count = min(_STRIP_ROWS, height - first)
        touching = np.flatnonzero((top < first + count) & (bottom > first))
        if not touching.size:
            continue
        # One polygon may go through the whole raster: only its piece is handed on.
        pieces = shapely.clip_by_rect(polygons[touching], 0, first, width, first + count)
        owners = features.rasterize(
            ((piece, int(index) + 1) for piece, index in zip(pieces, touching, strict=True) if not piece.is_empty),
            out_shape=(count, width),
            transform=Affine.translation(0, first),
            dtype="int32",
        ).ravel()
        sums += np.bincount(owners, weights=scores(first, count).ravel(), minlength=len(sums))
        counts += np.bincount(owners, minlength=len(counts))
    return [float(mean) for mean in sums[1:] / counts[1:].clip(min=1)]
