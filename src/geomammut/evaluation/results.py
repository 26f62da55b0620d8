"""The one JSON that every evaluation writes (DESIGN §4)."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geomammut
from geomammut.files import write_json

METRICS = frozenset(
    "i2t_r1 i2t_r5 i2t_r10 t2i_r1 t2i_r5 t2i_r10 mR top1 top5 miou pixel_accuracy "
    "bleu1 bleu2 bleu3 bleu4 cider spice spider".split()
)
_HIGHEST = {"cider": 1000, "spider": 550}  # CIDEr is ten times a mean of cosines; times 100, as the field writes it


def write_results(
    out: Path,
    *,
    model: str,
    benchmark: str,
    protocol: str,
    counts: Mapping[str, int],
    metrics: Mapping[str, float],
    seed: int,
    **more: Any,
) -> dict[str, Any]:
    """Write an evaluation's results to `out`, whole, and return them.

    Args:
        out: The JSON file.
        model: What the model was loaded from.
        benchmark: What it was measured on.
        protocol: How, so that two numbers with the same protocol may be compared.
        counts: Images, texts, classes, …
        metrics: Percentages by the names in METRICS.
        seed: Of whatever was drawn at random.
        **more: Further entries, such as `per_class`.

    Raises:
        ValueError: A metric with a name of its own, or no finite percentage.
    """
    for name, value in metrics.items():
        if name not in METRICS:
            raise ValueError(f"no metric is called {name!r}")
        if not (math.isfinite(value) and 0 <= value <= _HIGHEST.get(name, 100)):
            raise ValueError(f"{name} = {value} is no percentage")
    results = {
        "model": model,
        "benchmark": benchmark,
        "protocol": protocol,
        "counts": dict(counts),
        "metrics": {name: round(value, 4) for name, value in metrics.items()},
        **more,
        "versions": {
            "geomammut": geomammut.__version__,
            "torch": version("torch"),
            "open_clip": version("open-clip-torch"),
            "python": platform.python_version(),
        },
        "seed": seed,
    }
    write_json(out, results)
    return results
