"""What an archive answers: words, pictures, what is not wanted, hits merged, and how unusual they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geomammut import cli
from geomammut.errors import UserError
from geomammut.search.archive import Archive
from geomammut.search.calibration import Tail, similar_from
from geomammut.search.index import index
from geomammut.search.merging import Candidates, merged
from geomammut.search.moments import moment
from geomammut.search.query import query_embedding
from small_archive import SIDE, Colours, let_any_name_load, write_squares


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """24 chips, six of each of four colours."""
    let_any_name_load(monkeypatch, Colours())
    return index([write_squares(tmp_path / "a.tif", 6, 4)], tmp_path / "index", "colours", size=SIDE)


def found(archive: Path, out: Path, *words: str) -> list[dict[str, float]]:
    assert cli.main(["search", str(archive), *words, "-o", str(out)]) == 0
    return [feature["properties"] | {"id": feature["id"]} for feature in json.loads(out.read_text())["features"]]


def colours(archive: Path, hits: list[dict[str, float]]) -> list[tuple[int, ...]]:
    """Return the colour of each hit's chip, to the nearest 64."""
    opened = Archive.open(archive)
    told = []
    for hit in hits:
        path = archive.parent / "chip.jpg"
        path.write_bytes(opened.chip(str(hit["id"])))
        told.append(tuple(int(c) // 64 for c in np.asarray(Image.open(path)).mean(axis=(0, 1))))
    return told


def test_words_less_other_words(archive: Path, tmp_path: Path) -> None:
    """Yellow is red and green: after it come both, and less green, red alone."""
    out = tmp_path / "hits.geojson"
    (red,) = set(colours(archive, found(archive, out, "red", "-k", "6")))
    (green,) = set(colours(archive, found(archive, out, "green", "-k", "6")))
    assert set(colours(archive, found(archive, out, "yellow", "-k", "18"))[6:]) == {red, green}
    assert colours(archive, found(archive, out, "yellow", "--not", "green", "-k", "12"))[6:] == [red] * 6


def test_limits_within_which_nothing_lies(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(archive, tmp_path / "hits.geojson", "red", "--bbox", "1,1,2,2") == []
    assert capsys.readouterr().err == "nothing lies within these limits\n"
    assert cli.main(["search", str(archive), "red", "--since", "2021", "-o", str(tmp_path / "hits.html")]) == 0
    assert "nothing found" in (tmp_path / "hits.html").read_text()
    assert "says when" in capsys.readouterr().err


def test_a_chip_finds_itself(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "hits.geojson"
    wanted = found(archive, out, "blue", "-k", "1")[0]
    picture = tmp_path / "chip.jpg"
    picture.write_bytes(Archive.open(archive).chip(str(wanted["id"])))
    best = found(archive, out, "--image", str(picture), "-k", "3")
    assert best[0]["score"] == pytest.approx(1, abs=2e-3)
    assert set(colours(archive, best)) == set(colours(archive, [wanted]))
    assert cli.main(["search", str(archive), "--image", str(tmp_path / "none.jpg"), "-o", str(out)]) == 2


def test_what_is_wanted_and_not_wanted_cannot_be_the_same() -> None:
    model = Colours()
    liked = np.ones((1, model.embed_dim), np.float32)
    with pytest.raises(UserError, match="nothing to look for"):
        query_embedding(model)
    some = query_embedding(model, texts=["red"], liked=liked, disliked=liked / 2)
    assert np.linalg.norm(some) == pytest.approx(1, abs=1e-6)


def squares(*corners: tuple[float, float]) -> list[bytes]:
    return [shapely.to_wkb(shapely.box(x, y, x + 1, y + 1)) for x, y in corners]


def test_overlapping_chips_that_look_the_same_are_one_hit() -> None:
    """The second overlaps the first and looks like it; the third does not look like it; the fourth lies elsewhere."""
    embeddings = np.array([[1, 0], [1, 0.01], [0, 1], [1, 0]], np.float32)
    places = squares((0, 0), (0.5, 0), (0.5, 0), (5, 5))
    candidates = Candidates(np.arange(4), np.array([0.9, 0.8, 0.7, 0.6], np.float32), embeddings, places)
    groups = merged(candidates, 10, similar_from=0.95)
    assert [(group.row, group.others) for group in groups] == [(0, 1), (2, 0), (3, 0)]
    assert [group.row for group in merged(candidates, 2, similar_from=0.95)] == [0, 2]


def test_what_overlaps_and_looks_the_same_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chips of half a square's side, from each to the next half of that: nine lie within each red square."""
    let_any_name_load(monkeypatch, Colours())
    raster = write_squares(tmp_path / "a.tif", 4, 4)
    archive = index([raster], tmp_path / "index", "colours", size=SIDE // 2, stride=SIDE // 4)
    hits = found(archive, tmp_path / "hits.geojson", "red", "-k", "100")
    red = [hit for hit in hits if hit["score"] > hits[0]["score"] - 0.01]
    assert 4 <= len(red) <= 16
    assert sum(1 + hit["merged"] for hit in red) == 4 * 9


@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 99))
def test_alike_is_an_eighth_of_the_mean_distance(chips: int, size: int, seed: int) -> None:
    sample = np.random.default_rng(seed).normal(size=(chips, size)).astype(np.float32)
    units = sample / np.linalg.norm(sample, axis=1, keepdims=True)
    cosines = (units @ units.T)[np.triu_indices(chips, 1)]
    assert similar_from(sample) == pytest.approx(1 - (1 - cosines).mean() / 8, abs=1e-5)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=300), st.floats(-1, 1), st.floats(-1, 1))
def test_the_higher_the_score_the_more_unusual(sample: list[float], one: float, other: float) -> None:
    tail = Tail(np.array(sample, np.float32))
    low, high = sorted((one, other))
    assert 1 <= tail.unusual(low) <= tail.unusual(high) * (1 + 1e-9)


def test_within_the_sample_it_is_the_share_that_scores_as_high() -> None:
    tail = Tail(np.linspace(0, 1, 1001, dtype=np.float32))
    assert tail.unusual(0.5) == pytest.approx(2, rel=0.01)
    assert tail.unusual(0.9) == pytest.approx(10, rel=0.02)
    assert tail.unusual(1.5) > 1001


def test_dates_are_read_as_people_write_them() -> None:
    assert str(moment("2020-02", latest=True)) == "2020-02-29 23:59:59.999999"
    assert str(moment("2020")) == "2020-01-01 00:00:00"
    assert str(moment("2020-07-01T10:20:00+02:00")) == "2020-07-01 08:20:00"
    assert moment("may") is None
