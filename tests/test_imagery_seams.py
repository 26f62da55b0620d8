"""Where imagery meets: files side by side, UTM zones, ±180°, the poles."""

import math
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geomammut.imagery.chips import NO_DATA, Chip, chips
from geomammut.imagery.grid import Centres
from geomammut.imagery.outlines import grids_of, on_globe
from geomammut.imagery.sources import ImagerySource, open_sources

UTM = "EPSG:32633"
WEST, NORTH = 499_968.0, 5_400_064.0  # whole multiples of 64 m


def texture(height: int, width: int, seed: int = 0, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (bands, height, width), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray, transform: Affine, crs: str = UTM, **options: object) -> Path:
    bands, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": bands, "height": height, "width": width}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, **options) as raster:
        raster.write(pixels)
    return path


def moved(x: float, y: float, from_crs: str, to_crs: str) -> tuple[float, float]:
    point = pyproj.Transformer.from_crs(from_crs, to_crs, always_xy=True).transform(x, y)
    return float(point[0]), float(point[1])


def area_m2(shape: shapely.Geometry) -> float:
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])


def of_two_zones(tmp_path: Path) -> list[Path]:
    """Two scenes of 1,024 m that overlap by some 150 m, each in its own UTM zone, the grids turned by some 4°."""
    x, y = 719_040.0, 5_400_064.0
    a = write(tmp_path / "a.tif", texture(1024, 1024, 1), Affine(1, 0, x, 0, -1, y), "EPSG:32632")
    west, north = moved(x + 874, y, "EPSG:32632", UTM)
    b = write(tmp_path / "b.tif", texture(1024, 1024, 2), Affine(1, 0, west, 0, -1, north))
    return [a, b]


def test_no_rim_is_lost_between_two_zones(tmp_path: Path) -> None:
    sources = open_sources(of_two_zones(tmp_path))
    found = list(chips(sources, size=64, gsd_m=1.0))
    ground = shapely.union_all([on_globe(source) for source in sources])
    west, south, east, north = ground.bounds
    # Away from the outer border, where cells stick out of the imagery, all is in a chip.
    middle = shapely.box(west + (east - west) * 0.35, south + (north - south) * 0.2, west + (east - west) * 0.65, north)
    middle = shapely.intersection(middle, shapely.buffer(ground, -0.0015))
    lost = shapely.difference(middle, shapely.union_all([chip.footprint for chip in found]))
    assert area_m2(lost) < 0.001 * area_m2(middle)
    assert {chip.crs for chip in found} == {"EPSG:32632", UTM}


def test_a_point_between_two_zones_gets_one_chip(tmp_path: Path) -> None:
    sources = open_sources(of_two_zones(tmp_path))
    seam = shapely.intersection(on_globe(sources[0]), on_globe(sources[1]))
    west, south, east, north = seam.bounds
    lon = np.linspace(west, east, 12).repeat(12)[30:114]
    lat = np.tile(np.linspace(south, north, 12), 12)[30:114]
    centres = Centres(lon, lat, [str(i) for i in range(len(lon))], np.zeros(len(lon)), jitter=0.0)
    found = list(chips(sources, size=64, gsd_m=1.0, centres=centres))
    middles = [shapely.centroid(chip.footprint) for chip in found]
    assert len(found) > 10
    nearest = [min(math.hypot(m.x - x, m.y - y) for x, y in zip(lon, lat, strict=True)) for m in middles]
    assert max(nearest) < 1e-5
    assert len({(round(m.x, 5), round(m.y, 5)) for m in middles}) == len(found)


