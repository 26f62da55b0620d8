"""The index over an archive's embeddings, and how it is asked; the figures behind the choice are in docs/results.md."""

import math

import numpy as np
import pyarrow as pa
from lancedb.index import IvfPq
from lancedb.table import Table
from numpy.typing import NDArray

COLUMN = "embedding"
INDEXED_FROM = 50_000  # chips, up to which every one is looked at
_DIMENSIONS_A_CODE = 8
_PROBED = 40  # parts of the archive that a query looks into
_REFINED = 10  # times as many as wanted are compared exactly


def index_vectors(table: Table) -> None:
    """Index a table of embeddings, or add what is new to its index; a small table is not indexed."""
    rows = table.count_rows()
    if rows < INDEXED_FROM:
        return
    stats = table.index_stats(f"{COLUMN}_idx")
    if stats is not None and stats.num_unindexed_rows == 0:
        return
    dimensions = table.schema.field(COLUMN).type.list_size
    codes = next(codes for codes in range(max(1, dimensions // _DIMENSIONS_A_CODE), 0, -1) if dimensions % codes == 0)
    config = IvfPq(distance_type="cosine", num_partitions=round(math.sqrt(rows)), num_sub_vectors=codes)
    table.create_index(COLUMN, config=config, replace=True)


def nearest(
    table: Table, query: NDArray[np.float32], count: int, columns: list[str], where: str | None = None
) -> pa.Table:
    """Return `columns` of the `count` rows whose embeddings have the largest cosine with `query` [E], and `_distance`.

    Args:
        where: A condition in SQL on the rows asked.
    """
    asked = table.search(query, vector_column_name=COLUMN).distance_type("cosine")
    asked = asked.nprobes(_PROBED).refine_factor(_REFINED).limit(count).select([*columns, "_distance"])
    if where is not None:
        asked = asked.where(where, prefilter=True)
    return asked.to_arrow()
