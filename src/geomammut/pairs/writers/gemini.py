"""Captions by Gemini, request by request; see `gemini_batch` for its Batch API."""

import logging
from typing import Any

from google import genai
from google.genai import errors, types

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import (
    MAX_OUTPUT_TOKENS,
    Answer,
    CaptionsSchema,
    Question,
    RequestFailedError,
)
from geomammut.pairs.writers.failures import broken, refused

CONFIG = types.GenerateContentConfig(
    response_mime_type="application/json", response_schema=CaptionsSchema, max_output_tokens=MAX_OUTPUT_TOKENS
)


def open_client(timeout_s: float) -> genai.Client:
    """Return Google's client; the key is in GEMINI_API_KEY or GOOGLE_API_KEY.

    Raises:
        UserError: There is no key.
    """
    logging.getLogger("google_genai").setLevel(logging.ERROR)
    try:
        # Without retry options the SDK does not retry: we do, and count.
        return genai.Client(http_options=types.HttpOptions(timeout=int(timeout_s * 1000)))
    except ValueError as error:
        raise UserError("--writer google needs an API key; set GEMINI_API_KEY or GOOGLE_API_KEY") from error


class Gemini:
    """Asks Gemini for captions."""

    writer = "google"

    def __init__(self, model: str, client: genai.Client) -> None:
        self.model = model
        self._client = client

    def ask(self, question: Question) -> Answer:
        """Send one request; see `LanguageModel`."""
        try:
            response = self._client.models.generate_content(
                model=self.model, contents=content_of(question), config=CONFIG
            )
        except Exception as error:
            raise failure_of(error) from error
        return read_response(response)


def content_of(question: Question) -> types.Content:
    picture = types.Part.from_bytes(data=question.jpeg, mime_type="image/jpeg")
    return types.Content(role="user", parts=[picture, types.Part.from_text(text=question.prompt)])


def failure_of(error: Exception) -> RequestFailedError:
    """Return the failure behind an exception of the SDK.

    It passes on whatever its HTTP library raises, and which that is depends on its version.
    """
    if isinstance(error, errors.APIError):
        failure = refused(error.message or error.status or "", error.code, getattr(error.response, "headers", None))
        failure.wait_s = failure.wait_s or _retry_delay_s(error.details)
        return failure
    return broken(error)


def _retry_delay_s(details: Any) -> float | None:
    """Return what Google says to wait; it says so in the error's body, not in a header."""
    try:
        delays = [entry["retryDelay"] for entry in details["error"]["details"] if "retryDelay" in entry]
        return float(delays[0].removesuffix("s"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def read_response(response: types.GenerateContentResponse) -> Answer:
    """Return the answer in a response; one without a candidate was refused."""
    usage: Any = response.usage_metadata
    tokens_in = (usage.prompt_token_count or 0) if usage else 0
    tokens_out = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else 0
    candidate = response.candidates[0] if response.candidates else None
    if candidate is None:
        return Answer("", tokens_in, tokens_out, "refused")
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    reason = candidate.finish_reason
    if reason == types.FinishReason.MAX_TOKENS:
        stopped = "cut off"
    elif reason in (None, types.FinishReason.STOP, types.FinishReason.FINISH_REASON_UNSPECIFIED):
        stopped = None
    else:
        stopped = "refused"
    return Answer(text, tokens_in, tokens_out, stopped)
