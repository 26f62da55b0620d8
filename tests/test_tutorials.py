"""The tutorials' commands and code do what they say, on a place of 512 × 512 m."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import osmium
import pytest
import rasterio
from osmium.osm.mutable import Node, Way

from geomammut.cli import main
from small_place import area, box, town, write_geojson, write_image

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"
# A model and a training that cost nothing; all else is run as it stands.
SMALLER = [
    *("--set", "batch_size=8", "--set", "stages.0.samples=16"),
    *("--set", "model.vision.width=48", "--set", "model.vision.layers=1"),
]


def blocks(name: str, language: str) -> list[str]:
    text = (TUTORIALS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def write_pbf(path: Path, features: list[dict[str, Any]]) -> None:
    """Write ways, open and closed, as an OpenStreetMap extract."""
    nodes: dict[tuple[float, ...], int] = {}
    ways = []
    for feature in features:
        points = feature["geometry"]["coordinates"]
        points = points[0] if feature["geometry"]["type"] == "Polygon" else points
        ways.append(([nodes.setdefault(tuple(point), len(nodes) + 1) for point in points], feature["properties"]))
    with osmium.SimpleWriter(str(path)) as writer:
        for point, number in nodes.items():
            writer.add_node(Node(id=number, version=1, location=point))
        for number, (refs, tags) in enumerate(ways, 1):
            writer.add_way(Way(id=number, version=1, nodes=refs, tags=tags))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the tutorials say that the reader brings, to work in."""
    write_image(tmp_path / "mosaic.tif")
    write_pbf(tmp_path / "map.osm.pbf", town())
    write_geojson(tmp_path / "train.geojson", [area(box(-1, -1, 514, 258))])
    write_geojson(tmp_path / "heldout.geojson", [area(box(-1, 255, 514, 258))])
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_lead_from_a_map_and_a_mosaic_to_a_mask(place: Path) -> None:
    lines = [line for block in blocks("own-data.md", "bash") for line in block.splitlines()]
    assert len(lines) > 8
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "geomammut"
        assert main([*words, *(SMALLER if words[0] == "train" else [])]) == 0, line
    recall = json.loads((place / "recall.json").read_text())
    assert recall["counts"]["images"] > 1 and 0 <= recall["metrics"]["mR"] <= 100
    with rasterio.open(place / "mosaic.tif") as mosaic, rasterio.open(place / "mask.tif") as mask:
        assert mask.transform == mosaic.transform and mask.shape == mosaic.shape
        assert set(range(1, 4)) >= set(mask.read(1).ravel().tolist()) - {0} != set()
    assert json.loads((place / "mask.geojson").read_text())["features"]
    for name in ("sheet.png", "tanks.png", "tanks.tif"):
        assert (place / name).stat().st_size > 1000


def test_the_code_leads_from_a_map_to_embeddings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for code in blocks("python.md", "python"):
        exec(compile(code, "python.md", "exec"), names)
    assert names["cosines"].shape == (4, 3)
    assert names["maps"].shape == (4, 8, 8, 3)
    assert "no such model" in capsys.readouterr().out
