"""Reads OpenStreetMap files: nodes, open and closed ways, multipolygon relations with holes."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import osmium
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from osmium.osm.types import OSMEntity

from geomammut.errors import UserError
from geomammut.landmarks.features import (
    BROKEN,
    CLOSED,
    HIDDEN,
    LINE,
    POINT,
    SHAPELESS,
    TAGS,
    Batch,
    Codes,
    Geometries,
    Mask,
    Sieve,
)
from geomammut.landmarks.opl import Columns, columns

CUT_OFF = "cut off at the edge of the extract"
UNCLOSED = "a multipolygon whose outline is not whole"
_AREA_RELATIONS = ("multipolygon", "boundary")
_BATCH = 25_000
# Locations of nodes are kept in memory, 16 bytes each, up to here; a PBF spends 6 bytes or more on a node.
_LARGEST_IN_MEMORY_BYTES = 600_000_000


class _Multipolygon(NamedTuple):
    tags: dict[str, str]
    category: int
    is_area: bool


def read_osm(path: Path, sieve: Sieve) -> Iterator[Batch]:
    """Yield the visible features of an `.osm.pbf` or `.osm` file: nodes, ways, then areas of relations.

    A closed way is an area where its category is one, else a line; a way that misses nodes, as at the
    edge of an extract, is a line through the nodes that are there, while an area that misses a part is
    dropped and counted. Members of a relation stand for themselves only where they have tags of their own.
    Memory does not grow with the file: the locations of the nodes of a large one are kept in a temporary file.

    Raises:
        UserError: The file is cut short or damaged.
    """
    try:
        outlines = _visible_multipolygons(path, sieve)
        areas: list[tuple[int, str]] = []  # relation, WKB in hexadecimal
        with tempfile.TemporaryDirectory() as folder:
            for run in columns(_without_areas(_reading(path, outlines, Path(folder)), areas), _BATCH):
                yield (_ways if run.is_ways else _nodes)(run, sieve)
                if len(areas) >= _BATCH:
                    yield _areas(areas, outlines)
        yield _areas(areas, outlines)
    except (RuntimeError, pa.ArrowInvalid) as error:  # osmium's own errors, all of them about the file
        raise UserError(
            f"{path} cannot be read to its end ({error}); it is damaged or cut short: get it again"
        ) from error
    sieve.dropped[UNCLOSED] += len(outlines)


def _visible_multipolygons(path: Path, sieve: Sieve) -> dict[int, _Multipolygon]:
    """Return the relations that are visible areas, by id; count the others."""
    visible: dict[int, _Multipolygon] = {}
    reading = osmium.FileProcessor(str(path), osmium.osm.RELATION).with_filter(osmium.filter.EmptyTagFilter())
    relations = ((relation.id, dict(relation.tags)) for relation in reading)
    while batch := list(islice(relations, _BATCH)):
        kinds = [CLOSED if tags.get("type") in _AREA_RELATIONS else SHAPELESS for _, tags in batch]
        all_tags = pa.array([list(tags.items()) for _, tags in batch], TAGS)
        found = zip(*sieve.sift(all_tags, np.array(kinds, np.int8)), strict=True)
        for (number, tags), (category, is_area) in zip(batch, found, strict=True):
            if category != HIDDEN:
                visible[number] = _Multipolygon(tags, category, is_area)
    return visible


def _reading(path: Path, outlines: Iterable[int], folder: Path) -> osmium.FileProcessor:
    """Return tagged nodes and ways, and the areas of the relations `outlines`, as osmium comes upon them."""
    in_file = path.stat().st_size > _LARGEST_IN_MEMORY_BYTES
    reading = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY)
    reading.with_locations(f"sparse_file_array,{folder / 'locations'}" if in_file else "sparse_mmap_array")
    reading.with_filter(osmium.filter.EmptyTagFilter())
    if outlines:  # osmium makes areas of closed ways too, which are left to us
        of_relations = osmium.filter.IdFilter([2 * number + 1 for number in outlines])
        reading.with_areas(osmium.filter.IdFilter(outlines))
        of_relations.enable_for(osmium.osm.AREA)
        reading.with_filter(of_relations)
    return reading


def _without_areas(reading: osmium.FileProcessor, areas: list[tuple[int, str]]) -> Iterator[OSMEntity]:
    """Yield nodes and ways; put the areas among them into `areas`."""
    wkb = osmium.geom.WKBFactory()
    for entity in reading:
        if not isinstance(entity, osmium.osm.Area):
            yield entity
        elif entity.num_rings()[0]:
            areas.append((entity.orig_id(), wkb.create_multipolygon(entity)))


def _areas(areas: list[tuple[int, str]], outlines: dict[int, _Multipolygon]) -> Batch:
    """Return the areas of relations; empty both the list and, of what was in it, `outlines`."""
    found = [outlines.pop(number) for number, _ in areas]
    batch = Batch(
        pa.array([f"r{number}" for number, _ in areas], pa.string()),
        pa.array([list(multipolygon.tags.items()) for multipolygon in found], TAGS),
        np.array([multipolygon.category for multipolygon in found], np.int16),
        np.array([multipolygon.is_area for multipolygon in found], bool),
        shapely.from_wkb(np.array([wkb for _, wkb in areas], object)),
    )
    areas.clear()
    return batch


def _nodes(run: Columns, sieve: Sieve) -> Batch:
    categories, is_area = sieve.sift(run.tags, np.full(len(run.ids), POINT, np.int8))
    kept = np.flatnonzero(categories != HIDDEN)
    return _batch(run, kept, categories, is_area, np.asarray(shapely.points(run.positions[kept]), object))


def _ways(run: Columns, sieve: Sieve) -> Batch:
    categories, is_area = sieve.sift(run.tags, np.where(_closed(run), CLOSED, LINE).astype(np.int8))
    owner = np.repeat(np.arange(len(run.ids)), np.diff(run.starts))
    known = np.isfinite(run.positions).all(axis=1)
    anew = np.ones(len(owner), bool)  # not where the node before was
    anew[1:] = (owner[1:] != owner[:-1]) | (run.positions[1:] != run.positions[:-1]).any(axis=1)
    torn = np.bincount(owner[~known], minlength=len(run.ids)) > 0
    lengths = np.bincount(owner[known & anew], minlength=len(run.ids))
    visible = categories != HIDDEN
    whole = visible & ~torn & (lengths > 1)
    sieve.dropped[BROKEN] += int((visible & ~torn & ~whole).sum())
    geometries = np.full(len(run.ids), None, object)
    chosen = known & anew & whole[owner]
    geometries[whole] = shapely.linestrings(run.positions[chosen], indices=(np.cumsum(whole) - 1)[owner[chosen]])
    for i in np.flatnonzero(visible & torn):
        if not is_area[i]:
            geometries[i] = _known_parts(run.positions[run.starts[i] : run.starts[i + 1]])
        sieve.dropped[CUT_OFF] += geometries[i] is None
    kept = np.flatnonzero(geometries != None)  # noqa: E711
    return _batch(run, kept, categories, is_area, geometries[kept])


def _closed(run: Columns) -> Mask:
    """Return which ways end where they began and may be areas."""
    is_long = np.diff(run.starts) > 3
    closed = np.zeros(len(run.ids), bool)
    closed[is_long] = run.nodes[run.starts[:-1][is_long]] == run.nodes[run.starts[1:][is_long] - 1]
    no_area = pc.and_(pc.equal(run.tags.keys, "area"), pc.equal(run.tags.items, "no"))
    of_way = np.repeat(np.arange(len(run.ids)), np.diff(run.tags.offsets.to_numpy()))
    closed[of_way[no_area.to_numpy(zero_copy_only=False)]] = False
    return closed


def _known_parts(positions: npt.NDArray[np.float64]) -> shapely.Geometry | None:
    """Return the stretches of a way whose nodes are in the file, or None if there are none."""
    known: Mask = np.asarray(np.isfinite(positions).all(axis=1))
    stretches = np.split(positions, np.flatnonzero(np.diff(known)) + 1)[0 if known[0] else 1 :: 2]
    lines = [shapely.LineString(stretch) for stretch in stretches if len(np.unique(stretch, axis=0)) > 1]
    return shapely.union_all(lines) if lines else None


def _batch(run: Columns, kept: npt.NDArray[np.intp], categories: Codes, is_area: Mask, geometries: Geometries) -> Batch:
    rows = pa.array(kept)
    return Batch(run.ids.take(rows), run.tags.take(rows), categories[kept], is_area[kept], geometries)
