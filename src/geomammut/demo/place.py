"""Makes the demo's place: a mosaic, its map, its true classes, held-out windows and a web table, as real files.

The place is procedural and its seed decides everything. A corner of it, about 22% of the districts, is
held out: nothing that trains may look at it.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from PIL import Image
from pyproj import Transformer

from geomammut.demo.place_layout import Layout
from geomammut.demo.place_map import write_map
from geomammut.demo.place_plan import DISTRICT_M, Plan, make_plan
from geomammut.demo.place_render import Camera, make_textures
from geomammut.demo.place_sheet import Feature, Scene
from geomammut.demo.place_surfaces import LAND_CLASSES
from geomammut.demo.place_web import write_web
from geomammut.errors import UserError
from geomammut.files import whole_folder, write_json
from geomammut.progress import track

CRS = "EPSG:32633"
WEST, NORTH = 480_000.0, 5_560_000.0  # the mosaic's upper left corner, metres
WINDOW_PX, WINDOWS = 256, 40  # held-out windows for segmentation
SCENE_PX, SCENES_PER_CLASS = 128, 12  # held-out scenes for classification
WORKERS = 2

Bytes = npt.NDArray[np.uint8]


class _Row(NamedTuple):
    """One row of districts: pixels [480, W, 3], classes [480, W], and what stands in it."""

    pixels: Bytes
    classes: Bytes
    features: list[Feature]
    scenes: list[Scene]


def make_place(out: Path, *, seed: int = 0, side_m: int = 7680) -> Path:
    """Make a place of `side_m` × `side_m` metres at 1 m per pixel and write it to the folder `out`.

    `out` gets `mosaic.tif`, `map.osm.pbf`, `classes.tif` and `classes.json` (the truth, for measuring only),
    `train.geojson` and `heldout.geojson` (areas, EPSG:4326), `heldout/images`, `heldout/masks` and
    `heldout/scenes/CLASS`, and `web/table.csv` with its pictures. A folder that holds the same place
    already is left as it is.

    Raises:
        UserError: `side_m` is no multiple of 480, or less than 1920.
    """
    if side_m % DISTRICT_M or side_m < 4 * DISTRICT_M:
        raise UserError(
            f"a place's side must be a multiple of {DISTRICT_M} m from {4 * DISTRICT_M} on, not {side_m}"
        )
    settings = {"seed": seed, "side_m": side_m, "crs": CRS}
    if (out / "place.json").exists() and json.loads((out / "place.json").read_text()) == settings:
        return out
    plan = make_plan(seed, side_m // DISTRICT_M)
    with whole_folder(out) as folder:
        pixels = np.empty((side_m, side_m, 3), np.uint8)
        classes = np.empty((side_m, side_m), np.uint8)
        features: list[Feature] = []
        scenes: list[Scene] = []
        for number, row in enumerate(track(_rows(seed, plan.count), "paint", total=plan.count)):
            here = slice(number * DISTRICT_M, (number + 1) * DISTRICT_M)
            pixels[here], classes[here] = row.pixels, row.classes
            features += row.features
            scenes += row.scenes
        network = Layout(plan).network.sheet
        write_map(folder / "map.osm.pbf", [*network.features, *features], to_degrees, seed)
        _write_rasters(folder, pixels, classes)
        _write_areas(folder, plan)
        _write_heldout(folder / "heldout", plan, pixels, classes, scenes)
        write_web(folder / "web", seed)
        write_json(folder / "place.json", settings)
    return out


def to_degrees(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map the place's own metres [N, 2] (x right, y down) to longitude and latitude."""
    transformer = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lon, lat = transformer.transform(WEST + points[:, 0], NORTH - points[:, 1])
    return np.stack([lon, lat], axis=1)


def _rows(seed: int, count: int) -> Iterator[_Row]:
    """Paint the rows of districts in order, in processes that each lay out a run of rows."""
    runs = np.array_split(np.arange(count), WORKERS)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_paint_rows, seed, count, [int(row) for row in run]) for run in runs]
        for job in jobs:
            yield from job.result()


def _paint_rows(seed: int, count: int, rows: list[int]) -> list[_Row]:
    plan = make_plan(seed, count)
    layout, camera = Layout(plan), Camera(plan, make_textures(seed))
    painted = []
    for j in rows:
        layout.forget_above(j - 1)
        tiles = [camera.tile(i, j, layout.near(i, j)) for i in range(count)]
        own = [layout.sheet(cell) for cell in sorted(plan.districts) if cell[1] == j]
        painted.append(
            _Row(
                np.concatenate([pixels for pixels, _ in tiles], axis=1),
                np.concatenate([classes for _, classes in tiles], axis=1),
                [feature for sheet in own for feature in sheet.features],
                [scene for sheet in own for scene in sheet.scenes],
            )
        )
    return painted


