"""The study: its rows are recipes of one budget, and its tables say no more than the seeds do."""

import argparse
import json
import sys
import tomllib
from pathlib import Path

import pytest

from geomammut.localization.rounds import LocalizeRecipe
from geomammut.training.recipe import Recipe, read_recipe

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import study  # noqa: E402
import study_tables  # noqa: E402

ROWS = sorted((ROOT / "recipes" / "study").glob("*.toml"))
SETTINGS = {"samples": "1000", "places": "2", "side": "1920"}


@pytest.mark.parametrize("size", [None, "small"])
@pytest.mark.parametrize("path", [row for row in ROWS if row.stem != "rounds"], ids=lambda path: path.stem)
def test_every_row_has_the_same_budget_of_the_same_model(path: Path, size: str | None, tmp_path: Path) -> None:
    assert read_recipe(path, Recipe).stages
    options = argparse.Namespace(out=tmp_path, samples=10_000, batch=32, places=3, size=size)
    (tmp_path / "row.json").write_text(
        json.dumps(study.with_budget(options, tomllib.loads(path.read_text(encoding="utf-8"))))
    )
    recipe = read_recipe(tmp_path / "row.json", Recipe)
    assert sum(stage.samples for stage in recipe.stages) == pytest.approx(10_000, abs=2)
    for stage in recipe.stages:
        assert sum(stage.mix.values()) == pytest.approx(1.0)
    assert recipe.model.size == size or path.stem == "causal"
    assert recipe.model.text.causal_embedding == (path.stem == "causal")


def test_the_rounds_are_a_recipe() -> None:
    assert read_recipe(ROOT / "recipes" / "study" / "rounds.toml", LocalizeRecipe).rounds == 3


def write_result(out: Path, row: str, seed: int, column: str, value: float) -> None:
    path = out / "runs" / f"{row}-{seed}" / row / f"{column}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metrics": {study_tables.COLUMNS[column][0]: value}}))


def test_a_claim_holds_only_where_the_seeds_agree(tmp_path: Path) -> None:
    for seed in range(3):
        for row, value in (("none", 1.0), ("web", 3.0 + 0.1 * seed), ("landmarks", 1.0 + (-1) ** seed)):
            write_result(tmp_path, row, seed, "unseen", value)
    results = tmp_path / "docs" / "results.md"
    results.parent.mkdir()
    results.write_text("# Results\n\nBefore.\n")
    for _ in range(2):  # a second time, nothing is there twice
        study_tables.write_tables(tmp_path, results, SETTINGS)
    text = results.read_text()
    assert text.startswith("# Results\n\nBefore.\n") and text.count("## The study") == 1
    assert "| web | 3.1 ± 0.2 | 3 |" in text
    assert "| web pairs help | – | **2.1 ± 0.2** | – | – | holds |" in text
    assert "| landmark pairs help | – | **0.3 ± 2.9** | – | – | cannot be told at this size |" in text
    assert "| both, mixed from the start, help more than web pairs alone | – | – | – | – | not measured |" in text
    assert (results.parent / "images" / "study.svg").read_text().startswith("<svg")


def test_one_seed_proves_nothing(tmp_path: Path) -> None:
    write_result(tmp_path, "web", 0, "unseen", 50.0)
    write_result(tmp_path, "none", 0, "unseen", 1.0)
    study_tables.write_tables(tmp_path, tmp_path / "results.md", SETTINGS)
    assert (
        "| web pairs help | – | **49.0** | – | – | cannot be told at this size |"
        in (tmp_path / "results.md").read_text()
    )


def test_what_is_made_is_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(2):
        study.once(tmp_path / "it", lambda: (made.append(1), (tmp_path / "it").touch()))
    assert made == [1]
