"""`web train-text-classifier`: the words of views from above, learnt from texts of such and of others."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.web_stages.folding import folded
from geomammut.pairs.web_stages.text_classifier import TextClassifier
from geomammut.pairs.web_stages.text_ngrams import BUCKETS, NGrams, hashed_ngrams

TEXT_COLUMNS = ("captions", "caption", "text", "alt_text", "alt", "title", "description")
HELD_OUT = 5  # one text of as many chooses the threshold instead of training
FEWEST = 100  # texts of each side
L2 = 1e-6


def web_train_text_classifier(
    positives: Sequence[Path], negatives: Sequence[Path], out: Path, *, recall: float = 0.98, seed: int = 0
) -> dict[str, Any]:
    """Train the classifier that lets alt-texts without a keyword through the text stage.

    Logistic regression over hashed words and pairs of words, both sides weighing the same. A fifth of the
    distinct texts (by a hash of their words) is held out: it sets the threshold and the figures in
    `config.json`. A text on both sides counts as positive.

    Args:
        positives: Files of texts that speak of images from above: `.txt` (one a line), or `.csv`, `.tsv`,
            `.jsonl` or `.parquet` with one of the columns TEXT_COLUMNS, such as a pair set's `pairs.parquet`.
        negatives: Files of other texts, such as alt-texts of the web.
        out: Folder of the classifier, for `load_text_classifier` and `pairs web`.
        recall: Share of the held-out positives that shall pass; above 0, at most 1.
        seed: Chooses which texts are held out.

    Returns:
        What `config.json` tells of the training; its `metrics` are of the texts held out: `recall`,
        `false_positive_rate`, `auc` and `threshold`.

    Raises:
        UserError: A file cannot be read or has no text, fewer than FEWEST texts on a side, `recall` out of range.
    """
    if not 0 < recall <= 1:
        raise UserError(f"--recall {recall} is out of range; give a share above 0 and at most 1, such as 0.98")
    wanted = _distinct(positives)
    others = [words for words in _distinct(negatives) if words not in wanted]
    for side, texts in (("positives", [*wanted]), ("negatives", others)):
        if len(texts) < FEWEST:
            raise UserError(f"{len(texts)} distinct texts among the {side}; give at least {FEWEST}")
    trained, held_out = _split([*wanted], others, seed)
    weights, bias = _fit(*trained)
    judge = TextClassifier(weights, bias, 0.5)
    heard, truth = held_out
    scores = judge.score(heard)
    threshold = _threshold(scores[truth], recall)
    report = {
        "geomammut": __version__,
        "asked_recall": recall,
        "seed": seed,
        "positives": [path.name for path in map(Path, positives)],
        "negatives": [path.name for path in map(Path, negatives)],
        "counts": {"trained": _counts(trained[1]), "held_out": _counts(truth)},
        "metrics": _metrics(scores, truth, threshold),
    }
    TextClassifier(weights, bias, threshold, report).save(Path(out))
    return report


def _distinct(paths: Sequence[Path]) -> dict[str, None]:
    """Return the folded words of all files' texts, each once, in order."""
    texts = [text for path in map(Path, paths) for text in _read(path)]
    words = folded(pa.array(texts, pa.large_string())).to_pylist()
    return dict.fromkeys(text.strip() for text in words if text.strip())


def _read(path: Path) -> list[str]:
    try:
        texts = [text for text in _texts(path) if text and text.strip()]
    except FileNotFoundError as error:
        raise UserError(f"no file at {path}") from error
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read ({str(error).splitlines()[0][:200]}); is it what its name says?"
        ) from error
    if not texts:
        raise UserError(f"{path} has no texts; give one a line, or a table with a column {' or '.join(TEXT_COLUMNS)}")
    return texts


