"""Captions scored: by the field's own code, of a model and of another system."""

import json
import sys
from pathlib import Path

import pytest

from fake_model import ColourModel
from geomammut.errors import UserError
from geomammut.evaluation import captioning
from geomammut.evaluation.captioning import caption_metrics, eval_captioning

PEOPLE = [
    ["Two planes stand beside a terminal.", "A terminal with two planes."],
    ["a river winds through a green forest", "many trees on both sides of a river"],
    ["rows of houses along a road", "Houses, a road and some cars."],
]


class Writer(ColourModel):
    """Says the same of every picture."""

    def generate(self, images, beams: int = 1) -> list[str]:
        return ["a red roof seen from above"] * len(images)


def test_people_who_say_the_same_are_right() -> None:
    metrics, by_image = caption_metrics(PEOPLE, [some[0] for some in PEOPLE])
    assert metrics["bleu4"] == pytest.approx(100, abs=1e-3)
    assert metrics["cider"] > 300
    assert 100 * by_image.mean() == pytest.approx(metrics["cider"])
    nothing, _ = caption_metrics(PEOPLE, ["zzz", "zzz", "zzz"])
    assert nothing["cider"] == 0
    assert nothing["bleu1"] < 1


def test_capitals_and_punctuation_count_for_nothing() -> None:
    loud, _ = caption_metrics(PEOPLE, [some[0].upper() + "!" for some in PEOPLE])
    plain, _ = caption_metrics(PEOPLE, [some[0] for some in PEOPLE])
    assert loud == plain


def test_contractions_are_divided_as_stanfords_tokenizer_does() -> None:
    told, said = captioning._tokenized([["It's the sky-blue owl’s eye, isn't it?"]], ["They hasn't 3.5 (red) roofs."])
    assert told == {0: ["it 's the sky-blue owl 's eye is n't it"]}
    assert said == {0: ["they has n't 3.5 red roofs"]}


def test_a_model_and_a_file_of_captions(scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioning, "load_model", lambda name: Writer())
    own = eval_captioning("m", tmp_path / "own.json", pairs=scene_pairs)
    assert own["counts"] == {"images": 64, "texts": 128}
    low, high = own["intervals"]["cider"]
    assert 0 < low <= own["metrics"]["cider"] <= high
    assert json.loads((tmp_path / "own.json").read_text()) == own
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(own["captions"]))
    given = eval_captioning("another", tmp_path / "given.json", pairs=scene_pairs, captions=file)
    assert given["metrics"] == own["metrics"]


def test_mistakes_end_in_one_line(scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    file = tmp_path / "captions.json"
    file.write_text(json.dumps({"1": "a"}))
    with pytest.raises(UserError, match="has no caption for 64 of 64 images, first"):
        eval_captioning("m", out, pairs=scene_pairs, captions=file)
    file.write_text("[]")
    with pytest.raises(UserError, match="must be a JSON object"):
        eval_captioning("m", out, pairs=scene_pairs, captions=file)
    monkeypatch.setattr("pycocoevalcap.spice.spice.__file__", str(tmp_path / "spice.py"))
    with pytest.raises(UserError, match=r"SPICE needs stanford-corenlp-3.6.0.jar and .*; or leave --spice out"):
        eval_captioning("m", out, pairs=scene_pairs, spice=True)
    monkeypatch.setattr(captioning, "load_model", lambda name: ColourModel())
    with pytest.raises(UserError, match="m writes no captions"):
        eval_captioning("m", out, pairs=scene_pairs)
    monkeypatch.setitem(sys.modules, "pycocoevalcap.spice", None)
    with pytest.raises(UserError, match=r"pip install 'geomammut\[captioning\]'"):
        eval_captioning("m", out, pairs=scene_pairs)
    assert not out.exists()
