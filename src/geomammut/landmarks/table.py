"""The landmark table: what a map says can be seen from above (DESIGN §4)."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyproj
import rich.table
import shapely

from geomammut.errors import UserError
from geomammut.files import whole_file
from geomammut.landmarks.attributes import read_attributes
from geomammut.landmarks.features import BROKEN, Feature, Reader, Sieve
from geomammut.landmarks.osm import read_osm
from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.progress import console, track

LANDMARK_SCHEMA = pa.schema(
    [
        ("landmark_id", pa.string()),
        ("name", pa.string()),
        ("category", pa.string()),
        ("phrase", pa.string()),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("geometry", pa.binary()),  # WKB
        ("area_m2", pa.float64()),  # 0 for lines and points
        ("min_visible_gsd_m", pa.float64()),
    ]
)
READERS: dict[str, Reader] = {
    ".osm.pbf": read_osm,
    ".pbf": read_osm,
    ".osm": read_osm,
    ".geojson": read_attributes,
    ".json": read_attributes,
    ".gpkg": read_attributes,
    ".parquet": read_attributes,
}
_CHUNK = 50_000
_EMPTY = "empty area or line"
_OUTSIDE = "outside the bounding box"
_TO_EQUAL_AREA = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)

Bbox = tuple[float, float, float, float]
Geometries = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]


def landmarks(source: Path, out: Path, *, bbox: Bbox | None = None, seed: int = 0) -> Path:
    """Write the landmark table of a map: what can be seen from above, what it is called, how large it is.

    What cannot be seen is dropped; the counts, by reason, are printed and stored in the file's metadata
    under `geomammut`. A landmark table as source passes through, so that `bbox` can cut it.

    Args:
        source: OpenStreetMap (`.osm.pbf`, `.osm`), GeoJSON, GeoPackage, or GeoParquet (Overture's columns,
            OpenStreetMap's keys as columns, or a landmark table).
        out: GeoParquet to write, rows ordered by id; see LANDMARK_SCHEMA.
        bbox: West, south, east, north in degrees; only landmarks that touch it are kept, uncut. West
            greater than east crosses the antimeridian.
        seed: For the sake of one command line; nothing is drawn here.

    Returns:
        `out`.

    Raises:
        UserError: `source` is missing, of an unknown kind, damaged or holds nothing visible; `bbox` is wrong.
    """
    del seed
    source, out = Path(source), Path(out)
    window = None if bbox is None else _window(bbox)
    reader = _reader(source)
    if _is_landmark_table(source):
        table, record = _passed_through(source, window)
    else:
        sieve = Sieve(load_taxonomy())
        features = track(reader(source, sieve), f"reading {source.name}")
        chunks = [_chunk(batch, sieve, window) for batch in _batches(features)]
        table = pa.concat_tables(chunks) if chunks else LANDMARK_SCHEMA.empty_table()
        record = {
            "source": source.name,
            "seen": sieve.seen,
            "kept": table.num_rows,
            "dropped": dict(sieve.dropped.most_common()),
            "notes": sieve.notes,
        }
    _tell(record, table)
    if table.num_rows == 0:
        reasons = [f"{count} {reason}" for reason, count in list(record["dropped"].items())[:3]]
        where = "in the bounding box of" if window is not None else "in"
        why = "; dropped: " + ", ".join(reasons) if reasons else ", for it holds no tagged feature"
        raise UserError(f"nothing {where} {source} can be seen from above{why}; give a larger or richer map")
    table = table.take(pa.array(_id_order(table["landmark_id"].to_pylist())))
    with whole_file(out) as partial:
        pq.write_table(table.replace_schema_metadata(_metadata(table, record)), partial, compression="zstd")
    return out


def read_landmarks(path: Path) -> geopandas.GeoDataFrame:
    """Return a landmark table with the columns of LANDMARK_SCHEMA, `tags` as a dict a row, in EPSG:4326.

    A landmark without a name has None there.

    Raises:
        UserError: The file is missing, damaged, no landmark table, or empty.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} is missing; make it with `geomammut landmarks SOURCE -o {path}`")
    if not _is_landmark_table(Path(path)):
        how = f"`geomammut landmarks {path} -o landmarks.parquet`"
        raise UserError(f"{path} is no landmark table; make one of a map with {how}")
    frame = geopandas.read_parquet(path)
    if frame.empty:
        raise UserError(f"{path} holds no landmark; make it again from a map with something in it")
    frame["tags"] = [dict(pairs) for pairs in frame["tags"]]
    frame["name"] = frame["name"].astype(object).where(frame["name"].notna(), None)
    return frame


