"""Where imagery lies on the globe, and which projected grids it is cut on: across ±180° and at the poles too."""

import math
from functools import cache

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geomammut.imagery.sources import ImagerySource

DEGREES = "EPSG:4326"
_TRUE_METRES = 0.01  # how far from 1 the scale of a CRS may be for its metres to count as metres on the ground
_UTM_SOUTH, _UTM_NORTH = -80.0, 84.0  # beyond lie the polar grids (UPS)
_EDGE_POINTS, _LONG_EDGE_POINTS = 64, 1024  # of an outline that is brought to another CRS
_LONG_M = 500_000  # its length, from which it gets the more points
_STEP = 0.1  # degrees between the points of an outline that is brought to a grid, at most
_BEYOND = 1.0  # degrees around a grid within which imagery is looked at

Degrees = tuple[float, float, float, float]


def grids_of(source: ImagerySource) -> dict[str, BaseGeometry]:
    """Return the grids that a source is cut on: their CRS and what lies on each, in that CRS.

    There is one, `grid_crs`, if its metres are true to 1% all over the source. A source that reaches farther is
    divided among the UTM zones, and the two polar grids beyond 84° north and 80° south.
    """
    crs = grid_crs(source)
    if crs == source.crs:
        return {crs: shapely.box(*source.bounds)}
    whole = on_globe(source)
    if whole.is_empty:
        return {}
    if _is_true(crs, *shapely.get_coordinates(shapely.segmentize(whole, 1.0)).T):
        return {crs: outline(source, crs, near(whole))}
    grids = {}
    for zone, box in _zones().items():
        part = _polygons(shapely.intersection(whole, box))
        if not part.is_empty:
            grids[zone] = _projected(part, zone, near(part))
    return grids


def grid_crs(source: ImagerySource) -> str:
    """Return the CRS of a source's grid: its own if its metres are true to 1%, else the UTM zone of its centre."""
    own = _crs(source.crs)
    left, bottom, right, top = source.bounds
    lons, lats = transformer(source.crs, DEGREES).transform(
        [(left + right) / 2, left, right, right, left], [(bottom + top) / 2, bottom, bottom, top, top]
    )
    in_metres = own.is_projected and all(axis.unit_name in ("metre", "meter") for axis in own.axis_info[:2])
    if in_metres and _is_true(source.crs, lons, lats):
        return source.crs
    lon, lat = (float(lons[0]) + 180) % 360 - 180, float(lats[0])
    if not _UTM_SOUTH <= lat <= _UTM_NORTH:
        return "EPSG:32661" if lat > 0 else "EPSG:32761"
    return _utm(int((lon + 180) // 6) + 1, is_north=lat >= 0)


def on_globe(source: ImagerySource) -> BaseGeometry:
    """Return a source's outline in EPSG:4326, within ±180°; empty if it has none."""
    box = shapely.box(*source.bounds)
    points = _EDGE_POINTS if _crs(source.crs).is_geographic or box.length < _LONG_M else _LONG_EDGE_POINTS
    found: BaseGeometry = on_globe_all(np.array([shapely.segmentize(box, box.length / points)]), source.crs)[0]
    return found


def on_globe_all(polygons: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    """Return `polygons` [N] without holes in EPSG:4326: cut where they run across ±180°, closed around a pole."""
    moved = reproject_all(polygons, crs, DEGREES)
    west, _, east, _ = shapely.bounds(moved).T
    # What leaps from one side to the other, lies beyond, or has no place at all.
    for i in np.flatnonzero(~((east - west < 180) & (west >= -180) & (east <= 180))):
        # Beside a pole, edges that are straight in metres are far from straight in degrees.
        bent = shapely.segmentize(polygons[i], shapely.length(polygons[i]) / _EDGE_POINTS)
        moved[i] = _wrapped(shapely.get_coordinates(reproject(bent, crs, DEGREES)))
    return moved


def outline(source: ImagerySource, crs: str, around: Degrees) -> BaseGeometry:
    """Return a source's outline in the CRS of a grid, as far as it lies `around` (see `near`)."""
    return shapely.box(*source.bounds) if crs == source.crs else _projected(on_globe(source), crs, around)


def near(*shapes: BaseGeometry) -> Degrees:
    """Return west, south, east and north around `shapes` (EPSG:4326) and a degree more; the longitudes are those
    next to the first shape, so that they may run on beyond ±180°."""
    lon = shapely.point_on_surface(shapes[0]).x
    west, south, east, north = shapely.total_bounds([_about(shape, lon) for shape in shapes]).tolist()
    return west - _BEYOND, max(-90, south - _BEYOND), east + _BEYOND, min(90, north + _BEYOND)


def clipped(shape: BaseGeometry, around: Degrees) -> BaseGeometry:
    """Return what of `shape` (EPSG:4326) lies `around`, with longitudes as `near` gives them."""
    return _polygons(shapely.intersection(_about(shape, (around[0] + around[2]) / 2), shapely.box(*around)))


@cache
def transformer(from_crs: str, to_crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(from_crs, to_crs, always_xy=True)


@cache
def _crs(crs: str) -> pyproj.CRS:
    return pyproj.CRS(crs)


@cache
def _projection(crs: str) -> pyproj.Proj:
    return pyproj.Proj(crs)


def reproject_all(geometries: NDArray[np.object_], from_crs: str, to_crs: str) -> NDArray[np.object_]:
    """Return `geometries` [N] with their corners moved to another CRS."""
    move = transformer(from_crs, to_crs)
    moved: NDArray[np.object_] = shapely.transform(
        geometries, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))
    )
    return moved


def reproject(geometry: BaseGeometry, from_crs: str, to_crs: str) -> BaseGeometry:
    """Return `geometry` with its corners moved to another CRS."""
    moved: BaseGeometry = reproject_all(np.array([geometry]), from_crs, to_crs)[0]
    return moved


def _projected(shape: BaseGeometry, crs: str, around: Degrees) -> BaseGeometry:
    here = clipped(shape, around)
    if here.is_empty:
        return here
    moved = reproject(shapely.segmentize(here, min(here.length / _EDGE_POINTS, _STEP)), DEGREES, crs)
    # Far from its zone a projection has no answer; such imagery is none for this grid.
    return _polygons(moved) if np.isfinite(shapely.get_coordinates(moved)).all() else shapely.Polygon()


def _wrapped(ring: NDArray[np.float64]) -> BaseGeometry:
    """Return the area within a ring [N, 2] of longitudes and latitudes, its steps taken the short way round."""
    if not np.isfinite(ring).all():
        return shapely.Polygon()
    lons, lats = np.unwrap(ring[:, 0], period=360), ring[:, 1]
    if abs(lons[-1] - lons[0]) > 180:  # once around a pole
        pole = math.copysign(90, lats.mean())
        lons, lats = np.append(lons, [lons[-1], lons[0]]), np.append(lats, [pole, pole])
    whole = shapely.make_valid(shapely.Polygon(np.column_stack([lons, lats])))
    west, _, east, _ = whole.bounds
    turns = range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360))
    moved = [_shifted(whole, -360 * turn) for turn in turns]
    return _polygons(shapely.union_all([shapely.intersection(part, shapely.box(-180, -90, 180, 90)) for part in moved]))


