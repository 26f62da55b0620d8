"""Run by `torchrun` (test_ranks.py): each kind of step on this rank's rows; the first rank saves what came out.

torchrun --nproc-per-node N tests/steps_of_ranks.py OUT
"""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer
from geomammut.training.checkpoint import read_checkpoint, whole_weights, write_checkpoint
from geomammut.training.data import Batch
from geomammut.training.ranks import Ranks, join_ranks
from geomammut.training.recipe import Recipe, Stage
from geomammut.training.step import new_learner, train_step

CAPTIONS = ["a", "a red roof", "a b", "a lake beside a wood and a road to a farm", "ab", "a red roof", "b", "c"]
KINDS = list(product(("ddp", "fsdp"), ("infonce", "focal", "siglip"), (0, 1)))
FEW = [("ddp", "siglip", 1), ("fsdp", "infonce", 0)]  # of four processes
HALF = [("ddp", "infonce", 0), ("fsdp", "focal", 0)]  # in bfloat16, too


def small_model() -> Mammut:
    torch.manual_seed(0)
    tokenizer = Tokenizer.train(CAPTIONS, 400, 24)
    text = TextConfig(
        context_length=24, vocab_size=tokenizer.vocab_size, width=16, layers=3, heads=2,
        start_token=tokenizer.start, end_token=tokenizer.end,
    )  # fmt: skip
    vision = VisionConfig(image_size=32, patch_size=8, width=16, layers=2, heads=2, pool="attention")
    return Mammut(MammutConfig(vision=vision, text=text), tokenizer).double()


def step(
    parallel: str,
    contrastive: str,
    micro_batch: int,
    ranks: Ranks,
    out: Path | None = None,
    precision: str = "float32",
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Take two steps; return the figures of the second, and gradients and weights after it, whole.

    With `out`, the step between is written as a checkpoint and read by another learner, which goes on.
    """
    images = torch.randn(len(CAPTIONS), 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = ranks.rows(len(CAPTIONS))
    own = slice(rows.start, rows.stop)
    sources = ["a" if len(caption) > 2 else "b" for caption in CAPTIONS]
    batch = Batch(images, CAPTIONS, [[each] for each in CAPTIONS], [[]] * len(CAPTIONS), sources).rows(own)
    plan = Recipe.model_validate(
        {
            "pairs": {"a": "a", "b": "b"},
            "stages": [Stage(name="only", mix={"a": 1.0}, samples=len(CAPTIONS))],
            "batch_size": len(CAPTIONS),
            "precision": precision,  # "float32": no autocast, as the model is
            "parallel": parallel,
            "micro_batch": micro_batch,
            "loss": {"contrastive": contrastive},
            "optimizer": {"average": 0.5},
        }
    )
    model = small_model()
    if precision == "bfloat16":
        model, batch = model.float(), replace(batch, images=batch.images.float())
    learner = new_learner(model, plan, ranks)
    train_step(learner, batch)
    if out is not None:
        write_checkpoint(out, learner, stage=0, step=1)
        learner = new_learner(small_model(), plan, ranks)
        checkpoint = read_checkpoint(out)
        assert checkpoint is not None
        checkpoint.restore(learner)
    figures = train_step(learner, batch)
    found = {f"weights.{name}": value.clone() for name, value in whole_weights(learner).items()}
    for name, parameter in learner.model.named_parameters():
        if parameter.grad is not None:
            gradient = parameter.grad
            found[f"gradient.{name}"] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
    return figures, found


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    with join_ranks(torch.device("cpu")) as ranks:
        for kind in KINDS if ranks.count == 2 else FEW:
            resumed = out / "-".join(map(str, kind)) if kind[1] == "infonce" else None
            result = step(*kind, ranks, resumed)
            if ranks.leads:
                torch.save(result, out / f"{'-'.join(map(str, kind))}.pt")
        for kind in HALF:
            figures, _ = step(*kind, ranks, precision="bfloat16")
            if ranks.leads:
                torch.save(figures, out / f"{'-'.join(map(str, kind))}-half.pt")


if __name__ == "__main__":
    main()
