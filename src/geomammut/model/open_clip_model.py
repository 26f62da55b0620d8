"""Any open_clip model behind the same face as ours."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from geomammut.errors import UserError
from geomammut.model.smooth_attention import smooth_attention


class OpenClipModel(nn.Module):
    """Wraps `open_clip:NAME/TAG`; TAG is one of open_clip's pretrained tags or a weights file on disk."""

    def __init__(self, architecture: str, tag: str) -> None:
        super().__init__()
        self.name = f"open_clip:{architecture}/{tag}"
        self.clip, self._transform = read_clip(architecture, tag)
        try:
            self._tokenize = open_clip.get_tokenizer(architecture)
        except ImportError as error:
            raise UserError(f"{self.name}: its tokenizer needs another package ({error})") from error
        size = self.clip.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple) else size)
        config = open_clip.get_model_config(architecture)
        self.embed_dim = int(config["embed_dim"])
        self.mean = _triple(self.clip.visual.image_mean)
        self.std = _triple(self.clip.visual.image_std)

    @property
    def logit_scale(self) -> float:
        return float(self.clip.logit_scale.detach().exp())

    @property
    def device(self) -> torch.device:
        device: torch.device = self.clip.logit_scale.device
        return device

    def preprocess(self, image: Image.Image) -> Tensor:
        """Apply the model's own evaluation transform: float tensor [3, S, S]."""
        pixels: Tensor = self._transform(image)
        return pixels

    @property
    def tokenizer(self) -> Callable[[Sequence[str]], Tensor]:
        """Maps strings to token ids [B, L]."""
        return lambda texts: torch.as_tensor(self._tokenize(list(texts)))

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E]."""
        embeddings: Tensor = self.clip.encode_image(images, normalize=normalize)
        return embeddings

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        """Embed strings or token ids [B, L] as [B, E]."""
        tokens = texts if isinstance(texts, Tensor) else self.tokenizer(texts)
        embeddings: Tensor = self.clip.encode_text(tokens.to(self.device), normalize=normalize)
        return embeddings

    def dense_image_embeddings(self, images: Tensor, window: int) -> Tensor:
        """Embed every patch of [B, 3, S, S] as [B, h, w, E], of length 1 (Smooth-Attention, radius `window`).

        For a class-token tower the last block's class query is asked anew around every patch: its logits
        and values over the window, the class key joining every window (DESIGN §5).

        Raises:
            UserError: The tower is no CLIP ViT with a class token.
        """
        tower = self.clip.visual
        if getattr(tower, "pool_type", None) != "tok" or getattr(tower, "attn_pool", None) is not None:
            raise UserError(f"{self.name} has no class-token ViT, the only open_clip tower with dense embeddings yet")
        x = tower._embeds(images)
        *early, last = tower.transformer.resblocks
        for block in early:
            x = block(x)
        heads = last.attn.num_heads
        normed = last.ln_1(x)
        projected = F.linear(normed, last.attn.in_proj_weight, last.attn.in_proj_bias)
        query, key, value = (
            part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in projected.chunk(3, dim=-1)
        )
        logits = (query[:, :, :1] @ key.transpose(-2, -1)).squeeze(2) * query.shape[-1] ** -0.5
        grid = tower.grid_size
        pooled = smooth_attention(
            logits[:, :, 1:].reshape(*logits.shape[:2], *grid),
            value[:, :, 1:].reshape(*value.shape[:2], *grid, -1),
            window,
            logits[:, :, 0],
            value[:, :, 0],
        )
        z = last.attn.out_proj(pooled.movedim(1, 3).flatten(3))
        z = x[:, None, None, 0] + last.ls_1(z)
        z = tower.ln_post(z + last.ls_2(last.mlp(last.ln_2(z))))
        if tower.proj is not None:
            z = z @ tower.proj
        return F.normalize(z, dim=-1)


def read_clip(architecture: str, tag: str) -> tuple[Any, Callable[[Image.Image], Tensor]]:
    """Return open_clip's own model, in evaluation mode, and its evaluation transform.

    Raises:
        UserError: No such architecture, no such tag or file, or weights that do not fit.
    """
    name = f"open_clip:{architecture}/{tag}"
    if architecture not in open_clip.list_models():
        raise UserError(f"open_clip has no model {architecture!r}; see open_clip.list_models()")
    known = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in known and not Path(tag).is_file():
        raise UserError(f"{tag!r} is neither a file nor a tag of {architecture}; it has {', '.join(known) or 'none'}")
    of_tag = open_clip.get_pretrained_cfg(architecture, tag if tag in known else known[0]) if known else {}
    try:
        clip, _, transform = open_clip.create_model_and_transforms(
            architecture,
            pretrained=tag,
            weights_only=True,
            # A file does not say what its input was: what the architecture's released weights take.
            image_mean=of_tag.get("mean"),
            image_std=of_tag.get("std"),
            image_interpolation=of_tag.get("interpolation"),
            image_resize_mode=of_tag.get("resize_mode"),
        )
    except (OSError, RuntimeError) as error:
        raise UserError(f"the weights of {name} could not be loaded ({str(error).splitlines()[0]})") from error
    return clip.eval(), transform


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
