"""The text decoder in two passes: bidirectional for contrast, causal with cross-attention for captions."""

import torch
from torch import Tensor, nn

from geomammut.model.config import TextConfig
from geomammut.model.layers import CrossBlock, SelfBlock, initialize

MASKED = -1e4  # large enough to vanish in a softmax, small enough for half precision


class TextDecoder(nn.Module):
    """N self-attention blocks, a cross-attention block after every M-th; both passes share all weights."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        width, heads, ratio = config.width, config.heads, config.mlp_ratio
        self.token_embedding = nn.Embedding(config.embedding_rows or config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.randn(config.context_length, width) * 0.1)
        crossed = [config.crosses_after(layer) for layer in range(config.layers)]
        self.resblocks = nn.ModuleList(
            SelfBlock(width, heads, 0.0 if crosses and not config.mlp_before_cross else ratio) for crosses in crossed
        )
        self.cross_attn = nn.ModuleList(CrossBlock(width, heads, ratio) for crosses in crossed if crosses)
        self.ln_final = nn.LayerNorm(width)
        # The language-model head; the name is openMaMMUT's.
        self.text_projection = nn.Parameter(torch.randn(width, config.vocab_size) * width**-0.5)
        initialize(self, config.layers)
        nn.init.normal_(self.token_embedding.weight, std=0.5)

    def valid(self, tokens: Tensor) -> Tensor:
        """Return True for the positions of [B, L] up to and including the first end token."""
        ends = tokens == self.config.end_token
        return (ends.cumsum(dim=1) - ends.long()) == 0

    def embed(self, tokens: Tensor) -> Tensor:
        """Contrastive pass: token ids [B, L] → text embeddings [B, W], not normalized."""
        keep = self.valid(tokens)
        bias = None
        if not self.config.average_padding:
            longest = int(keep.sum(dim=1).max())  # columns of pads alone change nothing
            tokens, keep = tokens[:, :longest], keep[:, :longest]
            bias = torch.where(keep, 0.0, MASKED)[:, None, None, :]
        x = self._embed_tokens(tokens)
        if bias is not None:
            bias = bias.to(x.dtype)
        if self.config.causal_embedding:
            bias = causal_bias(tokens.shape[1], x) + (0.0 if bias is None else bias)
        for block in self.resblocks:
            x = block(x, bias)
        x = self.ln_final(x)
        if self.config.average_padding:
            return torch.mean(x, dim=1)
        weights = keep.to(x.dtype)
        return torch.sum(x * weights.unsqueeze(-1), dim=1) / weights.sum(dim=1, keepdim=True)

    def decode(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Caption pass: ids [B, L] and image tokens [B, K, W] → states [B, L, W] before the head."""
        x = self._embed_tokens(tokens)
        bias = causal_bias(tokens.shape[1], x)
        crosses = iter(self.cross_attn)
        for layer, block in enumerate(self.resblocks):
            x = block(x, bias)
            if self.config.crosses_after(layer):
                x = next(crosses)(x, memory)
        states: Tensor = self.ln_final(x)
        return states

    def last_cross_attention(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Read C texts before B images: ids [C, L], image tokens [B, K, W] → weights [B, C, L, K].

        The last cross-attention block's weights in the caption pass, averaged over heads. Self-attention
        runs on texts, cross-attention on all texts of an image at once, so that its keys are made once.
        """
        images, (texts, length) = len(memory), tokens.shape
        x = self._embed_tokens(tokens).repeat(images, 1, 1)
        bias = causal_bias(length, x)
        weights = memory.new_zeros(())
        crosses = iter(self.cross_attn)
        for layer, block in enumerate(self.resblocks):
            x = block(x, bias)
            if self.config.crosses_after(layer):
                cross = next(crosses)
                assert isinstance(cross, CrossBlock)
                together = x.reshape(images, texts * length, -1)
                weights = cross.weights(together, memory).mean(dim=1)
                x = cross(together, memory).reshape(x.shape)
        return weights.reshape(images, texts, length, -1)

    def logits(self, states: Tensor) -> Tensor:
        """Map states [..., W] to vocabulary logits [..., V]."""
        return states @ self.text_projection.to(states.dtype)

    def _embed_tokens(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.token_embedding(tokens)
        return x + self.positional_embedding[: tokens.shape[1]]


def causal_bias(length: int, like: Tensor) -> Tensor:
    """Return the additive mask [L, L] that hides later positions."""
    return torch.full((length, length), MASKED, dtype=like.dtype, device=like.device).triu(1)
