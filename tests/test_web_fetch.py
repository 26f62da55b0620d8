"""How `pairs web` asks the web: what it refuses, how politely it asks, and that it asks nothing twice."""

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from geomammut.pairs.web_stages import fetch as fetching
from geomammut.pairs.web_stages.addresses import ALLOWED_VARIABLE, is_public
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fetch import Fetcher, fetch
from geomammut.pairs.web_stages.fetched import Answer, FetchedStore
from geomammut.pairs.web_stages.hosts import Politeness
from small_server import Server

# Fetch: files


def test_files_are_read_only_inside_the_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "ä b.jpg").write_bytes(b"inside")
    (tmp_path / "secret.jpg").write_bytes(b"outside")
    (home / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (home / "up").symlink_to(tmp_path)
    (home / "loop").symlink_to(home / "loop")
    assert fetch("sub/ä b.jpg", home) == b"inside"
    refused = {
        str(tmp_path / "secret.jpg"): "path leaves the table's folder",
        "../secret.jpg": "path leaves the table's folder",
        "sub/../../secret.jpg": "path leaves the table's folder",
        "link.jpg": "path leaves the table's folder",
        "up/secret.jpg": "path leaves the table's folder",
        "sub\0.jpg": "path leaves the table's folder",
        f"file://{tmp_path}/secret.jpg": "neither http(s) nor a relative path",
        "//host/share.jpg": "neither http(s) nor a relative path",
        "ftp://host/a.jpg": "neither http(s) nor a relative path",
        "data:image/png;base64,AAAA": "neither http(s) nor a relative path",
        "absent.jpg": "no such file",
        "loop": "no such file",
        "sub": "no such file",
    }
    for url, reason in refused.items():
        with pytest.raises(Dropped) as dropped:
            fetch(url, home)
        assert dropped.value.reason == reason, url


# Fetch: the web


def refusal(url: str, folder: Path) -> str:
    with pytest.raises(Dropped) as dropped:
        fetch(url, folder)
    return dropped.value.reason


def test_web_answers(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 100_000)
    monkeypatch.setattr(fetching, "SILENCE_S", 0.3)
    monkeypatch.setattr(fetching, "DEADLINE_S", 0.6)
    assert fetch(f"{server}/picture.jpg", tmp_path) == Server.picture
    assert fetch(f"{server}/picture.jpg?with a space=ü", tmp_path) == Server.picture
    assert fetch(f"{server}/redirect", tmp_path) == Server.picture
    assert refusal(f"{server}/round", tmp_path) == "too many redirects"
    assert refusal(f"{server}/nothing", tmp_path) == "server refused"
    assert Server.asked["/nothing"] == 1
    assert refusal(f"{server}/long", tmp_path) == "too many bytes"
    assert refusal(f"{server}/truncated", tmp_path) == "connection failed"
    assert refusal(f"{server}/silent", tmp_path) == "timed out"
    started = time.monotonic()
    assert refusal(f"{server}/drip", tmp_path) == "timed out"
    assert time.monotonic() - started < 2


def test_passing_failures_are_tried_again(server: str, tmp_path: Path) -> None:
    Server.failures_left = 2
    assert fetch(f"{server}/flaky", tmp_path) == Server.picture
    Server.failures_left = 3
    assert refusal(f"{server}/flaky", tmp_path) == "server refused"
    Server.failures_left = 0
    assert Server.asked["/flaky"] == 6


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "0.0.0.0"])
def test_private_addresses_are_refused_however_written(host: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert refusal(f"http://{host}:{listening.getsockname()[1]}/a.jpg", tmp_path) == "private address"
        listening.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.1:9/a.jpg", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("http://[::ffff:10.0.0.1]/a.jpg", "private address"),
        ("file:///etc/passwd", "redirected away from http(s)"),
        ("http://[::1/a.jpg", "malformed url"),
    ],
)
def test_redirects_to_private_addresses_are_refused(server: str, tmp_path: Path, target: str, reason: str) -> None:
    assert refusal(f"{server}/elsewhere?to={target}", tmp_path) == reason


