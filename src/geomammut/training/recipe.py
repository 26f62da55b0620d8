"""A recipe: one TOML file that says how a model is trained, validated before anything starts."""

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomammut.errors import UserError
from geomammut.model.config import TextConfig, VisionConfig
from geomammut.model.sizes import Size


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelPart(_Part):
    """What to train: a model to `start_from` (directory or hub id), or a new one.

    A new one has a named `size`, or the dimensions of `vision` and `text`, or towers trained elsewhere:
    `vision_from` (`timm:NAME`, `open_clip:NAME/TAG`, a MaMMUT model) and `text_from` (a MaMMUT model); see
    `geomammut.model.pretrained`. `image_size` resizes the positional embedding of what was trained before.
    `tokenizer` is "trained" (a byte-pair encoding learnt from the captions of all stages, of at most
    `vocab_size` tokens), "clip", or a file (`tokenizer.json` of ours, or a SentencePiece `.model`).
    """

    start_from: str | None = None
    size: Size | None = None
    vision_from: str | None = None
    text_from: str | None = None
    image_size: int | None = Field(default=None, gt=0)
    tokenizer: str = "trained"
    vocab_size: int = Field(default=4096, ge=300)
    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelPart":
        given = self.model_fields_set
        if self.start_from is not None and given & {"size", "vision_from", "text_from", "vision", "text", "tokenizer"}:
            raise ValueError("start_from brings sizes, towers and tokenizer with it; leave out the others")
        if self.size is not None and given & {"vision", "text"}:
            raise ValueError("give a size, or vision and text, not both")
        if self.text_from is not None and given & {"text", "tokenizer"}:
            raise ValueError("text_from brings the text decoder and its tokenizer with it; leave them out")
        if self.vision_from is not None and "vision" in given:
            raise ValueError("vision_from brings the image tower with it; leave out vision")
        return self


class LossPart(_Part):
    """L = contrastive_weight · L_con + caption_weight · L_cap (MaMMUT §3.2: 1 and 1).

    `focal_gamma` is γ of the focal sigmoid loss; the paper does not state it, RO-ViT uses 2.
    """

    contrastive: Literal["infonce", "focal", "siglip"] = "infonce"
    contrastive_weight: float = Field(default=1.0, ge=0)
    caption_weight: float = Field(default=1.0, ge=0)
    focal_gamma: float = Field(default=2.0, ge=0)


