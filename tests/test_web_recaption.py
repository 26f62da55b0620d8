"""Pictures of the web get captions by a language model, with the alt-text as a hint, and none is paid for twice."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web import pairs_web
from hostile_server import encoded, picture
from model_server import Asked, ModelServer, Reply


def words_of(asked: Asked) -> str:
    return json.loads(asked.prompt.split("\nWORDS\n")[1].splitlines()[0])


def reply(asked: Asked) -> Reply:
    """Caption by the hint; refuse the third; write to somebody in each."""
    hint = words_of(asked)
    if hint.endswith("3"):
        return Reply("", stopped="content_filter")
    return Reply(json.dumps({"captions": [f"Houses of {hint.split()[-1]} by a river", f"{hint} $5", "A town"]}))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    server = ModelServer(reply)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = [("url", "alt")]
    for seed in range(5):
        (tmp_path / f"{seed}.jpg").write_bytes(encoded(picture(seed)))
        rows.append((f"{seed}.jpg", f"Aerial view of district {seed}"))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize("writer", ["openai", "google"])
def test_a_language_model_writes_captions(
    writer: str, model: ModelServer, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = pairs_web([table], tmp_path / "pairs", writer=writer, model="m", price_in=1.0, price_out=1.0)
    pairs = PairSet(out)
    assert pairs.captions[0] == ["Houses of 0 by a river", "Aerial view of district 0"]  # cleaned, "A town" too short
    assert pairs.captions[3] == ["Aerial view of district 3"]
    provenance = [json.loads(text) for text in pairs.table["provenance"].to_pylist()]
    assert [each["writer"] for each in provenance] == [writer, writer, writer, "alt-text", writer]
    assert provenance[0]["prompt_version"] == "web_captions_1"
    assert sorted({words_of(asked) for asked in model.asked}) == [f"Aerial view of district {n}" for n in range(5)]
    step = next(step for step in json.loads((out / "funnel.json").read_text())["steps"] if step["step"] == "captions")
    assert step["by_writer"] == {writer: {"captions written": 8, "pairs that keep their alt-text": 1}}
    assert step["spent"]["usd"] > 0
    paid = len(model.asked)
    pairs_web([table], out, writer=writer, model="m", price_in=1.0, price_out=1.0)
    assert len(model.asked) == paid
    assert PairSet(out).captions == pairs.captions


def test_limits_stop_the_run_and_it_goes_on(model: ModelServer, table: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="max-requests"):
        pairs_web([table], tmp_path / "pairs", writer="openai", model="m", max_requests=2)
    assert len(model.asked) == 2
    assert not (tmp_path / "pairs").exists()
    assert len(PairSet(pairs_web([table], tmp_path / "pairs", writer="openai", model="m")).captions) == 5


def test_writers_mistakes_end_in_one_line(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs --model NAME"):
        pairs_web([table], tmp_path / "pairs", writer="openai")
    with pytest.raises(UserError, match="--model is for --writer"):
        pairs_web([table], tmp_path / "pairs", model="m")
