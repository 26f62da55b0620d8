"""Geometries made sound: closed lines filled, broken ones repaired, cut at the antimeridian, measured."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely import affinity

from geomammut.landmarks.features import Geometries, Mask

Floats = npt.NDArray[np.float64]

_TO_EQUAL_AREA = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)


def sound(geometries: Geometries, is_area: Mask) -> Geometries:
    """Return geometries [N] that are valid and lie within ±180° and ±90°, as far as they can be brought there.

    Closed lines are filled where `is_area` [N]; what runs across the antimeridian is cut in two there.
    What cannot be repaired comes back empty, what is missing or not on Earth as it was: see `on_earth`.
    """
    geometries = geometries.copy()
    is_line = shapely.get_type_id(geometries) == shapely.GeometryType.LINESTRING.value
    to_fill = is_line & is_area
    geometries[to_fill] = _filled(geometries[to_fill])
    for i in np.flatnonzero(_crosses_antimeridian(geometries)):
        geometries[i] = _wrapped(geometries[i])
    broken = ~shapely.is_valid(geometries) & ~shapely.is_missing(geometries) & on_earth(geometries)
    for i in np.flatnonzero(broken):
        geometries[i] = _repaired(geometries[i])
    return geometries


def on_earth(geometries: Geometries) -> Mask:
    """Return which geometries lie within ±180° and ±90°; empty ones do, missing ones do not."""
    west, south, east, north = shapely.bounds(geometries).T
    inside = (west >= -180) & (east <= 180) & (south >= -90) & (north <= 90)
    return np.asarray(inside | (shapely.is_empty(geometries) & ~shapely.is_missing(geometries)))


def area_m2(geometries: Geometries) -> Floats:
    """Return areas [N] on the WGS 84 ellipsoid, through an equal-area projection; 0 for lines and points."""

    def project(coordinates: Floats) -> Floats:
        return np.column_stack(_TO_EQUAL_AREA.transform(coordinates[:, 0], coordinates[:, 1]))

    return np.nan_to_num(shapely.area(shapely.transform(geometries, project)), posinf=0.0)


def _filled(lines: Geometries) -> Geometries:
    """Return the polygons within closed `lines`; empty ones where a line has too few distinct points."""
    polygons = np.full(len(lines), shapely.Polygon(), dtype=object)
    enough = shapely.get_num_coordinates(lines) > 3
    coordinates, owner = shapely.get_coordinates(lines[enough], return_index=True)
    if len(coordinates):
        polygons[enough] = shapely.polygons(shapely.linearrings(coordinates, indices=owner))
    return polygons


def _repaired(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return a valid geometry of the same dimension; empty if nothing of that dimension is left."""
    return _united([shapely.make_valid(geometry)], int(shapely.get_dimensions(geometry)))


def _united(geometries: Sequence[shapely.Geometry], dimension: int) -> shapely.Geometry:
    """Return the union of what has `dimension` among the parts of `geometries`; empty if nothing has."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    return shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])


def _crosses_antimeridian(geometries: Geometries) -> Mask:
    """Return which geometries leap by more than half the globe from one vertex to the next, or pass ±180°.

    A leap of all 360° is none: polygons that were cut before run along the pole like that.
    """
    west, south, east, north = shapely.bounds(geometries).T
    near = (west >= -360) & (east <= 360) & (south >= -90) & (north <= 90)
    crosses = near & ((east > 180) | (west < -180))
    for i in np.flatnonzero(near & ~crosses & (east - west > 180)):
        crosses[i] = any(_turns(path).any() for path in _paths(geometries[i]))
    return np.asarray(crosses)


def _paths(geometry: shapely.Geometry) -> list[Floats]:
    """Return the coordinates of each line, ring or point of `geometry`."""
    parts = shapely.get_parts(geometry)
    parts = np.concatenate([shapely.get_rings(part) if shapely.get_dimensions(part) == 2 else [part] for part in parts])
    return [shapely.get_coordinates(part) for part in parts]


def _turns(path: Floats) -> Floats:
    """Return, for each step of `path`, by how many degrees it must be shifted to go the short way round."""
    steps = np.diff(path[:, 0])
    return np.where((np.abs(steps) > 180) & (np.abs(steps) < 360), -360 * np.sign(steps), 0.0)


def _wrapped(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return `geometry` with every step taken the short way round, cut at ±180°.

    A ring round a pole, which ends a turn away from where it began, takes in the nearer pole.
    """
    if shapely.get_dimensions(geometry) == 2:
        polygons = []
        for polygon in shapely.get_parts(geometry):
            shell, *holes = (_within_180(_repaired(shapely.Polygon(_unrolled(ring)))) for ring in _paths(polygon))
            polygons.append(shapely.difference(shell, shapely.union_all(holes)) if holes else shell)
        return shapely.union_all(polygons)
    make = shapely.Point if shapely.get_dimensions(geometry) == 0 else shapely.LineString
    return shapely.union_all([_within_180(make(_unrolled(path))) for path in _paths(geometry)])


def _unrolled(path: Floats) -> Floats:
    unrolled = path.copy()
    unrolled[1:, 0] += np.cumsum(_turns(path))
    is_ring = len(path) > 3 and bool((path[0] == path[-1]).all())
    if is_ring and unrolled[0, 0] != unrolled[-1, 0]:
        pole = np.copysign(90.0, path[:, 1].mean())
        ends = [[unrolled[-1, 0], pole], [unrolled[0, 0], pole], unrolled[0]]
        unrolled = np.vstack([unrolled, ends])
    return unrolled


def _within_180(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return `geometry`, which may run on beyond ±180°, cut there and every piece shifted back."""
    west, _, east, _ = shapely.bounds(geometry)
    pieces = []
    for turn in range(int(np.floor((west + 180) / 360)), int(np.floor((east + 180) / 360)) + 1):
        window = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        piece = shapely.intersection(geometry, window)
        pieces.append(affinity.translate(piece, xoff=-360 * turn))
    return _united(pieces, int(shapely.get_dimensions(geometry)))
