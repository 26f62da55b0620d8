"""Rasters of the demo place: the mosaic, the class mask, and the held-out windows and scenes for measuring."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp

from geomammut.demo.place.osm_map import CRS, EAST, NORTH
from geomammut.demo.place.plan import DISTRICT_M, Plan
from geomammut.demo.place.sheet import Scene
from geomammut.demo.place.surfaces import IGNORED_COLOUR, LAND_CLASSES
from geomammut.files import write_json

Bytes = npt.NDArray[np.uint8]

WINDOW, WINDOWS = 256, 40
SCENE, SCENES_PER_CLASS = 128, 12


def write_mosaic(path: Path, pixels: Bytes) -> None:
    """Write RGB pixels [H, W, 3] as a cloud-optimized GeoTIFF with JPEG compression, as aerial mosaics come."""
    raw = path.with_name("mosaic-raw.tif")
    height, width = pixels.shape[:2]
    with rasterio.open(
        raw, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=CRS,
        transform=_transform(0, 0), photometric="RGB", interleave="pixel", tiled=True,
    ) as target:  # fmt: skip
        for top in range(0, height, 512):
            rows = pixels[top : top + 512]
            window = rasterio.windows.Window(0, top, width, rows.shape[0])
            target.write(np.moveaxis(rows, 2, 0), window=window)
        target.update_tags(ns=None, TIFFTAG_DATETIME="2024:06:15 10:30:00")
    rasterio.shutil.copy(
        raw, path, driver="COG", compress="JPEG", quality=90, overview_resampling="average",
        overview_quality=85, num_threads=2, blocksize=512,
    )  # fmt: skip
    raw.unlink()


def write_classes(folder: Path, classes: Bytes) -> None:
    """Write the class mask with its colour table and names, and `classes.json`."""
    _write_mask(folder / "classes.tif", classes, 0, 0)
    entries = [
        {"name": c.name, "mask": value, "prompts": list(c.prompts)} for value, c in enumerate(LAND_CLASSES, start=1)
    ]
    template = "An aerial image of {}."
    write_json(folder / "classes.json", {"classes": entries, "ignore": [0], "template": template})


def _transform(left: float, top: float) -> Affine:
    return Affine(1, 0, EAST + left, 0, -1, NORTH - top)


def _write_mask(path: Path, classes: Bytes, left: int, top: int) -> None:
    height, width = classes.shape
    colours = {0: IGNORED_COLOUR, **{k: c.colour for k, c in enumerate(LAND_CLASSES, start=1)}}
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=1, dtype="uint8", crs=CRS,
        transform=_transform(left, top), compress="deflate", zlevel=1, tiled=True, nodata=None,
        blockxsize=256, blockysize=256,
    ) as target:  # fmt: skip
        target.write(classes, 1)
        target.write_colormap(1, colours)
        target.colorinterp = [ColorInterp.palette]
        target.update_tags(1, **{f"CLASS_{k}": c.name for k, c in enumerate(LAND_CLASSES, start=1)})


def write_windows(folder: Path, plan: Plan, pixels: Bytes, classes: Bytes) -> None:
    """Write about 40 windows of the held-out area with their masks, chosen so that every class is seen often."""
    left = min(i for i, _ in plan.held_out) * DISTRICT_M
    top = min(j for _, j in plan.held_out) * DISTRICT_M
    spots = [
        (x, y) for y in range(top, plan.side - WINDOW + 1, WINDOW) for x in range(left, plan.side - WINDOW + 1, WINDOW)
    ]
    counts = np.array(
        [
            np.bincount(classes[y : y + WINDOW, x : x + WINDOW].ravel(), minlength=len(LAND_CLASSES) + 1)
            for x, y in spots
        ]
    )
    shares = np.minimum(counts[:, 1:] / WINDOW**2, 0.25)
    shares[counts[:, 0] > 0.4 * WINDOW**2] = 0
    seen = np.full(len(LAND_CLASSES), 1e-3)
    chosen: list[int] = []
    for _ in range(min(WINDOWS, len(spots))):
        worth = (shares / seen).sum(axis=1)
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
        seen += shares[chosen[-1]]
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for k in sorted(chosen):
        x, y = spots[k]
        part = slice(y, y + WINDOW), slice(x, x + WINDOW)
        with rasterio.open(
            folder / "images" / f"{x:05d}_{y:05d}.tif", "w", driver="GTiff", width=WINDOW, height=WINDOW, count=3,
            dtype="uint8", crs=CRS, transform=_transform(x, y), photometric="RGB", compress="deflate",
        ) as target:  # fmt: skip
            target.write(np.moveaxis(pixels[part], 2, 0))
        _write_mask(folder / "masks" / f"{x:05d}_{y:05d}.tif", np.ascontiguousarray(classes[part]), x, y)


def write_scenes(folder: Path, plan: Plan, pixels: Bytes, scenes: Sequence[Scene]) -> None:
    """Write scene-centred pictures of the held-out area, one folder per class."""
    kept: dict[str, list[tuple[int, int]]] = {}
    order = plan.rng(7).permutation(len(scenes))
    for k in order:
        label, x, y = scenes[k].label, int(scenes[k].x) - SCENE // 2, int(scenes[k].y) - SCENE // 2
        corners = {((x + a) // DISTRICT_M, (y + b) // DISTRICT_M) for a in (0, SCENE - 1) for b in (0, SCENE - 1)}
        others = kept.setdefault(label, [])
        apart = all(abs(x - ox) + abs(y - oy) > 70 for ox, oy in others)
        if corners <= plan.held_out and apart and len(others) < SCENES_PER_CLASS:
            others.append((x, y))
    for label, spots in sorted(kept.items()):
        if len(spots) < 4 and plan.count >= 16:
            continue
        for x, y in spots:
            (folder / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[y : y + SCENE, x : x + SCENE]).save(
                folder / label / f"{x:05d}_{y:05d}.png", compress_level=1
            )
