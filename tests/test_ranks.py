"""Training by many processes gives what one gives: real `torchrun`, two and four of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geomammut.training.ranks import Ranks
from geomammut.training.trainer import train
from steps_of_ranks import FEW, HALF, KINDS, step
from test_training import write_recipe

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


@pytest.mark.parametrize("processes", [2, 4])
def test_ranks_take_the_step_of_one_process(processes: int, tmp_path: Path) -> None:
    command = [*TORCHRUN, "--nproc-per-node", str(processes), "tests/steps_of_ranks.py", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    for kind in KINDS if processes == 2 else FEW:
        figures, tensors = torch.load(tmp_path / f"{'-'.join(map(str, kind))}.pt", weights_only=True)
        expected_figures, expected = step(*kind, Ranks())
        assert figures == pytest.approx(expected_figures, abs=2e-6)
        assert tensors.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(tensors[name], value, atol=1e-10, rtol=1e-10)

    for kind in HALF:
        figures = torch.load(tmp_path / f"{'-'.join(map(str, kind))}-half.pt", weights_only=True)
        expected_figures, _ = step(*kind, Ranks(), precision="bfloat16")
        assert figures == pytest.approx(expected_figures, rel=0.03)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_run_of_two_processes_learns_what_one_learns(parallel: str, scene_pairs: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, scene_pairs)
    alone = train(recipe, tmp_path / "alone")
    command = [*TORCHRUN, "--nproc-per-node", "2", "-m", "geomammut", "train", str(recipe)]
    command += ["-o", str(tmp_path / "two"), "--set", f"parallel={parallel}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (alone, tmp_path / "two")
    ]
    assert len(logs[0]) == len(logs[1]) == 11
    for one, two in zip(*logs, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-3)
    weights = [load_file(folder / "model.safetensors") for folder in (alone, tmp_path / "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=5e-3, rtol=0)
    assert not (tmp_path / "two" / "checkpoints").exists()
