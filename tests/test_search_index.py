"""Imagery becomes an archive: what is in it, what is done again, what a kill leaves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from geomammut import cli
from geomammut.errors import UserError
from geomammut.search.archive import Archive, Filter
from geomammut.search.index import index
from geomammut.search.server.serve import is_there
from small_archive import SIDE, Colours, let_any_name_load, watch_writes, write_squares


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Colours:
    """The model that any name stands for."""
    model = Colours()
    let_any_name_load(monkeypatch, model)
    return model


def rows_of(folder: Path) -> pa.Table:
    return Archive.open(folder).table.search().limit(None).to_arrow().sort_by("id")


def same(one: Path, other: Path) -> None:
    """Fail unless two archives are the same but for where they are."""
    assert rows_of(one).equals(rows_of(other))
    infos = [json.loads((folder / "index.json").read_text()) for folder in (one, other)]
    samples = [
        np.load(folder / f"sample-{info.pop('version')}.npy") for folder, info in zip((one, other), infos, strict=True)
    ]
    assert infos[0] == infos[1]
    np.testing.assert_array_equal(*samples)
    exports = [pq.read_table(folder / "embeddings.parquet") for folder in (one, other)]
    assert exports[0].schema.metadata == exports[1].schema.metadata
    assert exports[0].sort_by("id").equals(exports[1].sort_by("id"))


def test_every_square_is_a_chip_with_its_place_and_picture(tmp_path: Path, model: Colours) -> None:
    raster = write_squares(tmp_path / "a.tif", 6, 4, acquired="2021:05:06 07:08:09")
    index([raster], tmp_path / "index", "colours", size=SIDE)
    archive = Archive.open(tmp_path / "index")
    assert len(archive) == 24
    assert archive.sources() == (str(raster),)
    hits = archive.search(model.encode_text(["red"])[0].numpy(), 24, Filter())
    assert len(hits) == 24
    assert [round(hit.score, 3) for hit in hits[:6]] == [pytest.approx(hits[0].score, abs=0.01)] * 6
    assert hits[6].score < hits[5].score - 0.1
    assert {hit.acquired for hit in hits} == {"2021-05-06T07:08:09"}
    ground = shapely.union_all([shapely.geometry.shape(dict(hit.footprint)) for hit in hits])
    assert archive.bounds() == pytest.approx(ground.bounds)
    assert archive.chip(hits[0].id)[:2] == b"\xff\xd8"
    assert archive.embedding(hits[0].id) @ model.encode_text(["red"])[0].numpy() == pytest.approx(
        hits[0].score, abs=2e-3
    )
    for unknown in ("0" * 20, "x' OR true --"):
        with pytest.raises(KeyError):
            archive.chip(unknown)


def test_only_what_changed_is_embedded_again(tmp_path: Path, model: Colours) -> None:
    """A new, a changed and a removed raster: the archive is as if made at once, and the rest was left alone."""
    paths = [write_squares(tmp_path / f"{name}.tif", 4, 4, east=8 * place) for place, name in enumerate("abc")]
    index(paths, tmp_path / "index", "colours", size=SIDE)
    before = Archive.open(tmp_path / "index")
    model.seen = 0
    index(paths, tmp_path / "index", "colours", size=SIDE)
    assert model.seen == 1  # the picture that the model is told by
    write_squares(paths[1], 4, 4, east=8, seed=9)
    paths[2].unlink()
    paths[2] = write_squares(tmp_path / "d.tif", 4, 4, east=24)
    model.seen = 0
    index(paths, tmp_path / "index", "colours", size=SIDE)
    assert model.seen == 1 + 32
    assert len(before.search(np.ones(3, np.float32), 48, Filter())) == 48  # who has it open sees it as it was
    index(paths, tmp_path / "new", "colours", size=SIDE)
    same(tmp_path / "index", tmp_path / "new")


def test_an_archive_finds_its_rasters_from_any_folder(
    tmp_path: Path, model: Colours, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_squares(tmp_path / "a.tif", 4, 4)
    monkeypatch.chdir(tmp_path)
    index(["a.tif"], Path("index"), "colours", size=SIDE)
    monkeypatch.chdir("/")
    (source,) = Archive.open(tmp_path / "index").info.sources
    assert (source.name, Path(source.dataset)) == ("a.tif", tmp_path / "a.tif")
    assert is_there(source)
    (tmp_path / "a.tif").unlink()
    assert not is_there(source)


def test_days_do_not_mix(tmp_path: Path, model: Colours) -> None:
    """The same ground on two days is in the archive twice, and can be asked for by time."""
    for day in (1, 2):
        write_squares(tmp_path / f"{day}.tif", 4, 4, acquired=f"2021:05:0{day} 12:00:00", seed=day)
    index([tmp_path / "1.tif", tmp_path / "2.tif"], tmp_path / "index", "colours", size=SIDE)
    archive = Archive.open(tmp_path / "index")
    query = np.ones(3, np.float32)
    assert len(archive) == 32

    def sources(where: Filter) -> set[str]:
        return {hit.source for hit in archive.search(query, 32, where)}

    assert sources(Filter(since="2021-05-02")) == {"2.tif"}
    assert sources(Filter(until="2021-05-01")) == {"1.tif"}
    assert sources(Filter(since="2021-05", until="2021")) == {"1.tif", "2.tif"}
    assert sources(Filter(since="2021-05-01T12:00:01Z")) == {"2.tif"}
    assert sources(Filter(sources=("1.tif",))) == {"1.tif"}
    with pytest.raises(UserError, match="no source \"x' OR"):
        archive.search(query, 3, Filter(sources=("x' OR true --",)))


def test_rasters_of_one_name_are_told_apart(tmp_path: Path, model: Colours) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [write_squares(tmp_path / "a" / "x.tif", 4, 4), write_squares(tmp_path / "b" / "x.tif", 4, 4, east=8)]
    index(paths, tmp_path / "index", "colours", size=SIDE)
    names = {source.name for source in Archive.open(tmp_path / "index").info.sources}
    assert len(names) == 2
    assert all(name.startswith("x.tif (") for name in names)
    with pytest.raises(UserError, match="given twice"):
        index([paths[0], paths[0]], tmp_path / "other", "colours", size=SIDE)


def test_the_export_is_geoparquet_with_the_embeddings(tmp_path: Path, model: Colours) -> None:
    index([write_squares(tmp_path / "a.tif", 6, 4)], tmp_path / "index", "colours", size=SIDE)
    table = geopandas.read_parquet(tmp_path / "index" / "embeddings.parquet")
    assert len(table) == 24
    assert table.crs == "EPSG:4326" or table.crs.to_authority() == ("OGC", "CRS84")
    assert np.linalg.norm(np.stack(table["embedding"]), axis=1) == pytest.approx(np.ones(24), abs=1e-5)
    metadata = pq.read_metadata(tmp_path / "index" / "embeddings.parquet").metadata
    told = json.loads(metadata[b"emb"])
    assert (told["emb:type"], told["emb:dimensions"], told["emb:chip_layout"]["chip_size"]) == ("chip", 3, [SIDE, SIDE])
    few = geopandas.read_parquet(
        tmp_path / "index" / "embeddings.parquet", bbox=tuple(table.geometry[0].buffer(-1e-5).bounds)
    )
    assert set(few["id"]) == {table["id"][0]}


def test_another_model_or_other_chips_are_refused(
    tmp_path: Path, model: Colours, capsys: pytest.CaptureFixture[str]
) -> None:
    raster = write_squares(tmp_path / "a.tif", 4, 4)
    words = ["index", str(raster), "-o", str(tmp_path / "index"), "--model", "colours", "--size", str(SIDE)]
    assert cli.main(["search", str(tmp_path / "index"), "red", "-o", str(tmp_path / "h.html")]) == 2
    assert cli.main(words) == 0
    capsys.readouterr()
    ask = ["search", str(tmp_path / "index"), "red", "-o", str(tmp_path / "h.html")]
    for more, told in (
        ([*words, "--stride", "16"], "--stride 32, not 16"),
        ([*words, "--gsd", "2"], "--gsd 1, not 2"),
        ([*ask, "--bbox", "9,3,9,1"], "W,S,E,N"),
        ([*ask, "--since", "may"], "'may' is no date"),
        ([*ask[:2], "-o", "x.html"], "nothing to look for"),
        ([*ask[:3], "-o", "x.png"], "unknown kind"),
        ([*ask, "--source", "b.tif"], "no source 'b.tif'"),
        ([*ask, "-k", "0"], "-k"),
    ):
        assert cli.main(more) == 2
        assert told in capsys.readouterr().err.splitlines()[-1]
    model.weight = 2.0
    for more in (words, ask):
        assert cli.main(more) == 2
        assert "colours" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "h.html").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    words[3] = str(tmp_path / "full")
    assert cli.main(words) == 2
    assert "is no index" in capsys.readouterr().err


def snapshots(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[Path]:
    """Return copies of an archive as it was after each write that `act` made: what a kill there would have left."""
    taken: list[Path] = []

    def moment(write: str) -> None:
        taken.append(folder.with_name(f"{name}-{len(taken)}-{write}"))
        shutil.copytree(folder, taken[-1])

    with monkeypatch.context() as patch:
        watch_writes(patch, moment)
        act()
    return taken


def test_a_run_that_ends_after_any_write_goes_on_to_the_same_table(
    tmp_path: Path, model: Colours, monkeypatch: pytest.MonkeyPatch
) -> None:
    imagery = [write_squares(tmp_path / "a.tif", 4, 4), write_squares(tmp_path / "b.tif", 4, 4, east=8)]
    whole = tmp_path / "whole"

    def act() -> Path:
        return index(imagery, whole, "colours", size=SIDE)

    left = snapshots(whole, "first", monkeypatch, act)
    assert len({one.name.split("-")[2] for one in left}) == 5  # all kinds of write but a deletion
    for folder in left[:-1]:
        with pytest.raises(UserError, match="is not whole"):
            Archive.open(folder)
        index(imagery, folder, "colours", size=SIDE)
        same(whole, folder)

    before = rows_of(whole)
    write_squares(imagery[0], 4, 4, seed=7)
    left = snapshots(whole, "update", monkeypatch, act)
    assert any("delete" in one.name for one in left)
    index(imagery, tmp_path / "new", "colours", size=SIDE)
    same(whole, tmp_path / "new")
    for folder in left[:-1]:
        assert rows_of(folder).equals(before)  # shown until the next is whole
        index(imagery, folder, "colours", size=SIDE)
        same(whole, folder)


def test_a_killed_process_leaves_what_another_goes_on_with(tmp_path: Path, model: Colours) -> None:
    imagery = [write_squares(tmp_path / "a.tif", 4, 4), write_squares(tmp_path / "b.tif", 4, 4, east=8)]
    words = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("small_archive.py"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    words += [str(tmp_path / "killed"), "4", *map(str, imagery)]
    killed = subprocess.run(words, capture_output=True, check=False, env=environment)
    assert killed.returncode == -9
    for name in ("killed", "whole"):
        index(imagery, tmp_path / name, "colours", size=SIDE)
    same(tmp_path / "whole", tmp_path / "killed")
