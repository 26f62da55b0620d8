"""The contrastive losses and the captioning loss."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CAPTION_CHUNK = 4096  # labelled positions whose logits exist at one time


def infonce(logits: Tensor, same: Tensor) -> Tensor:
    """Softmax InfoNCE both ways over logits [B, B] (images × texts).

    `same` [B, B] is True where image i and text j belong together: the diagonal, and texts that are
    equal word for word. A row's target is shared evenly among its right answers.
    """
    targets = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets.T)) / 2


def sigmoid_focal(logits: Tensor, same: Tensor, gamma: float) -> Tensor:
    """The focal sigmoid loss of MaMMUT (Kuo et al. 2023, §3.1): -(1 - p)^γ log p, summed, per image.

    p is the probability given to the right answer of each of the B² pairs: σ(logit) where `same`,
    else 1 - σ(logit). γ = 0 is SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343).
    """
    signed = torch.where(same, logits, -logits)
    log_p = F.logsigmoid(signed)
    return -((1 - log_p.exp()).pow(gamma) * log_p).sum() / len(logits)


def caption_loss(states: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labels under states @ head, in float32.

    Args:
        states: [N, W] decoder states at the labelled positions only.
        head: [W, V] the language-model head.
        labels: [N] the next tokens.

    The [N, V] logits exist one chunk at a time, forward and backward.
    """
    total = states.new_zeros((), dtype=torch.float32)
    for start in range(0, len(labels), CAPTION_CHUNK):
        part = slice(start, start + CAPTION_CHUNK)
        if len(labels) > CAPTION_CHUNK:
            total = total + checkpoint(_summed, states[part], head, labels[part], use_reentrant=False)
        else:
            total = total + _summed(states[part], head, labels[part])
    return total / max(1, len(labels))


def _summed(states: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    logits = (states @ head.to(states.dtype)).float()
    return F.cross_entropy(logits, labels, reduction="sum")
