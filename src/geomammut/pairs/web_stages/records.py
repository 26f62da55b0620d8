"""A record of the web inputs, whatever file it came from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

URL_COLUMNS = tuple("url image_url img_url imageurl image src link file file_name filename path".split())
ALT_TEXT_COLUMNS = tuple("alt alt_text alttext alt-text text caption top_caption title description".split())

# Where an image lies that came with the input; see `input_images.read_input_image`.
IMAGE = pa.struct([("folder", pa.string()), ("file", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])
SCHEMA = pa.schema(
    [("url", pa.string()), ("alt_text", pa.string()), ("image", IMAGE), ("unreadable", pa.string())],
)
_BATCH = 8192


@dataclass(frozen=True, slots=True)
class Record:
    """One url with its alt-text.

    Attributes:
        url: As it stands in the input.
        alt_text: Likewise.
        image: IMAGE, where the image came with the input.
        unreadable: Why this is no record, though it stands where one should; the rest is None then.
    """

    url: str | None = None
    alt_text: str | None = None
    image: dict[str, Any] | None = None
    unreadable: str | None = None


class NoColumnError(ValueError):
    """A table lacks a column; the message names those that it has."""


def record_batches(records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    """Yield records as Arrow batches of SCHEMA."""
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        columns = [
            strings([record.url for record in batch]),
            strings([record.alt_text for record in batch]),
            pa.array([record.image for record in batch], IMAGE),
            strings([record.unreadable for record in batch]),
        ]
        yield pa.record_batch(columns, schema=SCHEMA)


def strings(values: list[str | None]) -> pa.Array:
    """Return an Arrow array of the values; a lone surrogate, which has no UTF-8, becomes a question mark."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([v if v is None else v.encode(errors="replace").decode() for v in values], pa.string())


def column(columns: list[str], what: str, usual: tuple[str, ...], given: str | None) -> str:
    """Return which of `columns` is `given`, or has a usual name; case does not matter, the first listed wins.

    Raises:
        NoColumnError: None is.
    """
    if given is not None:
        if given in columns:
            return given
        raise NoColumnError(f"no column {given!r} among {', '.join(columns)}")
    by_lower = {name.lower().strip(): name for name in reversed(columns)}
    for name in usual:
        if name in by_lower:
            return by_lower[name]
    option = "--url-column" if what == "url" else "--text-column"
    raise NoColumnError(f"no {what} column among {', '.join(columns)}; name one {usual[0]!r}, or tell it by {option}")
