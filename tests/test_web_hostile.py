"""The worst of the web ends no run: each row is accounted for, and no answer is asked for twice."""

import csv
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from geomammut.pairs.web import pairs_web
from geomammut.pairs.web_stages import fetch
from geomammut.pairs.web_stages.addresses import ALLOWED_VARIABLE
from hostile_server import BAD, GOOD, LIES, REDIRECTS, SLOW, STATUSES, hostile_server, hostile_table, kind_of

# Why rows of a kind may be dropped; None for those that are kept.
FATES: dict[str, set[str | None]] = {
    **{kind: {None} for kind in GOOD},
    **{kind: {"not an image", "broken image", "too many pixels"} for kind in BAD},
    "redirect": {"private address", "redirected away from http(s)"},
    "loop": {"too many redirects"},
    "status": {"server refused"},
    "slow": {"timed out", "too many bytes"},
    "cat": {"no keyword"},
}


def test_a_hostile_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENCE_S", 3.0)
    monkeypatch.setattr(fetch, "DEADLINE_S", 4.0)
    monkeypatch.setattr(fetch, "MAX_BYTES", 2**21)
    with hostile_server() as server:
        monkeypatch.setenv(ALLOWED_VARIABLE, ",".join(server.addresses))
        rows = hostile_table(server, 120)
        kinds = (("redirect", REDIRECTS), ("status", STATUSES), ("lie", LIES), ("slow", SLOW))
        numbers = iter(range(11 * 7 * 4 * 1000, 10**9))
        for kind, hows in kinds:
            first = next(number for number in numbers if number % len(hows) == 0)
            rows += [(server.url(kind, first + how), f"Aerial view of {kind} {how}") for how in range(len(hows))]
        with (tmp_path / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("url", "alt"), *rows])
        out = pairs_web([tmp_path / "table.csv"], tmp_path / "pairs", partition=64)
        decisions = pq.read_table(out / "decisions.parquet").to_pylist()
        assert [(row["url"], row["alt_text"]) for row in decisions] == rows
        fates = Counter((kind_of(row["url"]), row["reason"]) for row in decisions)
        wrong = {fate: count for fate, count in fates.items() if fate[0] in FATES and fate[1] not in FATES[fate[0]]}
        assert wrong == {}
        assert {row["stage"] for row in decisions if kind_of(row["url"]) == "lie"} <= {"fetch", "image", None}
        assert {kind for kind, _ in fates} > {"redirect", "status", "lie", "slow", "jpeg"}
        asked = server.asked.copy()
        assert not any("/cat/" in path for path in asked)
        pairs_web([tmp_path / "table.csv"], out, partition=100)
        assert server.asked == asked
