"""The steps of a run from a plan of chips and a landmark table to parts with pairs, each done once."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import daft
import numpy as np

from geomammut.imagery.chips import ChipPlan
from geomammut.pairs.join_grid import JoinGrid
from geomammut.pairs.pairing import (
    FoundCell,
    Partition,
    chips_of_cells,
    found,
    joined,
    landmark_chunks,
    partitions_of,
    seen,
    spread_landmarks,
    summarize,
    write_plan,
)
from geomammut.pairs.run_folder import RunFolder

# Landmarks are small beside chips: so many are spread at a time for each chip that is worked on at a time.
_LANDMARKS_A_CHIP = 64


class PairingRun:
    """Chips and landmarks brought together, as far as `run` does not hold it already.

    Attributes:
        partitions: What is worked on at a time, in order.
        planned: Chips that are tried.
        summary: See `MapSummary`.
        plan_file: See `write_plan`.
        pieces: Folders of pieces of landmarks; see `spread_landmarks`.
    """

    def __init__(self, chips: ChipPlan, table: Path, run: RunFolder, *, partition_chips: int, seed: int) -> None:
        self._run, self._seed = run, seed
        # What is sent to every worker: to cut a block takes neither the area nor the points.
        lean = replace(chips.plan, area=None, centres=None)
        self._chips = ChipPlan(lean, resampling=chips.resampling, jpeg_quality=chips.jpeg_quality)
        grid = JoinGrid(chips.plan.step)
        if not run.has("plan.parquet"):
            with run.finish("plan.parquet") as path:
                write_plan(chips.plan, grid, path)
        self.plan_file = run.path / "plan.parquet"
        counts = chips_of_cells(self.plan_file)
        self.planned = sum(counts.values())
        self.partitions = partitions_of(counts, partition_chips)
        self.summary = summarize(table)
        self._rarity = self.summary.rarity
        self.pieces: list[Path] = []
        cells = np.array(list(counts), np.int64)
        for number, row_groups in enumerate(landmark_chunks(table, _LANDMARKS_A_CHIP * partition_chips)):
            step = f"pieces/{number:06d}"
            if not run.has(step):
                with run.finish(step) as path:
                    spread_landmarks(table, row_groups, grid, cells, self.partitions, path)
            self.pieces.append(run.path / step)

    def found(self, partition: Partition) -> daft.DataFrame:
        """Return the program that finds what is visible in a partition's chips and cuts them; see `found`."""
        cells = joined(self.plan_file, self.pieces, partition)
        return found(seen(cells, self._chips.plan, self._rarity), self._chips, self._seed)

    def found_cells(self, partition: Partition) -> list[FoundCell]:
        """Return what the program found, in the order of the cells."""
        cells: list[FoundCell] = self.found(partition).to_pydict()["found"]
        return sorted(cells, key=lambda cell: cell.cell)

    def part(self, partition: Partition) -> Path:
        """Return where a partition's part is, or will be."""
        return self._run.path / _part(partition)

    def is_done(self, partition: Partition) -> bool:
        return self._run.has(_part(partition))

    def finish(self, partition: Partition) -> AbstractContextManager[Path]:
        """Yield the path for a partition's part; see `RunFolder.finish`."""
        return self._run.finish(_part(partition))


def _part(partition: Partition) -> str:
    return f"parts/{partition.number:06d}"
