"""`pairs landmarks`: what is paired is there, where the caption says, and the same every time."""

import json
import math
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geomammut.errors import UserError
from geomammut.landmarks.table import landmarks, read_landmarks
from geomammut.pairs.check import pairs_check
from geomammut.pairs.landmarks import pairs_landmarks
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.positions import REGIONS, cell
from geomammut.pairs.visible import MAX_LANDMARKS, ChipContents, Frame, LandmarkIndex, lengths_m
from small_place import NORTH, WEST, area, box, line, town, write_geojson, write_image, write_map


def frame_at(x: float, y: float, size: int = 128, gsd_m: float = 1.0) -> Frame:
    """The frame of a chip with its corner x metres east and y metres south of the small place's."""
    return Frame("EPSG:32633", Affine(gsd_m, 0, WEST + x, 0, -gsd_m, NORTH - y), gsd_m, size)


def contents_of(folder: Path, features: list[dict], frame: Frame | None = None) -> ChipContents:
    return LandmarkIndex(read_landmarks(write_map(folder, features))).contents_of([frame or frame_at(0, 0)])[0]


def the_kind(contents: ChipContents, category: str):
    return next(kind for kind in contents.kinds if kind.category == category)


def test_a_thing_is_outlined_in_the_pixels_that_it_covers(tmp_path: Path) -> None:
    contents = contents_of(tmp_path, [area(box(20, 90, 30, 20), building="industrial")])
    (landmark,) = contents.landmarks
    assert np.allclose(landmark.outline.bounds, (20, 90, 50, 110), atol=0.1)
    assert landmark.position == "in the lower left"
    assert landmark.pixels_across == pytest.approx(30, abs=0.1)
    assert landmark.area_share == pytest.approx(600 / 128**2, rel=0.01)
    assert landmark.share_visible == pytest.approx(1.0, abs=0.01)


def test_what_the_edge_cuts_states_its_visible_share(tmp_path: Path) -> None:
    lake = area(box(-60, 20, 120, 60), natural="water", water="lake")
    road = line([(64, -128), (64, 256)], highway="primary")
    contents = contents_of(tmp_path, [lake, road])
    assert the_kind(contents, "lake").members[0].share_visible == pytest.approx(0.5, abs=0.01)
    assert the_kind(contents, "primary_road").members[0].share_visible == pytest.approx(1 / 3, abs=0.01)
    for entry in contents.landmarks_json():
        left, top, right, bottom = shapely.geometry.shape(entry["outline"]).bounds
        assert -0.1 <= left <= right <= 128.1 and -0.1 <= top <= bottom <= 128.1


def test_what_cannot_be_told_apart_is_not_visible(tmp_path: Path) -> None:
    sliver = area(box(126.5, 20, 40, 30), building="industrial")  # a strip of 1.5 pixels at the edge
    edge = line([(1, -50), (1, 300)], highway="primary")  # along the very rim
    assert not contents_of(tmp_path, [sliver, edge]).kinds
    house = [area(box(100, 100, 10, 10), building="house")]
    assert contents_of(tmp_path, house, frame_at(0, 0, 224, 1.0)).kinds
    assert not contents_of(tmp_path, house, frame_at(0, 0, 224, 10.0)).kinds  # one pixel


def test_counts_and_positions_are_of_all_of_a_kind_though_few_are_kept(tmp_path: Path) -> None:
    houses = [area(box(8 + 12 * i, 8 + 12 * j, 7, 7), building="house") for i in range(9) for j in range(4)]
    contents = contents_of(tmp_path, houses)
    (kind,) = contents.kinds
    assert kind.count == 36
    assert kind.position == "at the top"
    assert len(contents.landmarks) == MAX_LANDMARKS
    assert {entry["count"] for entry in contents.landmarks_json()} == {36}


def test_every_kind_is_kept_before_a_second_of_any(tmp_path: Path) -> None:
    houses = [area(box(8 + 12 * i, 8, 7, 7), building="house") for i in range(9)]
    contents = contents_of(
        tmp_path,
        [*houses, area(box(40, 60, 50, 50), leisure="stadium"), line([(0, 40), (128, 40)], railway="rail")],
    )
    assert {landmark.category for landmark in contents.landmarks} == {"house", "stadium", "railway"} | {
        kind.category for kind in contents.kinds
    }
    assert contents.kinds[0].category == "stadium"


def test_relations_are_those_on_the_ground(tmp_path: Path) -> None:
    features = [
        line([(0, 64), (128, 64)], highway="primary"),
        line([(90, 0), (90, 128)], railway="rail"),
        area(box(10, 70, 20, 20), man_made="storage_tank"),
        area(box(5, 5, 50, 40), leisure="park"),
        area(box(15, 12, 20, 12), leisure="pitch", sport="tennis"),
    ]
    contents = contents_of(tmp_path, features)
    names = [kind.category for kind in contents.kinds]
    said = {(names[r.subject], r.word, names[r.object]) for r in contents.relations}
    assert ("storage_tank", "beside", "primary_road") in said
    assert ("tennis_court", "in", "park") in said
    assert any(word == "crossing" and {a, b} == {"primary_road", "railway"} for a, word, b in said)
    assert not any({a, b} == {"storage_tank", "park"} and word == "in" for a, word, b in said)


