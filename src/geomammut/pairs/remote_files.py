"""Files at an address (http, https, s3, gs, az), read with seeks as files of this machine are."""

import http.client
import io
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyarrow.fs import FileSystem

from geomammut import __version__

HEADERS = {"User-Agent": f"geomammut/{__version__}"}
SILENCE_S = 30.0  # longest wait for a server
_READ_AHEAD = 2**22


def is_address(path: str) -> bool:
    """Return whether `path` is a URL rather than a file of this machine."""
    return "://" in path


def open_file(path: str, read_ahead: int = _READ_AHEAD) -> BinaryIO:
    """Open a file of this machine, or one at an address (s3, gs and az through Arrow), for reading with seeks."""
    if path.startswith(("http://", "https://")):
        return io.BufferedReader(_Ranges(path), read_ahead)
    if is_address(path):
        system, inside = FileSystem.from_uri(path)
        return cast(BinaryIO, io.BufferedReader(system.open_input_file(inside), read_ahead))
    return Path(path).open("rb")


class _Ranges(io.RawIOBase):
    """A file on a web server, read in pieces as they are asked for."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address, self._place = address, 0
        with self._ask(0, 1) as answer:
            if answer.status != 206:
                raise OSError(f"{address}: the server gives no parts of it; download it first")
            self._size = int(answer.headers["Content-Range"].rpartition("/")[2])

    def _ask(self, start: int, size: int) -> http.client.HTTPResponse:
        ranges = {"Range": f"bytes={start}-{start + size - 1}"}
        request = urllib.request.Request(self._address, headers=HEADERS | ranges)
        return cast(http.client.HTTPResponse, urllib.request.urlopen(request, timeout=SILENCE_S))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._place)
        if size <= 0:
            return 0
        with self._ask(self._place, size) as answer:
            data = answer.read(size)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place
