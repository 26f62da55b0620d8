"""Pixels of chips: what a raster shows at another pixel size, whatever they are read with."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.shutil import copy

from geomammut.imagery.chips import NO_DATA, chips
from geomammut.imagery.reading import open_reader
from geomammut.imagery.sources import open_sources

UTM = "EPSG:32633"
WEST, NORTH = 499_968.0, 5_400_064.0


def land(side: int, kind: str = "uint8") -> NDArray[np.generic]:
    """Return [3, side, side], structured at several scales."""
    rng = np.random.default_rng(side)
    picture = np.full((3, side, side), 120.0)
    for step, contrast in ((32, 30), (8, 15), (3, 8)):
        coarse = rng.normal(0, contrast, (3, side // step + 1, side // step + 1))
        picture += coarse.repeat(step, axis=1).repeat(step, axis=2)[:, :side, :side]
    return (picture.clip(30, 225) * (1 if kind == "uint8" else 37)).astype(kind)


def write(path: Path, pixels: NDArray[np.generic], shift: float = 0.0, **options: object) -> Path:
    bands, height, width = pixels.shape
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": bands, "height": height, "width": width, "crs": UTM}
    place = Affine(1, 0, WEST + shift, 0, -1, NORTH - shift)
    with rasterio.open(path, "w", **profile, transform=place, **options) as raster:
        raster.write(pixels)
    return path


def cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of Keys' kernel, a = -1/2."""
    x = np.abs(distance)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0, 1 - np.abs(distance))


@pytest.mark.parametrize(("gsd_m", "resampling"), [(0.7, "cubic"), (1.3, "cubic"), (1.3, "bilinear"), (2.9, "cubic")])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_pixels_of_another_size_follow_the_kernel(tmp_path: Path, gsd_m: float, resampling: str, kind: str) -> None:
    """Every pixel is the sum over the raster's pixels of their weights, the kernel widened where it shrinks."""
    pixels = land(300, kind)
    source = open_sources([write(tmp_path / "a.tif", pixels, shift=0.37)])[0]
    weigh = cubic if resampling == "cubic" else triangle
    for chip in chips([source], size=64, gsd_m=gsd_m, resampling=resampling):
        sums = []
        for start in (chip.transform.c - WEST - 0.37, NORTH - 0.37 - chip.transform.f):
            centres = start + (np.arange(64) + 0.5) * gsd_m - 0.5
            weights = weigh((np.arange(300) - centres[:, None]) / max(1.0, gsd_m))
            sums.append(weights / weights.sum(axis=1, keepdims=True))
        expected = np.einsum("xw,yh,chw->yxc", *sums, pixels.astype(float), optimize=True)
        if source.stretch is not None:
            low, high = np.array(source.stretch).T
            expected = (expected - low) * 255 / (high - low)
        assert np.abs(chip.pixels - expected.clip(0, 255)).max() < 1.6


@given(
    gsd_m=st.sampled_from([0.31, 0.5, 1.0, 1.2, 2.0, 2.4, 3.7]),
    shift=st.floats(-3, 3),
    missing=st.booleans(),
    resampling=st.sampled_from(["nearest", "bilinear", "cubic", "average"]),
    kind=st.sampled_from(["uint8", "uint16", "float32"]),
    overviews=st.booleans(),
)
@settings(max_examples=30)
def test_a_chip_is_the_same_whatever_it_is_read_with(
    tmp_path_factory: pytest.TempPathFactory,
    gsd_m: float,
    shift: float,
    missing: bool,
    resampling: str,
    kind: str,
    overviews: bool,
) -> None:
    pixels = land(256, kind)
    if missing:
        pixels[:, 90:130, 60:180] = 0
    options = {"nodata": 0} if missing else {}
    path = write(
        tmp_path_factory.mktemp("i") / "a.tif", pixels, shift, tiled=True, blockxsize=64, blockysize=64, **options
    )
    if overviews:
        with rasterio.open(path, "r+") as raster:
            raster.build_overviews([2, 4], Resampling.average)
    size = 32
    corner = np.round([WEST / gsd_m, NORTH / gsd_m]).astype(np.int64)
    # Beside each other, overlapping, and beyond the raster's edges.
    offsets = np.array(
        [[0, 0], [size, 0], [7, -size], [-size // 2, -40], [2 * size, -2 * size], [int(256 / gsd_m) - 9, 0]]
    )
    with open_reader(open_sources([path])[0], resampling, UTM, gsd_m) as reader:
        together = list(reader.read(corner + offsets, size))
        for (found, valid), offset in zip(together, offsets, strict=True):
            ((alone, alone_valid),) = reader.read(corner + offset[None], size)
            np.testing.assert_array_equal(found, alone)
            both = [np.ones((size, size), bool) if each is None else each for each in (valid, alone_valid)]
            np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("how", ["nodata", "alpha", "mask inside", "mask beside"])
def test_what_is_missing_is_missing_in_overviews_too(tmp_path: Path, how: str) -> None:
    pixels = land(1024)
    known = np.full((1024, 1024), 255, np.uint8)
    known[:512, :512] = 0
    plain = tmp_path / "plain.tif"
    if how == "alpha":
        write(plain, np.concatenate([pixels, known[None]]), photometric="RGB", alpha="YES")
    else:
        pixels[:, :512, :512] = 0
        write(plain, pixels, photometric="RGB", **({"nodata": 0} if how == "nodata" else {}))
    if how.startswith("mask"):
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=how == "mask inside"), rasterio.open(plain, "r+") as raster:
            raster.write_mask(known)
    cog = tmp_path / "cog.tif"
    copy(plain, cog, driver="COG", blocksize=256, overview_resampling="average")
    with rasterio.open(cog) as raster:
        assert raster.overviews(1)
    for gsd_m in (2.0, 2.5, 4.0):
        grid = chips(open_sources([cog]), size=32, gsd_m=gsd_m)
        found = list(grid)
        assert found and grid.dropped[NO_DATA] > 10
        for chip in found:
            assert chip.transform.c + 32 * gsd_m > WEST + 512 or chip.transform.f - 32 * gsd_m < NORTH - 512
            assert chip.pixels.min() >= 10  # nothing of the missing part, 0, shines through
    # An overview is chosen: its pixels are averages, which at its own pixel size are taken as they are.
    (fine,) = [
        c
        for c in chips(open_sources([cog]), size=32, gsd_m=2.0)
        if (c.transform.c, c.transform.f) == (WEST + 512, NORTH)
    ]
    means = pixels[:, :64, 512:576].reshape(3, 32, 2, 32, 2).mean(axis=(2, 4)).transpose(1, 2, 0)
    assert np.abs(fine.pixels - means).max() <= 1
