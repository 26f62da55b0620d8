"""The server of an archive: what it answers, and what it refuses."""

import asyncio
import base64
import io
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_archive import SIDE, SquaresArchive, ask, served
from geomammut.cli import main
from geomammut.imagery.sources import open_sources
from geomammut.search.server.lines import Line, Memory
from geomammut.search.server.tiles import TILE, Imagery, mercator


@pytest.fixture(scope="module")
def server(archive: SquaresArchive) -> Iterator[str]:
    with served(archive) as address:
        yield address


def colour_of(jpeg: bytes) -> str:
    """Name the colour that a picture is mostly of."""
    red, green, blue = np.array(Image.open(io.BytesIO(jpeg)).convert("RGB")).mean((0, 1))
    if red > 120 and green > 120:
        return "yellow"
    return "red" if red > max(green, blue) else "green" if green > blue else "blue"


def colours_found(server: str, **asked: Any) -> list[str]:
    found = ask(server, "/api/search", {"k": 10, **asked})
    assert found.status == 200, found.body
    return [colour_of(ask(server, f"/api/chips/{hit['id']}").body) for hit in found.json["hits"]]


def encoded(colour: tuple[int, int, int], side: int = 40) -> str:
    data = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def test_words_and_pictures_find_places(server: str) -> None:
    assert colours_found(server, text="a red roof") == ["red"] * 10
    assert colours_found(server, image=encoded((20, 30, 240))) == ["blue"] * 10


def test_a_place_that_is_liked_leads_to_others_like_it(server: str) -> None:
    first = ask(server, "/api/search", {"text": "blue", "k": 1}).json["hits"][0]["id"]
    assert colours_found(server, liked=[first]) == ["blue"] * 10


def test_a_box_and_a_time_limit_the_search(server: str, archive: SquaresArchive) -> None:
    west, south, east, north = archive.bounds()
    box = [west, (south + north) / 2, (west + east) / 2, north]
    hits = ask(server, "/api/search", {"text": "red", "bbox": box, "k": 200}).json["hits"]
    assert 16 <= len(hits) <= 25
    assert ask(server, "/api/search", {"text": "red", "since": "2024-05-02"}).json["hits"] == []
    assert len(ask(server, "/api/search", {"text": "red", "until": "2024-05-01"}).json["hits"]) == 24


def test_embeddings_come_one_by_one_or_many_at_once(server: str) -> None:
    one = ask(server, "/api/embeddings", {"text": "red"}).json["embedding"]
    picture = ask(server, "/api/embeddings", {"image": encoded((255, 0, 0))}).json["embedding"]
    many = ask(server, "/api/embeddings", {"instances": [{"text": "red"}, {"image": encoded((255, 0, 0))}]}).json
    assert [prediction["embedding"] for prediction in many["predictions"]] == [one, picture]
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_heat_lies_where_the_words_fit(server: str, archive: SquaresArchive) -> None:
    hit = ask(server, "/api/search", {"text": "yellow", "k": 1}).json["hits"][0]
    ring = np.array(hit["footprint"]["coordinates"][0])
    (west, south), (east, north) = ring.min(0), ring.max(0)
    box = [west - (east - west), south, east, north]
    answer = ask(server, "/api/heatmap", {"text": "yellow", "bbox": box})
    assert answer.status == 200, answer.body
    picture = Image.open(io.BytesIO(answer.body))
    opacity = np.array(picture)[..., 3]
    assert picture.size == pytest.approx((2 * SIDE, SIDE), abs=3)
    assert opacity[:, -SIDE // 2 :].mean() > opacity[:, : SIDE // 2].mean() + 40
    low, high = map(float, answer.headers["x-scores"].split())
    assert -1 <= low < high <= 1


def test_segments_are_polygons_or_a_mask(
    server: str, archive: SquaresArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"classes": "red, green, blue, yellow", "bbox": archive.bounds()}
    polygons = ask(server, "/api/segment", asked)
    assert polygons.headers["content-type"] == "application/geo+json"
    assert [one["name"] for one in polygons.json["classes"]] == ["red", "green", "blue", "yellow"]
    area = {name: 0.0 for name in ("red", "green", "blue", "yellow")}
    for feature in polygons.json["features"]:
        area[feature["properties"]["class"]] += feature["properties"]["area_m2"]
    assert list(area.values()) == pytest.approx([16 * SIDE**2] * 4, rel=0.35)
    mask = ask(server, "/api/segment", asked | {"format": "tif"})
    (tmp_path / "mask.tif").write_bytes(mask.body)
    with rasterio.open(tmp_path / "mask.tif") as opened:
        assert opened.crs.to_epsg() == 3857
        assert set(np.unique(opened.read(1))) >= {1, 2, 3, 4}
    assert "segments.tif" in mask.headers["content-disposition"]
    assert capsys.readouterr().err == ""  # no bar of each answer's progress


def test_tiles_show_the_rasters_and_nothing_beside_them(server: str, archive: SquaresArchive) -> None:
    about = ask(server, "/api/archive").json
    zoom = about["tiles"][1]
    west, south, east, north = about["bounds"]
    lon, lat = (west + east) / 2, (south + north) / 2
    left, _, _, top = mercator((lon, lat, lon, lat))
    world = 40075016.68557849
    column, row = (int((value / world + 0.5) * 2**zoom) for value in (left, -top))
    tile = ask(server, f"/api/tiles/{zoom}/{column}/{row}")
    assert tile.status == 200
    picture = np.array(Image.open(io.BytesIO(tile.body)).convert("RGBA"))
    assert picture.shape == (TILE, TILE, 4)
    assert picture[..., 3].any()
    assert picture[picture[..., 3] > 0][:, :3].std() > 40
    nothing = ask(server, f"/api/tiles/{zoom}/0/0")
    assert np.array(Image.open(io.BytesIO(nothing.body)).convert("RGBA"))[..., 3].max() == 0


def test_sixteen_bits_are_stretched_in_tiles_as_in_chips(tmp_path: Path) -> None:
    values = np.linspace(1000, 3000, 256 * 256).reshape(1, 256, 256).repeat(3, 0).astype(np.uint16)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "width": 256, "height": 256, "crs": "EPSG:32632"}
    place = rasterio.transform.from_origin(500_000, 5_600_000, 10, 10)
    with rasterio.open(tmp_path / "deep.tif", "w", **profile, transform=place) as written:
        written.write(values)
    imagery = Imagery(open_sources([tmp_path / "deep.tif"]))
    pixels, valid, _ = imagery.area(imagery.bounds[0], 10)
    assert pixels[valid].min() < 10
    assert pixels[valid].max() > 245


