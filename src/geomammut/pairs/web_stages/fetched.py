"""The answers of the web on disk, durable before they are used, so that no run asks for one twice."""

import fcntl
import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from geomammut.errors import UserError
from geomammut.pairs.web_stages.dropped import Dropped

Answer = bytes | Dropped


class Unanswered(Dropped):
    """No server was asked; a later run may try."""


_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB NOT NULL UNIQUE, url TEXT NOT NULL, at REAL NOT NULL, reason TEXT, detail TEXT, body BLOB
);
"""
_MOST_FILES = 10_000


class FetchedStore:
    """What stood at each url when it was asked for, or why nothing did.

    A folder of SQLite files: each process writes to one of its own, which a later one takes over, and reads all.
    A process may die at any moment; what was put stays. Safe to use from several threads.

    Raises:
        UserError: The folder cannot be written, or a file in it is no store of answers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held, own = _free_file(folder)
            self._own = sqlite3.connect(own, timeout=60, isolation_level=None, check_same_thread=False)
            # NORMAL: the death of a process loses nothing; that of the machine perhaps the last answers.
            self._own.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_TABLES}")
            others = sorted(set(folder.glob("answers-*.sqlite")) - {own})
            self._all = [self._own, *(sqlite3.connect(other, timeout=60, check_same_thread=False) for other in others)]
        except (OSError, sqlite3.OperationalError) as error:
            raise UserError(f"cannot write the store of answers {folder} ({error}); is there space left?") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{folder} holds no answers of the web ({error}); move it away") from error

    def close(self) -> None:
        with self._lock:
            for database in self._all:
                database.close()
            self._held.close()

    def get(self, url: str, max_age_s: float | None = None) -> Answer | None:
        """Return what was put for `url`; None if nothing was, or longer ago than `max_age_s`."""
        query = "SELECT at, reason, detail, body FROM answers WHERE key = ?"
        for at, reason, detail, body in self._rows(query, url):
            if max_age_s is None or time.time() - at <= max_age_s:
                return Dropped(reason, detail or "") if reason is not None else bytes(body or b"")
        return None

    def known(self, urls: Iterable[str]) -> set[str]:
        """Return which of `urls` have an answer."""
        return {url for url in urls if self._rows("SELECT 1 FROM answers WHERE key = ?", url)}

    def put(self, url: str, answer: Answer) -> None:
        """Store an answer in place of an earlier one; it outlives this process when this returns."""
        self.put_all([(url, answer)])

    def put_all(self, answers: Sequence[tuple[str, Answer]]) -> None:
        """Store answers together; see `put`."""
        rows = [
            (_key(url), url, time.time(), answer.reason, answer.detail, None)
            if isinstance(answer, Dropped)
            else (_key(url), url, time.time(), None, None, answer)
            for url, answer in answers
        ]
        with self._lock:
            try:
                self._own.execute("BEGIN")
                self._own.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
                self._own.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise UserError(f"cannot write {self.folder} ({error}); is there space left?") from error

    def _rows(self, query: str, url: str) -> list[tuple[float, str | None, str | None, bytes | None]]:
        with self._lock:
            for database in self._all:
                if rows := database.execute(query, (_key(url),)).fetchall():
                    return rows
        return []


def _key(url: str) -> bytes:
    return hashlib.blake2b(url.encode(errors="surrogatepass"), digest_size=16).digest()


def _free_file(folder: Path) -> tuple[IO[bytes], Path]:
    """Return the first file that no living process writes to, and what keeps others from it."""
    for number in range(_MOST_FILES):
        path = folder / f"answers-{number:04d}.sqlite"
        held = path.with_suffix(".lock").open("wb")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held, path
        except BlockingIOError:
            held.close()
    raise OSError(f"{_MOST_FILES} processes write to it")
