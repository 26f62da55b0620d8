"""The verb `localize`: rounds of region pseudo-labels, a student on its teacher's (DESIGN §5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.retrieval import retrieval_metrics
from geomammut.files import write_json
from geomammut.localization.pseudo_labels import (
    PhraseGate,
    frequent_phrases,
    region_labels,
    region_loss,
    standardized,
)
from geomammut.model.load import load_mammut, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.vision import ImageTokens
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console, track
from geomammut.training.data import Batch
from geomammut.training.recipe import (
    AugmentPart,
    LossPart,
    ModelPart,
    OptimizerPart,
    Recipe,
    Stage,
    read_recipe,
)
from geomammut.training.trainer import run


class LocalizeRecipe(BaseModel):
    """Rounds of pseudo-labels from the model `start_from` over the pair set `pairs`, judged on `heldout`.

    A round trains on `samples` draws with the image-level losses plus `region_weight` times the region loss.
    `window` is the radius, in patches, of the teacher's Smooth-Attention maps; the student answers at radius
    `student_window`. `phrases` are the phrases to label; empty means the most frequent of the pair set's
    landmarks. `template` makes a phrase a text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    start_from: str
    pairs: str
    heldout: str
    rounds: int = Field(default=1, gt=0)
    samples: int = Field(default=10_000, gt=0)
    batch_size: int = Field(default=64, gt=1)
    window: int = Field(default=1, ge=0)
    student_window: int = Field(default=0, ge=0)
    region_weight: float = Field(default=1.0, gt=0)
    phrases: tuple[str, ...] = ()
    most_phrases: int = Field(default=64, gt=1)
    least_images: int = Field(default=10, gt=0)
    template: str = Field(default="An aerial image of {}.", pattern=r"\{\}")
    loss: LossPart = LossPart()
    optimizer: OptimizerPart = OptimizerPart(lr=3e-4)
    augment: AugmentPart = AugmentPart(crop=0.8)


@dataclass(frozen=True)
class Teacher:
    """A model that labels regions: its phrase embeddings [K, E] and its scores' mean and deviation [K]."""

    model: Mammut
    gate: PhraseGate
    texts: Tensor
    mean: Tensor
    std: Tensor
    window: int

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Return standardized phrase scores [B, h, w, K] of preprocessed images [B, 3, S, S]."""
        dense = self.model.dense_image_embeddings(images, self.window)
        return standardized(dense @ self.texts.T, self.mean, self.std)

    def labels(self, batch: Batch) -> Tensor:
        """Return region labels [B, h, w, K] of a batch; see `region_labels`."""
        stated = [
            self.gate.shares([caption], landmarks)
            for caption, landmarks in zip(batch.captions, batch.landmarks, strict=True)
        ]
        return region_labels(self.scores(batch.images.to(self.model.device)), stated)


def localize(
    recipe: Path, out: Path, *, resume: bool = False, overrides: Sequence[str] = (), seed: int | None = None
) -> Path:
    """Run pseudo-label rounds and write the last teacher as the model directory `out`.

    In each round the teacher labels regions of the training images, and a student, begun anew from the
    recipe's model, learns them beside the image-level losses. It becomes the teacher if held-out agreement
    rises; else the rounds stop. `out/rounds.json` reports each round; `out/round-K` holds its student.

    Args:
        recipe: A TOML file; see LocalizeRecipe.
        out: Folder of the resulting model.
        resume: Go on with the rounds in `out`.
        overrides: "key=value" in the recipe.
        seed: Replaces the recipe's seed.

    Raises:
        UserError: A wrong recipe, a missing model or pair set, or no phrase to label.
    """
    plan = read_recipe(recipe, LocalizeRecipe, overrides, seed)
    if (out / "rounds.json").exists() and not resume:
        raise UserError(f"{out} holds rounds already; add --resume to go on with them, or choose another folder")
    pairs, heldout = PairSet(plan.pairs), PairSet(plan.heldout)
    phrases = plan.phrases or frequent_phrases(pairs.landmarks, plan.most_phrases, plan.least_images)
    if len(phrases) < 2:
        raise UserError(f"{plan.pairs} names too few landmarks to label; give `phrases` in {recipe}")
    gate = PhraseGate(phrases)
    start = load_mammut(plan.start_from)
    teacher = _teacher(start, gate, plan, pairs)
    reports = [{"round": 0} | _judge(teacher, heldout, plan)]
    for number in range(1, plan.rounds + 1):
        folder = out / f"round-{number}"
        student = _train_student(teacher, plan, number, folder, resume)
        candidate = _teacher(student, gate, plan, pairs)
        reports.append({"round": number} | _judge(candidate, heldout, plan))
        write_json(out / "rounds.json", {"phrases": list(phrases), "rounds": reports})
        console.print(f"round {number}: {_told(reports[-2])} → {_told(reports[-1])}")
        if reports[-1]["agreement"] <= reports[-2]["agreement"]:
            console.print("agreement did not rise: the rounds stop, and the teacher before stays")
            break
        teacher = candidate
    save_model(teacher.model, out)
    return out


def _told(report: dict[str, Any]) -> str:
    return f"agreement {report['agreement']:.1f}, mR {report['mR']:.1f}"


def _train_student(teacher: Teacher, plan: LocalizeRecipe, number: int, folder: Path, resume: bool) -> Mammut:
    stage = Stage(name=f"round-{number}", mix={"pairs": 1.0}, samples=plan.samples)
    recipe = Recipe(
        seed=plan.seed + number,
        batch_size=plan.batch_size,
        pairs={"pairs": plan.pairs},
        model=ModelPart(start_from=plan.start_from),
        loss=plan.loss,
        optimizer=plan.optimizer,
        augment=plan.augment,
        stages=[stage],
    )
    texts = [plan.template.format(phrase) for phrase in teacher.gate.phrases]

    def region_term(model: Mammut, batch: Batch, image_tokens: ImageTokens) -> Tensor:
        dense = model.visual.dense(image_tokens, plan.student_window)
        embedded = model.encode_text(texts)
        scale = min(model.logit_scale, 30.0)
        return plan.region_weight * region_loss(dense.float(), embedded.float(), teacher.labels(batch), scale)

    return run(recipe, folder, resume=resume, extra_loss=region_term)


@torch.no_grad()
def _teacher(model: Mammut, gate: PhraseGate, plan: LocalizeRecipe, pairs: PairSet) -> Teacher:
    """Measure each phrase's usual score over up to 256 training images, and freeze the model."""
    model.eval().requires_grad_(False)
    texts = model.encode_text([plan.template.format(phrase) for phrase in gate.phrases])
    chosen = np.random.default_rng(plan.seed).permutation(len(pairs))[:256]
    scores = torch.cat(
        [
            (model.dense_image_embeddings(images, plan.window) @ texts.T).flatten(0, 2)
            for images in _image_batches(model, pairs, chosen)
        ]
    )
    std = scores.std(dim=0).clamp(min=1e-6)
    return Teacher(model, gate, texts, scores.mean(dim=0), std, plan.window)


