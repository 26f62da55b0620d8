"""Stage 3: the bytes behind a url, asked for politely: many hosts at a time, each of them seldom, none twice."""

import asyncio
import errno
import queue
import random
import re
import resource
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

import aiohttp
from protego import Protego
from yarl import URL

from geomammut import __version__
from geomammut.pairs.web_stages.addresses import CheckedResolver, checked_socket
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fetched import Answer, FetchedStore, Unanswered
from geomammut.pairs.web_stages.hosts import AGENT, MAX_PAUSE_S, Host, Politeness, opted_out
from geomammut.pairs.web_stages.input_files import MAX_IMAGE_BYTES, read_inside

MAX_BYTES = MAX_IMAGE_BYTES
MAX_REDIRECTS = 5
SILENCE_S = 10.0  # longest wait for the next bytes
DEADLINE_S = 30.0  # longest download, without the waiting for turns
ATTEMPTS = 3
FIRST_RETRY_S = 0.2
ROBOTS_BYTES = 500 * 2**10  # as much of a robots.txt counts (RFC 9309)
ROBOTS_AGE_S = 24 * 3600.0
SCHEMES = ("http", "https")
REDIRECT_STATUS = {301, 302, 303, 307, 308}
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
HEADERS = {"User-Agent": f"{AGENT}/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}

_SMALL = 2**20  # bytes of an answer that need no leave
_LARGE_AT_A_TIME = 8  # answers in memory that are larger
_KEPT_ALIVE_S = 5.0
_FILES = 8192  # that may be open at a time
_STORED_TOGETHER = 128
_RESOLVERS = 32
_HOSTS = 2**15  # whose rules are kept in memory
_SHORT = 2**16
_PACKED = ("gzip", "x-gzip", "deflate")
_NUMBERS = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}")
_OFFLINE = {errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH}


def fetch(url: str, folder: Path) -> bytes:
    """Return what stands at `url`: http(s), or a path relative to `folder` that stays inside it.

    Raises:
        Dropped: It cannot or must not be read; the reason says why.
    """
    scheme = _split(url).scheme
    if scheme in SCHEMES:
        with Fetcher() as fetcher:
            return fetcher.fetch(url)
    if scheme or url.startswith("//"):
        raise Dropped("neither http(s) nor a relative path", url)
    return read_inside(url, folder)