@given(u=st.floats(0, 1), v=st.floats(0, 1))
def test_a_point_lies_in_the_region_that_its_words_name(u: float, v: float) -> None:
    words = cell(u, v).split("the ", 1)[1]
    left, top, right, bottom = REGIONS[words]
    assert left <= u <= right and top <= v <= bottom


@settings(max_examples=30)
@given(
    lon=st.floats(-170, 170),
    lat=st.floats(-75, 75),
    bearing=st.floats(0, 2 * math.pi),
    metres=st.floats(10, 50_000),
)
def test_lengths_agree_with_the_ellipsoid(lon: float, lat: float, bearing: float, metres: float) -> None:
    geod = pyproj.Geod(ellps="WGS84")
    there = geod.fwd(lon, lat, math.degrees(bearing), metres)[:2]
    lines = np.array([shapely.Point(lon, lat), shapely.LineString([(lon, lat), there])], dtype=object)
    measured = lengths_m(lines)
    assert measured[0] == 0
    assert measured[1] == pytest.approx(metres, rel=0.01)


def test_a_place_becomes_a_whole_pair_set(tmp_path: Path) -> None:
    image, table = write_image(tmp_path / "place.tif"), write_map(tmp_path, town())
    out = pairs_landmarks([image], table, tmp_path / "pairs", size=128)
    report = pairs_check(out)
    assert report["pairs"] == len(PairSet(out)) > 4
    pairs = PairSet(out)
    for captions in pairs.captions:
        assert 3 <= len(captions) <= 5
        assert len(set(captions)) == len(captions)
    text = " ".join(caption for captions in pairs.captions for caption in captions)
    assert "storage tanks" in text and "lake" in text
    assert not any(name in text for name in ("Wobegon", "Rue", "Test", "previous"))
    steps = json.loads((out / "funnel.json").read_text())["steps"]
    for step in steps:
        assert step["in"] == step["out"] + sum(step["dropped"].values())
    card = (out / "card.md").read_text()
    assert "Open Database License" in card and "place.tif" in card and f"| {len(pairs)} |" in card


def test_the_same_input_gives_the_same_bytes_and_another_seed_other_words(tmp_path: Path) -> None:
    image, table = write_image(tmp_path / "place.tif"), write_map(tmp_path, town())
    one, two, three = (
        pairs_landmarks([image], table, tmp_path / name, size=128, seed=seed)
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    )
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    assert PairSet(one).ids == PairSet(three).ids
    assert PairSet(one).captions != PairSet(three).captions


def test_only_chips_inside_the_area_are_made(tmp_path: Path) -> None:
    image, table = write_image(tmp_path / "place.tif"), write_map(tmp_path, town())
    polygon = area(box(-5, -5, 270, 270))
    out = pairs_landmarks(
        [image], table, tmp_path / "pairs", size=64, area=write_geojson(tmp_path / "area.geojson", [polygon])
    )
    inside = shapely.Polygon(polygon["geometry"]["coordinates"][0]).buffer(1e-5)
    footprints = PairSet(out).table["footprint"].to_pylist()
    assert footprints
    assert all(inside.covers(shapely.from_geojson(text)) for text in footprints)


def test_mistakes_end_in_one_line(tmp_path: Path) -> None:
    image, table = write_image(tmp_path / "place.tif"), write_map(tmp_path, town())
    out = tmp_path / "pairs"
    with pytest.raises(UserError, match=r"landmarks\.pq"):
        pairs_landmarks([image], tmp_path / "landmarks.pq", out)
    with pytest.raises(UserError, match="no polygon"):
        road = write_geojson(tmp_path / "road.geojson", [line([(0, 0), (9, 9)])])
        pairs_landmarks([image], table, out, area=road)
    with pytest.raises(UserError, match=r"no pair is left.*no visible landmark"):
        far = tmp_path / "far"
        far.mkdir()
        elsewhere = write_map(far, [area(box(9000, 9000, 30, 30), building="house")])
        pairs_landmarks([image], elsewhere, out, size=128)
    with pytest.raises(UserError, match="template writer has no model"):
        pairs_landmarks([image], table, out, model="gpt")
    assert not out.exists()


@pytest.mark.parametrize(("place", "gsd", "category"), [("sintra", 1.0, "track_road"), ("uganda", 0.3, "building")])
def test_real_tiles_with_their_map(shared_data: Path, tmp_path: Path, place: str, gsd: float, category: str) -> None:
    table = landmarks(shared_data / place / "labels.geojson", tmp_path / "landmarks.parquet")
    out = pairs_landmarks([shared_data / place / "tiles"], table, tmp_path / "pairs", size=128, gsd=gsd)
    report = pairs_check(out)
    assert report["pairs"] >= 10
    assert report["categories"][category] >= 8
    frame = read_landmarks(table).set_index("landmark_id")
    pairs = PairSet(out)
    for footprint, entries in zip(pairs.table["footprint"].to_pylist(), pairs.landmarks, strict=True):
        window = shapely.from_geojson(footprint)
        for entry in entries:
            assert frame.geometry[entry["landmark_id"]].intersects(window)
