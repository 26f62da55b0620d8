"""Region pseudo-labels: which patches show which phrase, told from image-level knowledge alone (DESIGN §5).

The candidates of an image are the phrases that its own landmarks or captions state. Of each candidate, the
patches with the highest Smooth-Attention scores are its region, the lowest are not, and a band between is
ignored. How many patches, the area prior says: the share of the image that the map gives the phrase, or a
fixed share where the map gives none. Whether the phrase is seen at all, a bar says: the score that few patches
reach in images that do not state the phrase. Neither needs a mask.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

DEFAULT_SHARE = 0.25  # of the image, where only a caption states a phrase
LINE_SHARE = 0.12  # what a line takes, a road or a railway, of which the map knows no width: a patch of each row
SURE_SHARE = 0.6  # of a candidate's expected patches, the best ones that become its region
SPREAD = 1.8  # times a candidate's expected patches: worse ones are not its region
BAR = 0.9  # of the patches of images that do not state a phrase, as many score below its bar
COMPANION = 0.1  # a phrase that goes unstated is no background beside one whose images state it this often


@dataclass(frozen=True)
class PhraseGate:
    """The phrases to label, and which of them a pair states.

    Attributes:
        phrases: K phrases.
    """

    phrases: tuple[str, ...]

    def shares(self, captions: Sequence[str], landmarks: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        """Return the phrases that a pair states, by number, with the share of the image that each takes."""
        stated: dict[int, float] = {}
        numbers = {phrase: number for number, phrase in enumerate(self.phrases)}
        for landmark in landmarks:
            number = numbers.get(str(landmark.get("phrase")))
            if number is not None:
                stated[number] = min(1.0, stated.get(number, 0.0) + _share(landmark))
        text = " ".join(captions).lower()
        for phrase, number in numbers.items():
            if number not in stated and re.search(rf"\b{re.escape(phrase.lower())}(s|es)?\b", text):
                stated[number] = DEFAULT_SHARE
        return stated


def _share(landmark: Mapping[str, Any]) -> float:
    area = float(landmark.get("area_share") or 0.0)
    linear = str((landmark.get("outline") or {}).get("type")).endswith("LineString")
    return LINE_SHARE if linear and not area else area


def frequent_phrases(landmarks: Iterable[Sequence[Mapping[str, Any]]], most: int, least_images: int) -> tuple[str, ...]:
    """Return the at most `most` commonest phrases that landmarks of `least_images` images or more bear."""
    counts: Counter[str] = Counter()
    for own in landmarks:
        counts.update({str(landmark["phrase"]) for landmark in own if landmark.get("phrase")})
    return tuple(phrase for phrase, count in counts.most_common(most) if count >= least_images)


def companions(stated: Iterable[Iterable[int]], phrases: int) -> Tensor:
    """Return which phrases often go together: bool [K, K], True at (s, k) if images that state s often state k.

    A caption tells what is there, not what is not: of an image of "a residential area" none may conclude that it
    shows no house, though the caption does not state any.

    Args:
        stated: The phrases that each of many images states, by number.
        phrases: K.
    """
    together = torch.zeros(phrases, phrases)
    for own in stated:
        numbers = torch.tensor(sorted(own), dtype=torch.long)
        together[numbers[:, None], numbers] += 1
    return together >= COMPANION * together.diagonal().clamp(min=1)[:, None]


def region_labels(
    scores: Tensor,
    stated: Sequence[Mapping[int, float]],
    bars: Tensor | None = None,
    together: Tensor | None = None,
) -> Tensor:
    """Label patches by the scores of K phrases.

    Args:
        scores: [B, h, w, K], comparable across phrases (see `standardized`).
        stated: For each image, its candidate phrases and the share of the image that each takes (0..1).
        bars: [K] scores that a patch must pass to show a phrase; none if None.
        together: [K, K]; see `companions`. An unstated phrase that often goes with a stated one is not told.

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
        if bars is not None:
            sure = sure & (own > bars[candidates])
        best = own.argmax(dim=1, keepdim=True) == torch.arange(len(candidates), device=scores.device)
        told = torch.where(possible, torch.nan, 0.0).to(labels.dtype)
        told[sure & best] = 1.0
        if together is not None:
            labels[image][:, together[candidates].any(dim=0)] = torch.nan
        labels[image][:, candidates] = told
    return labels.reshape(scores.shape)


