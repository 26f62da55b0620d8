"""The LanceDB table of an archive's chips, and beside it the list of blocks whose chips it holds whole."""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from lancedb.index import BTree
from numpy.typing import NDArray

from geomammut.search.embedding import Embedded
from geomammut.search.moments import moment
from geomammut.search.vectors import index_vectors

CHIPS, BLOCKS = "chips", "blocks"
_BLOCKS_SCHEMA = pa.schema([("key", pa.string()), ("chips", pa.int64()), ("lost", pa.string())])
_KEPT = timedelta(days=1)  # a version that a server may still read
_AT_ONCE = 500  # keys named in one condition
_SCALAR_FROM = 20_000  # chips, from which one is not looked for row by row


def chips_schema(embed_dim: int) -> pa.Schema:
    """Return the table's columns; the boxes are of the footprints, in degrees (west > east across ±180°)."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("block", pa.string()),
            ("embedding", pa.list_(pa.float16(), embed_dim)),
            ("footprint", pa.large_binary()),  # WKB
            *((side, pa.float64()) for side in ("west", "south", "east", "north")),
            ("source", pa.string()),
            ("acquired", pa.string()),
            ("time", pa.timestamp("us")),  # the same, in UTC
            ("gsd_m", pa.float64()),
            ("jpeg", pa.large_binary()),
        ]
    )


class ChipTable:
    """The chips while they are written.

    What `blocks` lists is whole in `chips`: it is written last and deleted first, so that whatever a killed run left
    half done is known by its absence there.

    Args:
        folder: Of the archive.
        embed_dim: E.
    """

    def __init__(self, folder: Path, embed_dim: int) -> None:
        self._database = lancedb.connect(folder)
        self._schema = chips_schema(embed_dim)
        self._chips = self._database.create_table(CHIPS, schema=self._schema, exist_ok=True)
        self._blocks = self._database.create_table(BLOCKS, schema=_BLOCKS_SCHEMA, exist_ok=True)

    def keep_only(self, wanted: Sequence[str]) -> set[str]:
        """Drop the chips of all blocks but `wanted`, and of those that are not whole; return the keys of the rest."""
        listed = set(self._blocks.search().select(["key"]).limit(None).to_arrow()["key"].to_pylist())
        kept = listed & set(wanted)
        _delete(self._blocks, "key", sorted(listed - kept))
        present = self._chips.search().select(["block"]).limit(None).to_arrow()["block"]
        _delete(self._chips, "block", sorted(set(pc.unique(present).to_pylist()) - kept))
        return kept

    def add(self, done: Sequence[Embedded], gsd_m: float) -> None:
        """Add the chips of blocks, and then the blocks."""
        rows = [row | {"block": each.key} for each in done for row in each.rows]
        if rows:
            self._chips.add(self._table(rows, gsd_m))
        blocks = [{"key": d.key, "chips": len(d.rows), "lost": json.dumps(d.lost, sort_keys=True)} for d in done]
        self._blocks.add(pa.Table.from_pylist(blocks, schema=_BLOCKS_SCHEMA))

    def lost(self) -> Counter[str]:
        """Return reason → squares that gave no chip."""
        found = Counter[str]()
        for text in self._blocks.search().select(["lost"]).limit(None).to_arrow()["lost"].to_pylist():
            found.update(json.loads(text))
        return found

    def finish(self, *, first: bool) -> int:
        """Join what was added bit by bit, index it, and return the version of the table that is whole.

        Args:
            first: No one reads an earlier version.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of readers, which there are none of
            for table in (self._blocks, self._chips):
                table.optimize(cleanup_older_than=timedelta(0) if first else _KEPT)
        if len(self) >= _SCALAR_FROM:
            self._chips.create_index("id", config=BTree())
        index_vectors(self._chips)
        return int(self._chips.version)

    @property
    def chips(self) -> lancedb.table.Table:
        """The table itself."""
        return self._chips

    def sample(self, count: int) -> NDArray[np.float16]:
        """Return the embeddings [n, E] of the `count` chips of lowest ids, which are hashes: as good as drawn."""
        ids = self._chips.search().select(["id"]).limit(None).to_arrow()["id"].to_numpy(zero_copy_only=False)
        few = min(count, len(ids))
        chosen = np.argpartition(ids, few - 1)[:few]
        chosen = chosen[np.argsort(ids[chosen])]
        found = self._chips.take_offsets(chosen.tolist()).select(["id", "embedding"]).to_arrow().sort_by("id")
        vectors = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(vectors.reshape(few, -1))

    def bounds(self) -> tuple[float, float, float, float]:
        """Return west, south, east, north of all chips in degrees."""
        boxes = self._chips.search().select(["west", "south", "east", "north"]).limit(None).to_arrow()
        if pc.any(pc.greater(boxes["west"], boxes["east"])).as_py():
            return -180.0, pc.min(boxes["south"]).as_py(), 180.0, pc.max(boxes["north"]).as_py()
        west, south = pc.min(boxes["west"]).as_py(), pc.min(boxes["south"]).as_py()
        return west, south, pc.max(boxes["east"]).as_py(), pc.max(boxes["north"]).as_py()

    def __len__(self) -> int:
        return int(self._chips.count_rows())

    def _table(self, rows: list[dict[str, Any]], gsd_m: float) -> pa.Table:
        footprints = [row["footprint"] for row in rows]
        boxes = _boxes(shapely.from_wkb(footprints))
        embeddings = np.frombuffer(b"".join(row["embedding"] for row in rows), np.float32)
        acquired = [row["acquired"] for row in rows]
        columns = {
            "id": [row["id"] for row in rows],
            "block": [row["block"] for row in rows],
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(embeddings.astype(np.float16)), self._schema.field("embedding").type.list_size
            ),
            "footprint": footprints,
            **dict(zip(("west", "south", "east", "north"), boxes.T, strict=True)),
            "source": [row["source"] for row in rows],
            "acquired": acquired,
            "time": [None if text is None else moment(str(text)) for text in acquired],
            "gsd_m": [gsd_m] * len(rows),
            "jpeg": [row["jpeg"] for row in rows],
        }
        return pa.table(columns, schema=self._schema)


def _delete(table: lancedb.table.Table, column: str, values: Sequence[str]) -> None:
    for first in range(0, len(values), _AT_ONCE):
        listed = ", ".join(f"'{value}'" for value in values[first : first + _AT_ONCE])
        table.delete(f"{column} IN ({listed})")


def _boxes(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return west, south, east, north [N, 4] of footprints; of one in two parts across ±180°, west > east."""
    boxes: NDArray[np.float64] = shapely.bounds(shapes)
    for place in np.flatnonzero(shapely.get_num_geometries(shapes) > 1):
        parts = shapely.bounds(shapely.get_parts(shapes[place]))
        eastern = parts[:, 0] > 0
        boxes[place, 0], boxes[place, 2] = parts[eastern, 0].min(), parts[~eastern, 2].max()
    return boxes
