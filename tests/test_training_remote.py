"""Training from pair sets at an address: shards come when they are needed, and few are held."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from geomammut.errors import UserError
from geomammut.pairs import pair_set
from geomammut.pairs.pair_set import PairSet
from geomammut.training.data import SHARDS_AT_ONCE, sample_order
from geomammut.training.trainer import train
from range_server import range_server
from test_training import write_recipe


def test_a_run_reads_each_shard_of_an_address_once(scene_pairs: Path, tmp_path: Path) -> None:
    asked: list[str] = []
    with range_server(scene_pairs, asked) as address:
        recipe = write_recipe(tmp_path, scene_pairs)
        overrides = [f"pairs.scenes={address}"]
        one = load_file(train(recipe, tmp_path / "one", overrides=overrides) / "model.safetensors")
        shards = [path for path in asked if path.endswith(".tar")]
        assert len(set(shards)) == 4
        assert len(shards) <= 2 * 4  # its size, then the whole of it
        two = load_file(train(recipe, tmp_path / "two", overrides=[*overrides, "workers=0"]) / "model.safetensors")
        assert [path for path in asked if path.endswith(".tar")] == shards  # they are here
    assert all((two[name] == value).all() for name, value in one.items())


def test_few_shards_are_held_and_come_again(scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_set, "SHARDS_KEPT", 2)
    monkeypatch.setenv("GEOMAMMUT_HOME", str(tmp_path))
    local = PairSet(scene_pairs)
    with range_server(scene_pairs) as address:
        remote = PairSet(address)
        for index in (*range(len(local)), 0, 30, 5):
            assert remote.read_jpegs([index]) == local.read_jpegs([index])
            assert len(list(remote.folder.glob("*.tar"))) <= 2


def test_a_shard_that_is_gone_is_told_in_one_line(
    scene_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMAMMUT_HOME", str(tmp_path / "home"))
    shutil.copytree(scene_pairs, tmp_path / "pairs")
    (tmp_path / "pairs" / "shard-000002.tar").unlink()
    with range_server(tmp_path / "pairs") as address:
        with pytest.raises(UserError, match=r"shard-000002.tar cannot be read .*is the pair set whole"):
            train(write_recipe(tmp_path, scene_pairs), tmp_path / "run", overrides=[f"pairs.scenes={address}"])
        with pytest.raises(UserError, match=r"nothing/pairs.parquet cannot be read"):
            PairSet(f"{address}/nothing")


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 100))
def test_an_epoch_by_shards_holds_few_of_them(shards: int, size: int, seed: int) -> None:
    total = shards * size
    rows = [np.arange(start, start + size) for start in range(0, total, size)]
    order = [index for _, index in sample_order({"a": total}, {"a": 1.0}, total, seed, {"a": rows})]
    assert sorted(order) == list(range(total))
    for start in range(0, total, SHARDS_AT_ONCE * size):
        assert len({index // size for index in order[start : start + SHARDS_AT_ONCE * size]}) <= SHARDS_AT_ONCE
