"""Maps become landmark tables: what is kept, what is dropped and why, and where it lies."""

import json
from collections import Counter
from pathlib import Path

import geopandas
import numpy as np
import osmium
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geomammut.errors import UserError
from geomammut.landmarks import attributes, osm
from geomammut.landmarks.features import HIDDEN, KINDS, TAGS, Sieve
from geomammut.landmarks.opl import columns
from geomammut.landmarks.shapes import area_m2
from geomammut.landmarks.table import LANDMARK_SCHEMA, landmarks, read_landmarks
from geomammut.landmarks.taxonomy import load_taxonomy, why_hidden

# Nodes on a 0.001° grid: node id = 100 · row + column at (10 + column/1000, 50 + row/1000).
TOWN = {
    "way": {
        1: ([101, 102, 202, 201, 101], {"building": "house", "name": "Villa"}),
        2: ([105, 106, 107], {"highway": "primary", "name": "High Street"}),
        3: ([105, 205, 305], {"highway": "primary", "tunnel": "yes"}),
        4: ([301, 302, 402, 401, 301], {"building": "yes", "location": "underground"}),
        5: ([303, 304, 404, 403, 303], {"highway": "residential"}),
        6: ([305, 306, 406, 405, 305], {"junction": "roundabout", "highway": "tertiary"}),
        7: ([501, 505, 905, 901, 501], {}),
        8: ([602, 603, 703, 702, 602], {}),
        9: ([107, 208, 107, 208], {"railway": "proposed"}),
        10: ([110, 210, 111, 211, 110], {"leisure": "pitch", "sport": "soccer"}),  # a bow tie
        11: ([110, 111, 112, 110], {"natural": "water"}),  # three nodes in a row: no area
        12: ([112, 999], {"highway": "track"}),  # one node lies beyond the extract
        13: ([112, 113, 213, 999, 112], {"building": "yes"}),
        14: ([112, 113, 9999, 115, 116], {"waterway": "river"}),
    },
    "relation": {
        20: ([("way", 7, "outer"), ("way", 8, "inner")], {"type": "multipolygon", "landuse": "forest"}),
        21: ([("way", 2, "")], {"type": "route", "route": "bus", "name": "17"}),
        22: ([("way", 77, "outer")], {"type": "multipolygon", "natural": "water"}),
    },
    "node": {
        101: {"amenity": "cafe", "name": "Coffee"},
        102: {"addr:housenumber": "3"},
        103: {"natural": "tree"},
        104: {"amenity": "parking"},
        105: {"disused:amenity": "fuel"},
        106: {"indoor": "yes", "man_made": "mast"},
    },
}


def write_town(path: Path) -> Path:
    """Write TOWN as OpenStreetMap XML or PBF, by the suffix."""
    with osmium.SimpleWriter(str(path), overwrite=True) as writer:
        for row in range(1, 10):
            for column in range(1, 20):
                number = 100 * row + column
                place = (10 + column / 1000, 50 + row / 1000)
                tags = TOWN["node"].get(number, {})
                writer.add_node(osmium.osm.mutable.Node(id=number, location=place, tags=tags))
        for number, (nodes, tags) in TOWN["way"].items():
            writer.add_way(osmium.osm.mutable.Way(id=number, nodes=nodes, tags=tags))
        for number, (members, tags) in TOWN["relation"].items():
            letters = [(kind[0], member, role) for kind, member, role in members]
            writer.add_relation(osmium.osm.mutable.Relation(id=number, members=letters, tags=tags))
    return path


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_town(tmp_path_factory.mktemp("town") / "town.osm.pbf")


def record_of(path: Path) -> dict:
    return json.loads(pq.read_schema(path).metadata[b"geomammut"])


def geojson(path: Path, *features: tuple[shapely.Geometry, dict]) -> Path:
    rows = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": properties}
        for shape, properties in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}))
    return path


