"""What went wrong with a request, told without the API key."""

import os
from typing import Any

from geomammut.errors import UserError
from geomammut.pairs.writers.answer import RequestFailedError

KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY")
_TOO_OFTEN = frozenset((408, 409, 425, 429))
_LETTERS = 200
_NOT_CONNECTED = ("ConnectError", "ConnectTimeout", "UnsupportedProtocol", "InvalidURL", "LocalProtocolError")


def refused(reason: object, status: int | None, headers: Any) -> RequestFailedError:
    """Return the failure of a request that the server answered with an error."""
    try:
        wait_s: float | None = max(0.0, float(headers.get("retry-after")))
    except (AttributeError, TypeError, ValueError):
        wait_s = None
    return RequestFailedError(plain(f"{status or ''} {reason}"), status, wait_s)


def broken(error: BaseException) -> RequestFailedError:
    """Return the failure of a request that got no answer, or none that is HTTP and JSON."""
    chain = []
    link: BaseException | None = error
    while link is not None:
        chain.append(link)
        link = link.__cause__ or link.__context__
    connected = not any(type(link).__name__ in _NOT_CONNECTED for link in chain)
    return RequestFailedError(plain(f"{type(chain[-1]).__name__}: {error}"), connected=connected)


def may_pass(failure: RequestFailedError) -> bool:
    """Tell whether the same request may succeed later."""
    return failure.status is None or failure.status in _TOO_OFTEN or failure.status >= 500


def users_to_mend(failure: RequestFailedError, writer: str, model: str) -> UserError | None:
    """Return the mistake behind a failure that all requests will share, if it is one."""
    # Google tells a wrong key by 400.
    if failure.status in (401, 403) or (failure.status == 400 and "API key not valid" in str(failure)):
        return UserError(f"the {writer} server refused the API key ({failure.status}); check the key")
    if failure.status == 404:
        return UserError(f"the {writer} server knows no model {model!r}; check --model and the base URL")
    if "insufficient_quota" in str(failure):
        return UserError(f"the account at the {writer} server has no credit left; the answers so far are kept")
    return None


def plain(reason: object) -> str:
    """Return a server's or a library's words in one short line, without an API key."""
    reason = str(reason)
    for name in KEYS:
        if key := os.environ.get(name):
            reason = reason.replace(key, "…")
    return " ".join(reason.split())[:_LETTERS]
