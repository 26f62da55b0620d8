"""How fast a language model may be asked, how often, and for how much."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from geomammut.errors import UserError


class Pace:
    """Spaces requests evenly, so many a minute, and lets nobody ask while the server wants a pause."""

    def __init__(self, per_minute: float | None) -> None:
        self._apart_s = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, stopped: threading.Event) -> None:
        """Wait for a turn, or until `stopped`."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._apart_s
        while (left := turn - time.monotonic()) > 0 and not stopped.wait(left):
            pass

    def pause(self, seconds: float) -> None:
        """Give no turn for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Budget:
    """Hard limits: what the answers in flight may cost at most is set aside before they are asked for.

    Args:
        max_requests: Requests at most, or None.
        max_usd: US dollars at most, or None.
        requests: Requests that were made before.
        usd: US dollars that were spent before.
    """

    def __init__(
        self, max_requests: int | None = None, max_usd: float | None = None, *, requests: int = 0, usd: float = 0.0
    ) -> None:
        self._max_requests, self._max_usd = max_requests, max_usd
        self._requests, self._usd = requests, usd
        self._set_aside = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def set_aside(self, most_usd: float | None, requests: int = 1) -> Iterator[None]:
        """Take `requests` from the budget, and for the length of the block what they may cost at most.

        Waits for other answers where they decide whether the money is enough.

        Raises:
            UserError: A limit is reached.
        """
        most = most_usd or 0.0
        with self._changed:
            while self._max_usd is not None and self._usd + self._set_aside + most > self._max_usd:
                if self._set_aside == 0.0:
                    raise UserError(
                        f"${self._usd:.4f} is spent, and what comes next may pass --max-cost {self._max_usd:g}; "
                        "the answers so far are kept: run again with a higher limit to go on"
                    )
                self._changed.wait()
            if self._max_requests is not None and self._requests + requests > self._max_requests:
                raise UserError(
                    f"{self._requests} requests are made, and --max-requests is {self._max_requests}; "
                    "the answers so far are kept: run again with a higher limit to go on"
                )
            self._requests += requests
            self._set_aside += most
        try:
            yield
        finally:
            with self._changed:
                self._set_aside -= most
                if self._set_aside < 1e-9:
                    self._set_aside = 0.0
                self._changed.notify_all()

    def spend(self, usd: float | None) -> None:
        """Count what an answer cost."""
        with self._changed:
            self._usd += usd or 0.0
