"""Imagery of every kind becomes chips: right place, right scale, right pixels, losses counted."""

import io
import math
import pickle
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import ColorInterp

from geomammut.errors import UserError
from geomammut.imagery.chips import BLANK, CLOUD, NO_DATA, UNREADABLE, chips, count_cells
from geomammut.imagery.grid import Centres
from geomammut.imagery.outlines import grid_crs
from geomammut.imagery.sources import ImagerySource, open_sources

UTM = "EPSG:32633"
WEST, NORTH = 499_968.0, 5_400_064.0  # whole multiples of 64 m
HALF_WORLD = 20037508.342789244


def texture(height: int, width: int, bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (bands, height, width), dtype=np.uint8)


def write_raster(
    path: Path, pixels: np.ndarray, transform: Affine | None = None, crs: str | None = UTM, **options: object
) -> Path:
    bands, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": bands, "height": height, "width": width}
    transform = transform or Affine(1, 0, WEST, 0, -1, NORTH)
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, **options) as raster:
        raster.write(pixels)
    return path


def write_tile(folder: Path, x: int, y: int, z: int, colour: int, prefix: str = "", mode: str = "RGB") -> None:
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(x * 1000 + y).integers(0, 40, (256, 256, 3))
    Image.fromarray((noise + colour).astype(np.uint8)).convert(mode).save(folder / f"{prefix}{x}-{y}-{z}.png")


def test_pixels_that_fit_the_grid_are_taken_as_they_are(tmp_path: Path) -> None:
    pixels = texture(192, 256)
    grid = chips(open_sources([write_raster(tmp_path / "a.tif", pixels)]), size=64, gsd_m=1.0)
    found = list(grid)
    assert len(grid) == len(found) == 12 and not sum(grid.dropped.values())
    assert {chip.crs for chip in found} == {UTM}
    for chip in found:
        column, row = (int(v) for v in ~Affine(1, 0, WEST, 0, -1, NORTH) @ (chip.transform.c, chip.transform.f))
        expected = pixels[:, row : row + 64, column : column + 64].transpose(1, 2, 0)
        np.testing.assert_array_equal(chip.pixels, expected)
    assert (found[0].transform.c, found[0].transform.f) == (WEST, NORTH)  # north-west first
    assert found[0].gsd_m == 1.0 and found[0].source == "a.tif"


def test_a_second_look_gives_the_same_chips(tmp_path: Path) -> None:
    grid = chips(open_sources([write_raster(tmp_path / "a.tif", texture(100, 100))]), size=32, gsd_m=1.0)
    first, second = list(grid), list(grid)
    assert [chip.transform for chip in first] == [chip.transform for chip in second]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


@given(
    st.integers(16, 64),
    st.sampled_from([0.5, 0.7, 1.0, 1.3, 3.0]),
    st.floats(0, 200),
    st.integers(60, 200),
    st.integers(60, 200),
)
@settings(max_examples=25)
def test_cells_lie_on_the_grid_and_every_cell_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, size: int, gsd: float, shift: float, height: int, width: int
) -> None:
    transform = Affine(1, 0, WEST + shift, 0, -1, NORTH - shift / 3)
    path = write_raster(tmp_path_factory.mktemp("i") / "a.tif", texture(height, width), transform)
    try:
        grid = chips(open_sources([path]), size=size, gsd_m=gsd)
    except UserError:
        return
    found = list(grid)
    assert len(found) + sum(grid.dropped.values()) == len(grid)
    step = size * gsd
    for chip in found:
        for edge in (chip.transform.c / step, chip.transform.f / step):
            assert edge == pytest.approx(round(edge), abs=1e-6)
    # Every cell wholly inside the raster gives a chip.
    left, top = WEST + shift, NORTH - shift / 3
    columns = math.floor((left + width) / step) - math.ceil(left / step)
    rows = math.floor(top / step) - math.ceil((top - height) / step)
    assert len(found) >= max(0, columns) * max(0, rows)


