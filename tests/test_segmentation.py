"""Segmentation: masks read right, measures by their definition, the verb on images that the test makes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fake_model import ColourModel, ConstantModel
from geomammut.errors import UserError
from geomammut.evaluation import segmentation
from geomammut.evaluation.datasets import masked_images
from geomammut.evaluation.masks import BACKGROUND_PROMPTS, IGNORED, read_mask, read_mask_classes
from geomammut.evaluation.segmentation import count_confusion, eval_segmentation, segmentation_metrics

CLASSES = {
    "classes": [
        {"name": "building", "mask": "#3C1098", "prompts": ["red", "a red roof"]},
        {"name": "vegetation", "mask": "#FEDD3A", "prompts": ["green"]},
        {"name": "water", "mask": "#E2A929", "prompts": ["blue"]},
        {"name": "snow", "mask": "#FFFFFF", "prompts": ["white"]},
    ],
    "ignore": ["#9B9B9B"],
    "template": "all {}.",
}
COLOURS = {0: (255, 0, 0), 1: (0, 255, 0), 2: (0, 0, 255)}
MASK_COLOURS = {0: (0x3C, 0x10, 0x98), 1: (0xFE, 0xDD, 0x3A), 2: (0xE2, 0xA9, 0x29), 3: (0x9B, 0x9B, 0x9B)}


@given(
    truth=arrays(np.int64, (5, 7), elements=st.integers(-1, 3)),
    predicted=arrays(np.int64, (5, 7), elements=st.integers(0, 3)),
)
def test_measures_equal_their_definition(truth: np.ndarray, predicted: np.ndarray) -> None:
    confusion = count_confusion(truth, predicted, 4)
    counted = truth != IGNORED
    assert confusion.sum() == counted.sum()
    if not counted.any():
        return
    metrics, ious = segmentation_metrics(confusion)
    assert metrics["pixel_accuracy"] == pytest.approx(100 * (truth == predicted)[counted].mean())
    present = []
    for index in range(4):
        both = ((truth == index) & (predicted == index))[counted].sum()
        either = ((truth == index) | (predicted == index))[counted].sum()
        if (truth == index).any():
            present.append(100 * both / either)
            assert ious[index] == pytest.approx(present[-1])
        else:
            assert ious[index] is None
    assert metrics["miou"] == pytest.approx(np.mean(present))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Three images of blocks of colour with their masks, one smaller than the model's window."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.json").write_text(json.dumps(CLASSES))
    random = np.random.default_rng(0)
    for number, (rows, columns) in enumerate([(4, 6), (7, 5), (1, 1)]):
        labels = random.integers(0, 3, (rows, columns)).repeat(16, 0).repeat(16, 1)
        pixels = np.array([COLOURS[label] for label in labels.flat], np.uint8).reshape(*labels.shape, 3)
        labels[:5] = 3
        masks = np.array([MASK_COLOURS[label] for label in labels.flat], np.uint8).reshape(*labels.shape, 3)
        Image.fromarray(pixels).save(tmp_path / "images" / f"tile {number}.png")
        Image.fromarray(masks).save(tmp_path / "masks" / f"tile {number}.png")
    return tmp_path


def run(scene: Path, **given) -> dict:
    arguments = {"masks": scene / "masks", "classes": scene / "classes.json"} | given
    return eval_segmentation("m", scene / "images", scene / "out.json", **arguments)


@pytest.mark.parametrize("method", ["sao", "attention"])
def test_verb_on_a_model_that_knows(scene: Path, monkeypatch: pytest.MonkeyPatch, method) -> None:
    monkeypatch.setattr(segmentation, "load_model", lambda name: ColourModel())
    results = run(scene, method=method)
    # patches are half a block, so only pixels near an edge between blocks can be wrong
    assert results["metrics"]["pixel_accuracy"] > 85
    assert results["metrics"]["miou"] > 75
    assert results["per_class"]["snow"] is None
    low, high = results["intervals"]["miou"]
    assert 0 <= low <= results["metrics"]["miou"] <= high <= 100
    assert results["per_class"]["water"] > 75
    pixels = 64 * 96 + 112 * 80 + 16 * 16
    ignored = 5 * (96 + 80 + 16)
    assert results["counts"] == {
        "images": 3,
        "classes": 4,
        "pixels": pixels - ignored,
        "ignored_pixels": ignored,
    }
    assert json.loads((scene / "out.json").read_text()) == results


def test_a_background_is_the_best_of_its_words(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of ten general words fits is background, though the mean of the ten fits a class better."""

    class General(ColourModel):
        def _colour(self, text: str) -> torch.Tensor:
            return super()._colour("blue" if "scenery" in text else "yellow" if general.search(text) else text)

    general = re.compile("|".join(BACKGROUND_PROMPTS))
    monkeypatch.setattr(segmentation, "load_model", lambda name: General())
    entries = [*CLASSES["classes"][:2], {"name": "clutter", "mask": "#E2A929", "background": True}]
    (scene / "classes.json").write_text(json.dumps({**CLASSES, "classes": [*entries, CLASSES["classes"][3]]}))
    results = run(scene)
    assert len(BACKGROUND_PROMPTS) == 10
    assert results["per_class"]["clutter"] > 75


