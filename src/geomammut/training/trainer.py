"""The verb `train`: a recipe's stages, one after the other, resumable at any step."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.markup import escape

from geomammut.errors import UserError
from geomammut.files import write_json
from geomammut.model.load import load_mammut, save_model
from geomammut.model.mammut import Mammut
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console
from geomammut.training.augment import Augment
from geomammut.training.checkpoint import Checkpoint, read_checkpoint, whole_weights, write_checkpoint
from geomammut.training.data import BatchLoader, sample_order
from geomammut.training.optimizer import learning_rate, set_rate
from geomammut.training.ranks import join_ranks
from geomammut.training.recipe import Recipe, Stage, read_recipe
from geomammut.training.run_log import RunLog, stage_progress
from geomammut.training.start import start_model
from geomammut.training.step import ExtraLoss, Learner, new_learner, train_step
from geomammut.training.throughput import matmul_ceiling, training_flops

_SAMPLED_CAPTIONS = 256  # of each pair set, from which their usual length is told


def train(
    recipe: Path, out: Path, *, resume: bool = False, overrides: Sequence[str] = (), seed: int | None = None
) -> Path:
    """Train a model by a recipe and write it as the model directory `out`.

    Beside the model, `out` gets `log.jsonl` (one line a step), `stages/NAME` (the model after each
    stage; `start` is before any), `recipe.json` (the recipe as it was understood) and, until the end,
    `checkpoints`. On one device, the result depends on the recipe and its seed alone, interrupted and
    resumed or not. Under `torchrun`, each process works on its share of every batch. SIGTERM and Ctrl-C end the
    run after the step that it is in, with a checkpoint.

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
    device = _device(plan)
    if checkpoint is not None and checkpoint.finished:
        console.print(f"{escape(str(out))} is trained already")
        return load_mammut(out).to(device)
    with join_ranks(device) as ranks, _stop_request() as stop:
        if plan.batch_size % ranks.count:
            raise UserError(f"batch_size {plan.batch_size} does not divide among {ranks.count} processes")
        torch.manual_seed(plan.seed)
        learner = new_learner(start_model(plan, sets).to(device).train(), plan, ranks)
        log = RunLog(out, tensorboard=plan.tensorboard, leads=ranks.leads)
        if checkpoint is not None:
            checkpoint.restore(learner)
        else:
            if ranks.leads:
                write_json(out / "recipe.json", plan.model_dump(mode="json"))
            _save(learner, out / "stages" / "start")
        stage, step = (0, 0) if checkpoint is None else (checkpoint.stage, checkpoint.step)
        log.cut(stage, step)
        _Run(learner, sets, out, log, stop, extra_loss).take_steps(stage, step)
        _save(learner, out)
        if ranks.leads:
            Checkpoint.mark_finished(out, plan)
        log.close()
        ranks.wait()
    return load_mammut(out).to(device)


@dataclass
class StopRequest:
    """The signal that asks the run to stop after the step it is in, if one came."""

    signal: int | None = None


