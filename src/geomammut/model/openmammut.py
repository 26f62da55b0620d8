"""LAION's openMaMMUT checkpoints in our model (DESIGN §5, openMaMMUT compatibility).

Parameter names agree with ours but for the logit scale, which theirs stores as `logit_scale`.
"""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file, write_json
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import ClipTokenizer

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
TRAINING_WEIGHTS = ("open_clip_pytorch_model.bin", "open_clip_model.pt")  # as training left them, or older uploads


def is_openmammut(folder: Path) -> bool:
    """Whether a folder has a configuration and weights under openMaMMUT's names."""
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in (WEIGHTS, *TRAINING_WEIGHTS))


def read_openmammut(folder: Path, name: str) -> Mammut:
    """Read a folder with `open_clip_config.json` and `open_clip_model.safetensors`, or one of TRAINING_WEIGHTS.

    Raises:
        UserError: The configuration is no openMaMMUT's, or its weights do not fit it or are more than weights.
    """
    weights = _read_weights(folder)
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


def write_openmammut(model: Mammut, folder: Path) -> None:
    """Write a model so that open_clip_mammut reads it: a folder as `read_openmammut` takes it.

    Raises:
        UserError: The model has a part that openMaMMUT has not.
    """
    vision, text = model.config.vision, model.config.text
    foreign = [
        told
        for told, ours in (
            ("a timm tower", vision.timm is not None),
            ("a conv stem", vision.stem == "conv"),
            ("no class token", not vision.class_token),
            (f"{vision.pool} pooling", vision.pool != "mean"),
            ("quick_gelu", vision.activation != "gelu"),
            ("masked pads", not text.average_padding),
            ("a causal text embedding", text.causal_embedding),
            (
                f"cross-attention every {text.cross_attention_every} of {text.layers} layers",
                range(0, text.layers, _cross_step(text.layers, text.cross_attention_every))
                != range(0, text.layers, text.cross_attention_every),
            ),
            ("another tokenizer than CLIP's", model.config.tokenizer != ClipTokenizer.name),
        )
        if ours
    ]
    if foreign:
        raise UserError(f"{model.name} is no openMaMMUT: it has {', '.join(foreign)}")
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    del weights["logit_bias"]
    weights["logit_scale"] = weights.pop("log_logit_scale")
    written = {
        "model_cfg": {
            "embed_dim": model.embed_dim,
            "vision_cfg": {
                "image_size": vision.image_size,
                "layers": vision.layers,
                "width": vision.width,
                "head_width": vision.width // vision.heads,
                "mlp_ratio": vision.mlp_ratio,
                "patch_size": vision.patch_size,
                "output_tokens": True,
                "pool_type": "avg_all",
                "final_ln_after_pool": True,
            },
            "text_cfg": {
                "context_length": text.context_length,
                "vocab_size": text.vocab_size,
                "width": text.width,
                "heads": text.heads,
                "layers": text.layers,
                "mlp_ratio": text.mlp_ratio,
                "output_tokens": True,
                "cross_attn_ratio": text.cross_attention_every,
                "does_full_decoding": True,
                "has_mlp": text.mlp_before_cross,
            },
            "custom_text": True,
        },
        "preprocess_cfg": {"mean": list(model.mean), "std": list(model.std)},
    }
    write_json(folder / CONFIG, written)
    with whole_file(folder / WEIGHTS) as partial:
        save_file(weights, partial, metadata={"format": "pt"})


def _cross_step(layers: int, ratio: int) -> int:
    """Return M: openMaMMUT has layers // ratio cross-attention blocks, as evenly spread as whole steps allow."""
    return layers // max(1, layers // ratio)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = next(folder / name for name in (WEIGHTS, *TRAINING_WEIGHTS) if (folder / name).is_file())
    try:
        if path.name == WEIGHTS:
            stored: Any = load_file(path)
        else:  # tensors and plain containers alone: nothing in the file can run
            stored = torch.load(path, map_location="cpu", weights_only=True)
            stored = stored.get("state_dict", stored)
        return {str(key).removeprefix("module."): value for key, value in stored.items()}
    except (OSError, RuntimeError, AttributeError, UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path} cannot be read as weights ({reason})") from error


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
            cross_attention_every=_cross_step(text["layers"], text.get("cross_attn_ratio", 1)),
            mlp_before_cross=text.get("has_mlp", True),
            average_padding=True,
        ),
        tokenizer="clip",
        **{key: tuple(preprocess[key]) for key in ("mean", "std") if key in preprocess},
    )
