"""Chips and landmarks are joined as if each were held against each, however the work is divided."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geomammut.errors import UserError
from geomammut.imagery.chips import chips
from geomammut.imagery.sources import open_sources
from geomammut.landmarks.table import read_landmarks
from geomammut.pairs import landmarks as landmarks_verb
from geomammut.pairs.join_grid import JoinGrid
from geomammut.pairs.landmarks import pairs_landmarks
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.visible import Frame, LandmarkIndex
from small_place import area, box, line, town, write_image, write_map

SIZE = 22  # so that the small place holds some 500 chips, in several cells of the join
METRES = 111_195.0  # per degree


def shore() -> list[tuple[float, float]]:
    """A line of a thousand corners through the whole place."""
    x = np.linspace(-300, 800, 1000)
    return list(zip(x.tolist(), (256 + 8 * np.sin(x / 9)).tolist(), strict=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Imagery and a map with things from a tank to a forest far larger than the place."""
    folder = tmp_path_factory.mktemp("place")
    around = [
        area(box(-60_000, -60_000, 120_000, 120_100), landuse="forest"),
        line(shore(), waterway="river"),
    ]
    return write_image(folder / "place.tif"), write_map(folder, [*town(), *around])


@pytest.fixture(scope="module")
def pairs(place: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    image, table = place
    return pairs_landmarks([image], table, tmp_path_factory.mktemp("whole") / "pairs", size=SIZE)


def same_bytes(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def entry_text(entry: dict) -> str:
    """A pair's entry of a landmark, whatever corner its outline starts at."""
    outline = shapely.normalize(shapely.geometry.shape(entry["outline"]))
    return json.dumps({**entry, "outline": shapely.to_wkt(outline)}, sort_keys=True)


def command(place: tuple[Path, Path], out: Path, *options: str) -> list[str]:
    image, table = place
    program = "import sys; from geomammut.cli import main; sys.exit(main())"
    return [
        sys.executable,
        "-c",
        program,
        "pairs",
        "landmarks",
        "--size",
        str(SIZE),
        "--imagery",
        str(image),
        "--landmarks",
        str(table),
        "-o",
        str(out),
        *options,
    ]


def test_the_join_finds_what_holding_all_against_all_finds(place: tuple[Path, Path], pairs: Path) -> None:
    image, table = place
    index = LandmarkIndex(read_landmarks(table))
    expected: Counter[tuple[str, str]] = Counter()
    for chip in chips(open_sources([image]), size=SIZE, gsd_m=1.0):
        contents = index.contents_of([Frame(chip.crs, chip.transform, chip.gsd_m, SIZE)])[0]
        footprint = json.dumps(shapely.get_coordinates(chip.footprint).tolist())
        expected.update((footprint, entry_text(entry)) for entry in contents.landmarks_json())
    made = PairSet(pairs)
    found: Counter[tuple[str, str]] = Counter()
    for text, entries in zip(made.table["footprint"].to_pylist(), made.landmarks, strict=True):
        footprint = json.dumps(json.loads(text)["coordinates"][0])
        found.update((footprint, entry_text(entry)) for entry in entries)
    assert len(expected) > 300
    assert set(found.values()) == {1}
    assert found == expected


@pytest.mark.parametrize("partition", [1, 300])
def test_partitions_change_no_byte(place: tuple[Path, Path], pairs: Path, tmp_path: Path, partition: int) -> None:
    image, table = place
    out = pairs_landmarks([image], table, tmp_path / "pairs", size=SIZE, partition=partition)
    assert same_bytes(out, pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_ray_changes_no_byte(place: tuple[Path, Path], pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; `pip install 'geomammut[ray]'` to run this test")
    done = subprocess.run(
        command(place, tmp_path / "pairs", "--ray", "local", "--partition", "600"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert same_bytes(tmp_path / "pairs", pairs)


def test_a_cluster_out_of_reach_is_told_in_one_line(place: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; `pip install 'geomammut[ray]'` to run this test")
    done = subprocess.run(
        command(place, tmp_path / "pairs", "--ray", "auto"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no Ray cluster at auto" in done.stderr.strip().splitlines()[-1]


def test_a_killed_run_goes_on_with_what_is_missing(
    place: tuple[Path, Path], pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, table = place
    out = tmp_path / "pairs"
    parts = tmp_path / ".pairs.pairing.partial" / "parts"
    run = subprocess.Popen(
        command(place, out, "--partition", "1"), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < deadline and not (parts / "000000").exists():
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert not out.exists()
    finished = {path.name for path in parts.iterdir() if not path.name.startswith(".")}

    written = []
    write_part = landmarks_verb.write_part
    monkeypatch.setattr(
        landmarks_verb, "write_part", lambda *args: (written.append(args[-1].name.split(".")[1]), write_part(*args))
    )
    pairs_landmarks([image], table, out, size=SIZE, partition=1)
    assert finished and written
    assert finished.isdisjoint(written)
    assert same_bytes(out, pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_a_run_with_other_options_starts_anew(place: tuple[Path, Path], pairs: Path, tmp_path: Path) -> None:
    image, table = place
    out = tmp_path / "pairs"
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch, pytest.raises(UserError, match="stopped here"):
        patch.setattr(landmarks_verb, "write_pair_set", _stop)
        pairs_landmarks([image], table, out, size=SIZE, seed=5)
    assert (tmp_path / ".pairs.pairing.partial" / "parts" / "000000").exists()
    assert same_bytes(pairs_landmarks([image], table, out, size=SIZE), pairs)


def _stop(*_: object, **__: object) -> None:
    raise UserError("stopped here")


@settings(max_examples=200)
@given(
    lon=st.floats(-180, 180, exclude_max=True),
    lat=st.floats(-89.5, 89.5),
    side=st.sampled_from([20.0, 224.0, 5000.0]),
    east=st.floats(-1.4, 1.4),
    north=st.floats(-1.4, 1.4),
)
def test_what_is_near_a_chip_is_in_its_cell(lon: float, lat: float, side: float, east: float, north: float) -> None:
    """At any place, the antimeridian and the polar regions too; distances are in sides of a chip."""
    grid = JoinGrid(side)
    cell = grid.cells_of(np.array([lon]), np.array([lat]))
    there_lat = np.clip(lat + north * side / METRES, -90, 90)
    shrink = np.cos(np.radians(min(89.9, max(abs(lat), abs(there_lat)))))
    there_lon = (lon + east * side / METRES / shrink + 180) % 360 - 180
    for reach in (0.0, 1e-4):
        thing = shapely.box(there_lon, there_lat, min(180, there_lon + reach), min(90, there_lat + reach))
        landmark = shapely.Point(there_lon, there_lat) if reach == 0 else thing
        index, cells, _ = grid.cover(np.array([landmark], dtype=object), cell)
        assert (index.tolist(), cells.tolist()) == ([0], cell.tolist())


def test_a_landmark_over_many_cells_is_carried_in_pieces() -> None:
    grid = JoinGrid(200.0)
    angle = np.linspace(0, 2 * np.pi, 20_000)
    country = shapely.Polygon(np.column_stack([10 + 2 * np.cos(angle), 50 + np.sin(angle)]))
    lon, lat = (values.ravel() for values in np.meshgrid(np.linspace(7, 13, 150), np.linspace(48, 52, 150)))
    wanted = np.unique(grid.cells_of(lon, lat))
    index, cells, pieces = grid.cover(np.array([country], dtype=object), wanted)
    assert len(index) > 1000 and len(np.unique(cells)) == len(cells)
    # All pieces together are hardly more than the country: none carries it whole.
    assert shapely.get_num_coordinates(pieces).sum() < 2 * shapely.get_num_coordinates(country)
    inside = np.isin(grid.cells_of(lon, lat), cells)
    points = shapely.points(lon, lat)
    assert inside[shapely.contains(country, points)].all()
    # A cell is 6.4 km wide: from corner to corner 0.107 degrees here, and a chip's reach more.
    assert not inside[shapely.distance(country, points) > 0.15].any()
