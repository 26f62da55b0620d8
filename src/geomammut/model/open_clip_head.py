"""How the image towers of open_clip pool their tokens (DESIGN §5)."""

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor

from geomammut.model.pooling_head import PoolingHead, mean_head, pooling_logits, split_heads
from geomammut.model.timm_tower import timm_head
from geomammut.model.timm_vit import is_plain_vit


def open_clip_head(tower: Any, images: Tensor) -> PoolingHead:
    """Run a tower of open_clip's on images [B, 3, S, S], up to its pooling.

    Raises:
        ValueError: It is none of these: a CLIP ViT with a class token, a mean or an attention pool; a plain ViT
            of timm's; a convolutional trunk of timm's that takes a mean; CLIP's ResNet.
    """
    if isinstance(tower, VisionTransformer) and getattr(tower, "attn_pool_contrastive", None) is None:
        return _vit_head(tower, images)
    if isinstance(tower, ModifiedResNet):
        return _resnet_head(tower, images)
    if isinstance(tower, TimmModel) and not hasattr(tower.head, "pool"):
        if is_plain_vit(tower.trunk):
            return _timm_vit_head(tower, images)
        features = tower.trunk.forward_features(images)
        pool = getattr(getattr(tower.trunk, "head", None), "global_pool", None)
        if features.ndim == 4 and getattr(pool, "pool_type", None) == "avg":
            return _convolutional_head(tower, features)
    raise ValueError("its image tower is of a kind whose pooling is not known here")


def _vit_head(tower: Any, images: Tensor) -> PoolingHead:
    x = tower._embeds(images)
    *early, last = tower.transformer.resblocks
    for block in early:
        x = block(x)
    if tower.attn_pool is not None:
        if tower.pool_type != "tok":
            raise ValueError("its attention pool has many queries")
        return _pooler_head(tower, last(x))
    if tower.pool_type == "tok":
        return _class_head(tower, last, x)
    if tower.pool_type != "avg":
        raise ValueError("its image tower does not pool")
    patches = last(x)[:, 1:]
    if tower.final_ln_after_pool:
        return mean_head(patches, tower.grid_size, lambda z: tower.ln_post(z) @ tower.proj)
    return mean_head(tower.ln_post(patches), tower.grid_size, lambda z: z @ tower.proj)


def _class_head(tower: Any, last: Any, x: Tensor) -> PoolingHead:
    if not isinstance(last, ResidualAttentionBlock):
        raise ValueError("its last block is no plain one")
    projected = F.linear(last.ln_1(x), last.attn.in_proj_weight, last.attn.in_proj_bias)
    query, key, values = (split_heads(part, last.attn.num_heads) for part in projected.chunk(3, dim=-1))

    def finish(pooled: Tensor) -> Tensor:
        z = x[:, None, None, 0] + last.ls_1(last.attn.out_proj(pooled))
        z = tower.ln_post(z + last.ls_2(last.mlp(last.ln_2(z))))
        embeddings: Tensor = z if tower.proj is None else z @ tower.proj
        return embeddings

    return PoolingHead(pooling_logits(query[:, :, :1], key), values, tower.grid_size, finish)


def _pooler_head(tower: Any, x: Tensor) -> PoolingHead:
    """CoCa's: the first learned query's answer is the image's embedding."""
    pooler = tower.attn_pool
    attn = pooler.attn
    if attn.in_proj_weight is None:
        weights = attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight
    else:
        weights = attn.in_proj_weight.chunk(3)
    normed, query = pooler.ln_k(x), pooler.ln_q(pooler.query)[None, :1]
    query, key, values = (
        split_heads(F.linear(part, weight, bias), attn.num_heads)
        for part, weight, bias in zip((query, normed, normed), weights, attn.in_proj_bias.chunk(3), strict=True)
    )

    def finish(pooled: Tensor) -> Tensor:
        z: Tensor = tower.ln_post(attn.out_proj(pooled))
        return z if tower.proj is None else z @ tower.proj

    return PoolingHead(pooling_logits(query, key), values, tower.grid_size, finish)


def _resnet_head(tower: Any, images: Tensor) -> PoolingHead:
    """CLIP's ResNet: the mean of the patches asks, and is one of those asked."""
    features = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(images)))))
    pool = tower.attnpool
    patches = features.flatten(2).transpose(1, 2)
    x = torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1) + pool.positional_embedding.to(features.dtype)
    query, key, values = (
        split_heads(part, pool.num_heads) for part in (pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x))
    )
    return PoolingHead(pooling_logits(query, key), values, (features.shape[2], features.shape[3]), pool.c_proj)


def _timm_vit_head(tower: Any, images: Tensor) -> PoolingHead:
    trunk = tower.trunk
    x = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(images)))
    *early, last = trunk.blocks
    for block in early:
        x = block(x)
    grid = trunk.patch_embed.dynamic_feat_size(images.shape[2:])
    return timm_head(trunk, x, trunk.norm(last(x)), grid, lambda z: tower.head(trunk.head(z)))


def _convolutional_head(tower: Any, features: Tensor) -> PoolingHead:
    def finish(pooled: Tensor) -> Tensor:
        one_by_one = pooled.reshape(-1, pooled.shape[-1], 1, 1)  # the mean over it is itself
        embeddings: Tensor = tower.head(tower.trunk.forward_head(one_by_one))
        return embeddings.reshape(*pooled.shape[:-1], -1)

    return mean_head(features.flatten(2).transpose(1, 2), (features.shape[2], features.shape[3]), finish)
