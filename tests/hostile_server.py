"""A web server that answers the way the worst of the web does, by the kind that stands in the path."""

import gzip
import io
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

HOSTS = 40  # 127.0.0.1 and on: each a host of its own to a polite client
BOMB_SIDE = 50_000


def picture(seed: int) -> Image.Image:
    """Return a picture of patches with grain, no two seeds alike."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(20, 220, (6, 8, 3), dtype=np.uint8)).resize((160, 120), 3)
    grain = random.normal(0, 12, (120, 160, 1))
    return Image.fromarray((np.asarray(patches) + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _zeros(count: int) -> bytes:
    """Compress `count` zero bytes, quickly: a deflate block that looks back at nothing, again and again."""
    block = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = last.compress(bytes(count % block)) + last.flush()
    return b"\x78\xda" + packed * (count // block) + end + struct.pack(">HH", count % 65521, 1)


@cache
def png_bomb(side: int = BOMB_SIDE) -> bytes:
    """Return a PNG of a megabyte that holds `side` × `side` pixels of four bits."""
    header = struct.pack(">IIBBBBB", side, side, 4, 0, 0, 0, 0)
    rows = _zeros(side * (1 + side // 2))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@cache
def text_bomb() -> bytes:
    """Return a small picture with a comment that unpacks to a gigabyte."""
    plain = encoded(picture(1), "PNG")
    return plain[:33] + _chunk(b"zTXt", b"Comment\0\0" + _zeros(2**30)) + plain[33:]


def animated(seed: int, kind: str) -> bytes:
    frames = [picture(seed), *(picture(seed + 10**6 * number) for number in range(1, 4))]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def sixteen_bit(seed: int, kind: str) -> bytes:
    return encoded(Image.fromarray(np.asarray(picture(seed).convert("L")).astype(np.uint16) * 257), kind)


def corrupt(seed: int) -> bytes:
    """Return a JPEG with noise in the place of most of its bytes."""
    data = bytearray(encoded(picture(seed)))
    data[200:-200] = np.random.default_rng(seed).integers(0, 256, len(data) - 400, dtype=np.uint8).tobytes()
    return bytes(data)


GOOD: Mapping[str, Callable[[int], bytes]] = {
    "jpeg": lambda seed: encoded(picture(seed)),
    "png": lambda seed: encoded(picture(seed), "PNG"),
    "cmyk": lambda seed: encoded(picture(seed).convert("CMYK")),
    "16-bit-png": lambda seed: sixteen_bit(seed, "PNG"),
    "16-bit-tiff": lambda seed: sixteen_bit(seed, "TIFF"),
    "animated-gif": lambda seed: animated(seed, "GIF"),
    "animated-webp": lambda seed: animated(seed, "WEBP"),
    "animated-png": lambda seed: animated(seed, "PNG"),
}
BAD: Mapping[str, Callable[[int], bytes]] = {
    "truncated-jpeg": lambda seed: encoded(picture(seed))[:2000],
    "truncated-png": lambda seed: encoded(picture(seed), "PNG")[:5000],
    "corrupt": corrupt,
    "empty": lambda seed: b"",
    "html": lambda seed: b"<html><body>not found</body></html>" * 50,
    "svg": lambda seed: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "noise": lambda seed: np.random.default_rng(seed).bytes(3000),
    "png-bomb": lambda seed: png_bomb(),
    "text-bomb": lambda seed: text_bomb(),
}
REDIRECTS = (
    "http://10.0.0.1/a.jpg",
    "http://192.168.1.1/a.jpg",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:1/a.jpg",
    "http://[::1]/a.jpg",
    "http://[::ffff:127.0.0.1]/a.jpg",
    "http://localhost:22/a.jpg",
    "http://0.0.0.0/a.jpg",
    "http://2130706433/a.jpg",
    "file:///etc/passwd",
    "ftp://10.0.0.1/a.jpg",
)
STATUSES = (404, 410, 403, 401, 204, 418, 500)
LIES = (
    "longer-than-said",
    "shorter-than-said",
    "length-negative",
    "length-no-number",
    "length-terabytes",
    "broken-chunks",
    "gzip-bomb",
    "many-headers",
    "long-header",
    "no-http",
    "cut-at-once",
)
# Each of them occupies a connection until the client has had enough.
SLOW = ("hang", "hang-in-body", "drip", "endless")


class HostileServer(ThreadingHTTPServer):
    """Serves `/KIND/NUMBER` on every address of this machine.

    Attributes:
        asked: How often each path was asked for.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.closed = threading.Event()

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.{number + 1}:{self.server_address[1]}" for number in range(HOSTS)]

    def url(self, kind: str, number: int) -> str:
        return f"http://{self.addresses[number % HOSTS]}/{kind}/{number}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that goes away is what the test is about


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    png_bomb(), text_bomb()
    with HostileServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.closed.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: HostileServer

    def do_GET(self) -> None:
        self.server.asked[f"{self.headers['Host']}{self.path}"] += 1
        _, kind, number = (*self.path.split("/"), "", "")[:3]
        self.close_connection = True
        seed = int(number) if number.isdigit() else 0
        if kind in GOOD:
            # What is said of the type is no use: it is wrong for a third.
            self._answer(GOOD[kind](seed), "text/html" if seed % 3 == 0 else "image/jpeg")
        elif kind in BAD:
            self._answer(BAD[kind](seed), "image/jpeg")
        elif kind == "redirect":
            self._answer(b"", status=302, Location=REDIRECTS[seed % len(REDIRECTS)])
        elif kind == "loop":
            self._answer(b"", status=301, Location=self.path)
        elif kind == "status":
            self._answer(b"", status=STATUSES[seed % len(STATUSES)])
        elif kind == "lie":
            with suppress(OSError):
                self._lie(LIES[seed % len(LIES)], seed)
        elif kind == "slow":
            with suppress(OSError):
                self._dawdle(SLOW[seed % len(SLOW)])
        else:
            self._answer(b"", status=404)

    def _answer(self, body: bytes, kind: str = "image/jpeg", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "Content-Type": kind} | headers).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _raw(self, *lines: str, body: bytes = b"") -> None:
        self.wfile.write("\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *lines, "", ""]).encode() + body)

    def _lie(self, how: str, seed: int) -> None:
        body = encoded(picture(seed))
        match how:
            case "longer-than-said":
                self._raw("Content-Length: 1000", body=body)
            case "shorter-than-said":
                self._raw(f"Content-Length: {len(body) + 5000}", body=body)
            case "length-negative":
                self._raw("Content-Length: -1", body=b"")
            case "length-no-number":
                self._raw("Content-Length: many", body=b"nothing")
            case "length-terabytes":
                self._raw("Content-Length: 9000000000000", body=body)
            case "broken-chunks":
                self._raw("Transfer-Encoding: chunked", body=b"zz\r\nnonsense\r\n")
            case "gzip-bomb":
                self._raw("Content-Encoding: gzip", body=gzip.compress(bytes(2**26)))
            case "many-headers":
                self._raw(*(f"X-{number}: {number}" for number in range(5000)), body=body)
            case "long-header":
                self._raw("X-Long: " + "x" * 2**20, body=body)
            case "no-http":
                self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            case "cut-at-once":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    def _dawdle(self, how: str) -> None:
        match how:
            case "hang":
                self.server.closed.wait(120)
            case "hang-in-body":
                self._raw("Content-Length: 9000", body=b"\xff\xd8\xff")
                self.server.closed.wait(120)
            case "drip":
                self._raw("Content-Length: 9000")
                for _ in range(1000):
                    self.wfile.write(b"\xff")
                    time.sleep(0.2)
            case "endless":
                self._raw()
                while not self.server.closed.is_set():
                    self.wfile.write(bytes(2**16))

    def log_message(self, *_: object) -> None:
        pass


# Of a thousand rows, how many are of a kind.
MIX = {
    "jpeg": 380,
    **dict.fromkeys([kind for kind in GOOD if kind != "jpeg"], 20),
    "truncated-jpeg": 25,
    "truncated-png": 20,
    "corrupt": 40,
    "empty": 15,
    "html": 30,
    "svg": 10,
    "noise": 20,
    "png-bomb": 10,
    "text-bomb": 5,
    "redirect": 80,
    "loop": 10,
    "status": 111,
    "lie": 60,
    "slow": 4,
    "cat": 40,  # the words say that it is nothing from above: never asked for
}


def hostile_table(server: HostileServer, rows: int) -> list[tuple[str, str]]:
    """Return urls and alt-texts in the shares of MIX, the kinds mixed."""
    kinds = np.random.default_rng(0).permutation(np.repeat(list(MIX), list(MIX.values())))
    drawn = np.resize(kinds, rows)
    kept = "Aerial view of the town number {}"
    return [
        (server.url(str(kind), number), "A cat on a sofa" if kind == "cat" else kept.format(number))
        for number, kind in enumerate(drawn)
    ]


def kind_of(url: str) -> str:
    """Return the kind of a url of `hostile_table`."""
    return url.split("/")[3]
