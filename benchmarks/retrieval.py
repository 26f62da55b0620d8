"""Retrieval scored at the size of a web-scale benchmark, ours beside CLIP_benchmark's `recall_at_k`.

    .venv/bin/pip install --target clip_benchmark_here --no-deps clip-benchmark   # a folder of its own
    .venv/bin/python benchmarks/retrieval.py --clip-benchmark clip_benchmark_here

Recall at 1, 5 and 10 both ways, from embeddings of 512 numbers, five texts an image, drawn at random about their
image. Theirs does what its `evaluate` does once the embeddings are there: all scores, the table of right pairs,
`recall_at_k` by batches of 64 queries. Each runs in a process of its own that may hold 3 GB of data (RLIMIT_DATA).
First the largest size that theirs can hold is looked for from above; there both are timed. Theirs would take a quarter
of an hour, so every 32nd batch of queries is timed and stands for 32; both must find the same recalls of these
queries. Then ours scores 50,000 images against 250,000 texts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DIMENSIONS, TEXTS_AN_IMAGE, BATCH, EVERY, TOP = 512, 5, 64, 32, (1, 5, 10)
WHOLE = 50_000


def embeddings(images: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Return images [I, E], texts [5·I, E] and the image of each text."""
    torch.manual_seed(0)
    owners = np.repeat(np.arange(images), TEXTS_AN_IMAGE)
    of_images = F.normalize(torch.randn(images, DIMENSIONS), dim=-1)
    of_texts = torch.randn(len(owners), DIMENSIONS).div_(DIMENSIONS**0.5).mul_(8)
    for first in range(0, len(owners), 10_000):
        of_texts[first : first + 10_000] += of_images[owners[first : first + 10_000]]
    return of_images, of_texts.div_(of_texts.norm(dim=-1, keepdim=True)), owners


def sampled(queries: int) -> list[range]:
    """Return every 32nd batch of queries."""
    starts = range(0, queries, EVERY * BATCH)
    return [range(first, min(first + BATCH, queries)) for first in starts]


def score_ours(images: torch.Tensor, texts: torch.Tensor, owners: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return seconds, and the recalls of the sampled queries; all are ranked."""
    from geomammut.evaluation.ranks import rank

    started = time.perf_counter()
    both = rank(images, texts, np.stack([owners, np.arange(len(owners))], axis=1))
    seconds = time.perf_counter() - started
    return seconds, {
        f"{name}_r{k}": 100 * float((ranks.before[np.concatenate(sampled(len(ranks.before)))] < k).mean())
        for name, ranks in zip(("i2t", "t2i"), both, strict=True)
        for k in TOP
    }


def score_theirs(images: torch.Tensor, texts: torch.Tensor, owners: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return the seconds that all queries would take, and the recalls of the sampled ones."""
    from clip_benchmark.metrics.zeroshot_retrieval import (  # type: ignore[import-not-found, unused-ignore]
        batchify,
        recall_at_k,
    )

    started = time.perf_counter()
    scores = texts @ images.t()
    right = torch.zeros_like(scores, dtype=torch.bool)
    right[torch.arange(len(scores)), torch.from_numpy(owners)] = True
    seconds = time.perf_counter() - started
    found = {}
    for name, table, truth in (("i2t", scores.T, right.T), ("t2i", scores, right)):
        batches = sampled(len(table))
        for k in TOP:
            started = time.perf_counter()
            hits = [
                batchify(recall_at_k, table[some.start : some.stop], truth[some.start : some.stop], BATCH, "cpu", k=k)
                > 0
                for some in batches
            ]
            share = sum(map(len, batches)) / len(table)
            seconds += (time.perf_counter() - started) / share
            found[f"{name}_r{k}"] = 100 * torch.cat(hits).double().mean().item()
    return seconds, found


def measure(kind: str, images: int, memory_gb: float) -> None:
    """Score once and print a line of JSON; `memory_gb` limits what the process may hold."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    limit = int(memory_gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        inputs = embeddings(images)
        seconds, recalls = {"ours": score_ours, "CLIP_benchmark": score_theirs}[kind](*inputs)
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        print(json.dumps({"held": False}))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"held": True, "seconds": seconds, "peak_gb": peak, "recalls": recalls}))


def run(kind: str, images: int, arguments: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", __file__, "--measure", kind, str(images)]
    command += ["--memory-gb", str(arguments.memory_gb)]
    environment = os.environ | {"PYTHONPATH": str(arguments.clip_benchmark or "")}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    result: dict[str, object] = json.loads(told.splitlines()[-1])
    size = f"{images:,} images × {images * TEXTS_AN_IMAGE:,} texts"
    if result["held"]:
        print(f"{kind}, {size}: {result['seconds']:.1f} s, at most {result['peak_gb']:.2f} GB", flush=True)
    else:
        print(f"{kind}, {size}: does not fit in {arguments.memory_gb:g} GB", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clip-benchmark", type=Path, help="folder that clip-benchmark was installed to")
    parser.add_argument("--images", type=int, default=WHOLE)
    parser.add_argument("--memory-gb", type=float, default=3.0)
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "IMAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, images = arguments.measure
        return measure(kind, int(images), arguments.memory_gb)
    if arguments.clip_benchmark:
        # A score of 4 bytes and a truth of 1 for every pair, beside 1 GB of all else.
        images = int(((arguments.memory_gb - 1) * 1e9 / 5 / TEXTS_AN_IMAGE) ** 0.5)
        while not (peer := run("CLIP_benchmark", images, arguments))["held"]:
            images = int(0.93 * images)
        own = run("ours", images, arguments)
        assert own["recalls"] == peer["recalls"], (own["recalls"], peer["recalls"])
        print(f"the same recalls, {own['recalls']}", flush=True)
        print(f"ratio {peer['seconds'] / own['seconds']:.1f} x as fast", flush=True)  # type: ignore[operator]
    run("ours", arguments.images, arguments)


if __name__ == "__main__":
    main()
