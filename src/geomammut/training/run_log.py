"""What a run tells as it goes: `log.jsonl`, TensorBoard, and a bar on stderr."""

import contextlib
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from geomammut.errors import UserError
from geomammut.progress import progress_bar


class RunLog:
    """`log.jsonl`, one line a step, and the same for TensorBoard if asked for; silent where it does not lead.

    Raises:
        UserError: TensorBoard is asked for, and missing.
    """

    def __init__(self, out: Path, *, tensorboard: bool, leads: bool) -> None:
        self.path = out / "log.jsonl"
        self.leads = leads
        self._board: Any = None
        if leads:
            out.mkdir(parents=True, exist_ok=True)
        if leads and tensorboard:
            if find_spec("tensorboard") is None:
                raise UserError("tensorboard = true needs it; install it with `pip install 'geomammut[tensorboard]'`")
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an extra of the set-up)

            self._board = SummaryWriter(str(out / "tensorboard"))
        self._steps = 0

    def cut(self, stage: int, step: int) -> None:
        """Drop the lines of steps that are about to be taken (again)."""
        if not self.leads:
            return
        kept = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    record = json.loads(line)
                    if (record["stage"], record["step"]) < (stage, step):
                        kept.append(line)
        self._steps = len(kept)
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, *, stage: int, name: str, step: int, **figures: float) -> None:
        if not self.leads:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, "name": name, "step": step, **figures}) + "\n")
        if self._board is not None:
            for figure, value in figures.items():
                self._board.add_scalar(figure, value, self._steps)
        self._steps += 1

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


@contextlib.contextmanager
def stage_progress(name: str, steps: int, first: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """Yield what advances a bar by a step, given its figures."""
    with progress_bar() as bar:
        task = bar.add_task(f"train {name}", total=steps, completed=first)

        def tick(figures: dict[str, float]) -> None:
            told = f"train {name}: loss {figures['loss']:.3f}, {figures['samples_per_s']:.0f}/s"
            bar.update(task, advance=1, description=told)

        yield tick
