"""How unusual a score is in an archive, told by a sample of its chips."""

import math

import numpy as np
from numpy.typing import NDArray

SAMPLE = 4096  # chips
_TAIL = 0.05  # the share of the sample that its upper end is estimated from
_TAIL_CHIPS = 10  # of the sample, at least
_MOST = 1e12
_ALIKE = 1 / 8  # of the distance between any two chips


class Tail:
    """The upper end of the scores that one query gives the sample.

    Within the sample, the share of it that scores as high; beyond, an exponential tail through its highest scores
    (peaks over a threshold with the shape 0: Pickands 1975), so that a score can be rarer than one in the sample's
    size. That is an estimate, and the better the nearer to the sample.

    Args:
        scores: float [n], the sample's cosines with the query.
    """

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._sorted = np.sort(scores.astype(np.float64))
        over = min(len(scores), max(_TAIL_CHIPS, round(_TAIL * len(scores))))
        self._from = float(self._sorted[-over])
        self._share = over / len(scores)
        self._mean_excess = max(float((self._sorted[-over:] - self._from).mean()), 1e-9)

    def unusual(self, score: float) -> float:
        """Return that one chip in so many scores as high, from 1 to 1e12."""
        if score <= self._from:
            as_high = len(self._sorted) - int(np.searchsorted(self._sorted, score, side="left"))
            return len(self._sorted) / max(as_high, 1)
        exponent = min((score - self._from) / self._mean_excess, 700.0)
        return min(math.exp(exponent) / self._share, _MOST)


def similar_from(sample: NDArray[np.float32]) -> float:
    """Return the cosine from which two chips look the same.

    Their squared distance is an eighth of what it is between two chips of the sample [n, E] on the mean: a share of
    all pairs would be used up by chips of one kind, such as the fields or the sea around a town.
    """
    if len(sample) < 2:
        return 1.0
    units = sample.astype(np.float64) / np.maximum(np.linalg.norm(sample, axis=1, keepdims=True), 1e-12)
    total = units.sum(axis=0)
    mean_cosine = (total @ total - len(units)) / (len(units) * (len(units) - 1))
    return float(1 - _ALIKE * (1 - mean_cosine))
