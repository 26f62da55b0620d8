"""A run of `pairs web`: the same rows however the work is divided, killed or repeated; every row explained."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import daft
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geomammut.cli import main
from geomammut.errors import UserError
from geomammut.pairs.benchmark_register import benchmarks_add
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web import pairs_web
from geomammut.pairs.web_stages.addresses import ALLOWED_VARIABLE
from geomammut.pairs.web_stages.duplicates import near_duplicates
from geomammut.pairs.web_stages.embeddings import packed
from geomammut.pairs.web_stages.fingerprints import fingerprint

PICTURES = 60  # of which every tenth is none


def picture(seed: int) -> bytes:
    """Return a JPEG of patches with grain, no two seeds alike."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(20, 220, (6, 8, 3), dtype=np.uint8)).resize((160, 120), 3)
    grain = random.normal(0, 12, (120, 160, 1))
    data = io.BytesIO()
    Image.fromarray((np.asarray(patches) + grain).clip(0, 255).astype(np.uint8)).save(data, "JPEG")
    return data.getvalue()


class Web(ThreadingHTTPServer):
    """A server of pictures on this machine, that counts what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Pictures)
        self.pictures = {f"/{number}.jpg": picture(number // 3 * 3) for number in range(PICTURES) if number % 10}
        self.asked: Counter[str] = Counter()
        self.wait_s = 0.0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Pictures(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        time.sleep(self.server.wait_s)
        body = self.server.pictures.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Web() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _allowed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_VARIABLE, web.address)
    web.asked.clear()
    web.wait_s = 0.0


@pytest.fixture(scope="module")
def table(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each picture is a third time there, a few urls twice, and every fourth row is of something else."""
    path = tmp_path_factory.mktemp("web") / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "alt"])
        for number in range(PICTURES):
            writer.writerow([f"http://{web.address}/{number}.jpg", f"Aerial view of district {number}"])
            if number % 4 == 0:
                writer.writerow([f"http://{web.address}/{number}.png", "A cat on a sofa"])
            if number % 9 == 0:
                writer.writerow([f"http://{web.address}/{number + 1}.jpg", "Aerial view of it once more"])
    return path


