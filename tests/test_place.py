"""The demo's place: whole, deterministic, and its held-out corner apart from all that trains."""

import json
from pathlib import Path

import numpy as np
import osmium
import pytest
import rasterio
import rasterio.warp
import shapely

from geomammut.demo.place import make_place
from geomammut.errors import UserError
from geomammut.landmarks.table import landmarks
from geomammut.pairs.landmarks import pairs_landmarks
from geomammut.pairs.pair_set import PairSet

SIDE_M = 1920


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("demo") / "place", seed=3, side_m=SIDE_M)


def test_the_rasters_agree_on_the_ground(place: Path) -> None:
    with rasterio.open(place / "mosaic.tif") as mosaic, rasterio.open(place / "classes.tif") as classes:
        assert mosaic.count == 3
        assert mosaic.shape == classes.shape == (SIDE_M, SIDE_M)
        assert mosaic.transform == classes.transform
        assert mosaic.crs == classes.crs
        assert mosaic.res == (1.0, 1.0)
        listed = {entry["mask"] for entry in json.loads((place / "classes.json").read_text())["classes"]}
        assert set(np.unique(classes.read(1)).tolist()) <= listed | {0}


def test_training_and_heldout_chips_do_not_overlap(place: Path, tmp_path: Path) -> None:
    table = landmarks(place / "map.osm.pbf", tmp_path / "landmarks.parquet")
    footprints = {}
    for name in ("train", "heldout"):
        out = pairs_landmarks(
            [place / "mosaic.tif"], table, tmp_path / name, size=128, gsd=1.0, area=place / f"{name}.geojson"
        )
        stored = PairSet(out).table["footprint"].to_pylist()
        footprints[name] = shapely.union_all([shapely.from_geojson(text) for text in stored])
    shared = shapely.intersection(footprints["train"], footprints["heldout"]).area
    assert shared <= 1e-3 * footprints["heldout"].area  # at most the rounding of shared borders
    heldout = shapely.from_geojson((place / "heldout.geojson").read_text())
    for path in sorted((place / "heldout" / "images").iterdir()):
        with rasterio.open(path) as image:
            corners = rasterio.warp.transform_bounds(image.crs, "EPSG:4326", *image.bounds)
        assert shapely.contains(shapely.buffer(heldout, 1e-4), shapely.box(*corners))
        assert (place / "heldout" / "masks" / path.name).is_file()


def test_the_map_is_true_osm(place: Path) -> None:
    kinds = {"n": 0, "w": 0, "r": 0}
    uses: dict[int, int] = {}
    for thing in osmium.FileProcessor(str(place / "map.osm.pbf")):
        kinds[thing.type_str()] += 1
        if isinstance(thing, osmium.osm.Way) and "highway" in thing.tags:
            for node in {node.ref for node in thing.nodes}:
                uses[node] = uses.get(node, 0) + 1
    assert min(kinds.values()) > 0
    assert sum(count > 1 for count in uses.values()) > 5, "roads meet in shared nodes"


def test_a_side_that_is_no_whole_number_of_districts_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="multiple"):
        make_place(tmp_path / "place", side_m=1000)
