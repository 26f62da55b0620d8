"""What every request passes before it is answered: who asks, from where, how much and how often."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 12 << 20  # bytes
MAX_ADDRESS = 4096  # bytes of path and query
COOKIE = "geomammut"
OPEN_PATHS = ("/health", "/api/session")
_BODY_SECONDS = 30.0
_REQUESTS_A_SECOND, _BURST = 50.0, 400.0
_CLIENTS = 10_000  # whose rates are remembered
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RefusedError(HTTPException):
    """A request that goes no further: the status and a line that says why."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(status, why, {name.replace("_", "-"): value for name, value in headers.items()})


class Guard:
    """Let a request through, or refuse it in one line of JSON; and give every answer its headers of safety.

    - The address is at most MAX_ADDRESS long, the body at most MAX_BODY, and the body arrives in time.
    - Where no token is asked for, `Host` is a name of this machine: a page of another site, whose name was made to lead
      here (DNS rebinding), is refused. So is what a browser says another site asks for.
    - Where a token is asked for, data is given to who has it: as `Authorization: Bearer …`, or in the cookie that
      `/api/session` gave for it.
    - A client elsewhere may ask 50 times a second, after 400 at once.

    Args:
        app: What answers.
        token: What clients must know; None where only this machine can ask.
        guarded: Beginnings of the paths that give data.
        rates: How often a client elsewhere may ask.
    """

    def __init__(self, app: ASGIApp, token: str | None, guarded: Sequence[str], rates: "Rates | None" = None) -> None:
        self._app = app
        self._token = token
        self._guarded = tuple(guarded)
        self._rates = rates or Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, _limited(scope, receive), send_safely)
        except RefusedError as refused:
            if not started:
                await _refuse(refused, send_safely)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_ADDRESS:
            raise RefusedError(414, f"the address is longer than {MAX_ADDRESS:,} bytes")
        client = scope["client"][0] if scope.get("client") else ""
        if not is_loopback(client) and not self._rates.takes(client):
            raise RefusedError(429, "too many requests; ask again in a second", Retry_After="1")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"].startswith(self._guarded):
            raise RefusedError(403, "another site asks in your name; open this page itself")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 15:
            raise RefusedError(400, "Content-Length is no number")
        if int(length) > MAX_BODY:
            raise RefusedError(413, f"the body is larger than {MAX_BODY >> 20} MiB")
        if self._token is None:
            if not is_loopback(_host(headers.get("host", ""))):
                raise RefusedError(403, "asked by a name that is not this machine's; with --token any name will do")
        elif scope["path"].startswith(self._guarded) and scope["path"] not in OPEN_PATHS:
            self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), self._token):
            return
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and same(cookie.value, cookie_of(self._token)):
            return
        raise RefusedError(401, "a token is needed: Authorization: Bearer TOKEN", WWW_Authenticate="Bearer")


class Rates:
    """How often each client asks: a bucket each, which fills by 50 a second up to 400."""

    def __init__(self, a_second: float = _REQUESTS_A_SECOND, burst: float = _BURST) -> None:
        self._a_second, self._burst = a_second, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, client: str, now: float | None = None) -> bool:
        """Return whether one more request of a client at `now` (seconds) is within its rate."""
        now = time.monotonic() if now is None else now
        left, then = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._a_second)
        fits = left >= 1
        self._buckets[client] = (left - 1 if fits else left, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return fits


def same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def cookie_of(token: str) -> str:
    """Return what the cookie holds for a token: it proves that its owner knew it, and does not tell it."""
    digest = hmac.digest(token.encode(), b"geomammut serve", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_loopback(host: str) -> bool:
    """Return whether a name or address can only be this machine's."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(header: str) -> str:
    """Return a `Host` header without its port."""
    if header.startswith("["):
        return header.partition("]")[0].strip("[")
    return header.partition(":")[0]


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that gives no more than MAX_BODY, and waits for it no longer than is patient."""
    taken = 0
    deadline = time.monotonic() + _BODY_SECONDS
    whole = False

    async def limited() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise RefusedError(
                408, f"the body did not arrive within {_BODY_SECONDS:.0f} s", Connection="close"
            ) from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > MAX_BODY:
                raise RefusedError(413, f"the body is larger than {MAX_BODY >> 20} MiB", Connection="close")
        return message

    return limited


async def _refuse(refused: RefusedError, send: Send) -> None:
    body = json.dumps({"error": refused.detail}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(refused.headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": body})
