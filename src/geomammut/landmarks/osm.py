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
    awaited: dict[int, tuple[dict[str, str], tuple[Kind, ...]]] = {}
    try:
        for entity in reading:
            if entity.is_node():
                tags = dict(entity.tags)
                if found := sieve.classify(tags, ("point",)):
                    yield Feature(f"n{entity.id}", tags, *found, wkb.create_point(entity))
            elif entity.is_way():
                feature = _way(entity, wkb, sieve)
                if feature is not None:
                    yield feature
            elif entity.is_relation():
                tags = dict(entity.tags)
                if tags.get("type") in _AREA_RELATIONS and sieve.taxonomy.classify(tags, ("area", "line")):
                    awaited[entity.id] = (tags, ("area", "line"))
                else:
                    sieve.classify(tags, ())
            elif not entity.from_way() and entity.orig_id() in awaited:
                if entity.num_rings()[0] == 0:
                    continue  # its rings did not close: it stays among the awaited
                tags, kinds = awaited.pop(entity.orig_id())
                if found := sieve.classify(tags, kinds):
                    yield Feature(f"r{entity.orig_id()}", tags, *found, wkb.create_multipolygon(entity))
    except RuntimeError as error:  # osmium's own errors, all of them about the file
        raise UserError(
            f"{path} cannot be read to its end ({error}); it is damaged or cut short: get it again"
        ) from error
    for tags, kinds in awaited.values():
        if sieve.classify(tags, kinds):
            sieve.dropped[UNCLOSED] += 1


def _way(way: osmium.osm.Way, wkb: osmium.geom.WKBFactory, sieve: Sieve) -> Feature | None:
    tags = dict(way.tags)
    closed = len(way.nodes) > 3 and way.is_closed()
    kinds: tuple[Kind, ...] = ("area", "line") if closed and tags.get("area") != "no" else ("line",)
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
