"""One training step, ours beside LAION's MaMMUT (open_clip_mammut) and open_clip's CoCa, at like size and precision.

    git clone https://github.com/LAION-AI/open_clip_mammut
    .venv/bin/python benchmarks/train_step.py --laion open_clip_mammut --size small

Sizes: `small` is that of `rsicd_small`'s yardstick (128 px, patch 16, width 256, 6 + 6 layers, context 32, batch 128),
`b32` and `l14` are LAION's ViT-B/32 and ViT-L/14 at 224 px and context 77. All have the 49,408-word head. Captions have
10 to 18 tokens, as RSICD's have under CLIP's tokenizer. CoCa has the same towers with its own poolers and a decoder
of as many layers. bfloat16 (autocast) where the device has hardware for it, else float32. Each runs in a process of its
own, in turn, `--rounds` times; the best round of each counts. MFU is our count of a step's operations (which leaves
out what padding and logits without labels add in the others) as a share of what large matrix products reach here.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

VOCABULARY = 49408
KINDS = ("ours", "laion", "coca")


@dataclass(frozen=True)
class Size:
    """Dimensions of a step; heads have 64 numbers."""

    batch: int
    context: int
    image: int
    patch: int
    vision: tuple[int, int]  # width, layers
    text: tuple[int, int]
    steps: int = 3


SIZES = {
    "small": Size(128, 32, 128, 16, (256, 6), (256, 6)),
    "b32": Size(32, 77, 224, 32, (768, 12), (512, 12)),
    "l14": Size(64, 77, 224, 14, (1024, 24), (768, 12), steps=8),
}


def batch_of(size: Size) -> tuple[Tensor, Tensor]:
    """Return images [B, 3, S, S] and token ids [B, L] with start, end and pads of 0."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size.batch, 3, size.image, size.image, generator=generator)
    tokens = torch.zeros(size.batch, size.context, dtype=torch.long)
    for row in tokens:
        length = int(torch.randint(10, 19, (1,), generator=generator))
        row[1:length] = torch.randint(1, VOCABULARY - 3, (length - 1,), generator=generator)
        row[0], row[length] = VOCABULARY - 2, VOCABULARY - 1
    return images, tokens


def our_step(size: Size, device: torch.device) -> Callable[[], object]:
    """Return a function that takes one step."""
    from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
    from geomammut.model.mammut import Mammut
    from geomammut.model.tokenizer import ClipTokenizer
    from geomammut.training.data import Batch
    from geomammut.training.recipe import Recipe, Stage
    from geomammut.training.step import new_learner, train_step

    images, tokens = batch_of(size)

    class Given(ClipTokenizer):
        def __call__(self, texts: object) -> Tensor:
            return tokens

    (vision_width, vision_layers), (text_width, text_layers) = size.vision, size.text
    config = MammutConfig(
        vision=VisionConfig(
            image_size=size.image, patch_size=size.patch, width=vision_width, layers=vision_layers,
            heads=vision_width // 64, class_token=True,
        ),
        text=TextConfig(
            context_length=size.context, vocab_size=VOCABULARY, width=text_width, layers=text_layers,
            heads=text_width // 64,
        ),
        tokenizer="clip",
    )  # fmt: skip
    plan = Recipe(
        pairs={"none": ""}, stages=[Stage(name="s", mix={"none": 1.0}, samples=size.batch)], batch_size=size.batch
    )
    learner = new_learner(Mammut(config, Given(size.context)).to(device).train(), plan)
    words = [str(number) for number in range(size.batch)]
    given = Batch(images, words, [[word] for word in words], [[]] * size.batch, ["none"] * size.batch)
    return lambda: train_step(learner, given)


def laion_step(size: Size, device: torch.device) -> Callable[[], object]:
    """Likewise for the checkout of open_clip_mammut on PYTHONPATH, with its own loss at weights 1 and 1."""
    from open_clip.mammut_model import MaMMUT  # type: ignore[import-not-found, unused-ignore]

    vision = {
        "image_size": size.image, "layers": size.vision[1], "width": size.vision[0], "patch_size": size.patch,
        "output_tokens": True, "pool_type": "avg_all", "final_ln_after_pool": True,
    }  # fmt: skip
    text = {
        "context_length": size.context, "vocab_size": VOCABULARY, "width": size.text[0], "heads": size.text[0] // 64,
        "layers": size.text[1], "output_tokens": True, "cross_attn_ratio": 2, "does_full_decoding": True,
    }  # fmt: skip
    return _open_clip_step(MaMMUT(size.text[0], text, vision), size, device, size.context)


