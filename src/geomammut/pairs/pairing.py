"""Chips and landmarks joined: Daft programs over partitions, in this process or on Ray.

Both sides carry the number of a cell of the join grid: a chip that of its centre, a landmark those of all cells
that it comes near (`spread_landmarks`). An equi-join on that number brings together what can meet (`paired`); in a
cell an R-tree finds what is visible in which chip. A chip lies in one cell, so that it meets a landmark once.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import daft
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine
from daft import DataType
from daft.functions import list_agg, to_struct
from numpy.typing import NDArray

from geomammut.files import content_id
from geomammut.imagery.chips import Chip, ChipPlan
from geomammut.imagery.grid import ChipBlock, GridPlan
from geomammut.imagery.outlines import transformer
from geomammut.pairs import english
from geomammut.pairs.daft_runner import steadily
from geomammut.pairs.join_grid import JoinGrid
from geomammut.pairs.visible import ChipContents, Frame, LandmarkIndex, extents_m, rarity_of

UNSEEN = "no visible landmark"
_LANDMARK = ("landmark_id", "name", "category", "phrase", "area_m2", "min_visible_gsd_m")
_BATCH = 20_000  # landmarks spread at a time
_PLAN_ROWS = 512  # parts of blocks in a row group of the plan: a partition reads those that hold its cells

PLAN_SCHEMA = pa.schema(
    [
        ("cell", pa.int64()),
        ("block", pa.int64()),  # its number in the plan
        ("chips", pa.int64()),
        ("crs", pa.string()),
        ("corners", pa.list_(pa.int64())),  # of `ChipBlock`, flattened
        ("sources", pa.list_(pa.int64())),
        ("covers", pa.list_(pa.bool_())),
    ]
)


@dataclass(frozen=True)
class Partition:
    """The join cells `first` to `last`, which hold `chips` chips: what one program works on."""

    number: int
    first: int
    last: int
    chips: int


@dataclass(frozen=True)
class SeenCell:
    """What is visible in one join cell: blocks of those of its chips that show something, and what each shows."""

    blocks: tuple[ChipBlock, ...]
    contents: tuple[tuple[ChipContents, ...], ...]
    chips: int  # of the cell, all


@dataclass(frozen=True)
class FoundChip:
    """A chip in which landmarks are visible, encoded.

    Attributes:
        id: Content hash of the JPEG and the footprint.
        jpeg: The encoded picture.
        imagery: Name of the source it was cut from.
        footprint: GeoJSON, EPSG:4326: a polygon, or two where the chip runs across ±180°.
        crs, gsd_m, acquired: See `Chip`.
        contents: What is visible.
        phrasing: Picks among the template writer's phrasings: the id and the run's seed.
    """

    id: str
    jpeg: bytes
    imagery: str
    footprint: Mapping[str, Any]
    crs: str
    gsd_m: float
    acquired: str | None
    contents: ChipContents
    phrasing: str


@dataclass(frozen=True)
class FoundCell:
    """What one join cell's chips came to: those with visible landmarks, and how many were lost why."""

    cell: int
    chips: tuple[FoundChip, ...]
    lost: Mapping[str, int]


def write_plan(plan: GridPlan, grid: JoinGrid, path: Path) -> None:
    """Write where the chips lie: a row for the chips of a block in one cell."""
    with pq.ParquetWriter(path, PLAN_SCHEMA) as writer:
        rows: list[dict[str, Any]] = []
        for number, block in enumerate(plan):
            centre = (block.corners + np.array([0.5, -0.5]) * plan.size) * plan.gsd_m
            lon, lat = transformer(block.crs, "EPSG:4326").transform(centre[:, 0], centre[:, 1])
            cells = grid.cells_of(np.asarray(lon), np.asarray(lat))
            for cell in np.unique(cells).tolist():
                here = cells == cell
                rows.append(
                    {
                        "cell": cell,
                        "block": number,
                        "chips": int(here.sum()),
                        "crs": block.crs,
                        "corners": block.corners[here].ravel(),
                        "sources": block.sources,
                        "covers": block.covers[here].ravel(),
                    }
                )
            if len(rows) >= _PLAN_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA))


def chips_of_cells(plan_file: Path) -> dict[int, int]:
    """Return how many chips each cell holds, in the order of the cells."""
    counted = daft.read_parquet(str(plan_file)).groupby("cell").agg(daft.col("chips").sum()).to_pydict()
    return dict(sorted(zip(counted["cell"], counted["chips"], strict=True)))


def partitions_of(counts: Mapping[int, int], chips: int) -> list[Partition]:
    """Divide the cells, in their order, into partitions of about `chips` chips (a cell is never divided)."""
    found: list[Partition] = []
    cells: list[int] = []
    held = 0
    for cell, count in counts.items():
        if cells and held + count > chips:
            found.append(Partition(len(found), cells[0], cells[-1], held))
            cells, held = [], 0
        cells.append(cell)
        held += count
    found.append(Partition(len(found), cells[0], cells[-1], held))
    return found


