"""What a language model's answers cost: prices from `prices.toml` or the user, tokens counted or guessed."""

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import MAX_OUTPUT_TOKENS, Answer

_BATCH_SHARE = 0.5  # of the usual price, for what is sent by Gemini's Batch API
_IMAGE_TOKENS = 1200  # where nothing is known of a model
_LETTERS_A_TOKEN = 3.0  # English has about four; JSON fewer
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{3}|latest)$")


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens; None where they are not known."""

    input: float | None
    output: float | None
    image_tokens: int = _IMAGE_TOKENS

    @property
    def known(self) -> bool:
        return self.input is not None and self.output is not None

    def usd(self, tokens_in: float, tokens_out: float) -> float | None:
        """Return what tokens cost, or None."""
        if self.input is None or self.output is None:
            return None
        return (tokens_in * self.input + tokens_out * self.output) / 1e6

    def of(self, answer: Answer) -> float | None:
        return self.usd(answer.tokens_in, answer.tokens_out)

    def most(self, prompt: str, width: int, height: int) -> float | None:
        """Return what an answer to `prompt` on a picture can cost at most."""
        return self.usd(tokens_in_text(prompt) + self.tokens_in_picture(width, height), MAX_OUTPUT_TOKENS)

    def tokens_in_picture(self, width: int, height: int) -> int:
        return self.image_tokens * math.ceil(width / 512) * math.ceil(height / 512)


def tokens_in_text(text: str) -> int:
    """Return about how many tokens a text has; rather more than fewer."""
    return math.ceil(len(text) / _LETTERS_A_TOKEN)


def price_of(
    writer: str, model: str, *, price_in: float | None = None, price_out: float | None = None, batch: bool = False
) -> Price:
    """Return the price of a model: the user's, else the listed one, else an unknown one.

    Args:
        writer: "google" or "openai".
        model: The model's name; a date at its end is not looked at.
        price_in: US dollars for a million input tokens, in place of the listed price.
        price_out: The same for output tokens.
        batch: Whether it is asked by the Batch API; then the listed price is halved, never the user's.

    Raises:
        UserError: Only one of the two prices is given.
    """
    if (price_in is None) != (price_out is None):
        raise UserError("give both --price-in and --price-out, in US dollars for a million tokens")
    listed = _listed()[writer].get(model) or _listed()[writer].get(_DATED.sub("", model))
    image_tokens = listed["image_tokens"] if listed else _IMAGE_TOKENS
    if price_in is not None:
        return Price(price_in, price_out, image_tokens)
    if listed is None:
        return Price(None, None)
    share = _BATCH_SHARE if batch else 1.0
    return Price(listed["input"] * share, listed["output"] * share, image_tokens)


@cache
def _listed() -> dict[str, Any]:
    path = resources.files("geomammut.pairs.writers").joinpath("prices.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
