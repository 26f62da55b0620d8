"""SigLIP 2 (and CLIP, SigLIP) of the package transformers behind the same face as ours."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from geomammut.errors import UserError


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

    def dense_image_embeddings(self, images: Tensor, window: int) -> Tensor:
        """Refuse: the pooling heads of transformers' towers are not opened.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{self.name} gives no embeddings of patches; the same weights as open_clip:… do")


def _embeddings(features: Any, normalize: bool) -> Tensor:
    """Return the pooled features; since transformers 5 they come with the tokens."""
    pooled: Tensor = getattr(features, "pooler_output", features)
    return F.normalize(pooled, dim=-1) if normalize else pooled


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
