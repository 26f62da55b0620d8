"""The answers that are at hand, those that are paid for, and what was tried in vain."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

from geomammut.pairs.writers.answer import Answer, Question, SentQuestion, UnusableAnswerError, captions_in
from geomammut.pairs.writers.answer_store import AnswerStore
from geomammut.pairs.writers.limits import Budget
from geomammut.pairs.writers.prices import Price, tokens_in_text

TRIES = 3  # for a usable answer to one question
_LONGEST = 100_000  # letters of an answer


class Ledger:
    """Keeps the books of a run: safe to use from several threads."""

    def __init__(self, store: AnswerStore, price: Price, budget: Budget) -> None:
        self.store, self.price, self.budget = store, price, budget
        self.failed: Counter[str] = Counter()  # requests, by reason
        self.requests = 0
        self._lock = threading.Lock()

    def captions(self, question: Question) -> tuple[str, ...] | None:
        """Return the captions that were already given for a question."""
        answer = self.store.usable(question.key)
        return None if answer is None else captions_in(answer)

    def hopeless(self, question: Question) -> bool:
        """Tell whether a question got so many unusable answers that it is asked no more."""
        return self.store.unusable(question.key) >= TRIES

    def asked(self, question: Question) -> SentQuestion:
        """Return what the booking of its answer needs of a question."""
        tokens_in = tokens_in_text(question.prompt) + self.price.tokens_in_picture(*question.size)
        return SentQuestion(question.key, question.writer, question.model, question.prompt_version, tokens_in)

    def book(self, asked: SentQuestion, answer: Answer) -> None:
        """Store an answer that arrived, and count what it costs."""
        # What a server sends may be endless, or no text that can be written.
        text = answer.text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
        answer = replace(answer, text=text)
        if answer.tokens_in == 0:  # a server that does not say; a limit on the cost must hold all the same
            answer = replace(answer, tokens_in=asked.tokens_in, tokens_out=tokens_in_text(text))
        try:
            captions_in(answer)
            unusable = None
        except UnusableAnswerError as reason:
            unusable = str(reason)
        usd = self.price.of(answer)
        self.store.put(
            asked.key,
            answer,
            unusable=unusable,
            usd=usd,
            writer=asked.writer,
            model=asked.model,
            prompt_version=asked.prompt_version,
        )
        self.budget.spend(usd)

    def most(self, question: Question) -> float | None:
        """Return what an answer can cost at most, in US dollars."""
        return self.price.most(question.prompt, *question.size)

    def count_request(self, number: int = 1) -> None:
        with self._lock:
            self.requests += number

    def count_failure(self, reason: str, number: int = 1) -> None:
        with self._lock:
            self.failed[reason] += number

    def as_json(self) -> dict[str, Any]:
        """Return the totals: answers, tokens and cost of all runs for this set, requests of this one."""
        spent = self.store.spent()
        return {
            "answers": spent.answers,
            "unusable_answers": self.store.unusable_reasons(),
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "usd": None if spent.usd is None else round(spent.usd, 6),
            "requests_in_last_run": self.requests,
            "failed_requests_in_last_run": dict(sorted(self.failed.items())),
        }
