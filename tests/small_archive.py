"""Rasters of coloured squares and a model that knows colours, for archives that a test can work out."""

import builtins
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from lancedb.table import LanceTable
from rasterio.transform import from_origin
from torch import Tensor, nn

import geomammut.search.index as index_room
from fake_model import NAMED, ColourModel
from geomammut.imagery import grid
from geomammut.search import archive as archive_room
from geomammut.search import embedding as embedding_room

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


def watch_writes(patch: Any, moment: Callable[[str], None]) -> None:
    """Let `moment` be told after each write of `geomammut index` what it was, each block of chips a write of its own.

    Args:
        patch: pytest's `monkeypatch`, or what has its `setattr`.
        moment: Told "add", "delete", "optimize" (of a table), "write_json", "write_geoparquet" or "save".
    """
    for home, name in (
        *((LanceTable, name) for name in ("add", "delete", "optimize")),
        *((index_room, name) for name in ("write_json", "write_geoparquet")),
        (index_room.np, "save"),
    ):
        patch.setattr(home, name, _told(getattr(home, name), partial(moment, name)))
    patch.setattr(index_room, "_SECONDS_A_COMMIT", 0.0)


def _told(function: Callable[..., Any], moment: Callable[[], None]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        moment()
        return answer

    return call


def let_any_name_load(patch: Any, model: Colours) -> None:
    """Let `model` be what any name of a model stands for, and blocks of chips be small."""
    for room, name in ((index_room, "load_model"), (archive_room, "load_model"), (embedding_room, "_loaded")):
        patch.setattr(room, name, lambda *_: model)
    patch.setattr(grid, "_BLOCK_PIXELS", 4 * SIDE)


def main() -> None:
    """Index in this process, which kills itself (-9) after so many writes."""
    out, after, *imagery = sys.argv[1:]
    writes = count(1)

    def moment(_: str) -> None:
        if next(writes) == int(after):
            os.kill(os.getpid(), signal.SIGKILL)

    let_any_name_load(builtins, Colours())
    watch_writes(builtins, moment)
    index_room.index(imagery, Path(out), "colours", size=SIDE)


if __name__ == "__main__":
    main()
