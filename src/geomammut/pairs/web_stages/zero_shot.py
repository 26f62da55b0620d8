"""An optional look at the images: a vision-language model is asked whether each was taken from above."""

import io
from collections.abc import Callable, Sequence

import torch

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

AerialProbability = Callable[[Sequence[bytes]], list[float]]


def aerial_probability(model_name: str) -> AerialProbability:
    """Return a function that gives, for encoded images, the probability that each was taken from above.

    Each side's prompts are averaged into one text embedding; the probability is the softmax of the image's
    two cosines under the model's own scale.

    Raises:
        UserError: No such model.
    """
    from geomammut.model.load import load_model  # noqa: PLC0415  (pairs knows no model unless asked to)

    model = load_model(model_name)

    @torch.inference_mode()
    def score(jpegs: Sequence[bytes]) -> list[float]:
        probabilities: list[float] = []
        for start in range(0, len(jpegs), BATCH):
            images = [open_picture(io.BytesIO(jpeg)) for jpeg in jpegs[start : start + BATCH]]
            pixels = torch.stack([model.preprocess(image) for image in images])
            embeddings = model.encode_image(pixels.to(model.device))
            probabilities += (model.logit_scale * embeddings @ sides.T).softmax(dim=1)[:, 0].tolist()
        return probabilities

    with torch.inference_mode():
        prompts = [model.encode_text(side).mean(dim=0) for side in (AERIAL_PROMPTS, GROUND_PROMPTS)]
        sides = torch.nn.functional.normalize(torch.stack(prompts), dim=1)
    return score
