"""An optional look at the images: a vision-language model is asked whether each was taken from above."""

import io
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from geomammut.pictures import open_picture

AERIAL_PROMPTS = (
    "an aerial image",
    "an aerial image of buildings and roads",
    "an aerial image of fields and trees",
    "a satellite image",
    "a drone photo looking down on the ground",
    "a bird's-eye view of a landscape",
)
GROUND_PROMPTS = (
    "a photo taken from the ground",
    "a photo of a person",
    "a photo of an animal",
    "a photo of food on a table",
    "a product photo",
    "a photo of a room",
    "a photo of a car",
    "a drawing or a logo",
    "a chart or a page of text",
    "a street-level photo of a building",
)
KEPT_PROBABILITY = 0.5
BATCH = 64


class ZeroShotJudge:
    """A model that is asked whether images were taken from above.

    Each side's prompts are averaged into one text embedding; the probability is the softmax of the image's
    two cosines under the model's own scale.

    Attributes:
        threshold: Least probability that is kept.
    """

    threshold = KEPT_PROBABILITY

    @torch.inference_mode()
    def __init__(self, model_name: str) -> None:
        """Load the model.

        Raises:
            UserError: No such model.
        """
        from geomammut.model.load import load_model  # noqa: PLC0415  (pairs knows no model unless asked to)

        self._model = load_model(model_name)
        prompts = [self._model.encode_text(side).mean(dim=0) for side in (AERIAL_PROMPTS, GROUND_PROMPTS)]
        self._sides = F.normalize(torch.stack(prompts), dim=1)

    @torch.inference_mode()
    def embed(self, jpegs: Sequence[bytes]) -> Tensor:
        """Return the embeddings [N, E] of encoded images."""
        found = []
        for start in range(0, len(jpegs), BATCH):
            images = [open_picture(io.BytesIO(jpeg)) for jpeg in jpegs[start : start + BATCH]]
            pixels = torch.stack([self._model.preprocess(image) for image in images])
            found.append(self._model.encode_image(pixels.to(self._model.device)))
        return torch.cat(found)

    @torch.inference_mode()
    def probabilities(self, embeddings: Tensor) -> list[float]:
        """Return the probability, 0..1, of each of the embeddings [N, E]."""
        scores = self._model.logit_scale * embeddings @ self._sides.T
        return list(scores.softmax(dim=1)[:, 0].tolist())