def test_verb_on_a_constant_model(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "load_model", lambda name: ConstantModel())
    assert run(scene)["metrics"]["miou"] < 100 / 3


def test_a_background_is_asked_for_by_the_same_words_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "classes.json"
    entries = [{"name": "clutter", "mask": 0, "background": True}, {"name": "roof", "mask": 1}]
    file.write_text(json.dumps({"classes": entries}))
    assert read_mask_classes(file).prompts == (BACKGROUND_PROMPTS, ("roof",))
    file.write_text(json.dumps({"classes": [{**entries[0], "prompts": ["sky"]}, entries[1]]}))
    with pytest.raises(UserError, match="takes the place of `prompts`"):
        read_mask_classes(file)


def test_images_and_masks_as_an_owner_packs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LoveDA's tree is read with LoveDA's own classes; what is missing or too much is told."""
    monkeypatch.setattr(segmentation, "load_model", lambda name: ColourModel())
    for place in ("Urban", "Rural"):
        for kind, colour in (("images_png", "#0000FF"), ("masks_png", 4)):
            (tmp_path / "Val" / place / kind).mkdir(parents=True)
            mode = "RGB" if kind == "images_png" else "L"
            Image.new(mode, (40, 40), colour).save(tmp_path / "Val" / place / kind / f"{place}.png")

    def measure(**given) -> dict:
        return eval_segmentation("m", tmp_path / "Val", tmp_path / "out.json", benchmark="loveda", **given)

    with pytest.raises(UserError, match=r"2 images of 1,669, 1,667 missing.*--subset"):
        measure(split="val")
    with pytest.raises(UserError, match=r"no split 'test'; its splits are: train, val"):
        measure(split="test")
    results = measure(split="val", subset=True)
    assert results["benchmark"] == "loveda"
    assert results["published"]["whole"] is False
    assert results["prompts"]["background"] == list(BACKGROUND_PROMPTS)
    assert results["per_class"]["water"] is not None
    spare = tmp_path / "Val" / "Rural" / "masks_png" / "spare.png"
    Image.new("L", (40, 40)).save(spare)
    with pytest.raises(UserError, match=r"1 masks in .* have no image, first Rural/masks_png/spare.png"):
        measure(subset=True)
    spare.unlink()
    (tmp_path / "Val" / "Rural" / "masks_png" / "Rural.png").unlink()
    with pytest.raises(UserError, match=r"1 of 2 images in .* have no mask, first Rural/images_png/Rural.png"):
        measure(subset=True)


def test_a_dataset_in_memory_scores_as_its_folders_do(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item of torchgeo: tensors, the image's values 0..1, the mask's the classes' integers."""
    monkeypatch.setattr(segmentation, "load_model", lambda name: ColourModel())
    stored = {"classes": [{**entry, "mask": index} for index, entry in enumerate(CLASSES["classes"])], "ignore": [255]}
    (scene / "integers.json").write_text(json.dumps({**stored, "template": CLASSES["template"]}))
    meaning = read_mask_classes(scene / "classes.json")
    items = []
    for file in sorted((scene / "images").iterdir()):
        pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
        indices = read_mask(scene / "masks" / file.name, meaning)
        items.append({"image": pixels, "mask": torch.from_numpy(np.where(indices == IGNORED, 255, indices))})
    dataset = masked_images(items, title="scene")
    in_memory = eval_segmentation("m", dataset, scene / "out.json", classes=scene / "integers.json")
    from_files = run(scene)
    assert in_memory["metrics"] == from_files["metrics"]
    assert in_memory["confusion"] == from_files["confusion"]
    items[0]["mask"] = items[0]["mask"] + 90
    with pytest.raises(UserError, match=r"the mask of scene\[0\] holds .* that no class has"):
        eval_segmentation("m", dataset, scene / "out.json", classes=scene / "integers.json")