class OptimizerPart(_Part):
    """AdamW; in each stage the rate rises over its first `warmup`, then falls to `final_lr`, both shares.

    `schedule` falls as a cosine, a line, or stays up until the last `cooldown` share of the steps. `layer_decay`
    slows the lower blocks of pretrained towers. `freeze` names towers that do not learn (`vision` alone is
    LiT, Zhai et al. 2022, arXiv 2111.07991). `average` is the decay of a running mean of the weights (EMA), which
    is then the model that is written; 0 keeps none.
    """

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    beta2: float = Field(default=0.98, gt=0, lt=1)
    warmup: float = Field(default=0.05, ge=0, le=1)
    schedule: Literal["cosine", "linear", "cooldown"] = "cosine"
    cooldown: float = Field(default=0.2, gt=0, le=1)
    final_lr: float = Field(default=0.02, ge=0, le=1)
    clip_norm: float = Field(default=1.0, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    freeze: tuple[Literal["vision", "text"], ...] = ()
    average: float = Field(default=0.0, ge=0, lt=1)


class AugmentPart(_Part):
    """Random crops of `crop` to 1 of the area; flips and turns where the caption names no direction.

    `color_jitter` j draws factors of brightness, contrast and saturation from 1 − j to 1 + j: a model that is to read
    imagery of other sensors and hours than it was trained on needs some.
    """

    crop: float = Field(default=0.6, gt=0, le=1)
    symmetries: bool = True
    color_jitter: float = Field(default=0.0, ge=0, lt=1)


class Stage(_Part):
    """`samples` drawn from `mix`, a weight for each named pair set; `lr_scale` multiplies the rate.

    `patch_dropout` is the share of an image's patches that the stage does not look at (FLIP, Li et al. 2023,
    arXiv 2212.00794, whose last and short stage looks at all).
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    mix: dict[str, float] = Field(min_length=1)
    samples: int = Field(gt=0)
    lr_scale: float = Field(default=1.0, gt=0)
    patch_dropout: float = Field(default=0.0, ge=0, lt=1)


class EvaluatePart(_Part):
    """Zero-shot retrieval among the first `images` pairs of the set `pairs`, `every` so many steps."""

    pairs: str
    every: int = Field(default=1000, gt=0)
    images: int = Field(default=500, gt=1)


class Recipe(_Part):
    """A whole training run. `pairs` names pair-set folders, relative to the working directory.

    `batch_size` is that of the whole step, over all processes of `torchrun`; `micro_batch` how many samples a
    process computes at a time (0: its whole share), with the same gradient. `parallel` says how processes share
    the work: each with all weights (DDP), or with a share of them (FSDP2). `recompute` trades time for the memory of
    activations. With `crop_positions`, each image is given a random part of the positional embedding (MaMMUT
    §3.2). `workers` threads of each process prepare images beside the training (0: the training thread does).
    """

    seed: int = 0
    batch_size: int = Field(default=128, gt=1)
    micro_batch: int = Field(default=0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    compile: bool = False
    recompute: bool = False
    crop_positions: bool = False
    workers: int = Field(default=2, ge=0)
    checkpoint_every: int = Field(default=100, gt=0)  # steps
    checkpoints: int = Field(default=1, gt=0)  # the latest so many are kept
    tensorboard: bool = False
    evaluate: EvaluatePart | None = None
    pairs: dict[str, str] = Field(min_length=1)
    model: ModelPart = ModelPart()
    loss: LossPart = LossPart()
    optimizer: OptimizerPart = OptimizerPart()
    augment: AugmentPart = AugmentPart()
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _mixes_name_known_sets(self) -> "Recipe":
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"two stages share a name: {', '.join(names)}")
        for stage in self.stages:
            for name, weight in stage.mix.items():
                if name not in self.pairs:
                    raise ValueError(f"stage {stage.name} mixes {name!r}, which [pairs] does not name")
                if weight <= 0:
                    raise ValueError(f"stage {stage.name}: the weight of {name!r} must be above 0")
            if stage.samples < self.batch_size:
                raise ValueError(f"stage {stage.name}: {stage.samples} samples are less than one batch")
        if self.evaluate is not None and self.evaluate.pairs not in self.pairs:
            raise ValueError(f"[evaluate] asks for {self.evaluate.pairs!r}, which [pairs] does not name")
        return self


Model = TypeVar("Model", bound=BaseModel)


def read_recipe(path: Path, kind: type[Model], overrides: Sequence[str] = (), seed: int | None = None) -> Model:
    """Read a TOML file as a `kind`; each override is "key.subkey=value" in TOML, lists by index.

    A model directory's `recipe.json` is read, too: it gives the run that it tells of once more.

    Raises:
        UserError: No file, no TOML, a wrong key (named with the nearest right one), or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = _stated(json.loads(text), kind) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a recipe file, such as recipes/rsicd_small.toml") from error
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is no {'recipe.json' if path.suffix == '.json' else 'TOML'}: {error}") from error
    for override in overrides:
        _set(values, override)
    if seed is not None:
        values["seed"] = seed
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error, kind)}") from error


def _stated(values: dict[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """Return the values that differ from the defaults: of a `size` and `vision`, a recipe may state but one."""
    stated: dict[str, Any] = {}
    for name, value in values.items():
        field = kind.model_fields.get(name)
        default = None if field is None or field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            if value != default.model_dump(mode="json"):
                stated[name] = _stated(value, type(default))
        elif value != default:
            stated[name] = value
    return stated


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override}: write key=value, such as --set optimizer.lr=5e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    place: Any = values
    *parents, last = key.split(".")
    try:
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"--set {override}: there is no {key} in the recipe") from error


def _explain(error: ValidationError, kind: type[BaseModel]) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg']}" if place else first["msg"].removeprefix("Value error, ")
    known = sorted(_fields_at(kind, [part for part in first["loc"][:-1] if isinstance(part, str)]))
    wrong = str(first["loc"][-1])
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"there is no key {place}; {hint}"


def _fields_at(kind: type[BaseModel], place: Sequence[str]) -> set[str]:
    for name in place:
        annotation: Any = kind.model_fields[name].annotation
        for inner in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                kind = inner
    return set(kind.model_fields)
