"""Web pairs: what is kept of a table of urls and alt-texts, what is refused, and where each row went."""

import csv
import io
import json
import socket
import struct
import tarfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web import pairs_web
from geomammut.pairs.web_stages import fetch as fetching
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fetch import fetch, is_public
from geomammut.pairs.web_stages.image import read_image


def landscape(seed: int, width: int = 200, height: int = 160) -> Image.Image:
    """Return a picture of patches with grain, no two seeds alike."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(20, 220, (6, 8, 3), dtype=np.uint8)).resize((width, height), 3)
    grain = random.normal(0, 12, (height, width, 1))
    return Image.fromarray((np.asarray(patches) + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_bomb(side: int) -> bytes:
    """Return a small PNG that claims side × side pixels, all of them there."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("url", "alt")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def reason_of(data: bytes) -> str:
    with pytest.raises(Dropped) as dropped:
        read_image(data)
    return dropped.value.reason


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


class Server(BaseHTTPRequestHandler):
    """Answers by the path that it is asked for."""

    picture = encoded(landscape(1))
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
            for _ in range(40):
                self.wfile.write(b"H")
                time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine, whose one address may be asked."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        Server.asked.clear()
        address = f"127.0.0.1:{running.server_address[1]}"
        monkeypatch.setenv(fetching.ALLOWED_VARIABLE, address)
        yield f"http://{address}"
        running.shutdown()


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
    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
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


# Image


def test_small_jpeg_is_kept_byte_for_byte() -> None:
    data = encoded(landscape(3))
    image = read_image(data)
    assert image.jpeg == data
    assert (image.width, image.height, image.original_pixels) == (200, 160, 32000)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_other_formats_become_jpeg(kind: str) -> None:
    stored = Image.open(io.BytesIO(read_image(encoded(landscape(4), kind)).jpeg))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (200, 160))
    difference = np.abs(np.asarray(stored, float) - np.asarray(landscape(4), float)).mean()
    assert difference < 12


@pytest.mark.parametrize("mode", ["CMYK", "L", "LA", "P", "RGBA", "1", "I;16"])
def test_unusual_pixels_become_rgb(mode: str) -> None:
    source = landscape(5)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
    else:
        image = source.convert(mode)
    kind = {"CMYK": "JPEG", "1": "TIFF"}.get(mode, "PNG")
    stored = Image.open(io.BytesIO(read_image(encoded(image, kind)).jpeg))
    assert stored.mode == "RGB"
    assert abs(np.asarray(stored, float).mean() - np.asarray(source.convert("L"), float).mean()) < 12


def test_large_image_is_shrunk_and_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90°
    image = read_image(encoded(landscape(6, 1200, 800), exif=exif))
    assert (image.width, image.height, image.original_pixels) == (341, 512, 960_000)
    assert Image.open(io.BytesIO(image.jpeg)).size == (341, 512)


def chart() -> Image.Image:
    image = Image.new("RGB", (400, 300), (235, 240, 250))
    draw = ImageDraw.Draw(image)
    for bar in range(6):
        draw.rectangle([40 + 55 * bar, 260 - 30 * bar, 75 + 55 * bar, 260], fill=(20 * bar, 60, 160))
    draw.text((60, 20), "Sales by quarter")
    return image


