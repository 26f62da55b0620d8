"""Published figures, which stand beside ours with their source and protocol (`anchors.toml`)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Anchor:
    """What a source reports of a model on a benchmark.

    Attributes:
        model: Its name there.
        benchmark: Our name of it.
        metrics: In percent; of retrieval also `i2t_mean` and `t2i_mean`, a direction's mean of R@1, R@5 and R@10.
        source: Paper and table.
        protocol: How it was measured, and on what split.
        ours: Our protocol of retrieval that it is nearest to.
    """

    model: str
    benchmark: str
    metrics: dict[str, float]
    source: str
    protocol: str
    ours: str | None


def published(benchmark: str) -> list[Anchor]:
    """Return the figures published for a benchmark, in the order of their sources."""
    return [anchor for anchor in _anchors() if anchor.benchmark == benchmark]


def anchored_benchmarks() -> list[str]:
    """Return the names of the benchmarks that have published figures here."""
    return sorted({anchor.benchmark for anchor in _anchors()})


@cache
def _anchors() -> tuple[Anchor, ...]:
    text = files("geomammut.evaluation").joinpath("anchors.toml").read_text(encoding="utf-8")
    return tuple(
        Anchor(model, benchmark, metrics, group["source"], group["protocol"], group.get("ours"))
        for group in tomllib.loads(text)["groups"]
        for model, benchmarks in group["values"].items()
        for benchmark, metrics in benchmarks.items()
    )
