"""The image tower: a ViT whose pooling can be asked anywhere on the patch grid (DESIGN §5)."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geomammut.model.config import VisionConfig
from geomammut.model.layers import MLP, Attention, SelfBlock, initialize
from geomammut.model.pooling_head import PoolingHead, Window, mean_head, pooling_logits


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2 down to the patch grid, then a 1x1 one to the tower's width."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        channels = [3, *(max(24, width >> (halvings - step)) for step in range(halvings))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, after),
                nn.GELU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], width, 1))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


class AttentionPool(nn.Module):
    """A learned query attends to the tokens; the answer passes an MLP (SigLIP's MAP head)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attn = Attention(width, heads)
        self.ln = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio)

    def logits_and_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the query's logits [B, H, L] and the values [B, H, L, d] of tokens [B, L, W]."""
        query, key, value = self.attn.queries_keys_values(self.query.expand(len(tokens), -1, -1), tokens)
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        return logits.squeeze(2), value

    def finish(self, pooled: Tensor) -> Tensor:
        """Map pooled values [..., W] through the rest of the head."""
        x: Tensor = self.attn.out_proj(pooled)
        finished: Tensor = x + self.mlp(self.ln(x))
        return finished


class Transformer(nn.Module):
    """A stack of self-attention blocks (a module of its own for CLIP's parameter names)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            SelfBlock(config.width, config.heads, config.mlp_ratio, config.activation) for _ in range(config.layers)
        )


class ImageTokens(NamedTuple):
    """What a tower makes of images: the class token, if any, then the patches row by row.

    Attributes:
        last: [B, L, W], the last block's.
        before: [B, L, W], what the last block was given.
    """

    last: Tensor
    before: Tensor


class VisionTower(nn.Module):
    """Images [B, 3, S, S] → tokens [B, L, W] → embeddings [B, E]."""

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        width, grid = config.width, config.grid
        if config.stem == "conv":
            self.stem: nn.Module = ConvStem(config.patch_size, width)
        else:
            self.conv1 = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size, bias=False)
        if config.class_token:
            self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        positions = sine_positions(grid, width)
        if config.class_token:
            positions = torch.cat([torch.zeros(1, width), positions])
        self.positional_embedding = nn.Parameter(positions * width**-0.5)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(config)
        if config.pool == "attention":
            self.attn_pool = AttentionPool(width, config.heads, config.mlp_ratio)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)
        initialize(self, config.layers)

    @property
    def blocks(self) -> nn.ModuleList:
        return self.transformer.resblocks

    def tokens(self, images: Tensor, kept: Tensor | None = None, boxes: Tensor | None = None) -> ImageTokens:
        """Return the tokens of images [B, 3, S, S].

        Args:
            images: Preprocessed.
            kept: [B, k] numbers of the patches to look at; all if None (patch dropout: FLIP, Li et al. 2023,
                arXiv 2212.00794).
            boxes: [B, 4], left, top, right, bottom in 0..1 of the positional embedding, stretched over
                the image; whole if None (cropped positional embeddings: MaMMUT §3.2, RO-ViT).
        """
        features = self.stem(images) if self.config.stem == "conv" else self.conv1(images)
        first = int(self.config.class_token)
        positions = self.positional_embedding.to(features.dtype)
        of_patches = positions[first:] if boxes is None else cropped_positions(positions[first:], boxes)
        x = features.flatten(2).transpose(1, 2) + of_patches
        if kept is not None:
            x = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        if first:
            class_token = (self.class_embedding.to(x.dtype) + positions[0]).expand(len(x), 1, -1)
            x = torch.cat([class_token, x], dim=1)
        x = self.ln_pre(x)
        *early, last = self.blocks
        for block in early:
            x = block(x)
        return ImageTokens(last(x), x)

    def pool(self, tokens: ImageTokens) -> Tensor:
        """Pool tokens to the image embedding [B, E], not normalized."""
        match self.config.pool:
            case "attention":
                logits, values = self.attn_pool.logits_and_values(tokens.last)
                pooled = (logits.softmax(dim=-1).unsqueeze(2) @ values).squeeze(2).flatten(1)
                return self._project(self.attn_pool.finish(pooled))
            case "class":
                return self._project(tokens.last[:, 0])
            case "mean":
                return self._project(tokens.last.mean(dim=1))

    def dense(self, tokens: ImageTokens, window: Window) -> Tensor:
        """Pool tokens in a window around every patch: [B, h, w, E], of length 1.

        Smooth-Attention-Operation (DESIGN §5, our reading): `window` is the radius in patches, or several whose
        embeddings are averaged; 0 is each patch by itself, and a radius of the grid's size or more is the image
        embedding everywhere.
        """
        return self._head(tokens).everywhere(window)

    def _head(self, tokens: ImageTokens) -> PoolingHead:
        grid = (self.config.grid, self.config.grid)
        match self.config.pool:
            case "attention":
                logits, values = self.attn_pool.logits_and_values(tokens.last)
                return PoolingHead(logits, values, grid, lambda z: self._project(self.attn_pool.finish(z)))
            case "class":
                last, before = self.blocks[-1], tokens.before
                assert isinstance(last, SelfBlock)
                query, key, values = last.attn.queries_keys_values(last.ln_1(before), None)
                logits = pooling_logits(query[:, :, :1], key)
                attn, block = last.attn, last
                return PoolingHead(
                    logits,
                    values,
                    grid,
                    lambda z: self._project(block.finish(before[:, None, None, 0] + attn.out_proj(z))),
                )
            case "mean":
                return mean_head(tokens.last, grid, self._project)

    def _project(self, pooled: Tensor) -> Tensor:
        normed: Tensor = self.ln_post(pooled)
        return normed @ self.proj.to(normed.dtype)


def cropped_positions(positions: Tensor, boxes: Tensor) -> Tensor:
    """Stretch a box of the positional embedding [h · w, W] over all patches: [B, h · w, W].

    Args:
        positions: Of a square grid, row by row.
        boxes: [B, 4], left, top, right, bottom in 0..1.
    """
    grid = math.isqrt(len(positions))
    places = (torch.arange(grid, device=positions.device, dtype=boxes.dtype) + 0.5) / grid
    x = boxes[:, None, 0:1] + (boxes[:, None, 2:3] - boxes[:, None, 0:1]) * places[:, None]
    y = boxes[:, None, 1:2] + (boxes[:, None, 3:4] - boxes[:, None, 1:2]) * places[:, None]
    where = torch.stack([x.transpose(1, 2).expand(-1, grid, -1), y.expand(-1, -1, grid)], dim=-1)
    image = positions.T.reshape(1, -1, grid, grid).expand(len(boxes), -1, -1, -1)
    sampled = F.grid_sample(image, (2 * where - 1).to(image.dtype), padding_mode="border", align_corners=False)
    return sampled.flatten(2).transpose(1, 2)


def resized_positions(positions: Tensor, first: int, grid: int) -> Tensor:
    """Resize a positional embedding [first + g², W] to [first + grid², W], as for images of another size."""
    square = positions[first:].T.reshape(1, -1, *[math.isqrt(len(positions) - first)] * 2)
    resized = F.interpolate(square, (grid, grid), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:first], resized.flatten(2).squeeze(0).T])


def sine_positions(grid: int, width: int) -> Tensor:
    """Return two-dimensional sine positions [grid², width], of about unit size, as a start for learning."""
    quarter = (width + 3) // 4
    frequencies = 100.0 ** (-torch.arange(quarter) / quarter)
    steps = torch.arange(grid).unsqueeze(1) * frequencies
    waves = torch.cat([steps.sin(), steps.cos()], dim=1)
    rows = waves.unsqueeze(1).expand(grid, grid, -1)
    columns = waves.unsqueeze(0).expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)[:, :width]