@pytest.mark.parametrize("latitude", [0.35, 38.85, 60.17])
def test_a_metre_is_a_metre_on_the_ground_in_web_mercator(tmp_path: Path, latitude: float) -> None:
    to_mercator = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    x, y = to_mercator.transform(12.0, latitude)
    path = write_raster(tmp_path / "a.tif", texture(512, 512), Affine(2, 0, x, 0, -2, y), "EPSG:3857")
    source = open_sources([path])[0]
    assert source.gsd_m == pytest.approx(2 * math.cos(math.radians(latitude)), rel=0.01)
    chip = next(iter(chips([source], size=64, gsd_m=1.0)))
    width, height = ground_size(chip.footprint)
    assert width == pytest.approx(64, rel=0.011) and height == pytest.approx(64, rel=0.011)


def ground_size(footprint: shapely.Geometry) -> tuple[float, float]:
    """Return width and height of a chip's outline in metres on the ellipsoid."""
    corners = list(footprint.exterior.coords)[:4]
    geod = pyproj.Geod(ellps="WGS84")
    sides = [geod.inv(*corners[i], *corners[(i + 1) % 4])[2] for i in range(4)]
    return (sides[1] + sides[3]) / 2, (sides[0] + sides[2]) / 2


@given(st.floats(-179.5, 179.5), st.floats(-79, 83))
def test_the_grid_of_geographic_imagery_is_its_utm_zone(lon: float, lat: float) -> None:
    source = ImagerySource("a", "a", "EPSG:4326", (lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01), 1.0)
    crs = pyproj.CRS(grid_crs(source))
    assert crs.utm_zone is not None
    zone = crs.area_of_use
    assert zone is not None and zone.west - 1e-9 <= lon <= zone.east + 1e-9
    assert crs.utm_zone.endswith("N" if lat > 0 else "S") or abs(lat) < 1e-9


def test_a_place_reads_the_same_from_another_projection(tmp_path: Path) -> None:
    """A bright square drawn in UTM lies at the same place in a chip cut from a web-mercator copy."""
    picture = np.full((3, 400, 400), 60, np.uint8)
    picture[:, 150:185, 180:220] = 220
    source = write_raster(tmp_path / "utm.tif", picture)
    with (
        rasterio.open(source) as raster,
        rasterio.vrt.WarpedVRT(raster, crs="EPSG:3857", add_alpha=True) as vrt,
    ):
        profile = vrt.profile | {"driver": "GTiff"}
        with rasterio.open(tmp_path / "mercator.tif", "w", **profile) as copy:
            copy.write(vrt.read())
    (a,) = [c for c in chips(open_sources([source]), size=128, gsd_m=1.0) if (c.pixels > 200).sum() > 3000]
    (b,) = [
        c for c in chips(open_sources([tmp_path / "mercator.tif"]), size=128, gsd_m=1.0) if c.transform == a.transform
    ]
    assert b.crs == a.crs
    assert np.abs(a.pixels.astype(int) - b.pixels).mean() < 4


def test_blank_and_missing_chips_are_dropped_and_counted(tmp_path: Path) -> None:
    pixels = texture(128, 192)
    pixels[:, :64, :64] = 77  # blank
    pixels[:, :64, 64:128] = 0  # no data
    pixels[:, 64, 64] = 0  # a single pixel without data is forgiven
    grid = chips(open_sources([write_raster(tmp_path / "a.tif", pixels, nodata=0)]), size=64, gsd_m=1.0)
    assert len(list(grid)) == 4
    assert grid.dropped == {BLANK: 1, NO_DATA: 1}


def test_transparent_pixels_are_missing(tmp_path: Path) -> None:
    pixels = texture(64, 128, 4)
    pixels[3] = 255
    pixels[3, :, :64] = 0
    path = write_raster(tmp_path / "a.tif", pixels, photometric="RGB", alpha="YES")
    grid = chips(open_sources([path]), size=64, gsd_m=1.0)
    assert [chip.transform.c for chip in grid] == [WEST + 64] and grid.dropped == {NO_DATA: 1}