def on_white() -> Image.Image:
    image = Image.new("RGB", (300, 300), "white")
    image.paste(landscape(7, 160, 160), (70, 70))
    return image


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"<html>404</html>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "not an image"),
        (encoded(landscape(8))[:3000], "broken image"),
        (encoded(landscape(8, 63, 200)), "too small"),
        (encoded(landscape(8, 700, 200)), "too long"),
        (encoded(Image.new("RGB", (200, 200), (90, 120, 40))), "blank"),
        (encoded(on_white()), "white background"),
        (encoded(chart(), "PNG"), "chart or text"),
    ],
)
def test_images_that_are_none_from_above(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused_before_they_are_decoded() -> None:
    bomb = png_bomb(20_000)
    assert len(bomb) < 200_000
    started = time.monotonic()
    assert reason_of(bomb) == "too many pixels"
    assert reason_of(encoded(Image.new("1", (9000, 9000)), "PNG")) == "too many pixels"
    assert time.monotonic() - started < 1


def test_real_images_from_above_pass_the_statistics(shared_data: Path) -> None:
    files = sorted((shared_data / "ucm").glob("*/*"))[::7] + sorted((shared_data / "uganda").rglob("*.png"))
    outcomes: Counter[str] = Counter()
    for file in files:
        try:
            read_image(file.read_bytes())
            outcomes["kept"] += 1
        except Dropped as dropped:
            outcomes[dropped.reason] += 1
    assert outcomes["kept"] >= 0.98 * len(files), outcomes


# The whole


def make_web(folder: Path) -> Path:
    """Write a small web of local files; the comments say what must become of the rows."""
    (folder / "images").mkdir(parents=True)
    rows: list[tuple[str, str]] = []
    for seed in range(6):  # kept
        (folder / "images" / f"{seed}.jpg").write_bytes(encoded(landscape(seed)))
        rows.append((f"images/{seed}.jpg", f"Aerial view of district {seed} | Stock Photo"))
    (folder / "images" / "big.png").write_bytes(encoded(landscape(0).resize((800, 640)), "PNG"))
    (folder / "images" / "broken.jpg").write_bytes(encoded(landscape(9))[:2000])
    (folder / "images" / "logo.png").write_bytes(encoded(chart(), "PNG"))
    rows += [
        ("images/big.png", "Satellite image of district 0"),  # kept instead of 0, being larger
        ("images/1.jpg", "Aerial view of 1"),  # the same url, a shorter caption
        ("images/broken.jpg", "Drone footage of a lake"),
        ("images/logo.png", "Aerial photography of everything"),
        ("images/absent.jpg", "Aerial view of a place that is gone"),
        ("../outside.jpg", "Aerial view of the outside"),
        ("images/2.jpg", "A cat on a sofa"),
        ("images/3.jpg", "Aerial view"),
        ("", "Aerial view of no url at all"),
        ("images/4.jpg", ""),
    ]
    return write_csv(folder / "table.csv", rows)


def test_small_web_end_to_end(tmp_path: Path) -> None:
    out = pairs_web([make_web(tmp_path / "web")], tmp_path / "pairs")
    assert sorted(path.name for path in out.iterdir()) == [
        "card.md",
        "decisions.parquet",
        "funnel.json",
        "pairs.parquet",
        "shard-000000.tar",
    ]
    pairs = PairSet(out)
    assert pairs.captions == [[f"Aerial view of district {n}"] for n in range(1, 6)] + [
        ["Satellite image of district 0"]
    ]
    assert pairs.table["source"].to_pylist() == ["web"] * 6
    assert pairs.table["url"].to_pylist()[-1] == "images/big.png"
    for jpeg, width, height in zip(
        pairs.read_jpegs(range(6)),
        pairs.table["width"].to_pylist(),
        pairs.table["height"].to_pylist(),
        strict=True,
    ):
        image = Image.open(io.BytesIO(jpeg))
        assert image.format == "JPEG"
        assert image.size == (width, height)
        assert max(image.size) <= 512
    with tarfile.open(out / "shard-000000.tar") as tar:
        assert len(tar.getnames()) == 18

    steps = json.loads((out / "funnel.json").read_text())["steps"]
    assert [(step["step"], step["in"], step["out"], step["dropped"]) for step in steps] == [
        ("read", 16, 16, {}),
        ("text", 16, 14, {"no alt-text": 1, "no keyword": 1}),
        ("alt-text", 14, 13, {"alt-text says too little": 1}),
        (
            "fetch",
            13,
            9,
            {"no such file": 1, "no url": 1, "path leaves the table's folder": 1, "repeated url": 1},
        ),
        ("image", 9, 7, {"broken image": 1, "chart or text": 1}),
        ("duplicates", 7, 6, {"near-duplicate": 1}),
        ("write", 6, 6, {}),
    ]
    decisions = pq.read_table(out / "decisions.parquet").to_pylist()
    assert [row["row"] for row in decisions] == list(range(16))
    assert [row["id"] for row in decisions if row["id"]] == pairs.ids
    assert all((row["id"] is None) != (row["stage"] is None) for row in decisions)
    assert (decisions[0]["stage"], decisions[0]["duplicate_of"]) == ("duplicates", 6)
    assert (decisions[7]["reason"], decisions[7]["duplicate_of"]) == ("repeated url", 1)
    assert decisions[1]["keyword"] == "aerial view"


def test_same_table_gives_same_bytes_whatever_the_order_of_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_web(tmp_path / "web")
    first = pairs_web([table], tmp_path / "first")
    from geomammut.pairs import web_programs

    def slowly(url: str, folder: Path) -> bytes:
        time.sleep(zlib.crc32(url.encode()) % 7 / 50)
        return fetch(url, folder)

    monkeypatch.setattr(web_programs, "fetch", slowly)
    second = pairs_web([table], tmp_path / "second")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_web_and_files_in_one_table(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(landscape(2)))
    rows = [
        (f"{server}/picture.jpg", "Aerial view of one thing"),
        (f"{server}/nothing", "Aerial view of another thing"),
        ("http://127.0.0.1:9/a.jpg", "Aerial view of a private thing"),
        ("a.jpg", "Aerial view of a third thing"),
    ]
    out = pairs_web([write_csv(tmp_path / "table.csv", rows)], tmp_path / "pairs")
    assert PairSet(out).captions == [["Aerial view of one thing"], ["Aerial view of a third thing"]]
    reasons = pq.read_table(out / "decisions.parquet")["reason"].to_pylist()
    assert reasons == [None, "server refused", "private address", None]


def test_nothing_left_ends_in_one_line_and_leaves_what_stood(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "table.csv", [("gone.jpg", "Aerial view of a thing"), ("a.jpg", "a cat")])
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "old").write_text("stands")
    with pytest.raises(UserError, match=r"text kept 1 of 2, 1 no keyword; .* 1 no such file; check the") as caught:
        pairs_web([table], tmp_path / "pairs")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "table.csv"]
    assert (tmp_path / "pairs" / "old").read_text() == "stands"


