"""Captions by a language model that sees a chip and its landmarks: Gemini or an OpenAI-compatible server."""

import base64
import json
import os
import string
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import stamina
from pydantic import BaseModel, ValidationError

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.template_writer import TemplateWriter
from geomammut.pairs.visible import ChipContents

WriterName = Literal["template", "google", "openai"]

PROMPT_VERSION = "landmark_captions_1"
CONCURRENCY = 8  # requests in flight
_CAPTIONS = 4
_TIMEOUT_S = 90.0
_ATTEMPTS = 6
_MAX_WAIT_S = 60.0
# With not one answer and this many chips given up on, the cause is not the chips.
_HOPELESS = 20
_RETRIED = frozenset((408, 429))


class Writer(Protocol):
    """Whatever turns a chip and its contents into captions.

    Attributes:
        name: "template", "google" or "openai".
        model: The language model's name, or None.
        prompt_version: Version of the prompt or of the rules.
    """

    name: str
    model: str | None
    prompt_version: str

    def write(self, jpeg: bytes, contents: ChipContents, key: str) -> tuple[str, ...]:
        """Return captions; `key` identifies the chip.

        Raises:
            NoAnswerError: The writer has none for this chip.
            UserError: The writer cannot work at all: wrong key, unknown model.
        """
        ...


class NoAnswerError(Exception):
    """A language model gave no usable answer for one chip."""


