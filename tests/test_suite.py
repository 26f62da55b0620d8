"""`eval suite`: results kept and made anew, the tables, leaks of a model's own pair sets, published figures."""

import inspect
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fake_model import NAMED, ColourModel
from geomammut.errors import UserError
from geomammut.evaluation import classification, leaks, retrieval, suite
from geomammut.evaluation.anchors import anchored_benchmarks, published
from geomammut.evaluation.benchmarks import known_benchmarks
from geomammut.evaluation.leaks import leak_report, trained_on
from geomammut.evaluation.suite import eval_suite
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set

SUITE = """
[[retrieval]]
name = "shapes"
pairs = "pairs"
published = "rsicd"

[[classification]]
name = "colours"
images = "colours"
"""


class Model(ColourModel):
    """One without weights, whose embeddings can be kept all the same."""

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        return iter(())

    named_buffers = named_parameters


def scene(seed: int, colour: str = "808080") -> Image.Image:
    """A picture with enough in it to be told from others, all of one hue."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(np.full((64, 64, 3), [int(colour[i : i + 2], 16) for i in (0, 2, 4)], np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        left, top, width, height = (int(number) for number in random.integers(4, 40, 4))
        draw.rectangle((left, top, left + width // 2, top + height // 2), fill=int(random.integers(0, 255)) * 0x010101)
    return image


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def pair_set(folder: Path, seeds: range) -> Path:
    pairs = [
        Pair(
            id=f"pair{seed}",
            captions=(f"a {list(NAMED)[seed % 6]} scene",),
            jpeg=jpeg(scene(seed, NAMED[list(NAMED)[seed % 6]])),
            width=64,
            height=64,
            source="benchmark",
        )
        for seed in seeds
    ]
    return write_pair_set(folder, pairs, funnel=Funnel(), card="Scenes")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite, its data, and two models, of which one's records name a pair set that shares images with the data."""
    monkeypatch.chdir(tmp_path)
    pair_set(Path("data/pairs"), range(6))
    pair_set(Path("seen"), range(4, 20))
    for colour in ("red", "green", "blue"):
        folder = Path("data/colours") / colour
        folder.mkdir(parents=True)
        for number in range(2):
            scene(100 + number, NAMED[colour]).save(folder / f"{number}.png")
    Path("suite.toml").write_text(SUITE)
    for model in ("first", "second"):
        Path(model).mkdir()
        Path(model, "model.safetensors").write_bytes(b"weights")
    recipe = {"pairs": {"seen": "seen", "judge": "data/pairs"}, "stages": [{"name": "only", "mix": {"seen": 1.0}}]}
    Path("first/recipe.json").write_text(json.dumps(recipe))

    def load(name: str) -> Model:
        if name == "broken":
            raise UserError("no model at broken | <b>")
        return Model()

    for module in (retrieval, classification):
        monkeypatch.setattr(module, "load_model", load)
    return tmp_path


def run(*models: str) -> dict[str, Any]:
    return eval_suite(Path("suite.toml"), models, Path("results"), data=Path("data"))


def test_results_stand_in_tables_beside_published_figures(place: Path) -> None:
    done = run("first", "second")
    assert {model: list(results) for model, results in done["results"].items()} == {
        "first": ["shapes", "colours"],
        "second": ["shapes", "colours"],
    }
    stored = json.loads(Path("results/second/shapes.json").read_text())
    assert stored == done["results"]["second"]["shapes"]
    markdown = Path("results/table.md").read_text()
    assert done["table"] == Path("results/table.md")
    [ours] = [line for line in markdown.splitlines() if line.startswith("| first |") and "instance" in line]
    assert f"| {stored['metrics']['mR']:.2f} (" in ours
    [theirs] = [line for line in markdown.splitlines() if "*RemoteCLIP ViT-B/32*" in line]
    assert "| 35.26 | 35.50 | 35.02 | 17.02 |" in theirs  # mR, the means of both directions, and R@1 as published
    assert "Table II" in theirs
    page = Path("results/table.html").read_text()
    assert "src=" not in page and "<script" not in page
    for figure in ("35.26", f"{stored['metrics']['mR']:.2f} (", "Table II"):
        assert figure in page


@pytest.mark.parametrize("missing", [None, "ucm"])
def test_the_suite_that_comes_along_is_one(place: Path, missing: str | None) -> None:
    """Its entries are valid, and the files that they name are looked for where its first lines say they lie."""
    recipes = Path(__file__).parents[1] / "recipes"
    for folder in ("rsicd/images", "ucm", "eurosat", "dubai/images", "dubai/masks"):
        if folder != missing:
            Path("data", folder).mkdir(parents=True)
    Path("data/rsicd/dataset_rsicd.json").write_text("{}")
    wrong = (
        r"ucm: images: nothing is at data/ucm" if missing else r"5 of 5 evaluations failed, first rsicd-val of first"
    )
    with pytest.raises(UserError, match=wrong):
        eval_suite(recipes / "suite_small.toml", ["first"], Path("results"), data=Path("data"))


