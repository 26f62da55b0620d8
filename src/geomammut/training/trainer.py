"""The verb `train`: a recipe's stages, one after the other, resumable at any step."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import write_json
from geomammut.model.config import MammutConfig
from geomammut.model.load import load_mammut, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import ClipTokenizer, Tokenizer
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console, progress_bar
from geomammut.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from geomammut.training.data import Augment, Batch, BatchLoader, equal_captions, sample_order
from geomammut.training.losses import caption_loss, infonce, sigmoid_focal
from geomammut.training.recipe import LossPart, OptimizerPart, Recipe, read_recipe

# A term added to a step's loss, given the model, the batch and the image tower's tokens [B, L, W].
ExtraLoss = Callable[[Mammut, Batch, Tensor], Tensor]


def train(
    recipe: Path, out: Path, *, resume: bool = False, overrides: Sequence[str] = (), seed: int | None = None
) -> Path:
    """Train a model by a recipe and write it as the model directory `out`.

    Beside the model, `out` gets `log.jsonl` (one line a step), `stages/NAME` (the model after each
    stage; `start` is before any), `recipe.json` (the recipe as it was understood) and, until the end,
    `checkpoint.safetensors`. On one device, the
    result depends on the recipe and its seed alone, interrupted and resumed or not.

    Args:
        recipe: A TOML file; see `geomammut.training.recipe.Recipe`.
        out: Folder of the new model.
        resume: Go on from the checkpoint in `out`, if there is one.
        overrides: "key=value" in the recipe, such as "optimizer.lr=5e-4" or "stages.0.samples=10000".
        seed: Replaces the recipe's seed.

    Raises:
        UserError: A wrong recipe, a missing pair set, or an `out` that holds a run already.
    """
    plan = read_recipe(recipe, Recipe, overrides, seed)
    run(plan, out, resume=resume)
    return out


def run(plan: Recipe, out: Path, *, resume: bool, extra_loss: ExtraLoss | None = None) -> Mammut:
    """Train by a validated recipe; see `train`. `extra_loss` is added to every step's loss."""
    sets = {name: PairSet(folder) for name, folder in plan.pairs.items()}
    checkpoint = _checkpoint_to_resume(plan, out, resume)
    if checkpoint is not None and checkpoint.finished:
        console.print(f"{escape(str(out))} is trained already")
        return load_mammut(out)
    device = _device(plan)
    torch.manual_seed(plan.seed)
    model = _start_model(plan, sets)
    model.to(device).train()
    optimizer = new_optimizer(model, plan.optimizer)
    write_json(out / "recipe.json", plan.model_dump(mode="json"))
    log = _Log(out / "log.jsonl")
    stage_index, step = 0, 0
    if checkpoint is not None:
        checkpoint.restore(model, optimizer)
        stage_index, step = checkpoint.stage, checkpoint.step
    else:
        save_model(model, out / "stages" / "start")
    log.cut(stage_index, step)
    for index, stage in enumerate(plan.stages):
        if index < stage_index:
            continue
        loader = BatchLoader(
            {name: sets[name] for name in stage.mix},
            sample_order({name: len(sets[name]) for name in stage.mix}, stage.mix, stage.samples, _seed(plan, index)),
            batch_size=plan.batch_size,
            seed=_seed(plan, index),
            prepare=Augment(plan.augment, model.image_size, model.mean, model.std),
        )
        first = step if index == stage_index else 0
        steps = enumerate(loader.batches(first), first)
        with _stage_progress(stage.name, len(loader), first) as tick:
            for number, batch in steps:
                for group in optimizer.param_groups:
                    group["lr"] = stage.lr_scale * learning_rate(plan.optimizer, number, len(loader))
                figures = train_step(model, optimizer, batch, plan, extra_loss)
                log.write(stage=index, name=stage.name, step=number, samples=len(batch.captions), **figures)
                tick(figures)
                if (number + 1) % plan.checkpoint_every == 0 and number + 1 < len(loader):
                    write_checkpoint(out, model, optimizer, stage=index, step=number + 1, plan=plan)
        for name, count in loader.corrupt.items():
            console.print(f"[yellow]{count} corrupt pairs of {escape(name)} were replaced[/]")
        save_model(model, out / "stages" / stage.name)
        if index + 1 < len(plan.stages):
            write_checkpoint(out, model, optimizer, stage=index + 1, step=0, plan=plan)
    save_model(model, out)
    Checkpoint.mark_finished(out, plan)
    return model.eval()