def drawn(lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    """Return [3, H, W] in which every colour tells where on the globe a pixel lies."""
    waves = (np.sin(np.radians(lons) * 2000), np.cos(np.radians(lats) * 2000), np.sin(np.radians(lons + lats) * 900))
    return np.stack([np.round(127 + 100 * wave) for wave in waves]).astype(np.uint8)


def check_pixels(chip: Chip) -> None:
    side = np.arange(chip.pixels.shape[0]) + 0.5
    columns, rows = np.meshgrid(side, side)
    x, y = chip.transform @ np.array([columns.ravel(), rows.ravel()])
    lons, lats = pyproj.Transformer.from_crs(chip.crs, "EPSG:4326", always_xy=True).transform(x, y)
    expected = drawn(lons, lats).reshape(3, *columns.shape).transpose(1, 2, 0)
    assert np.abs(chip.pixels.astype(int) - expected).mean() < 3


def write_degrees(path: Path, west: float, north: float, pixel: float, width: int, height: int) -> Path:
    lons, lats = np.meshgrid(west + (np.arange(width) + 0.5) * pixel, north - (np.arange(height) + 0.5) * pixel)
    return write(path, drawn(lons, lats), Affine(pixel, 0, west, 0, -pixel, north), "EPSG:4326")


@pytest.mark.parametrize("west", [179.98, -180.02])
def test_a_raster_in_degrees_across_the_antimeridian(tmp_path: Path, west: float) -> None:
    path = write_degrees(tmp_path / "a.tif", west, -16.98, 0.0001, 400, 400)
    grid = chips(open_sources([path]), size=64, gsd_m=11.0)
    found = list(grid)
    assert len(found) >= 20
    for chip in found:
        check_pixels(chip)
        west, _, east, _ = chip.footprint.bounds
        assert -180 <= west <= east <= 180
        assert area_m2(chip.footprint) == pytest.approx((64 * 11.0) ** 2, rel=0.01)
    cut = [chip for chip in found if chip.footprint.bounds[2] - chip.footprint.bounds[0] > 180]
    assert cut and all(chip.footprint.geom_type == "MultiPolygon" for chip in cut)
    seen = shapely.union_all([chip.footprint for chip in found])
    assert area_m2(seen) > 0.6 * (400 * 0.0001 * 111_000) ** 2 * math.cos(math.radians(17))


def test_longitudes_from_0_to_360(tmp_path: Path) -> None:
    path = write_degrees(tmp_path / "a.tif", 250.0, 40.0, 0.0001, 300, 300)
    found = list(chips(open_sources([path]), size=64, gsd_m=10.0))
    assert len(found) >= 8 and {chip.crs for chip in found} == {"EPSG:32612"}
    for chip in found:
        check_pixels(chip)
        assert chip.footprint.bounds[0] == pytest.approx(-110, abs=0.1)


def test_imagery_of_many_zones_is_cut_in_each(tmp_path: Path) -> None:
    """A strip of 30° in degrees: true metres everywhere, no place lost between zones."""
    path = write_degrees(tmp_path / "a.tif", 1.0, 50.0, 0.01, 3000, 60)
    sources = open_sources([path])
    found = list(chips(sources, size=32, gsd_m=400.0, resampling="nearest"))
    assert {chip.crs for chip in found} == {f"EPSG:{32600 + zone}" for zone in range(31, 37)}
    for chip in found:
        assert area_m2(chip.footprint) == pytest.approx((32 * 400.0) ** 2, rel=0.021)
    inner = shapely.box(1.5, 49.65, 30.5, 49.75)
    lost = shapely.difference(inner, shapely.union_all([chip.footprint for chip in found]))
    assert area_m2(lost) < 0.002 * area_m2(inner)


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031", "EPSG:32661"])
def test_polar_imagery_around_the_pole(tmp_path: Path, crs: str) -> None:
    """A bright square beside the pole is where the chip's footprint says, and the pole itself is no gap."""
    pixels = texture(512, 512) // 4
    pixels[:, 200:216, 280:296] = 250
    x, y = moved(0.0, -90.0 if crs == "EPSG:3031" else 90.0, "EPSG:4326", crs)
    place = Affine(100, 0, x - 25_600, 0, -100, y + 25_600)
    path = write(tmp_path / "a.tif", pixels, place, crs)
    sources = open_sources([path])
    assert area_m2(on_globe(sources[0])) == pytest.approx(51_200**2, rel=0.08)
    found = list(chips(sources, size=64, gsd_m=100.0, resampling="nearest"))
    assert len(found) >= 40
    assert {chip.crs for chip in found} == {"EPSG:32761" if crs == "EPSG:3031" else "EPSG:32661"}
    for chip in found:
        assert area_m2(chip.footprint) == pytest.approx(6_400**2, rel=0.02)
    bright = max(found, key=lambda chip: int((chip.pixels > 240).sum()))
    rows, columns = np.nonzero(bright.pixels[..., 0] > 240)
    assert len(rows) > 60
    there = bright.transform @ (float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)
    assert moved(*there, bright.crs, crs) == pytest.approx(place @ (288, 208), abs=800)


@given(st.floats(-180, 180), st.floats(-85, 85), st.sampled_from([0.02, 3.0, 40.0]))
@settings(max_examples=10)
def test_the_grids_of_a_source_cover_it_once_with_true_metres(lon: float, lat: float, width: float) -> None:
    south, north = max(-90.0, lat - width / 4), min(90.0, lat + width / 4)
    source = ImagerySource("a", "a", "EPSG:4326", (lon, south, lon + width, north), 1.0)
    whole = on_globe(source)
    assert area_m2(whole) == pytest.approx(
        area_m2(shapely.segmentize(shapely.box(0, south, width, north), 1)), rel=0.01
    )
    ground = 0.0
    for crs, part in grids_of(source).items():
        xy = shapely.get_coordinates(part)
        lons, lats = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*xy.T)
        scale = pyproj.Proj(crs).get_factors(lons, lats)
        assert np.abs(np.asarray(scale.areal_scale) - 1).max() < 0.021
        ground += part.area
    assert ground == pytest.approx(area_m2(whole), rel=0.02)


