"""What the demo measured, gathered from its files: the contents of `metrics.json`."""

import json
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from geomammut.pairs.pair_set import PairSet

STAGES = ("start", "web", "landmarks", "mix", "round")
MASKS = ("attention", "sao", "round")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, or None if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def read_pairs(folder: Path) -> PairSet | None:
    """Return a pair set, or None if there is none."""
    return PairSet(folder) if (folder / "pairs.parquet").is_file() else None


def gather_metrics(out: Path, seconds: dict[str, float]) -> dict[str, Any]:
    """Return the demo's figures; what was not measured is None or left out of its group.

    Args:
        out: The demo's folder.
        seconds: How long each step took.
    """
    results = {path.stem: read_json(path) for path in sorted((out / "results").glob("*.json"))}
    retrieval = {stage: results[f"retrieval-{stage}"]["metrics"] for stage in STAGES if f"retrieval-{stage}" in results}
    segmentation = {
        name: results[f"segmentation-{name}"]["metrics"] for name in MASKS if f"segmentation-{name}" in results
    }
    classification = results.get("classification")
    heldout = read_pairs(out / "pairs" / "heldout")
    chance = recall_chance([len(some) for some in heldout.captions]) if heldout else {}
    if classification:
        classes = classification["counts"]["classes"]
        chance |= {f"top{k}": min(100.0, 100.0 * k / classes) for k in (1, 5)}
    if "segmentation-sao" in results:
        chance["miou"] = miou_chance(results["segmentation-sao"]["confusion"])
    trained = retrieval.get("mix")
    return {
        "settings": read_json(out / "demo.json"),
        "retrieval": retrieval,
        "chance": {name: round(value, 4) for name, value in chance.items()},
        "r10_over_chance": {way: _ratio(trained, chance, f"{way}_r10") for way in ("t2i", "i2t")},
        "classification": classification and classification["metrics"],
        "segmentation": segmentation,
        "sao_over_attention": _ratio(segmentation.get("sao"), segmentation.get("attention"), "miou"),
        "rounds": (read_json(out / "localized" / "rounds.json") or {}).get("rounds"),
        "seconds": seconds,
        "counts": _counts(out, results),
    }


def recall_chance(captions: Sequence[int]) -> dict[str, float]:
    """Return the recalls, in percent, to be expected of a random ranking in the `instance` protocol.

    Text → image: one of N images is right, so k / N. Image → text: one of the image's own c captions of all
    M is among the first k with probability 1 − C(M − c, k) / C(M, k); the mean over images.

    Args:
        captions: How many captions each of N images has.
    """
    images, texts = len(captions), sum(captions)
    chance: dict[str, float] = {}
    for k in (1, 5, 10):
        missed = [comb(texts - own, k) / comb(texts, k) if k <= texts else 0.0 for own in captions]
        chance[f"i2t_r{k}"] = 100 * (1 - sum(missed) / images)
    for k in (1, 5, 10):
        chance[f"t2i_r{k}"] = 100 * min(1.0, k / images)
    chance["mR"] = sum(chance.values()) / 6
    return chance


def miou_chance(confusion: Sequence[Sequence[int]]) -> float:
    """Return the mIoU, in percent, of giving every pixel one of the C classes by a throw of dice.

    A class with the share p of the pixels then has IoU (p / C) / (p + 1 / C − p / C).

    Args:
        confusion: [C, C], truth in rows.
    """
    counts = [sum(row) for row in confusion]
    guess = 1 / len(counts)
    shares = [count / sum(counts) for count in counts if count]
    return 100 * sum(share * guess / (share + guess - share * guess) for share in shares) / len(shares)


def _ratio(upper: dict[str, float] | None, lower: dict[str, float] | None, name: str) -> float | None:
    if not upper or not lower or not lower.get(name):
        return None
    return round(upper[name] / lower[name], 3)


def _counts(out: Path, results: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    if (out / "landmarks.parquet").is_file():
        counts["landmarks"] = pq.read_metadata(out / "landmarks.parquet").num_rows
    for folder in sorted((out / "pairs").glob("*/pairs.parquet")):
        pairs = PairSet(folder.parent)
        counts[f"{folder.parent.name}_pairs"] = len(pairs)
        counts[f"{folder.parent.name}_captions"] = sum(len(some) for some in pairs.captions)
    if "classification" in results:
        counts["scenes"] = results["classification"]["counts"]["images"]
        counts["scene_classes"] = results["classification"]["counts"]["classes"]
    if "segmentation-sao" in results:
        counts["mask_windows"] = results["segmentation-sao"]["counts"]["images"]
        counts["mask_classes"] = results["segmentation-sao"]["counts"]["classes"]
    return counts
