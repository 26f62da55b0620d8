"""Waiting lines: so many jobs of a kind at once, so many waiting, the rest told to come again; none done twice."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

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


class Memory:
    """The latest answers of a line; what several ask for at once is worked out once.

    Args:
        line: Where answers are worked out.
        most: Answers remembered.
    """

    def __init__(self, line: Line, most: int) -> None:
        self._line = line
        self._most = most
        self._answers: OrderedDict[Hashable, asyncio.Task[Any]] = OrderedDict()

    async def get(self, key: Hashable, job: Callable[[], Result]) -> Result:
        """Return the answer to `key`, which `job` works out.

        Raises:
            RefusedError: Too many wait already.
        """
        answer: asyncio.Task[Result] | None = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.create_task(self._line.run(job))
            answer.add_done_callback(partial(self._forget_failed, key))
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
        else:
            self._answers.move_to_end(key)
        return await asyncio.shield(answer)  # who goes away takes nothing from the others

    def _forget_failed(self, key: Hashable, answer: asyncio.Task[Any]) -> None:
        if (answer.cancelled() or answer.exception() is not None) and self._answers.get(key) is answer:
            del self._answers[key]
