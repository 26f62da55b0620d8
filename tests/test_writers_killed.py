"""A run that is killed again and again loses no answer and pays for none twice.

`benchmarks/killed_writers.py` does the same with a thousand chips.
"""

import json
from pathlib import Path

import pytest

from geomammut.pairs.check import pairs_check
from geomammut.pairs.pair_set import PairSet
from killed_runs import run_and_kill, stored
from model_server import TOKENS_IN, TOKENS_OUT, ModelServer, Stumbles


@pytest.mark.parametrize(
    ("words", "size", "kill_at"),
    [
        ("--writer openai --concurrency 16 --timeout 1", 40, [36, 72, 108]),
        ("--writer google --concurrency 16 --timeout 1", 40, [36, 72, 108]),
        ("--writer google --batch", 64, [60]),
    ],
    ids=["openai", "google", "batch"],
)
def test_kills_cost_nothing(tmp_path: Path, words: str, size: int, kill_at: list[int]) -> None:
    chips = (512 // size) ** 2
    stumbles = Stumbles(share=0.3)
    server = ModelServer(stumbles)
    try:
        out, kills = run_and_kill(server, tmp_path, *words.split(), "--model", "m", size=size, kill_at=kill_at)
    finally:
        server.close()
    pairs = PairSet(out)
    assert len(pairs) == chips and pairs_check(out)["pairs"] == chips
    assert all(len(captions) >= 3 for captions in pairs.captions)
    if "batch" not in words:
        assert all(killed.stored == killed.answered for killed in kills)  # nothing that arrived was lost
    assert max(server.paid.values()) == 1  # and nothing was paid for twice
    assert stored(out) == server.answered
    steps = json.loads((out / "funnel.json").read_text())["steps"]
    (spent,) = [step["spent"] for step in steps if "spent" in step]
    assert spent["answers"] == server.answered
    assert (spent["tokens_in"], spent["tokens_out"]) == (server.answered * TOKENS_IN, server.answered * TOKENS_OUT)
    assert len(stumbles.happened) >= 8  # the server did stumble in most of its ways
    text = str(pairs.captions)
    assert "Ignore" not in text and "OSM" not in text and "stadium" not in text


def test_ctrl_c_waits_for_what_is_paid_for(tmp_path: Path) -> None:
    server = ModelServer()
    try:
        words = "--writer openai --model m".split()
        out, kills = run_and_kill(server, tmp_path, *words, size=64, kill_at=[20], interrupt=True)
    finally:
        server.close()
    assert kills[0].stored == kills[0].answered
    assert len(PairSet(out)) == 64 and set(server.paid.values()) == {1}