def coca_step(size: Size, device: torch.device) -> Callable[[], object]:
    """Likewise for open_clip's CoCa."""
    from open_clip.coca_model import CoCa

    heads = size.text[0] // 64
    vision = {
        "image_size": size.image, "layers": size.vision[1], "width": size.vision[0], "patch_size": size.patch,
        "attentional_pool": True, "attn_pooler_heads": heads, "output_tokens": True,
    }  # fmt: skip
    text = {
        "context_length": size.context - 1, "vocab_size": VOCABULARY, "width": size.text[0], "heads": heads,
        "layers": size.text[1],
    }  # fmt: skip
    own = {"embed_cls": True, "output_tokens": True}
    model = CoCa(size.text[0], text | {"attn_pooler_heads": heads}, text | own, vision)
    return _open_clip_step(model, size, device, size.context - 1)  # and its class token


def _open_clip_step(model: torch.nn.Module, size: Size, device: torch.device, context: int) -> Callable[[], object]:
    from open_clip.loss import CoCaLoss

    from geomammut.training.step import bfloat16_is_fast

    images, tokens = (part.to(device) for part in batch_of(size))
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    criterion = CoCaLoss(caption_loss_weight=1.0, clip_loss_weight=1.0)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
            outputs = model(images, tokens[:, :context])
            loss = sum(criterion(**outputs))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def share_of_ceiling(size: Size, device: torch.device) -> float:
    """Return which share of the device's matrix-product ceiling one sample a second takes."""
    from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
    from geomammut.training.step import bfloat16_is_fast
    from geomammut.training.throughput import matmul_ceiling, training_flops

    width, layers = size.vision
    vision = VisionConfig(image_size=size.image, patch_size=size.patch, width=width, layers=layers, heads=width // 64)
    text = TextConfig(width=size.text[0], layers=size.text[1], heads=size.text[0] // 64, context_length=size.context)
    lengths = (batch_of(size)[1] != 0).sum(dim=1)
    flops = training_flops(
        MammutConfig(vision=vision, text=text),
        patches=vision.grid**2,
        tokens=float(lengths.float().mean()),
        contrastive=True,
        captions=True,
    )
    return flops / matmul_ceiling(device, torch.bfloat16 if bfloat16_is_fast(device) else torch.float32)


def measure(kind: str, size: Size) -> None:
    """Time one kind in this process and print a line of JSON."""
    import resource

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = {"ours": our_step, "laion": laion_step, "coca": coca_step}[kind](size, device)
    step()
    started = time.perf_counter()
    for _ in range(size.steps):
        step()
    rate = size.batch * size.steps / (time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps({"samples_per_s": rate, "peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--laion", help="checkout of LAION-AI/open_clip_mammut")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    if arguments.measure:
        measure(arguments.measure, size)
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    share = share_of_ceiling(size, device)
    best: dict[str, dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for kind in KINDS if arguments.laion else ("ours", "coca"):
            path = str(Path(arguments.laion) / "src") if kind == "laion" else ""
            command = [sys.executable, "-W", "ignore", __file__, "--measure", kind, "--size", arguments.size]
            told = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True
            ).stdout
            figures = json.loads(told.splitlines()[-1])
            share = min(share, share_of_ceiling(size, device))  # the machine at its fastest
            figures["mfu"] = figures["samples_per_s"] * share
            print(kind, {name: round(value, 2) for name, value in figures.items()}, flush=True)
            if figures["samples_per_s"] > best.get(kind, {"samples_per_s": 0.0})["samples_per_s"]:
                best[kind] = figures
    for peer in best.keys() - {"ours"}:
        rate = best["ours"]["samples_per_s"] / best[peer]["samples_per_s"]
        memory = best["ours"]["peak_mb"] / best[peer]["peak_mb"]
        print(f"{arguments.size}: ratio ours / {peer}: {rate:.2f} x the samples/s, {memory:.2f} x the peak memory")


if __name__ == "__main__":
    main()
