"""What a step computes of some samples: one module, so that DDP and FSDP2 see one forward."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geomammut.model.mammut import Mammut
from geomammut.model.vision import ImageTokens
from geomammut.training.losses import at_least_float32, caption_costs
from geomammut.training.recipe import LossPart


class Passed(NamedTuple):
    """What `TrainingPass` found of b samples.

    Attributes:
        image_tokens: Of the image tower.
        images: [b, E] image embeddings of length 1, in float32 or finer; None without a contrastive loss.
        texts: [b, E] text embeddings, likewise.
        caption_costs: [b] summed cross-entropy of each caption's tokens; None without a caption loss.
        scale: The logit scale, with its gradient.
        bias: The logit bias, with its gradient.
    """

    image_tokens: ImageTokens
    images: Tensor | None
    texts: Tensor | None
    caption_costs: Tensor | None
    scale: Tensor
    bias: Tensor


class TrainingPass(nn.Module):
    """Both passes of MaMMUT over some samples, as far as the loss needs them."""

    def __init__(self, model: Mammut, part: LossPart) -> None:
        super().__init__()
        self.model = model
        self.part = part

    def forward(
        self,
        images: Tensor,
        tokens: Tensor,
        kept: Tensor | None = None,
        boxes: Tensor | None = None,
        captions: bool = True,
    ) -> Passed:
        """Take images [b, 3, S, S] and token ids [b, L].

        `kept` and `boxes` are those of `VisionTower.tokens`; `captions` says whether they are read.
        """
        model = self.model
        image_tokens = model.visual.tokens(images, kept, boxes)
        own, texts = self._contrastive(image_tokens, tokens) if self.part.contrastive_weight else (None, None)
        costs = self._captions(image_tokens, tokens) if captions and self.part.caption_weight else None
        return Passed(image_tokens, own, texts, costs, model.log_logit_scale.exp(), model.logit_bias)

    def _contrastive(self, image_tokens: ImageTokens, tokens: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        images = F.normalize(at_least_float32(model.visual.pool(image_tokens)), dim=-1)
        groups = length_groups(model.text.valid(tokens))
        order = torch.cat([rows for rows, _ in groups])
        # A model whose text embedding averages the pads, too, has to read them.
        texts = [
            model.encode_text(tokens[rows] if model.config.text.average_padding else tokens[rows, :longest])
            for rows, longest in groups
        ]
        return images, at_least_float32(torch.cat(texts)[order.argsort()])

    def _captions(self, image_tokens: ImageTokens, tokens: Tensor) -> Tensor:
        model = self.model
        memory = model.image_memory(image_tokens)
        valid = model.text.valid(tokens)
        states, labels, owners = [], [], []
        for rows, longest in length_groups(valid):
            labelled = valid[rows, 1:longest]
            states.append(model.text.decode(tokens[rows, : longest - 1], memory[rows])[labelled])
            labels.append(tokens[rows, 1:longest][labelled])
            owners.append(rows.repeat_interleave(labelled.sum(dim=1)))
        costs = caption_costs(torch.cat(states), model.text.text_projection, torch.cat(labels))
        return costs.new_zeros(len(tokens)).index_add(0, torch.cat(owners), costs)


def length_groups(valid: Tensor, groups: int = 4) -> list[tuple[Tensor, int]]:
    """Divide texts by length, so that short ones are not padded to the longest of the batch.

    Args:
        valid: [B, L], True where a text has a token.
        groups: At most how many groups.

    Returns:
        Each group's rows, and the length of its longest text.
    """
    lengths = valid.sum(dim=1)
    shortest_first = lengths.argsort(stable=True)
    return [(rows, int(lengths[rows[-1]])) for rows in shortest_first.chunk(groups)]