def smooth(height: int, width: int, bands: int = 3) -> np.ndarray:
    """Return a picture without sharp edges, so that a seam in it would show."""
    y, x = np.mgrid[:height, :width]
    waves = [120 + 50 * np.sin(x / (9 + band)) + 50 * np.cos(y / (11 + band)) for band in range(bands)]
    return np.stack(waves).astype(np.uint8)


def in_files(folder: Path, pixels: np.ndarray, columns: list[int], rows: list[int], **options: object) -> list[Path]:
    """Write a picture in files that end at these columns and rows."""
    paths = []
    folder.mkdir()
    for top, bottom in zip([0, *rows], [*rows, pixels.shape[1]], strict=True):
        for left, right in zip([0, *columns], [*columns, pixels.shape[2]], strict=True):
            place = Affine(1, 0, WEST + left, 0, -1, NORTH - top)
            paths.append(write(folder / f"{top:04}-{left:04}.tif", pixels[:, top:bottom, left:right], place, **options))
    return paths


@pytest.mark.parametrize(("bands", "kind"), [(3, np.uint8), (1, np.uint8), (4, np.uint8), (3, np.float32)])
def test_a_picture_in_many_files_gives_the_chips_of_one(tmp_path: Path, bands: int, kind: type) -> None:
    pixels = smooth(256, 320, bands).astype(kind)
    write(tmp_path / "whole.tif", pixels, Affine(1, 0, WEST, 0, -1, NORTH))
    in_files(tmp_path / "parts", pixels, [50, 100, 200, 210], [31, 130])
    whole = chips(open_sources([tmp_path / "whole.tif"]), size=64, gsd_m=1.0)
    parts = chips(open_sources([tmp_path / "parts"]), size=64, gsd_m=1.0)
    pairs = list(zip(whole, parts, strict=True))
    assert len(pairs) == 20 and not parts.dropped
    for one, other in pairs:
        assert one.transform == other.transform
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= (0 if kind is np.uint8 else 4)


