"""The contrastive losses and the captioning loss, each as what it costs every sample.

A rank of several holds some rows of the global batch: it compares its own images with all texts, and its own
texts with all images. The costs of all ranks' rows together sum to the loss of the global batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from geomammut.training.recipe import LossPart

CAPTION_CHUNK = 4096  # labelled positions whose logits exist at one time


@dataclass(frozen=True)
class Contrast:
    """The embeddings that a contrastive loss compares, of length 1, and what belongs together.

    Attributes:
        images: [b, E], the rows of this rank.
        texts: [b, E], likewise.
        all_images: [B, E], of the global batch; `images` itself where there is one rank.
        all_texts: [B, E], likewise.
        same: [b, B], True where a row's own text equals a text of the batch word for word.
    """

    images: Tensor
    texts: Tensor
    all_images: Tensor
    all_texts: Tensor
    same: Tensor


def contrastive_costs(contrast: Contrast, part: LossPart, scale: Tensor, bias: Tensor) -> Tensor:
    """Return the contrastive loss of each row [b], so scaled that all rows of the batch sum to the loss."""
    if part.contrastive == "infonce":
        by_image = scale * contrast.images @ contrast.all_texts.T
        by_text = scale * contrast.texts @ contrast.all_images.T
        return infonce(by_image, by_text, contrast.same)
    gamma = part.focal_gamma if part.contrastive == "focal" else 0.0
    return sigmoid_focal(scale * contrast.images @ contrast.all_texts.T + bias, contrast.same, gamma)


def infonce(by_image: Tensor, by_text: Tensor, same: Tensor) -> Tensor:
    """Softmax InfoNCE both ways: costs [b] of logits [b, B], rows' images × all texts and rows' texts × all images.

    `same` [b, B] is True where two of the batch belong together: a pair itself, and pairs whose texts are
    equal word for word. A row's target is shared evenly among its right answers.
    """
    targets = same / same.sum(dim=1, keepdim=True)
    both = F.cross_entropy(by_image, targets, reduction="none") + F.cross_entropy(by_text, targets, reduction="none")
    return both / (2 * same.shape[1])


def sigmoid_focal(logits: Tensor, same: Tensor, gamma: float) -> Tensor:
    """The focal sigmoid loss of MaMMUT (Kuo et al. 2023, §3.1): -(1 - p)^γ log p, summed, per image of the batch.

    p is the probability given to the right answer: σ(logit) where `same`, else 1 - σ(logit). γ = 0 is
    SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343). Costs [b] of logits [b, B], rows' images × all texts.
    """
    log_p = F.logsigmoid(torch.where(same, logits, -logits))
    return -((1 - log_p.exp()).pow(gamma) * log_p).sum(dim=1) / same.shape[1]


def caption_costs(states: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy [N] of each label under states @ head, in float32 or finer.

    Args:
        states: [N, W] decoder states at the labelled positions only.
        head: [W, V] the language-model head.
        labels: [N] the next tokens.

    The [N, V] logits exist one chunk at a time, forward and backward.
    """
    if len(labels) <= CAPTION_CHUNK:
        return _cross_entropy(states, head, labels)
    costs: list[Tensor] = [
        checkpoint(_cross_entropy, *part, use_reentrant=False)
        for part in (
            (states[start : start + CAPTION_CHUNK], head, labels[start : start + CAPTION_CHUNK])
            for start in range(0, len(labels), CAPTION_CHUNK)
        )
    ]
    return torch.cat(costs)


def at_least_float32(values: Tensor) -> Tensor:
    """Return half-precision values as float32, others as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _cross_entropy(states: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(at_least_float32(states @ head.to(states.dtype)), labels, reduction="none")
