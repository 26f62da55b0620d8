"""Reads feature tables: GeoJSON, GeoPackage and GeoParquet with OpenStreetMap's or Overture's columns."""

import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
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


def read_attributes(path: Path, sieve: Sieve) -> Iterator[Batch]:
    """Yield the visible features of a `.geojson`, `.gpkg` or `.parquet` file, in the file's order.

    Tags are read from columns named as OpenStreetMap's keys, from `tags`/`other_tags` columns (a map,
    JSON or hstore), or from Overture's columns. Rows of one id (a map cut at tile borders) are united.
    Polygons without a single attribute besides identifiers are taken for buildings, which is what such
    label files hold, if their sizes are those of buildings; the sieve notes it. Overture's files are read
    part by part, the others whole.

    Raises:
        UserError: The file cannot be read, has no CRS, or its rows say nothing that a category needs.
    """
    if path.suffix.lower() == ".parquet" and is_overture(_column_names(path)):
        for table in _overture_tables(path):
            records = table.drop(columns=table.geometry.name).to_dict("records")
            tags = [overture_tags(record, sieve.taxonomy) for record in records]
            ids = map(_identify, records, table.geometry)
            yield _batch([_Row(*row) for row in zip(ids, tags, table.geometry, strict=True)], sieve)
        return
    table = _read_table(path)
    records = table.drop(columns=table.geometry.name).to_dict("records")
    tags = [_tags(record) for record in records]
    geometries = list(table.geometry)
    if not any(key in sieve.taxonomy.keys for row in tags for key in row):
        _take_for_buildings(path, table, sieve)
        tags = [{"building": "yes", **row} for row in tags]
    united = _united(map(_identify, records, geometries), tags, geometries, sieve)
    while rows := list(islice(united, _BATCH)):
        yield _batch(rows, sieve)


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


def _read_table(path: Path) -> geopandas.GeoDataFrame:
    with _readable(path):
        return _in_degrees(_read_layers(path), path)


def _column_names(path: Path) -> list[str]:
    with _readable(path):
        return list(pq.read_schema(path).names)


def _overture_tables(path: Path) -> Iterator[geopandas.GeoDataFrame]:
    """Yield an Overture file part by part: it may hold a country, and its ids are unique."""
    with _readable(path):
        parquet = pq.ParquetFile(path)
        geo = json.loads((parquet.schema_arrow.metadata or {}).get(b"geo", b"{}"))
        column = geo.get("primary_column", "geometry")
        crs = geo.get("columns", {}).get(column, {}).get("crs", "OGC:CRS84")  # GeoParquet's default
        wanted = [name for name in parquet.schema_arrow.names if name not in _OVERTURE_UNUSED]
        for rows in parquet.iter_batches(_BATCH, columns=wanted):
            frame = rows.to_pandas()
            shapes = shapely.from_wkb(frame[column].to_numpy(), on_invalid="ignore")
            table = geopandas.GeoDataFrame(frame.drop(columns=column), geometry=shapes, crs=crs)
            yield _in_degrees(table, path)


def _read_layers(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix.lower() == ".parquet":
        return geopandas.read_parquet(path)
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    tables = [_in_degrees(pyogrio.read_dataframe(path, layer=layer), path) for layer in layers]
    return pandas.concat(tables, ignore_index=True)


def _in_degrees(table: geopandas.GeoDataFrame, path: Path) -> geopandas.GeoDataFrame:
    if table.crs is None:
        how = f"`ogr2ogr -a_srs EPSG:… out.gpkg {path.name}`"
        raise UserError(f"{path} has no coordinate system; set it with {how}")
    return table.to_crs("EPSG:4326")


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
    ids: Iterable[str], tags: list[dict[str, str]], geometries: list[BaseGeometry | None], sieve: Sieve
) -> Iterator[_Row]:
    rows: dict[str, list[int]] = {}
    for index, feature_id in enumerate(ids):
        rows.setdefault(feature_id, []).append(index)
    for feature_id, members in rows.items():
        parts = [g for g in (geometries[index] for index in members) if g is not None and not g.is_empty]
        if len(members) > 1:
            sieve.seen += len(members) - 1
            sieve.dropped["a further part or copy of a feature, united with the first"] += len(members) - 1
        if len(parts) > 1:
            yield _Row(feature_id, tags[members[0]], shapely.union_all(shapely.make_valid(parts)))
        else:
            yield _Row(feature_id, tags[members[0]], parts[0] if parts else None)


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


def _take_for_buildings(path: Path, table: geopandas.GeoDataFrame, sieve: Sieve) -> None:
    shapes = Counter(table.geometry.geom_type)
    areas = table.geometry.to_crs("EPSG:6933").area.to_numpy()
    low, high = _BUILDING_MEDIAN_M2
    if (
        len(areas) == 0
        or set(shapes) - {"Polygon", "MultiPolygon"}
        or not low <= float(np.median(areas)) <= high
        or float(areas.max()) > _BUILDING_LARGEST_M2
    ):
        raise UserError(
            f"{path} does not say what its features are: "
            "add columns named as OpenStreetMap's keys, such as building=yes"
        )
    sieve.notes.append(
        f"{path.name} has no tags; its {len(areas)} polygons (median {np.median(areas):.0f} m²) are taken for buildings"
    )