def standardized(scores: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return scores [..., K] less each phrase's mean over many images, in units of its deviation."""
    return (scores - mean) / std


def score_bars(scores: Tensor, stated: Sequence[Iterable[int]]) -> Tensor:
    """Return the bar of each phrase [K]: the quantile BAR of its scores in images that do not state it.

    Args:
        scores: [B, h, w, K] of many images.
        stated: The phrases that each image states.
    """
    absent = torch.ones(scores.shape[0], scores.shape[-1], dtype=torch.bool, device=scores.device)
    for image, own in enumerate(stated):
        absent[image, sorted(own)] = False
    per_phrase = [
        scores[rows, :, :, phrase].flatten() if rows.any() else scores[..., phrase].flatten()
        for phrase, rows in enumerate(absent.T)
    ]
    return torch.stack([own.quantile(BAR) for own in per_phrase])


def region_loss(embeddings: Tensor, texts: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Contrast patches with phrases where the labels tell.

    A patch with a phrase is a softmax over all phrases but those not told there. A phrase's patches weigh as the
    square root of their number, so that what fills whole images does not drown what is small.

    Args:
        embeddings: [B, h, w, E] the student's dense embeddings, of length 1.
        texts: [K, E] the student's phrase embeddings, of length 1.
        labels: [B, h, w, K] 1, 0 or NaN; see `region_labels`.
        scale: Factor on the cosine.
    """
    logits = scale * embeddings.flatten(0, 2) @ texts.T
    flat = labels.flatten(0, 2)
    told = flat.isfinite()
    shows = flat == 1.0
    shown = shows.any(dim=1)
    if not bool(shown.any()):
        return logits.sum() * 0.0
    masked = logits.masked_fill(~told, -1e4)[shown]
    targets = shows[shown].to(logits.dtype)
    targets = targets / targets.sum(dim=1, keepdim=True)
    weights = targets @ targets.sum(dim=0).clamp(min=1.0).rsqrt()
    return (weights * F.cross_entropy(masked, targets, reduction="none")).sum() / weights.sum()


def area_loss(
    embeddings: Tensor, texts: Tensor, stated: Sequence[Mapping[int, float]], together: Tensor, scale: float
) -> Tensor:
    """Hold each image's patches, all together, to the shares of the phrases that the image states.

    Each patch is a softmax over the phrases; its mean over the image should be the stated shares, taken of their
    sum. So the constraints of all images together tell phrases apart where no single map is sharp yet (learning
    from label proportions). Phrases that often go with a stated one (see `companions`) are left out.

    Args:
        embeddings: [B, h, w, E] the student's dense embeddings, of length 1.
        texts: [K, E] the student's phrase embeddings, of length 1.
        stated: For each image, its phrases and the share that each takes (0..1).
        together: [K, K]; see `companions`.
        scale: Factor on the cosine.
    """
    shares = texts.new_zeros(len(stated), len(texts))
    untold = torch.zeros_like(shares, dtype=torch.bool)
    least = 1 / (embeddings.shape[1] * embeddings.shape[2])
    for image, own in enumerate(stated):
        numbers = sorted(own)
        shares[image, numbers] = torch.tensor([max(own[number], least) for number in numbers], device=shares.device)
        untold[image] = together[numbers].any(dim=0)
    told = shares.sum(dim=1) > 0
    if not bool(told.any()):
        return embeddings.sum() * 0.0
    shares, untold = shares[told], untold[told] & (shares[told] == 0)
    logits = (scale * embeddings[told].flatten(1, 2) @ texts.T).masked_fill(untold[:, None, :], -1e4)
    found = logits.softmax(dim=-1).mean(dim=1).clamp(min=1e-6)
    return -(shares / shares.sum(dim=1, keepdim=True) * found.log()).sum(dim=1).mean()
