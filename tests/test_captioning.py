"""Captions scored: by the field's own code, of a model and of another system."""

import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

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


FAKE_JAVA = """#!/bin/sh
# Stands in for Java: takes SPICE's arguments, and writes what SPICE writes, with F 0.25 for every caption.
while [ $# -gt 0 ]; do [ "$1" = -out ] && out=$2; case "$1" in -Xmx*) jar=$2; input=$3;; esac; shift; done
[ -f "$jar" ] && [ -f lib/stanford-corenlp-3.6.0-models.jar ] || exit 1
python3 - "$input" > "$out" <<'END'
import json, sys
ids = [each["image_id"] for each in json.load(open(sys.argv[1]))]
print(json.dumps([{"image_id": number, "scores": {"All": {"f": 0.25}}} for number in ids]))
END
"""


def test_spider_is_the_mean_of_spice_and_cider(
    scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to SPICE and back. SPICE itself, in Java, was never run here, for want of CoreNLP's jars."""
    package, programs = tmp_path / "spice", tmp_path / "bin"
    (package / "lib").mkdir(parents=True)
    for jar in ("spice-1.0.jar", "lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar"):
        (package / jar).write_bytes(b"")
    programs.mkdir()
    (programs / "java").write_text(FAKE_JAVA)
    (programs / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr("pycocoevalcap.spice.spice.__file__", str(package / "spice.py"))
    monkeypatch.setattr("pycocoevalcap.spice.get_stanford_models.SPICEDIR", str(package))
    monkeypatch.setattr(captioning, "load_model", lambda name: Writer())
    metrics = eval_captioning("m", tmp_path / "out.json", pairs=scene_pairs, spice=True)["metrics"]
    assert metrics["spice"] == pytest.approx(25)
    assert metrics["spider"] == pytest.approx((25 + metrics["cider"]) / 2, abs=1e-3)
    (package / "spice-1.0.jar").unlink()
    with pytest.raises(UserError, match=r"SPICE does not run .*; it needs Java 8; or leave --spice out") as raised:
        eval_captioning("m", tmp_path / "no.json", pairs=scene_pairs, spice=True)
    assert "\n" not in str(raised.value)


def test_a_known_benchmarks_counts_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(captioning, "load_model", lambda name: Writer())
    (tmp_path / "images").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "a.png")
    entry = {"filename": "a.png", "split": "test", "sentences": [{"raw": "a red roof"}, {"raw": "a roof"}]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [entry]}))
    given = {"annotations": tmp_path / "dataset.json", "images": tmp_path / "images", "split": "test"}
    with pytest.raises(UserError, match=r"1 images of 1,093, 1,092 missing; 2 captions of 5,465, .*give --subset"):
        eval_captioning("m", tmp_path / "out.json", **given, benchmark="rsicd")
    results = eval_captioning("m", tmp_path / "out.json", **given, benchmark="rsicd", subset=True)
    assert (results["benchmark"], results["published"]["whole"]) == ("rsicd", False)
    assert "1,092 missing" in capsys.readouterr().err


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
