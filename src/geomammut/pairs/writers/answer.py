"""Questions to a language model, its answers, and the captions in them."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ValidationError

from geomammut.files import content_id
from geomammut.pairs.writers.prompt import CAPTIONS, PROMPT_VERSION

# Thinking counts as output with most models; what is cut off here is asked again.
MAX_OUTPUT_TOKENS = 4096


@dataclass(frozen=True)
class Question:
    """A prompt about a picture."""

    jpeg: bytes
    size: tuple[int, int]  # of the picture, pixels
    prompt: str  # holds the landmarks, and in a rewrite what was wrong; or the web's words
    writer: str
    model: str
    prompt_version: str = PROMPT_VERSION

    @cached_property
    def key(self) -> str:
        """The hash of image, landmarks, prompt, its version, and model: who asks the same, has the answer."""
        return content_id(self.jpeg, self.prompt, self.prompt_version, self.writer, self.model)


class SentQuestion(NamedTuple):
    """A question that was sent, as far as its answer's booking needs it; `tokens_in` is a guess."""

    key: str
    writer: str
    model: str
    prompt_version: str
    tokens_in: int


@dataclass(frozen=True)
class Answer:
    """What came back for a question, and was paid for, usable or not.

    `stopped` says why the model wrote no more, where that was not its own decision: "refused" or "cut off".
    """

    text: str
    tokens_in: int
    tokens_out: int
    stopped: str | None = None


class CaptionsSchema(BaseModel):
    """The JSON that is asked for."""

    captions: list[str]


class UnusableAnswerError(Exception):
    """An answer without captions: refused, cut off, empty, or not the JSON asked for."""


class RequestFailedError(Exception):
    """A request without an answer: `status` is HTTP's; None for no connection, no answer in time, or no HTTP.

    `wait_s` is what the server says to wait, in seconds. `connected` is False where no server was there.
    """

    def __init__(
        self, reason: str, status: int | None = None, wait_s: float | None = None, *, connected: bool = True
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.wait_s = wait_s
        self.connected = connected


class LanguageModel(Protocol):
    """A model behind a server.

    Attributes:
        writer: "google" or "openai".
        model: The model's name there.
    """

    writer: str
    model: str

    def ask(self, question: Question) -> Answer:
        """Send one request; safe to call from several threads.

        Raises:
            RequestFailedError: No answer came back.
        """
        ...


def captions_in(answer: Answer) -> tuple[str, ...]:
    """Return an answer's captions, one or more, without blanks and repetitions.

    Raises:
        UnusableAnswerError: It holds none.
    """
    if answer.stopped is not None:
        raise UnusableAnswerError(answer.stopped)
    text = answer.text.strip().removeprefix("```json").strip("`\n ")
    if not text:
        raise UnusableAnswerError("empty")
    try:
        listed = CaptionsSchema.model_validate_json(text).captions
    except ValidationError as error:
        broken = error.errors()[0]["type"] == "json_invalid"
        raise UnusableAnswerError("no whole JSON" if broken else "not the JSON asked for") from error
    captions = tuple(dict.fromkeys(caption for raw in listed if (caption := _plain(raw))))
    if not captions:
        raise UnusableAnswerError("empty")
    return captions[: 2 * CAPTIONS]


def _plain(caption: str) -> str:
    """Return a caption in one line, without letters that control a terminal or the direction of writing."""
    return "".join(letter for letter in " ".join(caption.split()) if letter.isprintable())
