"""Training: losses against their definitions, order, augmentation, resumption, recipes."""

import io
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

import geomammut
from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer
from geomammut.pairs.pair_set import PairSet
from geomammut.training.augment import DIRECTIONS, Augment
from geomammut.training.checkpoint import write_checkpoint
from geomammut.training.data import Batch, BatchLoader, sample_order
from geomammut.training.losses import CAPTION_CHUNK, caption_costs, infonce, sigmoid_focal
from geomammut.training.optimizer import learning_rate, new_optimizer
from geomammut.training.recipe import AugmentPart, LossPart, OptimizerPart, Recipe, Stage, read_recipe
from geomammut.training.step import new_learner, train_step
from geomammut.training.throughput import training_flops
from geomammut.training.trainer import train
from geomammut.training.training_pass import TrainingPass

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
patch_dropout = 0.25
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
        infonce(logits, logits.T, torch.eye(size, dtype=torch.bool)).sum(),
        torch.tensor(plain / 2 / size, dtype=torch.float64),
    )


def test_infonce_does_not_push_equal_captions_apart() -> None:
    same = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
    agreeing = torch.tensor([[9.0, 0, 9.0], [0, 9.0, 0], [9.0, 0, 9.0]])
    apart = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]])
    assert infonce(agreeing, agreeing.T, same).sum() < infonce(apart, apart.T, same).sum()


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0, 4))
def test_the_focal_loss_is_the_papers_sum(seed: int, size: int, gamma: float) -> None:
    logits = 3 * torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plain = 0.0
    for i, j in itertools.product(range(size), repeat=2):
        p = 1 / (1 + math.exp(-logits[i, j]))
        p = p if i == j else 1 - p
        plain -= (1 - p) ** gamma * math.log(p)
    found = sigmoid_focal(logits, torch.eye(size, dtype=torch.bool), gamma).sum()
    torch.testing.assert_close(found, torch.tensor(plain / size, dtype=torch.float64))


def test_the_caption_loss_in_chunks_has_the_gradient_of_the_whole() -> None:
    torch.manual_seed(0)
    states = torch.randn(CAPTION_CHUNK + 100, 8, dtype=torch.float64, requires_grad=True)
    head = torch.randn(8, 20, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(20, (len(states),))
    loss = caption_costs(states, head, labels).mean()
    whole = F.cross_entropy(states @ head, labels)
    torch.testing.assert_close(loss, whole)
    for found, expected in zip(
        torch.autograd.grad(loss, (states, head)), torch.autograd.grad(whole, (states, head)), strict=True
    ):
        torch.testing.assert_close(found, expected)


CAPTIONS = ["a", "a red roof", "a b", "a lake beside a wood and a road to a farm", "ab", "a red roof", "b", "c"]


def small_model() -> Mammut:
    torch.manual_seed(0)
    tokenizer = Tokenizer.train(CAPTIONS, 400, 24)
    text = TextConfig(
        context_length=24, vocab_size=tokenizer.vocab_size, width=16, layers=3, heads=2,
        start_token=tokenizer.start, end_token=tokenizer.end,
    )  # fmt: skip
    vision = VisionConfig(image_size=32, patch_size=8, width=16, layers=2, heads=2)
    return Mammut(MammutConfig(vision=vision, text=text), tokenizer).double()


def small_batch(kept: torch.Tensor | None = None) -> Batch:
    images = torch.randn(len(CAPTIONS), 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(
        images, CAPTIONS, [[each] for each in CAPTIONS], [[] for _ in CAPTIONS], ["a", "b"] * (len(CAPTIONS) // 2), kept
    )


def small_plan(**values: object) -> Recipe:
    stage = Stage(name="only", mix={"a": 1.0, "b": 1.0}, samples=len(CAPTIONS))
    plan = {"pairs": {"a": "a", "b": "b"}, "stages": [stage], "batch_size": len(CAPTIONS), "precision": "float32"}
    return Recipe.model_validate(plan | values)


def test_a_step_minimizes_the_plain_losses() -> None:
    model, batch = small_model(), small_batch()
    tokens = model.tokenizer(CAPTIONS)
    logits = model.log_logit_scale.exp() * model.encode_image(batch.images) @ model.encode_text(tokens).T
    same = torch.tensor([[one == other for other in CAPTIONS] for one in CAPTIONS])
    targets = same / same.sum(dim=1, keepdim=True)
    contrastive = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    labels = tokens[:, 1:].masked_fill(tokens[:, 1:] == model.tokenizer.pad, -100)
    caption = F.cross_entropy(model.caption_logits(batch.images, tokens).flatten(0, 1), labels.flatten())
    loss = contrastive + 2 * caption
    wanted = dict(
        zip(
            [name for name, _ in model.named_parameters() if name != "logit_bias"],
            torch.autograd.grad(loss, [p for name, p in model.named_parameters() if name != "logit_bias"]),
            strict=True,
        )
    )
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in wanted.values()))

    plan = small_plan(loss={"caption_weight": 2.0}, optimizer={"clip_norm": 1e9})
    figures = train_step(new_learner(model, plan), batch)
    assert figures["contrastive"] == pytest.approx(float(contrastive.detach()), abs=1e-6)
    assert figures["caption"] == pytest.approx(float(caption.detach()), abs=1e-6)
    assert figures["loss"] == pytest.approx(float(loss.detach()), abs=1e-6)
    assert figures["gradient_norm"] == pytest.approx(norm, abs=1e-5)
    for name, parameter in model.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-10, rtol=1e-8)
    both = [figures[f"contrastive/{name}"] for name in ("a", "b")]
    assert np.mean(both) == pytest.approx(figures["contrastive"], abs=1e-5)