def landmark_chunks(table: Path, rows: int) -> list[list[int]]:
    """Divide a landmark table's row groups into runs of about `rows` rows, at least one row group each."""
    metadata = pq.ParquetFile(table).metadata
    chunks: list[list[int]] = []
    held = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if not chunks or held + count > rows:
            chunks.append([])
            held = 0
        chunks[-1].append(group)
        held += count
    return chunks


def spread_landmarks(
    table: Path,
    row_groups: Sequence[int],
    grid: JoinGrid,
    cells: NDArray[np.int64],
    partitions: Sequence[Partition],
    out: Path,
) -> None:
    """Write, for each landmark and each of `cells` that it comes near, what of it lies there; a folder a partition."""
    firsts = np.array([partition.first for partition in partitions])
    piece = {"cell": DataType.int64(), "partition": DataType.int64(), "geometry": DataType.binary()}
    spread = DataType.struct({"extent_m": DataType.float64(), "piece": DataType.list(DataType.struct(piece))})

    @daft.func.batch(return_dtype=spread, unnest=True, use_process=False, batch_size=_BATCH)
    def cover(geometry: daft.Series, area_m2: daft.Series) -> pa.Array:
        whole = shapely.from_wkb(geometry.to_arrow().to_numpy(zero_copy_only=False))
        index, cell, parts = grid.cover(whole, cells)
        pieces = pa.StructArray.from_arrays(
            [
                pa.array(cell),
                pa.array(np.searchsorted(firsts, cell, side="right") - 1),
                pa.array(shapely.to_wkb(parts), pa.large_binary()),
            ],
            names=list(piece),
        )
        starts = np.searchsorted(index, np.arange(len(whole) + 1))
        extents = extents_m(whole, area_m2.to_arrow().to_numpy())
        return pa.StructArray.from_arrays(
            [pa.array(extents), pa.LargeListArray.from_arrays(pa.array(starts), pieces)], names=["extent_m", "piece"]
        )

    landmarks = daft.read_parquet([str(table)], row_groups=[list(row_groups)])
    pieces = landmarks.select(*_LANDMARK, cover(landmarks["geometry"], landmarks["area_m2"]))
    pieces = pieces.explode("piece").where(daft.col("piece").not_null())
    pieces = pieces.select(*_LANDMARK, "extent_m", daft.col("piece").unnest())
    out.mkdir()  # also where nothing comes near
    pieces.write_parquet(str(out), compression="zstd", partition_cols=["partition"])


@dataclass(frozen=True)
class MapSummary:
    """What each chip must know of all landmarks: how many there are of each category, and what they are called."""

    counts: Mapping[str, int]
    phrases: Sequence[tuple[str, str]]

    @property
    def landmarks(self) -> int:
        return sum(self.counts.values())

    @property
    def rarity(self) -> dict[str, float]:
        return rarity_of(self.counts)


def summarize(table: Path) -> MapSummary:
    """Return the summary of a landmark table."""
    landmarks = daft.read_parquet(str(table)).select("category", "phrase")
    rows = landmarks.groupby("category", "phrase").agg(daft.col("phrase").count().alias("landmarks")).to_pylist()
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["category"]] += row["landmarks"]
    phrases = {(row["category"], english.bare(row["phrase"])) for row in rows}
    return MapSummary(dict(sorted(counts.items())), sorted(phrases))


def joined(plan_file: Path, pieces: Sequence[Path], partition: Partition) -> daft.DataFrame:
    """Return, for each cell of a partition, its `blocks` of chips and the `landmarks` near it (null for none)."""
    inside = daft.col("cell").between(partition.first, partition.last)
    chips = daft.read_parquet(str(plan_file)).where(inside)
    columns = [name for name in PLAN_SCHEMA.names if name not in ("cell", "chips")]
    chips = (
        chips.select("cell", to_struct(*map(daft.col, columns)).alias("blocks"))
        .groupby("cell")
        .agg(list_agg(daft.col("blocks")))
    )
    here = [str(folder / f"partition={partition.number}" / "*.parquet") for folder in pieces]
    here = [glob for glob in here if Path(glob).parent.exists()]
    if not here:
        return chips.with_column("landmarks", daft.lit(None))
    near = daft.read_parquet(here)
    near = near.select("cell", to_struct(*map(daft.col, (*_LANDMARK, "extent_m", "geometry"))).alias("landmarks"))
    near = near.groupby("cell").agg(list_agg(daft.col("landmarks")))
    return chips.join(near, on="cell", how="left")