def train_step(
    model: Mammut,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    plan: Recipe,
    extra_loss: ExtraLoss | None = None,
) -> dict[str, float]:
    """Take one optimizer step; return its losses, gradient norm, logit scale and rate."""
    started = time.perf_counter()
    device = model.device
    images = batch.images.to(device, non_blocking=True)
    with _autocast(plan, device):
        image_tokens = model.visual.tokens(images)
        terms = losses(model, image_tokens, batch.captions, plan.loss)
        if extra_loss is not None:
            terms["extra"] = extra_loss(model, batch, image_tokens)
    weights = {"contrastive": plan.loss.contrastive_weight, "caption": plan.loss.caption_weight}
    total = torch.stack([weights.get(name, 1.0) * term.float() for name, term in terms.items()]).sum()
    if not bool(torch.isfinite(total)):
        raise UserError("the loss is no longer finite; lower optimizer.lr in the recipe and train again")
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimizer.clip_norm)
    optimizer.step()
    with torch.no_grad():
        model.log_logit_scale.clamp_(0.0, math.log(100.0))
    figures = {name: round(float(term.detach()), 6) for name, term in terms.items()}
    return figures | {
        "loss": round(float(total.detach()), 6),
        "gradient_norm": round(float(norm), 6),
        "logit_scale": round(model.logit_scale, 4),
        "lr": optimizer.param_groups[0]["lr"],
        "samples_per_s": round(len(images) / (time.perf_counter() - started), 2),
    }


def losses(model: Mammut, image_tokens: Tensor, captions: list[str], part: LossPart) -> dict[str, Tensor]:
    """Return the weighted-in terms of the loss: "contrastive" and "caption", where their weight is not 0."""
    tokens = model.tokenizer(captions)
    valid = model.text.valid(tokens)
    groups = length_groups(valid)
    tokens, valid = tokens.to(model.device), valid.to(model.device)
    terms = {}
    if part.contrastive_weight:
        images = torch.nn.functional.normalize(model.visual.pool(image_tokens).float(), dim=-1)
        order = torch.cat([rows for rows, _ in groups])
        # A model whose text embedding averages the pads, too, has to read them.
        texts = [
            model.encode_text(tokens[rows] if model.config.text.average_padding else tokens[rows, :longest])
            for rows, longest in groups
        ]
        logits = model.log_logit_scale.exp() * images @ torch.cat(texts)[order.argsort()].float().T
        same = torch.from_numpy(equal_captions(captions)).to(model.device)
        if part.contrastive == "infonce":
            terms["contrastive"] = infonce(logits, same)
        else:
            gamma = part.focal_gamma if part.contrastive == "focal" else 0.0
            terms["contrastive"] = sigmoid_focal(logits + model.logit_bias, same, gamma)
    if part.caption_weight:
        memory = model.image_memory(image_tokens)
        states, labels = [], []
        for rows, longest in groups:
            labelled = valid[rows, 1:longest]
            states.append(model.text.decode(tokens[rows, : longest - 1], memory[rows])[labelled])
            labels.append(tokens[rows, 1:longest][labelled])
        terms["caption"] = caption_loss(torch.cat(states), model.text.text_projection, torch.cat(labels))
    return terms


def length_groups(valid: Tensor, groups: int = 4) -> list[tuple[Tensor, int]]:
    """Divide texts by length, so that short ones are not padded to the longest of the batch.

    Args:
        valid: [B, L], True where a text has a token.
        groups: At most how many groups.

    Returns:
        Each group's rows, and the length of its longest text.
    """
    lengths = valid.sum(dim=1)
    shortest_first = lengths.argsort(stable=True)
    return [(rows, int(lengths[rows[-1]])) for rows in shortest_first.chunk(groups)]