def test_name_that_resolves_to_a_private_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("93.184.216.34", port)), (2, 1, 6, "", ("192.168.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert refusal("http://rebinding.example/a.jpg", tmp_path) == "private address"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("url", ["http://", "http://user:secret@example.org/a.jpg", "http://[::1/a", "http://a:b/"])
def test_malformed_urls(url: str, tmp_path: Path) -> None:
    assert refusal(url, tmp_path) == "malformed url"


# Politeness

Answering = Callable[["Web"], tuple[int, dict[str, str], bytes]]


class Web(BaseHTTPRequestHandler):
    """Answers as `answers` says for the path, 404 where it says nothing; keeps connections alive."""

    protocol_version = "HTTP/1.1"
    server: "WebServer"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked[path] += 1
            self.server.times.append(time.monotonic())
            self.server.at_once += path != "/robots.txt"
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        status, headers, body = self.server.answers.get(path, lambda _: (404, {}, b""))(self)
        with self.server.lock:
            self.server.at_once -= path != "/robots.txt"
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class WebServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: dict[str, Answering], host: str) -> None:
        super().__init__((host, 0), Web)
        self.answers = answers
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.times: list[float] = []
        self.connections = self.at_once = self.most_at_once = 0
        self.address = f"{host}:{self.server_address[1]}"


def says(body: bytes, status: int = 200, wait_s: float = 0.0, **headers: str) -> Answering:
    def answer(_: Web) -> tuple[int, dict[str, str], bytes]:
        time.sleep(wait_s)
        return status, {name.replace("_", "-"): value for name, value in headers.items()}, body

    return answer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Answering]], WebServer]]:
    running: list[WebServer] = []

    def start(answers: dict[str, Answering]) -> WebServer:
        server = WebServer(answers, f"127.0.0.{len(running) + 1}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        monkeypatch.setenv(ALLOWED_VARIABLE, ",".join(each.address for each in running))
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


Start = Callable[[dict[str, Answering]], WebServer]
FAST = Politeness(per_host_rate=1000.0)


@contextmanager
def stored(folder: Path, politeness: Politeness = FAST) -> Iterator[Fetcher]:
    store = FetchedStore(folder)
    try:
        with Fetcher(store, politeness) as fetcher:
            yield fetcher
    finally:
        store.close()


def outcomes(fetcher: Fetcher, urls: list[str]) -> list[object]:
    """Return, in the order of the urls, the bytes or the reason why there are none."""
    found: dict[int, Answer] = dict(fetcher.fetch_all(urls))
    assert sorted(found) == list(range(len(urls)))
    return [answer.reason if isinstance(answer, Dropped) else answer for _, answer in sorted(found.items())]


def test_robots_txt_is_obeyed_and_asked_for_once(web: Start) -> None:
    rules = b"User-agent: *\nDisallow: /\n\nUser-agent: GeoMaMMUT\nDisallow: /private/*.jpg$\n"
    server = web(
        {
            "/robots.txt": says(rules, X_Robots_Tag="noindex"),
            "/a.jpg": says(b"a"),
            "/private/b.jpg": says(b"b"),
            "/c.jpg": says(b"", 302, Location="/private/b.jpg"),
        }
    )
    urls = [f"http://{server.address}{path}" for path in ("/a.jpg", "/private/b.jpg", "/c.jpg")]
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, urls) == [b"a", "forbidden by robots.txt", "forbidden by robots.txt"]
    assert server.asked == {"/robots.txt": 1, "/a.jpg": 1, "/c.jpg": 1}