@dataclass
class _Run:
    learner: Learner
    sets: Mapping[str, PairSet]
    out: Path
    log: RunLog
    stop: StopRequest
    extra_loss: ExtraLoss | None

    def take_steps(self, first_stage: int, first_step: int) -> None:
        """Take the steps from one of a stage on, to the end of the last stage."""
        stages = self.learner.plan.stages
        for index in range(first_stage, len(stages)):
            self._stage(index, stages[index], first_step if index == first_stage else 0)
            _save(self.learner, self.out / "stages" / stages[index].name)
            if index + 1 < len(stages):
                write_checkpoint(self.out, self.learner, stage=index + 1, step=0)

    def _stage(self, index: int, stage: Stage, first: int) -> None:
        learner, plan, ranks = self.learner, self.learner.plan, self.learner.ranks
        loader = self._loader(index, stage)
        share_of_ceiling = self._share_of_ceiling(stage) if first < len(loader) else 0.0
        with stage_progress(stage.name, len(loader), first) as tick:
            before = time.perf_counter()
            for number, batch in enumerate(loader.batches(first), first):
                set_rate(learner.optimizer, stage.lr_scale * learning_rate(plan.optimizer, number, len(loader)))
                figures = train_step(learner, batch, self.extra_loss)
                now = time.perf_counter()
                rate = plan.batch_size / (now - before)
                before = now
                figures |= {"samples_per_s": round(rate, 2), "mfu": round(rate * share_of_ceiling, 4)}
                if plan.evaluate is not None and (number + 1) % plan.evaluate.every == 0:
                    figures |= self._evaluate()
                self.log.write(stage=index, name=stage.name, step=number, samples=plan.batch_size, **figures)
                tick(figures)
                if number + 1 < len(loader):
                    due = (number + 1) % plan.checkpoint_every == 0
                    stopping = ranks.any(self.stop.signal is not None, learner.model.device)
                    if due or stopping:
                        write_checkpoint(self.out, learner, stage=index, step=number + 1)
                    if stopping:
                        console.print(
                            f"stopped after step {number + 1} of stage {escape(stage.name)}; go on with --resume"
                        )
                        raise SystemExit(128 + (self.stop.signal or signal.SIGTERM))
        for name, count in loader.corrupt.items():
            console.print(f"[yellow]{count} corrupt pairs of {escape(name)} were replaced[/]")

    def _loader(self, index: int, stage: Stage) -> BatchLoader:
        plan, model = self.learner.plan, self.learner.model
        sets = {name: self.sets[name] for name in stage.mix}
        seed = _seed(plan, index)
        patches = model.config.vision.grid**2
        kept = max(1, round(patches * (1 - stage.patch_dropout)))
        return BatchLoader(
            sets,
            sample_order(
                {name: len(pairs) for name, pairs in sets.items()},
                stage.mix,
                stage.samples,
                seed,
                {name: pairs.rows_by_shard() for name, pairs in sets.items() if pairs.is_remote},
            ),
            batch_size=plan.batch_size,
            seed=seed,
            augment=Augment(plan.augment, model.image_size, model.mean, model.std),
            rows=self.learner.ranks.rows(plan.batch_size),
            workers=plan.workers,
            patches=(patches, kept) if kept < patches else None,
            crop_positions=plan.crop_positions,
        )

    def _share_of_ceiling(self, stage: Stage) -> float:
        """Return which share of the processes' matrix-product ceiling one sample a second takes."""
        learner, plan = self.learner, self.learner.plan
        model, device = learner.model, learner.model.device
        sampled = [pairs.table["captions"][:_SAMPLED_CAPTIONS].to_pylist() for pairs in self.sets.values()]
        captions = [own[0] for of_set in sampled for own in of_set]
        flops = training_flops(
            model.config,
            patches=round(model.config.vision.grid**2 * (1 - stage.patch_dropout)),
            tokens=float(model.text.valid(model.tokenizer(captions).to(device)).sum()) / len(captions),
            contrastive=bool(plan.loss.contrastive_weight),
            captions=bool(plan.loss.caption_weight),
        )
        with learner.autocast():
            dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
        return flops / (matmul_ceiling(device, dtype) * learner.ranks.count)

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        """Return zero-shot retrieval among held-out pairs; every rank looks at all, as FSDP wants it."""
        from geomammut.evaluation.retrieval import retrieval_metrics  # noqa: PLC0415 (of a room further on)

        learner, plan = self.learner, self.learner.plan
        assert plan.evaluate is not None
        pairs, model = self.sets[plan.evaluate.pairs], learner.model
        count = min(plan.evaluate.images, len(pairs))
        captions = pairs.table["captions"][:count].to_pylist()
        found = []
        for start in range(0, count, plan.batch_size):
            rows = range(start, min(count, start + plan.batch_size))
            images = torch.stack([model.preprocess(pairs.read_picture(row)) for row in rows])
            tokens = model.tokenizer([captions[row][0] for row in rows])
            with learner.autocast():
                found.append(learner.passing(images.to(model.device), tokens.to(model.device), captions=False))
        numbers = np.arange(count)
        metrics = retrieval_metrics(
            torch.cat([passed.images for passed in found]),
            torch.cat([passed.texts for passed in found]),
            np.stack([numbers, numbers], axis=1),
        )
        return {f"evaluation/{name}": metrics[name] for name in ("i2t_r1", "t2i_r1", "mR")}


def _save(learner: Learner, folder: Path) -> None:
    """Write the model as it stands (its running mean, if the recipe keeps one); every rank calls this."""
    weights = whole_weights(learner)
    if learner.ranks.leads:
        save_model(learner.model, folder, weights)
    learner.ranks.wait()


@contextmanager
def _stop_request() -> Iterator[StopRequest]:
    """Let the first SIGTERM or SIGINT within the block be a request; a second one acts as ever."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: object) -> None:
        request.signal = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _device(plan: Recipe) -> torch.device:
    if plan.device == "cpu" or (plan.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError('device = "cuda", but PyTorch sees no GPU; use "auto" or "cpu"')
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _seed(plan: Recipe, stage: int) -> int:
    return int(np.random.SeedSequence((plan.seed, stage)).generate_state(1)[0])


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
