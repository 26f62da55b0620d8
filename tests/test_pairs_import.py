"""`pairs import`: a benchmark's split arrives whole, its images untouched."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomammut.errors import UserError
from geomammut.pairs.benchmark import pairs_import
from geomammut.pairs.check import pairs_check
from geomammut.pairs.pair_set import PairSet


def encoded(form: str, seed: int, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, form)
    return data.getvalue()


def entry(name: str, split: str, *captions: str) -> dict:
    return {"filename": name, "split": split, "sentences": [{"raw": caption} for caption in captions]}


def write(path: Path, entries: list[dict]) -> Path:
    path.write_text(json.dumps({"images": entries, "dataset": "test"}))
    return path


@pytest.fixture
def benchmark(tmp_path: Path) -> tuple[Path, Path]:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(encoded("JPEG", 0))
    (images / "b.png").write_bytes(encoded("PNG", 1, "RGBA"))
    (images / "same.jpg").write_bytes(encoded("JPEG", 0))
    (images / "cut.jpg").write_bytes(encoded("JPEG", 2)[:300])
    (images / "empty.jpg").write_bytes(encoded("JPEG", 3))
    (tmp_path / "secret.jpg").write_bytes(encoded("JPEG", 4))
    (images / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    annotations = write(
        tmp_path / "dataset.json",
        [
            entry("a.jpg", "train", "an airport .", "an airport .", "  many   planes "),
            entry("b.png", "train", "a beach"),
            entry("same.jpg", "train", "the same airport"),
            entry("cut.jpg", "train", "broken"),
            entry("gone.jpg", "train", "missing"),
            entry("empty.jpg", "train", " "),
            entry("../secret.jpg", "train", "outside"),
            entry("link.jpg", "train", "outside by a link"),
            entry("a.jpg", "val", "an airport"),
        ],
    )
    return annotations, images


def test_a_split_is_imported_and_losses_are_counted(benchmark: tuple[Path, Path], tmp_path: Path) -> None:
    annotations, images = benchmark
    out = pairs_import(annotations, images, "train", tmp_path / "pairs")
    pairs = PairSet(out)
    assert pairs.captions == [
        ["an airport .", "an airport .", "many planes"],
        ["a beach"],
        ["the same airport"],
    ]
    jpegs = pairs.read_jpegs([0, 1, 2])
    assert jpegs[0] == (images / "a.jpg").read_bytes()
    assert Image.open(io.BytesIO(jpegs[1])).format == "JPEG"
    (step, _) = json.loads((out / "funnel.json").read_text())["steps"]
    assert (step["in"], step["out"]) == (8, 3)
    assert step["dropped"] == {
        "image broken": 1,
        "image missing": 1,
        "no caption": 1,
        "path leads out of the image folder": 2,
    }
    assert pairs_check(out)["pairs"] == 3


def test_a_wrong_split_names_the_right_ones(benchmark: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no split 'test'.*train \(8\), val \(1\)"):
        pairs_import(*benchmark, "test", tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"images": 3}', '{"images": [1]}'])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    annotations = tmp_path / "dataset.json"
    annotations.write_text(content)
    with pytest.raises(UserError, match=r"dataset\.json"):
        pairs_import(annotations, tmp_path, "train", tmp_path / "pairs")


def test_missing_inputs_are_named(benchmark: tuple[Path, Path], tmp_path: Path) -> None:
    annotations, images = benchmark
    with pytest.raises(UserError, match="nowhere"):
        pairs_import(annotations, tmp_path / "nowhere", "train", tmp_path / "pairs")
    with pytest.raises(UserError, match=r"none\.json"):
        pairs_import(tmp_path / "none.json", images, "train", tmp_path / "pairs")


def test_rsicd_val(shared_data: Path, tmp_path: Path) -> None:
    out = pairs_import(
        shared_data / "rsicd" / "dataset_rsicd.json",
        shared_data / "rsicd" / "images",
        "val",
        tmp_path / "pairs",
    )
    report = pairs_check(out)
    assert (report["pairs"], report["captions"]) == (506, 2530)