@pytest.mark.parametrize(("gsd", "crs"), [(1.3, UTM), (0.7, UTM), (2.6, UTM), (1.0, "EPSG:3857")])
def test_no_seam_shows_where_pixels_are_resampled(tmp_path: Path, gsd: float, crs: str) -> None:
    pixels = smooth(256, 320)
    paths = in_files(tmp_path / "parts", pixels, [101, 203], [77])
    whole = [write(tmp_path / "whole.tif", pixels, Affine(1, 0, WEST, 0, -1, NORTH))]
    if crs != UTM:  # the files in another projection than the chips
        for path in (*paths, *whole):
            with rasterio.open(path, "r+") as raster:
                x, y = moved(WEST, NORTH, UTM, crs)
                raster.transform, raster.crs = Affine.translation(x - WEST, y - NORTH) @ raster.transform, crs
    one, other = (chips(open_sources(each), size=48, gsd_m=gsd) for each in (whole, paths))
    pairs = list(zip(one, other, strict=True))
    assert pairs
    for a, b in pairs:
        assert a.transform == b.transform
        apart = np.abs(a.pixels.astype(int) - b.pixels)
        assert apart.max() <= 20 and apart.mean() < 0.5


def test_a_chip_of_two_files_is_counted_to_the_one_that_gave_the_most(tmp_path: Path) -> None:
    for path, date in zip(in_files(tmp_path / "parts", smooth(64, 192), [80], []), ("2020", "2021"), strict=True):
        with rasterio.open(path, "r+") as raster:
            raster.update_tags(TIFFTAG_DATETIME=f"{date}:06:30 10:11:12")
    found = chips(open_sources([tmp_path / "parts"]), size=64, gsd_m=1.0)
    assert [(chip.source, chip.acquired) for chip in found] == [
        ("0000-0000.tif", "2020-06-30T10:11:12"),
        ("0000-0080.tif", "2021-06-30T10:11:12"),
        ("0000-0080.tif", "2021-06-30T10:11:12"),
    ]


def test_files_of_more_than_8_bits_share_one_stretch(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 9000, 256).astype(np.uint16)
    pixels = np.broadcast_to(ramp, (3, 64, 256)).copy()
    pixels[:, ::2] += 300
    in_files(tmp_path / "parts", pixels, [96], [])
    sources = open_sources([tmp_path / "parts"])
    assert sources[0].stretch == sources[1].stretch
    assert sources[0].stretch is not None
    assert sources[0].stretch[0] == pytest.approx((1300, 9000), abs=200)
    second = list(chips(sources, size=64, gsd_m=1.0))[1].pixels[..., 0].astype(int)  # the edge is in its middle
    assert np.abs(np.diff(second[1::2], axis=1)).max() < 4


def test_scenes_fill_each_others_gaps(tmp_path: Path) -> None:
    """Along the edge of a satellite's swath neither of two scenes has a whole chip; nodata, alpha, or black alone."""
    pixels = smooth(128, 128)
    is_left = np.add.outer(np.arange(128), np.arange(128)) < 130
    place = Affine(1, 0, WEST, 0, -1, NORTH)
    for name, options in (("nodata", {"nodata": 0}), ("silent", {})):
        paths = [
            write(tmp_path / f"{name}{number}.tif", np.where(part, pixels, 0).astype(np.uint8), place, **options)
            for number, part in enumerate((is_left, ~is_left))
        ]
        found = list(chips(open_sources(paths), size=128, gsd_m=1.0))
        assert len(found) == 1
        np.testing.assert_array_equal(found[0].pixels.transpose(2, 0, 1), pixels)
        assert not list(chips(open_sources(paths[:1]), size=128, gsd_m=1.0))


def test_imagery_of_another_kind_is_not_joined(tmp_path: Path) -> None:
    pixels = smooth(64, 128)
    place = Affine(1, 0, WEST, 0, -1, NORTH)
    left = write(tmp_path / "left.tif", pixels[..., :96], place)
    for name, other, pixel in (("finer", pixels[..., 96:].repeat(2, axis=1).repeat(2, axis=2), 0.5),):
        right = write(tmp_path / f"{name}.tif", other, Affine(pixel, 0, WEST + 96, 0, -pixel, NORTH))
        grid = chips(open_sources([left, right]), size=64, gsd_m=1.0)
        assert [chip.transform.c for chip in grid] == [WEST] and grid.dropped == {NO_DATA: 1}
    grey = write(tmp_path / "grey.tif", pixels[:1, :, 96:], Affine(1, 0, WEST + 96, 0, -1, NORTH))
    assert len(list(chips(open_sources([left, grey]), size=64, gsd_m=1.0))) == 1


