"""MaMMUT (Kuo et al. 2023, arXiv 2303.16839): one image tower, one text decoder used in two passes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from geomammut.model.config import MammutConfig
from geomammut.model.generation import beam_search, sample
from geomammut.model.pooling_head import Window
from geomammut.model.text import TextDecoder
from geomammut.model.tokenizer import Tokenizer
from geomammut.model.vision import ImageTokens, VisionTower

if TYPE_CHECKING:
    from geomammut.model.timm_tower import TimmTower


class Mammut(nn.Module):
    """A MaMMUT model with its tokenizer; see VisionLanguageModel for the attributes.

    The logit scale starts at 1 / 0.07. `logit_bias` serves the sigmoid losses, and only they move it.
    """

    def __init__(self, config: MammutConfig, tokenizer: Tokenizer, name: str = "mammut") -> None:
        super().__init__()
        self.config = config
        self.name = name
        self._tokenizer = tokenizer
        self.image_size = config.vision.image_size
        self.embed_dim = config.embed_dim
        self.mean, self.std = config.mean, config.std
        self.visual = _tower(config)
        self.map_viz2txt_kv = nn.Parameter(
            torch.randn(config.vision.width, config.text.width) * config.vision.width**-0.5
        )
        self.text = TextDecoder(config.text)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias = nn.Parameter(torch.tensor(0.0))

    @property
    def tokenizer(self) -> Tokenizer:
        """Maps strings to token ids [B, L]."""
        return self._tokenizer

    @property
    def logit_scale(self) -> float:
        return float(self.log_logit_scale.detach().exp())

    @property
    def device(self) -> torch.device:
        return self.log_logit_scale.device

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize the short side to S, crop the centre, normalize: float tensor [3, S, S]."""
        transform = v2.Compose(
            [
                v2.ToImage(),
                v2.Resize(self.image_size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
                v2.CenterCrop(self.image_size),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(self.mean, self.std),
            ]
        )
        pixels: Tensor = transform(image.convert("RGB"))
        return torch.Tensor(pixels)

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E]."""
        embeddings = self.visual.pool(self.visual.tokens(images))
        return F.normalize(embeddings, dim=-1) if normalize else embeddings

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        """Embed strings or token ids [B, L] as [B, E]."""
        embeddings = self.text.embed(self._tokens(texts))
        return F.normalize(embeddings, dim=-1) if normalize else embeddings

    def dense_image_embeddings(self, images: Tensor, window: Window) -> Tensor:
        """Embed every patch of [B, 3, S, S] as [B, h, w, E], of length 1; `window` is the SAO's radius, or several."""
        return self.visual.dense(self.visual.tokens(images), window)

    def image_memory(self, tokens: ImageTokens) -> Tensor:
        """Map the image tower's tokens [B, K, vision width] to what the decoder attends to [B, K, W]."""
        return tokens.last @ self.map_viz2txt_kv.to(tokens.last.dtype)

    def caption_logits(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits [B, L - 1, V] of each next token of [B, L], given those before it."""
        memory = self.image_memory(self.visual.tokens(images))
        return self.text.logits(self.text.decode(tokens[:, :-1], memory))

    def attention_maps(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Return where the decoder looks as it reads each of C texts: [B, C, h, w].

        The raw weights of the last cross-attention block in the caption pass, averaged over heads and
        over the text's own tokens (not its start and end).
        """
        grid = self.config.vision.grid
        tokens = self._tokens(texts)
        valid = self.text.valid(tokens)
        longest = int(valid.sum(dim=1).max())
        tokens, own = tokens[:, :longest], valid[:, :longest].clone()
        own[:, 0] = False
        own[torch.arange(len(own)), valid.sum(dim=1) - 1] = False
        memory = self.image_memory(self.visual.tokens(images))
        weights = self.text.last_cross_attention(tokens, memory)[..., -grid * grid :]
        share = own / own.sum(dim=1, keepdim=True)
        maps = torch.einsum("bclk,cl->bck", weights, share.to(weights.dtype))
        return maps.reshape(len(images), len(tokens), grid, grid)

    @torch.no_grad()
    def generate(
        self,
        images: Tensor,
        max_tokens: int | None = None,
        *,
        beams: int = 1,
        top_p: float | None = None,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """Caption images [B, 3, S, S], each with the likeliest token after the other.

        Args:
            images: Preprocessed.
            max_tokens: At most so many a caption; as many as the context holds if None.
            beams: More than 1 searches that many beginnings at a time for the likeliest caption.
            top_p: Draws tokens instead, from the likeliest that together have this probability, 0..1.
            temperature: Divides the logits before drawing.
            seed: Of the draws.

        Raises:
            ValueError: Both `beams` and `top_p`, or values out of range.
        """
        if beams < 1 or (top_p is not None and (beams > 1 or not 0 < top_p <= 1)) or temperature <= 0:
            raise ValueError(f"beams {beams}, top_p {top_p} and temperature {temperature} do not go together")
        text = self.config.text
        memory = self.image_memory(self.visual.tokens(images))
        most = min(max_tokens or text.context_length, text.context_length - 1)
        if beams > 1:
            return self.tokenizer.decode(beam_search(self.text, memory, most, beams))
        return self.tokenizer.decode(sample(self.text, memory, most, top_p, temperature, seed))

    def _tokens(self, texts: Tensor | Sequence[str]) -> Tensor:
        tokens = texts if isinstance(texts, Tensor) else self.tokenizer(texts)
        return tokens.to(self.device)


def _tower(config: MammutConfig) -> "VisionTower | TimmTower":
    if config.vision.timm is None:
        return VisionTower(config.vision, config.embed_dim)
    from geomammut.model.timm_tower import TimmTower  # noqa: PLC0415 (timm, for those who ask for it)

    return TimmTower(config.vision, config.embed_dim)
