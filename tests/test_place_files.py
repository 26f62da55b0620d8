"""The demo place's files agree with each other, and every part of it follows from its seed."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import osmium
import pytest
import rasterio
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer
from rasterio.windows import from_bounds

from geomammut.demo.place import make_place
from geomammut.demo.place.camera.camera import Camera
from geomammut.demo.place.camera.light import Light, shadows
from geomammut.demo.place.camera.textures import make_textures
from geomammut.demo.place.layout import Layout
from geomammut.demo.place.names import HOSTILE_NAMES
from geomammut.demo.place.osm_map import write_map
from geomammut.demo.place.plan import DISTRICT_M, make_plan
from geomammut.errors import UserError

SIDE = 1920


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("demo") / "place", seed=4, side_m=SIDE)


class _Map(osmium.SimpleHandler):
    """The map's areas, names and relations."""

    def __init__(self) -> None:
        super().__init__()
        self.areas: list[tuple[dict[str, str], shapely.Geometry]] = []
        self.names: set[str] = set()
        self.relations: list[str | None] = []
        self.assembled = 0
        self._wkb = osmium.geom.WKBFactory()

    def area(self, area: osmium.osm.Area) -> None:
        tags = {tag.k: tag.v for tag in area.tags}
        self.names.add(tags.get("name", ""))
        self.assembled += not area.from_way() and area.num_rings()[0] > 0
        self.areas.append((tags, shapely.from_wkb(self._wkb.create_multipolygon(area))))

    def relation(self, relation: osmium.osm.Relation) -> None:
        self.relations.append(relation.tags.get("type"))


@pytest.fixture(scope="module")
def place_map(place: Path) -> _Map:
    handler = _Map()
    handler.apply_file(str(place / "map.osm.pbf"), locations=True)
    return handler


def test_the_mosaic_is_cloud_optimized_and_no_flat_picture(place: Path) -> None:
    with rasterio.open(place / "mosaic.tif") as mosaic, rasterio.open(place / "classes.tif") as classes:
        assert mosaic.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert mosaic.overviews(1)
        assert 40 < mosaic.read(1).mean() < 200 and mosaic.read(1).std() > 20
        assert len(np.unique(classes.read(1))) > 10


def test_buildings_of_the_map_lie_on_building_pixels(place: Path, place_map: _Map) -> None:
    with rasterio.open(place / "classes.tif") as raster:
        classes, transform, crs = raster.read(1), raster.transform, raster.crs
    to_metres = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    shares = []
    for tags, shape in place_map.areas:
        if tags.get("building") in ("house", "residential", "detached", "retail", "warehouse", "industrial"):
            metric = shapely.transform(shape, lambda p: np.stack(to_metres.transform(p[:, 0], p[:, 1]), axis=1))
            inside = rasterio.features.geometry_mask([metric], classes.shape, transform, invert=True)
            if inside.sum() > 40:
                shares.append(np.isin(classes[inside], [1, 6]).mean())  # a roof, or a crown over it
    assert len(shares) > 50
    assert np.mean(shares) > 0.97


def test_the_map_holds_holes_routes_and_hostile_names(place_map: _Map) -> None:
    assert {"multipolygon", "route"} <= set(place_map.relations)
    assert place_map.relations.count("multipolygon") == place_map.assembled, "every multipolygon's rings close"
    assert any(len(part.interiors) for _, shape in place_map.areas for part in shapely.get_parts(shape))
    assert HOSTILE_NAMES[0] in place_map.names


def test_windows_show_the_mosaic_and_its_classes(place: Path) -> None:
    with rasterio.open(place / "mosaic.tif") as mosaic, rasterio.open(place / "classes.tif") as classes:
        for image in sorted((place / "heldout" / "images").glob("*.tif")):
            with rasterio.open(image) as window, rasterio.open(place / "heldout" / "masks" / image.name) as mask:
                part = from_bounds(*window.bounds, transform=mosaic.transform)
                difference = np.abs(window.read(1).astype(int) - mosaic.read(1, window=part))
                assert difference.mean() < 6  # the mosaic is a JPEG
                assert np.array_equal(mask.read(1), classes.read(1, window=part))


def test_scenes_are_pictures_in_folders_named_as_people_name_them(place: Path) -> None:
    pictures = list((place / "heldout" / "scenes").glob("*/*.png"))
    assert len({picture.parent.name for picture in pictures}) >= 5
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.size == (128, 128) and image.mode == "RGB"