def _write_rasters(folder: Path, pixels: Bytes, classes: Bytes) -> None:
    _write_cog(
        folder / "mosaic.tif",
        pixels.transpose(2, 0, 1),
        Affine(1, 0, WEST, 0, -1, NORTH),
        compress="JPEG",
        quality=90,
    )
    _write_cog(
        folder / "classes.tif",
        classes[None],
        Affine(1, 0, WEST, 0, -1, NORTH),
        compress="DEFLATE",
        classes=True,
    )
    listed: list[dict[str, Any]] = [
        {"name": land.name, "mask": value, "prompts": list(land.prompts)}
        for value, land in enumerate(LAND_CLASSES, start=1)
    ]
    write_json(
        folder / "classes.json", {"classes": listed, "ignore": [0], "template": "An aerial image of {}."}
    )


def _write_cog(path: Path, bands: Bytes, transform: Affine, classes: bool = False, **options: Any) -> None:
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": "uint8"}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", crs=CRS, transform=transform, **profile) as raster:
            raster.write(bands)
            if classes:
                raster.write_colormap(1, {0: (0, 0, 0)} | _colours())
                raster.update_tags(
                    **{f"CLASS_{value}": land.name for value, land in enumerate(LAND_CLASSES, 1)}
                )
        with memory.open() as raster:
            resampling = "nearest" if classes else "average"
            rasterio.shutil.copy(raster, path, driver="COG", overview_resampling=resampling, **options)


def _colours() -> dict[int, tuple[int, int, int]]:
    return {value: land.colour for value, land in enumerate(LAND_CLASSES, start=1)}


def _heldout_box(plan: Plan) -> tuple[int, int]:
    """Return the left and top of the held-out corner, metres."""
    return (
        min(i for i, _ in plan.held_out) * DISTRICT_M,
        min(j for _, j in plan.held_out) * DISTRICT_M,
    )


def _write_areas(folder: Path, plan: Plan) -> None:
    left, top = _heldout_box(plan)
    heldout = shapely.box(left, top, plan.side, plan.side)
    train = shapely.difference(shapely.box(0, 0, plan.side, plan.side), heldout)
    for name, area in (("train", train), ("heldout", heldout)):
        # Straight lines of the projection are curves in degrees: many points keep them true.
        ring = np.asarray(shapely.segmentize(area, 100.0).exterior.coords)
        geometry = shapely.geometry.mapping(shapely.Polygon(to_degrees(ring)))
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": geometry}
        write_json(folder / f"{name}.geojson", {"type": "FeatureCollection", "features": [feature]})


def _write_heldout(folder: Path, plan: Plan, pixels: Bytes, classes: Bytes, scenes: list[Scene]) -> None:
    left, top = _heldout_box(plan)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for x, y in _varied_windows(classes, left, top):
        here = (slice(y, y + WINDOW_PX), slice(x, x + WINDOW_PX))
        transform = Affine(1, 0, WEST + x, 0, -1, NORTH - y)
        for kind, bands in (("images", pixels[here].transpose(2, 0, 1)), ("masks", classes[here][None])):
            profile = {"count": len(bands), "height": WINDOW_PX, "width": WINDOW_PX, "dtype": "uint8"}
            path = folder / kind / f"{x:04d}-{y:04d}.tif"
            with rasterio.open(
                path, "w", driver="GTiff", crs=CRS, transform=transform, compress="deflate", **profile
            ) as raster:
                raster.write(bands)
                if kind == "masks":
                    raster.write_colormap(1, {0: (0, 0, 0)} | _colours())
    taken: dict[str, int] = {}
    half = SCENE_PX // 2
    for scene in scenes:
        x, y = int(scene.x) - half, int(scene.y) - half
        inside = left <= x and top <= y and x + SCENE_PX <= plan.side and y + SCENE_PX <= plan.side
        number = taken.get(scene.label, 0)
        if not inside or number >= SCENES_PER_CLASS:
            continue
        taken[scene.label] = number + 1
        path = folder / "scenes" / scene.label / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[y : y + SCENE_PX, x : x + SCENE_PX]).save(path)


def _varied_windows(classes: Bytes, left: int, top: int) -> list[tuple[int, int]]:
    """Choose held-out windows so that rare classes are there too: each next one adds the most that is missing."""
    side = classes.shape[0]
    corners = [
        (x, y)
        for y in range(top, side - WINDOW_PX + 1, WINDOW_PX)
        for x in range(left, side - WINDOW_PX + 1, WINDOW_PX)
    ]
    counts = np.array(
        [
            np.bincount(
                classes[y : y + WINDOW_PX, x : x + WINDOW_PX].ravel(), minlength=len(LAND_CLASSES) + 1
            )[1:]
            for x, y in corners
        ],
        dtype=np.float64,
    )
    have = np.ones(counts.shape[1])
    chosen: list[int] = []
    while len(chosen) < min(WINDOWS, len(corners)):
        gain = np.log1p(counts / have).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        have += counts[chosen[-1]]
    return [corners[index] for index in sorted(chosen)]