def test_classifier_judges_what_the_other_stages_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from geomammut.pairs.web_stages import zero_shot

    def green(_: str) -> zero_shot.AerialProbability:
        return lambda jpegs: [
            float(np.asarray(Image.open(io.BytesIO(jpeg)), float)[..., 1].mean() > 60) for jpeg in jpegs
        ]

    monkeypatch.setattr(zero_shot, "aerial_probability", green)
    monkeypatch.setattr(zero_shot, "BATCH", 2)
    pixels: NDArray[np.uint8] = np.asarray(landscape(1)).copy()
    pixels[..., 1] //= 8
    (tmp_path / "red.jpg").write_bytes(encoded(Image.fromarray(pixels)))
    for seed in (2, 3):
        (tmp_path / f"{seed}.jpg").write_bytes(encoded(landscape(seed)))
    rows = [(f"{name}.jpg", f"Aerial view of something {name}") for name in ("red", "2", "3")]
    out = pairs_web([write_csv(tmp_path / "table.csv", rows)], tmp_path / "pairs", classifier="a model")
    steps = {step["step"]: step for step in json.loads((out / "funnel.json").read_text())["steps"]}
    assert steps["classifier"]["dropped"] == {"not from above": 1}
    provenance = json.loads(PairSet(out).table["provenance"].to_pylist()[0])
    assert (provenance["classifier"], provenance["aerial_probability"]) == ("a model", 1.0)


def test_missing_classifier_ends_in_one_line(tmp_path: Path) -> None:
    table = make_web(tmp_path / "web")
    with pytest.raises(UserError, match="no model at"):
        pairs_web([table], tmp_path / "pairs", classifier=str(tmp_path / "no-model"))
