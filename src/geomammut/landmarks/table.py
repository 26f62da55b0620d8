"""The landmark table: what a map says can be seen from above (DESIGN §4)."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyproj
import rich.table
import shapely

from geomammut.errors import UserError
from geomammut.files import whole_file
from geomammut.landmarks.attributes import read_attributes
from geomammut.landmarks.features import BROKEN, Batch, Geometries, Reader, Sieve
from geomammut.landmarks.osm import read_osm
from geomammut.landmarks.shapes import Floats, area_m2, on_earth, sound
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
_STORED_BATCH = 50_000
_EMPTY = "empty area or line"
_OUTSIDE = "outside the bounding box"

Bbox = tuple[float, float, float, float]


class _Piece(NamedTuple):
    """Rows of a landmark table with their geometries, and how many were left out by reason."""

    rows: pa.Table
    geometries: Geometries
    lost: Counter[str]


def landmarks(source: Path, out: Path, *, bbox: Bbox | None = None, seed: int = 0) -> Path:
    """Write the landmark table of a map: what can be seen from above, what it is called, how large it is.

    What cannot be seen is dropped; the counts, by reason, are printed and stored in the file's metadata
    under `geomammut`. A landmark table as source passes through, so that `bbox` can cut it.

    Args:
        source: OpenStreetMap (`.osm.pbf`, `.osm`), GeoJSON, GeoPackage, or GeoParquet (Overture's columns,
            OpenStreetMap's keys as columns, or a landmark table).
        out: GeoParquet to write, rows in the order of the source; see LANDMARK_SCHEMA.
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
    sieve, name = Sieve(load_taxonomy()), source.name
    if _is_landmark_table(source):
        name = _recall(source, sieve)
        pieces = _stored(source, window)
    else:
        batches = track(reader(source, sieve), f"reading {name}, in batches")
        pieces = _one_ahead(lambda batch: _rows(batch, window), batches)
    contents = _Contents()
    # Without its own copy of the schema, Arrow takes the metadata, known only at the end, from the file's footer.
    layout = {"compression": "zstd", "store_schema": False}
    with whole_file(out) as partial, pq.ParquetWriter(partial, LANDMARK_SCHEMA, **layout) as writer:
        for rows, geometries, lost in pieces:
            sieve.dropped.update(lost)
            if rows.num_rows:
                contents.add(rows, geometries)
                writer.write_table(rows)
        record = {
            "source": name,
            "seen": sieve.seen,
            "kept": contents.categories.total(),
            "dropped": dict((+sieve.dropped).most_common()),
            "notes": sieve.notes,
        }
        _tell(record, contents)
        if not contents.categories:
            raise UserError(_why_nothing(source, record, window))
        writer.add_key_value_metadata(
            {"geo": json.dumps(contents.geo()), "geomammut": json.dumps(record, ensure_ascii=False)}
        )
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


def _one_ahead(work: Callable[[Batch], _Piece], batches: Iterable[Batch]) -> Iterator[_Piece]:
    """Yield `work` of each batch, in order, done in a thread while the next batch is read."""
    with ThreadPoolExecutor(1) as worker:
        under_way: Future[_Piece] | None = None
        for batch in batches:
            started = worker.submit(work, batch)
            if under_way is not None:
                yield under_way.result()
            under_way = started
        if under_way is not None:
            yield under_way.result()


def _rows(batch: Batch, window: shapely.Geometry | None) -> _Piece:
    """Return the rows of `batch` whose geometry is sound and touches `window`."""
    geometries = sound(batch.geometries, batch.is_area)
    areas = np.where(batch.is_area, area_m2(geometries), 0.0)
    lost = np.full(len(geometries), "", dtype=object)
    lost[shapely.is_empty(geometries) | (batch.is_area & (areas <= 0))] = _EMPTY
    lost[shapely.is_missing(geometries) | ~on_earth(geometries)] = BROKEN
    if window is not None:
        lost[(lost == "") & ~shapely.intersects(window, geometries)] = _OUTSIDE
    kept = np.flatnonzero(lost == "")
    tags = batch.tags.take(pa.array(kept))
    categories = pa.array(batch.categories[kept])
    columns = [
        batch.ids.take(pa.array(kept)),
        _names(tags),
        *(column.take(categories) for column in _category_columns()),
        tags,
        pa.array(shapely.to_wkb(geometries[kept]), pa.binary()),
        pa.array(areas[kept]),
    ]
    names = ("landmark_id", "name", "category", "phrase", "min_visible_gsd_m", "tags", "geometry", "area_m2")
    table = pa.table(dict(zip(names, columns, strict=True)))
    rows = table.select(LANDMARK_SCHEMA.names).cast(LANDMARK_SCHEMA)
    return _Piece(rows, geometries[kept], Counter(lost[lost != ""].tolist()))


def _names(tags: pa.MapArray) -> pa.Array:
    """Return the value of the tag `name` of each row, null where there is none."""
    starts = tags.offsets.to_numpy()
    found = np.flatnonzero(pc.equal(tags.keys, "name").to_numpy(zero_copy_only=False))
    names = np.full(len(tags), -1)
    names[np.searchsorted(starts, found, side="right") - 1] = found
    return tags.items.take(pa.array(names, mask=names < 0))


@cache
def _category_columns() -> tuple[pa.Array, pa.Array, pa.Array]:
    order = load_taxonomy().order
    return (
        pa.array([category.key for category in order]),
        pa.array([category.phrase for category in order]),
        pa.array([category.min_visible_gsd_m for category in order]),
    )


def _is_landmark_table(source: Path) -> bool:
    if source.suffix.lower() != ".parquet":
        return False
    try:
        return set(LANDMARK_SCHEMA.names) <= set(pq.read_schema(source).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{source} cannot be read as Parquet ({error}); get or make it again") from error


def _recall(source: Path, sieve: Sieve) -> str:
    """Put what was counted when a landmark table was made into `sieve`; return the name of its source."""
    parquet = pq.ParquetFile(source)
    try:
        stored = json.loads((parquet.schema_arrow.metadata or {}).get(b"geomammut", b"{}"))
        sieve.seen = int(stored.get("seen", parquet.metadata.num_rows))
        sieve.dropped.update({str(reason): int(count) for reason, count in stored.get("dropped", {}).items()})
        sieve.notes.extend(str(note) for note in stored.get("notes", []))
        return str(stored.get("source", source.name))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{source} is a damaged landmark table ({error}); make it again") from error


def _stored(source: Path, window: shapely.Geometry | None) -> Iterator[_Piece]:
    """Yield the rows of a landmark table that touch `window`."""
    try:
        for stored in pq.ParquetFile(source).iter_batches(_STORED_BATCH, columns=LANDMARK_SCHEMA.names):
            rows = pa.Table.from_batches([stored]).select(LANDMARK_SCHEMA.names).cast(LANDMARK_SCHEMA)
            geometries = shapely.from_wkb(rows["geometry"].to_numpy())
            touching = np.ones(len(geometries), bool) if window is None else shapely.intersects(window, geometries)
            outside = Counter({_OUTSIDE: int((~touching).sum())} if not touching.all() else {})
            yield _Piece(rows.filter(pa.array(touching)), geometries[touching], outside)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, ValueError, shapely.errors.GEOSException) as error:
        raise UserError(f"{source} is a damaged landmark table ({error}); make it again") from error


@dataclass
class _Contents:
    """What a table holds, for its metadata and for the user."""

    categories: Counter[str] = field(default_factory=Counter)
    geometry_types: set[str] = field(default_factory=set)
    bounds: list[Floats] = field(default_factory=list)

    def add(self, rows: pa.Table, geometries: Geometries) -> None:
        counts = pc.value_counts(rows["category"])
        self.categories.update({str(row["values"]): row["counts"] for row in counts.to_pylist()})
        _, first_of_type = np.unique(shapely.get_type_id(geometries), return_index=True)
        self.geometry_types |= {geometry.geom_type for geometry in geometries[first_of_type]}
        self.bounds.append(shapely.total_bounds(geometries))

    def geo(self) -> dict[str, Any]:
        """Return GeoParquet's metadata (version 1.1)."""
        bounds = np.array(self.bounds)
        column = {
            "encoding": "WKB",
            "geometry_types": sorted(self.geometry_types),
            "crs": pyproj.CRS("EPSG:4326").to_json_dict(),
            "bbox": [*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist()],
        }
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _why_nothing(source: Path, record: dict[str, Any], window: shapely.Geometry | None) -> str:
    reasons = [f"{count} {reason}" for reason, count in list(record["dropped"].items())[:3]]
    where = "in the bounding box of" if window is not None else "in"
    why = "; dropped: " + ", ".join(reasons) if reasons else ", for it holds no tagged feature"
    return f"nothing {where} {source} can be seen from above{why}; give a larger or richer map"


def _tell(record: dict[str, Any], contents: _Contents) -> None:
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
    for category, count in contents.categories.most_common(8):
        counts.add_row(f"  {category}", f"{count:,}")
    console.print(counts)