@torch.no_grad()
def _judge(teacher: Teacher, heldout: PairSet, plan: LocalizeRecipe) -> dict[str, float]:
    """Measure a teacher on held-out pairs, without masks.

    Returns, in percent: `agreement`, how many of the n phrases that an image states are among the n whose
    best patch scores highest in it (R-precision, mean over images); `coverage`, the share of patches that
    get a label; `mR`, retrieval of one caption an image.
    """
    model = teacher.model
    agreements, coverages, embedded = [], [], []
    captions, landmarks = heldout.captions, heldout.landmarks
    done = 0
    batches = _image_batches(model, heldout, np.arange(len(heldout)))
    for images in track(batches, "judge", total=-(-len(heldout) // 64)):
        scores = teacher.scores(images)
        stated = [teacher.gate.shares(captions[row], landmarks[row]) for row in range(done, done + len(images))]
        done += len(images)
        labels = region_labels(scores, stated)
        coverages.append((labels == 1.0).any(dim=-1).float().mean(dim=(1, 2)))
        for best, own in zip(scores.amax(dim=(1, 2)), stated, strict=True):
            if own:
                top = best.topk(len(own)).indices.tolist()
                agreements.append(len(set(top) & set(own)) / len(own))
        embedded.append(model.encode_image(images))
    if not agreements:
        raise UserError(f"no pair of {heldout.folder} states one of the phrases; hold out pairs of the same kind")
    texts = encode_texts(model, [own[0] for own in captions])
    metrics = _retrieval(torch.cat(embedded), texts)
    return {
        "agreement": 100 * float(np.mean(agreements)),
        "coverage": 100 * float(torch.cat(coverages).mean()),
        "mR": metrics["mR"],
    }


def _retrieval(images: Tensor, texts: Tensor) -> dict[str, float]:
    numbers = np.arange(len(images))
    return retrieval_metrics(images, texts, np.stack([numbers, numbers], axis=1))


def _image_batches(model: Mammut, pairs: PairSet, chosen: NDArray[np.integer[Any]]) -> Iterator[Tensor]:
    for start in range(0, len(chosen), 64):
        pictures = [pairs.read_picture(int(index)) for index in chosen[start : start + 64]]
        yield torch.stack([model.preprocess(picture) for picture in pictures]).to(model.device)
