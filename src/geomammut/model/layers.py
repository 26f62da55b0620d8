"""The blocks of both towers. Parameter names follow CLIP's, so that weights of that layout load."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Return softmax(query · keyᵀ / √d + bias) · value for [B, H, L, d] tensors.

    On the CPU the plain product beats PyTorch's flash kernel at the short sequences of small models.
    """
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if bias is not None:
        logits = logits + bias
    return torch.matmul(logits.softmax(dim=-1), value)


class Attention(nn.Module):
    """Multi-head attention of `x` to itself, or to `memory`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, L, W] → [B, H, L, W / H]."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:
        """[B, H, L, W / H] → [B, L, W]."""
        merged: Tensor = x.transpose(1, 2).flatten(-2)
        return merged

    def queries_keys_values(self, x: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return [B, H, L, d] queries of `x` and keys and values of `memory` (of `x` itself if None)."""
        if memory is not None:
            return self.queries(x), *self.keys_values(memory)
        query, key, value = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self.split_heads(query), self.split_heads(key), self.split_heads(value)

    def queries(self, x: Tensor) -> Tensor:
        """Return the queries [B, H, L, d] of `x`."""
        width = x.shape[-1]
        return self.split_heads(F.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width]))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values [B, H, K, d] of `memory`."""
        width = memory.shape[-1]
        key, value = F.linear(memory, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=-1)
        return self.split_heads(key), self.split_heads(value)

    def forward(self, x: Tensor, memory: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Return [B, L, W]; `bias` is added to the logits and broadcasts to [B, H, L, K]."""
        query, key, value = self.queries_keys_values(x, memory)
        mixed: Tensor = self.out_proj(self.merge_heads(attention(query, key, value, bias)))
        return mixed

    def weights(self, x: Tensor, memory: Tensor) -> Tensor:
        """Return the attention weights [B, H, L, K] of `x` to `memory`."""
        query, key, _ = self.queries_keys_values(x, memory)
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)


class QuickGELU(nn.Module):
    """x · σ(1.702 x), the approximation that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class MLP(nn.Module):
    """Two linear maps with an exact GELU, or OpenAI's, between."""

    def __init__(self, width: int, ratio: float, activation: str = "gelu") -> None:
        super().__init__()
        self.activation = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        self.c_fc = nn.Linear(width, int(width * ratio))
        self.c_proj = nn.Linear(int(width * ratio), width)

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.c_proj(self.activation(self.c_fc(x)))
        return mapped


class SelfBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)) unless `mlp_ratio` is 0."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, activation: str = "gelu") -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        if mlp_ratio:
            self.ln_2 = nn.LayerNorm(width)
            self.mlp = MLP(width, mlp_ratio, activation)
        self.has_mlp = bool(mlp_ratio)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.finish(x + self.attn(self.ln_1(x), bias=bias))

    def finish(self, x: Tensor) -> Tensor:
        """Take what follows the attention."""
        return x + self.mlp(self.ln_2(x)) if self.has_mlp else x


class CrossBlock(nn.Module):
    """x + attention(norm(x) to norm(memory)), then x + MLP(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.ln_1_kv = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.finish(x + self.attn(self.ln_1(x), self.ln_1_kv(memory)))

    def finish(self, x: Tensor) -> Tensor:
        """Take what follows the attention."""
        mixed: Tensor = x + self.mlp(self.ln_2(x))
        return mixed

    def weights(self, x: Tensor, memory: Tensor) -> Tensor:
        """Return the attention weights [B, H, L, K]."""
        return self.attn.weights(self.ln_1(x), self.ln_1_kv(memory))


def initialize(module: nn.Module, layers: int) -> None:
    """Draw the weights of `module` as GPT-2 does: normal, of deviation 0.02, residual outputs scaled down by depth."""
    for name, child in module.named_modules():
        if isinstance(child, Attention):
            nn.init.normal_(child.in_proj_weight, std=0.02)
        elif isinstance(child, nn.Linear):
            scale = 1 / math.sqrt(2 * layers) if name.endswith(("out_proj", "c_proj")) else 1.0
            nn.init.normal_(child.weight, std=scale * 0.02)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
