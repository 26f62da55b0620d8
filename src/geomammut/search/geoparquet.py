"""An archive's embeddings as GeoParquet, as the geo-embeddings community lays them out.

One file in the layout that Earth Index publishes (columns `id`, `geometry`, `embedding`, a key `emb` in the footer
beside `geo`), by the best practices of geoembeddings.org: GeoParquet 1.1 with a `bbox` column as covering, rows along
a Hilbert curve, zstd, row groups of some 100 MB; the fields under `emb` are those of the STAC Embedding extension.
"""

import json
from pathlib import Path
from typing import Any

import geopandas
import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from geomammut.files import whole_file
from geomammut.search.archive import IndexInfo

EXPORT = "embeddings.parquet"
_STAC = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
_ROW_GROUP_BYTES = 100 << 20
_SIDES = ("west", "south", "east", "north")
_BBOX = {"xmin": "west", "ymin": "south", "xmax": "east", "ymax": "north"}


def write_geoparquet(chips: lancedb.table.Table, info: IndexInfo, path: Path) -> None:
    """Write every chip's id, footprint, embedding (float32, of length 1), time, source and GSD."""
    rows = max(1, _ROW_GROUP_BYTES // (info.embed_dim * 4))
    schema = _schema(info)
    order = _along_hilbert_curve(chips)
    columns = ["id", "embedding", "footprint", *_SIDES, "source", "time", "gsd_m"]
    with (
        whole_file(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", use_dictionary=["source"]) as writer,
    ):
        for first in range(0, len(order), rows):
            here = order[first : first + rows]
            found = chips.take_offsets(here.tolist()).select(columns).to_arrow()
            writer.write_table(_exported(found, schema, info), row_group_size=rows)


def _along_hilbert_curve(chips: lancedb.table.Table) -> NDArray[np.int64]:
    boxes = chips.search().select(list(_SIDES)).limit(None).to_arrow()
    west, south, east, north = (boxes[side].to_numpy() for side in _SIDES)
    middles = geopandas.GeoSeries(shapely.points((west + east) / 2, (south + north) / 2))
    return np.argsort(middles.hilbert_distance(total_bounds=(-180, -90, 180, 90)).to_numpy(), kind="stable")


def _exported(found: pa.Table, schema: pa.Schema, info: IndexInfo) -> pa.Table:
    embeddings = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    embeddings = embeddings.reshape(-1, info.embed_dim).astype(np.float32)
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    columns = [
        found["id"],
        found["footprint"].cast(pa.binary()),
        pa.StructArray.from_arrays([found[side].combine_chunks() for side in _BBOX.values()], names=list(_BBOX)),
        found["time"].cast(pa.timestamp("us", "UTC")),
        pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), info.embed_dim),
        found["source"],
        found["gsd_m"],
    ]
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)


def _schema(info: IndexInfo) -> pa.Schema:
    bbox = pa.struct([(name, pa.float64()) for name in _BBOX])
    columns: list[tuple[str, pa.DataType]] = [
        ("id", pa.string()),
        ("geometry", pa.binary()),
        ("bbox", bbox),
        ("datetime", pa.timestamp("us", "UTC")),
        ("embedding", pa.list_(pa.float32(), info.embed_dim)),
        ("source", pa.string()),
        ("gsd", pa.float64()),
    ]
    geometry = {
        "encoding": "WKB",
        "geometry_types": ["Polygon", "MultiPolygon"],
        "bbox": list(info.bounds),
        "covering": {"bbox": {name: ["bbox", name] for name in _BBOX}},
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    return pa.schema(columns).with_metadata({"geo": json.dumps(geo), "emb": json.dumps(_emb(info))})


def _emb(info: IndexInfo) -> dict[str, Any]:
    """Return what the STAC Embedding extension says of embeddings."""
    layout = {"layout_type": "regular_grid", "chip_size": [info.size] * 2, "stride": [info.stride] * 2}
    return {
        "stac_extensions": [_STAC],
        "emb:type": "chip",
        "emb:dimensions": info.embed_dim,
        "data_type": "float32",
        "gsd": info.gsd_m,
        "emb:chip_layout": layout,
        "emb:fit_for_use": ["retrieval"],
        "emb:quantization": {"method": "rounding", "original_dtype": "float32", "quantized_dtype": "float16"},
        "model": {
            "name": Path(info.model).name,
            "weights_sha256": info.identity.weights,
            "preprocess": info.identity.preprocess,
        },
        "source_data": [source.name for source in info.sources],
        "processing:software": {"geomammut": info.geomammut},
    }