@pytest.mark.parametrize("suffix", [".osm.pbf", ".osm"])
def test_a_map_gives_what_can_be_seen_and_counts_the_rest(tmp_path: Path, suffix: str) -> None:
    table = read_landmarks(landmarks(write_town(tmp_path / f"town{suffix}"), tmp_path / "out.parquet")).set_index(
        "landmark_id"
    )
    assert dict(table.category) == {
        "n103": "tree",
        "w1": "house",
        "w2": "primary_road",
        "w5": "residential_road",
        "w6": "roundabout",
        "w10": "soccer_field",
        "w14": "river",
        "r20": "forest",
    }
    assert list(table.index) == ["n103", "w1", "w2", "w5", "w6", "w10", "w14", "r20"]
    assert table.name["w1"] == "Villa" and table.name["n103"] is None
    assert table.phrase["w10"] == "soccer field" and table.tags["w10"]["sport"] == "soccer"
    assert table.geometry["w5"].geom_type == "LineString"  # a street round a block is no area
    assert table.geometry["w6"].geom_type == "Polygon"
    assert table.geometry["w14"].geom_type == "MultiLineString"  # nothing is invented across the gap
    assert table.geometry.is_valid.all()
    record = record_of(tmp_path / "out.parquet")
    assert record["seen"] == record["kept"] + sum(record["dropped"].values())
    assert record["dropped"] == {
        "underground": 2,
        "cut off at the edge of the extract": 2,
        "a place inside a building, or too small to see": 1,
        "an address": 1,
        "mapped as a point only: its extent is unknown": 1,
        "gone, disused or not yet built": 2,
        "indoor": 1,
        "a route, boundary or other thing without a body": 1,
        "a multipolygon whose outline is not whole": 1,
        "empty area or line": 1,
    }


def test_a_relation_keeps_its_holes_and_its_true_area(town: Path, tmp_path: Path) -> None:
    table = read_landmarks(landmarks(town, tmp_path / "out.parquet")).set_index("landmark_id")
    forest = table.geometry["r20"]
    assert sum(len(part.interiors) for part in shapely.get_parts(forest)) == 1
    geod = pyproj.Geod(ellps="WGS84")
    true = abs(geod.geometry_area_perimeter(forest)[0])
    assert table.area_m2["r20"] == pytest.approx(true, rel=1e-4)
    assert table.area_m2["w2"] == 0 and table.area_m2["n103"] == 0


@given(st.floats(-179, 178), st.floats(-89, 88), st.floats(0.0005, 0.01))
def test_areas_are_those_on_the_ellipsoid_everywhere(lon: float, lat: float, side: float) -> None:
    shape = shapely.segmentize(shapely.box(lon, lat, lon + side, lat + side), side / 10)
    true = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])
    assert area_m2(np.array([shape], dtype=object))[0] == pytest.approx(true, rel=2e-3)