@pytest.mark.parametrize("contrastive", ["infonce", "focal", "siglip"])
@pytest.mark.parametrize("micro_batch", [1, 3, 4])
def test_micro_batches_leave_the_gradient_of_the_whole(contrastive: str, micro_batch: int) -> None:
    found = []
    for size in (0, micro_batch):
        model = small_model()
        plan = small_plan(loss={"contrastive": contrastive}, micro_batch=size, recompute=size == 3)
        figures = train_step(new_learner(model, plan), small_batch())
        found.append((figures, {name: parameter.grad for name, parameter in model.named_parameters()}))
    (whole, gradients), (parts, others) = found
    assert parts == pytest.approx(whole, abs=2e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-12, rtol=1e-9)


def test_patches_left_out_are_not_looked_at() -> None:
    model = small_model()
    images = small_batch().images
    changed = images.clone()
    changed[:, :, :8, :8] = 0.0  # the first patch of 16
    kept = torch.arange(1, 16).expand(len(images), -1)
    assert torch.equal(model.visual.tokens(images, kept).last, model.visual.tokens(changed, kept).last)
    assert model.visual.tokens(images, kept).last.shape[1] == 15
    all_of_them = torch.arange(16).expand(len(images), -1)
    assert torch.equal(model.visual.tokens(images, all_of_them).last, model.visual.tokens(images).last)


def test_a_frozen_tower_stays_and_an_unused_loss_wears_nothing_away() -> None:
    model = small_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    plan = small_plan(optimizer={"freeze": ["vision"], "lr": 0.1}, loss={"caption_weight": 0.0})
    train_step(new_learner(model, plan), small_batch())
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert "text.resblocks.0.attn.in_proj_weight" in moved
    assert not any(name.startswith(("visual.", "text.cross_attn", "text.text_projection")) for name in moved)


def test_lower_blocks_learn_slower_with_layer_decay() -> None:
    model = small_model()
    optimizer = new_optimizer(model, OptimizerPart(lr=1.0, layer_decay=0.5))
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert found["visual.transformer.resblocks.1.ln_1.weight"] == 1.0
    assert found["visual.transformer.resblocks.0.ln_1.weight"] == 0.5
    assert found["visual.conv1.weight"] == 0.25
    assert found["text.resblocks.0.ln_1.weight"] == 0.25
    assert found["text.token_embedding.weight"] == 0.125
    assert found["visual.proj"] == found["text.text_projection"] == found["log_logit_scale"] == 1.0


