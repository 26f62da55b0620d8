"""The classifier of aerial images: trained, saved, loaded, refused where it does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import geomammut
from geomammut.errors import UserError
from geomammut.training.probe import auc, calibrate, fit_probe

ENCODER = "timm:test_vit/random"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Green pictures and red ones, in nested folders, with one broken file among the green."""
    generator = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("pictures")
    for side, tint in (("above", (-40, 40, 0)), ("others", (40, -40, 0))):
        for number in range(30):
            pixels = (generator.normal(110, 25, (48, 64, 3)) + tint).clip(0, 255).astype(np.uint8)
            path = root / side / f"part{number % 3}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "above" / "broken.jpg").write_bytes(b"\xff\xd8no picture")
    return root / "above", root / "others"


def test_a_probe_tells_what_it_was_taught(folders: tuple[Path, Path], tmp_path: Path) -> None:
    above, others = folders
    report = geomammut.web_train_classifier([above], [others], tmp_path / "c", encoder=ENCODER)
    assert report["counts"] == {
        "positives": 30,
        "broken_positives": 1,
        "negatives": 30,
        "broken_negatives": 0,
        "held_out": 12,
    }
    assert report["metrics"]["auc"] == 1.0
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["classifier.json", "classifier.safetensors"]
    classifier = geomammut.load_classifier(tmp_path / "c")
    first, other = above / "part0" / "0.png", others / "part0" / "0.png"
    scores = classifier.score([first, Image.open(first), first.read_bytes(), b"no picture", other])
    assert scores[0] == pytest.approx(scores[1]) == pytest.approx(scores[2])
    assert np.isnan(scores[3])
    assert scores[0] > classifier.threshold > scores[4]
    with pytest.raises(UserError, match="give the right one"):
        geomammut.load_classifier(tmp_path / "c", encoder="timm:test_resnet/random")


def test_without_an_encoder_one_is_trained_and_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    above, others = folders
    for name in ("a", "b"):
        geomammut.web_train_classifier([above], [others], tmp_path / name, samples=256)
    first = (tmp_path / "a" / "classifier.safetensors").read_bytes()
    assert first == (tmp_path / "b" / "classifier.safetensors").read_bytes()
    config = json.loads((tmp_path / "a" / "classifier.json").read_text(encoding="utf-8"))
    assert config["encoder"] == "own"
    classifier = geomammut.load_classifier(tmp_path / "a")
    above_score, other_score = classifier.score([above / "part1" / "1.png", others / "part1" / "1.png"])
    assert above_score > other_score


def test_mistakes_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of pictures"):
        geomammut.web_train_classifier([folders[0]], [tmp_path / "nowhere"], tmp_path / "c")
    with pytest.raises(UserError, match="is no classifier"):
        geomammut.load_classifier(tmp_path)


def test_the_arithmetic_of_a_probe() -> None:
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(400) < 40
    embeddings = torch.randn(400, 3, generator=draws)
    embeddings[labels, 0] += 3
    logits = fit_probe(embeddings, labels, 0.01).logits(embeddings)
    assert auc(logits[labels], logits[~labels]) > 0.95
    wins = (logits[labels][:, None] > logits[~labels][None]).double().mean()
    assert auc(logits[labels], logits[~labels]) == pytest.approx(float(wins))
    calibration = calibrate(logits, labels, 0.9)
    kept = calibration.probabilities(logits) >= calibration.threshold
    assert float(kept[labels].float().mean()) >= 0.9
