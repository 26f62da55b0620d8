"""Landmarks paired with chips, 10 thousand to 1 million of each, in this process: time and peak memory.

    .venv/bin/python benchmarks/pairing.py

Chips of 224 pixels at 1 m fill a square; so many landmarks lie on it at random: houses, ponds, roads of
300 m, and forests of 3 km that cover dozens of cells of the join. Each size runs in a process of its own through
the steps of `pairs landmarks` (plan of chips, landmarks spread over cells, the join, what is visible in each
chip, written to Parquet); no imagery is read and no caption written. `--partition` bounds the memory.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE, GSD_M = 224, 1.0
WEST, NORTH = 500_000.0, 5_500_000.0  # of UTM zone 32
CRS = "EPSG:32632"
LANDMARKS_A_WRITE = 100_000


def write_landmarks(path: Path, count: int, side_m: float) -> None:
    """Write a landmark table of random things on the square."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyproj
    import shapely

    from geomammut.landmarks.table import LANDMARK_SCHEMA

    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    kinds = (
        ("house", "house", 12.0, 0.80, 2.0),
        ("pond", "pond", 40.0, 0.10, 5.0),
        ("residential_road", "road", 300.0, 0.099, 3.0),
        ("forest", "forest", 3000.0, 0.001, 50.0),
    )
    generator = np.random.default_rng(0)
    with pq.ParquetWriter(path, LANDMARK_SCHEMA) as writer:
        for start in range(0, count, LANDMARKS_A_WRITE):
            rows = min(LANDMARKS_A_WRITE, count - start)
            kind = generator.choice(len(kinds), rows, p=[share for *_, share, _ in kinds])
            reach = np.array([kind[2] for kind in kinds])[kind] / 2
            x = WEST + generator.random(rows) * side_m
            y = NORTH - generator.random(rows) * side_m
            shapes = shapely.box(x - reach, y - reach, x + reach, y + reach)
            roads = kind == 2
            shapes[roads] = shapely.linestrings(
                np.stack([x - reach, y - reach / 3, x + reach, y + reach / 3], axis=1)[roads].reshape(-1, 2, 2)
            )
            shapes = shapely.transform(shapes, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
            columns = [
                [f"w{start + row}" for row in range(rows)],
                pa.nulls(rows, pa.string()),
                [kinds[each][0] for each in kind],
                [kinds[each][1] for each in kind],
                pa.array([[]] * rows, LANDMARK_SCHEMA.field("tags").type),
                shapely.to_wkb(shapes),
                np.where(roads, 0.0, (2 * reach) ** 2),
                np.array([kind[4] for kind in kinds])[kind],
            ]
            writer.write_table(pa.table(columns, schema=LANDMARK_SCHEMA), row_group_size=LANDMARKS_A_WRITE)


def pair(count: int, partition: int, folder: Path) -> dict[str, float]:
    """Pair `count` chips with `count` landmarks; return seconds a step, what was found, and the peak memory."""
    import daft
    from daft import DataType

    from geomammut.imagery.chips import ChipPlan
    from geomammut.imagery.grid import GridPlan
    from geomammut.imagery.sources import ImagerySource
    from geomammut.pairs.pairing import joined, seen
    from geomammut.pairs.pairing_run import PairingRun
    from geomammut.pairs.run_folder import RunFolder

    across = math.ceil(math.sqrt(count))
    side_m = across * SIZE * GSD_M
    table = folder / "landmarks.parquet"
    write_landmarks(table, count, side_m)
    before_mb = peak_mb()
    bounds = (WEST, NORTH - side_m, WEST + side_m, NORTH)
    source = ImagerySource(name="square", dataset="", crs=CRS, bounds=bounds, gsd_m=GSD_M)
    chips = ChipPlan(GridPlan([source], SIZE, GSD_M), resampling="cubic", jpeg_quality=90)

    row = DataType.struct({"cell": DataType.int64(), "landmarks": DataType.string()})

    @daft.func.batch(return_dtype=DataType.list(row), use_process=False, batch_size=1)
    def rows(cell: daft.Series, found: daft.Series) -> list[list[dict[str, object]]]:
        return [
            [
                {"cell": number, "landmarks": json.dumps(contents.landmarks_json())}
                for block in in_cell.contents
                for contents in block
            ]
            for number, in_cell in zip(cell.to_pylist(), found.to_pylist(), strict=True)
        ]

    started, cpu = time.perf_counter(), time.process_time()
    run = PairingRun(chips, table, RunFolder(folder / "out", {}), partition_chips=partition, seed=0)
    spread = time.perf_counter()
    for part in run.partitions:
        cells = seen(joined(run.plan_file, run.pieces, part), chips.plan, run.summary.rarity)
        found = cells.select(rows(cells["cell"], cells["seen"]).alias("row")).explode("row")
        found.select(daft.col("row").unnest()).write_parquet(str(folder / "parts" / str(part.number)))
    done = time.perf_counter()
    kept = daft.read_parquet(str(folder / "parts" / "*" / "*.parquet")).where(daft.col("landmarks").not_null())
    return {
        "chips": run.planned,
        "partitions": len(run.partitions),
        "plan_and_spread_s": spread - started,
        "pair_s": done - spread,
        "cpu_s": time.process_time() - cpu,
        "with_landmarks": kept.count_rows(),
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--partition", type=int, default=4096)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(pair(options.only, options.partition, Path(folder))))
        return
    print("| landmarks × chips | chips with landmarks | spread | pair | all | CPU time | CPU µs a chip | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    for count in options.counts:
        command = [sys.executable, __file__, "--only", str(count), "--partition", str(options.partition)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        if done.returncode:
            sys.exit(done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        total = result["plan_and_spread_s"] + result["pair_s"]
        print(
            f"| {count:,} × {result['chips']:,} | {result['with_landmarks']:,} | {result['plan_and_spread_s']:.1f} s "
            f"| {result['pair_s']:.1f} s | {total:.1f} s | {result['cpu_s']:.1f} s "
            f"| {1e6 * result['cpu_s'] / result['chips']:.0f} "
            f"| {result['peak_mb']:.0f} MB ({result['before_mb']:.0f} MB before) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
