"""Where a run stands: weights, optimizer and running mean in safetensors, a file a rank under FSDP.

Nothing else needs storing: what a step draws at random is a function of the seed and the step.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from geomammut.errors import UserError
from geomammut.files import write_json
from geomammut.training.recipe import Recipe
from geomammut.training.step import Learner

FOLDER, FINISHED = "checkpoints", "finished.json"
_PLACE = "place.json"
_STATE = ("step", "exp_avg", "exp_avg_sq")  # of AdamW


@dataclass(frozen=True)
class Checkpoint:
    """A place in a run: the next `step` of `stage`, under `recipe`; `finished` if there is none."""

    stage: int
    step: int
    recipe: dict[str, Any]
    folder: Path
    finished: bool = False

    def restore(self, learner: Learner) -> None:
        """Put the stored weights, optimizer state and running mean back; the ranks may be others than then.

        Raises:
            UserError: A file is broken or lacks a part.
        """
        try:
            with ExitStack() as stack:
                files = [
                    stack.enter_context(safe_open(path, "pt")) for path in sorted(self.folder.glob("*.safetensors"))
                ]
                stored = {name for file in files for name in file.keys()}  # noqa: SIM118 (no dict)

                def read(name: str) -> Tensor:
                    parts = [file.get_tensor(name) for file in files if name in file.keys()]  # noqa: SIM118
                    whole: Tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
                    return whole

                for name, parameter in learner.model.named_parameters():
                    with torch.no_grad():
                        parameter.copy_(_placed(read(f"model.{name}"), parameter))
                    if f"optimizer.exp_avg.{name}" in stored:
                        learner.optimizer.state[parameter] = {
                            key: read(f"optimizer.{key}.{name}")
                            if key == "step"
                            else _placed(read(f"optimizer.{key}.{name}"), parameter).clone()
                            for key in _STATE
                        }
                for name, mean in learner.average.items():
                    mean.copy_(_placed(read(f"average.{name}"), mean))
        except (SafetensorError, OSError, RuntimeError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.folder} cannot be read ({reason}); remove it to go on from before it") from error

    @staticmethod
    def mark_finished(out: Path, plan: Recipe) -> None:
        """Record that the run in `out` is whole; its checkpoints are no longer needed."""
        write_json(out / FINISHED, plan.model_dump(mode="json"))
        shutil.rmtree(out / FOLDER, ignore_errors=True)


def write_checkpoint(out: Path, learner: Learner, *, stage: int, step: int) -> None:
    """Write where the run stands, whole or not at all, and remove all but the latest; every rank calls this."""
    ranks, plan = learner.ranks, learner.plan
    final = out / FOLDER / f"{stage:03d}-{step:08d}"
    partial = final.with_name(f".{final.name}.partial")
    if ranks.leads:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    ranks.wait()
    # What is sharded is everybody's, the rest the first rank's.
    own = {
        name: value.to_local() if isinstance(value, DTensor) else value
        for name, value in _tensors(learner)
        if ranks.leads or isinstance(value, DTensor)
    }
    if own:
        whole = {name: value.detach().cpu().contiguous() for name, value in own.items()}
        save_file(whole, partial / f"rank-{ranks.rank:05d}.safetensors")
    ranks.wait()
    if ranks.leads:
        write_json(partial / _PLACE, {"stage": stage, "step": step, "recipe": plan.model_dump(mode="json")})
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
        for older in _folders(out)[plan.checkpoints :]:
            shutil.rmtree(older, ignore_errors=True)
    ranks.wait()


def read_checkpoint(out: Path) -> Checkpoint | None:
    """Return where the run in `out` stands, or None if there is none.

    Raises:
        UserError: The checkpoint cannot be read.
    """
    if (out / FINISHED).is_file():
        recipe = json.loads((out / FINISHED).read_text(encoding="utf-8"))
        return Checkpoint(stage=-1, step=0, recipe=recipe, folder=out, finished=True)
    folders = _folders(out)
    if not folders:
        return None
    try:
        place = json.loads((folders[0] / _PLACE).read_text(encoding="utf-8"))
        return Checkpoint(place["stage"], place["step"], place["recipe"], folders[0])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{folders[0]} cannot be read ({error}); remove it to go on from before it") from error


def whole_weights(learner: Learner) -> dict[str, Tensor]:
    """Return the weights of the model to be written, each whole, by name; every rank calls this."""
    weights = dict(learner.model.state_dict()) | learner.average
    return {name: value.full_tensor().cpu() if isinstance(value, DTensor) else value for name, value in weights.items()}


def _folders(out: Path) -> list[Path]:
    """Return the checkpoints in `out`, the latest first."""
    return sorted((out / FOLDER).glob("[0-9]*-[0-9]*"), reverse=True)


def _tensors(learner: Learner) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in learner.model.named_parameters():
        yield f"model.{name}", parameter
        for key, value in learner.optimizer.state.get(parameter, {}).items():
            yield f"optimizer.{key}.{name}", value
    for name, mean in learner.average.items():
        yield f"average.{name}", mean


def _placed(whole: Tensor, like: Tensor) -> Tensor:
    """Return `whole` where and as `like` is: on its device, this rank's share of it if it is shared."""
    whole = whole.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
    return whole