def _reader(source: Path) -> Reader:
    if not source.exists():
        raise UserError(f"{source} does not exist; give a map file ({', '.join(READERS)})")
    for suffix, reader in READERS.items():
        if source.name.lower().endswith(suffix):
            if not source.is_file():
                raise UserError(f"{source} is a folder; give one of the files in it")
            return reader
    raise UserError(f"{source} is of an unknown kind; give {', '.join(READERS)}")


def _window(bbox: Bbox) -> shapely.Geometry:
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90) or west == east:
        text = ",".join(f"{edge:g}" for edge in bbox)
        raise UserError(f"the bounding box {text} is wrong; give W,S,E,N in degrees, with S below N")
    boxes = (
        [shapely.box(west, south, east, north)]
        if west < east
        else [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    )
    window = shapely.union_all(boxes)
    shapely.prepare(window)
    return window


def _batches(features: Iterable[Feature]) -> Iterator[list[Feature]]:
    stream = iter(features)
    while batch := list(islice(stream, _CHUNK)):
        yield batch


def _chunk(batch: list[Feature], sieve: Sieve, window: shapely.Geometry | None) -> pa.Table:
    """Return the rows of `batch` whose geometry is sound (or could be repaired) and touches `window`."""
    geometries = _geometries(batch)
    areas = _area_m2(geometries)
    is_area = np.array([feature.kind == "area" for feature in batch])
    lost = np.full(len(batch), "", dtype=object)
    empty = shapely.is_empty(geometries) | (is_area & (areas <= 0))
    lost[empty] = _EMPTY
    lost[shapely.is_missing(geometries) | ~_on_earth(geometries)] = BROKEN
    if window is not None:
        lost[(lost == "") & ~shapely.intersects(window, geometries)] = _OUTSIDE
    sieve.dropped.update(Counter(reason for reason in lost if reason))
    kept = np.flatnonzero(lost == "")
    rows = [batch[index] for index in kept]
    return pa.table(
        [
            pa.array([row.id for row in rows], pa.string()),
            pa.array([row.tags.get("name") for row in rows], pa.string()),
            pa.array([row.category.key for row in rows], pa.string()),
            pa.array([row.category.phrase for row in rows], pa.string()),
            pa.array([list(row.tags.items()) for row in rows], LANDMARK_SCHEMA.field("tags").type),
            pa.array(shapely.to_wkb(geometries[kept]), pa.binary()),
            pa.array(np.where(is_area, areas, 0.0)[kept], pa.float64()),
            pa.array([row.category.min_visible_gsd_m for row in rows], pa.float64()),
        ],
        schema=LANDMARK_SCHEMA,
    )


def _geometries(batch: list[Feature]) -> Geometries:
    """Return the geometries of `batch`: closed lines filled where they are areas, broken ones repaired."""
    geometries = np.empty(len(batch), dtype=object)
    geometries[:] = [feature.geometry for feature in batch]
    written = [i for i, feature in enumerate(batch) if isinstance(feature.geometry, str)]
    geometries[written] = shapely.from_wkb(geometries[written], on_invalid="ignore")
    is_line = shapely.get_type_id(geometries) == shapely.GeometryType.LINESTRING.value
    to_fill = is_line & np.array([feature.kind == "area" for feature in batch])
    geometries[to_fill] = _filled(geometries[to_fill])
    broken = ~shapely.is_valid(geometries) & ~shapely.is_missing(geometries) & _on_earth(geometries)
    for i in np.flatnonzero(broken):
        geometries[i] = _repaired(geometries[i])
    return geometries


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
    dimension = shapely.get_dimensions(geometry)
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometry)))
    return shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])


