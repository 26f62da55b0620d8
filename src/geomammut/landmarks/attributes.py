"""Reads feature tables: GeoJSON, GeoPackage and GeoParquet with OpenStreetMap's or Overture's columns."""

import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import numpy.typing as npt
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from shapely.geometry.base import BaseGeometry

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.landmarks.features import BROKEN, CLOSED, HIDDEN, LINE, POINT, SHAPELESS, TAGS, Batch, Sieve
from geomammut.landmarks.overture import is_overture, overture_tags
from geomammut.landmarks.shapes import Floats, area_m2

_TAG_COLUMNS = ("tags", "other_tags", "all_tags")
_ID_COLUMNS = ("@id", "full_id", "osm_id", "osm_way_id", "osmid", "id")
_TYPE_COLUMNS = ("@type", "osm_type", "element_type", "element")
_TYPE_LETTERS = {"node": "n", "way": "w", "relation": "r", "n": "n", "w": "w", "r": "r"}
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*"((?:[^"\\]|\\.)*)"')
# A table without any attribute is taken for building outlines if its polygons have buildings' sizes.
_BUILDING_MEDIAN_M2 = (10.0, 1_500.0)
_BUILDING_LARGEST_M2 = 100_000.0
_BATCH = 25_000
_OVERTURE_UNUSED = ("sources", "bbox")


class _Row(NamedTuple):
    """A feature as it is mapped; its geometry is missing or empty where that is broken."""

    id: str
    tags: dict[str, str]
    geometry: BaseGeometry | None


class _Part(NamedTuple):
    """Rows of a feature table: what stands in their columns, and their geometries in EPSG:4326."""

    records: list[dict[str, Any]]
    geometries: list[BaseGeometry | None]

    @property
    def ids(self) -> Iterator[str]:
        return map(_identify, self.records, self.geometries)


class _Survey(NamedTuple):
    """What a first reading of a table tells.

    Attributes:
        rows_of: Hash of an id → its rows, for ids with more than one.
        untagged: Whether no row says anything, so that the features are taken for buildings.
    """

    rows_of: dict[int, int]
    untagged: bool


def read_attributes(path: Path, sieve: Sieve) -> Iterator[Batch]:
    """Yield the visible features of a `.geojson`, `.gpkg` or `.parquet` file, in the file's order.

    Tags are read from columns named as OpenStreetMap's keys, from `tags`/`other_tags` columns (a map,
    JSON or hstore), or from Overture's columns. Rows of one id (a map cut at tile borders) are united,
    and come where the last of them stands. Polygons without a single attribute besides identifiers are taken for
    buildings, which is what such label files hold, if their sizes are those of buildings; the sieve notes it.

    Files are read part by part, twice where rows may have to be united: of the first reading, 8 bytes a
    feature stay in memory.

    Raises:
        UserError: The file cannot be read, has no CRS, or its rows say nothing that a category needs.
    """
    if path.suffix.lower() == ".parquet" and is_overture(_column_names(path)):
        for part in _parts(path):  # its ids are unique
            tags = [overture_tags(record, sieve.taxonomy) for record in part.records]
            yield _batch(list(map(_Row, part.ids, tags, part.geometries)), sieve)
        return
    survey = _survey(path, sieve)
    said = {"building": "yes"} if survey.untagged else {}
    waiting: dict[int, list[_Row]] = {}
    for part in _parts(path):
        tags = [said | _tags(record) for record in part.records]
        rows = map(_Row, part.ids, tags, part.geometries)
        yield _batch(list(_united(rows, survey.rows_of, waiting, sieve)), sieve)