class _RequestError(Exception):
    """A request that failed: `status` is HTTP's, or None for a broken connection or answer."""

    def __init__(self, reason: str, status: int | None = None, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.wait_s = wait_s


class _Answer(BaseModel):
    captions: list[str]


def make_writer(name: WriterName, model: str | None, answers: Path) -> Writer:
    """Return the writer called `name`; the answers of a language model are kept in the folder `answers`.

    Raises:
        UserError: The name is unknown, or a language model lacks its name or its API key.
    """
    if name == "template":
        if model is not None:
            raise UserError("--model is for --writer google or openai; the template writer has no model")
        return TemplateWriter()
    if name not in ("google", "openai"):
        raise UserError(f"unknown writer {name!r}; choose template, google or openai")
    if not model:
        example = "gemini-2.5-flash" if name == "google" else "the model that your server serves"
        raise UserError(f"--writer {name} needs --model NAME, such as {example}")
    ask = _google(model) if name == "google" else _openai(model)
    return LanguageModelWriter(name, model, ask, AnswerLog(answers / f"{name}.jsonl"))


class AnswerLog:
    """Answers on disk, one JSON object a line, each durable before `put` returns: nothing is paid twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[str, ...]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    try:
                        entry = json.loads(line)
                        self._answers[entry["key"]] = tuple(map(str, entry["captions"]))
                    except (ValueError, KeyError, TypeError):
                        continue  # the line that a killed run was writing
            if path.stat().st_size:
                with path.open("rb+") as file:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        file.write(b"\n")

    def get(self, key: str) -> tuple[str, ...] | None:
        return self._answers.get(key)

    def put(self, key: str, captions: tuple[str, ...], **more: str) -> None:
        line = json.dumps({"key": key, "captions": captions, **more}, ensure_ascii=False) + "\n"
        with self._lock:
            with self._path.open("ab") as file:
                file.write(line.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            self._answers[key] = captions


class LanguageModelWriter:
    """Asks a language model for captions; safe to call from several threads.

    Args:
        ask: Sends a prompt and a JPEG, returns the answer's text; raises `_RequestError`.
    """

    prompt_version = PROMPT_VERSION

    def __init__(self, name: str, model: str, ask: Callable[[str, bytes], str], answers: AnswerLog) -> None:
        self.name = name
        self.model: str | None = model
        self._ask = ask
        self._answers = answers
        self._lock = threading.Lock()
        self._answered = self._given_up = 0

    def write(self, jpeg: bytes, contents: ChipContents, key: str) -> tuple[str, ...]:
        """Return the model's captions, from the log if it was asked the same before; see `Writer`."""
        del key
        prompt = prompt_for(contents)
        asked = content_id(jpeg, prompt, self.prompt_version, self.name, self.model or "")
        captions = self._answers.get(asked)
        if captions is None:
            try:
                captions = self._retried(prompt, jpeg)
            except _RequestError as failure:
                raise self._explain(failure) from failure
            self._answers.put(asked, captions, model=self.model or "", prompt_version=self.prompt_version)
        with self._lock:
            self._answered += 1
        return captions

    def _retried(self, prompt: str, jpeg: bytes) -> tuple[str, ...]:
        for attempt in stamina.retry_context(
            on=_may_pass,
            attempts=_ATTEMPTS,
            timeout=None,
            wait_initial=0.5,
            wait_max=_MAX_WAIT_S,
            wait_jitter=0.5,
        ):
            with attempt:
                return _parse(self._ask(prompt, jpeg))
        raise AssertionError("stamina ends with an answer or an error")

    def _explain(self, failure: _RequestError) -> Exception:
        if failure.status in (401, 403):
            return UserError(f"the {self.name} server refused the API key ({failure.status}); check the key")
        if failure.status == 404:
            return UserError(f"the {self.name} server knows no model {self.model!r}; check --model and the base URL")
        with self._lock:
            self._given_up += 1
            if self._answered == 0 and self._given_up >= _HOPELESS:
                return UserError(f"the {self.name} writer answered none of the first {_HOPELESS} chips: {failure}")
        return NoAnswerError(str(failure))


def prompt_for(contents: ChipContents) -> str:
    """Return the prompt for a chip: the versioned text with the landmarks as quoted data."""
    text = resources.files(__package__).joinpath(f"prompts/{PROMPT_VERSION}.md").read_text(encoding="utf-8")
    kinds = [
        {
            "what": kind.phrase,
            "count": kind.count if kind.countable else "some",
            "position": kind.position,
            "area_percent": round(100 * kind.area_share, 1),
            "names": sorted({member.name[:80] for member in kind.members[:3] if member.name}),
        }
        for kind in contents.kinds[:12]
    ]
    relations = [
        [contents.kinds[relation.subject].phrase, relation.word, contents.kinds[relation.object].phrase]
        for relation in contents.relations
    ]
    # One line each, so that no name can feign the line that ends the data; ASCII, so that none can hide.
    listed = json.dumps(kinds) + "\n" + json.dumps(relations)
    return string.Template(text).substitute(landmarks=listed, count=_CAPTIONS)


def _parse(text: str) -> tuple[str, ...]:
    try:
        answer = _Answer.model_validate_json(text.strip().removeprefix("```json").strip("`\n "))
    except ValidationError as error:
        raise _RequestError("the answer is not the JSON asked for") from error
    captions = [" ".join(caption.split()) for caption in answer.captions]
    captions = list(dict.fromkeys(caption for caption in captions if caption))
    if not captions:
        raise _RequestError("the answer holds no caption")
    return tuple(captions[: 2 * _CAPTIONS])


def _may_pass(error: Exception) -> bool | float:
    """Tell whether to try again, and where the server says so, after how many seconds."""
    if not isinstance(error, _RequestError):
        return False
    if error.status is not None and error.status not in _RETRIED and error.status < 500:
        return False
    return True if error.wait_s is None else min(error.wait_s, _MAX_WAIT_S)


def _failure(reason: str, status: int | None, headers: Any) -> _RequestError:
    try:
        wait_s = float(headers.get("retry-after"))
    except (AttributeError, TypeError, ValueError):
        wait_s = None
    return _RequestError(f"{status or ''} {reason[:200]}".strip(), status, wait_s)


def _google(model: str) -> Callable[[str, bytes], str]:
    from google import genai  # noqa: PLC0415  (0.8 s; only this writer needs it)
    from google.genai import errors, types  # noqa: PLC0415

    try:
        # Without retry options the SDK does not retry: stamina does, and counts.
        client = genai.Client(http_options=types.HttpOptions(timeout=int(_TIMEOUT_S * 1000)))
    except ValueError as error:
        raise UserError("--writer google needs an API key; set GEMINI_API_KEY or GOOGLE_API_KEY") from error
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=_Answer)

    def ask(prompt: str, jpeg: bytes) -> str:
        try:
            picture = types.Part.from_bytes(data=jpeg, mime_type="image/jpeg")
            content = types.Content(role="user", parts=[picture, types.Part.from_text(text=prompt)])
            response = client.models.generate_content(model=model, contents=content, config=config)
        except errors.APIError as error:
            headers = getattr(error.response, "headers", None)
            raise _failure(error.message or error.status or "", error.code, headers) from error
        except Exception as error:
            # The SDK passes on whatever its HTTP library raises, and which that is depends on its version.
            raise _RequestError(f"{type(error).__name__}: {error}"[:200]) from error
        if not response.text:
            raise _RequestError("the answer is empty")
        return response.text

    return ask


def _openai(model: str) -> Callable[[str, bytes], str]:
    import openai  # noqa: PLC0415  (0.8 s; only this writer needs it)

    try:
        client = openai.OpenAI(max_retries=0, timeout=_TIMEOUT_S)
    except openai.OpenAIError as error:
        raise UserError(
            "--writer openai needs an API key; set OPENAI_API_KEY "
            "(for a server of your own: any word, and OPENAI_BASE_URL)"
        ) from error

    def ask(prompt: str, jpeg: bytes) -> str:
        picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        try:
            response = client.chat.completions.create(
                model=model,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": picture}},
                            {"type": "text", "text": prompt},
                        ],
                    }
                ],
                response_format={"type": "json_object"},
            )
        except openai.APIStatusError as error:
            raise _failure(error.message, error.status_code, error.response.headers) from error
        except openai.OpenAIError as error:  # no connection, no answer in time, an answer that is no JSON
            raise _RequestError(f"{type(error).__name__}: {error}"[:200]) from error
        except ValueError as error:
            raise _RequestError("the server's answer is not JSON") from error
        text = response.choices[0].message.content if response.choices else None
        if not text:
            raise _RequestError("the answer is empty")
        return text

    return ask
