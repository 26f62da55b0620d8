"""The Smooth-Attention-Operation beside its plain definition by unfolding: time, memory, and how they go with r.

    .venv/bin/python benchmarks/smooth_attention.py

A grid of 64 × 64 tokens, 4 heads of 64 dimensions, float32, on the CPU with one thread. Times are of the processor, so
that other work on the machine counts little; rounds are taken in turn, and the best of each counts. Memory is what the
peak of the process rises by, result included, at 8 times that batch.
"""

import argparse
import ctypes
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from geomammut.model.smooth_attention import smooth_attention

GRID, HEADS, DEPTH, RADIUS = 64, 4, 64, 8
RADII = (0, 1, 2, 4, 8, 16, 32, 63)


def by_unfolding(logits: Tensor, values: Tensor, radius: int) -> Tensor:
    """Every window side by side, then a softmax in each: [B, H, h, w, d]."""
    batch, heads, height, width, depth = values.shape
    side = 2 * radius + 1
    s = F.pad(logits.flatten(0, 1).unsqueeze(1), [radius] * 4, value=-torch.inf)
    v = F.pad(values.flatten(0, 1).movedim(-1, 1), [radius] * 4)
    weights = F.unfold(s, side).softmax(dim=1)  # [B · H, side², h · w]
    windows = F.unfold(v, side).unflatten(1, (depth, side**2))
    pooled = torch.einsum("nkp,ndkp->npd", weights, windows)
    return pooled.reshape(batch, heads, height, width, depth)


def inputs(batch: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(batch, HEADS, GRID, GRID), torch.randn(batch, HEADS, GRID, GRID, DEPTH)


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def rise(call: Callable[[], object]) -> int:
    """Return by how many bytes the resident memory rises over what it was, at its peak (Linux)."""
    call()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what an earlier call freed would count as there before
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    kept = call()
    peak = _status("VmHWM")
    del kept
    return peak - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--unfoldings", type=int, default=2)
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        logits, values = inputs(1)
        times: dict[int, list[float]] = {radius: [] for radius in RADII}
        for _ in range(asked.rounds):
            for radius in RADII:
                times[radius].append(seconds(lambda r=radius: smooth_attention(logits, values, r)))  # type: ignore[misc]
        best = {radius: min(some) for radius, some in times.items()}
        slow = min(seconds(lambda: by_unfolding(logits, values, RADIUS)) for _ in range(asked.unfoldings))
        apart = float((by_unfolding(logits, values, RADIUS) - smooth_attention(logits, values, RADIUS)).abs().max())
        more, many = inputs(8)
        extra = rise(lambda: smooth_attention(more, many, RADIUS))
    print(
        json.dumps(
            {
                "grid": GRID,
                "milliseconds_by_radius": {radius: round(1000 * some, 2) for radius, some in best.items()},
                "spread": round(max(best.values()) / min(best.values()) - 1, 3),
                "unfold_seconds": round(slow, 3),
                "times_faster": round(slow / best[RADIUS], 1),
                "largest_difference": apart,
                "peak_extra_over_values": round(extra / (many.numel() * many.element_size()), 2),
                "cpus": os.cpu_count(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