def test_the_bands_that_say_their_colour_are_taken(tmp_path: Path) -> None:
    pixels = texture(64, 64, 4)
    path = write_raster(tmp_path / "nir-first.tif", pixels)
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = (ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    (chip,) = chips(open_sources([path]), size=64, gsd_m=1.0)
    np.testing.assert_array_equal(chip.pixels, pixels[[3, 2, 1]].transpose(1, 2, 0))


def test_four_bands_without_names_and_grey_imagery_work(tmp_path: Path) -> None:
    pixels = texture(64, 64, 4)
    (chip,) = chips(
        open_sources([write_raster(tmp_path / "naip.tif", pixels, photometric="MINISBLACK")]),
        size=64,
        gsd_m=1.0,
    )
    np.testing.assert_array_equal(chip.pixels, pixels[:3].transpose(1, 2, 0))
    (grey,) = chips(open_sources([write_raster(tmp_path / "grey.tif", pixels[:1])]), size=64, gsd_m=1.0)
    np.testing.assert_array_equal(grey.pixels, np.repeat(pixels[0][..., None], 3, axis=2))


def test_sixteen_bits_are_stretched_between_the_2nd_and_98th_percentile(tmp_path: Path) -> None:
    values = np.linspace(100, 3100, 64 * 64).astype(np.uint16).reshape(1, 64, 64).repeat(3, axis=0)
    source = open_sources([write_raster(tmp_path / "a.tif", values)])[0]
    assert source.stretch is not None and source.stretch[0] == pytest.approx((160, 3040), abs=2)
    (chip,) = chips([source], size=64, gsd_m=1.0)
    assert chip.pixels[0, 0, 0] == 0 and chip.pixels[-1, -1, 0] == 255
    assert int(chip.pixels[32, 0, 0]) == pytest.approx(127, abs=2)


def test_only_chips_wholly_inside_the_area_are_made(tmp_path: Path) -> None:
    source = open_sources([write_raster(tmp_path / "a.tif", texture(256, 256))])
    to_degrees = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    box = shapely.box(WEST + 64, NORTH - 250, WEST + 200, NORTH - 64)
    area = shapely.transform(box, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
    found = list(chips(source, size=64, gsd_m=1.0, area=area))
    assert {(c.transform.c - WEST, NORTH - c.transform.f) for c in found} == {
        (64, 64),
        (128, 64),
        (64, 128),
        (128, 128),
    }
    assert all(area.buffer(2e-5).covers(chip.footprint) for chip in found)
    assert count_cells(source, size=64, gsd_m=1.0, area=area) == 4
    with pytest.raises(UserError, match="within the area"):
        chips(source, size=64, gsd_m=1.0, area=shapely.box(0, 0, 1, 1))


def test_the_first_source_that_fills_a_cell_wins_it(tmp_path: Path) -> None:
    first = texture(64, 128, seed=1)
    first[:, :, :64] = 0
    a = write_raster(tmp_path / "a.tif", first, nodata=0)
    b = write_raster(tmp_path / "b.tif", texture(64, 128, seed=2))
    grid = chips(open_sources([a, b]), size=64, gsd_m=1.0)
    assert sorted((chip.transform.c - WEST, chip.source) for chip in grid) == [(0, "b.tif"), (64, "a.tif")]
    assert not grid.dropped and len(grid) == 2


def test_overlap_is_seen_across_coordinate_systems(tmp_path: Path) -> None:
    pixels = texture(256, 256)
    a = write_raster(tmp_path / "a.tif", pixels)
    b = write_raster(tmp_path / "b.tif", pixels, crs="EPSG:25833")  # the same metres under another name
    grid = chips(open_sources([a, b]), size=64, gsd_m=1.0)
    assert len(list(grid)) == 16 and len(grid) == 16


def test_a_damaged_part_of_a_file_costs_only_its_chips(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", texture(512, 512), tiled=True, blockxsize=128, blockysize=128, compress="deflate"
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    grid = chips(open_sources([path]), size=64, gsd_m=1.0)
    found = list(grid)
    assert 0 < grid.dropped[UNREADABLE] < 32
    assert len(found) + sum(grid.dropped.values()) == 64


@pytest.mark.parametrize("name", ["{x}-{y}-{z}.png", "OAM-{x}-{y}-{z}.png", "{z}/{x}/{y}.png"])
def test_a_folder_of_tiles_is_imagery_in_its_place(tmp_path: Path, name: str) -> None:
    x0, y0, z = 70_000, 44_000, 17
    for x in (x0, x0 + 1):
        for y in (y0, y0 + 1):
            path = tmp_path / "tiles" / name.format(x=x, y=y, z=z)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(texture(256, 256, seed=x + y).transpose(1, 2, 0)).save(path)
    (tmp_path / "tiles" / "2020-01-02.png").write_bytes(b"no tile")
    (source,) = open_sources([tmp_path / "tiles"])
    width = 2 * HALF_WORLD / 2**z
    assert source.crs == "EPSG:3857"
    assert source.bounds == pytest.approx(
        (
            x0 * width - HALF_WORLD,
            HALF_WORLD - (y0 + 2) * width,
            (x0 + 2) * width - HALF_WORLD,
            HALF_WORLD - y0 * width,
        )
    )
    with rasterio.open(source.dataset) as raster:
        tile = raster.read([1, 2, 3], window=((256, 512), (256, 512)))
        assert (raster.read(4) == 255).all()
    np.testing.assert_array_equal(tile, texture(256, 256, seed=x0 + y0 + 2))
    assert list(chips([source], size=64, gsd_m=1.0))


def test_tiles_with_holes_palettes_and_damage(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    for x, mode in ((100, "RGB"), (101, "P"), (103, "L")):
        write_tile(folder, x, 60, 8, 100, mode=mode)
    (folder / "104-60-8.png").write_bytes(b"broken")
    (source,) = open_sources([folder])
    with rasterio.open(source.dataset) as raster:
        assert raster.width == 4 * 256
        rgba = raster.read()
    assert (rgba[3].reshape(256, 4, 256).all(axis=(0, 2)) == [True, True, False, True]).all()
    for column in (0, 1, 3):
        assert 100 <= rgba[:3, :, column * 256 : (column + 1) * 256].mean() <= 140


def test_mixed_zooms_give_the_level_that_fits_the_gsd(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    for z in (14, 15, 16):
        scale = 2 ** (z - 14)
        for x in range(8192 * scale, 8193 * scale):
            for y in range(8192 * scale, 8193 * scale):
                write_tile(folder, x, y, z, colour=10 * z, prefix="OAM-")
    (source,) = open_sources([folder])
    assert source.name == "OAM" and source.gsd_m == pytest.approx(2.39, abs=0.02)
    levels = {gsd: round(source.at(gsd).gsd_m, 1) for gsd in (1.0, 2.4, 5.0, 9.6, 30.0)}
    assert levels == {1.0: 2.4, 2.4: 2.4, 5.0: 4.8, 9.6: 9.5, 30.0: 9.5}
    means = {gsd: next(iter(chips([source], size=32, gsd_m=gsd))).pixels.mean() for gsd in (2.4, 5.0, 10.0)}
    assert means[2.4] > means[5.0] + 5 > means[10.0] + 10


def mbtiles(path: Path, form: str, tile: Callable[[], bytes]) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("create table metadata (name text, value text)")
        database.execute("create table tiles (zoom_level int, tile_column int, tile_row int, tile_data blob)")
        rows = {"name": "a", "format": form, "minzoom": "14", "maxzoom": "14", "bounds": "0,-0.02,0.02,0"}
        database.executemany("insert into metadata values (?, ?)", rows.items())
        database.execute("insert into tiles values (14, 8192, ?, ?)", (2**14 - 1 - 8192, tile()))
    database.close()
    return path


def test_mbtiles_are_imagery_and_vector_tiles_are_not(tmp_path: Path) -> None:
    write_tile(tmp_path, 8192, 8192, 14, 100)
    picture = (tmp_path / "8192-8192-14.png").read_bytes()
    (source,) = open_sources([mbtiles(tmp_path / "a.mbtiles", "png", lambda: picture)])
    assert source.gsd_m == pytest.approx(9.5, abs=0.1)
    assert len(list(chips([source], size=64, gsd_m=9.5))) > 0
    with pytest.raises(UserError, match="vector tiles"):
        open_sources([mbtiles(tmp_path / "b.mbtiles", "pbf", lambda: b"x")])


def test_a_folder_of_geotiffs_gives_a_source_a_file(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIF"):
        write_raster(tmp_path / name, texture(64, 64), TIFFTAG_DATETIME="x")
    with rasterio.open(tmp_path / "b.tif", "r+") as raster:
        raster.update_tags(TIFFTAG_DATETIME="2021:06:30 10:11:12")
    sources = open_sources([tmp_path])
    assert [source.name for source in sources] == ["a.TIF", "b.tif"]
    assert [source.acquired for source in sources] == [None, "2021-06-30T10:11:12"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_mistakes_end_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    write_raster(tmp_path / "nowhere.tif", texture(64, 64), crs=None)
    palette = write_raster(tmp_path / "mask.tif", texture(64, 64, 1))
    with rasterio.open(palette, "r+") as raster:
        raster.write_colormap(1, {1: (255, 0, 0)})
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mbtiles").write_bytes(b"hello" * 100)
    for name, advice in {
        "nowhere.tif": "rio edit-info --crs",
        "mask.tif": "gdal_translate -expand",
        "text.tif": "cannot be read",
        "empty": "x-y-z.png",
        "missing.tif": "does not exist",
        "bad.mbtiles": "no readable",
    }.items():
        with pytest.raises(UserError, match=advice) as caught:
            open_sources([tmp_path / name])
        assert name in str(caught.value) and "\n" not in str(caught.value)
    good = open_sources([write_raster(tmp_path / "good.tif", texture(64, 64))])
    for size, gsd, advice in (
        (64, 0.0, "gsd"),
        (64, math.nan, "gsd"),
        (1, 1.0, "size"),
        (64, 1000.0, "within|whole"),
    ):
        with pytest.raises(UserError, match=advice):
            grid = chips(good, size=size, gsd_m=gsd)
            assert list(grid) == []
            raise UserError("whole")


def test_real_geotiffs_give_chips(shared_data: Path) -> None:
    for name, gsd, crs in (
        ("naip_north_dakota_2020.tif", 5.0, "EPSG:26914"),
        ("oem_koeln_50.tif", 0.5, "EPSG:25832"),
        ("cog.tif", 9.0, "EPSG:32632"),
    ):
        grid = chips(open_sources([shared_data / "geotiff" / name]), size=64, gsd_m=gsd)
        found = list(grid)
        assert found and {chip.crs for chip in found} == {crs}
        assert len(found) + sum(grid.dropped.values()) == len(grid)


def test_real_tiles_give_chips(shared_data: Path) -> None:
    (sintra,) = open_sources([shared_data / "sintra" / "tiles"])
    assert sintra.gsd_m == pytest.approx(0.93, abs=0.005)
    grid = chips([sintra], size=128, gsd_m=1.0)
    found = list(grid)
    assert len(found) == 16 and found[0].crs == "EPSG:32629"
    assert all(ground_size(chip.footprint) == pytest.approx((128, 128), rel=2e-3) for chip in found)
    (uganda,) = open_sources([shared_data / "uganda" / "tiles"])
    assert [round(level.gsd_m, 2) for level in (uganda, *uganda.coarser)] == [0.07, 0.15, 0.3]
    assert len(list(chips([uganda], size=128, gsd_m=0.3))) > 5
    with pytest.raises(UserError, match="vector tiles"):
        open_sources([shared_data / "sintra" / "portugal-z17.mbtiles"])


def degrees(x: float, y: float, crs: str = UTM) -> tuple[float, float]:
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return lon, lat


@pytest.mark.parametrize("turn", ["south-up", "rotated"])
def test_rasters_that_are_not_north_up_come_out_north_up(tmp_path: Path, turn: str) -> None:
    """A bright bar along the north and a mark in the west, wherever the file's rows lead."""
    upright = np.full((3, 256, 256), 60, np.uint8)
    upright[:, 32:64, 32:224] = 200
    upright[0, 128:160, 32:64] = 250
    if turn == "south-up":
        pixels, transform = upright[:, ::-1], Affine(1, 0, WEST, 0, 1, NORTH - 256)
    else:  # rows lead east, columns north
        pixels, transform = np.rot90(upright, -1, axes=(1, 2)), Affine(0, 1, WEST, 1, 0, NORTH - 256)
    path = write_raster(tmp_path / "a.tif", np.ascontiguousarray(pixels), transform)
    (chip,) = chips(open_sources([path]), size=256, gsd_m=1.0, resampling="nearest")
    np.testing.assert_array_equal(chip.pixels.transpose(2, 0, 1), upright)


def test_zeros_are_missing_where_16_bit_imagery_names_no_missing_value(tmp_path: Path) -> None:
    pixels = texture(64, 128).astype(np.uint16) * 100
    pixels[:, :, :70] = 0
    source = open_sources([write_raster(tmp_path / "a.tif", pixels)])[0]
    assert source.stretch is not None and min(low for low, _ in source.stretch) >= 100
    assert "uint16 stretched" in source.look
    grid = chips([source], size=64, gsd_m=1.0)
    assert not list(grid) and grid.dropped == {NO_DATA: 2}


def test_bands_are_known_by_their_descriptions(tmp_path: Path) -> None:
    pixels = texture(64, 64, 4).astype(np.uint16)
    path = write_raster(tmp_path / "planet.tif", pixels, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("Blue", "Green", "Red", "NIR")
    (source,) = open_sources([path])
    assert source.bands == (3, 2, 1) and "as the file names them" in source.look


def test_cloud_white_chips_give_way_to_the_next_scene(tmp_path: Path) -> None:
    cloudy = texture(64, 192, seed=1)
    cloudy[:, :, 10:64] = np.random.default_rng(0).integers(235, 255, (64, 54), dtype=np.uint8)
    cloudy[:, :, 130:] = 250
    clear = texture(64, 128, seed=2)
    a, b = write_raster(tmp_path / "a.tif", cloudy), write_raster(tmp_path / "b.tif", clear)
    grid = chips(open_sources([a, b]), size=64, gsd_m=1.0)
    assert [(chip.transform.c - WEST, chip.source) for chip in grid] == [(0, "b.tif"), (64, "a.tif")]
    assert grid.dropped == {CLOUD: 1}


def test_scenes_of_two_utm_zones_share_one_grid_where_they_overlap(tmp_path: Path) -> None:
    """No place is cut twice, none is lost but along the seam, and the first scene's gaps are the second's."""
    to_33 = pyproj.Transformer.from_crs("EPSG:32632", UTM, always_xy=True)
    x, y = 769_024.0, 5_400_064.0  # in zone 32, some 200 km east of its axis
    first = texture(512, 512, seed=1)
    first[:, 256:384, 256:384] = 0
    a = write_raster(tmp_path / "a.tif", first, Affine(1, 0, x, 0, -1, y), "EPSG:32632", nodata=0)
    west, north = (round(v / 64) * 64 for v in to_33.transform(x + 200, y + 20))
    b = write_raster(tmp_path / "b.tif", texture(512, 512, seed=2), Affine(1, 0, west, 0, -1, north))
    grid = chips(open_sources([a, b]), size=64, gsd_m=1.0)
    found = list(grid)
    assert len(found) + sum(grid.dropped.values()) == len(grid)
    by_source = {name: [chip for chip in found if chip.source == name] for name in ("a.tif", "b.tif")}
    assert len(by_source["a.tif"]) == 60
    assert {chip.crs for chip in by_source["b.tif"]} == {UTM, "EPSG:32632"}  # beyond the first, and in its gap
    areas = [shapely.area(chip.footprint) for chip in found]
    overlap = 1 - shapely.area(shapely.union_all([chip.footprint for chip in found])) / sum(areas)
    assert overlap < 0.06  # along the seam a square of one grid may stand half in one of the other


@pytest.mark.parametrize("crs", [UTM, "EPSG:3857"])
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
def test_shrunk_imagery_does_not_alias(tmp_path: Path, crs: str, resampling: str) -> None:
    """A fine chequerboard turns grey, not into a coarser pattern."""
    board = np.full((3, 600, 600), 40, np.uint8)
    board[:, (np.indices((600, 600)).sum(axis=0) % 2) == 1] = 200
    board[:, :300] //= 2  # so that no chip is blank
    place = pyproj.Transformer.from_crs(UTM, crs, always_xy=True).transform(WEST, NORTH)
    path = write_raster(tmp_path / "a.tif", board, Affine(1, 0, place[0], 0, -1, place[1]), crs)
    found = list(chips(open_sources([path]), size=24, gsd_m=5.0, resampling=resampling))
    assert found
    for chip in found:
        rows = chip.pixels[..., 0].astype(float)
        assert np.median(rows.std(axis=1)) < 4


def test_the_jpeg_is_the_picture_at_the_quality_asked_for(tmp_path: Path) -> None:
    source = open_sources([write_raster(tmp_path / "a.tif", texture(128, 128).repeat(1, axis=0))])
    (good,), (poor,) = (chips(source, size=128, gsd_m=1.0, jpeg_quality=quality) for quality in (95, 30))
    assert len(poor.jpeg) < len(good.jpeg) / 2
    assert np.asarray(Image.open(io.BytesIO(good.jpeg))).shape == good.pixels.shape
    with pytest.raises(UserError, match="quality 0"):
        chips(source, size=128, gsd_m=1.0, jpeg_quality=0)


def centres(points: list[tuple[float, float]], ranks: list[float] | None = None, **options: float) -> Centres:
    lon, lat = np.array([degrees(WEST + x, NORTH - y) for x, y in points]).T
    keys = [f"n{number}" for number in range(len(points))]
    return Centres(lon, lat, keys, np.array(ranks or [0.0] * len(points)), **options)


def test_chips_are_centred_on_points_with_jitter_that_the_seed_decides(tmp_path: Path) -> None:
    pixels = texture(512, 512)
    source = open_sources([write_raster(tmp_path / "a.tif", pixels)])
    points = [(100.0, 100.0), (310.0, 90.0), (400.0, 400.0), (5.0, 5.0)]  # the last is too near the edge

    def places(seed: int) -> list[tuple[float, float]]:
        grid = chips(source, size=64, gsd_m=1.0, centres=centres(points, jitter=0.25, seed=seed))
        found = list(grid)
        assert len(grid) == 4 and grid.dropped == {NO_DATA: 1} and len(found) == 3
        for chip in found:
            x, y = int(chip.transform.c - WEST), int(NORTH - chip.transform.f)
            np.testing.assert_array_equal(chip.pixels.transpose(2, 0, 1), pixels[:, y : y + 64, x : x + 64])
        return [(chip.transform.c - WEST + 32, NORTH - chip.transform.f + 32) for chip in found]

    for found, (x, y) in zip(sorted(places(0)), points[:3], strict=True):
        assert abs(found[0] - x) <= 17 and abs(found[1] - y) <= 17
    assert places(0) == places(0) != places(1)
    exact = chips(source, size=64, gsd_m=1.0, centres=centres(points[:1], jitter=0.0))
    assert [(c.transform.c - WEST + 32, NORTH - c.transform.f + 32) for c in exact] == [(100, 100)]


def test_a_cell_has_one_centred_chip_on_its_point_of_lowest_rank(tmp_path: Path) -> None:
    source = open_sources([write_raster(tmp_path / "a.tif", texture(512, 512))])
    crowd = [(200.0 + x, 200.0 + y) for x in range(0, 50, 5) for y in range(0, 50, 5)]
    ranks = [float(number != 37) for number in range(100)]
    grid = chips(source, size=64, gsd_m=1.0, centres=centres(crowd, ranks, jitter=0.0))
    centred = {(c.transform.c - WEST + 32, NORTH - c.transform.f + 32) for c in grid}
    assert crowd[37] in centred and len(centred) <= 4


def test_blocks_are_independent_and_can_be_sent_elsewhere(tmp_path: Path) -> None:
    a = write_raster(tmp_path / "a.tif", texture(300, 300, seed=1), Affine(1, 0.1, WEST, 0.1, -1, NORTH))
    b = write_raster(tmp_path / "b.tif", texture(300, 300, seed=2), crs="EPSG:32632")
    plan = chips(open_sources([a, b]), size=64, gsd_m=1.3)
    whole = [chip.jpeg for chip in plan]
    sent = pickle.loads(pickle.dumps(plan))
    parts = [chip.jpeg for block in reversed(list(sent.plan)) for chip in sent.read(block) if not isinstance(chip, str)]
    assert whole and sorted(whole) == sorted(parts)


def test_a_truncated_file_costs_its_chips_or_is_told_in_one_line(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "cut.tif", texture(512, 512), tiled=True, blockxsize=128, blockysize=128)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        grid = chips(open_sources([path]), size=64, gsd_m=1.0)
    except UserError as error:
        assert "cut.tif" in str(error) and "\n" not in str(error)
    else:
        found = list(grid)
        assert 0 < len(found) < 64 and len(found) + sum(grid.dropped.values()) == 64


def test_reading_stops_when_nobody_wants_more(tmp_path: Path) -> None:
    plan = chips(open_sources([write_raster(tmp_path / "a.tif", texture(512, 512))]), size=32, gsd_m=1.0)
    chips_found = iter(plan)
    next(chips_found)
    chips_found.close()
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]
