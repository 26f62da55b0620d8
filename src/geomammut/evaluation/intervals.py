"""Bootstrap confidence intervals over the images of a benchmark."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 1000


def bootstrap_intervals(
    images: int,
    statistic: Callable[[NDArray[np.int64]], Mapping[str, float]],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, list[float]]:
    """Return a 95% percentile interval of every metric, the benchmark's images drawn anew with replacement.

    What an interval tells is how far the metric would move on other images of the same kind; the gallery,
    the classes and the model stay as they are (Efron 1979, the percentile method).

    Args:
        images: N, how many images were measured.
        statistic: Maps how often each image was drawn, [N], to metrics by name.
        seed: Of the draws.
        resamples: How many draws of N images.

    Returns:
        Metric → [low, high], rounded as metrics are.
    """
    random = np.random.default_rng(seed)
    draws = [statistic(np.bincount(random.integers(0, images, images), minlength=images)) for _ in range(resamples)]
    tails = 100 * np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {
        name: [round(float(end), 4) for end in np.percentile([draw[name] for draw in draws], tails)]
        for name in draws[0]
    }