def _about(shape: BaseGeometry, lon: float) -> BaseGeometry:
    """Return `shape` with longitudes within 180° of `lon`."""
    window = shapely.box(lon - 180, -90, lon + 180, 90)
    if shapely.covers(window, shape):
        return shape
    return _polygons(shapely.intersection(shapely.union_all([_shifted(shape, by) for by in (-360, 0, 360)]), window))


def _shifted(shape: BaseGeometry, degrees: float) -> BaseGeometry:
    moved: BaseGeometry = shapely.transform(shape, lambda xy: xy + np.array([degrees, 0.0]))
    return moved


def _is_true(crs: str, lons: NDArray[np.float64], lats: NDArray[np.float64]) -> bool:
    """Return whether a CRS's metres are metres on the ground, to 1%, in all these places."""
    scale = _projection(crs).get_factors(lons, lats)
    off = np.abs(np.concatenate([scale.meridional_scale, scale.parallel_scale]) - 1)
    return bool(np.max(off) <= _TRUE_METRES)


@cache
def _zones() -> dict[str, BaseGeometry]:
    zones: dict[str, BaseGeometry] = {
        _utm(number, is_north=is_north): shapely.box(6 * number - 186, south, 6 * number - 180, north)
        for number in range(1, 61)
        for is_north, south, north in ((True, 0, _UTM_NORTH), (False, _UTM_SOUTH, 0))
    }
    return zones | {
        "EPSG:32661": shapely.box(-180, _UTM_NORTH, 180, 90),
        "EPSG:32761": shapely.box(-180, -90, 180, _UTM_SOUTH),
    }


def _utm(zone: int, *, is_north: bool) -> str:
    return f"EPSG:{(32600 if is_north else 32700) + zone}"


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """Return the polygons of a shape, made valid."""
    parts = shapely.get_parts(shapely.make_valid(shape))
    parts = shapely.get_parts(parts)
    flat = parts[shapely.get_dimensions(parts) == 2]
    return flat[0] if len(flat) == 1 else shapely.MultiPolygon(flat.tolist())
