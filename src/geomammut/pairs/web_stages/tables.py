"""Tables of the web: url + alt-text, in whatever columns and format they come."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from geomammut.pairs.remote_files import open_file
from geomammut.pairs.web_stages.input_files import COMPRESSED, lines, open_text
from geomammut.pairs.web_stages.records import (
    ALT_TEXT_COLUMNS,
    SCHEMA,
    URL_COLUMNS,
    Record,
    column,
    record_batches,
)

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_PARQUET_BATCH = 32768
_LOOKED_AT = 100  # objects of JSONL that tell its columns


def read_table(path: str, url_column: str | None, text_column: str | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table as batches of SCHEMA, in their order.

    A line that is none is a row of its own, `unreadable`. The columns are found by their usual names
    (URL_COLUMNS, ALT_TEXT_COLUMNS) unless they are named.

    Raises:
        NoColumnError: The table has no such column.
        READ_ERRORS: It is broken, as a whole or from some place on.
    """
    suffix = table_suffix(path)
    if suffix == ".parquet":
        yield from _parquet(path, url_column, text_column)
        return
    with open_text(path) as file:
        if suffix in (".csv", ".tsv"):
            records = _csv(file, "," if suffix == ".csv" else "\t", url_column, text_column)
        else:
            records = _jsonl(file, url_column, text_column)
        yield from record_batches(records)


def table_suffix(path: str) -> str:
    """Return the suffix that tells a table's format, without that of its compression."""
    name = Path(path.partition("?")[0])
    return (Path(name.stem) if name.suffix.lower() in COMPRESSED else name).suffix.lower()


def read_captions(path: Path) -> dict[str, str]:
    """Return file name → caption of a `metadata.jsonl` or `metadata.csv` that stands beside images."""
    captions: dict[str, str] = {}
    for batch in read_table(str(path), None, None):
        for name, caption in zip(batch["url"].to_pylist(), batch["alt_text"].to_pylist(), strict=True):
            if name and caption:
                captions.setdefault(name, caption)
    return captions


def _parquet(path: str, url_column: str | None, text_column: str | None) -> Iterator[pa.RecordBatch]:
    with open_file(path) as file:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
        url, text = _columns(names, url_column, text_column)
        for batch in table.iter_batches(_PARQUET_BATCH, columns=list(dict.fromkeys([url, text]))):
            nothing = [pa.nulls(len(batch), SCHEMA.field(name).type) for name in ("image", "unreadable")]
            yield pa.record_batch([_as_strings(batch[url]), _as_strings(batch[text]), *nothing], schema=SCHEMA)


def _as_strings(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_nested(values.type):
        return pa.nulls(len(values), pa.string())
    try:
        read = values.cast(pa.string())
        read.validate(full=True)  # a file may claim UTF-8 for anything
        return read
    except pa.ArrowInvalid:
        raw = values.cast(pa.binary()).to_pylist()
        return pa.array([None if value is None else value.decode(errors="replace") for value in raw], pa.string())


def _columns(names: list[str], url_column: str | None, text_column: str | None) -> tuple[str, str]:
    return column(names, "url", URL_COLUMNS, url_column), column(names, "alt-text", ALT_TEXT_COLUMNS, text_column)


def _csv(file: BinaryIO, delimiter: str, url_column: str | None, text_column: str | None) -> Iterator[Record]:
    # Python's reader goes on after what it cannot read; faster ones give up, or lose count.
    rows = csv.reader(_decoded(file), delimiter=delimiter)
    header = next(rows, None)
    if header is None:
        return
    url, text = map(header.index, _columns(header, url_column, text_column))
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(unreadable=f"no line of CSV: {error}")
            continue
        if len(row) == len(header):
            yield Record(row[url] or None, row[text] or None)
        elif row:
            yield Record(unreadable=f"{len(row)} fields where the header has {len(header)}")


def _decoded(file: BinaryIO) -> Iterator[str]:
    encoding = "utf-8-sig"
    for line in lines(file):
        # What is too long becomes a line of its own that no header fits.
        yield "\n" if line is None else line.decode(encoding, errors="replace")
        encoding = "utf-8"


def _jsonl(file: BinaryIO, url_column: str | None, text_column: str | None) -> Iterator[Record]:
    waiting: list[dict[str, Any] | str] = []
    names: list[str] = []
    columns: tuple[str, str] | None = None
    for line in lines(file):
        if line is not None and not line.strip():
            continue
        read = _object(line)
        if columns is not None:
            yield _record(read, *columns)
            continue
        waiting.append(read)
        if isinstance(read, dict):
            names += [name for name in read if name not in names]
        if len(waiting) == _LOOKED_AT:
            columns = _columns(names, url_column, text_column)
            yield from (_record(each, *columns) for each in waiting)
    if columns is None and waiting:
        if not names:
            raise ValueError("no line is a JSON object")
        columns = _columns(names, url_column, text_column)
        yield from (_record(each, *columns) for each in waiting)


def _object(line: bytes | None) -> dict[str, Any] | str:
    """Return the object on a line, or why it holds none."""
    if line is None:
        return "too long a line"
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return read if isinstance(read, dict) else "no JSON object"


def _record(read: dict[str, Any] | str, url: str, text: str) -> Record:
    if isinstance(read, str):
        return Record(unreadable=read)
    values = read.get(url), read.get(text)
    if any(isinstance(value, list | dict) for value in values):
        return Record(unreadable="url or alt-text is no string")
    told, alt_text = (value if value is None or isinstance(value, str) else str(value) for value in values)
    return Record(told, alt_text)