def learning_rate(part: OptimizerPart, step: int, steps: int) -> float:
    """Return the rate of `step` of a stage of `steps`: linear warm-up, then a cosine down."""
    warmup = part.warmup * steps
    if step < warmup:
        return part.lr * (step + 1) / (warmup + 1)
    share = (step - warmup) / max(1.0, steps - warmup)
    return part.lr * (part.final_lr + (1 - part.final_lr) * (1 + math.cos(math.pi * share)) / 2)


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 products have hardware: any CUDA device; on a CPU, AMX or AVX512-BF16."""
    if device.type == "cuda":
        return True
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _autocast(plan: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    lower = plan.precision == "bfloat16" or (plan.precision == "auto" and bfloat16_is_fast(device))
    return torch.autocast(device.type, torch.bfloat16) if lower else contextlib.nullcontext()


def _device(plan: Recipe) -> torch.device:
    if plan.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise UserError('device = "cuda", but PyTorch sees no GPU; use "auto" or "cpu"')
    return torch.device(plan.device)


def _seed(plan: Recipe, stage: int) -> int:
    return int(np.random.SeedSequence((plan.seed, stage)).generate_state(1)[0])


def _start_model(plan: Recipe, sets: Mapping[str, PairSet]) -> Mammut:
    part = plan.model
    if part.start_from is not None:
        return load_mammut(part.start_from)
    text = part.text
    if part.tokenizer == "clip":
        tokenizer: Tokenizer = ClipTokenizer(text.context_length)
    else:
        used = sorted({name for stage in plan.stages for name in stage.mix})
        captions = (caption for name in used for own in sets[name].captions for caption in own)
        tokenizer = Tokenizer.train(captions, part.vocab_size, text.context_length)
    config = MammutConfig(
        vision=part.vision,
        text=text.model_copy(
            update={
                "vocab_size": tokenizer.vocab_size,
                "start_token": tokenizer.start,
                "end_token": tokenizer.end,
            }
        ),
        tokenizer="clip" if part.tokenizer == "clip" else "tokenizer.json",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    model = Mammut(config, tokenizer)
    with torch.no_grad():
        # Each loss's authors' start: temperature 1 (MaMMUT §3.1); 10 and -10 (SigLIP §3.2); 1 / 0.07 (CLIP).
        start = {"focal": (1.0, 0.0), "siglip": (10.0, -10.0), "infonce": (1 / 0.07, 0.0)}
        scale, bias = start[plan.loss.contrastive]
        model.log_logit_scale.fill_(math.log(scale))
        model.logit_bias.fill_(bias)
    return model


def new_optimizer(model: Mammut, part: OptimizerPart) -> torch.optim.AdamW:
    """Return AdamW over a model's parameters; vectors and scalars do not decay."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=part.lr, betas=(0.9, part.beta2), weight_decay=part.weight_decay, fused=True)


def _checkpoint_to_resume(plan: Recipe, out: Path, resume: bool) -> Checkpoint | None:
    checkpoint = read_checkpoint(out)
    if checkpoint is None:
        return None
    if not resume:
        what = "a trained model" if checkpoint.finished else "an unfinished run"
        raise UserError(f"{out} holds {what}; add --resume to go on with it, or choose another folder")
    if checkpoint.recipe != plan.model_dump(mode="json"):
        raise UserError(f"{out} was begun with another recipe ({out / 'recipe.json'}); choose another folder")
    return checkpoint


class _Log:
    """`log.jsonl`, one line a step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def cut(self, stage: int, step: int) -> None:
        """Drop the lines of steps that are about to be taken (again)."""
        kept = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    record = json.loads(line)
                    if (record["stage"], record["step"]) < (stage, step):
                        kept.append(line)
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, **record: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


@contextlib.contextmanager
def _stage_progress(name: str, steps: int, first: int) -> Iterator[Callable[[dict[str, float]], None]]:
    with progress_bar() as bar:
        task = bar.add_task(f"train {name}", total=steps, completed=first)

        def tick(figures: dict[str, float]) -> None:
            told = f"train {name}: loss {figures['loss']:.3f}, {figures['samples_per_s']:.0f}/s"
            bar.update(task, advance=1, description=told)

        yield tick
