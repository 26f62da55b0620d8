"""The index over an archive's embeddings, and how it is asked; the figures behind the choice are in docs/results.md."""

import numpy as np
import pyarrow as pa
from lancedb.index import IvfSq
from lancedb.query import LanceVectorQueryBuilder
from lancedb.table import Table
from numpy.typing import NDArray

COLUMN = "embedding"
INDEXED_FROM = 50_000  # chips, up to which every one is looked at
_ROWS_A_PARTITION = 4096
_PROBED = 24  # parts of the archive that a query looks into, at most
_COMPARED = 40  # rows whose exact embeddings are compared, at least
_TRAINED_ON = 64  # rows for each part, from which the parts are found
_ROUNDS = 10
_NEW = 0.3  # the share of rows not in the index from which it is made anew


def partitions_of(rows: int) -> int:
    """Return into how many parts an archive is divided."""
    return max(1, rows // _ROWS_A_PARTITION)


def probed(partitions: int) -> int:
    """Return into how many of the parts a query looks."""
    return min(_PROBED, partitions)


def index_vectors(table: Table) -> None:
    """Index a table of embeddings where it is large: in parts around centres (IVF), 8 bits for each number.

    What `optimize` has added to an index stays there; it is made anew where much is not in it yet.
    """
    rows = table.count_rows()
    if rows < INDEXED_FROM:
        return
    stats = table.index_stats(f"{COLUMN}_idx")
    if stats is not None and stats.num_unindexed_rows < _NEW * rows:
        return
    config = IvfSq(
        distance_type="cosine",
        num_partitions=partitions_of(rows),
        max_iterations=_ROUNDS,
        sample_rate=_TRAINED_ON,
    )
    table.create_index(COLUMN, config=config, replace=True)


def nearest(
    table: Table, query: NDArray[np.float32], count: int, columns: list[str], where: str | None = None
) -> pa.Table:
    """Return `columns` of the `count` rows whose embeddings have the largest cosine with `query` [E], and `_distance`.

    Args:
        table: Of an archive's chips.
        query: float32 [E].
        count: How many.
        columns: Which.
        where: A condition in SQL on the rows asked.
    """
    asked = table.search(query, vector_column_name=COLUMN, query_type="vector")
    assert isinstance(asked, LanceVectorQueryBuilder)
    asked = asked.distance_type("cosine").nprobes(_PROBED).refine_factor(max(2, _COMPARED // count))
    asked = asked.limit(count).select([*columns, "_distance"])
    if where is not None:
        asked = asked.where(where, prefilter=True)
    return asked.to_arrow()
