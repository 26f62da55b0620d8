"""Stage 3: the bytes behind a url: a public web address, or a file beside the table."""

import http.client
import io
import ipaddress
import logging
import os
import socket
import ssl
import time
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

import stamina

from geomammut import __version__
from geomammut.pairs.web_stages.dropped import Dropped

MAX_BYTES = 32 * 2**20
MAX_REDIRECTS = 5
SILENCE_S = 10.0  # longest wait for the next bytes
DEADLINE_S = 30.0  # longest download, from the first connection to the last byte
ATTEMPTS = 3
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECT_STATUS = {301, 302, 303, 307, 308}
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
HEADERS = {"User-Agent": f"geomammut/{__version__}", "Accept": "image/*", "Connection": "close"}

# Addresses that may be asked though they are not public: ADDRESS:PORT, separated by commas, each in full. For
# a mirror inside one's own network, and for tests. Every other private address stays refused, after redirects
# too.
ALLOWED_VARIABLE = "GEOMAMMUT_ALLOWED_ADDRESSES"

NAT64 = ipaddress.ip_network("64:ff9b::/96")

# A retried url is counted by the funnel; without a handler each would also be a line on stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())


def fetch(url: str, folder: Path) -> bytes:
    """Return what stands at `url`: http(s), or a path relative to `folder` that stays inside it.

    At most MAX_BYTES, DEADLINE_S and MAX_REDIRECTS; failures that may pass are tried ATTEMPTS times.

    Raises:
        Dropped: It cannot or must not be read; the reason says why.
    """
    scheme = _split(url).scheme
    if scheme in DEFAULT_PORTS:
        return _fetch_web(url)
    if scheme or url.startswith("//"):
        raise Dropped("neither http(s) nor a relative path", url)
    return _read_file(url, folder)


def _read_file(path: str, folder: Path) -> bytes:
    if "\0" in path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise Dropped("path leaves the table's folder", path)
    home = folder.resolve()
    try:
        file = (home / path).resolve(strict=True)  # follows links: one that leads out is seen here
        if not file.is_relative_to(home):
            raise Dropped("path leaves the table's folder", path)
        if not file.is_file():
            raise Dropped("no such file", path)
        if file.stat().st_size > MAX_BYTES:
            raise Dropped("too many bytes", str(file.stat().st_size))
        return file.read_bytes()
    except (OSError, RuntimeError) as error:
        raise Dropped("no such file", path) from error


class _TryAgainError(Exception):
    """The server may answer if asked again; else it is `dropped`."""

    def __init__(self, dropped: Dropped) -> None:
        super().__init__(str(dropped))
        self.dropped = dropped


def _fetch_web(url: str) -> bytes:
    @stamina.retry(on=_TryAgainError, attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=3.0, wait_jitter=0.3)
    def ask() -> bytes:
        try:
            return _download(url, time.monotonic() + DEADLINE_S)
        except TimeoutError as error:
            raise Dropped("timed out", str(error)) from error
        except ssl.SSLError as error:
            raise Dropped("connection failed", str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgainError(Dropped("connection failed", repr(error))) from error

    try:
        return ask()
    except _TryAgainError as error:
        raise error.dropped from error


def _download(url: str, deadline: float) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        parts = _split(url)
        if parts.scheme not in DEFAULT_PORTS:
            raise Dropped("redirected away from http(s)", url)
        connection = http.client.HTTPConnection(cast(str, parts.hostname), _port(parts))
        connection.default_port = DEFAULT_PORTS[parts.scheme]  # left out of the Host header
        connection.sock = cast(socket.socket, _connect(parts, deadline))
        try:
            target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request("GET", target, headers=HEADERS)
            answer = connection.getresponse()
            location = answer.headers.get("Location")
            if answer.status in REDIRECT_STATUS and location:
                url = urljoin(url, location)
                continue
            if answer.status != 200:
                dropped = Dropped("server refused", f"HTTP {answer.status}")
                raise _TryAgainError(dropped) if answer.status in TRANSIENT_STATUS else dropped
            data = answer.read(MAX_BYTES + 1)
        except (http.client.InvalidURL, ValueError) as error:
            raise Dropped("malformed url", str(error)) from error
        finally:
            connection.close()
        if len(data) > MAX_BYTES:
            raise Dropped("too many bytes", f"more than {MAX_BYTES}")
        if answer.length:  # `read` with a size does not tell an early end
            raise http.client.IncompleteRead(data, answer.length)
        return data
    raise Dropped("too many redirects", url)


def _split(url: str) -> SplitResult:
    """Split `url`, percent-encoding what tables leave raw (spaces, accents), or drop what is none."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme in DEFAULT_PORTS:
            if not parts.hostname or parts.username is not None:
                raise ValueError("no host, or a user's name before it")
            _ = parts.port  # raises if it is no number
    except ValueError as error:
        raise Dropped("malformed url", f"{url}: {error}") from error
    safe = "%/:=&?~+!$,;'@()*[]"
    return parts._replace(path=quote(parts.path, safe=safe), query=quote(parts.query, safe=safe), fragment="")


def _connect(parts: SplitResult, deadline: float) -> "_TimedSocket":
    """Connect to the host of `parts`; its addresses are resolved once, checked, and used as checked."""
    host = cast(str, parts.hostname)
    port = _port(parts)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Dropped("host not found", f"{host}: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not (is_public(address) or f"{address}:{port}" in _allowed_addresses()):
            raise Dropped("private address", f"{host} is {address}")
    failure: OSError | None = None
    for address in addresses:
        try:
            plain = socket.create_connection((address, port), timeout=_wait_s(deadline))
        except OSError as error:
            failure = error
            continue
        if parts.scheme == "http":
            return _TimedSocket(plain, deadline)
        try:
            return _TimedSocket(_tls().wrap_socket(plain, server_hostname=host), deadline)
        except BaseException:
            plain.close()
            raise
    raise failure or OSError(f"{host} has no address")


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS[parts.scheme]


def is_public(address: str) -> bool:
    """Return whether `address` (IPv4 or IPv6) belongs to the public internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour or ip.teredo:
            return False  # tunnels that may end anywhere; no image of the web needs them
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
    return ip.is_global and not ip.is_multicast


def _allowed_addresses() -> set[str]:
    return {entry.strip() for entry in os.environ.get(ALLOWED_VARIABLE, "").split(",") if entry.strip()}


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _wait_s(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no whole answer in {DEADLINE_S:.0f} s")
    return min(left, SILENCE_S)


class _TimedSocket:
    """The part of a socket that `http.client` uses; no wait lasts beyond the deadline."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self.plain = plain
        self.deadline = deadline

    def sendall(self, data: bytes) -> None:
        self.plain.settimeout(_wait_s(self.deadline))
        self.plain.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self.plain, self.deadline))

    def close(self) -> None:
        self.plain.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, plain: socket.socket, deadline: float) -> None:
        super().__init__()
        self.plain = plain
        self.deadline = deadline
        self.stream = plain.makefile("rb", buffering=0)  # keeps the socket open until this is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.plain.settimeout(_wait_s(self.deadline))
        return self.stream.readinto(buffer)

    def close(self) -> None:
        self.stream.close()
        super().close()
