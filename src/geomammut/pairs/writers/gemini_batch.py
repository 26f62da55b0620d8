"""Captions by Gemini's Batch API: half the price, an answer within a day, each job found again after a kill."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import TypeVar

from google import genai
from google.genai import errors, types

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.writers.answer import Answer, Question, RequestFailedError, SentQuestion
from geomammut.pairs.writers.asking import HOPELESS, Courier
from geomammut.pairs.writers.failures import plain
from geomammut.pairs.writers.gemini import CONFIG, content_of, failure_of, read_response
from geomammut.pairs.writers.ledger import TRIES, Ledger
from geomammut.pairs.writers.limits import Pace

# A job may hold 20 MB of requests; base64 and JSON make a JPEG half as large again.
QUESTIONS_A_JOB = 500
JPEG_BYTES_A_JOB = 10_000_000
_FIRST_LOOK_S = 1.0
_LAST_LOOK_S = 60.0
_DONE = "JOB_STATE_SUCCEEDED"

Result = TypeVar("Result")


class GeminiBatches:
    """Asks Gemini many questions in one job; safe to call from several threads."""

    def __init__(self, model: str, client: genai.Client, ledger: Ledger, pace: Pace) -> None:
        self._model, self._client, self._ledger = model, client, ledger
        self._courier = Courier("google", model, pace, ledger)
        self._why = ""  # the last request within a job failed
        self._earlier = threading.Lock()
        self._all_fetched = False

    def stop(self, reason: BaseException) -> None:
        self._courier.stop(reason)

    def answer(self, questions: Sequence[Question]) -> list[tuple[str, ...] | None]:
        """Return the captions for each question; see `Answerer`."""
        self._fetch_earlier()
        for _ in range(TRIES):
            waiting = {
                question.key: question
                for question in questions
                if self._ledger.captions(question) is None and not self._ledger.hopeless(question)
            }
            if not waiting:
                break
            self._run(waiting)
        return [self._ledger.captions(question) for question in questions]

    def _fetch_earlier(self) -> None:
        """Store the answers to all that a run before this one had asked for, before anything is asked again.

        Then it does not matter that this run's groups of questions are others.
        """
        with self._earlier:
            if self._all_fetched:
                return
            for batch, asked in self._ledger.store.batches().items():
                if name := self._carry(partial(self._sent_before, batch)):
                    self._settle(batch, name, asked)
                else:
                    self._ledger.store.forget_batch(batch)  # the run died before it was sent
            self._all_fetched = True

    def _run(self, waiting: dict[str, Question]) -> None:
        """Send one job, and store its answers."""
        store, budget = self._ledger.store, self._ledger.budget
        # What is asked again after an unusable answer is another batch.
        asked = [f"{key} {store.unusable(key)}" for key in sorted(waiting)]
        batch = "geomammut-" + content_id(self._model, *asked)
        most = [self._ledger.most(question) for question in waiting.values()]
        try:
            with budget.set_aside(sum(usd or 0.0 for usd in most), len(waiting)):
                name = self._send(batch, waiting)
                store.note_job(batch, name)
                answers = self._settle(batch, name, [self._ledger.asked(question) for question in waiting.values()])
                if not answers and len(waiting) >= HOPELESS:
                    raise UserError(f"the batch job {name} answered none of its {len(waiting)} requests ({self._why})")
        except UserError as error:
            self.stop(error)
            raise

    def _settle(self, batch: str, name: str, asked: Sequence[SentQuestion]) -> int:
        """Wait for a job, store its answers, and return how many there are."""
        answers = self._collected(batch, name, [one.key for one in asked])
        by_key = {one.key: one for one in asked}
        with self._ledger.store.all_at_once():  # else a kill between two would have some asked for again
            for key, answer in answers:
                self._ledger.book(by_key[key], answer)
            self._ledger.store.forget_batch(batch)
        return len(answers)

    def _carry(self, send: Callable[[], Result]) -> Result:
        result = self._courier.carry(lambda: _translated(send))
        if result is None:
            raise UserError("the google server did not take a batch job; run again to go on")
        return result

    def _sent_before(self, batch: str) -> str:
        """Return the server's name for a batch, or "" if it has none.

        A run that was killed between sending a job and noting its name finds it by the name that we gave it.
        """
        sent, name = self._ledger.store.batch_job(batch)
        if name is not None:
            return name
        if not sent:
            return ""
        return next((str(job.name) for job in self._client.batches.list() if job.display_name == batch), "")

    def _send(self, batch: str, waiting: dict[str, Question]) -> str:
        requests = [
            types.InlinedRequest(contents=[content_of(question)], metadata={"key": key}, config=CONFIG)
            for key, question in waiting.items()
        ]
        self._ledger.store.note_batch(batch, map(self._ledger.asked, waiting.values()))

        tries = count()

        def send() -> str:
            # The answer to a first try may have been lost, not the job.
            if next(tries) and (name := self._sent_before(batch)):
                return name
            self._ledger.count_request()
            job = self._client.batches.create(model=self._model, src=requests, config={"display_name": batch})
            return str(job.name)

        return self._carry(send)

    def _look(self, name: str) -> types.BatchJob:
        try:
            return self._client.batches.get(name=name)
        except errors.ClientError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return types.BatchJob(name=name, state=types.JobState.JOB_STATE_EXPIRED)  # it was deleted

    def _collected(self, batch: str, name: str, keys: Sequence[str]) -> list[tuple[str, Answer]]:
        """Wait for a job, and return its answers with the keys of their questions."""
        look_s = _FIRST_LOOK_S
        while True:
            job = self._carry(lambda: self._look(name))
            if job.done:
                break
            self._courier.stopped.wait(look_s)
            look_s = min(_LAST_LOOK_S, 1.5 * look_s)
        if job.state is None or job.state.name != _DONE:
            self._ledger.store.forget_batch(batch)
            reason = (job.error.message if job.error else None) or (job.state.name if job.state else "no reason given")
            raise UserError(f"the batch job {name} failed ({plain(reason)}); run again to send it anew")
        answers = []
        responses = (job.dest.inlined_responses if job.dest else None) or []
        for place, item in enumerate(responses):
            # The key comes back with the answer; a server that drops it keeps the order.
            key = (item.metadata or {}).get("key") or (keys[place] if place < len(keys) else "")
            if item.response is None:
                self._ledger.count_failure("failed in a batch job")
                self._why = plain(item.error.message if item.error else "no reason given")
            elif key in keys:
                answers.append((key, read_response(item.response)))
        return answers


def _translated(send: Callable[[], Result]) -> Result:
    try:
        return send()
    except (UserError, RequestFailedError):
        raise
    except Exception as error:
        raise failure_of(error) from error