def test_the_archive_tells_no_path_of_this_machine(server: str, archive: SquaresArchive) -> None:
    told = ask(server, "/api/archive").body.decode() + ask(server, "/api/search", {"text": "red"}).body.decode()
    assert str(archive.folder) not in told
    assert "squares.tif" in told


HOSTILE = [
    ("/api/search", {}, 422),
    ("/api/search", {"text": ""}, 422),
    ("/api/search", {"text": "x" * 501}, 422),
    ("/api/search", {"text": "red", "k": 10**9}, 422),
    ("/api/search", {"text": "red", "k": "many"}, 422),
    ("/api/search", {"text": "red", "bbox": [0, 0, 1]}, 422),
    ("/api/search", {"text": "red", "bbox": [0, 0, 1, "1e999"]}, 422),
    ("/api/search", {"text": "red", "source": "/etc/passwd"}, 422),
    ("/api/search", {"text": "red", "sources": [7]}, 400),
    ("/api/search", {"text": "red", "sources": ["../../etc/passwd"]}, 422),
    ("/api/search", {"text": "red", "since": "yesterday"}, 422),
    ("/api/search", {"liked": ["../../../etc/passwd"]}, 422),
    ("/api/search", {"liked": ["0123456789abcdef0123"]}, 404),
    ("/api/search", {"image": "AAAA"}, 400),
    ("/api/search", {"image": "not base64!"}, 422),
    ("/api/search", {"image": "file:///etc/passwd"}, 422),
    ("/api/search", [1], 422),
    ("/api/search", b"{", 422),
    ("/api/search", b"\xff\xfe", 422),
    ("/api/search", b"[" * 100_000, 400),
    ("/api/search", b'{"text": "red", "bbox": [NaN, 0, 1, 1]}', 422),
    ("/api/embeddings", {"instances": []}, 422),
    ("/api/embeddings", {"instances": [{"text": "red"}] * 33}, 422),
    ("/api/heatmap", {"text": "red", "bbox": [-10, -10, 10, 10]}, 400),
    ("/api/heatmap", {"text": "red", "bbox": [1, 1, 1, 1]}, 400),
    ("/api/heatmap", {"text": "red", "bbox": [0, 0, 0.001, 0.001]}, 400),
    ("/api/segment", {"classes": "one", "bbox": [9, 50.5, 9.001, 50.501]}, 400),
    ("/api/segment", {"classes": "a, b", "bbox": [-180, -85, 180, 85]}, 400),
    ("/api/chips/0123456789abcdef0123", None, 404),
    ("/api/chips/..%2f..%2fetc%2fpasswd", None, 404),
    ("/api/chips/zzzzzzzz", None, 422),
    ("/api/tiles/99/0/0", None, 422),
    ("/api/tiles/1/-1/0", None, 422),
    ("/page/../serve.py", None, 404),
    ("/page/%2e%2e/serve.py", None, 404),
    ("/page//etc/passwd", None, 404),
    ("/etc/passwd", None, 404),
    ("/api/archive?" + "a" * 5000, None, 414),
]


