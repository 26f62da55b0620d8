"""One training step, ours beside LAION's MaMMUT (open_clip_mammut), at the same size, batch and precision.

    git clone https://github.com/LAION-AI/open_clip_mammut
    .venv/bin/python benchmarks/train_step.py --laion open_clip_mammut

Size of `rsicd_small`'s yardstick: 128 px, patch 16, width 256, 6 + 6 layers, 49,408-word head, context 32,
batch 128, float32 on the CPU. Captions have 10 to 18 tokens, as RSICD's have under CLIP's tokenizer. Each
runs in a process of its own, in turn, `--rounds` times; the best round of each counts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

BATCH, CONTEXT, VOCABULARY, SIZE, PATCH, WIDTH, HEADS, LAYERS = 128, 32, 49408, 128, 16, 256, 4, 6
STEPS = 4


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images [B, 3, S, S] and token ids [B, L] with start, end and pads of 0."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator)
    tokens = torch.zeros(BATCH, CONTEXT, dtype=torch.long)
    for row in tokens:
        length = int(torch.randint(10, 19, (1,), generator=generator))
        row[1:length] = torch.randint(1, VOCABULARY - 3, (length - 1,), generator=generator)
        row[0], row[length] = VOCABULARY - 2, VOCABULARY - 1
    return images, tokens


def our_step() -> Callable[[], float]:
    """Return a function that takes one step and returns its loss."""
    from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
    from geomammut.model.mammut import Mammut
    from geomammut.model.tokenizer import ClipTokenizer
    from geomammut.training.data import Batch
    from geomammut.training.recipe import Recipe, Stage
    from geomammut.training.step import new_learner, train_step

    images, tokens = batch()

    class Given(ClipTokenizer):
        def __call__(self, texts: object) -> torch.Tensor:
            return tokens

    config = MammutConfig(
        vision=VisionConfig(
            image_size=SIZE, patch_size=PATCH, width=WIDTH, layers=LAYERS, heads=HEADS, class_token=True
        ),
        text=TextConfig(context_length=CONTEXT, vocab_size=VOCABULARY, width=WIDTH, layers=LAYERS, heads=HEADS),
        tokenizer="clip",
    )
    plan = Recipe(pairs={"none": ""}, stages=[Stage(name="s", mix={"none": 1.0}, samples=BATCH)])
    model = Mammut(config, Given(CONTEXT)).train()
    learner = new_learner(model, plan)
    given = Batch(images, [str(number) for number in range(BATCH)], [[]] * BATCH, ["none"] * BATCH)
    return lambda: train_step(learner, given)["loss"]


def laion_step() -> Callable[[], float]:
    """Likewise for the checkout of open_clip_mammut on PYTHONPATH, with its own loss at weights 1 and 1."""
    from open_clip.loss import CoCaLoss  # type: ignore[import-not-found, unused-ignore]
    from open_clip.mammut_model import MaMMUT  # type: ignore[import-not-found, unused-ignore]

    images, tokens = batch()
    vision = {
        "image_size": SIZE, "layers": LAYERS, "width": WIDTH, "patch_size": PATCH, "output_tokens": True,
        "pool_type": "avg_all", "final_ln_after_pool": True,
    }  # fmt: skip
    text = {
        "context_length": CONTEXT, "vocab_size": VOCABULARY, "width": WIDTH, "heads": HEADS, "layers": LAYERS,
        "output_tokens": True, "cross_attn_ratio": 2, "does_full_decoding": True,
    }  # fmt: skip
    model = MaMMUT(WIDTH, text, vision).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    criterion = CoCaLoss(caption_loss_weight=1.0, clip_loss_weight=1.0)

    def step() -> float:
        optimizer.zero_grad()
        loss = sum(criterion(**model(images, tokens)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def measure(kind: str) -> None:
    """Time one kind in this process and print a line of JSON."""
    import resource

    step = {"ours": our_step, "laion": laion_step}[kind]()
    step()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    rate = BATCH * STEPS / (time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"samples_per_s": rate, "peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--laion", help="checkout of LAION-AI/open_clip_mammut")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", choices=["ours", "laion"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for kind in ["ours", "laion"] if arguments.laion else ["ours"]:
            path = str(Path(arguments.laion) / "src") if kind == "laion" else ""
            environment = os.environ | {"PYTHONPATH": path}
            command = [sys.executable, __file__, "--measure", kind]
            told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            figures = json.loads(told.splitlines()[-1])
            print(kind, {name: round(value, 1) for name, value in figures.items()}, flush=True)
            if figures["samples_per_s"] > best.get(kind, {"samples_per_s": 0.0})["samples_per_s"]:
                best[kind] = figures
    if len(best) == 2:
        rate = best["ours"]["samples_per_s"] / best["laion"]["samples_per_s"]
        memory = best["ours"]["peak_mb"] / best["laion"]["peak_mb"]
        print(f"ratio ours / LAION: {rate:.2f} x the samples/s, {memory:.2f} x the peak memory")


if __name__ == "__main__":
    main()
