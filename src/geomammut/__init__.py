"""GeoMaMMUT: an open remote-sensing vision-language system, from a map and pixels to search and masks.

Every verb of the command line is a function of the same name here; each is imported when first used,
so that importing the package costs nothing.
"""

import os
from importlib import import_module
from typing import Any

# Daft and Ray report their use to their makers unless asked not to; the verbs draw progress bars of their own.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

__version__ = "0.1.0"

_HOMES = {
    "load_model": "model.load",
    "model_info": "model.load",
    "model_import": "model.load",
    "model_export": "model.load",
    "model_push": "model.load",
    "model_card": "evaluation.model_card",
    "smooth_attention": "model.smooth_attention",
    "pairs_landmarks": "pairs.landmarks",
    "pairs_web": "pairs.web",
    "web_train_classifier": "training.aerial_classifier",
    "web_train_text_classifier": "pairs.web_stages.train_text_classifier",
    "load_text_classifier": "pairs.web_stages.text_classifier",
    "load_classifier": "model.aerial_classifier",
    "benchmarks_add": "pairs.benchmark_register",
    "benchmarks_list": "pairs.benchmark_register",
    "benchmarks_remove": "pairs.benchmark_register",
    "pairs_import": "pairs.benchmark",
    "pairs_check": "pairs.check",
    "pairs_preview": "pairs.preview",
    "train": "training.trainer",
    "eval_retrieval": "evaluation.retrieval",
    "eval_classification": "evaluation.classification",
    "eval_captioning": "evaluation.captioning",
    "eval_segmentation": "evaluation.segmentation",
    "eval_suite": "evaluation.suite",
    "heatmap": "localization.heatmaps",
    "segment": "localization.segments",
    "localize": "localization.rounds",
    "index": "search.index",
    "serve": "search.server.serve",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 (keys are strings)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"geomammut.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'geomammut' has no attribute {name!r}")
