"""Classification: the arithmetic, the words, and the verb on folders that the test makes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fake_model import NAMED, ColourModel, ConstantModel
from geomammut.errors import UserError
from geomammut.evaluation import classification
from geomammut.evaluation.classification import classification_metrics, eval_classification
from geomammut.evaluation.prompts import TEMPLATES, class_embeddings, templates, words


@given(seed=st.integers(0, 2**31), classes=st.integers(2, 9), levels=st.sampled_from([1, 2, 5, 1000]))
def test_arithmetic_equals_the_definition(seed: int, classes: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    truth = [*range(classes), *random.integers(0, classes, 12)]
    scores = random.integers(0, levels, (len(truth), classes)).astype(np.float32)
    metrics, per_class, confusion = classification_metrics(torch.from_numpy(scores), truth)
    ranks = np.array(
        [sum(s >= row[t] for c, s in enumerate(row) if c != t) for row, t in zip(scores, truth, strict=True)]
    )
    assert metrics["top1"] == pytest.approx(100 * (ranks < 1).mean())
    assert metrics["top5"] == pytest.approx(100 * (ranks < 5).mean())
    for index in range(classes):
        assert per_class[index] == pytest.approx(100 * (ranks[np.array(truth) == index] < 1).mean())
    assert confusion.sum() == len(truth)
    assert np.trace(confusion) == (ranks < 1).sum()


def test_words_of_folder_names() -> None:
    assert words("BaseballField") == "baseball field"
    assert words("baseball_diamond") == "baseball diamond"
    assert words("baseballdiamond") == "baseball diamond"
    assert words("AnnualCrop") == "annual crop"
    assert words("thermal-power station") == "thermal power station"
    assert words("Port") == "port"


def test_templates_by_name_and_from_a_file(tmp_path: Path) -> None:
    assert templates("recipe") == ("An aerial image of {}",)
    assert templates("skyscript") == ("a satellite photo of {}.", "a satellite image of {}")
    assert templates("remoteclip") == ("a satellite photo of {}.",)
    own = tmp_path / "own.txt"
    own.write_text("{} from above\n\nroofs of {}\n")
    assert templates(str(own)) == ("{} from above", "roofs of {}")
    own.write_text("nothing to fill\n")
    with pytest.raises(UserError, match=r"needs \{\} once"):
        templates(str(own))
    with pytest.raises(UserError, match=", ".join(TEMPLATES)):
        templates("recipy")


def test_a_class_is_the_mean_of_its_names() -> None:
    one, both = class_embeddings(ColourModel(), [["red"], ["red", "yellow"]], ["all {}", "so {}"])
    expected = ColourModel().encode_text(["red", "yellow"]).mean(0)
    torch.testing.assert_close(one, ColourModel().encode_text(["red"])[0])
    torch.testing.assert_close(both, expected / expected.norm())


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for word, colour in NAMED.items():
        folder = tmp_path / "colours" / word.capitalize()
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (20 + number, 30), f"#{colour}").save(folder / f"{number}.png")
    return tmp_path / "colours"


@pytest.mark.parametrize(("model", "top1"), [(ColourModel(), 100), (ConstantModel(), 0)])
def test_verb_on_a_perfect_and_a_constant_model(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model, top1
) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: model)
    out = tmp_path / "out.json"
    results = eval_classification("m", folders, out, prompts="skyscript")
    assert results["metrics"]["top1"] == top1
    assert set(results["per_class"].values()) == {top1}
    assert results["counts"] == {"images": 18, "classes": 6, "templates": 2}
    assert results["classes"]["Red"] == ["red"]
    assert np.array(results["confusion"]).sum() == 18
    assert json.loads(out.read_text()) == results


def test_class_names_from_a_file(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: ColourModel())
    file = tmp_path / "names.json"
    swapped = {word.capitalize(): word for word in NAMED} | {"Red": ["green"], "Green": "red"}
    file.write_text(json.dumps(swapped))
    results = eval_classification("m", folders, tmp_path / "out.json", classnames=file)
    assert results["per_class"] == {name.capitalize(): 100 * (name not in ("red", "green")) for name in sorted(NAMED)}
    del swapped["Blue"]
    file.write_text(json.dumps(swapped))
    with pytest.raises(UserError, match="no name for 1 of 6 folders, first 'Blue'"):
        eval_classification("m", folders, tmp_path / "out.json", classnames=file)


def test_mistakes_end_in_one_line(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: ColourModel())
    out = tmp_path / "out.json"
    with pytest.raises(UserError, match="no folder at"):
        eval_classification("m", tmp_path / "none", out)
    with pytest.raises(UserError, match="holds 0 class folders"):
        eval_classification("m", folders / "Red", out)
    (folders / "Red" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="1 of 18 images cannot be read"):
        eval_classification("m", folders, out)
    (folders / "Purple").mkdir()
    with pytest.raises(UserError, match="Purple holds no image"):
        eval_classification("m", folders, out)
    assert not out.exists()


@pytest.mark.parametrize(("name", "images", "classes"), [("ucm", 840, 21), ("eurosat", 1500, 10)])
def test_real_folders(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name, images, classes
) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: ConstantModel())
    results = eval_classification("m", shared_data / name, tmp_path / "out.json")
    assert results["counts"] == {"images": images, "classes": classes, "templates": 1}
    assert results["metrics"]["top1"] <= 100 / classes
    assert not any(word.isupper() for names in results["classes"].values() for word in names)