def test_the_running_mean_lags_behind_and_is_what_is_written(scene_pairs: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, scene_pairs)
    plain = load_file(train(recipe, tmp_path / "plain") / "model.safetensors")
    averaged = load_file(
        train(recipe, tmp_path / "averaged", overrides=["optimizer.average=0.99"]) / "model.safetensors"
    )
    start = load_file(tmp_path / "plain" / "stages" / "start" / "model.safetensors")
    key = "text.resblocks.0.attn.in_proj_weight"
    assert 0 < (averaged[key] - start[key]).norm() < 0.3 * (plain[key] - start[key]).norm()


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 200), st.integers(0, 100))
def test_the_order_is_the_seeds_and_runs_in_epochs(first: int, second: int, samples: int, seed: int) -> None:
    sizes, mix = {"a": first, "b": second}, {"a": 1.0, "b": 3.0}
    order = sample_order(sizes, mix, samples, seed)
    assert list(order) == list(sample_order(sizes, mix, samples, seed))
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
    png = io.BytesIO()
    image.save(png, "PNG")

    def brightest(caption: str, seed: int) -> int:
        return int(augment(png.getvalue(), caption, np.random.default_rng(seed))[..., 0].argmax())

    assert {brightest("a road in the upper left", seed) for seed in range(40)} == {1}
    assert len({brightest("a road", seed) for seed in range(200)}) == 8
    for text in ("At the TOP", "in the north-east", "the western shore", "upper left"):
        assert DIRECTIONS.search(text)
    assert not DIRECTIONS.search("a stopped car on the eastside-free laptop".replace("eastside-free ", ""))


