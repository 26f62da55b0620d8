"""Training: losses against their definitions, order, augmentation, resumption, recipes."""

import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

import geomammut
from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer
from geomammut.pairs.pair_set import PairSet
from geomammut.training.data import DIRECTIONS, Augment, BatchLoader, equal_captions, sample_order
from geomammut.training.losses import CAPTION_CHUNK, caption_loss, infonce, sigmoid_focal
from geomammut.training.recipe import AugmentPart, LossPart, OptimizerPart, Recipe, read_recipe
from geomammut.training.trainer import learning_rate, losses, train

RECIPE = """
batch_size = 16
checkpoint_every = 2
device = "cpu"
precision = "float32"
pairs = {{ scenes = "{pairs}" }}
[model]
vocab_size = 300
vision = {{ image_size = 32, patch_size = 8, width = 32, layers = 2, heads = 4 }}
text = {{ context_length = 16, width = 32, layers = 2, heads = 4 }}
[optimizer]
lr = 2e-3
[[stages]]
name = "first"
mix = {{ scenes = 1.0 }}
samples = 80
[[stages]]
name = "second"
mix = {{ scenes = 1.0 }}
samples = {samples}
"""


def write_recipe(folder: Path, pairs: Path, samples: int = 96) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(pairs=pairs, samples=samples))
    return path


@given(st.integers(0, 10_000), st.integers(2, 9))
def test_infonce_is_the_mean_of_both_softmaxes(seed: int, size: int) -> None:
    logits = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plain = 0.0
    for i in range(size):
        plain -= math.log(math.exp(logits[i, i]) / sum(math.exp(value) for value in logits[i]))
        plain -= math.log(math.exp(logits[i, i]) / sum(math.exp(value) for value in logits[:, i]))
    torch.testing.assert_close(
        infonce(logits, torch.eye(size, dtype=torch.bool)),
        torch.tensor(plain / 2 / size, dtype=torch.float64),
    )


def test_infonce_does_not_push_equal_captions_apart() -> None:
    same = torch.from_numpy(equal_captions(["a road", "a river", "a road"]))
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    agreeing = torch.tensor([[9.0, 0, 9.0], [0, 9.0, 0], [9.0, 0, 9.0]])
    apart = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]])
    assert infonce(agreeing, same) < infonce(apart, same)


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0, 4))
def test_the_focal_loss_is_the_papers_sum(seed: int, size: int, gamma: float) -> None:
    logits = 3 * torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plain = 0.0
    for i, j in itertools.product(range(size), repeat=2):
        p = 1 / (1 + math.exp(-logits[i, j]))
        p = p if i == j else 1 - p
        plain -= (1 - p) ** gamma * math.log(p)
    found = sigmoid_focal(logits, torch.eye(size, dtype=torch.bool), gamma)
    torch.testing.assert_close(found, torch.tensor(plain / size, dtype=torch.float64))


def test_the_caption_loss_in_chunks_has_the_gradient_of_the_whole() -> None:
    torch.manual_seed(0)
    states = torch.randn(CAPTION_CHUNK + 100, 8, dtype=torch.float64, requires_grad=True)
    head = torch.randn(8, 20, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(20, (len(states),))
    loss = caption_loss(states, head, labels)
    whole = F.cross_entropy(states @ head, labels)
    torch.testing.assert_close(loss.double(), whole, atol=1e-4, rtol=0)
    for found, expected in zip(
        torch.autograd.grad(loss, (states, head)), torch.autograd.grad(whole, (states, head)), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_texts_grouped_by_length_give_the_losses_of_the_padded_batch() -> None:
    torch.manual_seed(0)
    captions = ["a", "a red roof", "a b", "a lake beside a wood and a road to a farm", "ab", "a red roof", "b"]
    tokenizer = Tokenizer.train(captions, 400, 24)
    text = TextConfig(
        context_length=24, vocab_size=tokenizer.vocab_size, width=16, layers=2, heads=2,
        start_token=tokenizer.start, end_token=tokenizer.end,
    )  # fmt: skip
    vision = VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2)
    model = Mammut(MammutConfig(vision=vision, text=text), tokenizer)
    images = torch.randn(len(captions), 3, 16, 16)
    found = losses(model, model.visual.tokens(images), captions, LossPart())

    tokens = tokenizer(captions)
    logits = model.log_logit_scale.exp() * model.encode_image(images) @ model.encode_text(tokens).T
    same = torch.tensor([[one == other for other in captions] for one in captions])
    assert torch.allclose(found["contrastive"], infonce(logits, same), atol=1e-5)
    labels = tokens[:, 1:].masked_fill(tokens[:, 1:] == tokenizer.pad, -100)
    whole = F.cross_entropy(model.caption_logits(images, tokens).flatten(0, 1), labels.flatten())
    assert torch.allclose(found["caption"], whole, atol=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 200), st.integers(0, 100))
def test_the_order_is_the_seeds_and_runs_in_epochs(first: int, second: int, samples: int, seed: int) -> None:
    sizes, mix = {"a": first, "b": second}, {"a": 1.0, "b": 3.0}
    order = sample_order(sizes, mix, samples, seed)
    assert order == sample_order(sizes, mix, samples, seed)
    for name, size in sizes.items():
        drawn = [index for own, index in order if own == name]
        for start in range(0, len(drawn), size):
            epoch = drawn[start : start + size]
            assert len(set(epoch)) == len(epoch)
            assert set(epoch) <= set(range(size))