def test_masks_of_integers(tmp_path: Path) -> None:
    file = tmp_path / "classes.json"
    file.write_text(json.dumps({"classes": [{"name": "a", "mask": 7}, {"name": "b", "mask": 2}], "ignore": [255]}))
    classes = read_mask_classes(file)
    assert classes.prompts == (("a",), ("b",))
    stored = np.array([[7, 2], [255, 7]], np.uint8)
    Image.fromarray(stored).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", classes).tolist() == [[0, 1], [IGNORED, 0]]
    palette = Image.fromarray(stored, "P")
    palette.putpalette([n % 256 for n in range(768)])
    palette.save(tmp_path / "palette.png")
    assert read_mask(tmp_path / "palette.png", classes).tolist() == [[0, 1], [IGNORED, 0]]


def test_mistakes_end_in_one_line(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "load_model", lambda name: ColourModel())

    def complaint(**given) -> str:
        with pytest.raises(UserError) as raised:
            run(scene, **given)
        assert "\n" not in str(raised.value)
        assert not (scene / "out.json").exists()
        return str(raised.value)

    assert "no method" in complaint(method="soa")
    mask = scene / "masks" / "tile 0.png"
    whole = Image.open(mask).copy()
    painted = whole.copy()
    painted.paste((1, 2, 3), (0, 0, 10, 10))
    painted.save(mask)
    assert "first #010203 (100 pixels in all)" in complaint()
    whole.resize((50, 40), Image.Resampling.NEAREST).save(mask)
    assert "50 × 40" in complaint()
    mask.write_bytes(b"no mask")
    assert "cannot be read as a mask" in complaint()
    mask.rename(scene / "masks" / "other.png")
    assert "1 of 3 images" in complaint()
    (scene / "images" / "tile 0.png").unlink()
    assert "1 masks" in complaint()


def test_mistakes_in_classes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "classes.json"

    def complaint(**changes) -> str:
        file.write_text(json.dumps({**CLASSES, **changes}))
        with pytest.raises(UserError) as raised:
            read_mask_classes(file)
        return str(raised.value)

    one, two, *_ = CLASSES["classes"]
    assert "did you mean ignore?" in complaint(ignored=[])
    assert "classes[1] has an unknown key 'promts'" in complaint(classes=[one, {**two, "promts": []}])
    assert "neither #RRGGBB nor an integer" in complaint(classes=[one, {**two, "mask": "blue"}])
    assert "mixes colours and integers" in complaint(classes=[one, {**two, "mask": 4}], ignore=[])
    assert "twice" in complaint(classes=[one, one])
    assert "needs {} once" in complaint(template="no place")
    assert "two classes" in complaint(classes=[one])
    file.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        read_mask_classes(file)


def test_dubai(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its masks are read; two of its images are segmented by colour alone."""
    names = {
        "building": "3C1098",
        "land": "8429F6",
        "road": "6EC1E4",
        "vegetation": "FEDD3A",
        "water": "E2A929",
    }
    prompts = {
        "building": "white",
        "land": "c0a080",
        "road": "606060",
        "vegetation": "green",
        "water": "blue",
    }
    file = tmp_path / "classes.json"
    entries = [{"name": n, "mask": f"#{colour}", "prompts": [prompts[n]]} for n, colour in names.items()]
    file.write_text(json.dumps({"classes": entries, "ignore": ["#9B9B9B"]}))
    masks = sorted((shared_data / "dubai" / "masks").iterdir())
    found = [np.unique(read_mask(path, read_mask_classes(file))) for path in masks]
    assert len(found) == 18
    assert set(np.concatenate(found)) >= set(range(5))

    for mask in masks[:2]:
        image = shared_data / "dubai" / "images" / f"{mask.stem}.jpg"
        for path in (mask, image):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).symlink_to(path)
    model = ColourModel()
    model.image_size = 128
    monkeypatch.setattr(segmentation, "load_model", lambda name: model)
    results = run(tmp_path)
    assert results["counts"]["pixels"] + results["counts"]["ignored_pixels"] == 2 * 797 * 644
    assert 0 < results["metrics"]["miou"] < 100


def test_an_image_folder_names_its_benchmark(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "load_model", lambda name: ConstantModel())
    assert run(scene)["benchmark"] == scene.name