def test_colour_jitter_changes_the_tones_and_nothing_else() -> None:
    grey, red, png = (96, 96, 96), (150, 60, 60), io.BytesIO()
    image = Image.new("RGB", (16, 16), grey)
    image.paste(red, (0, 0, 8, 8))
    image.save(png, "PNG")

    def seen(color_jitter: float, seed: int) -> NDArray[np.uint8]:
        part = AugmentPart(crop=1.0, color_jitter=color_jitter, symmetries=False)
        augment = Augment(part, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return augment(png.getvalue(), "a roof", np.random.default_rng(seed))

    assert all((seen(0.0, seed)[12, 12] == grey).all() for seed in range(5))
    toned = [seen(0.5, seed) for seed in range(20)]
    assert len({tuple(pixels[12, 12]) for pixels in toned}) > 15
    for pixels in toned:
        assert np.ptp(pixels[12, 12]) <= 1, "grey has no hue"
        assert pixels[4, 4, 0] > pixels[4, 4, 1] and abs(int(pixels[4, 4, 1]) - pixels[4, 4, 2]) <= 1, "red stays red"
        assert (pixels[8:, 8:] == pixels[12, 12]).all(), "a flat field stays flat"
    assert (seen(0.5, 7) == seen(0.5, 7)).all()


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
        augment=Augment(AugmentPart(), 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
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


@pytest.mark.parametrize("schedule", ["cosine", "linear", "cooldown"])
def test_every_schedule_ends_low(schedule: Literal["cosine", "linear", "cooldown"]) -> None:
    part = OptimizerPart(lr=1.0, warmup=0.1, final_lr=0.1, schedule=schedule, cooldown=0.3)
    rates = [learning_rate(part, step, 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    middle = {"cosine": 0.63, "linear": 0.6, "cooldown": 1.0}[schedule]
    assert rates[500] == pytest.approx(middle, abs=0.01)


def test_training_learns_and_writes_a_model_directory(scene_pairs: Path, tmp_path: Path) -> None:
    out = train(write_recipe(tmp_path, scene_pairs, samples=1200), tmp_path / "run")
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [record["name"] for record in records] == ["first"] * 5 + ["second"] * 75
    assert np.mean([r["loss"] for r in records[-5:]]) < 0.6 * np.mean([r["loss"] for r in records[:5]])
    assert geomammut.load_model(out).image_size == 32
    assert geomammut.load_model(out / "stages" / "first").image_size == 32
    assert not (out / "checkpoints").exists()
    assert all(0 < record["mfu"] < 1.5 and record["samples_per_s"] > 0 for record in records)
    with pytest.raises(UserError, match="--resume"):
        train(tmp_path / "recipe.toml", out)
    train(tmp_path / "recipe.toml", out, resume=True)


@pytest.mark.parametrize(("workers", "kills"), [(0, (2, 6)), (2, (4, 8))])
def test_a_killed_run_resumes_to_the_same_bits(
    workers: int, kills: tuple[int, ...], scene_pairs: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, scene_pairs)
    whole = load_file(train(recipe, tmp_path / "whole", overrides=["workers=3"]) / "model.safetensors")
    program = (
        "import sys, torch; from pathlib import Path; from geomammut.training.trainer import train;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        f"train(Path(sys.argv[1]), Path(sys.argv[2]), resume=True, overrides=['workers={workers}'])"
    )
    command = [sys.executable, "-c", program, str(recipe), str(tmp_path / "killed")]
    log = tmp_path / "killed" / "log.jsonl"
    for lines in kills:
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


def test_sigterm_ends_a_run_with_a_checkpoint(scene_pairs: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, scene_pairs, samples=16_000)
    command = [sys.executable, "-m", "geomammut", "train", str(recipe), "-o", str(tmp_path / "run")]
    process = subprocess.Popen([*command, "--set", "checkpoint_every=100000"], stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= 9):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "go on with --resume" in told and "Traceback" not in told
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    place = json.loads((checkpoint / "place.json").read_text())
    steps = len(log.read_text().splitlines())
    assert (place["stage"], place["step"]) == (1, steps - 5)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_the_latest_checkpoints_are_kept_and_training_is_watched(scene_pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ["checkpoints=2", "evaluate={ pairs = 'scenes', every = 4, images = 20 }", "tensorboard=true"]
    seen = set()

    def watch(out: Path, learner: object, *, stage: int, step: int) -> None:
        write_checkpoint(out, learner, stage=stage, step=step)  # type: ignore[arg-type]
        seen.add(len(list((folder / "checkpoints").iterdir())))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geomammut.training.trainer.write_checkpoint", watch)
        train(write_recipe(tmp_path, scene_pairs), folder, overrides=overrides)
    assert seen == {1, 2}
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "evaluation/mR" in r] == [3, 3]
    assert list((folder / "tensorboard").iterdir())


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


RECIPES = [path for path in sorted(Path("recipes").glob("*.toml")) if not path.name.startswith("suite_")]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid(recipe: Path) -> None:
    from geomammut.localization.rounds import LocalizeRecipe

    read_recipe(recipe, LocalizeRecipe if "start_from" in recipe.read_text().split("[")[0] else Recipe)


def test_the_counted_operations_are_those_of_a_step() -> None:
    model = small_model()
    captions = ["a red roof"] * len(CAPTIONS)
    tokens = model.tokenizer(captions)
    passing = TrainingPass(model, LossPart())
    with FlopCounterMode(display=False) as counter:
        passed = passing(small_batch().images, tokens)
        assert passed.images is not None and passed.texts is not None and passed.caption_costs is not None
        (passed.images.sum() + passed.texts.sum() + passed.caption_costs.sum()).backward()
    length = float(model.text.valid(tokens)[0].sum())
    flops = training_flops(model.config, patches=16, tokens=length, contrastive=True, captions=True)
    assert flops == pytest.approx(counter.get_total_flops() / len(captions), rel=0.15)
