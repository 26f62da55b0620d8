"""Makes a place: plans it, draws and renders it in bands of rows, and writes its files."""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geomammut.demo.place.camera.camera import Camera
from geomammut.demo.place.camera.textures import make_textures
from geomammut.demo.place.layout import Layout
from geomammut.demo.place.osm_map import write_areas, write_map
from geomammut.demo.place.plan import DISTRICT_M, Plan, make_plan
from geomammut.demo.place.rasters import write_classes, write_mosaic, write_scenes, write_windows
from geomammut.demo.place.sheet import Feature, Scene
from geomammut.demo.place.web import write_web
from geomammut.errors import UserError
from geomammut.files import whole_folder, write_json
from geomammut.progress import track

VERSION = 2
LEAST, MOST = 4, 32  # districts along a side
WEB_SEED = 1_000_003  # the web's pictures come from another place
WEB_COUNT = 8


class _Band(NamedTuple):
    """Some rows of one place, for one process to render into shared files."""

    seed: int
    districts: int  # along a side
    hold_out: bool
    rows: range
    folder: Path
    name: str


class _Rendered(NamedTuple):
    features: list[Feature]
    scenes: list[Scene]


def make_place(out: Path, *, seed: int = 0, side_m: int = 7680) -> Path:
    """Make a place of `side_m` × `side_m` metres in the folder `out`; return `out`.

    Written: mosaic.tif, map.osm.pbf, classes.tif, classes.json, train.geojson, heldout.geojson,
    heldout/{images,masks,scenes}, web/table.csv with its pictures, place.json. The folder appears whole or not
    at all; one that already holds the same place is left as it is. The same seed and side give the same place.
    `side_m` must be a multiple of 480 between 1,920 and 15,360, else a `UserError` is raised.
    """
    out = Path(out)
    count, rest = divmod(side_m, DISTRICT_M)
    if rest or not LEAST <= count <= MOST:
        raise UserError(
            f"side_m={side_m}: the place is a grid of {DISTRICT_M} m districts;"
            f" give a multiple of {DISTRICT_M} from {LEAST * DISTRICT_M} to {MOST * DISTRICT_M}"
        )
    about = {"version": VERSION, "seed": seed, "side_m": side_m, "gsd_m": 1.0}
    if _is_made(out, about):
        return out
    with whole_folder(out) as folder:
        plan = make_plan(seed, count)
        web_count = min(WEB_COUNT, count)
        raw = folder / "raw"
        raw.mkdir()
        bands = _bands(seed, count, True, raw, "place") + _bands(seed + WEB_SEED, web_count, False, raw, "web")
        for name, size in (("place", count), ("web", web_count)):
            _pixels(raw, name, size, "w+")
        rendered = _render(bands)
        place = [part for band, part in zip(bands, rendered, strict=True) if band.name == "place"]
        features = [feature for part in place for feature in part.features]
        scenes = [scene for part in place for scene in part.scenes]
        web_scenes = [s for band, part in zip(bands, rendered, strict=True) if band.name == "web" for s in part.scenes]
        pixels, classes = _pixels(raw, "place", count, "r")
        write_mosaic(folder / "mosaic.tif", pixels)
        write_classes(folder, classes)
        write_map(folder / "map.osm.pbf", plan, features)
        write_areas(folder, plan)
        write_windows(folder / "heldout", plan, pixels, classes)
        write_scenes(folder / "heldout" / "scenes", plan, pixels, scenes)
        web_pixels, _ = _pixels(raw, "web", web_count, "r")
        write_web(folder / "web", web_pixels, web_scenes, seed)
        for file in raw.iterdir():
            file.unlink()
        raw.rmdir()
        write_json(folder / "place.json", about)
    return out


def _is_made(out: Path, about: dict[str, float]) -> bool:
    try:
        return bool(json.loads((out / "place.json").read_text(encoding="utf-8")) == about)
    except (OSError, ValueError):
        return False


def _bands(seed: int, count: int, hold_out: bool, folder: Path, name: str) -> list[_Band]:
    half = count // 2
    return [_Band(seed, count, hold_out, rows, folder, name) for rows in (range(half), range(half, count))]


def _pixels(folder: Path, name: str, count: int, mode: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Open the shared pixel and class files of a place."""
    side = count * DISTRICT_M
    return (
        np.memmap(folder / f"{name}.rgb", np.uint8, mode, shape=(side, side, 3)),  # type: ignore[call-overload]
        np.memmap(folder / f"{name}.class", np.uint8, mode, shape=(side, side)),  # type: ignore[call-overload]
    )


def _render(bands: list[_Band]) -> list[_Rendered]:
    workers = min(2, os.cpu_count() or 1)
    if workers == 1:
        return [_render_band(band) for band in bands]
    # spawn, not fork: the caller may hold threads
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = pool.map(_render_band, bands)
        return list(track(results, "making a place", total=len(bands)))


def _render_band(band: _Band) -> _Rendered:
    plan: Plan = make_plan(band.seed, band.districts, hold_out=band.hold_out)
    layout = Layout(plan)
    camera = Camera(plan, make_textures(band.seed % WEB_SEED))
    pixels, classes = _pixels(band.folder, band.name, band.districts, "r+")
    features: list[Feature] = []
    scenes: list[Scene] = []
    if band.rows.start == 0:
        features += layout.network.sheet.features
        scenes += layout.network.sheet.scenes
    for j in band.rows:
        for i in range(band.districts):
            part = slice(j * DISTRICT_M, (j + 1) * DISTRICT_M), slice(i * DISTRICT_M, (i + 1) * DISTRICT_M)
            pixels[part], classes[part] = camera.tile(i, j, layout.near(i, j))
            if (i, j) in plan.districts:
                sheet = layout.sheet((i, j))
                features += sheet.features
                scenes += sheet.scenes
        layout.forget_above(j)
    return _Rendered(features, scenes)
