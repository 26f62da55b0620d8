"""Web pairs: what is kept of a table of urls and alt-texts, what is refused, and where each row went."""

import csv
import io
import json
import struct
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web import pairs_web
from geomammut.pairs.web_stages.dropped import Dropped
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
def test_decompression_bombs_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_bomb(20_000)
    assert len(bomb) < 200_000
    large = encoded(Image.new("1", (9000, 9000)), "PNG")

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert reason_of(bomb) == "too many pixels"
    assert reason_of(large) == "too many pixels"


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
        ("leakage", 6, 6, {}),
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
    from geomammut.pairs.web_stages.inputs import read_input_image

    def slowly(image: dict[str, object]) -> bytes:
        time.sleep(zlib.crc32(str(image["file"]).encode()) % 7 / 50)
        return read_input_image(image)

    monkeypatch.setattr(web_programs, "read_input_image", slowly)
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

    class Green:
        threshold = 0.5

        def __init__(self, _: str) -> None:
            pass

        def embed(self, jpegs: Sequence[bytes]) -> torch.Tensor:
            greens = [np.asarray(Image.open(io.BytesIO(jpeg)), float)[..., 1].mean() for jpeg in jpegs]
            return torch.tensor([[green, 1.0] for green in greens])

        def probabilities(self, embeddings: torch.Tensor) -> list[float]:
            return (embeddings[:, 0] > 60).double().tolist()

    monkeypatch.setattr(zero_shot, "ZeroShotJudge", Green)
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