@pytest.fixture(scope="module")
def made(web: Web, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ[ALLOWED_VARIABLE] = web.address
    return pairs_web([table], tmp_path_factory.mktemp("made") / "pairs")


def start(table: Path, out: Path, *words: str) -> "subprocess.Popen[str]":
    program = "import sys; from geomammut.cli import main; sys.exit(main())"
    return started(program, "pairs", "web", str(table), "-o", str(out), *words)


def started(program: str, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def ended_well(process: "subprocess.Popen[str]") -> None:
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told[-2000:]


def same(one: Path, other: Path) -> bool:
    """Return whether two sets hold the same bytes; decisions may lie in other row groups."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    names.remove("decisions.parquet")
    assert pq.read_table(one / "decisions.parquet").equals(pq.read_table(other / "decisions.parquet"))
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_every_row_is_accounted_for(made: Path) -> None:
    decisions = pq.read_table(made / "decisions.parquet").to_pylist()
    assert [row["row"] for row in decisions] == list(range(PICTURES + 15 + 7))
    assert all((row["id"] is None) != (row["stage"] is None) for row in decisions)
    assert [row["id"] for row in decisions if row["id"]] == PairSet(made).ids
    steps = json.loads((made / "funnel.json").read_text())["steps"]
    assert steps[0]["in"] == len(decisions)
    for step, after in pairwise(steps):
        assert step["out"] == after["in"] == step["in"] - sum(step["dropped"].values())
    stages = Counter(row["stage"] for row in decisions)
    assert {step["step"]: sum(step["dropped"].values()) for step in steps if step["dropped"]} == {
        stage: count for stage, count in stages.items() if stage
    }
    assert stages["text"] == 15
    assert Counter(row["reason"] for row in decisions)["repeated url"] == 7
    assert stages["duplicates"] > 25


def test_partitions_change_no_byte(made: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from geomammut.pairs import web_run

    monkeypatch.setattr(web_run, "STRETCH", 16)
    monkeypatch.setattr(web_run, "_URLS", 30)
    assert same(made, pairs_web([table], tmp_path / "pairs", partition=30))


def test_words_judged_before_a_run_was_stopped_are_not_judged_again(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomammut.pairs import web_run
    from geomammut.pairs.web_stages import inputs

    (tmp_path / "tables").mkdir()
    for number in (1, 4, 7):
        address = f"http://{web.address}/{number}.jpg"
        (tmp_path / "tables" / f"{number}.csv").write_text(f"url,alt\n{address},Aerial view of place {number}\n")
    read: list[str] = []
    numbered, write = inputs._numbered, web_run._write_words

    def told(source: inputs.Source, *rest: Any) -> Any:
        read.append(Path(source.path).name)
        return numbered(source, *rest)

    def stopped(words: daft.DataFrame, partition: int, out: Path) -> None:
        write(words, partition, out)
        if read[-1] == "7.csv":
            raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "_numbered", told)
    expected = pairs_web([tmp_path / "tables"], tmp_path / "whole")
    monkeypatch.setattr(web_run, "_FILES_A_STEP", 1)
    monkeypatch.setattr(web_run, "_write_words", stopped)
    with pytest.raises(KeyboardInterrupt):
        pairs_web([tmp_path / "tables"], tmp_path / "pairs")
    monkeypatch.setattr(web_run, "_write_words", write)
    read.clear()
    assert same(expected, pairs_web([tmp_path / "tables"], tmp_path / "pairs"))
    assert read == ["7.csv"]


ON_RAY = """
import sys, daft
from geomammut.cli import main
from geomammut.pairs.daft_runner import run_on
from geomammut.pairs.web_stages.duplicates import near_duplicates
table, out, rows, found = sys.argv[1:]
run_on("local")
near_duplicates(daft.read_parquet(rows)).write_parquet(found)
sys.exit(main(["pairs", "web", table, "-o", out, "--ray", "local", "--partition", "50"]))
"""


def embedded_copies() -> pa.Table:
    """Return 20 pictures and as many strong crops of them, each with its picture's embedding."""
    random = np.random.default_rng(0)
    patches = random.integers(20, 220, (20, 12, 12, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each).resize((160, 160), Image.Resampling.BICUBIC) for each in patches]
    pictures += [image.crop((16, 8, 160, 152)) for image in pictures]
    embeddings = packed(np.tile(random.normal(size=(20, 48)), (2, 1)))
    prints = [fingerprint(image) for image in pictures]
    columns = {"fingerprint": pa.array(prints, pa.binary()), "embedding": pa.array(embeddings, pa.binary())}
    return pa.table({"row": np.arange(40), **columns, "preference": np.zeros(40, np.int64)})


def test_ray_changes_nothing(made: Path, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; `pip install 'geomammut[ray]'` to run this test")
    copies = embedded_copies()
    pq.write_table(copies, tmp_path / "rows.parquet")
    rows, found = tmp_path / "rows.parquet", tmp_path / "found"
    ended_well(started(ON_RAY, str(table), str(tmp_path / "pairs"), str(rows), str(found)))
    assert same(made, tmp_path / "pairs")
    here = near_duplicates(daft.from_arrow(copies)).to_pydict()
    assert pq.read_table(found).sort_by("row").to_pydict() == here
    without = copies.drop_columns(["embedding"])
    assert len(near_duplicates(daft.from_arrow(without)).to_pydict()["row"]) < len(here["row"])


def test_a_killed_run_goes_on_and_no_answered_url_is_asked_again(
    made: Path, table: Path, tmp_path: Path, web: Web
) -> None:
    web.wait_s = 0.05
    urls = {path for path in web.pictures} | {f"/{number}.jpg" for number in range(0, PICTURES, 10)}
    for asked in (5, 40):
        process = start(table, tmp_path / "pairs", "--partition", "20")
        while sum(web.asked[url] for url in urls) < asked:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        process.kill()
        process.wait()
    ended_well(start(table, tmp_path / "pairs", "--partition", "20"))
    assert same(made, tmp_path / "pairs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "pairs.fetched"]
    once = {url: web.asked[url] for url in urls}
    assert min(once.values()) == 1
    assert sum(once.values()) <= len(urls) + 2 * 16  # what was on its way when the process died
    pairs_web([table], tmp_path / "pairs", partition=30, leakage_guard=False)
    assert {url: web.asked[url] for url in urls} == once


def test_leaks_of_benchmarks_and_copies_of_other_sets_are_dropped(
    made: Path, table: Path, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMAMMUT_HOME", str(tmp_path / "home"))
    (tmp_path / "benchmark").mkdir()
    for number in (1, 2):
        (tmp_path / "benchmark" / f"{number}.jpg").write_bytes(web.pictures[f"/{20 * number + 3}.jpg"])
    benchmarks_add(tmp_path / "benchmark", name="small")
    shutil.copytree(made.with_name("pairs.fetched"), tmp_path / "pairs.fetched")
    out = pairs_web([table], tmp_path / "pairs")
    leaked = [row for row in pq.read_table(out / "decisions.parquet").to_pylist() if row["stage"] == "leakage"]
    assert sorted(row["detail"] for row in leaked) == ["small: 1.jpg", "small: 2.jpg"]
    assert len(PairSet(out)) == len(PairSet(made)) - 2
    assert "near-duplicate of one of small" in (out / "card.md").read_text()
    assert len(PairSet(pairs_web([table], out, leakage_guard=False))) == len(PairSet(made))
    with pytest.raises(UserError, match="near-duplicate in another pair set"):
        pairs_web([table], out, against=[made])
    assert web.asked == Counter()


def test_explain_tells_the_way_of_a_row(made: Path, web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    def told(wanted: str) -> str:
        assert main(["pairs", "web", "--explain", wanted, "-o", str(made)]) == 0
        return capsys.readouterr().out

    kept = PairSet(made).table.to_pylist()[0]
    assert f"is the pair   {kept['id']}" in told(kept["id"])
    assert "keyword 'aerial view'" in told(kept["id"])
    assert "dropped: no keyword" in told("1")
    assert "dropped: server refused (HTTP 404)" in told(f"http://{web.address}/30.jpg")
    decisions = pq.read_table(made / "decisions.parquet").to_pylist()
    copy = next(row for row in decisions if row["stage"] == "duplicates")
    text = told(str(copy["row"]))
    assert f"near-duplicate of row {copy['duplicate_of']}, http" in text
    assert decisions[copy["duplicate_of"]]["id"] in text
    assert told(f"http://{web.address}/1.jpg").count("row ") >= 2


def test_what_cannot_be_explained_ends_in_one_line(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no row of .* 'absent'"):
        pairs_web([], made, explain="absent")
    with pytest.raises(UserError, match="cannot be read; give the --out of a finished"):
        pairs_web([], tmp_path / "nothing", explain="1")
    with pytest.raises(UserError, match="no input"):
        pairs_web([], tmp_path / "nothing")
