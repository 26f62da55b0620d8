"""Plain ViTs of timm's, and what they are in the words of our configuration."""

from typing import Any

import timm
import torch
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import Block, VisionTransformer

_POOLS = {"map": "attention", "token": "class", "avg": "mean"}


def timm_fields(name: str, image_size: int | None) -> dict[str, Any]:
    """Return the fields of VisionConfig that describe timm's ViT `name`, at its own image size if None is given.

    Raises:
        ValueError: timm has no such model, or it is no plain ViT.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name}*")[:3]
        raise ValueError(f"timm has no model {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    with torch.device("meta"):
        trunk = timm_vit(name, image_size)
    block, patches = trunk.blocks[0], trunk.patch_embed
    return {
        "image_size": patches.img_size[0],
        "patch_size": patches.patch_size[0],
        "width": trunk.embed_dim,
        "layers": len(trunk.blocks),
        "heads": block.attn.num_heads,
        "mlp_ratio": block.mlp.fc1.out_features / trunk.embed_dim,
        "class_token": trunk.cls_token is not None,
        "pool": _POOLS[trunk.global_pool],
        "stem": "patch",
    }


def timm_vit(name: str, image_size: int | None) -> Any:
    """Return timm's ViT `name` with fresh weights and no classifier, for images of `image_size` (its own if None).

    Raises:
        ValueError: It is no plain ViT.
    """
    sized: dict[str, Any] = {} if image_size is None else {"img_size": image_size}
    trunk: Any = timm.create_model(name, pretrained=False, num_classes=0, **sized)
    if not is_plain_vit(trunk):
        raise ValueError(f"timm's {name!r} is no plain ViT with class-token, mean or attention pooling")
    return trunk


def is_plain_vit(trunk: Any) -> bool:
    """Whether a model of timm's is a plain ViT with class-token, mean or attention pooling."""
    if not isinstance(trunk, VisionTransformer) or trunk.global_pool not in _POOLS:
        return False
    pool: Any = trunk.attn_pool
    if pool is not None and not (isinstance(pool, AttentionPoolLatent) and pool.latent_len == 1):
        return False
    return all(isinstance(block, Block) and isinstance(block.attn, Attention) for block in trunk.blocks)
