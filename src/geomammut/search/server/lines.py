"""Waiting lines: so many jobs of a kind at once, so many waiting, the rest told to come again."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from geomammut.search.server.guard import RefusedError

Result = TypeVar("Result")


class Line:
    """A line before what answers a few at a time.

    Args:
        at_once: Jobs in threads at the same time.
        waiting: Jobs that may wait.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._waiting = waiting
        self._limiter: CapacityLimiter | None = None

    async def run(self, job: Callable[[], Result]) -> Result:
        """Do a job in a thread when its turn comes.

        Raises:
            RefusedError: Too many wait already.
        """
        if self._limiter is None:  # made where the event loop is
            self._limiter = CapacityLimiter(self._at_once)
        if self.length >= self._waiting:
            raise RefusedError(503, "too many are waiting; ask again in a moment", Retry_After="2")
        return await to_thread.run_sync(job, limiter=self._limiter)

    @property
    def length(self) -> int:
        """How many wait."""
        return 0 if self._limiter is None else self._limiter.statistics().tasks_waiting
