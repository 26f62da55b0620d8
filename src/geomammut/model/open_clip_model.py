"""Any open_clip model behind the same face as ours."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor, nn

from geomammut.errors import UserError
from geomammut.model.open_clip_head import open_clip_head
from geomammut.model.pooling_head import Window


class OpenClipModel(nn.Module):
    """Wraps `open_clip:SOURCE`; see `read_clip` for what a source is."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.name = f"open_clip:{source}"
        self.clip, self._transform, identifier = read_clip(source)
        try:
            self._tokenize = open_clip.get_tokenizer(identifier)
        except (ImportError, OSError, ValueError) as error:
            raise UserError(f"{self.name}: its tokenizer cannot be had ({_first_line(error)})") from error
        size = self.clip.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple) else size)
        config = open_clip.get_model_config(identifier)
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

    def dense_image_embeddings(self, images: Tensor, window: Window) -> Tensor:
        """Embed every patch of [B, 3, S, S] as [B, h, w, E], of length 1 (Smooth-Attention, see `PoolingHead`).

        Raises:
            UserError: The tower pools in a way that is not known; see `open_clip_head`.
        """
        try:
            head = open_clip_head(self.clip.visual, images)
        except ValueError as error:
            raise UserError(f"{self.name} gives no embeddings of patches: {error}") from error
        return head.everywhere(window)


def read_clip(source: str) -> tuple[Any, Callable[[Image.Image], Tensor], str]:
    """Read one of open_clip's models: its weights, never anything that could run.

    Args:
        source: `NAME/TAG`, of an architecture and one of its pretrained tags; `NAME/FILE`, of an architecture and
            a weights file (.safetensors, or .pt such as RemoteCLIP's, GeoRSCLIP's or SkyCLIP's); or a folder with
            open_clip_config.json and weights.

    Returns:
        The model, in evaluation mode; its evaluation transform; what open_clip calls its architecture.

    Raises:
        UserError: No such architecture, tag, file or folder, or weights that do not fit.
    """
    given: dict[str, Any]
    if Path(source).is_dir():
        if not (Path(source) / "open_clip_config.json").is_file():
            raise UserError(f"{source} has no open_clip_config.json; write open_clip:NAME/FILE for a weights file")
        identifier, given = f"local-dir:{source}", {}
    else:
        identifier, given = _named(source)
    try:
        clip, _, transform = open_clip.create_model_and_transforms(
            identifier, weights_only=True, require_pretrained=True, pretrained_hf=False, **given
        )
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the weights of open_clip:{source} hold more than weights, or are broken; not loaded"
        ) from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
        raise UserError(f"the weights of open_clip:{source} could not be loaded ({_first_line(error)})") from error
    return clip.eval(), transform, identifier


def _named(source: str) -> tuple[str, dict[str, Any]]:
    """Return the architecture of `NAME/TAG` or `NAME/FILE`, and where its weights and their transform come from."""
    architecture, _, tag = source.partition("/")
    if not tag:
        raise UserError(
            f"open_clip:{source} names no weights; write open_clip:NAME/TAG, open_clip:NAME/FILE or open_clip:FOLDER"
        )
    if architecture not in open_clip.list_models():
        raise UserError(f"open_clip has no model {architecture!r}; see open_clip.list_models()")
    known = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in known and not Path(tag).is_file():
        raise UserError(f"{tag!r} is neither a file nor a tag of {architecture}; it has {', '.join(known) or 'none'}")
    # A file does not say what its input was: what the architecture's released weights take.
    of_tag = open_clip.get_pretrained_cfg(architecture, tag if tag in known else known[0]) if known else {}
    return architecture, {
        "pretrained": tag,
        "image_mean": of_tag.get("mean"),
        "image_std": of_tag.get("std"),
        "image_interpolation": of_tag.get("interpolation"),
        "image_resize_mode": of_tag.get("resize_mode"),
    }


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
