"""Answers on disk, durable the moment they arrive, so that no run pays for one twice."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import Answer, SentQuestion

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT NOT NULL, unusable TEXT, text TEXT NOT NULL, stopped TEXT,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, usd REAL,
    writer TEXT NOT NULL, model TEXT NOT NULL, prompt_version TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_key ON answers (key);
CREATE TABLE IF NOT EXISTS batches (
    batch TEXT PRIMARY KEY, job TEXT
);
CREATE TABLE IF NOT EXISTS asked (
    batch TEXT NOT NULL, key TEXT NOT NULL, writer TEXT NOT NULL, model TEXT NOT NULL, prompt_version TEXT NOT NULL,
    tokens_in INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Spent:
    """What the answers in a store cost; `usd` is None where the price of one was not known."""

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0


class AnswerStore:
    """The answers for one pair set, in an SQLite file; safe to use from several threads, by one run at a time.

    Raises:
        UserError: Another run uses the file, or it is no answer store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            # EXCLUSIVE: one run at a time, else two would pay. FULL: a commit returns when the disk has it.
            self._db.executescript(
                f"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}"
                "BEGIN EXCLUSIVE; COMMIT;"
            )
        except sqlite3.OperationalError as error:
            raise UserError(f"cannot write {path} ({error}); does another run write to it?") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path} is no store of answers ({error}); move it away") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put(
        self,
        key: str,
        answer: Answer,
        *,
        unusable: str | None,
        usd: float | None,
        writer: str,
        model: str,
        prompt_version: str,
    ) -> None:
        """Store an answer that was paid for; it is on disk when this returns."""
        paid = (answer.text, answer.stopped, answer.tokens_in, answer.tokens_out, usd)
        row = (key, unusable, *paid, writer, model, prompt_version)
        self._write(f"INSERT INTO answers VALUES ({', '.join('?' * len(row))})", *row)

    @contextmanager
    def all_at_once(self) -> Iterator[None]:
        """Store what is put in the block together, or nothing of it."""
        with self._lock, self._db:
            self._db.execute("BEGIN")
            yield

    def usable(self, key: str) -> Answer | None:
        """Return the usable answer to a question, if there is one."""
        rows = self._rows("SELECT text, tokens_in, tokens_out FROM answers WHERE key = ? AND unusable IS NULL", key)
        return Answer(*rows[0]) if rows else None

    def unusable(self, key: str) -> int:
        """Return how many unusable answers a question has got."""
        return int(self._rows("SELECT count(*) FROM answers WHERE key = ? AND unusable IS NOT NULL", key)[0][0])

    def unusable_reasons(self) -> dict[str, int]:
        """Return how many answers were unusable, by reason."""
        query = "SELECT unusable, count(*) FROM answers WHERE unusable IS NOT NULL GROUP BY unusable ORDER BY unusable"
        return {str(reason): int(count) for reason, count in self._rows(query)}

    def spent(self) -> Spent:
        """Return the sum over all answers, this run's and earlier ones'."""
        query = "SELECT count(*), total(tokens_in), total(tokens_out), total(usd), count(usd) FROM answers"
        answers, tokens_in, tokens_out, usd, priced = self._rows(query)[0]
        return Spent(answers, int(tokens_in), int(tokens_out), usd if priced == answers else None)

    def note_batch(self, batch: str, asked: Iterable[SentQuestion]) -> None:
        """Note that a batch is about to be sent: should the run die now, the server is asked for it first."""
        with self.all_at_once():
            self._write("INSERT OR IGNORE INTO batches (batch) VALUES (?)", batch)
            for one in asked:
                self._write("INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?)", batch, *one)

    def note_job(self, batch: str, job: str) -> None:
        """Note the server's name for a batch."""
        self._write("UPDATE batches SET job = ? WHERE batch = ?", job, batch)

    def forget_batch(self, batch: str) -> None:
        """Forget a batch whose answers are all stored, or that failed."""
        self._write("DELETE FROM asked WHERE batch = ?", batch)
        self._write("DELETE FROM batches WHERE batch = ?", batch)

    def batches(self) -> dict[str, list[SentQuestion]]:
        """Return the batches whose answers may still come, each with what was asked in it, in order."""
        query = "SELECT key, writer, model, prompt_version, tokens_in FROM asked WHERE batch = ? ORDER BY rowid"
        names = [str(name) for (name,) in self._rows("SELECT batch FROM batches ORDER BY rowid")]
        return {name: [SentQuestion(*row) for row in self._rows(query, name)] for name in names}

    def batch_job(self, batch: str) -> tuple[bool, str | None]:
        """Tell whether a batch may have been sent, and the server's name for it, if that is known."""
        rows = self._rows("SELECT job FROM batches WHERE batch = ?", batch)
        return bool(rows), rows[0][0] if rows else None

    def _write(self, statement: str, *values: object) -> None:
        with self._lock:
            try:
                self._db.execute(statement, values)
            except sqlite3.OperationalError as error:
                raise UserError(f"cannot write {self.path} ({error}); is there space left?") from error

    def _rows(self, query: str, *values: str) -> list[Any]:
        with self._lock:
            rows: list[Any] = self._db.execute(query, values).fetchall()
            return rows
