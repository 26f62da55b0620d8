"""LAION's openMaMMUT checkpoints in our model (DESIGN §5, openMaMMUT compatibility).

Parameter names agree with ours but for the logit scale, which theirs stores as `logit_scale`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from geomammut.errors import UserError
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import ClipTokenizer

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


def read_openmammut(folder: Path, name: str) -> Mammut:
    """Read a folder with `open_clip_config.json` and `open_clip_model.safetensors`.

    Raises:
        UserError: The configuration is no openMaMMUT's, or its weights do not fit it.
    """
    weights = {key.removeprefix("module."): value for key, value in load_file(folder / WEIGHTS).items()}
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = _config(stored, weights)
    except (KeyError, ValueError) as error:
        raise UserError(f"{folder / CONFIG} is no openMaMMUT configuration: {error}") from error
    model = Mammut(config, ClipTokenizer(config.text.context_length), name)
    weights["log_logit_scale"] = weights.pop("logit_scale").reshape(())
    weights["logit_bias"] = torch.tensor(0.0)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS} does not fit {CONFIG}: {str(error).splitlines()[1].strip()}") from error
    return model.eval()


def _config(stored: dict[str, Any], weights: dict[str, Tensor]) -> MammutConfig:
    model = stored["model_cfg"]
    vision, text = model["vision_cfg"], model["text_cfg"]
    if vision.get("pool_type") != "avg_all" or not vision.get("final_ln_after_pool"):
        raise ValueError("vision_cfg must have pool_type avg_all and final_ln_after_pool")
    preprocess = stored.get("preprocess_cfg", {})
    rows = weights["text.token_embedding.weight"].shape[0]
    return MammutConfig(
        vision=VisionConfig(
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            width=vision["width"],
            layers=vision["layers"],
            heads=vision["width"] // vision.get("head_width", 64),
            mlp_ratio=vision.get("mlp_ratio", 4.0),
            class_token=True,
        ),
        text=TextConfig(
            context_length=text.get("context_length", 77),
            vocab_size=text["vocab_size"],
            embedding_rows=rows if rows != text["vocab_size"] else None,
            width=text["width"],
            layers=text["layers"],
            heads=text["heads"],
            mlp_ratio=text.get("mlp_ratio", 4.0),
            cross_attention_every=text.get("cross_attn_ratio", 1),
            mlp_before_cross=text.get("has_mlp", True),
            average_padding=True,
        ),
        tokenizer="clip",
        **{key: tuple(preprocess[key]) for key in ("mean", "std") if key in preprocess},
    )