@pytest.mark.parametrize(("path", "body", "status"), HOSTILE)
def test_what_makes_no_sense_is_refused_in_one_line(server: str, path: str, body: Any, status: int) -> None:
    headers = {"Content_Type": "application/json"} if isinstance(body, bytes) else {}
    answer = ask(server, path, body, **headers)
    assert answer.status == status, answer.body
    assert len(answer.problem) < 501


def test_a_picture_that_would_unpack_to_gigabytes_is_refused(server: str) -> None:
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    bomb = base64.b64encode(data.getvalue()).decode()
    answer = ask(server, "/api/search", {"image": bomb})
    assert answer.status == 400
    assert "pixels" in answer.problem or "no picture" in answer.problem


def test_the_page_brings_all_it_needs_along(server: str) -> None:
    """No script, style or picture of another host, and none within the page that the policy would forbid."""
    page = ask(server, "/").body.decode()
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", page)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    for path in re.findall(r"""(?:src|href)=["'](/page/[^"']+)""", page):
        if "maplibre" not in path:
            assert ask(server, path).status == 200, path
    script = ask(server, "/page/page.js", Accept_Encoding="gzip")
    assert script.headers["content-encoding"] == "gzip"
    assert ask(server, "/page/page.js", If_None_Match=script.headers["etag"]).status == 304


def test_what_many_ask_for_at_once_is_worked_out_once() -> None:
    worked: list[str] = []

    def work(key: str) -> str:
        worked.append(key)
        if worked == ["bad"]:
            raise KeyError(key)
        return key.upper()

    async def asked() -> None:
        memory = Memory(Line(2, 8), 2)
        bad = await asyncio.gather(*(memory.get("bad", partial(work, "bad")) for _ in range(2)), return_exceptions=True)
        assert [type(one) for one in bad] == [KeyError] * 2
        assert await memory.get("bad", partial(work, "bad")) == "BAD"  # a failure is not kept
        assert await asyncio.gather(*(memory.get("a", partial(work, "a")) for _ in range(6))) == ["A"] * 6
        assert await memory.get("bad", partial(work, "bad")) == "BAD"
        await memory.get("b", partial(work, "b"))
        await memory.get("bad", partial(work, "bad"))
        await memory.get("a", partial(work, "a"))  # the one asked for longest ago went

    asyncio.run(asked())
    assert worked == ["bad", "bad", "a", "b", "a"]


def test_a_mistake_is_told_in_words_of_the_page(server: str, archive: SquaresArchive) -> None:
    answer = ask(server, "/api/search", b'{"text": "red"', Content_Type="application/json")
    assert answer.status == 422
    assert answer.problem.startswith("the body is no JSON")
    answer = ask(server, "/api/segment", {"classes": "red", "bbox": archive.bounds()})
    assert answer.status == 400
    assert answer.problem.startswith("classes names")  # not --classes


def test_metrics_count_by_route_and_never_by_address(server: str) -> None:
    ask(server, "/api/chips/0123456789abcdef0123")
    text = ask(server, "/metrics").body.decode()
    assert 'geomammut_requests_total{route="/api/chips/{id}",status="404"}' in text
    assert "0123456789abcdef" not in text
    assert "geomammut_request_seconds_bucket" in text
    assert "geomammut_chips 64.0" in text


def test_the_api_tells_of_itself_offline(server: str) -> None:
    description = ask(server, "/openapi.json").json
    assert {"/api/search", "/api/embeddings", "/api/heatmap", "/api/segment", "/health"} <= set(description["paths"])
    page = ask(server, "/docs").body.decode()
    assert "POST /api/search" in page
    assert "//cdn" not in page


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda some: (
            st.lists(some, max_size=4)
            | st.dictionaries(st.sampled_from(["text", "image", "liked", "bbox", "k", "sources", "classes"]), some)
        ),
    ),
    path=st.sampled_from(["/api/search", "/api/embeddings", "/api/heatmap", "/api/segment", "/api/session"]),
)
def test_no_json_breaks_the_server(server: str, body: Any, path: str) -> None:
    answer = ask(server, path, json.dumps(body).encode(), Content_Type="application/json")
    assert answer.status in (200, 204, 400, 404, 422), answer.body


def test_no_archive_is_a_mistake_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