def test_the_table_is_geoparquet_with_the_agreed_columns_and_the_same_bytes(town: Path, tmp_path: Path) -> None:
    first, second = (landmarks(town, tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert first.read_bytes() == second.read_bytes()
    assert pq.read_schema(first).remove_metadata() == LANDMARK_SCHEMA
    frame = geopandas.read_parquet(first)
    assert frame.crs.to_epsg() == 4326
    assert json.loads(pq.read_schema(first).metadata[b"geo"])["version"] == "1.1.0"


def test_a_bounding_box_keeps_what_touches_it(town: Path, tmp_path: Path) -> None:
    near = read_landmarks(landmarks(town, tmp_path / "a.parquet", bbox=(10.0005, 50.0005, 10.0025, 50.0025)))
    assert set(near.landmark_id) == {"w1"}
    assert record_of(tmp_path / "a.parquet")["dropped"]["outside the bounding box"] == 7
    again = landmarks(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert set(read_landmarks(again).landmark_id) == {"w1"}  # a landmark table passes through
    with pytest.raises(UserError, match="bounding box"):
        landmarks(town, tmp_path / "c.parquet", bbox=(0, 0, 1, 1))


def test_a_box_across_the_antimeridian_takes_both_sides(tmp_path: Path) -> None:
    shapes = [(shapely.box(lon, 0, lon + 0.001, 0.001), {"building": "yes"}) for lon in (179.9, -179.9, 0)]
    source = geojson(tmp_path / "a.geojson", *shapes)
    out = landmarks(source, tmp_path / "a.parquet", bbox=(179, -1, -179, 1))
    assert len(read_landmarks(out)) == 2


def true_area_m2(shape: shapely.Geometry) -> float:
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])


def test_what_crosses_the_antimeridian_is_cut_there_and_keeps_its_size(tmp_path: Path) -> None:
    east, west = shapely.box(179.98, 10, 180, 10.02), shapely.box(-180, 10, -179.98, 10.02)
    across = shapely.Polygon([(179.98, 10), (-179.98, 10), (-179.98, 10.02), (179.98, 10.02)])
    hole = [(179.99, 10.005), (-179.99, 10.005), (-179.99, 10.015), (179.99, 10.015)]
    source = geojson(
        tmp_path / "a.geojson",
        (across, {"@id": "w1", "natural": "water"}),
        (shapely.box(179.98, 10, 180.02, 10.02), {"@id": "w2", "natural": "water"}),
        (shapely.Polygon(across.exterior, [hole]), {"@id": "w3", "landuse": "forest"}),
        (shapely.LineString([(179.98, 10), (-179.98, 10)]), {"@id": "w4", "highway": "primary"}),
        (shapely.Point(180.5, 10), {"@id": "n5", "natural": "tree"}),
        (shapely.MultiPolygon([east, west]), {"@id": "r6", "natural": "wood"}),
        (shapely.Point(500_000, 10), {"@id": "n7", "natural": "tree"}),
    )
    out = landmarks(source, tmp_path / "out.parquet")
    table = read_landmarks(out).set_index("landmark_id")
    for whole in ("w1", "w2"):
        assert table.geometry[whole].equals(shapely.MultiPolygon([east, west]))
        assert table.area_m2[whole] == pytest.approx(2 * true_area_m2(east), rel=1e-3)
    assert table.area_m2["w3"] == pytest.approx(0.75 * table.area_m2["w1"], rel=1e-3)
    assert table.geometry["w4"].length == pytest.approx(0.04) and len(table.geometry["w4"].geoms) == 2
    assert table.geometry["n5"].equals(shapely.Point(-179.5, 10))
    assert table.geometry["r6"].equals(shapely.MultiPolygon([east, west]))
    assert record_of(out)["dropped"] == {"broken geometry": 1}


def test_land_round_a_pole_takes_in_the_pole(tmp_path: Path) -> None:
    ring = [(lon, -80.0) for lon in range(-175, 180, 10)]
    whole = shapely.Polygon([(-180, -80), (180, -80), (180, -90), (-180, -90)])
    source = geojson(
        tmp_path / "a.geojson",
        (shapely.Polygon(ring), {"@id": "r1", "natural": "glacier"}),
        (shapely.Polygon(ring[::-1]), {"@id": "r2", "natural": "glacier"}),
        (whole, {"@id": "r3", "natural": "glacier"}),
    )
    table = read_landmarks(landmarks(source, tmp_path / "out.parquet")).set_index("landmark_id")
    for name in ("r1", "r2", "r3"):
        assert table.geometry[name].symmetric_difference(whole).area < 1e-6
    cap = true_area_m2(shapely.Polygon([(lon, 80) for lon in range(0, 360, 10)]))
    assert table.area_m2["r1"] == pytest.approx(cap, rel=0.01)


def test_an_osm_way_across_the_antimeridian_is_no_band_round_the_world(tmp_path: Path) -> None:
    path = tmp_path / "fiji.osm.pbf"
    corners = [(179.999, -17.0), (-179.999, -17.0), (-179.999, -16.999), (179.999, -16.999)]
    with osmium.SimpleWriter(str(path)) as writer:
        for number, place in enumerate(corners, 1):
            writer.add_node(osmium.osm.mutable.Node(id=number, location=place))
        writer.add_way(osmium.osm.mutable.Way(id=1, nodes=[1, 2, 3, 4, 1], tags={"natural": "beach"}))
        writer.add_way(osmium.osm.mutable.Way(id=2, nodes=[1, 2], tags={"highway": "track"}))
    table = read_landmarks(landmarks(path, tmp_path / "out.parquet"))
    assert len(table) == 2 and table.area_m2[0] == pytest.approx(23_600, rel=0.02)
    assert (table.geometry.bounds[["minx", "maxx"]].abs().to_numpy() > 179).all()


def test_memory_is_bounded_by_batches_and_a_file_and_neither_changes_a_byte(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = landmarks(town, tmp_path / "plain.parquet")
    monkeypatch.setattr(osm, "_LARGEST_IN_MEMORY_BYTES", 0)
    assert landmarks(town, tmp_path / "from_file.parquet").read_bytes() == plain.read_bytes()
    monkeypatch.setattr(osm, "_BATCH", 2)
    small = landmarks(town, tmp_path / "small.parquet")
    assert pq.ParquetFile(small).num_row_groups > 3
    assert pq.read_table(small).equals(pq.read_table(plain)) and record_of(small) == record_of(plain)


# osmium's text loses a digit of what lies beyond U+FFFFF: the last plane, for private use.
texts = st.text(st.characters(max_codepoint=0xFFFFF, exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@settings(max_examples=40)
@given(st.dictionaries(texts.filter(bool), texts, max_size=4))
def test_tags_come_through_whatever_is_written_in_them(tmp_path_factory: pytest.TempPathFactory, odd: dict) -> None:
    path = tmp_path_factory.mktemp("odd") / "odd.osm.pbf"
    tags = odd | {"name": 'A, "b" = %20% c\n\u2028\U0001f600', "natural": "tree"}
    with osmium.SimpleWriter(str(path)) as writer:
        writer.add_node(osmium.osm.mutable.Node(id=1, location=(10, 50), tags=tags))
    (run,) = columns(osmium.FileProcessor(str(path)), 10)
    assert dict(run.tags[0].as_py()) == tags


def test_bad_records_of_a_map_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "bad.osm"
    tree = '<tag k="natural" v="tree"/>'
    road = '<tag k="highway" v="track"/>'
    path.write_text(
        f"""<osm version="0.6">
        <node id="1" lat="50" lon="10">{tree}</node><node id="2" visible="false">{tree}</node>
        <node id="3" lat="95" lon="10">{tree}</node><node id="4" lat="50.001" lon="10"/>
        <way id="1"><nd ref="1"/><nd ref="4"/><nd ref="4"/>{road}</way><way id="2"><nd ref="1"/>{road}</way>
        <way id="3"><nd ref="1"/><nd ref="1"/>{road}</way><way id="4">{road}</way></osm>"""
    )
    out = landmarks(path, tmp_path / "out.parquet")
    table = read_landmarks(out).set_index("landmark_id")
    assert list(table.index) == ["n1", "w1"] and len(table.geometry["w1"].coords) == 2
    assert record_of(out)["dropped"] == {"broken geometry": 5}


@pytest.mark.parametrize("bbox", [(10, 51, 11, 50), (10, 50, 10, 51), (0, 0, 200, 1), (float("nan"), 0, 1, 1)])
def test_a_wrong_bounding_box_is_refused(town: Path, tmp_path: Path, bbox: tuple) -> None:
    with pytest.raises(UserError, match="W,S,E,N"):
        landmarks(town, tmp_path / "out.parquet", bbox=bbox)


def test_mistakes_end_in_one_line_and_leave_nothing(town: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.osm.pbf"
    cut.write_bytes(town.read_bytes()[:-40])
    for name, content in {"noise.osm.pbf": b"noise", "noise.geojson": b"{", "noise.parquet": b"PAR1"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "map.txt").write_text("")
    (tmp_path / "folder.osm").mkdir()
    empty = geojson(tmp_path / "empty.geojson", (shapely.Point(1, 1), {"amenity": "cafe"}))
    sources = [cut, *tmp_path.glob("noise.*"), tmp_path / "map.txt", tmp_path / "none.osm", empty]
    for source in [*sources, tmp_path / "folder.osm"]:
        with pytest.raises(UserError) as caught:
            landmarks(source, tmp_path / "out.parquet")
        assert source.name in str(caught.value) and "\n" not in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    with pytest.raises(UserError, match="cut short"):
        landmarks(cut, tmp_path / "out.parquet")


def test_geojson_reads_tags_and_ids_however_they_are_written(tmp_path: Path) -> None:
    box = shapely.box(10, 50, 10.001, 50.001)
    source = geojson(
        tmp_path / "a.geojson",
        (box, {"@id": "way/5", "building": "yes", "highway": None}),
        (
            shapely.LineString([(10, 50), (10.1, 50)]),
            {"@id": 7, "@type": "way", "highway": "track", "name": ""},
        ),
        (box, {"osm_id": -9, "tags": '{"natural": "water", "water": "lake"}'}),
        (box, {"osm_way_id": "12", "other_tags": '"landuse"=>"quarry","name"=>"Pit \\"A\\""'}),
        (shapely.Point(10, 50), {"@type": "node", "@id": 3, "man_made": "water_tower"}),
        (shapely.affinity.translate(box, 1), {"leisure": "stadium"}),
    )
    table = read_landmarks(landmarks(source, tmp_path / "out.parquet")).set_index("landmark_id")
    made_up = [name for name in table.index if name.startswith("g")]
    assert len(made_up) == 1 and table.category[made_up[0]] == "stadium"
    assert dict(table.category.drop(made_up)) == {
        "n3": "water_tower",
        "r9": "lake",
        "w5": "building",
        "w7": "track_road",
        "w12": "quarry",
    }
    assert table.name["w12"] == 'Pit "A"' and table.name["w7"] is None


def test_parts_of_one_feature_are_united(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [(shapely.box(x, 0, x + 0.001, 0.001), {"@id": "way/1", "natural": "water"}) for x in (0, 0.001)]
    between = (shapely.box(1, 0, 1.001, 0.001), {"@id": "way/2", "landuse": "quarry"})
    after = (shapely.box(2, 0, 2.001, 0.001), {"@id": "way/3", "landuse": "quarry"})
    source = geojson(tmp_path / "a.geojson", halves[0], between, halves[1], after)
    table = read_landmarks(landmarks(source, tmp_path / "out.parquet"))
    assert list(table.landmark_id) == ["w2", "w1", "w3"]  # where the last part stands
    assert table.geometry[1].equals(shapely.box(0, 0, 0.002, 0.001))
    monkeypatch.setattr(attributes, "_BATCH", 1)  # a file of any size is read part by part
    parts = landmarks(source, tmp_path / "parts.parquet")
    assert pq.ParquetFile(parts).num_row_groups == 3
    assert pq.read_table(parts).equals(pq.read_table(tmp_path / "out.parquet"))
    assert record_of(parts) == record_of(tmp_path / "out.parquet")


def test_a_geopackage_in_metres_with_two_layers_comes_out_in_degrees(tmp_path: Path) -> None:
    source = tmp_path / "map.gpkg"
    for layer, shape, tags in (
        ("areas", shapely.box(5e5, 55e5, 5e5 + 100, 55e5 + 100), {"building": "hangar"}),
        ("lines", shapely.LineString([(5e5, 55e5), (6e5, 55e5)]), {"aeroway": "runway"}),
    ):
        frame = geopandas.GeoDataFrame([tags], geometry=[shape], crs="EPSG:32633")
        frame.to_file(source, layer=layer, driver="GPKG")
    table = read_landmarks(landmarks(source, tmp_path / "out.parquet")).set_index("category")
    assert set(table.index) == {"hangar", "runway"}
    assert table.area_m2["hangar"] == pytest.approx(10_000, rel=1e-2)
    assert table.geometry["hangar"].bounds[0] == pytest.approx(15, abs=0.01)


def test_overture_rows_become_landmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = shapely.box(10, 50, 10.001, 50.001)
    rows = [
        ("a", "building", "residential", "house", None, {"primary": "Home"}),
        ("b", "building", None, None, None, None),
        ("c", "segment", "road", "motorway", None, None),
        ("d", "water", "lake", None, None, None),
        ("e", "land_use", "recreation", "golf_course", None, None),
        ("f", "infrastructure", "tower", "unknown", {"power": "substation"}, None),
        ("g", "land_cover", "urban", None, None, None),
    ]
    columns = ("id", "type", "subtype", "class", "source_tags", "names")
    frame = geopandas.GeoDataFrame(
        [dict(zip(columns, row, strict=True)) for row in rows],
        geometry=[box, box, shapely.LineString([(10, 50), (11, 50)]), box, box, box, box],
        crs="EPSG:4326",
    )
    frame.to_parquet(tmp_path / "overture.parquet")
    table = read_landmarks(landmarks(tmp_path / "overture.parquet", tmp_path / "out.parquet")).set_index("landmark_id")
    assert dict(table.category) == {
        "a": "house",
        "b": "building",
        "c": "motorway",
        "d": "lake",
        "e": "golf_course",
        "f": "substation",
    }
    assert table.name["a"] == "Home"
    monkeypatch.setattr(attributes, "_BATCH", 2)  # a file of any size is read part by part
    landmarks(tmp_path / "overture.parquet", tmp_path / "parts.parquet")
    assert pq.read_table(tmp_path / "parts.parquet").equals(pq.read_table(tmp_path / "out.parquet"))


def test_polygons_without_tags_are_buildings_only_if_they_have_the_size(tmp_path: Path) -> None:
    small = [(shapely.box(x / 1000, 0, x / 1000 + 1e-4, 1e-4), {"osm_id": x or None}) for x in range(5)]
    table = landmarks(geojson(tmp_path / "a.geojson", *small), tmp_path / "out.parquet")
    assert set(read_landmarks(table).category) == {"building"}
    assert "taken for buildings" in record_of(table)["notes"][0]
    large = geojson(tmp_path / "b.geojson", *[(shape.buffer(0.1), tags) for shape, tags in small])
    lines = geojson(
        tmp_path / "c.geojson", *[(shapely.LineString(shape.exterior.coords), tags) for shape, tags in small]
    )
    for source in (large, lines):
        with pytest.raises(UserError, match="building=yes"):
            landmarks(source, tmp_path / "none.parquet")


def test_a_table_that_is_none_or_missing_says_how_to_make_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name in ("other.parquet", "missing.parquet"):
        with pytest.raises(UserError, match="geomammut landmarks"):
            read_landmarks(tmp_path / name)


def test_the_taxonomy_is_large_and_sound() -> None:
    categories = load_taxonomy().categories.values()
    assert len(categories) >= 150
    phrases = [category.phrase for category in categories]
    assert len(set(phrases)) == len(phrases)
    for category in categories:
        assert category.kinds and set(category.kinds) <= {"area", "line", "point"}
        assert 0.1 <= category.min_visible_gsd_m <= 30
        assert not category.phrase.startswith(("a ", "an ", "the "))
        for rule in category.rules:
            tags = {key: sorted(values)[0] if values else "yes" for key, values in rule.required}
            assert load_taxonomy().classify(tags, category.kinds) is not None


@pytest.mark.parametrize(
    ("tags", "category"),
    [
        ("building=house", "house"),
        ("building=apartments", "apartment_building"),
        ("landuse=residential", "residential_area"),
        ("building=warehouse", "warehouse"),
        ("building=industrial", "industrial_building"),
        ("landuse=industrial", "industrial_area"),
        ("building=commercial", "commercial_building"),
        ("landuse=commercial", "commercial_area"),
        ("highway=motorway", "motorway"),
        ("highway=motorway bridge=yes", "road_bridge"),
        ("highway=primary", "primary_road"),
        ("highway=residential", "residential_road"),
        ("highway=track", "track_road"),
        ("highway=primary junction=roundabout", "roundabout"),
        ("railway=rail", "railway"),
        ("waterway=river", "river"),
        ("natural=water water=river", "river"),
        ("natural=water water=lake", "lake"),
        ("natural=water water=pond", "pond"),
        ("natural=water", "water"),
        ("natural=wood", "forest"),
        ("landuse=forest", "forest"),
        ("landuse=farmland", "farmland"),
        ("landuse=orchard", "orchard"),
        ("landuse=meadow", "meadow"),
        ("leisure=park", "park"),
        ("leisure=stadium", "stadium"),
        ("leisure=pitch sport=soccer", "soccer_field"),
        ("leisure=pitch sport=multi;tennis", "tennis_court"),
        ("leisure=pitch sport=baseball", "baseball_field"),
        ("leisure=track", "running_track"),
        ("leisure=golf_course", "golf_course"),
        ("aeroway=aerodrome", "airport"),
        ("aeroway=runway", "runway"),
        ("aeroway=taxiway", "taxiway"),
        ("aeroway=apron", "apron"),
        ("aeroway=terminal building=yes", "airport_terminal"),
        ("man_made=storage_tank building=yes", "storage_tank"),
        ("power=plant plant:source=solar", "solar_farm"),
        ("power=generator generator:source=solar", "solar_panels"),
        ("leisure=marina", "marina"),
        ("landuse=harbour", "harbour"),
        ("man_made=pier", "pier"),
        ("man_made=breakwater", "breakwater"),
        ("amenity=parking", "parking_lot"),
        ("leisure=swimming_pool", "swimming_pool"),
        ("natural=beach", "beach"),
        ("natural=sand", "sand"),
        ("landuse=quarry", "quarry"),
        ("landuse=greenhouse_horticulture", "greenhouses"),
        ("man_made=wastewater_plant", "wastewater_plant"),
        ("landuse=cemetery", "cemetery"),
        ("man_made=bridge", "bridge"),
        ("amenity=school", "school_grounds"),
        ("amenity=school building=yes", "school_building"),
        ("landuse=construction", "construction_site"),
        ("building=no landuse=grass", "lawn"),
        ("leisure=swimming_pool location=indoor", None),
        ("building=entrance", None),
        ("proposed:building=yes", None),
        ("amenity=cafe", None),
    ],
)
def test_tags_get_the_category_a_person_would_give(tags: str, category: str | None) -> None:
    pairs = dict(term.split("=") for term in tags.split())
    found = load_taxonomy().classify(pairs, ("area", "line"))
    assert (found[0].key if found else None) == category


RULE_TAGS = sorted(
    (key, value)
    for category in load_taxonomy().categories.values()
    for rule in category.rules
    for key, values in rule.required
    for value in (values or {"yes"})
)

HIDING_TAGS = [
    ("tunnel", "yes"),
    ("layer", "-2"),
    ("indoor", "yes"),
    ("location", "underground"),
    ("covered", "yes"),
    ("demolished", "yes"),
    ("disused:amenity", "fuel"),
    ("shop", "bakery"),
    ("addr:housenumber", "7"),
    ("type", "route"),
    ("name", "Somewhere"),
]


@given(st.lists(st.sampled_from(RULE_TAGS), min_size=1, max_size=5, unique_by=lambda tag: tag[0]))
def test_the_order_of_tags_changes_nothing(tags: list[tuple[str, str]]) -> None:
    kinds = ("area", "line")
    forwards, backwards = (load_taxonomy().classify(dict(order), kinds) for order in (tags, tags[::-1]))
    assert forwards == backwards


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([*RULE_TAGS, *HIDING_TAGS]), max_size=5, unique_by=lambda tag: tag[0]),
            st.integers(0, 3),
        ),
        max_size=20,
    )
)
def test_features_sifted_together_are_judged_as_each_alone(features: list[tuple[list[tuple[str, str]], int]]) -> None:
    taxonomy, sieve = load_taxonomy(), Sieve(load_taxonomy())
    tags, kinds = pa.array([tags for tags, _ in features], TAGS), np.array([kind for _, kind in features], np.int8)
    categories, is_area = sieve.sift(tags, kinds)
    dropped: Counter[str] = Counter()
    for row, (pairs, kind) in enumerate(features):
        found, reason = taxonomy.classify(dict(pairs), KINDS[kind]), why_hidden(dict(pairs))
        if found is None or reason:
            assert categories[row] == HIDDEN
            dropped[reason if found and reason else taxonomy.why_dropped(dict(pairs), KINDS[kind])] += 1
        else:
            assert (taxonomy.order[categories[row]], is_area[row]) == (found[0], found[1] == "area")
    assert +sieve.dropped == dropped and sieve.seen == len(features)


def test_what_is_covered_or_below_ground_is_hidden() -> None:
    assert why_hidden({"highway": "primary", "layer": "-1"}) == "underground"
    assert why_hidden({"waterway": "river", "layer": "-1"}) is None  # it runs below bridges
    assert why_hidden({"waterway": "river", "layer": "-1", "tunnel": "culvert"}) == "underground"
    assert why_hidden({"highway": "primary", "layer": "1", "tunnel": "no"}) is None
    assert why_hidden({"highway": "footway", "covered": "yes"}) == "under a roof"
    assert why_hidden({"building": "yes", "layer": "-"}) is None
    assert why_hidden({"building": "yes", "demolished": "yes"}) == "gone, disused or not yet built"
    assert why_hidden({"building": "yes", "proposed": "no"}) is None


# What a person would call visible and bounded, told without our taxonomy.
AREA_TAGS: dict[str, set[str] | None] = {
    "building": None,
    "natural": set("water wood scrub heath wetland beach bare_rock scree sand".split()),
    "landuse": set(
        "residential commercial retail industrial grass forest farmland meadow cemetery basin railway".split()
    ),
    "leisure": set("park pitch playground garden stadium marina golf_course bandstand".split()),
    "amenity": set("parking school university college hospital bus_station marketplace fountain".split()),
    "place": {"square", "island"},
    "man_made": {"pier", "bridge", "tower"},
    "railway": {"platform", "station"},
    "highway": {"platform"},
}
LINE_TAGS: dict[str, set[str] | None] = {
    "highway": set(
        "motorway trunk primary secondary tertiary unclassified residential living_street service track path "
        "footway cycleway steps trail platform primary_link tertiary_link".split()
    ),
    "railway": {"rail", "tram", "light_rail", "subway", "platform"},
    "waterway": {"river", "stream", "canal", "drain"},
    "natural": {"coastline", "cliff", "tree_row"},
    "man_made": {"pier", "bridge"},
    "barrier": {"wall", "hedge", "fence", "retaining_wall"},
}


def test_helsinki_gives_every_named_visible_feature(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "osm" / "helsinki.osm.pbf"

    def fits(tags: dict[str, str], known: dict[str, set[str] | None]) -> bool:
        return any(tags.get(k, "no") != "no" and (v is None or tags[k] in v) for k, v in known.items())

    expected = set()
    for entity in osmium.FileProcessor(str(source)).with_areas():
        tags = dict(entity.tags)
        if "name" not in tags or tags.get("tunnel", "no") != "no" or tags.get("layer", "0").startswith("-"):
            continue
        if tags.get("indoor", "no") != "no" or "underground" in (tags.get("location"), tags.get("parking")):
            continue
        street = tags.get("highway") == "pedestrian"
        if entity.is_way() and sum(node.location.valid() for node in entity.nodes) > 1:
            if fits(tags, LINE_TAGS) or (street and not entity.is_closed()):
                expected.add(f"w{entity.id}")
        elif entity.is_area() and (
            fits(tags, AREA_TAGS) or (tags.get("area") == "yes" and (street or tags.get("highway") == "service"))
        ):
            expected.add(f"{'w' if entity.from_way() else 'r'}{entity.orig_id()}")
    table = read_landmarks(landmarks(source, tmp_path / "helsinki.parquet"))
    named = set(table.landmark_id[table.name.notna()])
    assert len(expected) > 800
    assert expected - named == set()
    assert len(named - expected) <= 5  # a point or two that our taxonomy knows besides
    assert table.landmark_id.is_unique and table.geometry.is_valid.all()


def test_sintra_uganda_and_laupheim_become_tables(shared_data: Path, tmp_path: Path) -> None:
    sintra = read_landmarks(landmarks(shared_data / "sintra" / "labels.geojson", tmp_path / "s.parquet"))
    assert {"beach", "parking_lot", "water_tower", "footpath"} <= set(sintra.category)
    assert "w200222070" in set(sintra.landmark_id) and not sintra.category.str.contains("protected").any()
    uganda = read_landmarks(landmarks(shared_data / "uganda" / "labels.geojson", tmp_path / "u.parquet"))
    assert len(uganda) == 206 and set(uganda.category) == {"building"} and uganda.geometry.is_valid.all()
    laupheim = read_landmarks(landmarks(shared_data / "osm" / "laupheim.osm", tmp_path / "l.parquet"))
    assert (laupheim.category == "building").sum() == 31
