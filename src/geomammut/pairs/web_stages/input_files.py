"""Files of the web inputs, here or at an address (http, https, s3, gs, az), opened and found; none is trusted."""

import glob
import io
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem

from geomammut.pairs.remote_files import is_address, open_file
from geomammut.pairs.web_stages.dropped import Dropped

MAX_IMAGE_BYTES = 32 * 2**20
MAX_LINE_BYTES = 2**24
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
# What reading a file that is gone, broken or of another kind may raise.
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, pa.ArrowException)

_READ_AHEAD = 2**22
_GLOB = re.compile(r"[*?\[]")


def is_folder(path: str) -> bool:
    """Return whether `path` is a folder of this machine, or stands for one at an address."""
    return path.endswith("/") if is_address(path) else Path(path).is_dir()


def open_text(path: str) -> BinaryIO:
    """Open a file of lines, decompressed as its suffix says."""
    file = open_file(path)
    codec = COMPRESSED.get(Path(path).suffix.lower())
    return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(file, codec), _READ_AHEAD)) if codec else file


def lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a file with their ends; None for one that is longer than MAX_LINE_BYTES."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)
        yield None


def find(pattern: str) -> list[str]:
    """Return the files that `pattern` names, sorted: itself, those of a folder, or those a glob pattern fits."""
    if pattern.startswith(("http://", "https://")):
        return [pattern]
    if is_address(pattern):
        return _find_at(pattern)
    path = Path(pattern)
    if path.is_dir():
        return sorted(str(file) for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    if path.exists():
        return [pattern]
    return sorted(file for file in glob.glob(pattern, recursive=True) if Path(file).is_file())  # noqa: PTH207


def _find_at(pattern: str) -> list[str]:
    start = _GLOB.split(pattern)[0]
    if start == pattern and not pattern.endswith("/"):
        return [pattern]
    folder = start[: start.rindex("/") + 1]
    system, inside = FileSystem.from_uri(folder.rstrip("/"))
    files = system.get_file_info(FileSelector(inside, recursive=True, allow_not_found=True))
    paths = [folder + file.path.removeprefix(inside).lstrip("/") for file in files if file.is_file]
    return sorted(path for path in paths if start == pattern or fnmatchcase(path, pattern))


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)


def read_inside(path: str, folder: Path) -> bytes:
    """Return the bytes of the file at `path`, relative to `folder`, that lies inside it when links are followed.

    Raises:
        Dropped: It leads out, is none, or is larger than MAX_IMAGE_BYTES.
    """
    if "\0" in path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise Dropped("path leaves the table's folder", path)
    home = folder.resolve()
    try:
        file = (home / path).resolve(strict=True)  # follows links: one that leads out is seen here
        if not file.is_relative_to(home):
            raise Dropped("path leaves the table's folder", path)
        if not file.is_file():
            raise Dropped("no such file", path)
        if file.stat().st_size > MAX_IMAGE_BYTES:
            raise Dropped("too many bytes", str(file.stat().st_size))
        return file.read_bytes()
    except (OSError, RuntimeError) as error:
        raise Dropped("no such file", path) from error
