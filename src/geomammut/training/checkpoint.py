"""Where a run stands: weights and optimizer in one safetensors file, the place in its metadata.

Nothing else needs storing: what a step draws at random is a function of the seed and the step.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file, write_json
from geomammut.model.mammut import Mammut
from geomammut.training.recipe import Recipe

FILE, FINISHED = "checkpoint.safetensors", "finished.json"


@dataclass(frozen=True)
class Checkpoint:
    """A place in a run: the next `step` of `stage`, under `recipe`; `finished` if there is none."""

    stage: int
    step: int
    recipe: dict[str, Any]
    tensors: dict[str, Tensor]
    finished: bool = False

    def restore(self, model: Mammut, optimizer: torch.optim.Optimizer) -> None:
        """Put the stored weights and optimizer state back."""
        model.load_state_dict(
            {name.removeprefix("model."): tensor for name, tensor in self.tensors.items() if name.startswith("model.")}
        )
        for name, parameter in model.named_parameters():
            stored = {
                key: self.tensors[f"optimizer.{key}.{name}"].to(parameter.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"optimizer.{key}.{name}" in self.tensors
            }
            if stored:
                optimizer.state[parameter] = stored

    @staticmethod
    def mark_finished(out: Path, plan: Recipe) -> None:
        """Record that the run in `out` is whole; its checkpoint is no longer needed."""
        write_json(out / FINISHED, plan.model_dump(mode="json"))
        (out / FILE).unlink(missing_ok=True)


def write_checkpoint(
    out: Path, model: Mammut, optimizer: torch.optim.Optimizer, *, stage: int, step: int, plan: Recipe
) -> None:
    """Replace the checkpoint in `out`, whole or not at all."""
    tensors = {f"model.{name}": value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
    place = {"stage": stage, "step": step, "recipe": plan.model_dump(mode="json")}
    with whole_file(out / FILE) as partial:
        save_file(tensors, partial, metadata={"place": json.dumps(place)})


def read_checkpoint(out: Path) -> Checkpoint | None:
    """Return where the run in `out` stands, or None if there is none.

    Raises:
        UserError: The checkpoint cannot be read.
    """
    if (out / FINISHED).is_file():
        recipe = json.loads((out / FINISHED).read_text(encoding="utf-8"))
        return Checkpoint(stage=-1, step=0, recipe=recipe, tensors={}, finished=True)
    if not (out / FILE).is_file():
        return None
    try:
        with safe_open(out / FILE, "pt") as file:
            place = json.loads(file.metadata()["place"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{out / FILE} cannot be read ({error}); remove {out} and train again") from error
    return Checkpoint(place["stage"], place["step"], place["recipe"], tensors)
