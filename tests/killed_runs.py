"""Runs of `geomammut pairs landmarks` that are killed with a language model's answers on the way."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from geomammut.pairs.writers.answer_store import AnswerStore
from geomammut.pairs.writers.writer import answers_path
from model_server import ModelServer
from small_place import area, box, town, write_image, write_map


@dataclass(frozen=True)
class Killed:
    """What a kill left: answers that the server gave by then, and those of them in the store."""

    answered: int
    stored: int


def run_and_kill(
    server: ModelServer,
    folder: Path,
    *words: str,
    size: int,
    kill_at: list[int],
    at_once: bool = False,
    interrupt: bool = False,
    limit_s: float = 240.0,
) -> tuple[Path, list[Killed]]:
    """Make the pair set of a small place in a process of its own, killing it after so many usable answers.

    Args:
        server: Answers.
        folder: Where the place and the pair set are made.
        words: More of the command line: `--writer` and whatever belongs to it.
        size: Side of a chip, pixels; the place is 512 × 512, and a wood covers it.
        kill_at: `kill -9` when the server has given so many usable answers, then start again.
        at_once: Kill whatever is on its way. Else the server first holds its answers back until the process
            has dealt with those it got, so that no answer is on the wire: then nothing may be paid for twice.
        interrupt: Stop it by Ctrl-C instead.
        limit_s: How long each process may take.
    """
    wood = area(box(-20, -20, 560, 560), natural="wood")
    image, table = write_image(folder / "place.tif"), write_map(folder, [wood, *town()])
    out = folder / "pairs"
    program = "import sys; from geomammut.cli import main; sys.exit(main())"
    command = [sys.executable, "-W", "ignore", "-c", program, "pairs", "landmarks"]
    command += ["--imagery", str(image), "--landmarks", str(table), "-o", str(out), "--size", str(size), *words]
    environment = {**os.environ, **server.environment(), "OMP_NUM_THREADS": "1"}
    kills = []
    for most in [*kill_at, None]:
        with (folder / "told.txt").open("w") as told:
            process = subprocess.Popen(command, env=environment, stdout=told, stderr=told)
        try:
            if most is None:
                assert process.wait(limit_s) == 0, (folder / "told.txt").read_text()[-2000:]
                break
            end = time.monotonic() + limit_s
            while sum(server.paid.values()) < most:
                assert process.poll() is None, (folder / "told.txt").read_text()[-2000:]
                assert time.monotonic() < end, "the run stands still"
                time.sleep(0.005)
            if interrupt:
                process.send_signal(signal.SIGINT)
                assert process.wait(limit_s) == 130, (folder / "told.txt").read_text()[-2000:]
                assert (folder / "told.txt").read_text().splitlines()[-1] == "interrupted"
            elif not at_once:
                server.hold()
                wait_until_idle(process.pid, end)
            process.kill()
            process.wait()
            time.sleep(0.2)  # until the server has seen that its client is gone
            kills.append(Killed(server.answered, stored(out)))
            server.let_go()
        finally:
            process.kill()
            process.wait()
    return out, kills


def stored(out: Path) -> int:
    """Return how many answers the store of a pair set holds."""
    store = AnswerStore(answers_path(out))
    try:
        return store.spent().answers
    finally:
        store.close()


def wait_until_idle(pid: int, end: float) -> None:
    """Wait until all threads of a process have slept for a while; on a busy machine a sleep alone is no sign."""
    asleep = 0
    while asleep < 8:
        assert time.monotonic() < end, "the run is never idle"
        time.sleep(0.03)
        with suppress(OSError):  # a thread that has just ended
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            states = {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}
            asleep = asleep + 1 if states == {"S"} else 0