def _texts(path: Path) -> Iterator[str | None]:
    match path.suffix.lower():
        case ".txt":
            with path.open(encoding="utf-8", errors="replace") as lines:
                yield from lines
        case ".csv" | ".tsv" as suffix:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
                rows = csv.DictReader(lines, delimiter="," if suffix == ".csv" else "\t")
                column = _column(path, rows.fieldnames or ())
                yield from (row[column] for row in rows)
        case ".jsonl" | ".ndjson":
            with path.open(encoding="utf-8", errors="replace") as lines:
                values = [json.loads(line) for line in lines if line.strip()]
                column = _column(path, values[0] if values else ())
                yield from _flat(value.get(column) for value in values)
        case ".parquet":
            column = _column(path, pq.read_schema(path).names)
            yield from _flat(pq.read_table(path, columns=[column])[column].to_pylist())
        case other:
            raise UserError(f"{path}: unknown format {other!r}; give .txt, .csv, .tsv, .jsonl or .parquet")


def _column(path: Path, columns: Iterable[str]) -> str:
    by_lower = {name.lower().strip(): name for name in columns if name}
    for name in TEXT_COLUMNS:
        if name in by_lower:
            return by_lower[name]
    raise UserError(f"{path} has no text column among {', '.join(columns)}; name one {TEXT_COLUMNS[1]!r}")


def _flat(values: Iterable[Any]) -> Iterator[str | None]:
    """Yield texts out of texts and lists of texts."""
    for value in values:
        yield from (str(text) for text in (value if isinstance(value, list) else [value]) if text is not None)


Labelled = tuple[list[str], NDArray[np.bool_]]


def _split(positives: list[str], negatives: list[str], seed: int) -> tuple[Labelled, Labelled]:
    """Return the texts to train on and those held out, each with its truth ([N], true for positives)."""
    parts: list[list[tuple[str, bool]]] = [[], []]
    for truth, texts in ((True, positives), (False, negatives)):
        for text in texts:
            parts[int(content_id(str(seed), text), 16) % HELD_OUT == 0].append((text, truth))
    trained, held_out = (([text for text, _ in part], np.array([truth for _, truth in part])) for part in parts)
    return trained, held_out


def _fit(texts: list[str], truth: NDArray[np.bool_]) -> tuple[NDArray[np.float32], float]:
    """Return weights [BUCKETS] and bias that minimise the balanced log loss + L2 · |weights|²."""
    ngrams: NGrams = hashed_ngrams(pa.array(texts, pa.large_string()))
    by_text = np.argsort(ngrams.texts, kind="stable")
    used, place = np.unique(ngrams.buckets[by_text], return_inverse=True)
    inputs = torch.from_numpy(place)
    starts = torch.from_numpy(np.searchsorted(ngrams.texts[by_text], np.arange(ngrams.count)))
    shares = torch.from_numpy(ngrams.weights[by_text])
    target = torch.from_numpy(truth.astype(np.float32))
    balance = torch.where(target > 0, 0.5 / target.sum(), 0.5 / (1 - target).sum())
    weights = torch.zeros(len(used), 1, requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    descent = torch.optim.LBFGS([weights, bias], max_iter=200, tolerance_change=1e-8, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        descent.zero_grad()
        logits = torch.nn.functional.embedding_bag(
            inputs, weights, starts, mode="sum", per_sample_weights=shares
        ).squeeze(1)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits + bias, target, reduction="none")
        total = (losses * balance).sum() + L2 * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    descent.step(loss)  # type: ignore[no-untyped-call]
    spread = np.zeros(BUCKETS, np.float32)
    spread[used] = weights.detach().numpy()[:, 0]
    return spread, bias.item()


def _threshold(scores: NDArray[np.float32], recall: float) -> float:
    """Return the highest threshold that lets a share of at least `recall` of `scores` pass."""
    needed = int(np.ceil(recall * len(scores) - 1e-9))
    return float(np.floor(np.sort(scores)[len(scores) - needed] * 1e6) / 1e6)


def _counts(truth: NDArray[np.bool_]) -> dict[str, int]:
    return {"positives": int(truth.sum()), "negatives": int((~truth).sum())}


def _metrics(scores: NDArray[np.float32], truth: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    passed = scores >= threshold
    others = np.sort(scores[~truth])
    below = (np.searchsorted(others, scores[truth], "left") + np.searchsorted(others, scores[truth], "right")) / 2
    return {
        "recall": round(float(passed[truth].mean()), 5),
        "false_positive_rate": round(float(passed[~truth].mean()), 5),
        "auc": round(float(below.mean() / len(others)), 5),
        "threshold": threshold,
    }
