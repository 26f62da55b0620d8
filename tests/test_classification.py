"""Classification: the arithmetic, the words, and the verb on folders that the test makes."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fake_model import NAMED, ColourModel, ConstantModel
from geomammut.errors import UserError
from geomammut.evaluation import classification
from geomammut.evaluation.classification import classification_hits, eval_classification
from geomammut.evaluation.datasets import labelled_images
from geomammut.evaluation.prompts import TEMPLATE_SETS, class_embeddings, name_embeddings, templates, words


@given(seed=st.integers(0, 2**31), classes=st.integers(2, 9), levels=st.sampled_from([1, 2, 5, 1000]))
def test_arithmetic_equals_the_definition(seed: int, classes: int, levels: int) -> None:
    """Of equal scores any order is as likely as another: the share of orders in which the true class is among k."""
    random = np.random.default_rng(seed)
    truth = [*range(classes), *random.integers(0, classes, 12)]
    scores = random.integers(0, levels, (len(truth), classes)).astype(np.float32)
    hits, confusion = classification_hits(torch.from_numpy(scores), truth)
    for index, (row, true) in enumerate(zip(scores, truth, strict=True)):
        above, equal = (row > row[true]).sum(), (row == row[true]).sum()
        for k in (1, 5):
            places = [above + place < k for place in range(equal)]
            assert hits[f"top{k}"][index] == pytest.approx(np.mean(places))
    np.testing.assert_allclose(confusion.sum(1), np.bincount(truth))
    assert np.trace(confusion) == pytest.approx(hits["top1"].sum())


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
    assert len(templates("openai80")) == 80
    assert all(sentence.count("{}") == 1 for sentence in templates("openai80"))
    with pytest.raises(UserError, match=", ".join(TEMPLATE_SETS)):
        templates("recipy")


def test_a_class_is_the_mean_of_its_names() -> None:
    one, both = class_embeddings(ColourModel(), [["red"], ["red", "yellow"]], ["all {}", "so {}"])
    expected = ColourModel().encode_text(["red", "yellow"]).mean(0)
    torch.testing.assert_close(one, ColourModel().encode_text(["red"])[0])
    torch.testing.assert_close(both, expected / expected.norm())


def test_each_name_of_a_class_is_the_mean_of_its_templates() -> None:
    model = ColourModel()
    one, both = name_embeddings(model, [["red"], ["green", "yellow"]], ["all {}", "a red {}"])
    torch.testing.assert_close(one, model.encode_text(["red"]))
    assert both.shape == (2, 3)
    green_and_red = model.encode_text(["green", "red"]).mean(0)
    torch.testing.assert_close(both[0], green_and_red / green_and_red.norm())
    torch.testing.assert_close(name_embeddings(model, [["green"]], ["all {}"])[0], model.encode_text(["green"]))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for word, colour in NAMED.items():
        folder = tmp_path / "colours" / word.capitalize()
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (20 + number, 30), f"#{colour}").save(folder / f"{number}.png")
    return tmp_path / "colours"


@pytest.mark.parametrize(("model", "top1"), [(ColourModel(), 100), (ConstantModel(), 100 / 6)])
def test_verb_on_a_perfect_and_a_constant_model(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model, top1
) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: model)
    out = tmp_path / "out.json"
    results = eval_classification("m", folders, out, prompts="skyscript")
    assert results["metrics"]["top1"] == pytest.approx(top1, abs=1e-4)
    assert list(results["per_class"].values()) == pytest.approx([top1] * 6, abs=1e-4)
    low, high = results["intervals"]["top1"]
    assert low <= results["metrics"]["top1"] <= high
    with Image.open(out.with_name(results["confusion_picture"])) as picture:
        assert min(picture.size) > 6 * 18
    assert results["counts"] == {"images": 18, "classes": 6, "templates": 2}
    assert results["classes"]["Red"] == ["red"]
    assert np.array(results["confusion"]).sum() == pytest.approx(18, abs=1e-2)
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


def test_classes_that_training_left_out_are_told_apart(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, "load_model", lambda name: ColourModel())
    names = tmp_path / "names.json"
    names.write_text(json.dumps({word.capitalize(): word for word in NAMED} | {"Red": "green", "Green": "red"}))
    left_out = tmp_path / "unseen.txt"
    left_out.write_text("Red\n\nBlue\n")
    results = eval_classification("m", folders, tmp_path / "out.json", classnames=names, holdout=left_out)
    assert results["holdout"]["unseen"] == {"top1": 50, "top5": pytest.approx(50, abs=50), "images": 6, "classes": 2}
    assert results["holdout"]["seen"]["top1"] == 75
    assert results["holdout"]["unseen_classes"] == ["Red", "Blue"]
    left_out.write_text("Violet\n")
    with pytest.raises(UserError, match="names 1 classes that are no class folders, first 'Violet'"):
        eval_classification("m", folders, tmp_path / "out.json", holdout=left_out)


def test_embeddings_of_a_model_give_its_own_metrics(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ColourModel()
    monkeypatch.setattr(classification, "load_model", lambda name: model)
    own = eval_classification("m", folders, tmp_path / "own.json")
    names = [[word] for word in sorted(NAMED)]
    np.save(tmp_path / "classes.npy", class_embeddings(model, names, templates("recipe")).numpy())
    files = sorted(folders.rglob("*.png"))
    pictures = torch.stack([model.preprocess(Image.open(file)) for file in files])
    np.save(tmp_path / "images.npy", model.encode_image(pictures).numpy())
    given = {"image_embeddings": tmp_path / "images.npy", "text_embeddings": tmp_path / "classes.npy"}
    dumped = eval_classification("another", folders, tmp_path / "dumped.json", **given)
    assert {key: dumped[key] for key in ("metrics", "intervals", "confusion")} == {
        key: own[key] for key in ("metrics", "intervals", "confusion")
    }
    with pytest.raises(UserError, match="go together"):
        eval_classification("m", folders, tmp_path / "no.json", image_embeddings=tmp_path / "images.npy")


def test_datasets_of_torchgeo_and_hugging_face(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of items, a tensor [3, H, W] beside a list of classes and PIL beside features, score as folders do."""
    monkeypatch.setattr(classification, "load_model", lambda name: ColourModel())
    files = sorted(folders.rglob("*.png"))
    names = sorted({file.parent.name for file in files})

    class OfHuggingFace(list):
        features = SimpleNamespace(get={"label": SimpleNamespace(names=names)}.get)

    class OfTorchgeo(list):
        classes = names

    pictures = [Image.open(file).convert("RGB") for file in files]
    labels = [names.index(file.parent.name) for file in files]
    tensors = [torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures]
    ours = eval_classification("m", folders, tmp_path / "out.json")
    for items in (
        OfHuggingFace({"image": picture, "label": label} for picture, label in zip(pictures, labels, strict=True)),
        OfTorchgeo(
            {"image": tensor.float(), "label": torch.tensor(label)}
            for tensor, label in zip(tensors, labels, strict=True)
        ),
    ):
        results = eval_classification("m", labelled_images(items, title="colours"), tmp_path / "out.json")
        assert {key: results[key] for key in ("benchmark", "counts", "metrics", "confusion")} == {
            key: ours[key] for key in ("benchmark", "counts", "metrics", "confusion")
        }
    with pytest.raises(UserError, match="tells no class names"):
        labelled_images([{"image": pictures[0], "label": 0}], title="bare")
    with pytest.raises(UserError, match="has no 'label'; it has: image"):
        labelled_images(OfTorchgeo([{"image": pictures[0]}]), title="bare")


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
    assert results["metrics"]["top1"] == pytest.approx(100 / classes, abs=1e-4)
    with pytest.raises(UserError, match="1,260 missing" if name == "ucm" else "25,500 missing"):
        eval_classification("m", shared_data / name, tmp_path / "whole.json", benchmark=name)
    assert not any(word.isupper() for names in results["classes"].values() for word in names)