def seen(cells: daft.DataFrame, plan: GridPlan, rarity: Mapping[str, float]) -> daft.DataFrame:
    """Add to each cell what is visible in its chips: a `SeenCell` in the column `seen`."""
    size, gsd_m = plan.size, plan.gsd_m

    @daft.func.batch(return_dtype=DataType.python(), use_process=False, batch_size=1)
    def see(blocks: daft.Series, landmarks: daft.Series) -> daft.Series:
        near = landmarks.to_arrow()
        return _objects(
            steadily(see_chips, parts, _table(near[row]), size=size, gsd_m=gsd_m, rarity=rarity)
            for row, parts in enumerate(blocks.to_pylist())
        )

    return cells.select("cell", see(cells["blocks"], cells["landmarks"]).alias("seen"))


def see_chips(
    blocks: Sequence[Mapping[str, Any]],
    near: pandas.DataFrame | None,
    *,
    size: int,
    gsd_m: float,
    rarity: Mapping[str, float],
) -> SeenCell:
    """Return what is visible in the chips of one cell, given the landmarks near it (None for none)."""
    blocks = sorted(blocks, key=lambda block: int(block["block"]))
    chips = sum(len(block["corners"]) // 2 for block in blocks)
    if near is None:
        return SeenCell((), (), chips)
    index = LandmarkIndex(near, rarity)
    kept: list[ChipBlock] = []
    contents: list[tuple[ChipContents, ...]] = []
    for block in blocks:
        corners = np.array(block["corners"], np.int64).reshape(-1, 2)
        found = index.contents_of([frame_at(block["crs"], corner, size, gsd_m) for corner in corners.tolist()])
        full = np.array([bool(content.kinds) for content in found])
        if full.any():
            covers = np.array(block["covers"], bool).reshape(len(corners), -1)
            kept.append(ChipBlock(block["crs"], corners[full], tuple(block["sources"]), covers[full]))
            contents.append(tuple(content for content in found if content.kinds))
    return SeenCell(tuple(kept), tuple(contents), chips)


def frame_at(crs: str, corner: Sequence[int], size: int, gsd_m: float) -> Frame:
    """Return the frame of the chip whose upper left corner is given in whole pixels of `crs`."""
    x, y = corner
    return Frame(crs, Affine(gsd_m, 0, x * gsd_m, 0, -gsd_m, y * gsd_m), gsd_m, size)


def _table(near: pa.Scalar) -> pandas.DataFrame | None:
    """Return the landmarks near one cell as a table, in the order of their ids."""
    if not near.is_valid:
        return None
    table: pandas.DataFrame = pa.Table.from_struct_array(near.values).to_pandas()
    table = table.sort_values(["landmark_id", "geometry"], ignore_index=True)
    table["geometry"] = shapely.from_wkb(table["geometry"].to_numpy(dtype=object))
    return table


def found(cells: daft.DataFrame, chips: ChipPlan, seed: int) -> daft.DataFrame:
    """Cut the chips in which landmarks are visible: a `FoundCell` in the column `found`."""

    @daft.func.batch(return_dtype=DataType.python(), use_process=False, batch_size=1)
    def find(cell: daft.Series, seen: daft.Series) -> daft.Series:
        rows = zip(cell.to_pylist(), seen.to_pylist(), strict=True)
        return _objects(steadily(cut_chips, number, in_cell, chips, seed) for number, in_cell in rows)

    return cells.select("cell", find(cells["cell"], cells["seen"]).alias("found"))


def _objects(values: Iterable[object]) -> daft.Series:
    # Left to guess the type, Daft loads torch to see whether they are tensors: seconds for each process.
    return daft.Series.from_pylist(list(values), dtype=DataType.python())


def cut_chips(cell: int, in_cell: SeenCell, chips: ChipPlan, seed: int) -> FoundCell:
    kept: list[FoundChip] = []
    lost: Counter[str] = Counter()
    unseen = in_cell.chips - sum(len(contents) for contents in in_cell.contents)
    if unseen:
        lost[UNSEEN] = unseen
    for block, contents in zip(in_cell.blocks, in_cell.contents, strict=True):
        for chip, visible in zip(chips.read(block), contents, strict=True):
            if isinstance(chip, str):
                lost[chip] += 1
            else:
                kept.append(_found(chip, visible, seed))
    return FoundCell(cell, tuple(kept), lost)


def _found(chip: Chip, contents: ChipContents, seed: int) -> FoundChip:
    footprint = json.loads(shapely.to_geojson(chip.footprint))
    chip_id = content_id(chip.jpeg, json.dumps(footprint, sort_keys=True))
    return FoundChip(
        id=chip_id,
        jpeg=chip.jpeg,
        imagery=chip.source,
        footprint=footprint,
        crs=chip.crs,
        gsd_m=chip.gsd_m,
        acquired=chip.acquired,
        contents=contents,
        phrasing=content_id(chip_id, str(seed)),
    )
