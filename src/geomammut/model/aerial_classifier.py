"""Tells how probable it is that an image was taken from above: a linear probe on an image encoder."""

import hashlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file, write_json
from geomammut.model.conv_encoder import ConvEncoder
from geomammut.model.interface import ImageEncoder
from geomammut.model.load import load_image_encoder
from geomammut.pictures import UNREADABLE, open_picture

CONFIG, WEIGHTS = "classifier.json", "classifier.safetensors"
OWN = "own"  # the name of an encoder that the classifier's folder holds itself
BATCH = 64

Picture = Image.Image | str | os.PathLike[str] | bytes


class OwnEncoder(BaseModel):
    """The sizes of a ConvEncoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, le=256)
    image_size: int = Field(ge=32, le=512)


class ClassifierConfig(BaseModel):
    """`classifier.json`: which encoder the probe belongs to, the threshold, and how all came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str  # as `load_image_encoder` takes it, or "own"
    encoder_weights: str  # their SHA-256, of `weights_hash`
    own_encoder: OwnEncoder | None = None
    features: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)
    report: dict[str, Any] = {}


class AerialClassifier:
    """A probe and its encoder.

    Attributes:
        name: The folder that it was loaded from.
        threshold: Probability from which an image is to be kept.
        config: What `classifier.json` says.
    """

    def __init__(
        self, config: ClassifierConfig, encoder: ImageEncoder, weights: Tensor, bias: Tensor, name: str = "classifier"
    ) -> None:
        self.config, self.encoder, self.name = config, encoder, name
        self.weights, self.bias = weights.to(encoder.device), bias.to(encoder.device)

    @property
    def threshold(self) -> float:
        return self.config.threshold

    def score(self, images: Sequence[Picture]) -> list[float]:
        """Return for each image the probability, 0..1, that it was taken from above, at even odds beforehand.

        Args:
            images: PIL images, paths, or encoded images as bytes.

        Returns:
            As many; NaN for what cannot be decoded.
        """
        return self.probabilities(self.embed(images))

    @torch.inference_mode()
    def embed(self, images: Sequence[Picture]) -> Tensor:
        """Return the embeddings [N, E] of images as `score` takes them; rows of NaN for what cannot be decoded."""
        embeddings = torch.full((len(images), self.encoder.embed_dim), math.nan)
        for start in range(0, len(images), BATCH):
            pixels: dict[int, Tensor] = {}
            for place, image in enumerate(images[start : start + BATCH], start):
                try:
                    pixels[place] = self.encoder.preprocess(_opened(image))
                except UNREADABLE:
                    continue
            if pixels:
                batch = torch.stack(list(pixels.values())).to(self.encoder.device)
                embeddings[list(pixels)] = self.encoder.encode_image(batch, normalize=False).float().cpu()
        return embeddings

    def probabilities(self, embeddings: Tensor) -> list[float]:
        """Return the probabilities of embeddings [N, E]; see `score`."""
        logits = embeddings.to(self.weights.device) @ self.weights + self.bias
        return list(logits.sigmoid().tolist())

    def save(self, folder: Path) -> None:
        """Write `classifier.safetensors` and `classifier.json`; an encoder of its own goes with them."""
        tensors = {"weights": self.weights, "bias": self.bias}
        if isinstance(self.encoder, ConvEncoder):
            tensors |= {f"encoder.{key}": value for key, value in self.encoder.state_dict().items()}
        with whole_file(folder / WEIGHTS) as partial:
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, partial)
        write_json(folder / CONFIG, self.config.model_dump(mode="json"))


def load_classifier(
    path: str | os.PathLike[str], *, encoder: str | None = None, device: str = "cpu"
) -> AerialClassifier:
    """Load what `geomammut web train-classifier` wrote.

    Args:
        path: The classifier's folder.
        encoder: Where its encoder is now, if not where it was: a model directory, hub id, `open_clip:NAME/TAG`,
            `timm:NAME`.
        device: Where PyTorch is to put it.

    Raises:
        UserError: It is no classifier, its encoder is not to be found, or has other weights than those that
            the probe was fitted on.
    """
    folder = Path(path)
    config = _read_config(folder)
    tensors = _read_tensors(folder / WEIGHTS)
    if config.own_encoder is not None:
        if encoder is not None:
            raise UserError(f"{folder} holds an encoder of its own; leave {encoder} out")
        model: ImageEncoder = _own_encoder(folder, config.own_encoder, tensors, device)
    else:
        model = load_image_encoder(encoder or config.encoder, device)
    if weights_hash(model) != config.encoder_weights:
        raise UserError(
            f"{folder} was fitted on the encoder {config.encoder} with weights {config.encoder_weights[:12]}…, but "
            f"{model.name} has others; give the right one, or train the classifier again"
        )
    weights, bias = tensors.get("weights"), tensors.get("bias")
    if weights is None or bias is None or weights.shape != (config.features,) or bias.shape != (1,):
        raise UserError(f"{folder / WEIGHTS} does not fit {CONFIG}: it holds no probe of {config.features} features")
    return AerialClassifier(config, model, weights.float(), bias.float(), str(path))


def weights_hash(encoder: ImageEncoder) -> str:
    """Return the SHA-256, in hexadecimal, of all that an encoder has learned: names, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted([*encoder.named_parameters(), *encoder.named_buffers()]):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _opened(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    return open_picture(io.BytesIO(image) if isinstance(image, bytes) else Path(image))


def _read_config(folder: Path) -> ClassifierConfig:
    try:
        return ClassifierConfig.model_validate_json((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{folder} is no classifier: {CONFIG} cannot be read; make one with `geomammut web train-classifier`"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / CONFIG} is no classifier: {' '.join(str(error).splitlines()[:3])}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); train the classifier again") from error


def _own_encoder(folder: Path, sizes: OwnEncoder, tensors: dict[str, Tensor], device: str) -> ConvEncoder:
    encoder = ConvEncoder(sizes.width, sizes.image_size)
    try:
        encoder.load_state_dict(
            {key.removeprefix("encoder."): value for key, value in tensors.items() if key.startswith("encoder.")}
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{folder / WEIGHTS} does not fit {CONFIG}: {reason}") from error
    return encoder.eval().to(device)
