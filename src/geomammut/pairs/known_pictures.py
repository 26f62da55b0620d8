"""Fingerprints of pictures that are known already, of pair sets and benchmarks, in the user's data folder."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
_FILE_BITS = 40  # of a number: which picture of a file; those above say which file
_BATCH = 1024

Picture = tuple[str, Callable[[], bytes]]  # its name, and what reads its file


def write_known(out: Path, pictures: Iterable[Picture], total: int, about: dict[str, str]) -> tuple[int, int]:
    """Write fingerprints of pictures to the file `out`, whole or not at all.

    Args:
        out: Parquet, SCHEMA.
        pictures: In the order in which they are numbered.
        total: How many, for the progress bar.
        about: Texts kept with them, in the file's metadata.

    Returns:
        How many were written, and how many could not be read and were left out.

    Raises:
        UserError: None could be read.
    """
    written = broken = 0
    waiting = iter(track(pictures, "fingerprinting images", total))
    with whole_file(out) as path, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        with pq.ParquetWriter(path, SCHEMA.with_metadata(about), compression="zstd") as file:
            while batch := list(islice(waiting, _BATCH)):
                found = [(name, made) for (name, _), made in zip(batch, pool.map(_made, batch), strict=True) if made]
                numbers = range(written, written + len(found))
                names, prints = ([each[place] for each in found] for place in (0, 1))
                file.write_table(pa.table([numbers, names, prints], schema=SCHEMA.with_metadata(about)))
                written += len(found)
                broken += len(batch) - len(found)
        if not written:
            raise UserError("none of these images can be read" if broken else "there is no image")
    return written, broken


def _made(picture: Picture) -> bytes | None:
    try:
        return fingerprint(open_picture(io.BytesIO(picture[1]())))
    except UNREADABLE:
        return None


def of_pair_set(folder: Path) -> Path:
    """Return the file with the fingerprints of a pair set's images; made once, and kept in the data folder.

    Raises:
        UserError: The folder is no pair set, or no image of it can be read.
    """
    metadata = Path(folder) / "pairs.parquet"
    pairs = PairSet(folder)
    file = data_folder() / "fingerprints" / f"{content_id(metadata.read_bytes())}.parquet"
    if not file.is_file():
        write_known(file, pictures_of_pair_set(pairs), len(pairs), {"source": str(Path(folder).resolve())})
    return file


def pictures_of_pair_set(pairs: PairSet) -> Iterator[Picture]:
    for index, name in enumerate(pairs.ids):
        yield name, partial(_jpeg, pairs, index)


def _jpeg(pairs: PairSet, index: int) -> bytes:
    return pairs.read_jpegs([index])[0]


def read_known(files: Sequence[Path]) -> daft.DataFrame:
    """Return `number`, `image` and `fingerprint` of the pictures in some files; see `file_of`."""
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
