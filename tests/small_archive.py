"""Rasters of coloured squares and a model that knows colours, for archives that a test can work out."""

import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from torch import Tensor, nn

from fake_model import NAMED, ColourModel

SIDE = 32  # pixels of a chip, a metre each
WEST, NORTH = 32 * 15_625.0, 32 * 175_000.0
COLOURS = ("red", "green", "blue", "yellow")


class Colours(ColourModel):
    """The colour model, with weights to be told by."""

    def __init__(self, name: str = "colours", weight: float = 1.0) -> None:
        self.name, self.weight = name, weight
        self.seen = 0

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield "weight", nn.Parameter(torch.tensor([self.weight]))

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        yield from ()

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        self.seen += len(images)
        return super().encode_image(images)


def write_squares(
    path: Path, columns: int, rows: int, *, east: int = 0, acquired: str | None = None, seed: int = 0
) -> Path:
    """Write a raster of columns × rows squares as large as chips, in COLOURS in turn, starting `east` squares off."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((3, rows * SIDE, columns * SIDE), np.uint8)
    for row, column in np.ndindex(rows, columns):
        colour = np.frombuffer(bytes.fromhex(NAMED[COLOURS[(row * 3 + column) % 4]]), np.uint8).astype(int)
        square = np.clip(colour[:, None, None] * 0.8 + 20 + generator.integers(-12, 12, (1, SIDE, SIDE)), 1, 254)
        pixels[:, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = square
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": columns * SIDE}
    profile |= {"height": rows * SIDE, "crs": "EPSG:32632", "transform": from_origin(WEST + east * SIDE, NORTH, 1, 1)}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(pixels)
        if acquired:
            raster.update_tags(TIFFTAG_DATETIME=acquired)
    return path


def run_and_die(imagery: list[str], out: str, die_at: str) -> None:
    """Index in this process, which kills itself at a moment of its writes: `NAME:N`; anything else lets it live.

    A write has two moments, before it and after it: `add:3` is before the second row of writes by `add`.
    """
    from lancedb.table import LanceTable

    import geomammut.search.index as room
    from geomammut.imagery import grid
    from geomammut.search import embedding

    moments = Counter[str]()

    def moment(name: str) -> None:
        moments[name] += 1
        if f"{name}:{moments[name]}" == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(home: Any, name: str) -> None:
        function = getattr(home, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            moment(name)
            answer = function(*args, **kwargs)
            moment(name)
            return answer

        setattr(home, name, call)

    for name in ("add", "delete", "optimize"):
        watched(LanceTable, name)
    for home, name in ((room, "write_json"), (room, "write_geoparquet"), (room.np, "save")):
        watched(home, name)
    grid._BLOCK_PIXELS = 2 * SIDE  # many small blocks
    room._SECONDS_A_COMMIT = 0.0
    room.load_model = lambda name: Colours(str(name))
    embedding._loaded = lambda name: Colours(str(name))
    room.index(imagery, Path(out), "colours", size=SIDE)


def main() -> None:
    """Fork a process for each of the moments given, so that what loads slowly is loaded once."""
    import geopandas
    import pyproj

    assert geopandas and pyproj
    out, moments, *imagery = sys.argv[1:]
    for die_at in moments.split(","):
        child = os.fork()
        if child == 0:
            try:
                run_and_die(imagery, out, die_at)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(die_at, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