def _batch(rows: list[_Row], sieve: Sieve) -> Batch:
    """Return the rows that have a category; count the others."""
    shaped = [row for row in rows if _kind(row.geometry) != SHAPELESS]
    sieve.seen += len(rows) - len(shaped)
    sieve.dropped[BROKEN] += len(rows) - len(shaped)
    tags = pa.array([list(row.tags.items()) for row in shaped], TAGS)
    categories, is_area = sieve.sift(tags, np.array([_kind(row.geometry) for row in shaped], np.int8))
    geometries = np.array([row.geometry for row in shaped], object)
    kept = np.flatnonzero(categories != HIDDEN)
    ids = pa.array([shaped[i].id for i in kept], pa.string())
    return Batch(ids, tags.take(pa.array(kept)), categories[kept], is_area[kept], geometries[kept])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the readers; what cannot be used is counted by the sieve
            yield
    except UserError:
        raise
    except (pyogrio.errors.DataSourceError, pa.ArrowInvalid, ValueError, TypeError, OSError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as a table of features: {reason}") from error


def _survey(path: Path, sieve: Sieve) -> _Survey:
    hashes: list[npt.NDArray[np.int64]] = []
    sizes = _Sizes()
    untagged = True
    for part in _parts(path):
        hashes.append(np.fromiter(map(hash, part.ids), np.int64))
        untagged = untagged and not any(key in sieve.taxonomy.keys for record in part.records for key in _tags(record))
        if untagged:
            sizes.add(part.geometries)
    if untagged:
        sieve.notes.append(sizes.taken_for_buildings(path))
    found, counts = np.unique(np.concatenate([*hashes, np.empty(0, np.int64)]), return_counts=True)
    often = counts > 1
    return _Survey(dict(zip(found[often].tolist(), counts[often].tolist(), strict=True)), untagged)


def _column_names(path: Path) -> list[str]:
    with _readable(path):
        return list(pq.read_schema(path).names)


def _parts(path: Path) -> Iterator[_Part]:
    """Yield a file part by part, in its order; of a GeoPackage, layer after layer."""
    with _readable(path):
        if path.suffix.lower() == ".parquet":
            yield from _parquet_parts(path)
            return
        for layer, kind in pyogrio.list_layers(path):
            if kind is None:
                continue
            with pyogrio.open_arrow(path, layer=layer, batch_size=_BATCH, use_pyarrow=True) as (meta, reader):
                for rows in reader:
                    yield _part(rows, meta["geometry_name"] or "wkb_geometry", meta["crs"], path)


def _parquet_parts(path: Path) -> Iterator[_Part]:
    parquet = pq.ParquetFile(path)
    geo = json.loads((parquet.schema_arrow.metadata or {}).get(b"geo", b"{}"))
    name = geo.get("primary_column", "geometry")
    column = geo.get("columns", {}).get(name, {})
    if column.get("encoding", "WKB") != "WKB":
        raise UserError(f"{path} holds geometries as {column['encoding']}; write them as WKB, GeoParquet's default")
    for rows in parquet.iter_batches(_BATCH):
        yield _part(rows, name, column.get("crs", "OGC:CRS84"), path)  # GeoParquet's default


def _part(rows: pa.RecordBatch, geometry: str, crs: Any, path: Path) -> _Part:
    if crs is None:
        how = f"`ogr2ogr -a_srs EPSG:… out.gpkg {path.name}`"
        raise UserError(f"{path} has no coordinate system; set it with {how}")
    shapes = shapely.from_wkb(rows[geometry].to_numpy(zero_copy_only=False), on_invalid="ignore")
    degrees = geopandas.GeoSeries(shapes, crs=crs).to_crs("EPSG:4326")
    unread = [
        field.name
        for field in rows.schema
        if field.name in (geometry, *_OVERTURE_UNUSED) or pa.types.is_temporal(field.type)
    ]
    return _Part(rows.drop_columns(unread).to_pylist(), list(degrees))


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for column, value in record.items():
        if column in _TAG_COLUMNS:
            tags |= _tag_map(value)
        elif not column.startswith("@") and column not in (*_ID_COLUMNS, *_TYPE_COLUMNS, "fid"):
            text = tag_text(value)
            if text is not None:
                tags[column] = text
    return tags


def _tag_map(value: Any) -> dict[str, str]:
    if isinstance(value, str):  # JSON, or hstore as GDAL writes it
        if not value.lstrip().startswith("{"):
            return {k.replace('\\"', '"'): v.replace('\\"', '"') for k, v in _HSTORE.findall(value)}
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    pairs = value.items() if isinstance(value, Mapping) else value  # a Parquet map comes as pairs
    if not isinstance(pairs, Iterable):
        return {}
    return {str(key): text for key, cell in pairs if (text := tag_text(cell)) is not None}


def tag_text(value: Any) -> str | None:
    """Return a cell's value as a tag's value, or None where the cell is empty."""
    if value is None or value is pandas.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float | np.integer):
        return str(value).strip() or None
    return None


