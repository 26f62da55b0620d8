"""What the server lets through: who asks, from where, how much, how often, and how slowly."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from time import sleep
from urllib.parse import urlsplit

import pytest
from starlette.responses import PlainTextResponse

from fake_archive import SquaresArchive, ask, running, served
from geomammut.errors import UserError
from geomammut.search.server import serve as serve_room
from geomammut.search.server.guard import MAX_BODY, Guard, Rates
from geomammut.search.server.serve import check_token

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def server(archive: SquaresArchive) -> Iterator[str]:
    with served(archive) as address:
        yield address


@pytest.fixture(scope="module")
def locked(archive: SquaresArchive) -> Iterator[str]:
    with served(archive, token=TOKEN) as address:
        yield address


def test_too_large_a_body_is_refused_before_it_is_read(server: str) -> None:
    answer = ask(server, "/api/search", b"x", Content_Length=str(MAX_BODY + 1))
    assert answer.status == 413
    assert "12 MiB" in answer.problem
    # One that does not tell its length is stopped on the way.
    host, port = urlsplit(server).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /api/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        try:
            for _ in range(16):
                connection.sendall(chunk)
        except OSError:
            pass  # it was told to stop
        assert b" 413 " in connection.recv(4096)


def test_who_does_not_finish_asking_is_not_waited_for(archive: SquaresArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_room, "_REQUEST_SECONDS", 0.3)
    with (
        served(archive) as server,
        socket.create_connection((urlsplit(server).hostname, urlsplit(server).port), timeout=30) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in connection.recv(4096)
        with suppress(OSError):
            for letter in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 300:
                connection.sendall(bytes([letter]))
                sleep(0.1)
            raise AssertionError("it was waited for")


def test_a_page_of_another_site_cannot_ask(server: str) -> None:
    assert "name" in ask(server, "/api/archive", Host="evil.example:80").problem
    assert ask(server, "/api/archive", Host="evil.example:80").status == 403
    assert ask(server, "/api/archive", Sec_Fetch_Site="cross-site").status == 403
    assert ask(server, "/api/search", b'{"text": "red"}', Content_Type="text/plain").status == 422
    assert ask(server, "/api/archive", Host="localhost:9999").status == 200


@pytest.mark.parametrize("path", ["/", "/api/archive", "/health", "/docs", "/page/page.js", "/nowhere"])
def test_every_answer_carries_a_strict_policy(server: str, path: str) -> None:
    headers = ask(server, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_a_token_is_asked_for_and_remembered_in_a_cookie(locked: str) -> None:
    assert ask(locked, "/api/archive").status == 401
    assert "token" in ask(locked, "/metrics").problem
    assert ask(locked, "/api/archive", Authorization="Bearer wrong").status == 401
    assert ask(locked, "/api/archive", Cookie="geomammut=wrong").status == 401
    assert ask(locked, "/api/archive", Cookie='geomammut="\x7f\\').status == 401
    assert ask(locked, "/api/archive", Authorization=f"Bearer {TOKEN}").status == 200
    assert ask(locked, "/health").status == 200
    assert ask(locked, "/").status == 200  # the page holds no data; it asks for the token
    assert ask(locked, "/api/session", {"token": "wrong"}).status == 401
    session = ask(locked, "/api/session", {"token": TOKEN})
    cookie = session.headers["set-cookie"]
    assert session.status == 204
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert ask(locked, "/api/archive", Cookie=cookie.split(";")[0]).status == 200
    assert ask(locked, "/api/archive", Authorization=f"Bearer {TOKEN}", Host="maps.example").status == 200


def test_a_client_elsewhere_may_ask_only_so_often() -> None:
    rates = Rates(a_second=10, burst=20)
    assert [rates.takes("203.0.113.5", now=0) for _ in range(25)] == [True] * 20 + [False] * 5
    assert rates.takes("203.0.113.6", now=0)
    assert [rates.takes("203.0.113.5", now=1) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_client_behind_a_proxy_is_told_apart_and_slowed_down() -> None:
    app = Guard(PlainTextResponse("welcome"), None, (), Rates(a_second=0, burst=3))
    with running(app) as server:
        statuses = [ask(server, "/", X_Forwarded_For="203.0.113.9").status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert ask(server, "/", X_Forwarded_For="203.0.113.10").status == 200
        assert [ask(server, "/").status for _ in range(5)] == [200] * 5  # this machine's own are not counted


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_no_other_address_without_a_token(host: str) -> None:
    with pytest.raises(UserError, match="token"):
        check_token(host, None)
    check_token(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_this_machine_asks_without_a_token(host: str) -> None:
    check_token(host, None)


def test_a_short_token_is_refused() -> None:
    with pytest.raises(UserError, match="at least 12"):
        check_token("0.0.0.0", "secret")
