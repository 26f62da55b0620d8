"""Fingerprints of pictures that are known already, of pair sets and benchmarks, in the user's data folder."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import daft
import pyarrow as pa
import pyarrow.parquet as pq
from daft import col, lit

from geomammut.errors import UserError
from geomammut.files import content_id, data_folder, whole_file
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web_stages.fingerprints import fingerprint
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import track

SCHEMA = pa.schema([("number", pa.int64()), ("image", pa.string()), ("fingerprint", pa.binary())])
EMBEDDED_SCHEMA = SCHEMA.append(pa.field("embedding", pa.binary()))  # see `embeddings.packed`
_FILE_BITS = 40  # of a number: which picture of a file; those above say which file
_BATCH = 1024

Picture = tuple[str, Callable[[], bytes]]  # its name, and what reads its file


@dataclass(frozen=True)
class Embedder:
    """A model that embeds pictures.

    Attributes:
        name: Of the model: another one has another name.
        embed: Gives for encoded images their embeddings as `embeddings.packed` stores them.
    """

    name: str
    embed: Callable[[Sequence[bytes]], list[bytes | None]]


def write_known(
    out: Path, pictures: Iterable[Picture], total: int, about: dict[str, str], embedder: Embedder | None = None
) -> tuple[int, int]:
    """Write fingerprints of pictures to the file `out`, whole or not at all.

    Args:
        out: Parquet, SCHEMA; EMBEDDED_SCHEMA with an embedder.
        pictures: In the order in which they are numbered.
        total: How many, for the progress bar.
        about: Texts kept with them, in the file's metadata.
        embedder: Embeds them too, if given.

    Returns:
        How many were written, and how many could not be read and were left out.

    Raises:
        UserError: None could be read.
    """
    written = broken = 0
    waiting = iter(track(pictures, "fingerprinting images", total))
    schema = (SCHEMA if embedder is None else EMBEDDED_SCHEMA).with_metadata(about)
    with whole_file(out) as path, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            while batch := list(islice(waiting, _BATCH)):
                found = [made for made in pool.map(_made, batch) if made is not None]
                numbers = range(written, written + len(found))
                names, prints = ([each[place] for each in found] for place in (0, 1))
                embeddings = [] if embedder is None else [embedder.embed([data for _, _, data in found])]
                file.write_table(pa.table([numbers, names, prints, *embeddings], schema=schema))
                written += len(found)
                broken += len(batch) - len(found)
        if not written:
            raise UserError("none of these images can be read" if broken else "there is no image")
    return written, broken


def _made(picture: Picture) -> tuple[str, bytes, bytes] | None:
    """Return a picture's name, fingerprint and bytes; None if it cannot be read."""
    name, read = picture
    try:
        data = read()
        return name, fingerprint(open_picture(io.BytesIO(data))), data
    except UNREADABLE:
        return None


def of_pair_set(folder: Path, embedder: Embedder | None = None) -> Path:
    """Return the file with the fingerprints of a pair set's images; made once, and kept in the data folder.

    Args:
        folder: The pair set's.
        embedder: Embeds them too, if given.

    Raises:
        UserError: The folder is no pair set, or no image of it can be read.
    """
    metadata = Path(folder) / "pairs.parquet"
    pairs = PairSet(folder)
    known_by = [metadata.read_bytes()] if embedder is None else [metadata.read_bytes(), embedder.name]
    file = data_folder() / "fingerprints" / f"{content_id(*known_by)}.parquet"
    if not file.is_file():
        about = {"source": str(Path(folder).resolve())}
        write_known(file, pictures_of_pair_set(pairs), len(pairs), about, embedder)
    return file


def pictures_of_pair_set(pairs: PairSet) -> Iterator[Picture]:
    for index, name in enumerate(pairs.ids):
        yield name, partial(_jpeg, pairs, index)


def _jpeg(pairs: PairSet, index: int) -> bytes:
    return pairs.read_jpegs([index])[0]


def read_known(files: Sequence[Path]) -> daft.DataFrame:
    """Return what stands in some files (SCHEMA, or all EMBEDDED_SCHEMA) of their pictures; see `file_of`."""
    frames = [
        daft.read_parquet(str(file)).with_column("number", col("number") + lit(place << _FILE_BITS))
        for place, file in enumerate(files)
    ]
    known = frames[0]
    for frame in frames[1:]:
        known = known.concat(frame)
    return known


def file_of(number: int) -> int:
    """Return the place, among the files read, of that which a number of `read_known` is from."""
    return number >> _FILE_BITS
