"""The steps of `pairs web`, each done once: words judged by input files, images looked at by partition, copies found.

Nothing here holds the table: rows are judged and decided in stretches, candidates are worked on in partitions,
and both are files of the run folder.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import daft
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from daft import Window, col, lit
from daft.functions import coalesce, first_value, length
from daft.functions import hash as hashed

from geomammut.files import write_json
from geomammut.pairs.run_folder import RunFolder
from geomammut.pairs.web_programs import classified, looked_at
from geomammut.pairs.web_stages.alt_text import MAX_CHARACTERS
from geomammut.pairs.web_stages.image import MAX_PIXELS
from geomammut.pairs.web_stages.records import IMAGE
from geomammut.progress import progress_bar

STRETCH = 2**17  # rows whose words are in memory at a time
WORDS_STEPS = 64  # into which the input files are divided, at most
_FILES_A_STEP = 16  # at least: they are read side by side
_URLS = 2**21  # compared at a time
_ROWS_A_TASK = 512  # of a partition, on a cluster

JUDGED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("url", pa.string()),
        ("alt_text", pa.string()),
        ("keyword", pa.string()),
        ("text_score", pa.float64()),
        ("caption", pa.string()),
        ("language", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
CANDIDATE_SCHEMA = pa.schema([("row", pa.int64()), ("url", pa.string()), ("caption", pa.string()), ("image", IMAGE)])
LOOKED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_pixels", pa.int64()),
        ("fingerprint", pa.binary()),
        ("aerial_probability", pa.float64()),
        ("embedding", pa.binary()),  # see `packed`; null without a classifier
        ("id", pa.string()),
        ("preference", pa.int64()),  # of two copies, that with the smaller is kept
        ("jpeg_offset", pa.int64()),  # in the part's file of images
        ("jpeg_bytes", pa.int64()),
    ]
)
ROWS, IMAGES = "rows.parquet", "images"  # of a part
FOUND_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("duplicate_of", pa.int64()),  # row
    ]
)
# Which rows are dropped for what other rows or other sets hold, in this order.
VERDICTS = ("repeats", "duplicates", "copies", "leaks")


@dataclass(frozen=True)
class Partition:
    """Candidates that are worked on together: `rows` of them, in a `file`, from row `first` to row `last`."""

    number: int
    file: str
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """What the words left to do.

    Attributes:
        rows: Of the input.
        stretches: Numbers of the stretches of STRETCH rows in which there are any, in order.
        partitions: Of the candidates.
    """

    rows: int
    stretches: tuple[int, ...]
    partitions: tuple[Partition, ...]

    @property
    def candidates(self) -> int:
        return sum(partition.rows for partition in self.partitions)


class WebRun:
    """The steps, as far as `run` does not hold them already."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def plan(self, words: Callable[[range], daft.DataFrame], files: int, partition: int) -> Plan:
        """Judge the words of all rows, which become stretches and partitions.

        Args:
            words: Gives the judged rows (JUDGED_SCHEMA, and `image`), in any order, of the input files of some numbers.
            files: How many there are.
            partition: Candidates in a partition, at most.
        """
        a_step = max(_FILES_A_STEP, -(-files // WORDS_STEPS))
        rows, stretches, partitions = 0, list[int](), list[Partition]()
        with progress_bar() as bar:
            task = bar.add_task("reading texts", total=None)
            for start in range(0, files, a_step):
                step = f"words/{start:06d}"
                if not self._run.has(step):
                    judged = words(range(start, min(start + a_step, files)))
                    with self._run.finish(step) as path:
                        _write_words(judged, partition, path)
                read = json.loads((self._run.path / step / "plan.json").read_text(encoding="utf-8"))
                bar.advance(task, read["rows"])
                rows += read["rows"]
                stretches += read["stretches"]
                for each in read["partitions"]:
                    file = str(self._run.path / step / each.pop("file"))
                    partitions.append(Partition(len(partitions), file, **each))
        return Plan(rows, tuple(stretches), tuple(partitions))

    def judged(self, stretch: int) -> pa.Table:
        """Return what the words of a stretch came to (JUDGED_SCHEMA), in the order of the rows."""
        pieces = sorted(self._run.path.glob(f"words/*/stretches/{stretch}/*.parquet"))
        return pa.concat_tables([pq.read_table(piece) for piece in pieces]).sort_by("row")

    def find_repeats(self, plan: Plan) -> None:
        """Drop the rows whose image another row asks for already, in as many passes as memory asks for."""
        if self._run.has(_verdicts("repeats")):
            return
        passes = -(-plan.candidates // _URLS)
        candidates = [each.file for each in plan.partitions]
        tables = []
        for number in range(passes):
            asked = daft.read_parquet(candidates).with_column("source", coalesce(col("image")["file"], col("url")))
            here = asked.where(hashed(col("source")) % lit(passes) == lit(number))
            tables.append(_repeats(here.where(col("source").not_null())).to_arrow())
        self._write_found("repeats", tables, "fetch", "repeated url")

    def look(self, plan: Plan, store: Path, classifier: str | None) -> None:
        """Fetch and judge the images of all partitions; the web's answers are kept in `store`."""
        with progress_bar() as bar:
            task = bar.add_task("fetching images", total=plan.candidates)
            for partition in plan.partitions:
                step = _part(partition.number)
                if not self._run.has(step):
                    looked = looked_at(self._asked(partition), store)
                    if classifier is not None:
                        looked = classified(looked, classifier)
                    with self._run.finish(step) as path:
                        _write_part(looked, path)
                bar.advance(task, partition.rows)

    def _asked(self, partition: Partition) -> daft.DataFrame:
        candidates = daft.read_parquet(partition.file)
        repeats = self.found("repeats", partition.first, partition.last)
        if repeats:
            candidates = candidates.where(~col("row").is_in(repeats["row"].to_pylist()))
        if daft.get_or_infer_runner_type() == "ray":  # else it would be one task
            candidates = candidates.into_partitions(-(-partition.rows // _ROWS_A_TASK))
        return candidates

    def looked(self, partition: Partition) -> pa.Table:
        """Return what became of a partition's rows whose url no other row has (LOOKED_SCHEMA), in their order."""
        return pq.read_table(self._run.path / _part(partition.number) / ROWS)

    def images(self, partition: int) -> Path:
        """Return the file with the images of the partition of that number."""
        return self._run.path / _part(partition) / IMAGES

    def drop(
        self, plan: Plan, step: str, find: Callable[[daft.DataFrame], daft.DataFrame], stage: str, reason: str
    ) -> None:
        """Drop what the Daft program `find` finds among the rows that are left.

        Args:
            plan: See `plan`.
            step: One of VERDICTS.
            find: Takes `row`, `fingerprint`, `embedding` and `preference` (of two copies, that with the smaller is
                kept), and gives `row` and, if it likes, `duplicate_of` and `detail`.
            stage: For the funnel.
            reason: Likewise.
        """
        if self._run.has(_verdicts(step)):
            return
        parts = [str(self._run.path / _part(each.number) / ROWS) for each in plan.partitions]
        if not parts:
            return
        left = daft.read_parquet(parts).where(col("stage").is_null())
        left = left.select("row", "fingerprint", "embedding", "preference")
        for before in VERDICTS[: VERDICTS.index(step)]:
            if self._run.has(_verdicts(before)):
                gone = daft.read_parquet(str(self._run.path / _verdicts(before))).select("row")
                left = left.join(gone, on="row", how="anti")
        self._write_found(step, [find(left).to_arrow()], stage, reason)

    def found(self, step: str, first: int, last: int) -> pa.Table | None:
        """Return which of the rows from `first` to `last` a step dropped (FOUND_SCHEMA); None if it was not taken."""
        if not self._run.has(_verdicts(step)):
            return None
        return pq.read_table(self._run.path / _verdicts(step), filters=[("row", ">=", first), ("row", "<=", last)])

    def _write_found(self, step: str, tables: Sequence[pa.Table], stage: str, reason: str) -> None:
        found = pa.concat_tables([FOUND_SCHEMA.empty_table(), *tables], promote_options="permissive")
        for name, word in (("stage", stage), ("reason", reason)):
            words = pa.array([word] * len(found), pa.string())
            found = found.set_column(found.column_names.index(name), name, words)
        with self._run.finish(_verdicts(step)) as path:
            pq.write_table(_as(found, FOUND_SCHEMA).sort_by("row"), path, row_group_size=STRETCH)


def _part(number: int) -> str:
    return f"parts/{number:06d}"


def _verdicts(step: str) -> str:
    return f"{step}.parquet"


def _write_words(words: daft.DataFrame, partition: int, out: Path) -> None:
    """Write the judged rows by stretch, and those kept by partition."""
    partitions = _PartitionFiles(out, partition)
    stretches = _StretchFiles(out / "stretches")
    for batch in words.to_arrow_iter(results_buffer_size=1):
        table = pa.Table.from_batches([batch])
        stretches.add(_as(table, JUDGED_SCHEMA))
        partitions.add(_as(table.filter(pc.is_null(table["stage"])), CANDIDATE_SCHEMA))
    stretches.close()
    partitions.close()
    write_json(
        out / "plan.json",
        {"rows": stretches.rows, "stretches": sorted(stretches.numbers), "partitions": partitions.written},
    )


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.select(schema.names).cast(schema)


class _StretchFiles:
    """Rows in files by stretch: in whatever order they come, about STRETCH of them in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[pa.Table] = []
        self._files = 0
        self.rows = 0
        self.numbers: set[int] = set()

    def add(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self.rows += len(rows)
        if sum(map(len, self._held)) >= STRETCH:
            self._write()

    def close(self) -> None:
        if self._held:
            self._write()

    def _write(self) -> None:
        rows = pa.concat_tables(self._held)
        self._held = []
        stretch = rows["row"].to_numpy() // STRETCH
        for number in np.unique(stretch).tolist():
            folder = self._folder / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows.filter(stretch == number), folder / f"{self._files:06d}.parquet", compression="zstd")
            self._files += 1
            self.numbers.add(number)


class _PartitionFiles:
    """Candidates in files, so many in each."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._most = folder, rows
        (folder / "partitions").mkdir(parents=True)
        self._held = CANDIDATE_SCHEMA.empty_table()
        self.written: list[dict[str, Any]] = []  # what their `Partition`s say, the file relative to the folder

    def add(self, rows: pa.Table) -> None:
        self._held = pa.concat_tables([self._held, rows])
        while len(self._held) >= self._most:
            self._write(self._held.slice(0, self._most))
            self._held = self._held.slice(self._most)

    def close(self) -> None:
        if len(self._held):
            self._write(self._held)

    def _write(self, rows: pa.Table) -> None:
        rows = rows.sort_by("row")
        file = f"partitions/{len(self.written):06d}.parquet"
        pq.write_table(rows, self._folder / file, compression="zstd")
        first, last = rows["row"][0].as_py(), rows["row"][-1].as_py()
        self.written.append({"file": file, "rows": len(rows), "first": first, "last": last})


def _repeats(candidates: daft.DataFrame) -> daft.DataFrame:
    """Return the rows whose image a better row asks for: one with a longer caption, or as long and earlier."""
    image = [col("image")[name].alias(name) for name in ("folder", "offset")]
    same = Window().partition_by("source", "folder", "offset").order_by("letters", "row", desc=[True, False])
    same = same.rows_between(Window.unbounded_preceding, Window.current_row)
    asked = candidates.select("row", "source", *image, length(col("caption")).alias("letters"))
    ranked = asked.select("row", first_value(col("row")).over(same).alias("duplicate_of"))
    return ranked.where(col("row") != col("duplicate_of"))


def _write_part(looked: daft.DataFrame, out: Path) -> None:
    """Write what became of a partition's rows; their images follow each other in one file."""
    out.mkdir()
    tables: list[pa.Table] = []
    with (out / IMAGES).open("wb") as images:
        for batch in looked.to_arrow_iter(results_buffer_size=1):
            table = pa.Table.from_batches([batch])
            sizes = pc.fill_null(pc.binary_length(table["jpeg"]), 0).to_numpy()
            starts = images.tell() + np.cumsum(sizes) - sizes
            for jpeg in table["jpeg"]:
                if jpeg.is_valid:
                    images.write(jpeg.as_buffer())
            tables.append(
                table.append_column("jpeg_offset", pa.array(starts))
                .append_column("jpeg_bytes", pa.array(sizes))
                .append_column("preference", _preference(table))
            )
    rows = pa.concat_tables(tables) if tables else LOOKED_SCHEMA.empty_table()
    for name in ("aerial_probability", "embedding"):  # without a classifier there are none
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(len(rows), LOOKED_SCHEMA.field(name).type))
    pq.write_table(_as(rows, LOOKED_SCHEMA).sort_by("row"), out / ROWS)


def _preference(looked: pa.Table) -> pa.ChunkedArray:
    """Of two images that are the same, prefer the larger, then the one with the longer caption."""
    smaller = pc.subtract(MAX_PIXELS, looked["original_pixels"])
    shorter = pc.subtract(MAX_CHARACTERS, pc.utf8_length(looked["caption"]).cast(pa.int64()))
    return pc.add(pc.multiply(smaller, MAX_CHARACTERS + 1), shorter)