def test_the_web_table_has_good_broken_missing_and_repeated_pictures(place: Path) -> None:
    with (place / "web" / "table.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    state: Counter[str] = Counter()
    contents = []
    for row in rows:
        path = place / "web" / row["url"]
        if row["url"].startswith((".", "/")):
            state["outside"] += 1
        elif not path.exists():
            state["missing"] += 1
        else:
            contents.append(hashlib.sha256(path.read_bytes()).hexdigest())
            try:
                with Image.open(path) as image:
                    image.load()
                state["good"] += 1
            except OSError:
                state["broken"] += 1
    assert state["good"] > 100 and state["broken"] >= 3 and state["missing"] >= 1 and state["outside"] >= 1
    assert len(set(contents)) < len(contents)
    assert any("aerial" in row["alt"].lower() for row in rows)


def test_a_whole_place_is_left_alone(place: Path) -> None:
    before = (place / "place.json").stat().st_mtime_ns
    assert make_place(place, seed=4, side_m=SIDE) == place
    assert (place / "place.json").stat().st_mtime_ns == before


def test_a_tile_depends_on_the_seed_alone_not_on_what_was_drawn_before() -> None:
    plan, again, other = make_plan(5, 4), make_plan(5, 4), make_plan(6, 4)
    textures = make_textures(5)
    wanted, wanted_classes = Camera(plan, textures).tile(1, 1, Layout(plan).near(1, 1))
    layout = Layout(again)
    for cell in sorted(again.districts, reverse=True):
        layout.sheet(cell)
    pixels, classes = Camera(again, textures).tile(1, 1, layout.near(1, 1))
    assert np.array_equal(pixels, wanted) and np.array_equal(classes, wanted_classes)
    pixels, _ = Camera(other, textures).tile(1, 1, Layout(other).near(1, 1))
    assert not np.array_equal(pixels, wanted)


def test_the_same_features_give_the_same_map_file(tmp_path: Path) -> None:
    plan = make_plan(5, 4)
    for name in ("a.osm.pbf", "b.osm.pbf"):
        write_map(tmp_path / name, plan, Layout(plan).network.sheet.features)
    assert (tmp_path / "a.osm.pbf").read_bytes() == (tmp_path / "b.osm.pbf").read_bytes()


@pytest.mark.parametrize("side", [0, 480, 1921, -1920, 480 * 33])
def test_an_impossible_side_is_one_line_for_the_user(tmp_path: Path, side: int) -> None:
    with pytest.raises(UserError, match="multiple of 480") as caught:
        make_place(tmp_path / "place", side_m=side)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "place").exists()


def test_the_full_plan_meets_its_quotas() -> None:
    plan = make_plan(0, 16)
    for held, least in ((False, 6), (True, 3)):
        uses = Counter(lot.use for d in plan.districts.values() if d.held_out == held for lot in d.lots)
        assert len(uses) >= 20
        assert min(uses.values()) >= least, uses
    assert 0.2 <= len(plan.held_out) / 256 <= 0.25


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), count=st.integers(4, 12), hold_out=st.booleans())
def test_every_plan_covers_its_place_once(seed: int, count: int, hold_out: bool) -> None:
    plan = make_plan(seed, count, hold_out=hold_out)
    cells = []
    for (i, j), district in plan.districts.items():
        mine = [(i + a, j + b) for a in range(district.span[0]) for b in range(district.span[1])]
        assert len({cell in plan.held_out for cell in mine}) == 1
        cells += mine
    assert sorted(cells) == [(i, j) for i in range(count) for j in range(count)]
    border = plan.world([(0.0, 100.0), (plan.side, 3 * DISTRICT_M)])
    assert border[:, 0].tolist() == [0.0, plan.side]


@settings(max_examples=40)
@given(azimuth=st.floats(0, 6.28), elevation=st.floats(0.5, 1.2), tall=st.integers(8, 120))
def test_a_tower_casts_a_shadow_of_the_right_length_away_from_the_sun(
    azimuth: float, elevation: float, tall: int
) -> None:
    height = np.zeros((300, 300), np.uint8)
    height[146:154, 146:154] = tall  # quarter metres, at half a metre per pixel
    dark = shadows(height, Light(azimuth, elevation))
    assert not dark[146:154, 146:154].any()
    y, x = np.nonzero(dark)
    toward_sun = (x - 149.5) * np.cos(azimuth) + (y - 149.5) * np.sin(azimuth)
    reach = tall / 4 / np.tan(elevation) * 2  # pixels
    if reach > 8:
        assert len(x) and toward_sun.max() < 8
        assert abs(-toward_sun.min() - reach) < 10
