"""What a language model's captions will take, before anything is asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from geomammut.pairs.writers.answer import Question
from geomammut.pairs.writers.answer_store import AnswerStore
from geomammut.pairs.writers.captioning import REWRITES, ChipToCaption
from geomammut.pairs.writers.prices import tokens_in_text
from geomammut.pairs.writers.prompt import first_prompt
from geomammut.pairs.writers.writer import WriterOptions, answers_path

_TOKENS_OUT = 250  # four captions as JSON, and a little thinking
_ENOUGH = 20  # answers at hand to measure by


@dataclass(frozen=True)
class Estimate:
    """Requests, tokens and US dollars still to come if each chip takes one request; `usd` None if unknown.

    Captions that fail the check are asked for again, so that it can be up to `times` as much.
    """

    chips: int
    requests: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    measured: int  # answers at hand that the tokens were measured by; 0 for none
    times: int = 1 + REWRITES

    def __str__(self) -> str:
        cost = "of unknown price: give --price-in and --price-out"
        if self.usd is not None:
            cost = f"{dollars(self.usd)}, with all captions rewritten up to {dollars(self.usd * self.times)}"
        basis = f"measured by {self.measured:,} answers" if self.measured else "guessed"
        return (
            f"{self.chips:,} chips to caption, {self.requests:,} requests to make (with all captions rewritten up to "
            f"{self.requests * self.times:,}): about {self.tokens_in:,} tokens in and {self.tokens_out:,} out "
            f"({basis}); {cost}"
        )


def dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def estimate(chips: Iterable[ChipToCaption], options: WriterOptions, out: Path) -> Estimate | None:
    """Return what the captions of `chips` will take; None for the template writer, which asks nobody.

    Chips whose question is answered already, by an earlier run for the pair set `out`, take nothing.
    """
    if options.writer == "template":
        return None
    assert options.model is not None
    price = options.price
    store = AnswerStore(answers_path(out)) if answers_path(out).is_file() else None
    try:
        found = requests = tokens_in = 0
        for chip in chips:
            found += 1
            size = (chip.contents.width, chip.contents.height)
            question = Question(chip.jpeg, size, first_prompt(chip.contents), options.writer, options.model)
            if store is None or store.usable(question.key) is None:
                requests += 1
                tokens_in += tokens_in_text(question.prompt) + price.tokens_in_picture(*size)
        tokens_out, measured = float(_TOKENS_OUT * requests), 0
        spent = None if store is None else store.spent()
        if spent is not None and spent.answers >= _ENOUGH:
            measured = spent.answers
            tokens_in = round(requests * spent.tokens_in / measured)
            tokens_out = requests * spent.tokens_out / measured
        return Estimate(found, requests, tokens_in, round(tokens_out), price.usd(tokens_in, tokens_out), measured)
    finally:
        if store is not None:
            store.close()
