"""The verb `localize`: rounds of region pseudo-labels, a student on its teacher's (DESIGN §5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import write_json
from geomammut.localization.judgement import Judgement, judge
from geomammut.localization.label_pictures import write_label_pictures
from geomammut.localization.pseudo_labels import PhraseGate, area_loss, frequent_phrases, region_loss
from geomammut.localization.teacher import Teacher, new_teacher
from geomammut.model.load import load_mammut, save_model
from geomammut.model.mammut import Mammut
from geomammut.model.vision import ImageTokens
from geomammut.pairs.english import with_article
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console
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

RETRIEVAL_TO_LOSE = 1.0  # points of mR that the rounds may cost in all


class LocalizeRecipe(BaseModel):
    """Rounds of pseudo-labels from the model `start_from` over the pair set `pairs`, judged on `heldout`.

    A round trains on `samples` draws with the image-level losses, `region_weight` times the region loss and
    `area_weight` times the area loss.
    `window` is the radius, in patches, of the teacher's Smooth-Attention maps; the student answers at radius
    `student_window`. `phrases` are the phrases to label; empty means the most frequent of the pair set's
    landmarks. `novel` are phrases that no pair states: only images that are as a whole very like one get labels
    of it. `template` makes a phrase, with its article, a text. `optimizer.average` is the decay of the student's
    running mean, which is judged and becomes the teacher.
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
    region_weight: float = Field(default=1.0, ge=0)
    area_weight: float = Field(default=1.0, ge=0)
    phrases: tuple[str, ...] = ()
    novel: tuple[str, ...] = ()
    most_phrases: int = Field(default=64, gt=1)
    least_images: int = Field(default=10, gt=0)
    template: str = Field(default="An aerial image of {}.", pattern=r"\{\}")
    loss: LossPart = LossPart()
    optimizer: OptimizerPart = OptimizerPart(lr=3e-4, average=0.95)
    augment: AugmentPart = AugmentPart(crop=0.8)


def localize(
    recipe: Path, out: Path, *, resume: bool = False, overrides: Sequence[str] = (), seed: int | None = None
) -> Path:
    """Run pseudo-label rounds and write the last teacher as the model directory `out`.

    In each round the teacher labels regions of the training images, and a student, begun anew from the
    recipe's model, learns them beside the image-level losses. It becomes the teacher if held-out agreement
    rises and retrieval holds; else the rounds stop. `out/rounds.json` reports each round, `out/labels-K.png` shows
    what the teacher after round K labels in held-out images; `out/round-K` holds that round's student.

    Args:
        recipe: A TOML file; see LocalizeRecipe.
        out: Folder of the resulting model.
        resume: Go on with the rounds in `out`.
        overrides: "key=value" in the recipe.
        seed: Replaces the recipe's seed.

    Raises:
        UserError: A wrong recipe, a missing model or pair set, no phrase to label, or a novel one that is stated.
    """
    plan = read_recipe(recipe, LocalizeRecipe, overrides, seed)
    if (out / "rounds.json").exists() and not resume:
        raise UserError(f"{out} holds rounds already; add --resume to go on with them, or choose another folder")
    pairs, heldout = PairSet(plan.pairs), PairSet(plan.heldout)
    gate = PhraseGate((*_stated_phrases(plan, pairs, recipe), *plan.novel))
    _check_novel(plan, pairs)

    def judged(model: Mammut, number: int) -> tuple[Teacher, Judgement]:
        teacher = new_teacher(
            model, gate, _prompts(plan, gate), pairs, novel=len(plan.novel), window=plan.window, seed=plan.seed
        )
        write_label_pictures(out / f"labels-{number}.png", teacher, heldout)
        return teacher, judge(teacher, heldout)

    teacher, first = judged(load_mammut(plan.start_from), 0)
    best = first
    reports: list[dict[str, Any]] = [{"round": 0, "kept": True} | first.report()]
    for number in range(1, plan.rounds + 1):
        student = _train_student(teacher, plan, number, out / f"round-{number}", resume)
        candidate, found = judged(student, number)
        rose = found.agreement > best.agreement
        kept = rose and found.retrieval >= first.retrieval - RETRIEVAL_TO_LOSE
        reports.append({"round": number, "kept": kept} | found.report())
        write_json(out / "rounds.json", {"phrases": list(gate.phrases), "rounds": reports})
        console.print(f"round {number}: {_told(best)} → {_told(found)}")
        if not kept:
            why = "retrieval fell" if rose else "agreement did not rise"
            console.print(f"{why}: the rounds stop, and the teacher before stays")
            break
        teacher, best = candidate, found
    save_model(teacher.model, out)
    return out


def _told(judgement: Judgement) -> str:
    return f"agreement {judgement.agreement:.1f}, mR {judgement.retrieval:.1f}"


def _stated_phrases(plan: LocalizeRecipe, pairs: PairSet, recipe: Path) -> tuple[str, ...]:
    phrases = plan.phrases or frequent_phrases(pairs.landmarks, plan.most_phrases, plan.least_images)
    if len(phrases) < 2:
        raise UserError(f"{plan.pairs} names too few landmarks to label; give `phrases` in {recipe}")
    return phrases


def _check_novel(plan: LocalizeRecipe, pairs: PairSet) -> None:
    novel = PhraseGate(plan.novel)
    for captions, landmarks in zip(pairs.captions, pairs.landmarks, strict=True) if plan.novel else ():
        for number in novel.shares(captions, landmarks):
            raise UserError(f"`novel` names {plan.novel[number]!r}, which {plan.pairs} states; move it to `phrases`")


def _prompts(plan: LocalizeRecipe, gate: PhraseGate) -> list[str]:
    return [plan.template.replace("{}", with_article(phrase)) for phrase in gate.phrases]


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
    prompts = _prompts(plan, teacher.gate)

    def region_term(model: Mammut, batch: Batch, image_tokens: ImageTokens) -> Tensor:
        stated = [teacher.gate.shares(*own) for own in zip(batch.all_captions, batch.landmarks, strict=True)]
        labels = teacher.labels(batch.images.to(model.device), stated)
        dense = model.visual.dense(image_tokens, plan.student_window)
        embedded = model.encode_text(prompts)
        scale = min(model.logit_scale, 30.0)
        regions = region_loss(dense.float(), embedded.float(), labels, scale)
        areas = area_loss(dense.float(), embedded.float(), stated, teacher.together, scale)
        return plan.region_weight * regions + plan.area_weight * areas

    return run(recipe, folder, resume=resume, extra_loss=region_term)
