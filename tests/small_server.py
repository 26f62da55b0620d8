"""A web server on this machine that answers by the path that it is asked for."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from hostile_server import encoded, picture


class Server(BaseHTTPRequestHandler):
    """Answers by the path that it is asked for."""

    picture = encoded(picture(1))
    asked: ClassVar[Counter[str]] = Counter()
    failures_left = 0

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        Server.asked[path] += 1
        if path == "/picture.jpg":
            self.answer(200, self.picture)
        elif path == "/redirect":
            self.answer(302, b"", Location="/picture.jpg")
        elif path == "/elsewhere":
            self.answer(302, b"", Location=self.path.split("?to=")[1])
        elif path == "/round":
            self.answer(301, b"", Location="/round")
        elif path == "/flaky" and Server.failures_left > 0:
            Server.failures_left -= 1
            self.answer(503, b"")
        elif path == "/flaky":
            self.answer(200, self.picture)
        elif path == "/long":
            self.answer(200, bytes(200_000))
        elif path == "/truncated":
            self.answer(200, self.picture[:500], **{"Content-Length": "9000"})
        elif path == "/silent":
            time.sleep(2)
        elif path == "/drip":
            self.drip()
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
            for _ in range(40):
                self.wfile.write(b"H")
                time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def small_server() -> Iterator[str]:
    """Yield the address (host:port) of a running `Server`, its counts at nought."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        Server.asked.clear()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()
