"""Captions by any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp and others."""

import base64
import logging
from typing import Any

import openai
from openai.types.chat import ChatCompletionContentPartParam
from openai.types.shared_params import ResponseFormatJSONSchema

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import (
    MAX_OUTPUT_TOKENS,
    Answer,
    CaptionsSchema,
    Question,
    RequestFailedError,
)
from geomammut.pairs.writers.failures import broken, refused

_JSON_ASKED: ResponseFormatJSONSchema = {
    "type": "json_schema",
    "json_schema": {
        "name": "captions",
        "strict": True,
        "schema": {**CaptionsSchema.model_json_schema(), "additionalProperties": False},
    },
}
# Not every server knows JSON schemas, which the prompt asks for in words, too; and a small model's context may
# be too short for the longest answer. What a server complains of is left out from then on.
_SCHEMA, _LIMIT = "response_format", "max_completion_tokens"
_MAY_BE_UNKNOWN = {
    _SCHEMA: ("response_format", "json_schema"),
    _LIMIT: ("max_completion_tokens", "max_tokens", "context length"),
}
_STOPPED = {"length": "cut off", "content_filter": "refused"}


class OpenAIServer:
    """Asks a server for captions; the key is in OPENAI_API_KEY, the address in OPENAI_BASE_URL.

    Raises:
        UserError: There is no key.
    """

    writer = "openai"

    def __init__(self, model: str, timeout_s: float) -> None:
        self.model = model
        self._left_out: frozenset[str] = frozenset()
        logging.getLogger("openai").setLevel(logging.WARNING)
        try:
            self._client = openai.OpenAI(max_retries=0, timeout=timeout_s)
        except openai.OpenAIError as error:
            raise UserError(
                "--writer openai needs an API key; set OPENAI_API_KEY "
                "(for a server of your own: any word, and OPENAI_BASE_URL)"
            ) from error

    def ask(self, question: Question) -> Answer:
        """Send one request; see `LanguageModel`."""
        while True:
            left_out = self._left_out
            try:
                return self._ask(question, left_out)
            except RequestFailedError as failure:
                if failure.status not in (400, 422):
                    raise
                told = str(failure).lower()
                more = {name for name, hints in _MAY_BE_UNKNOWN.items() if any(hint in told for hint in hints)}
                if more <= left_out:
                    raise
                self._left_out = left_out | more

    def _ask(self, question: Question, left_out: frozenset[str]) -> Answer:
        picture = "data:image/jpeg;base64," + base64.b64encode(question.jpeg).decode("ascii")
        content: list[ChatCompletionContentPartParam] = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": question.prompt},
        ]
        try:
            response = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": content}],
                max_completion_tokens=openai.omit if _LIMIT in left_out else MAX_OUTPUT_TOKENS,
                response_format=openai.omit if _SCHEMA in left_out else _JSON_ASKED,
            )
        except openai.APIStatusError as error:
            raise refused(f"{error.code or ''} {error.message}", error.status_code, error.response.headers) from error
        except (openai.OpenAIError, ValueError) as error:  # no connection, no answer in time, no JSON
            raise broken(error) from error
        try:
            return _read(response)
        except (AttributeError, TypeError, IndexError) as error:
            raise RequestFailedError("the server's answer is no chat completion") from error


def _read(response: Any) -> Answer:
    choice = response.choices[0]
    stopped = "refused" if getattr(choice.message, "refusal", None) else _STOPPED.get(choice.finish_reason)
    text = choice.message.content or ""
    usage = response.usage
    tokens_in, tokens_out = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return Answer(text, tokens_in or 0, tokens_out or 0, stopped)
