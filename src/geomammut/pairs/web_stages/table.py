"""A table of the web: url + alt-text, in whatever columns and format it came."""

from pathlib import Path

import daft
import pyarrow as pa
from daft import DataType, col
from daft.functions import monotonically_increasing_id

from geomammut.errors import UserError

URL_COLUMNS = tuple("url image_url img_url imageurl image src link file file_name filename path".split())
ALT_TEXT_COLUMNS = tuple("alt alt_text alttext alt-text text caption top_caption title description".split())


def read_web_table(table: Path) -> pa.Table:
    """Read `table` as rows of `row` (position, from 0), `url` and `alt_text`, strings that may be null.

    The two columns are found by their usual names (URL_COLUMNS, ALT_TEXT_COLUMNS; case does not matter,
    the first listed wins).

    Raises:
        UserError: No such file, an unknown format, no such columns, or a file that cannot be read.
    """
    if not table.is_file():
        raise UserError(
            f"no table at {table}; give a parquet, CSV, TSV or JSONL file with a url and an alt-text column"
        )
    try:
        frame = _open(table)
        columns = frame.column_names
        url = _column(table, columns, "url", URL_COLUMNS)
        alt_text = _column(table, columns, "alt-text", ALT_TEXT_COLUMNS)
        rows = frame.select(
            monotonically_increasing_id().cast(DataType.int64()).alias("row"),
            col(url).cast(DataType.string()).alias("url"),
            col(alt_text).cast(DataType.string()).alias("alt_text"),
        ).to_arrow()
    except (daft.exceptions.DaftCoreException, FileNotFoundError, ValueError) as error:
        raise UserError(
            f"{table} cannot be read ({_first_line(error)}); is it whole and of the format its name says?"
        ) from error
    if not len(rows):
        raise UserError(f"{table} has no rows; give a table with at least one url")
    return rows.sort_by("row")


def _open(table: Path) -> daft.DataFrame:
    # Daft takes a path for a glob pattern.
    path = "".join(f"\\{letter}" if letter in "*?[]{}" else letter for letter in str(table))
    match table.suffix.lower():
        case ".parquet":
            return daft.read_parquet(path)
        case ".csv" | ".tsv" as suffix:
            # Read as strings: a column that starts with numbers may go on with words. A ragged line is one
            # bad record, not a bad table.
            delimiter = "," if suffix == ".csv" else "\t"
            columns = daft.read_csv(path, delimiter=delimiter, allow_variable_columns=True).column_names
            return daft.read_csv(
                path,
                delimiter=delimiter,
                allow_variable_columns=True,
                schema={name: DataType.string() for name in columns},
            )
        case ".jsonl" | ".ndjson" | ".json":
            columns = daft.read_json(path).column_names
            return daft.read_json(path, schema={name: DataType.string() for name in columns})
        case other:
            raise UserError(f"{table}: unknown table format {other!r}; give .parquet, .csv, .tsv or .jsonl")


def _column(table: Path, columns: list[str], what: str, usual: tuple[str, ...]) -> str:
    by_lower = {name.lower().strip(): name for name in reversed(columns)}
    for name in usual:
        if name in by_lower:
            return by_lower[name]
    raise UserError(f"{table} has no {what} column among {', '.join(columns)}; name one {usual[0]!r}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
