"""A web server on this machine that gives out the files of a folder, or the parts of them that are asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def range_server(folder: Path, asked: list[str] | None = None) -> Iterator[str]:
    """Give out `folder` at the address that is yielded; paths go to `asked` as they are asked for."""
    handler = partial(_Files, directory=str(folder), asked=asked)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, asked: list[str] | None = None, **kwargs: object) -> None:
        self.asked = asked
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.asked is not None:
            self.asked.append(self.path)
        path = Path(self.translate_path(self.path))
        if not path.is_file() or "Range" not in self.headers:
            super().do_GET()
            return
        start, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        whole = path.read_bytes()
        part = whole[start : end + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(whole)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass
