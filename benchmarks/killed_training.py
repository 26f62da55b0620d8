"""A training run killed with SIGKILL at ten random steps across stage borders, and gone on with: are the bits the same?

    .venv/bin/python benchmarks/killed_training.py

A pair set of made pictures, a small model, two stages of 60 steps each, a checkpoint every 7. For 0 and for 2 loader
workers: one run to the end, and one killed ten times as soon as its log shows a step drawn at random; each time
`geomammut train --resume` goes on. The final weights must be bit-identical.
"""

import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STEPS, BATCH, KILLS = 60, 16, 10
RECIPE = """
batch_size = {batch}
checkpoint_every = 7
device = "cpu"
precision = "float32"
workers = {workers}
pairs = {{ made = "{pairs}" }}
[model]
vocab_size = 300
vision = {{ image_size = 32, patch_size = 8, width = 32, layers = 2, heads = 4 }}
text = {{ context_length = 16, width = 32, layers = 2, heads = 4 }}
[optimizer]
average = 0.9
[[stages]]
name = "first"
mix = {{ made = 1.0 }}
samples = {samples}
[[stages]]
name = "second"
mix = {{ made = 1.0 }}
samples = {samples}
"""


def make_pairs(folder: Path) -> None:
    from PIL import Image

    from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set

    def pairs() -> Iterator[Pair]:
        rng = np.random.default_rng(0)
        for number in range(200):
            jpeg = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(jpeg, "JPEG")
            yield Pair(f"{number:04d}", (f"field {number} beside a road",), jpeg.getvalue(), 40, 40, "web")

    write_pair_set(folder, pairs(), funnel=Funnel(), card="# Made")


def command(recipe: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "geomammut", "train", str(recipe), "-o", str(out), "--resume"]


def steps_done(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def killed_run(recipe: Path, out: Path, seed: int) -> list[int]:
    """Kill a run at random steps, in ascending order, then let it end; return after how many steps each kill came."""
    wanted = sorted(random.Random(seed).sample(range(1, 2 * STEPS), KILLS))
    came = []
    for steps in wanted:
        process = subprocess.Popen(command(recipe, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and steps_done(out / "log.jsonl") < steps:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        came.append(steps_done(out / "log.jsonl"))
    subprocess.run(command(recipe, out), check=True, capture_output=True)
    return came


def main() -> None:
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_pairs(work / "pairs")
        for workers in (0, 2):
            recipe = work / f"recipe-{workers}.toml"
            recipe.write_text(
                RECIPE.format(batch=BATCH, workers=workers, pairs=work / "pairs", samples=STEPS * BATCH),
                encoding="utf-8",
            )
            subprocess.run(command(recipe, work / f"whole-{workers}"), check=True, capture_output=True)
            came = killed_run(recipe, work / f"killed-{workers}", workers)
            whole, killed = (
                load_file(work / f"{kind}-{workers}" / "model.safetensors") for kind in ("whole", "killed")
            )
            same = whole.keys() == killed.keys() and all(
                bool((killed[name] == value).all()) for name, value in whole.items()
            )
            print(json.dumps({"workers": workers, "killed_after_steps": came, "bit_identical": same}), flush=True)


if __name__ == "__main__":
    main()
