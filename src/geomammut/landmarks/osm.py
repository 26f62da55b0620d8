"""Reads OpenStreetMap files: nodes, open and closed ways, multipolygon relations with holes."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import osmium
from shapely import LineString, union_all
from shapely.geometry.base import BaseGeometry

from geomammut.errors import UserError
from geomammut.landmarks.features import BROKEN, Feature, Sieve
from geomammut.landmarks.taxonomy import Kind

CUT_OFF = "cut off at the edge of the extract"
UNCLOSED = "a multipolygon whose outline is not whole"
_AREA_RELATIONS = ("multipolygon", "boundary")
_AREA_KINDS: tuple[Kind, ...] = ("area", "line")


def read_osm(path: Path, sieve: Sieve) -> Iterator[Feature]:
    """Yield the visible features of an `.osm.pbf` or `.osm` file, in the file's order.

    A closed way is an area where its category is one, else a line; a way that misses nodes, as at the
    edge of an extract, is a line through the nodes that are there, while an area that misses a part is
    dropped and counted. Members of a relation stand for themselves only where they have tags of their own.

    Raises:
        UserError: The file is cut short or damaged.
    """
    reading = osmium.FileProcessor(str(path)).with_areas().with_filter(osmium.filter.EmptyTagFilter())
    wkb = osmium.geom.WKBFactory()
    awaited: dict[int, dict[str, str]] = {}  # relations whose outline osmium is still putting together
    try:
        for entity in reading:
            feature = None
            if isinstance(entity, osmium.osm.Node):
                feature = _node(entity, wkb, sieve)
            elif isinstance(entity, osmium.osm.Way):
                feature = _way(entity, wkb, sieve)
            elif isinstance(entity, osmium.osm.Relation):
                tags = dict(entity.tags)
                if tags.get("type") in _AREA_RELATIONS and sieve.taxonomy.classify(tags, _AREA_KINDS):
                    awaited[entity.id] = tags
                else:
                    sieve.classify(tags, ())
            elif isinstance(entity, osmium.osm.Area) and not entity.from_way() and entity.num_rings()[0]:
                feature = _area(entity, awaited.pop(entity.orig_id(), {}), wkb, sieve)
            if feature is not None:
                yield feature
    except RuntimeError as error:  # osmium's own errors, all of them about the file
        raise UserError(
            f"{path} cannot be read to its end ({error}); it is damaged or cut short: get it again"
        ) from error
    for tags in awaited.values():
        if sieve.classify(tags, _AREA_KINDS):
            sieve.dropped[UNCLOSED] += 1


def _node(node: osmium.osm.Node, wkb: osmium.geom.WKBFactory, sieve: Sieve) -> Feature | None:
    tags = dict(node.tags)
    found = sieve.classify(tags, ("point",))
    return Feature(f"n{node.id}", tags, *found, wkb.create_point(node)) if found else None


def _area(area: osmium.osm.Area, tags: dict[str, str], wkb: osmium.geom.WKBFactory, sieve: Sieve) -> Feature | None:
    found = sieve.classify(tags, _AREA_KINDS) if tags else None
    return Feature(f"r{area.orig_id()}", tags, *found, wkb.create_multipolygon(area)) if found else None


def _way(way: osmium.osm.Way, wkb: osmium.geom.WKBFactory, sieve: Sieve) -> Feature | None:
    tags = dict(way.tags)
    closed = len(way.nodes) > 3 and way.is_closed()
    kinds = _AREA_KINDS if closed and tags.get("area") != "no" else ("line",)
    found = sieve.classify(tags, kinds)
    if found is None:
        return None
    geometry: BaseGeometry | str | None
    try:
        geometry = wkb.create_linestring(way)
    except osmium.InvalidLocationError:
        geometry = _known_parts(way) if found[1] == "line" else None
        if geometry is None:
            sieve.dropped[CUT_OFF] += 1
    except RuntimeError:  # fewer than two distinct points
        geometry = None
        sieve.dropped[BROKEN] += 1
    return None if geometry is None else Feature(f"w{way.id}", tags, *found, geometry)


def _known_parts(way: osmium.osm.Way) -> BaseGeometry | None:
    """Return the stretches of a way whose nodes are in the file, or None if there are none."""
    stretches = [
        [(node.lon, node.lat) for node in nodes]
        for known, nodes in groupby(way.nodes, key=lambda node: node.location.valid())
        if known
    ]
    lines = [LineString(stretch) for stretch in stretches if len(set(stretch)) > 1]
    return union_all(lines) if lines else None
