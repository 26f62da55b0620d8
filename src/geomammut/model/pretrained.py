"""A new model from towers that were trained elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from torch import Tensor

from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.load import load_mammut
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer
from geomammut.model.vision import resized_positions

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class PretrainedVision:
    """An image tower: what it is, its weights by their names in `Mammut.visual`, and what its input was."""

    config: VisionConfig
    weights: Mapping[str, Tensor]
    mean: Triple
    std: Triple


@dataclass(frozen=True)
class PretrainedText:
    """A text decoder: what it is, its weights by their names in `Mammut`, and its tokenizer."""

    config: TextConfig
    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    tokenizer_name: str


def pretrained_vision(name: str, image_size: int | None = None) -> PretrainedVision:
    """Read an image tower.

    Args:
        name: `timm:NAME` (its weights on the hub) or `timm:NAME/FILE`; `open_clip:NAME/TAG` or
            `open_clip:NAME/FILE`; or a MaMMUT model, as `load_model` takes it.
        image_size: Side of the images it is to take; positional embeddings are resized. Its own if None.

    Raises:
        UserError: There is no such tower, or its pooling is none of ours.
    """
    if name.startswith("timm:"):
        found = _of_timm(name.removeprefix("timm:"), image_size)
    elif name.startswith("open_clip:"):
        found = _of_open_clip(name.removeprefix("open_clip:"), image_size)
    else:
        model = load_mammut(name)
        weights = model.visual.state_dict()
        found = PretrainedVision(model.config.vision, weights, model.mean, model.std)
    if image_size is None or image_size == found.config.image_size:
        return found
    return _of_size(found, image_size, name)


def pretrained_text(name: str) -> PretrainedText:
    """Read the text decoder of a MaMMUT model, as `load_model` takes it (ours or openMaMMUT's)."""
    model = load_mammut(name)
    weights = {key: value for key, value in model.state_dict().items() if key.startswith(("text.", "map_viz2txt"))}
    return PretrainedText(model.config.text, weights, model.tokenizer, model.config.tokenizer)


def assemble(config: MammutConfig, tokenizer: Tokenizer, weights: Mapping[str, Tensor]) -> tuple[Mammut, list[str]]:
    """Return a model with those of `weights` that fit, by name and shape, and the names of those it lacked."""
    model = Mammut(config, tokenizer)
    own = model.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    return model, sorted(own.keys() - fitting.keys())


def resized(model: Mammut, image_size: int) -> Mammut:
    """Return a model for images of another size, its positional embedding resized."""
    if image_size == model.image_size:
        return model
    vision = PretrainedVision(model.config.vision, model.visual.state_dict(), model.mean, model.std)
    found = _of_size(vision, image_size, model.name)
    config = model.config.model_copy(update={"vision": found.config})
    weights = model.state_dict() | {f"visual.{key}": value for key, value in found.weights.items()}
    other = Mammut(config, model.tokenizer, model.name)
    other.load_state_dict(weights)
    return other


def _of_size(found: PretrainedVision, image_size: int, name: str) -> PretrainedVision:
    if found.config.timm is not None and not name.startswith(("timm:", "open_clip:")):
        raise UserError(f"{name}: the image size of a timm tower cannot be changed here; give vision_from = 'timm:…'")
    try:
        config = VisionConfig.model_validate(found.config.model_dump() | {"image_size": image_size})
    except ValidationError as error:
        raise UserError(f"image_size {image_size} does not fit {name}: {_reason(error)}") from error
    if config.timm is not None:
        return found
    key = "positional_embedding"
    positions = resized_positions(found.weights[key], int(config.class_token), config.grid)
    return PretrainedVision(config, dict(found.weights) | {key: positions}, found.mean, found.std)


def _of_timm(name: str, image_size: int | None) -> PretrainedVision:
    import timm  # noqa: PLC0415 (slow to import, for those who ask for it)

    architecture, _, file = name.partition("/")
    try:
        config = VisionConfig.model_validate({"timm": architecture, "image_size": image_size})
    except ValidationError as error:
        raise UserError(f"timm:{name}: {_reason(error)}") from error
    if file and not Path(file).is_file():
        raise UserError(f"timm:{name}: there is no file {file}")
    given = {"file": file} if file else None
    size: dict[str, Any] = {"img_size": config.image_size}
    try:
        trunk: Any = timm.create_model(
            architecture, pretrained=True, pretrained_cfg_overlay=given, num_classes=0, **size
        )
    except (OSError, RuntimeError) as error:
        raise UserError(f"the weights of timm:{name} could not be loaded ({str(error).splitlines()[0]})") from error
    weights = {f"trunk.{key}": value for key, value in trunk.state_dict().items()}
    return PretrainedVision(config, weights, trunk.pretrained_cfg["mean"], trunk.pretrained_cfg["std"])


def _of_open_clip(name: str, image_size: int | None) -> PretrainedVision:
    import open_clip  # noqa: PLC0415 (slow to import, for those who ask for it)
    from open_clip.timm_model import TimmModel  # noqa: PLC0415
    from open_clip.transformer import QuickGELU  # noqa: PLC0415

    from geomammut.model.open_clip_model import read_clip  # noqa: PLC0415

    clip, _, identifier = read_clip(name)
    tower = clip.visual
    own_size, mean, std = tower.image_size[0], tuple(tower.image_mean), tuple(tower.image_std)
    weights: dict[str, Tensor] = tower.state_dict()
    if isinstance(tower, TimmModel):
        named = open_clip.get_model_config(identifier)["vision_cfg"]["timm_model_name"]
        config = VisionConfig.model_validate({"timm": named, "image_size": own_size})
        if image_size not in (None, own_size):
            raise UserError(f"open_clip:{name} takes {own_size} px; for another size give timm:{named}")
        return PretrainedVision(config, weights, mean, std)
    first = tower.transformer.resblocks[0]
    pools: dict[tuple[str, bool], Literal["class", "mean"]] = {
        ("tok", False): "class",
        ("tok", True): "class",
        ("avg_all", True): "mean",
    }
    pool = pools.get((tower.pool_type, tower.final_ln_after_pool))
    if pool is None or tower.attn_pool is not None or not hasattr(first, "attn"):
        raise UserError(f"open_clip:{name} pools its tokens as none of our towers does")
    config = VisionConfig(
        image_size=own_size,
        patch_size=tower.patch_size[0],
        width=tower.conv1.out_channels,
        layers=len(tower.transformer.resblocks),
        heads=first.attn.num_heads,
        mlp_ratio=first.mlp.c_fc.out_features / tower.conv1.out_channels,
        class_token=True,
        pool=pool,
        activation="quick_gelu" if isinstance(first.mlp.gelu, QuickGELU) else "gelu",
    )
    return PretrainedVision(config, weights, mean, std)


def _reason(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")