class Fetcher:
    """Asks the web, in a thread of its own; to be used by several threads at once, and for long.

    robots.txt is obeyed, and so are headers that opt out (see `opted_out`) and `Retry-After`. An answer has at most
    MAX_BYTES after at most MAX_REDIRECTS, DEADLINE_S and ATTEMPTS. Only http(s), only public addresses (`addresses`).

    Args:
        store: Holds the answers, so that none is asked for twice; without one they are asked for anew.
        politeness: See there.
    """

    def __init__(self, store: FetchedStore | None = None, politeness: Politeness | None = None) -> None:
        self._store, self._politeness = store, politeness or Politeness()
        self._hosts: dict[str, Host] = {}
        self._robots: dict[tuple[str, str], asyncio.Task[Protego]] = {}
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)
        self._to_store: queue.SimpleQueue[tuple[str, Answer, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_RESOLVERS))
        _allow_open_files()
        self._threads = [threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)]
        if store is not None:
            self._threads.append(threading.Thread(target=self._keep, args=(store,), name="store", daemon=True))
        for thread in self._threads:
            thread.start()
        self._session = asyncio.run_coroutine_threadsafe(_session(), self._loop).result()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._session.close(), self._loop).result()
        self._to_store.put(None)
        for thread in self._threads[1:]:
            thread.join()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._threads[0].join()
        self._loop.close()

    def fetch(self, url: str) -> bytes:
        """Return what stands at `url`.

        Raises:
            Dropped: Nothing that may be used.
        """
        ((_, answer),) = self.fetch_all([url])
        if isinstance(answer, Dropped):
            raise answer
        return answer

    def fetch_all(self, urls: Sequence[str]) -> Iterator[tuple[int, Answer]]:
        """Yield, as they come, the place of each url in `urls` and what stands there, or why nothing does.

        At most `Politeness.concurrent` answers are under way or wait to be taken; one is let go when the
        next is asked for.
        """
        answers: queue.SimpleQueue[tuple[int, Answer | Exception, _Room]] = queue.SimpleQueue()
        known = set() if self._store is None else self._store.known(urls)
        rooms = asyncio.Semaphore(self._politeness.concurrent)

        async def ask(place: int, url: str) -> None:
            room = _Room(rooms)
            try:
                answers.put((place, await self._answer(url, url in known, room), room))
            except Exception as error:
                answers.put((place, error, room))

        async def ask_all() -> None:
            await asyncio.gather(*(ask(place, url) for place, url in enumerate(urls)))

        running = asyncio.run_coroutine_threadsafe(ask_all(), self._loop)
        try:
            for _ in urls:
                place, answer, room = answers.get()
                if isinstance(answer, Exception) and not isinstance(answer, Dropped):
                    raise answer
                yield place, answer
                self._loop.call_soon_threadsafe(room.leave)
        finally:
            running.cancel()

    async def _answer(self, url: str, known: bool, room: "_Room") -> Answer:
        if self._store is not None and known:
            await room.enter()
            stored = await asyncio.to_thread(self._store.get, url)
            if stored is not None:
                return stored
        answer = await self._asked(url, room)
        await self._stored(url, answer)
        return answer

    async def _stored(self, url: str, answer: Answer) -> None:
        if self._store is not None and not isinstance(answer, Unanswered):
            done: asyncio.Future[None] = self._loop.create_future()
            self._to_store.put((url, answer, done))
            await done

    def _keep(self, store: FetchedStore) -> None:
        """Store what comes, together with what came meanwhile."""
        while (first := self._to_store.get()) is not None:
            batch = [first]
            while len(batch) < _STORED_TOGETHER and not self._to_store.empty():
                following = self._to_store.get()
                if following is None:
                    self._to_store.put(None)
                    break
                batch.append(following)
            problem = None
            try:
                store.put_all([(url, answer) for url, answer, _ in batch])
            except Exception as error:
                problem = error
            self._loop.call_soon_threadsafe(_tell, [done for _, _, done in batch], problem)

    async def _asked(self, url: str, room: "_Room", robots: bool = False) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                return await self._follow(url, room, robots)
            except Dropped as dropped:
                return dropped
            except _TryAgainError as again:
                last = again.dropped
                if attempt + 1 < ATTEMPTS:
                    await asyncio.sleep(FIRST_RETRY_S * 4**attempt * random.uniform(0.5, 1.5))
        return last

    async def _follow(self, url: str, room: "_Room", robots: bool) -> bytes:
        left_s = DEADLINE_S
        parts = _split(url)
        if parts.scheme not in SCHEMES:
            raise Unanswered("neither http(s) nor a relative path", url)
        answer: bytes | str = b""
        for _ in range(MAX_REDIRECTS + 1):
            try:
                if parts.scheme not in SCHEMES:
                    raise Dropped("redirected away from http(s)", url)
                if not robots:
                    await self._check_robots(parts)
                async with self._host(parts).turn():
                    await room.enter()
                    started = time.monotonic()
                    answer = await self._exchange(parts, left_s, robots)
                if isinstance(answer, bytes):
                    return answer
                room.leave()  # or those who wait for this host's turn would keep out those who have theirs
                left_s -= time.monotonic() - started
                url = _joined(url, answer)
                parts = _split(url)
            except Unanswered as unanswered:
                if not isinstance(answer, str):  # of a redirect
                    raise
                raise Dropped(unanswered.reason, unanswered.detail) from unanswered  # the url itself was answered
        raise Dropped("too many redirects", url)

    async def _exchange(self, parts: SplitResult, left_s: float, robots: bool) -> bytes | str:
        """Return what the server gives, or the address that it sends on to."""
        silence = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        address = URL(urlunsplit((parts.scheme, parts.netloc, parts.path or "/", parts.query, "")), encoded=True)
        try:
            async with (
                asyncio.timeout(max(0.0, left_s)),
                self._session.get(address, allow_redirects=False, timeout=silence) as answer,
            ):
                location = answer.headers.get("Location")
                if answer.status in REDIRECT_STATUS and location:
                    await _finish(answer)
                    return location
                if answer.status != 200:
                    await _finish(answer)
                    self._refused(parts, answer)
                if not robots and (said := opted_out(answer.headers)):
                    raise Dropped("opted out", said)
                return await self._body(answer, ROBOTS_BYTES if robots else MAX_BYTES, robots)
        except TimeoutError as error:
            raise Dropped("timed out", str(error) or f"no whole answer in {DEADLINE_S:.0f} s") from error
        except aiohttp.ClientSSLError as error:
            raise Dropped("connection failed", str(error)) from error
        except aiohttp.InvalidURL as error:
            raise Dropped("malformed url", str(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if getattr(error, "errno", None) in _OFFLINE:
                raise _TryAgainError(Unanswered("connection failed", repr(error))) from error
            raise _TryAgainError(Dropped("connection failed", repr(error))) from error

    def _refused(self, parts: SplitResult, answer: aiohttp.ClientResponse) -> NoReturn:
        dropped = Dropped("server refused", f"HTTP {answer.status}")
        if answer.status not in TRANSIENT_STATUS:
            raise dropped
        asked_s = _retry_after_s(answer.headers.get("Retry-After"))
        self._host(parts).pause(min(asked_s, MAX_PAUSE_S))
        raise dropped if asked_s > MAX_PAUSE_S else _TryAgainError(dropped)

    async def _body(self, answer: aiohttp.ClientResponse, limit: int, cut: bool) -> bytes:
        packed = answer.headers.get("Content-Encoding", "").strip().lower() in _PACKED
        size = answer.content_length
        if size is not None and size > limit and not cut:
            raise Dropped("too many bytes", str(size))
        if size is not None and size <= min(limit, _SMALL) and not packed:
            return await answer.read()
        unpacker = zlib.decompressobj(wbits=47) if packed else None
        data = bytearray()
        async with AsyncExitStack() as large:
            async for piece in answer.content.iter_any():
                # A piece that unpacks to more than may be is unpacked no further.
                data += piece if unpacker is None else _unpacked(unpacker, piece, limit + 1 - len(data))
                if len(data) > limit:
                    if cut:
                        break
                    raise Dropped("too many bytes", f"more than {limit}")
                if len(data) > _SMALL >= len(data) - len(piece):
                    await large.enter_async_context(self._large)
            return bytes(data[:limit])

    def _host(self, parts: SplitResult) -> Host:
        name = str(parts.hostname)
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _HOSTS:
                self._hosts.pop(next(iter(self._hosts)))
            host = self._hosts[name] = Host(self._politeness)
        return host

    async def _check_robots(self, parts: SplitResult) -> None:
        origin = (parts.scheme, parts.netloc)
        reading = self._robots.get(origin)
        if reading is None:
            if len(self._robots) >= _HOSTS:
                self._robots.pop(next(iter(self._robots)))
            reading = self._robots[origin] = self._loop.create_task(self._read_robots(*origin))
        rules = await asyncio.shield(reading)
        host = self._host(parts)
        host.slow_down(rules)
        if not rules.can_fetch(urlunsplit(parts), AGENT):
            raise Dropped("forbidden by robots.txt", urlunsplit(parts))

    async def _read_robots(self, scheme: str, netloc: str) -> Protego:
        """Return a host's rules (RFC 9309): all is allowed where it has none, nothing where it cannot tell."""
        url = f"{scheme}://{netloc}/robots.txt"
        answer = None if self._store is None else await asyncio.to_thread(self._store.get, url, ROBOTS_AGE_S)
        if answer is None:
            room = _Room(asyncio.Semaphore(1))
            answer = await self._asked(url, room, robots=True)
            await self._stored(url, answer)
        if isinstance(answer, bytes):
            return Protego.parse(answer.decode("utf-8-sig", errors="replace"))
        if answer.reason == "server refused" and not re.fullmatch(r"HTTP 4\d\d", answer.detail.replace("429", "5")):
            raise Dropped("robots.txt refused", answer.detail)
        if answer.reason in ("server refused", "too many redirects", "redirected away from http(s)"):
            return Protego.parse("")
        raise answer


class _TryAgainError(Exception):
    """The server may answer if asked again; else it is `dropped`."""

    def __init__(self, dropped: Dropped) -> None:
        super().__init__(str(dropped))
        self.dropped = dropped


class _Room:
    """One answer's place among those that are under way or wait to be taken."""

    def __init__(self, rooms: asyncio.Semaphore) -> None:
        self._rooms, self._inside = rooms, False

    async def enter(self) -> None:
        if not self._inside:
            await self._rooms.acquire()
            self._inside = True

    def leave(self) -> None:
        if self._inside:
            self._rooms.release()
            self._inside = False


async def _session() -> aiohttp.ClientSession:
    # Addresses are tried one after the other: what `checked_socket` raises is then raised here.
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=CheckedResolver(),
        ttl_dns_cache=300,
        happy_eyeballs_delay=None,
        socket_factory=checked_socket,
        keepalive_timeout=_KEPT_ALIVE_S,
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=HEADERS, auto_decompress=False
    )


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell(waiting: Sequence["asyncio.Future[None]"], problem: Exception | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if problem is None:
            done.set_result(None)
        else:
            done.set_exception(problem)


def _split(url: str) -> SplitResult:
    """Split `url`, percent-encoding what tables leave raw (spaces, accents), or drop what is none."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme in SCHEMES:
            if not parts.hostname or parts.username is not None:
                raise ValueError("no host, or a user's name before it")
            host = parts.hostname
            if _NUMBERS.fullmatch(host):  # 127.1, 0x7f000001: addresses, too
                host = socket.inet_ntoa(socket.inet_aton(host))
            named = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
            parts = parts._replace(netloc=named if parts.port is None else f"{named}:{parts.port}")
        safe = "%/:=&?~+!$,;'@()*[]"
        return parts._replace(path=quote(parts.path, safe=safe), query=quote(parts.query, safe=safe), fragment="")
    except (ValueError, OSError) as error:
        raise Unanswered("malformed url", f"{url}: {error}") from error


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Dropped("malformed url", f"{location}: {error}") from error


async def _finish(answer: aiohttp.ClientResponse) -> None:
    """Read the rest where it is short, so that the connection can be used again."""
    if answer.content_length is not None and answer.content_length <= _SHORT:
        await answer.read()


def _retry_after_s(value: str | None) -> float:
    """Return the seconds that a `Retry-After` asks for, 0 where there is none."""
    try:
        if value is None:
            return 0.0
        if value.strip().isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _unpacked(unpacker: "zlib._Decompress", piece: bytes, limit: int) -> bytes:
    try:
        return unpacker.decompress(piece, limit)
    except zlib.error as error:
        raise Dropped("broken content encoding", str(error)) from error
