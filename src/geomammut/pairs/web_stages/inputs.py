"""Stage 0: what there is to filter: tables, WebDataset shards, Common Crawl, folders of images, here or far away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import daft
import pyarrow as pa
import pyarrow.compute as pc
from daft.io._generator import read_generator  # the only source in Python that Daft does not read far ahead of need
from daft.recordbatch import RecordBatch

from geomammut.errors import UserError
from geomammut.pairs.remote_files import is_address, open_file
from geomammut.pairs.web_stages import shards, tables, warc
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.input_files import (
    COMPRESSED,
    MAX_IMAGE_BYTES,
    READ_ERRORS,
    find,
    is_folder,
    read_inside,
)
from geomammut.pairs.web_stages.records import IMAGE, SCHEMA, NoColumnError, Record, record_batches
from geomammut.progress import console

ROWS_A_FILE = 2**32
ROWS_SCHEMA = pa.schema([("row", pa.int64()), *SCHEMA])
_ELSEWHERE = r"^\s*([A-Za-z][A-Za-z0-9+.-]*:|//)"
_FORMATS = "give .parquet, .csv, .tsv, .jsonl, .tar, .warc, .warc.gz, a folder of these, or one of images"
_LOOKED_AT = 10  # records of a file, before it is called unreadable
_CAPTIONS = ("metadata.jsonl", "metadata.csv")  # as Hugging Face's image folders have them
_KINDS: dict[str, tuple[str, ...]] = {
    "shard": shards.SUFFIXES,
    "warc": warc.SUFFIXES,
    "images": tuple(f".{suffix}" for suffix in shards.IMAGE_SUFFIXES),
    "table": tables.SUFFIXES,
}


@dataclass(frozen=True)
class Source:
    """One file of the input, or a folder of images.

    Attributes:
        path: Of this machine, or an address.
        kind: "table", "shard", "warc" or "images".
        images: Of a folder, their paths relative to it or their addresses, sorted.
    """

    path: str
    kind: str
    images: tuple[str, ...] = ()


def sources(
    inputs: Sequence[str | Path], url_column: str | None = None, text_column: str | None = None
) -> list[Source]:
    """Return what the inputs name, in their order; what is named twice, once.

    Args:
        inputs: Tables (Parquet, CSV, TSV, JSONL; the text ones also .gz, .zst, .bz2), WebDataset shards (.tar),
            WARC or WAT files, folders of any of these or of images, glob patterns, or addresses
            (http, https, s3, gs, az) of all but folders over http.
        url_column: Its name; by default the first of URL_COLUMNS that a table has.
        text_column: Likewise, of ALT_TEXT_COLUMNS.

    Raises:
        UserError: An input is missing or of no known kind, or the first file of one cannot be read or lacks
            a column.
    """
    groups = [_sources(str(given)) for given in inputs]
    found = _distinct(groups)
    rows = [_has_rows(group[0], url_column, text_column) for group in groups]
    if len(found) == 1 and not any(rows):
        raise UserError(f"{found[0].path} has no rows; give a table with at least one url")
    return found


def read_sources(
    found: Sequence[Source], numbers: range, url_column: str | None = None, text_column: str | None = None
) -> daft.DataFrame:
    """Read the files of these numbers among those found as one stream of rows.

    Args:
        found: What `sources` found, all of it: the files' numbers are part of the rows'.
        numbers: Which to read.
        url_column: As given to `sources`.
        text_column: Likewise.

    Returns:
        A lazy frame, read without holding it, in any order. Columns: `row` (int64: ROWS_A_FILE times the file's
        number, plus the place in it), `url`, `alt_text`, `image` (IMAGE, for `read_input_image`; null where the url
        must be fetched), `unreadable` (why this is no record; url and alt-text are null then).
    """
    generators = (
        partial(_numbered, found[number], number * ROWS_A_FILE, url_column, text_column) for number in numbers
    )
    return read_generator(generators, daft.Schema.from_pyarrow_schema(ROWS_SCHEMA))


def _distinct(groups: Sequence[Sequence[Source]]) -> list[Source]:
    if not groups:
        raise UserError("no inputs; give tables of urls and alt-texts, shards, WARC files or folders of images")
    found: dict[str, Source] = {}
    for group in groups:
        for source in group:
            found.setdefault(source.path, source)
    return list(found.values())


def place_of(row: int, found: Sequence[Source]) -> tuple[str, int]:
    """Return the file that a row is of, and its place in it, from 0."""
    number, place = divmod(row, ROWS_A_FILE)
    return found[number].path, place


def read_input_image(image: Mapping[str, Any]) -> bytes:
    """Return the bytes of an image that came with the input.

    Args:
        image: IMAGE: `file` relative to `folder` and inside it, or a path or address; there, `size` bytes (None: all)
            from `offset`.

    Raises:
        Dropped: It cannot or must not be read.
    """
    if image["folder"] is not None:
        return read_inside(image["file"], Path(image["folder"]))
    size = image["size"]
    if size is not None and size > MAX_IMAGE_BYTES:
        raise Dropped("too many bytes", str(size))
    try:
        with open_file(image["file"], read_ahead=2**16) as file:
            file.seek(image["offset"])
            data = file.read(MAX_IMAGE_BYTES + 1 if size is None else size)
    except READ_ERRORS as error:
        raise Dropped("no such file", _first_line(error)) from error
    if len(data) > MAX_IMAGE_BYTES:
        raise Dropped("too many bytes", f"more than {MAX_IMAGE_BYTES}")
    if size is not None and len(data) < size:
        raise Dropped("no such file", f"{image['file']} ends early")
    return data


def _sources(given: str) -> list[Source]:
    try:
        files = find(given)
    except READ_ERRORS as error:
        raise UserError(f"{given} cannot be listed ({_first_line(error)})") from error
    if not files:
        raise UserError(f"no input at {given}; give a table of urls and alt-texts, shards, WARC files or images")
    by_kind: dict[str, list[str]] = {}
    for file in files:
        by_kind.setdefault(_kind(file), []).append(file)
    kinds = [kind for kind in _KINDS if kind in by_kind]
    if not is_folder(given):
        if "" in by_kind:
            raise UserError(f"{by_kind[''][0]}: unknown format; {_FORMATS}")
        return [source for kind in kinds for source in _of_kind("", kind, by_kind[kind])]
    if not kinds:
        raise UserError(f"{given} holds nothing of a known format; {_FORMATS}")
    # Shards and images come with tables about themselves.
    kind = kinds[0]
    if kind == "images" and (others := [file for file in by_kind.get("table", []) if Path(file).name not in _CAPTIONS]):
        note = f"note: {given}: reading its images, not {Path(others[0]).name}; name a table to read that"
        console.print(note, markup=False, highlight=False)
    return _of_kind(given, kind, by_kind[kind])


def _of_kind(folder: str, kind: str, files: list[str]) -> list[Source]:
    if kind != "images":
        return [Source(file, kind) for file in files]
    if folder and not is_address(folder):
        return [Source(folder, kind, tuple(str(Path(file).relative_to(folder)) for file in files))]
    return [Source(folder or files[0], kind, tuple(files))]


def _kind(file: str) -> str:
    name = file.partition("?")[0].lower() if is_address(file) else file.lower()
    for suffix in COMPRESSED:
        if name.removesuffix(suffix).endswith(tables.SUFFIXES[1:]):
            return "table"
    return next((kind for kind, suffixes in _KINDS.items() if name.endswith(suffixes)), "")


def _has_rows(source: Source, url_column: str | None, text_column: str | None) -> bool:
    """Return whether there is anything in a source; what cannot be read at all is the user's mistake."""
    problems: list[str | None] = []
    try:
        if source.kind == "table":
            return next(tables.read_table(source.path, url_column, text_column), None) is not None
        records = islice(_records(source, url_column, text_column), _LOOKED_AT)
        problems = [record.unreadable for record in records]
    except NoColumnError as error:
        raise UserError(f"{source.path} has {error}") from error
    except READ_ERRORS as error:
        problems = [_first_line(error)]
    if problems and all(problems):
        advice = "check the address and the network; " if is_address(source.path) else ""
        raise UserError(
            f"{source.path} cannot be read ({problems[0]}); {advice}is it whole and of the format its name says?"
        )
    return bool(problems)


