"""SigLIP 2 (and CLIP, SigLIP) of the package transformers behind the same face as ours."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from geomammut.errors import UserError
from geomammut.model.pooling_head import PoolingHead, Window, pooling_logits, split_heads


class TransformersModel(nn.Module):
    """Wraps `transformers:SOURCE`, a folder or hub id of a model with an image tower and a text tower.

    Its weights must be safetensors, and its own code is never run.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.name = f"transformers:{source}"
        try:
            from transformers import AutoImageProcessor, AutoModel, AutoTokenizer  # noqa: PLC0415 (optional)
        except ImportError as error:
            raise UserError(
                f"{self.name} needs the package transformers: pip install 'geomammut[transformers]'"
            ) from error
        try:
            self.dual: Any = AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False).eval()
            self._processor: Any = AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
            self._words: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise UserError(f"{self.name} could not be loaded ({reason})") from error
        if not (hasattr(self.dual, "get_image_features") and hasattr(self.dual, "get_text_features")):
            raise UserError(
                f"{self.name} is no model of images and texts; give one such as google/siglip2-base-patch16-224"
            )
        config = self.dual.config
        if not hasattr(config.vision_config, "image_size"):
            raise UserError(f"{self.name} takes images of any shape; give a variant of one fixed size")
        self.image_size = int(config.vision_config.image_size)
        self.embed_dim = int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)
        self.mean = _triple(self._processor.image_mean)
        self.std = _triple(self._processor.image_std)

    @property
    def logit_scale(self) -> float:
        return float(self.dual.logit_scale.detach().exp())

    @property
    def device(self) -> torch.device:
        device: torch.device = self.dual.logit_scale.device
        return device

    def preprocess(self, image: Image.Image) -> Tensor:
        """Apply the model's own transform: float tensor [3, S, S]."""
        pixels: Tensor = self._processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels

    @property
    def tokenizer(self) -> Callable[[Sequence[str]], Tensor]:
        """Maps strings to token ids [B, L], padded to the length that the model was trained with."""
        length = int(self.dual.config.text_config.max_position_embeddings)
        # SigLIP 2 was trained on lower case (arXiv 2502.14786, §2); CLIP's tokenizer makes its own.
        return lambda texts: torch.as_tensor(
            self._words([text.lower() for text in texts], padding="max_length", truncation=True, max_length=length)[
                "input_ids"
            ]
        )

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E]."""
        return _embeddings(self.dual.get_image_features(pixel_values=images), normalize)

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        """Embed strings or token ids [B, L] as [B, E]."""
        tokens = texts if isinstance(texts, Tensor) else self.tokenizer(texts)
        return _embeddings(self.dual.get_text_features(input_ids=tokens.to(self.device)), normalize)

    def dense_image_embeddings(self, images: Tensor, window: Window) -> Tensor:
        """Embed every patch of [B, 3, S, S] as [B, h, w, E], of length 1 (Smooth-Attention, see `PoolingHead`).

        Raises:
            UserError: The image tower is neither SigLIP's nor CLIP's.
        """
        tower = self.dual.vision_model
        side = self.image_size // int(self.dual.config.vision_config.patch_size)
        if isinstance(getattr(getattr(tower, "head", None), "attention", None), nn.MultiheadAttention):
            head = _map_head(tower, images, (side, side))
        elif hasattr(tower, "pre_layrnorm") and hasattr(self.dual, "visual_projection"):
            head = _class_head(tower, images, (side, side), self.dual.visual_projection)
        else:
            raise UserError(
                f"{self.name} gives no embeddings of patches: its image tower is neither SigLIP's nor CLIP's"
            )
        return head.everywhere(window)


def _map_head(tower: Any, images: Tensor, grid: tuple[int, int]) -> PoolingHead:
    """SigLIP's: a learned probe attends to the tokens."""
    head, x = tower.head, tower(pixel_values=images).last_hidden_state
    attn = head.attention
    query, key, values = (
        split_heads(F.linear(part, weight, bias), attn.num_heads)
        for part, weight, bias in zip(
            (head.probe, x, x), attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3), strict=True
        )
    )

    def finish(pooled: Tensor) -> Tensor:
        z = attn.out_proj(pooled)
        finished: Tensor = z + head.mlp(head.layernorm(z))
        return finished

    return PoolingHead(pooling_logits(query, key), values, grid, finish)


def _class_head(tower: Any, images: Tensor, grid: tuple[int, int], projection: nn.Module) -> PoolingHead:
    """CLIP's: the class token attends in the last block."""
    x, last = tower(pixel_values=images, output_hidden_states=True).hidden_states[-2], tower.encoder.layers[-1]
    normed, attn = last.layer_norm1(x), last.self_attn
    query, key, values = (
        split_heads(part, attn.num_heads)
        for part in (attn.q_proj(normed[:, :1]), attn.k_proj(normed), attn.v_proj(normed))
    )

    def finish(pooled: Tensor) -> Tensor:
        z = x[:, None, None, 0] + attn.out_proj(pooled)
        embeddings: Tensor = projection(tower.post_layernorm(z + last.mlp(last.layer_norm2(z))))
        return embeddings

    return PoolingHead(pooling_logits(query, key), values, grid, finish)


def _embeddings(features: Any, normalize: bool) -> Tensor:
    """Return the pooled features; since transformers 5 they come with the tokens."""
    pooled: Tensor = getattr(features, "pooler_output", features)
    return F.normalize(pooled, dim=-1) if normalize else pooled


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