def _identify(record: Mapping[str, Any], geometry: BaseGeometry | None) -> str:
    """Return `n…`, `w…` or `r…` with the OpenStreetMap id, else the source's id, else a content hash."""
    stated = (str(record.get(column)).lower() for column in _TYPE_COLUMNS)
    letter = next((_TYPE_LETTERS[text] for text in stated if text in _TYPE_LETTERS), None)
    for column in _ID_COLUMNS:
        text = tag_text(record.get(column))
        if text is None:
            continue
        written = re.fullmatch(r"(node|way|relation|[nwr])/?(\d+)", text)
        if written:
            return _TYPE_LETTERS[written[1]] + written[2]
        if column == "id" and letter is None:
            return text
        if re.fullmatch(r"-?\d+", text):
            return f"{letter or _guessed_letter(column, text, geometry)}{text.removeprefix('-')}"
    return f"g{content_id(geometry.normalize().wkb)}" if geometry is not None else "g"


def _guessed_letter(column: str, number: str, geometry: BaseGeometry | None) -> str:
    if column != "osm_way_id" and number.startswith("-"):  # osm2pgsql's way to write a relation
        return "r"
    return "n" if geometry is not None and geometry.geom_type == "Point" else "w"


def _united(
    rows: Iterable[_Row], rows_of: Mapping[int, int], waiting: dict[int, list[_Row]], sieve: Sieve
) -> Iterator[_Row]:
    """Yield each feature once; rows of an id with more of them are kept in `waiting` until all are there."""
    for row in rows:
        key = hash(row.id)
        if key not in rows_of:
            yield row
            continue
        members = waiting.setdefault(key, [])
        members.append(row)
        if len(members) < rows_of[key]:
            continue
        of_id: dict[str, list[_Row]] = {}  # two ids may have one hash
        for member in waiting.pop(key):
            of_id.setdefault(member.id, []).append(member)
        yield from (_union(same, sieve) for same in of_id.values())


def _union(rows: Sequence[_Row], sieve: Sieve) -> _Row:
    sieve.seen += len(rows) - 1
    sieve.dropped["a further part or copy of a feature, united with the first"] += len(rows) - 1
    parts = [row.geometry for row in rows if row.geometry is not None and not row.geometry.is_empty]
    if len(parts) > 1:
        return rows[0]._replace(geometry=shapely.union_all(shapely.make_valid(parts)))
    return rows[0]._replace(geometry=parts[0] if parts else None)


def _kind(geometry: BaseGeometry | None) -> int:
    """Return how a feature could be taken, an index into KINDS."""
    match geometry.geom_type if geometry is not None else None:
        case "Polygon" | "MultiPolygon":
            return CLOSED  # some exports draw lines as ribbons
        case "LineString" if geometry is not None:
            return CLOSED if geometry.is_closed else LINE
        case "MultiLineString":
            return LINE
        case "Point":
            return POINT
    return SHAPELESS


@dataclass
class _Sizes:
    """The areas of features that say nothing of themselves."""

    areas_m2: list[Floats] = field(default_factory=list)
    others: bool = False  # whether one is no polygon

    def add(self, geometries: Sequence[BaseGeometry | None]) -> None:
        shapes = np.array(geometries, object)
        self.others |= any(_kind(shape) != CLOSED or shape.geom_type == "LineString" for shape in shapes)
        self.areas_m2.append(area_m2(shapes))

    def taken_for_buildings(self, path: Path) -> str:
        """Return a note that they are taken for buildings.

        Raises:
            UserError: They are not polygons of such sizes.
        """
        areas = np.concatenate([*self.areas_m2, np.empty(0)])
        low, high = _BUILDING_MEDIAN_M2
        if (
            len(areas) == 0
            or self.others
            or not low <= float(np.median(areas)) <= high
            or float(areas.max()) > _BUILDING_LARGEST_M2
        ):
            raise UserError(
                f"{path} does not say what its features are: "
                "add columns named as OpenStreetMap's keys, such as building=yes"
            )
        polygons = f"{len(areas)} polygons (median {np.median(areas):.0f} m²)"
        return f"{path.name} has no tags; its {polygons} are taken for buildings"
