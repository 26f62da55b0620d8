"""Rows of pixels kept beside an output until all are there, so that a killed run goes on where it was."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geomammut.files import write_json

_PLAN = "plan.json"


class UnfinishedRows:
    """A folder of files that only grow, one for each layer of each block of columns, row after row."""

    def __init__(
        self,
        folder: Path,
        plan: Mapping[str, Any],
        layers: Mapping[str, tuple[str, int]],
        blocks: Sequence[range],
        height: int,
    ) -> None:
        """Open what `folder` holds of the same plan, or begin anew.

        Args:
            folder: Made if it is not there; emptied if it is of another plan.
            plan: What the rows depend on, as JSON.
            layers: Each layer's type and bands.
            blocks: Columns of the image, in order.
            height: Of the image.
        """
        self.folder, self.layers, self.blocks, self.height = folder, layers, blocks, height
        whole = json.loads(json.dumps([plan, layers, [[block.start, block.stop] for block in blocks], height]))
        try:
            known = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = None
        if known != whole:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(folder / _PLAN, whole)

    def done(self, block: range, step: int) -> int:
        """Return how many rows of a block all layers have: all, or a multiple of `step`; what is beyond is cut off."""
        files = [self._file(layer, block) for layer in self.layers]
        for file in files:
            file.touch()
        sizes = [self._row_bytes(layer, block) for layer in self.layers]
        rows = min(file.stat().st_size // size for file, size in zip(files, sizes, strict=True))
        if rows < self.height:
            rows -= rows % step
        for file, size in zip(files, sizes, strict=True):
            with file.open("r+b") as stored:
                stored.truncate(rows * size)
        return rows

    def append(self, block: range, rows: Mapping[str, NDArray[Any]]) -> None:
        """Add rows of every layer, each [bands, rows, columns of the block]."""
        for layer, (dtype, _) in self.layers.items():
            with self._file(layer, block).open("ab") as stored:
                stored.write(rows[layer].astype(dtype, copy=False).swapaxes(0, 1).tobytes())

    def read(self, layer: str, first: int, count: int) -> NDArray[Any]:
        """Return whole rows of a layer, [bands, rows, W]."""
        dtype, bands = self.layers[layer]
        parts = []
        for block in self.blocks:
            with self._file(layer, block).open("rb") as stored:
                stored.seek(first * self._row_bytes(layer, block))
                part = np.fromfile(stored, dtype, count * bands * len(block))
            parts.append(part.reshape(count, bands, len(block)).swapaxes(0, 1))
        return np.concatenate(parts, axis=2)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, layer: str, block: range) -> Path:
        return self.folder / f"{layer}-{block.start}.rows"

    def _row_bytes(self, layer: str, block: range) -> int:
        dtype, bands = self.layers[layer]
        return np.dtype(dtype).itemsize * bands * len(block)
