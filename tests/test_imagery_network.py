"""Imagery over the network: COGs by range requests, STAC items, catalogs and an API's search, from a real server."""

import json
import re
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.shutil import copy

from geomammut.errors import UserError
from geomammut.imagery import addresses, documents
from geomammut.imagery.chips import chips
from geomammut.imagery.sources import open_sources

WEST, NORTH = 499_968.0, 5_400_064.0


class Server(SimpleHTTPRequestHandler):
    """Serves a folder with ranges, as object stores do, and a STAC API's search in pages of two.

    What is named `locked` needs the query `locked`; `packed` is sent compressed.
    """

    sent: ClassVar[dict[str, int]] = {}
    items: ClassVar[list[dict[str, Any]]] = []
    searches: ClassVar[list[dict[str, list[Any]]]] = []
    pages_by_post: ClassVar[bool] = False
    locked: ClassVar[str] = ""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/search":
            self.search(parse_qs(address.query))
            return
        path = Path(self.translate_path(self.path))
        if path.name.startswith("locked") and Server.locked not in address.query:
            self.send_error(403)
            return
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if path.name.startswith("packed"):
            self.answer(zlib.compress(content), "deflate")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]), len(content) - 1) if wanted and wanted[2] else len(content) - 1
        part = content[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        Server.sent[address.path] = Server.sent.get(address.path, 0) + len(part)
        self.wfile.write(part)

    def do_HEAD(self) -> None:
        path = Path(self.translate_path(self.path))
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(path.stat().st_size if path.is_file() else 0))
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.search({name: value if isinstance(value, list) else [value] for name, value in asked.items()})

    def search(self, query: dict[str, list[Any]]) -> None:
        Server.searches.append(query)
        start = int(query.get("token", ["0"])[0])
        page: dict[str, Any] = {"type": "FeatureCollection", "features": Server.items[start : start + 2], "links": []}
        if start + 2 < len(Server.items):
            following: dict[str, Any] = {"rel": "next", "href": f"/search?collections=c&token={start + 2}"}
            if Server.pages_by_post:
                asked = {"collections": ["c"], "limit": 2, "token": start + 2}
                following |= {"href": "/search", "method": "POST", "body": asked}
            page["links"] = [following]
        self.answer(json.dumps(page).encode())

    def answer(self, body: bytes, encoding: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    Server.sent, Server.items, Server.searches = {}, [], []
    Server.pages_by_post, Server.locked = False, ""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def write_cog(path: Path, pixels: np.ndarray, east: float = 0) -> Path:
    bands, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": bands, "height": height, "width": width}
    plain = path.with_suffix(".plain")
    with rasterio.open(plain, "w", **profile, crs="EPSG:32633", transform=Affine(1, 0, WEST + east, 0, -1, NORTH)) as r:
        r.write(pixels)
    copy(plain, path, driver="COG", blocksize=128, compress="deflate")
    plain.unlink()
    return path


def texture(side: int = 128, bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (bands, side, side), dtype=np.uint8)


def item(name: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Point", "coordinates": [15, 48]},
        "bbox": [15, 48, 15, 48],
        "properties": {"datetime": "2021-06-30T10:11:12.5Z", **properties},
        "links": [],
        "assets": assets,
    }


def cog_asset(href: str, **more: Any) -> dict[str, Any]:
    return {"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized", **more}


def write(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_a_cog_on_a_server_is_read_by_ranges(tmp_path: Path, address: str) -> None:
    pixels = texture(1024)
    write_cog(tmp_path / "big.tif", pixels)
    (source,) = open_sources([f"{address}/big.tif"])
    assert source.name == "big.tif"
    assert Server.sent["/big.tif"] < 100_000  # the header alone
    coarse = list(chips([source], size=64, gsd_m=4.0))
    assert len(coarse) == 16
    assert Server.sent["/big.tif"] < (tmp_path / "big.tif").stat().st_size / 4  # the overview alone
    fine = list(chips([source], size=128, gsd_m=1.0))
    assert len(fine) == 64
    column, row = int(fine[9].transform.c - WEST), int(NORTH - fine[9].transform.f)
    np.testing.assert_array_equal(fine[9].pixels.transpose(2, 0, 1), pixels[:, row : row + 128, column : column + 128])


def test_an_item_beside_its_pictures_gives_the_visual_one(tmp_path: Path, address: str) -> None:
    (tmp_path / "scene").mkdir()
    write_cog(tmp_path / "scene" / "rgb.tif", texture(seed=1))
    write_cog(tmp_path / "scene" / "nir.tif", texture(seed=2))
    assets = {
        "nir": cog_asset("./nir.tif", roles=["data"]),
        "visual": cog_asset("./rgb.tif", roles=["data"]),
        "thumbnail": {"href": "./small.png", "type": "image/png", "roles": ["thumbnail"]},
    }
    write(tmp_path / "scene" / "item.json", item("S2A", assets))
    for location in (tmp_path / "scene" / "item.json", f"{address}/scene/item.json"):
        (source,) = open_sources([location])
        assert (source.name, source.acquired) == ("S2A", "2021-06-30T10:11:12")
        (chip,) = chips([source], size=128, gsd_m=1.0)
        np.testing.assert_array_equal(chip.pixels.transpose(2, 0, 1), texture(seed=1))
        assert chip.acquired == "2021-06-30T10:11:12"


def test_three_single_band_assets_make_one_picture(tmp_path: Path) -> None:
    bands = texture(bands=4).astype(np.uint16) * 40
    assets = {}
    for number, colour in enumerate(("blue", "green", "red", "nir")):
        write_cog(tmp_path / f"B{number}.tif", bands[number : number + 1])
        assets[f"B{number}"] = cog_asset(
            f"B{number}.tif", **{"eo:bands": [{"name": f"B{number}", "common_name": colour}]}
        )
    (source,) = open_sources([write(tmp_path / "item.json", item("L8", assets))])
    assert source.bands == (1, 2, 3) and "as the catalog names them" in source.look
    (chip,) = chips([source], size=128, gsd_m=1.0)
    for band, number in enumerate((2, 1, 0)):
        assert np.corrcoef(chip.pixels[..., band].ravel(), bands[number].ravel())[0, 1] > 0.99


def test_the_pages_of_a_search_are_followed_and_a_bad_item_is_left_out(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        write_cog(tmp_path / f"{number}.tif", texture(seed=number), east=number * 128)
    Server.items = [item(f"scene-{number}", {"visual": cog_asset(f"{address}/{number}.tif")}) for number in range(4)]
    Server.items.insert(1, item("radar", {"vv": {"href": "vv.zip", "type": "application/zip"}}))
    Server.items.insert(3, item("gone", {"visual": cog_asset(f"{address}/gone.tif")}))
    Server.items.insert(4, {"type": "Feature", "id": "broken"})
    sources = open_sources([f"{address}/search?collections=c&limit=2"])
    assert [source.name for source in sources] == [f"scene-{number}" for number in range(4)]
    assert len(Server.searches) == 4
    assert len(list(chips(sources, size=128, gsd_m=1.0))) == 4
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 7 items left out: an item has no RGB asset" in told
    assert told.count("left out") == 3


def test_a_static_catalog_is_walked(tmp_path: Path, address: str) -> None:
    (tmp_path / "catalog" / "year").mkdir(parents=True)
    write_cog(tmp_path / "catalog" / "year" / "a.tif", texture())
    write(tmp_path / "catalog" / "year" / "a.json", item("a", {"image": cog_asset("a.tif", roles=["data"])}))
    links = [{"rel": "item", "href": "./a.json"}, {"rel": "item", "href": "./lost.json"}, {"rel": "root", "href": "/"}]
    head = {"stac_version": "1.0.0", "id": "c", "description": "d"}
    write(tmp_path / "catalog" / "year" / "collection.json", {"type": "Collection", **head, "links": links})
    child = [{"rel": "child", "href": "./year/collection.json"}, {"rel": "child", "href": "./catalog.json"}]
    write(tmp_path / "catalog" / "catalog.json", {"type": "Catalog", **head, "links": child})
    for location in (tmp_path / "catalog" / "catalog.json", f"{address}/catalog/catalog.json"):
        assert [source.name for source in open_sources([location])] == ["a"]


@pytest.mark.parametrize("href", ["file://{}", "{}", "/vsicurl/file://{}", "/vsizip/{}", "vrt://{}"])
def test_a_remote_catalog_cannot_point_at_files_here(tmp_path: Path, address: str, href: str) -> None:
    secret = write_cog(tmp_path / "secret.tif", texture())
    served = tmp_path / "served"
    write(served / "item.json", item("evil", {"visual": cog_asset(href.format(secret))}))
    links = [{"rel": "item", "href": href.format(tmp_path / "local.json")}]
    write(tmp_path / "local.json", item("local", {"visual": cog_asset(str(secret))}))
    write(
        served / "catalog.json",
        {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links},
    )
    for name in ("item", "catalog"):
        with pytest.raises(UserError, match="gives no imagery") as caught:
            open_sources([f"{address}/served/{name}.json"])
        assert "\n" not in str(caught.value)


def test_what_a_catalog_names_is_opened_as_a_picture_alone(tmp_path: Path, address: str) -> None:
    secret = write_cog(tmp_path / "secret.tif", texture())
    band = f'<SimpleSource><SourceFilename relativeToVRT="0">{secret}</SourceFilename></SimpleSource>'
    (tmp_path / "evil.tif").write_text(
        f'<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">{band}</VRTRasterBand>'
        "</VRTDataset>"
    )
    write(tmp_path / "item.json", item("evil", {"visual": cog_asset(f"{address}/evil.tif")}))
    with pytest.raises(UserError, match="gives no imagery"):
        open_sources([f"{address}/item.json"])


@pytest.mark.parametrize(
    "content", ["[1]", "{", '{"type": "FeatureCollection", "features": []}', '{"type": "Polygon"}']
)
def test_what_is_no_stac_is_told_in_one_line(tmp_path: Path, address: str, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    for location in (
        str(tmp_path / "x.json"),
        f"{address}/x.json",
        f"{address}/missing.json",
        f"{address}/missing.tif",
    ):
        with pytest.raises(UserError) as caught:
            open_sources([location])
        assert location.rsplit("/", 1)[-1] in str(caught.value) and "\n" not in str(caught.value)


def test_a_signed_link_keeps_its_signature(tmp_path: Path, address: str) -> None:
    """A server that refuses what comes without `?sig=`; nothing but the path tells what a link leads to."""
    write_cog(tmp_path / "locked.tif", texture())
    write(
        tmp_path / "locked.json", item("signed", {"visual": cog_asset(f"{address}/locked.tif?sig=abc%2Fd&se=2.json")})
    )
    Server.locked = "sig=abc%2Fd"
    for location in (f"{address}/locked.tif?sig=abc%2Fd&se=2.json", f"{address}/locked.json?sig=abc%2Fd&x=a.tif"):
        (source,) = open_sources([location])
        assert source.name in ("locked.tif", "signed")
        assert len(list(chips([source], size=128, gsd_m=1.0))) == 1
    with pytest.raises(UserError, match="cannot be read"):
        open_sources([f"{address}/locked.json"])


def test_a_search_is_paged_by_post_where_the_api_asks_for_it(tmp_path: Path, address: str) -> None:
    for number in range(3):
        write_cog(tmp_path / f"{number}.tif", texture(seed=number), east=number * 128)
    Server.items = [item(f"scene-{number}", {"visual": cog_asset(f"{address}/{number}.tif")}) for number in range(3)]
    Server.pages_by_post = True
    sources = open_sources([f"{address}/search?collections=c&limit=2"])
    assert [source.name for source in sources] == ["scene-0", "scene-1", "scene-2"]
    assert Server.searches[1] == {"collections": ["c"], "limit": [2], "token": [2]}


def test_the_items_of_an_apis_collection_are_followed(tmp_path: Path, address: str) -> None:
    write_cog(tmp_path / "0.tif", texture())
    Server.items = [item("scene", {"visual": cog_asset(f"{address}/0.tif")})]
    links = [{"rel": "items", "href": f"{address}/search"}, {"rel": "parent", "href": address}]
    collection = {"type": "Collection", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links}
    write(tmp_path / "collections" / "c", collection)
    assert [source.name for source in open_sources([f"{address}/collections/c"])] == ["scene"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_document_without_end_is_not_taken_in(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1 << 20)
    (tmp_path / ("packed.json" if packed else "endless.json")).write_bytes(b" " * (3 << 20))
    name = "packed.json" if packed else "endless.json"
    with pytest.raises(UserError, match="larger than 1 MiB") as caught:
        open_sources([f"{address}/{name}"])
    assert "\n" not in str(caught.value)
    assert Server.sent.get("/endless.json", 0) <= 3 << 20


def test_a_document_nested_without_end_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match="cannot be read"):
        open_sources([tmp_path / "deep.json"])


def test_a_self_contained_catalog_of_pystac_is_walked(tmp_path: Path, address: str) -> None:
    catalog = pystac.Catalog("c", "d")
    for number in range(2):
        child = pystac.Catalog(f"year-{number}", "d")
        catalog.add_child(child)
        made = pystac.Item(f"scene-{number}", None, None, datetime(2021, 6, 30, tzinfo=UTC), {})
        made.add_asset("visual", pystac.Asset(f"../../pictures/{number}.tif", media_type=pystac.MediaType.COG))
        child.add_item(made)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        write_cog(tmp_path / "pictures" / f"{number}.tif", texture(seed=number), east=number * 128)
    # pystac counts an asset's relative address from its item, and keeps it as it is.
    for each in catalog.get_items(recursive=True):
        each.assets["visual"].href = f"../../../pictures/{each.id[-1]}.tif"
    catalog.normalize_and_save(str(tmp_path / "stac"), pystac.CatalogType.SELF_CONTAINED)
    for location in (tmp_path / "stac" / "catalog.json", f"{address}/stac/catalog.json"):
        assert [source.name for source in open_sources([location])] == ["scene-0", "scene-1"]


def test_scenes_and_their_catalog_are_read_from_an_object_store(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What S3 is for reading: keys as paths below the bucket, ranges, signed requests (not checked here)."""
    told = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "S3_ENDPOINT": urlsplit(address).netloc, "HTTPS": "NO"}
    for name, value in {**told, "VIRTUAL_HOSTING": "FALSE"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    (tmp_path / "bucket" / "2021").mkdir(parents=True)
    write_cog(tmp_path / "bucket" / "2021" / "a.tif", texture())
    write(tmp_path / "bucket" / "2021" / "item.json", item("S2A", {"visual": cog_asset("./a.tif")}))
    links = [{"rel": "item", "href": "./2021/item.json"}]
    head = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d"}
    write(tmp_path / "bucket" / "catalog.json", head | {"links": links})
    for key, name in (("2021/a.tif", "a.tif"), ("2021/item.json", "S2A"), ("catalog.json", "S2A")):
        for location in (f"s3://bucket/{key}", f"/vsis3/bucket/{key}"):
            (source,) = open_sources([location])
            assert (source.name, source.dataset) == (name, "/vsis3/bucket/2021/a.tif")
            assert len(list(chips([source], size=128, gsd_m=1.0))) == 1
    with pytest.raises(UserError, match="does not exist"):
        open_sources(["s3://bucket/lost.json"])
    monkeypatch.setattr(documents, "MAX_BYTES", 99)
    with pytest.raises(UserError, match="larger than"):
        open_sources(["s3://bucket/catalog.json"])


@pytest.mark.parametrize(
    ("base", "href", "there"),
    [
        ("s3://bucket/a/item.json", "./b.tif", "s3://bucket/a/b.tif"),
        ("s3://bucket/a/item.json", "../b.tif", "s3://bucket/b.tif"),
        ("s3://bucket/a/item.json", "/b.tif", "s3://bucket/b.tif"),
        ("s3://bucket/a/item.json", "https://host/b.tif?sig=1", "https://host/b.tif?sig=1"),
        ("https://host/a/item.json?sig=1", "b.tif", "https://host/a/b.tif"),
        ("https://host/a/item.json", "b.tif?sig=a%2Fb", "https://host/a/b.tif?sig=a%2Fb"),
    ],
)
def test_a_link_is_seen_from_its_document(base: str, href: str, there: str) -> None:
    assert addresses.joined(base, href) == there


@pytest.mark.parametrize(
    ("text", "address", "stac"),
    [
        ("s3://bucket/item.json", True, True),
        ("/vsis3/bucket/item.json", True, True),
        ("https://host/a.tif?x=b.json", True, False),
        ("https://host/item.json?sig=1", True, True),
        ("https://host/search?collections=a", True, True),
        ("folder/search", False, False),
        ("a.json", False, True),
        ("a:b.tif", False, False),
        ("http://[bad", True, False),
    ],
)
def test_what_a_word_names(text: str, address: bool, stac: bool) -> None:
    assert (addresses.is_address(text), addresses.is_stac(text)) == (address, stac)
