"""Tells a model by its weights and its answers, so that no other is asked about an archive."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.model.aerial_classifier import weights_hash
from geomammut.model.interface import VisionLanguageModel

_SENTENCE = "An aerial image of a harbour, 3 boats."
_ALIKE = 5e-3  # what devices and releases of PyTorch may differ by, in each number of an embedding


class ModelIdentity(BaseModel):
    """What tells a model.

    Attributes:
        weights: SHA-256 of all its parameters and buffers.
        preprocess: Side of its input, and the mean and standard deviation that pixels are normalized with.
        answers: Its embeddings of a picture and of a sentence, one after the other: two models of the same weights
            may differ in their preprocessing or in how they pool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    preprocess: dict[str, Any]
    answers: tuple[float, ...]

    @classmethod
    def of(cls, model: VisionLanguageModel) -> "ModelIdentity":
        """Ask a model who it is.

        Raises:
            UserError: It gives embeddings that are not finite.
        """
        ramp = np.arange(97 * 61 * 3, dtype=np.uint32).reshape(61, 97, 3) * 2654435761 >> 24
        picture = model.preprocess(Image.fromarray(ramp.astype(np.uint8)))
        with torch.inference_mode():
            image = model.encode_image(picture[None].to(model.device)).float().cpu()
        if not image.isfinite().all():
            raise UserError(f"{model.name} gives image embeddings that are not finite; its weights are broken")
        answers = torch.cat([image, encode_texts(model, [_SENTENCE])]).flatten()
        return cls(
            weights=weights_hash(model),
            preprocess={"image_size": model.image_size, "mean": list(model.mean), "std": list(model.std)},
            answers=tuple(round(value, 6) for value in answers.tolist()),
        )

    def is_of(self, other: "ModelIdentity") -> bool:
        """Return whether both are of one model, wherever it runs."""
        return (
            self.weights == other.weights
            and self.preprocess["image_size"] == other.preprocess["image_size"]
            and len(self.answers) == len(other.answers)
            and bool(np.allclose(self.answers, other.answers, rtol=0, atol=_ALIKE))
        )
