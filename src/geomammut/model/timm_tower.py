"""A ViT of timm's as the image tower."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from geomammut.model.config import VisionConfig
from geomammut.model.pooling_head import PoolingHead, Window, mean_head
from geomammut.model.timm_vit import timm_vit
from geomammut.model.vision import ImageTokens


class TimmTower(nn.Module):
    """Images [B, 3, S, S] → tokens [B, L, W] → embeddings [B, E], as VisionTower, by a `VisionTransformer` of timm's.

    The tokens are those after timm's last norm. Its own pooling is kept: a latent query's attention
    (SigLIP), the class token (CLIP, DINO), or the mean over patches.
    """

    trunk: Any  # a VisionTransformer, whose parts timm types as modules

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        assert config.timm is not None
        self.config = config
        self.trunk = timm_vit(config.timm, config.image_size)
        self.proj = nn.Parameter(torch.randn(config.width, embed_dim) * config.width**-0.5)

    @property
    def blocks(self) -> nn.ModuleList:
        return nn.ModuleList(self.trunk.blocks)

    def tokens(self, images: Tensor, kept: Tensor | None = None, boxes: Tensor | None = None) -> ImageTokens:
        """Return the tokens of images [B, 3, S, S]; see `VisionTower.tokens`.

        Raises:
            ValueError: `boxes` are given, and timm's positional embeddings take none.
        """
        if boxes is not None:
            raise ValueError("cropped positional embeddings need a tower of ours, not one of timm's")
        x = self.trunk._pos_embed(self.trunk.patch_embed(images))  # `forward_features` has no way in for `kept`
        if kept is not None:
            first = self.trunk.num_prefix_tokens
            patches = x[:, first:].gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
            x = torch.cat([x[:, :first], patches], dim=1)
        x = self.trunk.norm_pre(x)
        *early, last = self.trunk.blocks
        for block in early:
            x = block(x)
        return ImageTokens(self.trunk.norm(last(x)), x)

    def pool(self, tokens: ImageTokens) -> Tensor:
        """Pool tokens to the image embedding [B, E], not normalized."""
        pooled: Tensor = self.trunk.forward_head(tokens.last, pre_logits=True)
        return pooled @ self.proj.to(pooled.dtype)

    def dense(self, tokens: ImageTokens, window: Window) -> Tensor:
        """Pool tokens in a window around every patch: [B, h, w, E], of length 1; see `VisionTower.dense`."""

        def finish(pooled: Tensor) -> Tensor:
            return pooled @ self.proj.to(pooled.dtype)

        grid = (self.config.grid, self.config.grid)
        return timm_head(self.trunk, tokens.before, tokens.last, grid, finish).everywhere(window)


def timm_head(
    trunk: Any, before: Tensor, last: Tensor, grid: tuple[int, int], project: Callable[[Tensor], Tensor]
) -> PoolingHead:
    """Return how a plain ViT of timm's pools.

    Args:
        trunk: The ViT; see `timm_vit`.
        before: [B, L, W], what its last block was given.
        last: [B, L, W], its tokens after its last norm.
        grid: h and w.
        project: What follows its own head, [..., W] → [..., E].
    """
    pooled = last if trunk.pool_include_prefix else last[:, trunk.num_prefix_tokens :]
    if trunk.attn_pool is not None:
        return _latent_head(trunk, pooled, grid, project)
    if trunk.global_pool == "token":
        return _class_head(trunk, before, grid, project)
    return mean_head(pooled, grid, lambda z: project(trunk.fc_norm(z)))


def _latent_head(trunk: Any, x: Tensor, grid: tuple[int, int], project: Callable[[Tensor], Tensor]) -> PoolingHead:
    head = trunk.attn_pool
    if head.pos_embed is not None:
        x = x + head.pos_embed.to(x.dtype)
    query = head.q(head.latent).reshape(1, 1, head.num_heads, head.head_dim).transpose(1, 2)
    key, values = head.kv(x).unflatten(2, (2, head.num_heads, head.head_dim)).permute(2, 0, 3, 1, 4)
    logits = (head.q_norm(query) @ head.k_norm(key).transpose(-2, -1)).squeeze(2) * head.scale

    def finish(pooled: Tensor) -> Tensor:
        z = head.proj(pooled)
        if head.mlp is not None:
            z = z + head.mlp(head.norm(z))
        return project(trunk.fc_norm(z))

    return PoolingHead(logits, values, grid, finish)


def _class_head(trunk: Any, x: Tensor, grid: tuple[int, int], project: Callable[[Tensor], Tensor]) -> PoolingHead:
    last = trunk.blocks[-1]
    attn = last.attn
    query, key, values = attn.qkv(last.norm1(x)).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    logits = (attn.q_norm(query[:, :, :1]) @ attn.k_norm(key).transpose(-2, -1)).squeeze(2) * attn.scale

    def finish(pooled: Tensor) -> Tensor:
        z = x[:, None, None, 0] + last.ls1(attn.proj(attn.norm(pooled)))
        z = trunk.norm(z + last.ls2(last.mlp(last.norm2(z))))
        return project(trunk.fc_norm(z))

    return PoolingHead(logits, values, grid, finish)
