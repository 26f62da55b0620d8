"""A linear probe: logistic regression on embeddings, its calibration, and what it is worth."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """logit = embeddings @ weights + bias; weights [F], bias [1]."""

    weights: Tensor
    bias: Tensor

    def logits(self, embeddings: Tensor) -> Tensor:
        """Map embeddings [N, F] to logits [N]."""
        return embeddings @ self.weights + self.bias


def fit_probe(embeddings: Tensor, labels: Tensor, penalty: float) -> Probe:
    """Fit logistic regression with an L2 penalty, both classes weighing the same however many they are.

    Args:
        embeddings: [N, F].
        labels: [N], True for positives.
        penalty: Factor of half the squared length of the weights, on standardized features.
    """
    shares = _balanced(labels)
    mean = shares @ embeddings
    std = (shares @ (embeddings - mean).square()).sqrt().clamp(min=1e-6)
    features, targets = (embeddings - mean) / std, labels.float()
    weights = torch.zeros(embeddings.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        errors = F.binary_cross_entropy_with_logits(features @ weights + bias, targets, reduction="none")
        value = shares @ errors + penalty / 2 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    solver.step(loss)  # type: ignore[no-untyped-call]
    plain = weights.detach() / std
    return Probe(plain, bias.detach() - mean @ plain)


def choose_penalty(embeddings: Tensor, labels: Tensor, generator: torch.Generator) -> float:
    """Return the penalty of PENALTIES with the least balanced log loss over FOLDS folds."""
    folds = stratified(labels, FOLDS, generator)
    losses = {}
    for penalty in PENALTIES:
        logits = torch.zeros(len(labels))
        for fold in range(FOLDS):
            held = folds == fold
            logits[held] = fit_probe(embeddings[~held], labels[~held], penalty).logits(embeddings[held])
        errors = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        losses[penalty] = float(_balanced(labels) @ errors)
    return min(losses, key=losses.__getitem__)


def stratified(labels: Tensor, parts: int, generator: torch.Generator) -> Tensor:
    """Return for each of N labels one of `parts` parts at random, each class spread evenly over them."""
    chosen = torch.empty(len(labels), dtype=torch.long)
    for label in (False, True):
        places = (labels == label).nonzero()[:, 0]
        places = places[torch.randperm(len(places), generator=generator)]
        chosen[places] = torch.arange(len(places)) % parts
    return chosen


@dataclass(frozen=True)
class Calibration:
    """Platt's (1999): probability = sigmoid(slope × logit + intercept), and the threshold on it."""

    slope: float
    intercept: float
    threshold: float

    def probabilities(self, logits: Tensor) -> Tensor:
        return (self.slope * logits + self.intercept).sigmoid()

    def applied(self, probe: Probe) -> Probe:
        """Return the probe whose logits are calibrated."""
        return Probe(self.slope * probe.weights, self.slope * probe.bias + self.intercept)


def calibrate(logits: Tensor, labels: Tensor, recall: float) -> Calibration:
    """Fit Platt's two numbers at even odds, with his smoothed targets, and choose the threshold.

    The threshold is the highest that keeps `recall` of the positives, but never above one half: what is more
    likely an aerial image than not is kept.

    Args:
        logits: [N], of pictures that the probe was not fitted on.
        labels: [N], True for positives.
        recall: Share of the positives, 0..1.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    targets = torch.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2)).double()
    shares, values = _balanced(labels).double(), logits.double()
    scale = float(values.std().clamp(min=1e-6))
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        errors = F.binary_cross_entropy_with_logits(line[0] * values / scale + line[1], targets, reduction="none")
        value = shares @ errors
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    solver.step(loss)  # type: ignore[no-untyped-call]
    slope, intercept = float(line[0].detach()) / scale, float(line[1].detach())
    fitted = Calibration(slope, intercept, 0.5)
    kept = fitted.probabilities(logits)[labels].sort(descending=True).values
    lowest = float(kept[max(0, -(-int(recall * 1e6) * len(kept) // 10**6) - 1)])
    return Calibration(slope, intercept, min(0.5, max(1e-6, lowest)))


def measured(logits: Tensor, labels: Tensor, recall: float, generator: torch.Generator) -> dict[str, float]:
    """Say what a probe is worth on pictures it was not fitted on: AUC, and precision and recall at the threshold.

    Precision and recall come of calibrations that did not see the pictures they are measured on: each half by
    the other half's. Precision is at even odds, whatever the number of pictures on each side.
    """
    halves = stratified(labels, 2, generator)
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for half in (0, 1):
        here = halves == half
        calibration = calibrate(logits[~here], labels[~here], recall)
        kept[here] = calibration.probabilities(logits[here]) >= calibration.threshold
    true_rate, false_rate = float(kept[labels].float().mean()), float(kept[~labels].float().mean())
    return {
        "auc": auc(logits[labels], logits[~labels]),
        "precision": true_rate / (true_rate + false_rate) if true_rate + false_rate else 0.0,
        "recall": true_rate,
        "false_positive_rate": false_rate,
    }


def auc(positives: Tensor, negatives: Tensor) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative; a tie counts half."""
    order = negatives.double().sort().values
    scores = positives.double()
    below = torch.searchsorted(order, scores, side="left") + torch.searchsorted(order, scores, side="right")
    return float(below.double().mean() / (2 * len(negatives)))


def _balanced(labels: Tensor) -> Tensor:
    """Return weights [N] that sum to 1, one half for each class."""
    positives = labels.float()
    return 0.5 * positives / positives.sum() + 0.5 * (1 - positives) / (1 - positives).sum()