def test_a_mix_draws_by_weight() -> None:
    order = sample_order({"a": 10, "b": 10}, {"a": 1.0, "b": 3.0}, 10_000, 0)
    assert sum(name == "b" for name, _ in order) / 10_000 == pytest.approx(0.75, abs=0.02)


def test_captions_that_name_a_direction_keep_the_image_upright() -> None:
    augment = Augment(AugmentPart(crop=1.0), 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    image = Image.new("RGB", (8, 8))
    image.putpixel((1, 0), (255, 255, 255))

    def brightest(caption: str, seed: int) -> int:
        return int(augment(image, caption, np.random.default_rng(seed))[0].argmax())

    assert {brightest("a road in the upper left", seed) for seed in range(40)} == {1}
    assert len({brightest("a road", seed) for seed in range(200)}) == 8
    for text in ("At the TOP", "in the north-east", "the western shore", "upper left"):
        assert DIRECTIONS.search(text)
    assert not DIRECTIONS.search("a stopped car on the eastside-free laptop".replace("eastside-free ", ""))


def test_a_corrupt_image_is_replaced_and_counted(scene_pairs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "pairs"
    shutil.copytree(scene_pairs, broken)
    pairs = PairSet(broken)
    row = pairs.table.slice(3, 1).to_pylist()[0]
    with (broken / row["shard"]).open("r+b") as file:
        file.seek(row["jpeg_offset"])
        file.write(bytes(row["jpeg_bytes"]))
    loader = BatchLoader(
        {"scenes": pairs},
        sample_order({"scenes": len(pairs)}, {"scenes": 1.0}, 64, 0),
        batch_size=16,
        seed=0,
        prepare=Augment(AugmentPart(), 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    )
    batches = list(loader.batches(0))
    assert [batch.images.shape for batch in batches] == [(16, 3, 32, 32)] * 4
    assert loader.corrupt == {"scenes": 1}


def test_the_rate_warms_up_and_falls() -> None:
    part = OptimizerPart(lr=1.0, warmup=0.1, final_lr=0.1)
    rates = [learning_rate(part, step, 100) for step in range(100)]
    assert rates[0] < 0.2
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_training_learns_and_writes_a_model_directory(scene_pairs: Path, tmp_path: Path) -> None:
    out = train(write_recipe(tmp_path, scene_pairs, samples=1200), tmp_path / "run")
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [record["name"] for record in records] == ["first"] * 5 + ["second"] * 75
    assert np.mean([r["loss"] for r in records[-5:]]) < 0.6 * np.mean([r["loss"] for r in records[:5]])
    assert geomammut.load_model(out).image_size == 32
    assert geomammut.load_model(out / "stages" / "first").image_size == 32
    assert not (out / "checkpoint.safetensors").exists()
    with pytest.raises(UserError, match="--resume"):
        train(tmp_path / "recipe.toml", out)
    train(tmp_path / "recipe.toml", out, resume=True)


def test_a_killed_run_resumes_to_the_same_bits(scene_pairs: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, scene_pairs)
    whole = load_file(train(recipe, tmp_path / "whole") / "model.safetensors")
    program = (
        "import sys, torch; from pathlib import Path; from geomammut.training.trainer import train;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "train(Path(sys.argv[1]), Path(sys.argv[2]), resume=True)"
    )
    command = [sys.executable, "-c", program, str(recipe), str(tmp_path / "killed")]
    log = tmp_path / "killed" / "log.jsonl"
    for lines in (3, 8):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().splitlines()) >= lines:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    resumed = load_file(tmp_path / "killed" / "model.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    steps = [(r["stage"], r["step"]) for r in map(json.loads, log.read_text().splitlines())]
    assert steps == [(0, step) for step in range(5)] + [(1, step) for step in range(6)]


def test_another_seed_gives_another_model(scene_pairs: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, scene_pairs)
    one = load_file(train(recipe, tmp_path / "a", seed=1) / "model.safetensors")
    two = load_file(train(recipe, tmp_path / "b", seed=2) / "model.safetensors")
    again = load_file(train(recipe, tmp_path / "c", seed=1) / "model.safetensors")
    assert not torch.equal(one["visual.proj"], two["visual.proj"])
    assert all(torch.equal(again[name], value) for name, value in one.items())


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimiser.lr=1", "did you mean optimizer"),
        ("optimizer.learning_rate=1", "optimizer.learning_rate; "),
        ("stages.0.sample=1", "did you mean samples"),
        ("model.vision.widht=1", "did you mean width"),
        ("optimizer.lr=-1", "optimizer.lr: "),
        ("stages.0.mix={ nothing = 1.0 }", "[pairs] does not name"),
        ("stages.7.samples=1", "there is no stages.7.samples"),
        ("nonsense", "write key=value"),
        ("pairs.scenes=/nowhere", "/nowhere is no pair set"),
    ],
)
def test_a_wrong_recipe_names_the_place(override: str, told: str, scene_pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        train(write_recipe(tmp_path, scene_pairs), tmp_path / "run", overrides=[override])
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_missing_or_broken_recipe_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a recipe file"):
        read_recipe(tmp_path / "none.toml", Recipe)
    (tmp_path / "broken.toml").write_text("seed = = 1")
    with pytest.raises(UserError, match="is no TOML"):
        read_recipe(tmp_path / "broken.toml", Recipe)


@pytest.mark.parametrize("recipe", sorted(Path("recipes").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid(recipe: Path) -> None:
    from geomammut.localization.rounds import LocalizeRecipe

    read_recipe(recipe, LocalizeRecipe if "start_from" in recipe.read_text().split("[")[0] else Recipe)
