"""The writers by name, with their limits; what a user chooses on the command line."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from geomammut.errors import UserError
from geomammut.pairs import template_writer
from geomammut.pairs.grounding import Lexicon
from geomammut.pairs.writers.answer_store import AnswerStore
from geomammut.pairs.writers.asking import Answerer, RequestByRequest
from geomammut.pairs.writers.captioning import AnyChip, Captions, caption_dialogue, template_captions
from geomammut.pairs.writers.dialogues import Dialogue, Item, Result, lead
from geomammut.pairs.writers.ledger import Ledger
from geomammut.pairs.writers.limits import Budget, Pace
from geomammut.pairs.writers.prices import Price, price_of
from geomammut.pairs.writers.prompt import PROMPT_VERSION

WriterName = Literal["template", "google", "openai"]


@dataclass(frozen=True)
class WriterOptions:
    """Who writes, and within which limits; the names and meanings are those of `pairs landmarks`.

    Raises:
        UserError: The options do not go together.
    """

    writer: WriterName = "template"
    model: str | None = None
    batch: bool = False
    concurrency: int = 8
    timeout: float = 90.0
    requests_per_minute: float | None = None
    max_requests: int | None = None
    max_cost: float | None = None
    price_in: float | None = None
    price_out: float | None = None

    def __post_init__(self) -> None:
        if self.writer == "template":
            if self.model is not None:
                raise UserError("--model is for --writer google or openai; the template writer has no model")
            return
        if self.writer not in ("google", "openai"):
            raise UserError(f"unknown writer {self.writer!r}; choose template, google or openai")
        if not self.model:
            example = "gemini-2.5-flash" if self.writer == "google" else "the model that your server serves"
            raise UserError(f"--writer {self.writer} needs --model NAME, such as {example}")
        if self.batch and self.writer != "google":
            raise UserError("--batch is for --writer google; other servers are asked request by request")
        for name in ("concurrency", "timeout", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0, not {value}")
        price = self.price
        if self.max_cost is not None and not price.known:
            raise UserError(
                f"the price of {self.model} is not known, so --max-cost cannot hold; "
                "give --price-in and --price-out, in US dollars for a million tokens"
            )

    @property
    def price(self) -> Price:
        assert self.model is not None
        return price_of(self.writer, self.model, price_in=self.price_in, price_out=self.price_out, batch=self.batch)


class CaptionWriter(Protocol):
    """Whoever writes the captions.

    Attributes:
        name: "template", "google" or "openai".
        model: The language model's name, or None.
        prompt_version: Version of the prompt or of the rules.
    """

    name: str

    @property
    def model(self) -> str | None: ...

    prompt_version: str

    def captions(self, chips: Iterable[AnyChip], lexicon: Lexicon) -> Iterator[tuple[AnyChip, Captions]]:
        """Yield each chip with its captions, all of them checked, in order.

        Raises:
            UserError: The writer cannot go on: a limit, a wrong key, a server that is out of reach.
        """
        ...

    def spent(self) -> dict[str, Any] | None:
        """Return the totals of answers, tokens and cost, for the funnel; None where nothing is asked."""
        ...


class _Template:
    name = "template"
    model: str | None = None
    prompt_version = template_writer.VERSION

    def captions(self, chips: Iterable[AnyChip], lexicon: Lexicon) -> Iterator[tuple[AnyChip, Captions]]:
        for chip in chips:
            yield chip, template_captions(chip, lexicon)

    def spent(self) -> dict[str, Any] | None:
        return None


class ModelWriter:
    """A language model behind a server, with its limits and its store; a CaptionWriter."""

    prompt_version = PROMPT_VERSION

    def __init__(self, options: WriterOptions, out: Path, answerer: Callable[[Ledger], Answerer]) -> None:
        assert options.model is not None
        self.name: str = options.writer
        self.model: str = options.model
        self._options, self._out, self._answerer = options, out, answerer
        self._ledger: Ledger | None = None

    def captions(self, chips: Iterable[AnyChip], lexicon: Lexicon) -> Iterator[tuple[AnyChip, Captions]]:
        return self.lead(chips, lambda chip: caption_dialogue(chip, lexicon, self.name, self.model))

    def lead(
        self, items: Iterable[Item], dialogue: Callable[[Item], Dialogue[Result]]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with what its dialogue with the model came to, in order."""
        options, group = self._options, (1, 0)
        if options.batch:
            from geomammut.pairs.writers.gemini_batch import JPEG_BYTES_A_JOB, QUESTIONS_A_JOB  # noqa: PLC0415

            group = (QUESTIONS_A_JOB, JPEG_BYTES_A_JOB)
        if self._ledger is None:
            self._ledger = self._open_ledger()
        return lead(
            items,
            dialogue,
            self._answerer(self._ledger),
            concurrency=options.concurrency,
            items_a_time=group[0],
            jpeg_bytes_a_time=group[1],
        )

    def spent(self) -> dict[str, Any] | None:
        return None if self._ledger is None else self._ledger.as_json()

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.store.close()

    def _open_ledger(self) -> Ledger:
        options, store = self._options, AnswerStore(answers_path(self._out))
        before = store.spent()
        # Earlier runs may have known no price.
        usd = options.price.usd(before.tokens_in, before.tokens_out) if before.usd is None else before.usd
        budget = Budget(options.max_requests, options.max_cost, requests=before.answers, usd=usd or 0.0)
        return Ledger(store, options.price, budget)


def answers_path(out: Path) -> Path:
    """Return where the answers for the pair set `out` are kept: beside it, whatever becomes of it."""
    return out.with_name(f"{out.name}.answers.sqlite")


@contextmanager
def open_writer(options: WriterOptions, out: Path) -> Iterator[CaptionWriter]:
    """Yield the writer for the pair set `out`.

    Raises:
        UserError: There is no API key, or another run writes the same set.
    """
    if options.writer == "template":
        yield _Template()
        return
    with open_model_writer(options, out) as writer:
        yield writer


@contextmanager
def open_model_writer(options: WriterOptions, out: Path) -> Iterator[ModelWriter]:
    """Yield a writer that is a language model; see `open_writer`."""
    writer = ModelWriter(options, out, _answerer(options))
    try:
        yield writer
    finally:
        writer.close()


def _answerer(options: WriterOptions) -> Callable[[Ledger], Answerer]:
    """Return what makes the answerer once there is a ledger; the SDK is loaded and the key looked for now."""
    # The SDKs take most of a second to load, and only their writers need them.
    name, pace = str(options.model), Pace(options.requests_per_minute)
    if options.writer == "openai":
        from geomammut.pairs.writers.openai_server import OpenAIServer  # noqa: PLC0415

        server = OpenAIServer(name, options.timeout)
        return lambda ledger: RequestByRequest(server, ledger, pace)
    from geomammut.pairs.writers import gemini, gemini_batch  # noqa: PLC0415

    client = gemini.open_client(options.timeout)
    if options.batch:
        return lambda ledger: gemini_batch.GeminiBatches(name, client, ledger, pace)
    return lambda ledger: RequestByRequest(gemini.Gemini(name, client), ledger, pace)