def _on_earth(geometries: Geometries) -> npt.NDArray[np.bool_]:
    bounds = shapely.bounds(geometries)
    inside = (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1)
    return np.asarray(inside | shapely.is_empty(geometries))


def _area_m2(geometries: Geometries) -> Floats:
    """Return areas on the WGS 84 ellipsoid, through an equal-area projection; 0 for lines and points."""

    def project(coordinates: Floats) -> Floats:
        return np.column_stack(_TO_EQUAL_AREA.transform(coordinates[:, 0], coordinates[:, 1]))

    return np.nan_to_num(shapely.area(shapely.transform(geometries, project)), posinf=0.0)


def _id_order(ids: list[str]) -> list[int]:
    def key(index: int) -> tuple[str, int, str]:
        number = re.fullmatch(r"([nwr])(\d+)", ids[index])
        return (number[1], int(number[2]), "") if number else ("~", 0, ids[index])

    return sorted(range(len(ids)), key=key)


def _is_landmark_table(source: Path) -> bool:
    if source.suffix.lower() != ".parquet":
        return False
    try:
        return set(LANDMARK_SCHEMA.names) <= set(pq.read_schema(source).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{source} cannot be read as Parquet ({error}); get or make it again") from error


def _passed_through(source: Path, window: shapely.Geometry | None) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pq.read_table(source, columns=LANDMARK_SCHEMA.names).cast(LANDMARK_SCHEMA)
        stored = json.loads((pq.read_schema(source).metadata or {}).get(b"geomammut", b"{}"))
        geometries = shapely.from_wkb(table["geometry"].to_numpy())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, ValueError, shapely.errors.GEOSException) as error:
        raise UserError(f"{source} is a damaged landmark table ({error}); make it again") from error
    seen = table.num_rows
    if window is not None:
        table = table.filter(pa.array(shapely.intersects(window, geometries)))
    dropped = dict(stored.get("dropped", {}))
    if seen > table.num_rows:
        dropped[_OUTSIDE] = dropped.get(_OUTSIDE, 0) + seen - table.num_rows
    return table, {
        "source": stored.get("source", source.name),
        "seen": stored.get("seen", seen),
        "kept": table.num_rows,
        "dropped": dropped,
        "notes": list(stored.get("notes", [])),
    }


def _metadata(table: pa.Table, record: dict[str, Any]) -> dict[str, str]:
    geometries = shapely.from_wkb(table["geometry"].to_numpy())
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({geometry.geom_type for geometry in geometries}),
        "crs": pyproj.CRS("EPSG:4326").to_json_dict(),
        "bbox": [float(edge) for edge in shapely.total_bounds(geometries)],
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {"geo": json.dumps(geo), "geomammut": json.dumps(record, ensure_ascii=False)}


def _tell(record: dict[str, Any], table: pa.Table) -> None:
    """Print, on stderr, what was kept and what was dropped."""
    for note in record["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False)
    counts = rich.table.Table(title=f"landmarks of {record['source']}", title_justify="left")
    counts.add_column("features")
    counts.add_column("count", justify="right")
    counts.add_row("seen", f"{record['seen']:,}")
    for reason, count in record["dropped"].items():
        counts.add_row(f"  dropped: {reason}", f"{count:,}")
    counts.add_row("kept", f"{record['kept']:,}", style="bold")
    kept = Counter({row["values"]: row["counts"] for row in pc.value_counts(table["category"]).to_pylist()})
    for category, count in kept.most_common(8):
        counts.add_row(f"  {category}", f"{count:,}")
    console.print(counts)
