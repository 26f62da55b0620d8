"""Region pseudo-labels: the gate, the two thresholds, the area prior, the background rule; and the rounds."""

import json
from pathlib import Path

import pytest
import torch

import geomammut
from geomammut.errors import UserError
from geomammut.localization.pseudo_labels import PhraseGate, frequent_phrases, region_labels, region_loss
from geomammut.localization.rounds import localize
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


def test_rounds_report_and_give_a_model(scene_pairs: Path, tmp_path: Path) -> None:
    model = train(write_recipe(tmp_path, scene_pairs, samples=400), tmp_path / "model")
    recipe = tmp_path / "localize.toml"
    recipe.write_text(
        f'start_from = "{model}"\npairs = "{scene_pairs}"\nheldout = "{scene_pairs}"\n'
        "samples = 64\nbatch_size = 16\nleast_images = 2\n"
    )
    out = localize(recipe, tmp_path / "localized")
    report = json.loads((out / "rounds.json").read_text())
    assert len(report["phrases"]) == 12
    assert [entry["round"] for entry in report["rounds"]] == [0, 1]
    for entry in report["rounds"]:
        assert 0 <= entry["agreement"] <= 100
        assert 0 < entry["coverage"] <= 100
    assert geomammut.load_model(out).image_size == 32
    with pytest.raises(UserError, match="--resume"):
        localize(recipe, out)
    with pytest.raises(UserError, match="too few landmarks"):
        localize(recipe, tmp_path / "other", overrides=["least_images=60"])
