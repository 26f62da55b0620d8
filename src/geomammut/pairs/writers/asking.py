"""A question asked until its answer is at hand: limits, retries, and when to stop the run."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import LanguageModel, Question, RequestFailedError
from geomammut.pairs.writers.failures import may_pass, users_to_mend
from geomammut.pairs.writers.ledger import Ledger
from geomammut.pairs.writers.limits import Pace

_ATTEMPTS = 8  # at one request; their waits sum up to a minute, which a limit per minute needs
_FIRST_ATTEMPTS = 3  # where no server was ever there
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_LONGEST_PAUSE_S = 600.0  # that a server may ask for
# With so many requests in a row given up on, the cause is not the pictures.
HOPELESS = 20

Result = TypeVar("Result")


class Answerer(Protocol):
    """Gets captions for questions."""

    def answer(self, questions: Sequence[Question]) -> list[tuple[str, ...] | None]:
        """Return the captions for each question, None where no usable answer came.

        Raises:
            UserError: The run cannot go on: a limit, a wrong key, a server that is out of reach.
        """
        ...

    def stop(self, reason: BaseException) -> None:
        """Ask nothing more; what is under way is still stored."""
        ...


class Courier:
    """Carries requests to a server: at a pace, again where that may help, and no more once the run must stop.

    stamina, which the project uses elsewhere, cannot be woken from its waits when the run must stop.
    """

    def __init__(self, writer: str, model: str, pace: Pace, ledger: Ledger) -> None:
        self._writer, self._model = writer, model
        self._pace, self._ledger = pace, ledger
        self.stopped = threading.Event()
        self._reason: BaseException | None = None
        self._lock = threading.Lock()
        self._answered = False
        self._in_vain = 0  # requests given up on in a row

    def stop(self, reason: BaseException) -> None:
        with self._lock:
            self._reason = self._reason or reason
        self.stopped.set()

    def go_on(self) -> None:
        """Raise the reason why the run must stop, if it must."""
        if self.stopped.is_set():
            assert self._reason is not None
            raise self._reason

    def carry(self, send: Callable[[], Result]) -> Result | None:
        """Return what `send` returns, trying again while that may help; None if it was given up.

        Raises:
            UserError: The run cannot go on.
        """
        for attempt in range(_ATTEMPTS):
            self._pace.wait(self.stopped)
            self.go_on()
            try:
                result = send()
            except RequestFailedError as failure:
                self._ledger.count_failure(_short(failure))
                self._stop_if_users(failure, attempt)
                if not may_pass(failure) or attempt == _ATTEMPTS - 1:
                    self._give_up(failure)
                    return None
                self._wait(failure, attempt)
            except UserError as error:
                self.stop(error)
                raise
            else:
                with self._lock:
                    self._answered, self._in_vain = True, 0
                return result
        raise AssertionError("the last attempt returns or raises")

    def _stop_if_users(self, failure: RequestFailedError, attempt: int) -> None:
        mistake = users_to_mend(failure, self._writer, self._model)
        if not failure.connected and not self._answered and attempt + 1 >= _FIRST_ATTEMPTS:
            mistake = UserError(f"the {self._writer} server is out of reach ({failure}); check the base URL")
        if mistake is not None:
            self.stop(mistake)
            raise mistake from failure

    def _give_up(self, failure: RequestFailedError) -> None:
        with self._lock:
            self._in_vain += 1
            in_vain = self._in_vain
        if in_vain >= HOPELESS:
            self.stop(
                UserError(
                    f"the {self._writer} server answered none of the last {in_vain} requests ({failure}); "
                    "the answers so far are kept: run again to go on"
                )
            )
            self.go_on()

    def _wait(self, failure: RequestFailedError, attempt: int) -> None:
        backoff = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt) * random.uniform(0.75, 1.25)
        asked = min(failure.wait_s or 0.0, _LONGEST_PAUSE_S)
        if asked:
            self._pace.pause(asked)  # what the server tells one request, it would tell the others
        self.stopped.wait(max(backoff, asked))


class RequestByRequest:
    """Asks a language model one question at a time; safe to call from several threads."""

    def __init__(self, model: LanguageModel, ledger: Ledger, pace: Pace) -> None:
        self._model, self._ledger = model, ledger
        self._courier = Courier(model.writer, model.model, pace, ledger)
        self._under_way: set[str] = set()
        self._changed = threading.Condition()

    def answer(self, questions: Sequence[Question]) -> list[tuple[str, ...] | None]:
        return [self._answer(question) for question in questions]

    def stop(self, reason: BaseException) -> None:
        self._courier.stop(reason)

    def _answer(self, question: Question) -> tuple[str, ...] | None:
        with self._alone(question.key):
            while (captions := self._ledger.captions(question)) is None:
                if self._ledger.hopeless(question) or not self._courier.carry(lambda: self._ask(question)):
                    return None
            return captions

    def _ask(self, question: Question) -> bool:
        with self._ledger.budget.set_aside(self._ledger.most(question)):
            self._ledger.count_request()
            self._ledger.book(self._ledger.asked(question), self._model.ask(question))
        return True

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Let no other thread ask the same: two chips can be alike to the byte."""
        with self._changed:
            while key in self._under_way:
                self._changed.wait()
            self._under_way.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.remove(key)
                self._changed.notify_all()


def _short(failure: RequestFailedError) -> str:
    return f"HTTP {failure.status}" if failure.status else str(failure).split(":", 1)[0]
