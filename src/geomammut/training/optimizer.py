"""Which parameters move, how fast, and when."""

import math
import re
from collections import defaultdict

import torch
from torch import nn

from geomammut.model.mammut import Mammut
from geomammut.training.recipe import LossPart, OptimizerPart

# What one loss alone moves; without that loss it is frozen, so that weight decay does not wear it away.
_OF_CAPTIONS = re.compile(r"map_viz2txt_kv|text\.cross_attn\.|text\.text_projection")
_OF_CONTRAST = re.compile(r"visual\.(attn_pool|ln_post|proj|trunk\.(attn_pool|fc_norm))|log_logit_scale|logit_bias")
_BLOCK = re.compile(r"(visual|text)\.(?:transformer\.resblocks|trunk\.blocks|resblocks)\.(\d+)\.")


def freeze(model: Mammut, part: OptimizerPart, loss: LossPart) -> None:
    """Let only those parameters learn that the recipe trains and its losses move."""
    for name, parameter in model.named_parameters():
        frozen = (
            ("vision" in part.freeze and name.startswith("visual."))
            or ("text" in part.freeze and name.startswith("text."))
            or (not loss.caption_weight and _OF_CAPTIONS.match(name))
            or (not loss.contrastive_weight and _OF_CONTRAST.match(name))
            or (name == "logit_bias" and loss.contrastive == "infonce")
        )
        parameter.requires_grad_(not frozen)


def new_optimizer(model: Mammut, part: OptimizerPart) -> torch.optim.AdamW:
    """Return AdamW over the parameters of a model that learn.

    Vectors and scalars do not decay. With `layer_decay` below 1, a block k blocks below the top of its tower
    learns at lr · layer_decay^k, and what lies below all blocks slower still (BEiT, Bao et al. 2022, §3.1).
    """
    groups: defaultdict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = part.weight_decay if parameter.ndim >= 2 else 0.0
            groups[decay, part.layer_decay ** _depth_from_top(name, model)].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "lr_scale": scale, "lr": part.lr * scale}
            for (decay, scale), parameters in groups.items()
        ],
        betas=(0.9, part.beta2),
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let each group learn at `rate` times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def learning_rate(part: OptimizerPart, step: int, steps: int) -> float:
    """Return the rate of `step` of a stage of `steps`: a linear warm-up, then down by the recipe's `schedule`."""
    warmup = part.warmup * steps
    if step < warmup:
        return part.lr * (step + 1) / (warmup + 1)
    share = (step - warmup) / max(1.0, steps - warmup)
    match part.schedule:
        case "cosine":
            height = (1 + math.cos(math.pi * share)) / 2
        case "linear":
            height = 1 - share
        case "cooldown":
            left = (steps - step) / max(1.0, part.cooldown * steps)
            height = min(1.0, left)
    return part.lr * (part.final_lr + (1 - part.final_lr) * height)


def _depth_from_top(name: str, model: Mammut) -> int:
    towers = {"visual": model.config.vision.layers, "text": model.config.text.layers}
    block = _BLOCK.match(name)
    if block is not None:
        return towers[block[1]] - 1 - int(block[2])
    below = {
        "visual": (
            *(f"visual.{part}" for part in ("conv1", "stem", "class_", "positional", "ln_pre")),
            *(f"visual.trunk.{part}" for part in ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre")),
        ),
        "text": ("text.token_embedding", "text.positional"),
    }
    return next((towers[tower] for tower, names in below.items() if name.startswith(names)), 0)
