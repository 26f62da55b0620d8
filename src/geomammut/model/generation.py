"""Captions from images: the decoder one token at a time, what it has read kept as keys and values."""

import torch
from torch import Tensor

from geomammut.model.layers import CrossBlock, SelfBlock, attention
from geomammut.model.text import TextDecoder


class DecoderCache:
    """Keys and values of what N texts have read so far, and of their images.

    Args:
        decoder: The decoder that reads.
        memory: [N, K, W], what it attends to; see `Mammut.image_memory`.
    """

    def __init__(self, decoder: TextDecoder, memory: Tensor) -> None:
        self.decoder = decoder
        self.length = 0
        self._read: list[tuple[Tensor, Tensor] | None] = [None] * len(decoder.resblocks)
        self._seen: list[tuple[Tensor, Tensor]] = []
        for cross in decoder.cross_attn:
            assert isinstance(cross, CrossBlock)
            self._seen.append(cross.attn.keys_values(cross.ln_1_kv(memory)))

    def next_logits(self, tokens: Tensor) -> Tensor:
        """Read one more token [N] of each text, and return the logits [N, V] of the next."""
        decoder = self.decoder
        x = decoder.token_embedding(tokens[:, None]) + decoder.positional_embedding[self.length]
        crosses = iter(zip(decoder.cross_attn, self._seen, strict=True))
        for layer, block in enumerate(decoder.resblocks):
            assert isinstance(block, SelfBlock)
            query, key, value = block.attn.queries_keys_values(block.ln_1(x), None)
            past = self._read[layer]
            if past is not None:
                key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
            self._read[layer] = key, value
            mixed = block.attn.out_proj(block.attn.merge_heads(attention(query, key, value, None)))
            x = block.finish(x + mixed)
            if decoder.config.crosses_after(layer):
                cross, (key, value) = next(crosses)
                assert isinstance(cross, CrossBlock)
                query = cross.attn.queries(cross.ln_1(x))
                mixed = cross.attn.out_proj(cross.attn.merge_heads(attention(query, key, value, None)))
                x = cross.finish(x + mixed)
        self.length += 1
        return decoder.logits(decoder.ln_final(x[:, 0]))

    def take(self, rows: Tensor) -> None:
        """Keep texts `rows` [N'], in their order; one may be taken more than once."""
        self._read = [None if pair is None else (pair[0][rows], pair[1][rows]) for pair in self._read]
        self._seen = [(key[rows], value[rows]) for key, value in self._seen]


def sample(
    decoder: TextDecoder, memory: Tensor, most: int, top_p: float | None, temperature: float, seed: int
) -> Tensor:
    """Write a text for each image, token by token: [N, L] ids, the start token first.

    Args:
        decoder: The decoder that writes.
        memory: [N, K, W].
        most: Tokens after the start token, at most.
        top_p: None takes the likeliest token; else one is drawn from the likeliest that together have this
            probability (nucleus sampling, Holtzman et al. 2020).
        temperature: Divides the logits before drawing.
        seed: Of the draws.
    """
    config = decoder.config
    generator = torch.Generator(memory.device).manual_seed(seed)
    cache = DecoderCache(decoder, memory)
    tokens = torch.full((len(memory), 1), config.start_token, dtype=torch.long, device=memory.device)
    ended = torch.zeros(len(memory), dtype=torch.bool, device=memory.device)
    for _ in range(most):
        logits = cache.next_logits(tokens[:, -1]).float()
        if top_p is None:
            chosen = logits.argmax(dim=-1)
        else:
            chosen = torch.multinomial(nucleus(logits / temperature, top_p), 1, generator=generator)[:, 0]
        chosen = torch.where(ended, config.end_token, chosen)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        ended |= chosen == config.end_token
        if bool(ended.all()):
            break
    return tokens


def beam_search(decoder: TextDecoder, memory: Tensor, most: int, beams: int) -> Tensor:
    """Write the likeliest text found for each image, `beams` held at a time: [N, L] ids, the start token first.

    Texts are compared by their mean log-probability a token, so that long ones are not at a disadvantage.
    """
    config, count = decoder.config, len(memory)
    cache = DecoderCache(decoder, memory.repeat_interleave(beams, dim=0))
    tokens = torch.full((count, beams, 1), config.start_token, dtype=torch.long, device=memory.device)
    scores = torch.full((count, beams), -torch.inf, device=memory.device)
    scores[:, 0] = 0.0  # the beams begin alike: one of them counts
    lengths = torch.zeros(count, beams, device=memory.device)
    ended = torch.zeros(count, beams, dtype=torch.bool, device=memory.device)
    first = torch.arange(count, device=memory.device)[:, None] * beams
    for _ in range(most):
        steps = cache.next_logits(tokens[:, :, -1].flatten()).float().log_softmax(dim=-1).view(count, beams, -1)
        steps = steps.masked_fill(ended[..., None], -torch.inf)
        steps[..., config.end_token] = torch.where(ended, 0.0, steps[..., config.end_token])
        totals = scores[..., None] + steps
        means = totals / (lengths + (~ended).float()).clamp(min=1)[..., None]
        best = means.flatten(1).topk(beams, dim=1).indices
        origin, chosen = best // steps.shape[-1], best % steps.shape[-1]
        scores = totals.flatten(1).gather(1, best)
        was_ended = ended.gather(1, origin)
        lengths = lengths.gather(1, origin) + (~was_ended).float()
        ended = was_ended | (chosen == config.end_token)
        tokens = torch.cat([tokens.gather(1, origin[..., None].expand_as(tokens)), chosen[..., None]], dim=2)
        if bool(ended.all()):
            break
        cache.take((first + origin).flatten())
    winners = (scores / lengths.clamp(min=1)).argmax(dim=1)
    return tokens[torch.arange(count, device=memory.device), winners]


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Return probabilities [N, V] of logits [N, V], 0 but for the likeliest that together reach `top_p`."""
    probabilities, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(kept).scatter(-1, order, kept / kept.sum(dim=-1, keepdim=True))