def _records(source: Source, url_column: str | None, text_column: str | None) -> Iterator[Record]:
    match source.kind:
        case "shard":
            return shards.read_shard(source.path, url_column, text_column)
        case "warc":
            return warc.read_warc(source.path)
        case _:
            return _images(source)


def _images(source: Source) -> Iterator[Record]:
    captions: dict[str, str] = {}
    local = source.path != "" and Path(source.path).is_dir()
    for name in _CAPTIONS:
        if local and (Path(source.path) / name).is_file():
            captions |= tables.read_captions(Path(source.path) / name)
    for file in source.images:
        folder, name = (source.path, file) if local else (None, file)
        caption = captions.get(name) or _caption_beside(folder, name)
        image = {"folder": folder, "file": name, "offset": 0, "size": None}
        yield Record(name if local else None, caption, image)


def _caption_beside(folder: str | None, image: str) -> str | None:
    text = str(Path(image).with_suffix(".txt")) if folder else image.rpartition(".")[0] + ".txt"
    try:
        data = read_input_image({"folder": folder, "file": text, "offset": 0, "size": None})
    except Dropped:
        return None
    return data.decode(errors="replace").strip() or None


def _numbered(source: Source, first: int, url_column: str | None, text_column: str | None) -> Iterator[RecordBatch]:
    """Yield the rows of a source, from row `first` on."""
    row = first
    for batch in _to_the_end(source, url_column, text_column):
        numbers = pa.array(range(row, row + len(batch)), pa.int64())
        row += len(batch)
        table = pa.table([numbers, *batch.columns], schema=ROWS_SCHEMA)
        if source.kind == "table" and not is_address(source.path):
            table = table.set_column(3, "image", _beside(batch["url"], str(Path(source.path).parent.resolve())))
        yield RecordBatch.from_arrow_table(table)


def _to_the_end(source: Source, url_column: str | None, text_column: str | None) -> Iterator[pa.RecordBatch]:
    try:
        if source.kind == "table":
            yield from tables.read_table(source.path, url_column, text_column)
        else:
            yield from record_batches(_records(source, url_column, text_column))
    except READ_ERRORS as error:
        yield from record_batches([Record(unreadable=f"{source.path} from here on: {_first_line(error)}")])


def _beside(urls: pa.Array, folder: str) -> pa.Array:
    """Return, for urls that are paths, where the images lie: relative to the table's folder."""
    paths = pc.and_(pc.invert(pc.match_substring_regex(urls, _ELSEWHERE)), pc.greater(pc.binary_length(urls), 0))
    files = pc.if_else(pc.fill_null(paths, False), urls, None)
    folders = pc.if_else(files.is_valid(), folder, None)
    offsets = pc.if_else(files.is_valid(), 0, None)
    columns = [folders, files, offsets, pa.nulls(len(urls), pa.int64())]
    return pa.StructArray.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, IMAGE, strict=True)],
        fields=list(IMAGE),
        mask=files.is_null(),
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
