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

from geomammut.imagery.chips import Chip, chips
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
    found = list(chips(sources, size=16, gsd_m=800.0, resampling="nearest"))
    assert {chip.crs for chip in found} == {f"EPSG:{32600 + zone}" for zone in range(31, 37)}
    for chip in found:
        assert area_m2(chip.footprint) == pytest.approx((16 * 800.0) ** 2, rel=0.021)
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


@given(st.floats(-180, 180), st.floats(-85, 85), st.sampled_from([0.02, 3.0, 25.0, 120.0]))
@settings(max_examples=40, deadline=None)
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
