"""The card of a model: what its records and results say, and nothing that they do not."""

import json
from pathlib import Path

import pytest

from geomammut.cli import main
from geomammut.errors import UserError
from geomammut.evaluation.model_card import model_card
from geomammut.evaluation.retrieval import eval_retrieval
from geomammut.training.trainer import train

RECIPE = """
batch_size = 8
precision = "float32"
workers = 0
pairs = {{ scenes = "{pairs}" }}
[model]
vocab_size = 320
vision = {{ image_size = 32, patch_size = 16, width = 16, layers = 1, heads = 1 }}
text = {{ context_length = 16, width = 16, layers = 1, heads = 1 }}
[[stages]]
name = "only"
mix = {{ scenes = 1.0 }}
samples = 16
lr_scale = 0.5
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, scene_pairs: Path) -> Path:
    folder = tmp_path_factory.mktemp("card")
    (folder / "recipe.toml").write_text(RECIPE.format(pairs=scene_pairs))
    (scene_pairs / "card.md").write_text("# Scenes\n\n## Sources and licences\n\nDrawn here; CC0.\n\n## Counts\n\n64\n")
    return train(folder / "recipe.toml", folder / "model")


def test_a_card_tells_data_recipe_figures_and_leaks(model: Path, scene_pairs: Path, tmp_path: Path) -> None:
    found = eval_retrieval(str(model), tmp_path / "r.json", pairs=scene_pairs, leaks=True)
    text = model_card(model, results=[tmp_path / "r.json"]).read_text(encoding="utf-8")
    assert (model / "README.md").read_text(encoding="utf-8") == text
    assert "| scenes | 64 | 128 | landmarks |" in text
    assert "> Drawn here; CC0." in text and "## Counts" not in text
    assert "| only | 16 | scenes 1 | 0.0005 |" in text
    assert f"{found['metrics']['mR']:.2f}" in text
    assert "64 (100%)" in text  # it is measured on what it was trained on


def test_a_card_says_what_is_not_known(model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (bare / name).write_bytes((model / name).read_bytes())
    text = model_card(bare).read_text(encoding="utf-8")
    assert text.count("Unknown: ") == 2 and "Not measured yet." in text


def test_what_is_no_result_is_refused_and_the_old_card_stays(model: Path, tmp_path: Path) -> None:
    (model / "README.md").write_text("mine")
    (tmp_path / "r.json").write_text(json.dumps({"benchmark": "x"}))
    with pytest.raises(UserError, match="no result of an evaluation"):
        model_card(model, results=[tmp_path / "r.json"])
    assert (model / "README.md").read_text() == "mine"


def test_recipe_json_makes_the_same_model_again(model: Path, tmp_path: Path) -> None:
    assert main(["train", str(model / "recipe.json"), "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert json.loads((tmp_path / "again" / "recipe.json").read_text()) == json.loads(
        (model / "recipe.json").read_text()
    )
