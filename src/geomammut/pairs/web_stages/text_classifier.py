"""How likely an alt-text speaks of an image taken from above: logistic regression over hashed n-grams."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from geomammut.errors import UserError
from geomammut.files import whole_folder, write_json
from geomammut.pairs.web_stages.text_ngrams import BUCKETS, hashed_ngrams

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "geomammut text classifier 1"  # changes when the same weights would mean something else


@dataclass(frozen=True)
class TextClassifier:
    """A linear model of words and pairs of words.

    Attributes:
        weights: [BUCKETS] float32.
        bias: Its score of a text of unknown words.
        threshold: Probability from which a text passes.
        report: What it was trained on, and how it did on texts held out.
    """

    weights: NDArray[np.float32]
    bias: float
    threshold: float
    report: Mapping[str, Any] = field(default_factory=dict)

    def score(self, texts: Sequence[str | None] | pa.Array) -> NDArray[np.float32]:
        """Return of each of N texts the probability ([N] float32, 0 … 1) that it speaks of a view from above."""
        found = hashed_ngrams(texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string()))
        sums = np.bincount(found.texts, self.weights[found.buckets] * found.weights, found.count)
        probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-(sums + self.bias)))).astype(np.float32)
        return probabilities

    def save(self, out: Path) -> None:
        """Write the folder that `load_text_classifier` reads."""
        with whole_folder(out) as folder:
            save_file({"weights": self.weights, "bias": np.array([self.bias], np.float32)}, folder / WEIGHTS)
            write_json(
                folder / CONFIG,
                {"kind": KIND, "buckets": BUCKETS, "threshold": round(self.threshold, 6), **self.report},
            )


def load_text_classifier(path: str | Path) -> TextClassifier:
    """Read a text classifier from its folder (`config.json`, `model.safetensors`).

    Raises:
        UserError: There is none, or it is broken or of another kind.
    """
    folder = Path(path)
    advice = "give the folder that `geomammut web train-text-classifier` wrote"
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise UserError(f"no text classifier at {folder} ({error.filename or WEIGHTS} is missing); {advice}") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"the text classifier at {folder} cannot be read ({error}); {advice}") from error
    if not isinstance(config, dict) or config.get("kind") != KIND or config.get("buckets") != BUCKETS:
        raise UserError(f"{folder / CONFIG} is not of a {KIND} with {BUCKETS} buckets; {advice}")
    weights, bias, threshold = tensors.get("weights"), tensors.get("bias"), config.get("threshold")
    if (
        weights is None
        or bias is None
        or (weights.shape, bias.shape) != ((BUCKETS,), (1,))
        or not weights.dtype == bias.dtype == np.float32
        or not (np.isfinite(weights).all() and np.isfinite(bias).all())
        or not isinstance(threshold, float | int)
        or not 0 <= threshold <= 1
    ):
        raise UserError(f"the text classifier at {folder} is broken (weights, bias or threshold); train it again")
    report = {key: value for key, value in config.items() if key not in ("kind", "buckets", "threshold")}
    return TextClassifier(weights, float(bias[0]), float(threshold), report)
