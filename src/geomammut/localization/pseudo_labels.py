"""Region pseudo-labels: which patches show which phrase, told from image-level knowledge alone (DESIGN §5).

The candidates of an image are the phrases that its own landmarks or captions state. Of each candidate, the
patches with the highest Smooth-Attention scores are its region, the lowest are not, and a band between is
ignored. How many patches, the area prior says: the share of the image that the map gives the phrase, or a
fixed share where the map gives none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

DEFAULT_SHARE = 0.25  # of the image, where only a caption states a phrase
SURE_SHARE = 0.6  # of a candidate's expected patches, the best ones that become its region
SPREAD = 1.8  # times a candidate's expected patches: worse ones are not its region


@dataclass(frozen=True)
class PhraseGate:
    """The phrases to label, and which of them a pair states.

    Attributes:
        phrases: K phrases.
    """

    phrases: tuple[str, ...]

    def shares(self, captions: Sequence[str], landmarks: Sequence[dict[str, Any]]) -> dict[int, float]:
        """Return the phrases that a pair states, by number, with the share of the image that each takes."""
        stated: dict[int, float] = {}
        numbers = {phrase: number for number, phrase in enumerate(self.phrases)}
        for landmark in landmarks:
            number = numbers.get(str(landmark.get("phrase")))
            if number is not None:
                area = float(landmark.get("area_share") or 0.0)
                stated[number] = min(1.0, stated.get(number, 0.0) + area)
        text = " ".join(captions).lower()
        for phrase, number in numbers.items():
            if number not in stated and re.search(rf"\b{re.escape(phrase.lower())}(s|es)?\b", text):
                stated[number] = DEFAULT_SHARE
        return stated


def frequent_phrases(landmarks: Iterable[Sequence[dict[str, Any]]], most: int, least_images: int) -> tuple[str, ...]:
    """Return the at most `most` commonest phrases that landmarks of `least_images` images or more bear."""
    counts: Counter[str] = Counter()
    for own in landmarks:
        counts.update({str(landmark["phrase"]) for landmark in own if landmark.get("phrase")})
    return tuple(phrase for phrase, count in counts.most_common(most) if count >= least_images)


def region_labels(scores: Tensor, stated: Sequence[dict[int, float]]) -> Tensor:
    """Label patches by the scores of K phrases.

    Args:
        scores: [B, h, w, K], comparable across phrases (see `standardized`).
        stated: For each image, its candidate phrases and the share of the image that each takes (0..1).

    Returns:
        [B, h, w, K] float: 1 where the patch shows the phrase, 0 where it does not, NaN where that is
        not told. A phrase that the image does not state is 0 everywhere in it, the background rule; a
        patch claimed by several candidates goes to the one that scores highest there.
    """
    height, width = scores.shape[1:3]
    flat = scores.flatten(1, 2)
    labels = torch.zeros_like(flat)
    for image, shares in enumerate(stated):
        if not shares:
            labels[image] = torch.nan
            continue
        candidates = torch.tensor(sorted(shares), device=scores.device)
        own = flat[image][:, candidates]
        rank = own.argsort(dim=0, descending=True).argsort(dim=0)
        expected = torch.tensor([shares[int(number)] for number in candidates], device=scores.device)
        expected = (expected * height * width).clamp(min=1.0)
        sure = rank < (SURE_SHARE * expected).ceil()
        possible = rank < (SPREAD * expected).ceil() + 1
        best = own.argmax(dim=1, keepdim=True) == torch.arange(len(candidates), device=scores.device)
        told = torch.where(possible, torch.nan, 0.0).to(labels.dtype)
        told[sure & best] = 1.0
        labels[image][:, candidates] = told
    return labels.reshape(scores.shape)


def standardized(scores: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return scores [..., K] less each phrase's mean over many images, in units of its deviation."""
    return (scores - mean) / std


def region_loss(embeddings: Tensor, texts: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Contrast patches with phrases where the labels tell.

    Args:
        embeddings: [B, h, w, E] the student's dense embeddings, of length 1.
        texts: [K, E] the student's phrase embeddings, of length 1.
        labels: [B, h, w, K] 1, 0 or NaN; see `region_labels`.
        scale: Factor on the cosine.

    A patch with a phrase is a softmax over all phrases but those not told there.
    """
    logits = scale * embeddings.flatten(0, 2) @ texts.T
    flat = labels.flatten(0, 2)
    told = flat.isfinite()
    shown = (flat == 1.0).any(dim=1)
    if not bool(shown.any()):
        return logits.sum() * 0.0
    masked = logits.masked_fill(~told, -1e4)[shown]
    targets = flat[shown].nan_to_num(0.0)
    return F.cross_entropy(masked, targets / targets.sum(dim=1, keepdim=True))
