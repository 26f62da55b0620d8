"""The image tower: a ViT whose pooling can be asked anywhere on the patch grid (DESIGN §5)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geomammut.model.config import VisionConfig
from geomammut.model.layers import MLP, Attention, SelfBlock, initialize
from geomammut.model.smooth_attention import smooth_attention


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
            SelfBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


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

    def tokens(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the last block's tokens [B, L, W]: the class token, if any, then the patches row by row.

        Of patches, those numbered by `kept` [B, k] alone, if given (patch dropout: FLIP, Li et al. 2023,
        arXiv 2212.00794).
        """
        features = self.stem(images) if self.config.stem == "conv" else self.conv1(images)
        first = int(self.config.class_token)
        positions = self.positional_embedding.to(features.dtype)
        x = features.flatten(2).transpose(1, 2) + positions[first:]
        if kept is not None:
            x = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        if first:
            class_token = (self.class_embedding.to(x.dtype) + positions[0]).expand(len(x), 1, -1)
            x = torch.cat([class_token, x], dim=1)
        tokens: Tensor = self.transformer(self.ln_pre(x))
        return tokens

    def pool(self, tokens: Tensor) -> Tensor:
        """Pool tokens [B, L, W] to the image embedding [B, E], not normalized."""
        if self.config.pool == "attention":
            logits, values = self.attn_pool.logits_and_values(tokens)
            pooled = (logits.softmax(dim=-1).unsqueeze(2) @ values).squeeze(2).flatten(1)
            return self._project(self.attn_pool.finish(pooled))
        return self._project(tokens.mean(dim=1))

    def dense(self, tokens: Tensor, window: int) -> Tensor:
        """Pool tokens [B, L, W] in a window around every patch: [B, h, w, E], of length 1.

        Smooth-Attention-Operation (DESIGN §5, our reading): `window` is the radius in patches; 0 is each
        patch by itself, and a radius of the grid's size or more is the image embedding everywhere.
        """
        grid = self.config.grid
        if self.config.pool == "attention":
            logits, values = self.attn_pool.logits_and_values(tokens)
        else:
            values = tokens.unsqueeze(1)
            logits = values.new_zeros(values.shape[:3])
        first = int(self.config.class_token)
        class_logit = logits[:, :, 0] if first else None
        class_value = values[:, :, 0] if first else None
        pooled = smooth_attention(
            logits[:, :, first:].reshape(*logits.shape[:2], grid, grid),
            values[:, :, first:].reshape(*logits.shape[:2], grid, grid, -1),
            window,
            class_logit,
            class_value,
        )
        merged = pooled.movedim(1, 3).flatten(3)
        if self.config.pool == "attention":
            merged = self.attn_pool.finish(merged)
        return F.normalize(self._project(merged), dim=-1)

    def _project(self, pooled: Tensor) -> Tensor:
        normed: Tensor = self.ln_post(pooled)
        return normed @ self.proj.to(normed.dtype)


def sine_positions(grid: int, width: int) -> Tensor:
    """Return two-dimensional sine positions [grid², width], of about unit size, as a start for learning."""
    quarter = (width + 3) // 4
    frequencies = 100.0 ** (-torch.arange(quarter) / quarter)
    steps = torch.arange(grid).unsqueeze(1) * frequencies
    waves = torch.cat([steps.sin(), steps.cos()], dim=1)
    rows = waves.unsqueeze(1).expand(grid, grid, -1)
    columns = waves.unsqueeze(0).expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)[:, :width]