def test_a_chip_across_two_zones_without_overlap_is_filled_by_both(tmp_path: Path) -> None:
    x, y = 719_040.0, 5_400_064.0
    a = write(tmp_path / "a.tif", smooth(512, 512), Affine(1, 0, x, 0, -1, y), "EPSG:32632")
    # The second, in its own zone, begins where the first ends; it is turned, and covers a wedge of the first.
    west, north = moved(x + 512, y + 40, "EPSG:32632", UTM)
    turned = moved(west, north - 600, UTM, "EPSG:32632")[0] - (x + 512)
    west -= max(0.0, turned) + 4
    b = write(tmp_path / "b.tif", smooth(600, 512), Affine(1, 0, west, 0, -1, north))
    one, both = (list(chips(open_sources(paths), size=96, gsd_m=1.0)) for paths in ([a], [a, b]))
    column = max(chip.transform.c for chip in one) + 96
    across = [chip for chip in both if chip.crs == "EPSG:32632" and chip.transform.c == column]
    assert column < x + 512 < column + 96 and len(across) >= 4
    assert {chip.source for chip in across} == {"b.tif"}  # which gave the most
    for chip in across:
        seam = round(x + 512 - column)
        assert (chip.pixels[:, seam - 2 : seam + 2] > 0).all()


def test_chips_of_many_small_files(tmp_path: Path) -> None:
    """Files smaller than a chip, each with landmarks' worth of ground: a chip takes some 16 of them."""
    pixels = smooth(160, 160)
    in_files(tmp_path / "parts", pixels, list(range(23, 160, 23)), list(range(23, 160, 23)))
    sources = open_sources([tmp_path / "parts"])
    assert len(sources) == 49
    place = moved(WEST + 77, NORTH - 70, UTM, "EPSG:4326")
    centres = Centres(np.array([place[0]]), np.array([place[1]]), ["a"], np.zeros(1), jitter=0.0)
    (chip,) = chips(sources, size=96, gsd_m=1.0, centres=centres)
    column, row = int(chip.transform.c - WEST), int(NORTH - chip.transform.f)
    np.testing.assert_array_equal(chip.pixels.transpose(2, 0, 1), pixels[:, row : row + 96, column : column + 96])


@settings(max_examples=15)
@given(st.integers(8, 64), st.integers(33, 200))
def test_chips_overlap_by_the_stride(tmp_path_factory: pytest.TempPathFactory, stride: int, seam: int) -> None:
    """Every multiple of the stride that fits gives a chip, also across the seam of two files."""
    folder, whole = tmp_path_factory.mktemp("stride"), texture(160, 256)
    west, north = 64 * 7_812.0, 64 * 84_376.0
    left = write(folder / "left.tif", whole[:, :, :seam], Affine(1, 0, west, 0, -1, north))
    right = write(folder / "right.tif", whole[:, :, seam:], Affine(1, 0, west + seam, 0, -1, north))
    found = list(chips(open_sources([left, right]), size=64, gsd_m=1.0, stride=stride))
    corners = {(int(chip.transform.c - west), int(north - chip.transform.f)) for chip in found}

    def on_the_grid(over: int) -> set[tuple[int, int]]:
        """Corners of chips that stick out of the imagery by at most `over` pixels."""
        xs = [x for x in range(-over, 256 - 63 + over) if (west + x) % stride == 0]
        ys = [y for y in range(-over, 160 - 63 + over) if (north - y - 64) % stride == 0]
        return {(x, y) for x in xs for y in ys}

    assert len(found) == len(corners)
    # Where files are put together, their rims are drawn out by a pixel, to close what roundings leave between them.
    assert on_the_grid(0) <= corners <= on_the_grid(1)
    for chip in found:
        x, y = int(chip.transform.c - west), int(north - chip.transform.f)
        if (x, y) in on_the_grid(0):
            assert (chip.pixels == whole[:, y : y + 64, x : x + 64].transpose(1, 2, 0)).all()