def test_a_result_is_kept_until_its_inputs_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    for kind, verb in list(suite.VERBS.items()):

        def counting(*, model: str, out: Path, verb: Any = verb, **more: Any) -> dict[str, Any]:
            measured.append((model, out.stem))
            return verb(model=model, out=out, **more)  # type: ignore[no-any-return]

        counting.__signature__ = inspect.signature(verb)  # type: ignore[attr-defined]
        monkeypatch.setitem(suite.VERBS, kind, counting)
    first = run("first")["results"]
    assert run("first")["results"] == first
    assert measured == [("first", "shapes"), ("first", "colours")]
    measured.clear()

    os.utime("data/colours/red/0.png", (1, 1))
    run("first", "second")
    assert measured == [("first", "colours"), ("second", "shapes"), ("second", "colours")]
    measured.clear()
    Path("first/model.safetensors").write_bytes(b"other weights")
    run("first", "second")
    assert measured == [("first", "shapes"), ("first", "colours")]
    measured.clear()
    Path("results/first/shapes.json").write_text('{"metrics"')  # cut short
    run("first", "second")
    assert measured == [("first", "shapes")]


def test_what_cannot_be_measured_is_told_and_the_rest_is_measured(place: Path) -> None:
    with pytest.raises(UserError, match=r"2 of 4 evaluations failed, first shapes of broken: no model at broken"):
        run("broken", "second")
    markdown = Path("results/table.md").read_text()
    assert r"failed: no model at broken \| \<b>" in markdown
    assert "failed: no model at broken | &lt;b&gt;" in Path("results/table.html").read_text()
    assert Path("results/second/colours.json").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('images = "colours"', ""),
        ('images = "colour"', "colours: images: nothing is at data/colour; is --data right?"),
        ('images = "colours"\nprompt = "recipe"', "did you mean prompts?"),
        ('images = "colours"\npublished = "rsics"', "no published figures of 'rsics'"),
        ('images = "colours"\n[[classification]]\nname = "colours"\nimages = "colours"', "two entries have this name"),
        ('images = "colours"\nwindow = 3', "there is no key"),
    ],
)
def test_a_mistake_in_the_suite_is_told_before_anything_is_measured(place: Path, change: str, message: str) -> None:
    Path("suite.toml").write_text(SUITE.replace('images = "colours"', change))
    if not message:
        run("first")
        return
    with pytest.raises(UserError, match=re.escape(message)):
        run("first")
    assert not Path("results").exists()


def test_models_of_one_name_are_told_apart(place: Path) -> None:
    for folder in ("a/model", "b/model"):
        Path(folder).mkdir(parents=True)
    assert set(run("a/model", "b/model", "first")["results"]) == {"a-model", "b-model", "first"}
    with pytest.raises(UserError, match="name each once"):
        run("first", "first")


def test_a_result_carries_the_leaks_of_the_models_own_pair_sets(place: Path) -> None:
    """Two of six images are in the set that the first model was trained on; by the others it was only judged."""
    results = run("first", "second")["results"]
    report = results["first"]["shapes"]["leaks"]
    assert report["pair_sets"] == {"seen": 16}
    assert report["images"] == 2
    assert report["percent"] == pytest.approx(33.3333)
    assert {(leak["image"], leak["pair"]) for leak in report["likest"]} == {("pair4", "pair4"), ("pair5", "pair5")}
    assert results["first"]["colours"]["leaks"]["images"] == 0
    assert results["second"]["shapes"]["leaks"] is None
    markdown = Path("results/table.md").read_text()
    assert "| 2 of 6 |" in markdown
    assert "| ? |" in markdown


def test_leaks_are_found_in_changed_copies_and_through_the_models_before(place: Path) -> None:
    """The model in use went on from one that was trained on the set; pixels come as arrays, as of large rasters."""
    Path("second/recipe.json").write_text(json.dumps({"pairs": {}, "stages": [], "model": {"start_from": "first"}}))
    assert trained_on("second") == {"seen": Path("seen")}
    copies = [scene(7, NAMED["green"]).resize((90, 90)), scene(200)]
    report = leak_report("second", ["copy", "new"], lambda index: np.asarray(copies[index]))
    assert report is not None
    assert [leak["image"] for leak in report["likest"]] == ["copy"]


def test_a_pair_set_that_has_gone_is_told(place: Path) -> None:
    Path("seen").rename("elsewhere")
    report = leak_report("first", ["one"], lambda index: jpeg(scene(4)))
    assert report == {"pair_sets": {}, "not_found": ["seen"], "images": None, "percent": None}


@pytest.mark.parametrize("text", ["[]", "{", '{"pairs": {"a": 1}}', '{"stages": [{}]}', '{"model": []}'])
def test_a_broken_record_is_one_line(place: Path, text: str) -> None:
    Path("first/recipe.json").write_text(text)
    with pytest.raises(UserError, match=r"first/recipe.json is no recipe"):
        leaks.trained_on("first")


def test_every_published_figure_has_a_source_and_a_protocol() -> None:
    known = set(known_benchmarks())
    for name in anchored_benchmarks():
        assert name in known | {"segmentation-of-eight"}
        for anchor in published(name):
            assert re.search(r"arXiv \d{4}\.\d{5}|github\.com", anchor.source)
            assert len(anchor.protocol) > 10
            assert all(0 < value < 100 for value in anchor.metrics.values())