@pytest.mark.parametrize(
    ("status", "outcome"), [(404, b"a"), (403, b"a"), (503, "robots.txt refused"), (429, "robots.txt refused")]
)
def test_host_whose_robots_txt_fails(web: Start, status: int, outcome: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FIRST_RETRY_S", 0.01)
    server = web({"/robots.txt": says(b"", status), "/a.jpg": says(b"a")})
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/a.jpg"]) == [outcome]


@pytest.mark.parametrize(
    ("headers", "used"),
    [
        ({"X_Robots_Tag": "noai"}, False),
        ({"X_Robots_Tag": "nofollow, NoImageAI"}, False),
        ({"X_Robots_Tag": "geomammut: noindex"}, False),
        ({"TDM_Reservation": "1"}, False),
        ({"X_Robots_Tag": "otherbot: noai"}, True),
        ({"X_Robots_Tag": "unavailable_after: 2030-01-01, nofollow"}, True),
        ({"X_Robots_Tag": "all"}, True),
        ({"TDM_Reservation": "0"}, True),
    ],
)
def test_headers_that_opt_out_are_obeyed(web: Start, headers: dict[str, str], used: bool) -> None:
    server = web({"/a.jpg": says(b"a", **headers)})
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/a.jpg"]) == [b"a" if used else "opted out"]


def test_host_is_asked_by_few_at_a_time_over_connections_used_again(web: Start) -> None:
    server = web({f"/{n}": says(b"x", wait_s=0.02) for n in range(30)})
    with Fetcher(None, Politeness(per_host=3, per_host_rate=1000.0)) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/{n}" for n in range(30)]) == [b"x"] * 30
    assert server.most_at_once == 3
    assert server.connections <= 6


@pytest.mark.parametrize(("rules", "gap_s"), [(b"", 0.2), (b"User-agent: *\nCrawl-delay: 0.4", 0.4)])
def test_host_is_asked_seldom(web: Start, rules: bytes, gap_s: float) -> None:
    server = web({"/robots.txt": says(rules), **{f"/{n}": says(b"x") for n in range(5)}})
    with Fetcher(None, Politeness(per_host_rate=5.0)) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/{n}" for n in range(5)]) == [b"x"] * 5
    # Four gaps, less what a busy machine may delay the first request on its way to the server's clock.
    assert server.times[-1] - server.times[1] > gap_s * 3


def test_slow_host_keeps_no_other_waiting(web: Start) -> None:
    slow = web({f"/{n}": says(b"s", wait_s=0.15) for n in range(12)})
    quick = web({f"/{n}": says(b"q") for n in range(12)})
    urls = [f"http://{server.address}/{n}" for server in (slow, quick) for n in range(12)]
    with Fetcher(None, Politeness(concurrent=4, per_host=2, per_host_rate=1000.0)) as fetcher:
        order = [place for place, _ in fetcher.fetch_all(urls)]
    assert sum(place >= 12 for place in order[:14]) >= 11


def test_retry_after_is_waited_for(web: Start) -> None:
    left = [1]

    def busy_once(_: Web) -> tuple[int, dict[str, str], bytes]:
        return (429, {"Retry-After": "1"}, b"") if left and left.pop() else (200, {}, b"a")

    server = web({"/a.jpg": busy_once, "/b.jpg": says(b"", 503, Retry_After="86400")})
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/a.jpg"]) == [b"a"]
        assert server.times[-1] - server.times[-2] > 0.95
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/b.jpg"]) == ["server refused"]
    assert server.asked["/b.jpg"] == 1


def test_packed_answers_are_unpacked_within_bounds(web: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 100_000)
    server = web(
        {
            "/a.jpg": says(gzip.compress(b"a" * 50_000), Content_Encoding="gzip"),
            "/bomb.jpg": says(gzip.compress(bytes(10**8)), Content_Encoding="gzip"),
            "/broken.jpg": says(b"a" * 5000, Content_Encoding="gzip"),
            "/odd.jpg": says(b"as it is", Content_Encoding="utf-8"),
        }
    )
    urls = [f"http://{server.address}{path}" for path in ("/a.jpg", "/bomb.jpg", "/broken.jpg", "/odd.jpg")]
    with Fetcher(None, FAST) as fetcher:
        assert outcomes(fetcher, urls) == [
            b"a" * 50_000,
            "too many bytes",
            "broken content encoding",
            b"as it is",
        ]


# Nothing is asked twice


def test_answered_url_is_never_asked_again(web: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SILENCE_S", 0.3)
    monkeypatch.setattr(fetching, "FIRST_RETRY_S", 0.01)
    server = web(
        {
            "/a.jpg": says(b"a"),
            "/large.jpg": says(b"l" * 3_000_000),
            "/silent.jpg": says(b"", wait_s=0.6),
            "/busy.jpg": says(b"", 503),
            "/out.jpg": says(b"o", X_Robots_Tag="noai"),
            "/cut.jpg": says(b"c", Content_Length="99", Connection="close"),
        }
    )
    paths = [*server.answers, "/gone.jpg"]
    urls = [f"http://{server.address}{path}" for path in paths]
    with stored(tmp_path / "store") as fetcher:
        first = outcomes(fetcher, urls)
    asked = dict(server.asked)
    assert first == [
        b"a",
        b"l" * 3_000_000,
        "timed out",
        "server refused",
        "opted out",
        "connection failed",
        "server refused",
    ]
    with stored(tmp_path / "store") as fetcher:
        assert outcomes(fetcher, urls) == first
    assert server.asked == asked


def test_what_no_server_answered_may_be_asked_again(
    web: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = web({"/a.jpg": says(b"a")})
    url = f"http://{server.address}/a.jpg"
    monkeypatch.setenv(ALLOWED_VARIABLE, "")
    with stored(tmp_path / "store") as fetcher:
        assert outcomes(fetcher, [url]) == ["private address"]
    monkeypatch.setenv(ALLOWED_VARIABLE, server.address)
    with stored(tmp_path / "store") as fetcher:
        assert outcomes(fetcher, [url]) == [b"a"]


_KILLED = """
import sys
from pathlib import Path
from geomammut.pairs.web_stages.fetch import Fetcher
from geomammut.pairs.web_stages.fetched import FetchedStore
from geomammut.pairs.web_stages.hosts import Politeness
with Fetcher(FetchedStore(Path(sys.argv[1])), Politeness(concurrent=4, per_host=4, per_host_rate=1000.0)) as fetcher:
    for place, _ in fetcher.fetch_all([f"http://{sys.argv[2]}/{n}" for n in range(400)]):
        print(place, flush=True)
"""


def test_killed_run_loses_no_more_than_what_was_on_the_wire(web: Start, tmp_path: Path) -> None:
    server = web({f"/{n}": says(b"x" * 2000, wait_s=0.002) for n in range(400)})
    killed = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path / "store"), server.address], stdout=subprocess.PIPE, env=os.environ
    )
    assert killed.stdout is not None
    used = [int(killed.stdout.readline()) for _ in range(100)]
    killed.send_signal(signal.SIGKILL)
    used += [int(line) for line in killed.stdout.read().split()]
    killed.wait()
    with stored(tmp_path / "store") as fetcher:
        assert outcomes(fetcher, [f"http://{server.address}/{n}" for n in range(400)]) == [b"x" * 2000] * 400
    twice = {path for path, count in server.asked.items() if count > 1}
    assert len(twice) <= 4
    assert not twice & {f"/{n}" for n in used}


def test_processes_share_a_store(tmp_path: Path) -> None:
    first, second = FetchedStore(tmp_path), FetchedStore(tmp_path)
    first.put("http://e.org/a", b"a")
    second.put("http://e.org/b", Dropped("server refused", "HTTP 404"))
    assert second.get("http://e.org/a") is None or second.get("http://e.org/a") == b"a"
    first.close()
    second.close()
    third = FetchedStore(tmp_path)
    assert third.get("http://e.org/a") == b"a"
    refused = third.get("http://e.org/b")
    assert isinstance(refused, Dropped)
    assert (refused.reason, refused.detail) == ("server refused", "HTTP 404")
    assert third.get("http://e.org/a", max_age_s=-1) is None
    assert third.known(["http://e.org/a", "http://e.org/c"]) == {"http://e.org/a"}
    third.close()
    assert len(list(tmp_path.glob("*.sqlite"))) == 2
