"""How good a teacher is, told without masks, on held-out pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.retrieval import retrieval_metrics
from geomammut.localization.teacher import IMAGES_AT_ONCE, Teacher, image_batches
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import track

REGION = 0.1  # of an image's patches, the best ones speak for a phrase
LEAST_IMAGES = 5  # that state a phrase, for it to count


class Judgement(NamedTuple):
    """In percent.

    Attributes:
        agreement: Of the n phrases that an image states, how many are among the n whose best patches score highest
            in it; the mean over phrases, so that a common one counts no more than a rare one.
        coverage: The share of patches that get a label.
        retrieval: mR of one caption an image.
    """

    agreement: float
    coverage: float
    retrieval: float

    def report(self) -> dict[str, float]:
        """Return what stands in rounds.json."""
        return {"agreement": self.agreement, "coverage": self.coverage, "mR": self.retrieval}


@torch.no_grad()
def judge(teacher: Teacher, heldout: PairSet) -> Judgement:
    """Measure a teacher on held-out pairs.

    Raises:
        UserError: The pairs state none of its phrases.
    """
    captions, landmarks = heldout.captions, heldout.landmarks
    stated = [teacher.gate.shares(*own) for own in zip(captions, landmarks, strict=True)]
    found, covered, embedded = [], [], []
    batches = image_batches(teacher.model, heldout, np.arange(len(heldout)))
    for number, images in enumerate(track(batches, "judge", total=-(-len(heldout) // IMAGES_AT_ONCE))):
        scores, likeness = teacher.scores(images)
        own = stated[number * IMAGES_AT_ONCE :][: len(images)]
        labels = teacher.labels_of(scores, likeness, own)
        covered.append((labels == 1.0).any(dim=-1).float().mean(dim=(1, 2)))
        found.append(region_scores(scores))
        embedded.append(teacher.model.encode_image(images))
    recalls = phrase_recalls(torch.cat(found), [set(own) for own in stated])
    if not recalls:
        raise UserError(f"no pair of {heldout.folder} states one of the phrases; hold out pairs of the same kind")
    texts = encode_texts(teacher.model, [own[0] for own in captions])
    numbers = np.arange(len(heldout))
    metrics = retrieval_metrics(torch.cat(embedded).cpu(), texts, np.stack([numbers, numbers], axis=1))
    return Judgement(100 * float(np.mean(recalls)), 100 * float(torch.cat(covered).mean()), metrics["mR"])


def region_scores(scores: Tensor) -> Tensor:
    """Return how well each image [B, h, w, K] shows each phrase, [B, K]: the mean of its best tenth of patches."""
    flat = scores.flatten(1, 2)
    return flat.topk(max(1, round(REGION * flat.shape[1])), dim=1).values.mean(dim=1)


def phrase_recalls(found: Tensor, stated: Sequence[set[int]]) -> list[float]:
    """Return, for each phrase that enough images state, in which share of these it is found, 0..1.

    Args:
        found: [N, K], how well each image shows each phrase.
        stated: The phrases that each image states; one that states n finds its n best.
    """
    hits: dict[int, list[bool]] = {}
    for row, own in zip(found, stated, strict=True):
        best = set(row.topk(len(own)).indices.tolist())
        for phrase in own:
            hits.setdefault(phrase, []).append(phrase in best)
    least = min(LEAST_IMAGES, max(map(len, hits.values()), default=0))
    return [float(np.mean(some)) for some in hits.values() if len(some) >= least]
