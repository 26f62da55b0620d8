"""Region pseudo-labels: the gate, the two thresholds, the area prior, the background rule; and the rounds."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import geomammut
from geomammut.errors import UserError
from geomammut.localization import rounds
from geomammut.localization.judgement import Judgement, phrase_recalls, region_scores
from geomammut.localization.pseudo_labels import (
    LINE_SHARE,
    PhraseGate,
    area_loss,
    companions,
    frequent_phrases,
    region_labels,
    region_loss,
    score_bars,
)
from geomammut.localization.rounds import localize
from geomammut.localization.teacher import new_teacher
from geomammut.model.load import load_mammut
from geomammut.pairs.pair_set import PairSet
from geomammut.training.trainer import train
from test_training import write_recipe

GATE = PhraseGate(("river", "storage tank", "golf course"))


def test_only_stated_phrases_are_candidates() -> None:
    landmarks = [{"phrase": "river", "area_share": 0.1}, {"phrase": "river", "area_share": 0.15}]
    shares = GATE.shares(["Two storage tanks, not a golfcourse."], landmarks)
    assert set(shares) == {0, 1}
    assert shares[0] == pytest.approx(0.25)


def test_the_commonest_phrases_are_found() -> None:
    landmarks = [
        [{"phrase": "river"}],
        [{"phrase": "river"}, {"phrase": "road"}],
        [{"phrase": "dam"}, {"phrase": "road"}],
    ]
    assert frequent_phrases(landmarks, most=2, least_images=2) == ("river", "road")
    assert frequent_phrases(landmarks, most=1, least_images=1) == ("river",)


def test_the_best_patches_are_labelled_and_a_band_is_ignored() -> None:
    scores = torch.zeros(1, 4, 5, 3)
    scores[0, :, :, 0] = torch.arange(20.0).reshape(4, 5)
    labels = region_labels(scores, [{0: 0.25}])[0, :, :, 0].flatten()
    assert labels[17:].tolist() == [1.0, 1.0, 1.0]  # 0.6 of the 5 expected patches
    assert labels[10:17].isnan().all()
    assert labels[:10].tolist() == [0.0] * 10


def test_unstated_phrases_are_background_and_an_image_without_any_tells_nothing() -> None:
    scores = torch.randn(2, 3, 3, 3)
    labels = region_labels(scores, [{1: 0.5}, {}])
    assert (labels[0, :, :, [0, 2]] == 0).all()
    assert labels[1].isnan().all()


def test_a_patch_that_two_candidates_claim_goes_to_the_higher() -> None:
    scores = torch.zeros(1, 2, 2, 3)
    scores[0, 0, 0] = torch.tensor([2.0, 3.0, 0.0])
    labels = region_labels(scores, [{0: 0.2, 1: 0.2}])
    assert labels[0, 0, 0, 1] == 1.0
    assert labels[0, 0, 0, 0] != 1.0


def test_the_region_loss_pulls_a_patch_to_its_phrase_and_skips_what_is_not_told() -> None:
    texts = torch.eye(3)
    dense = torch.nn.functional.normalize(torch.ones(1, 1, 2, 3), dim=-1).requires_grad_()
    labels = torch.tensor([[[[1.0, 0.0, torch.nan], [torch.nan, torch.nan, torch.nan]]]])
    region_loss(dense, texts, labels, 10.0).backward()
    assert dense.grad is not None
    pull = -dense.grad[0, 0]
    assert pull[0, 0] > 0 > pull[0, 1]
    assert pull[0, 2] == pytest.approx(0.0, abs=1e-6)
    assert (pull[1] == 0).all()


def test_a_line_without_a_width_takes_a_share_and_a_point_none() -> None:
    line = {"phrase": "river", "area_share": 0.0, "outline": {"type": "MultiLineString"}}
    point = {"phrase": "storage tank", "area_share": 0.0, "outline": {"type": "Point"}}
    assert GATE.shares([], [line, point]) == {0: LINE_SHARE, 1: 0.0}


def test_what_often_goes_unsaid_is_no_background() -> None:
    together = companions([{0, 1}] * 2 + [{0}] * 8 + [{2}] * 40, phrases=3)
    assert together.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    labels = region_labels(torch.randn(1, 4, 4, 3), [{0: 0.1}], together=together)[0].flatten(0, 1)
    assert labels[:, 1].isnan().all()
    assert (labels[:, 2] == 0).all()


def test_a_bar_is_what_few_patches_pass_where_the_phrase_goes_unstated() -> None:
    scores = torch.zeros(2, 10, 10, 1)
    scores[0] = torch.arange(100.0).reshape(10, 10, 1)
    scores[1] = 1000.0
    bars = score_bars(scores, [[], [0]])
    assert bars.item() == pytest.approx(0.9 * 99)
    assert (region_labels(scores[:1], [{0: 0.3}], bars) == 1).sum() == 10
    assert not (region_labels(scores[:1], [{0: 0.3}], bars + 100) == 1).any()


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_the_area_loss_is_least_where_the_shares_are_met(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    patches = 20
    of_first = round(share * patches)
    shares = {0: of_first / patches, 1: 1 - of_first / patches}
    exact = torch.eye(3)[(torch.randperm(patches, generator=generator) >= of_first).long()].reshape(1, 4, 5, 3)
    other = torch.nn.functional.normalize(torch.randn(1, 4, 5, 3, generator=generator), dim=-1)
    alone = torch.eye(3, dtype=torch.bool)
    met, unmet = (float(area_loss(maps, torch.eye(3), [shares], alone, 30.0)) for maps in (exact, other))
    entropy = -sum(part * math.log(part) for part in shares.values() if part)
    assert met == pytest.approx(entropy, abs=1e-4)
    assert unmet >= met - 1e-4


def test_the_area_loss_leaves_out_companions_and_images_that_state_nothing() -> None:
    patches = torch.nn.functional.normalize(torch.ones(2, 2, 2, 3), dim=-1).requires_grad_()
    together = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    area_loss(patches, torch.eye(3), [{0: 1.0}, {}], together, 10.0).backward()
    assert patches.grad is not None
    pull = -patches.grad[0, 0, 0]
    assert pull[0] > 0 > pull[2]
    assert pull[1] == 0
    assert (patches.grad[1] == 0).all()
    assert area_loss(patches, torch.eye(3), [{}, {}], together, 10.0) == 0


def test_agreement_counts_a_rare_phrase_as_much_as_a_common_one() -> None:
    found = torch.tensor([[0.9, 0.1, 0.2]] * 9 + [[0.9, 0.8, 0.1]] * 6)
    assert phrase_recalls(found, [{0}] * 9 + [{1}] * 6) == [1.0, 0.0]
    maps = torch.zeros(1, 10, 10, 1)
    maps[0, 0, :5] = 1.0
    assert region_scores(maps).item() == pytest.approx(0.5)


def test_a_novel_phrase_is_labelled_only_where_the_image_is_surely_like_it(scene_pairs: Path, tmp_path: Path) -> None:
    pairs = PairSet(scene_pairs)
    model = load_mammut(train(write_recipe(tmp_path, scene_pairs), tmp_path / "model"))
    gate = PhraseGate(("red square", "blue disc", "green thing"))
    prompts = [f"An aerial image of a {phrase}." for phrase in gate.phrases]
    teacher = new_teacher(model, gate, prompts, pairs, novel=1, window=1, seed=0)
    images = torch.stack([model.preprocess(pairs.read_picture(index)) for index in range(64)])
    like = (model.encode_image(images) @ model.encode_text(prompts[2:]).T).flatten().argsort(descending=True)
    labels = teacher.labels(images, [{0: 0.2}] * 64)[..., 2]
    shown = {index for index in range(64) if (labels[index] == 1).any()}
    assert shown
    assert shown <= set(like[:2].tolist())  # 2% of 64
    assert labels[like[2:16]].isnan().all()
    assert (labels[like[16:]] == 0).all()


def test_rounds_report_and_give_a_model(scene_pairs: Path, tmp_path: Path) -> None:
    model = train(write_recipe(tmp_path, scene_pairs, samples=400), tmp_path / "model")
    recipe = tmp_path / "localize.toml"
    recipe.write_text(
        f'start_from = "{model}"\npairs = "{scene_pairs}"\nheldout = "{scene_pairs}"\n'
        'samples = 64\nbatch_size = 16\nleast_images = 2\nnovel = ["harbour"]\n'
    )
    out = localize(recipe, tmp_path / "localized")
    report = json.loads((out / "rounds.json").read_text())
    assert len(report["phrases"]) == 13
    assert report["phrases"][-1] == "harbour"
    assert report["rounds"][0]["kept"]
    assert {Image.open(out / f"labels-{number}.png").format for number in (0, 1)} == {"PNG"}
    assert [entry["round"] for entry in report["rounds"]] == [0, 1]
    for entry in report["rounds"]:
        assert 0 <= entry["agreement"] <= 100
        assert 0 < entry["coverage"] <= 100
    assert geomammut.load_model(out).image_size == 32
    with pytest.raises(UserError, match="--resume"):
        localize(recipe, out)
    with pytest.raises(UserError, match="too few landmarks"):
        localize(recipe, tmp_path / "other", overrides=["least_images=60"])
    stated = report["phrases"][0]
    with pytest.raises(UserError, match=f"names '{stated}', which .* states"):
        localize(recipe, tmp_path / "other", overrides=[f'novel=["{stated}"]'])


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (Judgement(31.0, 50.0, 19.2), True),
        (Judgement(30.0, 50.0, 20.5), False),  # no more agreement
        (Judgement(35.0, 50.0, 18.9), False),  # retrieval lost
    ],
)
def test_a_student_takes_over_if_agreement_rises_and_retrieval_holds(
    after: Judgement, kept: bool, scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(write_recipe(tmp_path, scene_pairs), tmp_path / "model")
    told = iter([Judgement(30.0, 50.0, 20.0), after, Judgement(0.0, 0.0, 0.0)])
    monkeypatch.setattr(rounds, "judge", lambda teacher, heldout: next(told))
    recipe = tmp_path / "localize.toml"
    recipe.write_text(
        f'start_from = "{model}"\npairs = "{scene_pairs}"\nheldout = "{scene_pairs}"\n'
        "samples = 16\nbatch_size = 16\nleast_images = 2\nrounds = 2\n"
    )
    out = localize(recipe, tmp_path / "localized")
    reports = json.loads((out / "rounds.json").read_text())["rounds"]
    assert [report["kept"] for report in reports] == ([True, True, False] if kept else [True, False])
    last = out / "round-1" if kept else model
    assert (out / "model.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
