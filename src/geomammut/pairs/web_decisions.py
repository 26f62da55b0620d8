"""What became of every row of `pairs web`, a stretch at a time: `decisions.parquet`, and the pairs that are left."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geomammut.pairs.web_run import LOOKED_SCHEMA, VERDICTS, Plan, WebRun

DECISIONS = "decisions.parquet"
DECISIONS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # in the input
        ("url", pa.string()),
        ("alt_text", pa.string()),
        ("keyword", pa.string()),  # what spoke for it in the text stage
        ("text_score", pa.float64()),  # of the text classifier
        ("caption", pa.string()),
        ("language", pa.string()),
        ("width", pa.int32()),  # as stored
        ("height", pa.int32()),
        ("original_pixels", pa.int64()),  # width × height as it came
        ("aerial_probability", pa.float64()),  # of the classifier
        ("stage", pa.string()),  # that dropped it; null where it was kept
        ("reason", pa.string()),  # as counted in funnel.json; null where it was kept
        ("detail", pa.string()),
        ("duplicate_of", pa.int64()),  # row
        ("id", pa.string()),  # of its pair; null where it was dropped
    ]
)
_VERDICT = ("stage", "reason", "detail", "duplicate_of")
_SEEN = ("width", "height", "original_pixels", "aerial_probability", "id")
_IMAGE = ("part", "jpeg_offset", "jpeg_bytes")

Reasons = Counter[tuple[str, str]]  # (stage, reason) → rows


def decide(run: WebRun, plan: Plan, path: Path, reasons: Reasons) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Write what became of every row to `path`, in their order, and yield those kept, with their images.

    Args:
        run: All steps of it done.
        plan: Its plan.
        path: Of the new `decisions.parquet` (DECISIONS_SCHEMA); whole when the last row is drawn.
        reasons: Counts the rows that were dropped.
    """
    with pq.ParquetWriter(path, DECISIONS_SCHEMA, compression="zstd") as writer:
        for stretch in plan.stretches:
            rows = _decided(run, plan, stretch)
            writer.write_table(rows.select(DECISIONS_SCHEMA.names))
            for count in rows.group_by(["stage", "reason"]).aggregate([("row", "count")]).to_pylist():
                if count["stage"] is not None:
                    reasons[count["stage"], count["reason"]] += count["row_count"]
            yield from _with_images(run, rows.filter(pc.is_null(rows["stage"])))


def _decided(run: WebRun, plan: Plan, stretch: int) -> pa.Table:
    """Return the decisions on the rows of a stretch, in their order, with where their images lie (_IMAGE)."""
    judged = run.judged(stretch)
    rows = judged["row"].combine_chunks()
    first, last = rows[0].as_py(), rows[-1].as_py()
    looked = _looked(run, plan, first, last)
    found = [run.found(step, first, last) for step in reversed(VERDICTS)]
    columns = {name: judged[name] for name in judged.column_names}
    columns |= {name: _at(rows, looked, name) for name in looked.column_names if name in (*_SEEN, *_IMAGE)}
    for name in _VERDICT:  # the last stage that saw a row has the word
        sources = [source for source in (*found, looked, judged) if source is not None and name in source.column_names]
        columns[name] = pc.coalesce(*(_at(rows, source, name) for source in sources))
    kept = pc.is_null(columns["stage"])
    columns["id"] = pc.if_else(kept, columns["id"], None)
    if pc.any(pc.and_(kept, pc.is_null(columns["id"]))).as_py():
        raise AssertionError("a row of the input went through no stage to its end")
    schema = pa.schema([*DECISIONS_SCHEMA, *(pa.field(name, pa.int64()) for name in _IMAGE)])
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _looked(run: WebRun, plan: Plan, first: int, last: int) -> pa.Table:
    tables = [LOOKED_SCHEMA.empty_table().append_column("part", pa.array([], pa.int64()))]
    for partition in plan.partitions:
        if partition.first <= last and first <= partition.last:
            looked = run.looked(partition)
            tables.append(looked.append_column("part", pa.array([partition.number] * len(looked), pa.int64())))
    return pa.concat_tables(tables)


def _at(rows: pa.Array, source: pa.Table, name: str) -> pa.Array:
    """Return `source`'s column `name` at `rows`, null where it has no such row."""
    return source[name].combine_chunks().take(pc.index_in(rows, value_set=source["row"].combine_chunks()))


def _with_images(run: WebRun, kept: pa.Table) -> Iterator[tuple[dict[str, Any], bytes]]:
    for row in kept.to_pylist():
        with run.images(row["part"]).open("rb") as images:
            images.seek(row["jpeg_offset"])
            yield row, images.read(row["jpeg_bytes"])
