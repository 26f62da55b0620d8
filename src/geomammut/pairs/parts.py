"""The pairs of one partition as a part on disk: a row a pair, and one for each reason why chips were lost."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import daft
import pyarrow as pa
import pyarrow.parquet as pq
from daft import DataType

from geomammut.pairs import grounding
from geomammut.pairs.grounding import Lexicon
from geomammut.pairs.pair_set import Pair
from geomammut.pairs.pairing import FoundCell, FoundChip
from geomammut.pairs.writers.captioning import Captions, by_writer
from geomammut.pairs.writers.writer import CaptionWriter

UNCAPTIONED = "no caption passed the check"
_SCHEMA = pa.schema(
    [
        ("cell", pa.int64()),
        ("place", pa.int64()),  # among the cell's rows
        ("chips", pa.int64()),  # 1 for a pair
        ("lost", pa.string()),  # why; null for a pair
        ("captions", pa.string()),  # `Captions.counts`, JSON
        ("jpeg", pa.large_binary()),
        ("pair", pa.string()),  # `Pair.sample_json`, JSON
    ]
)


def write_part(found: daft.DataFrame, writer: CaptionWriter, lexicon: Lexicon, out: Path) -> None:
    """Caption what was found, wherever it is, and write the part `out`, a folder."""
    row = DataType.struct({name: DataType.from_arrow_type(_SCHEMA.field(name).type) for name in _SCHEMA.names})

    @daft.func.batch(return_dtype=DataType.list(row), use_process=False, batch_size=1)
    def caption(found: daft.Series) -> list[list[dict[str, Any]]]:
        return [
            part_rows(cell, [captions for _, captions in writer.captions(cell.chips, lexicon)], writer)
            for cell in found.to_pylist()
        ]

    rows = found.select(caption(found["found"]).alias("row")).explode("row").select(daft.col("row").unnest())
    rows.write_parquet(str(out), compression="zstd")


def write_rows(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Write a part whose captions were written here."""
    out.mkdir()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMA), out / "rows.parquet", compression="zstd")


def part_rows(cell: FoundCell, captions: Sequence[Captions], writer: CaptionWriter) -> list[dict[str, Any]]:
    """Return the rows of one cell, given the captions of its chips."""
    rows: list[dict[str, Any]] = []
    for chip, written in zip(cell.chips, captions, strict=True):
        counts = json.dumps([[*key, count] for key, count in sorted(written.counts.items())])
        row: dict[str, Any] = {"chips": 1, "lost": None, "captions": counts, "jpeg": None, "pair": None}
        if written.texts:
            pair = _pair(chip, written, writer)
            row |= {"jpeg": pair.jpeg, "pair": json.dumps(pair.sample_json(), ensure_ascii=False)}
        else:
            row["lost"] = UNCAPTIONED
        rows.append(row)
    rows += [
        {"chips": count, "lost": reason, "captions": "[]", "jpeg": None, "pair": None}
        for reason, count in sorted(cell.lost.items())
    ]
    return [{"cell": cell.cell, "place": place, **row} for place, row in enumerate(rows)]


def _pair(chip: FoundChip, captions: Captions, writer: CaptionWriter) -> Pair:
    return Pair(
        id=chip.id,
        captions=captions.texts,
        jpeg=chip.jpeg,
        width=chip.contents.width,
        height=chip.contents.height,
        source="landmarks",
        provenance={
            "writer": writer.name,
            "model": writer.model,
            "prompt_version": writer.prompt_version,
            "imagery": chip.imagery,
            "caption_writers": list(captions.writers),
            "verification": {"check": grounding.VERSION, "by_writer": by_writer(captions.counts)},
        },
        landmarks=chip.contents.landmarks_json(),
        footprint=dict(chip.footprint),
        crs=chip.crs,
        gsd_m=chip.gsd_m,
        acquired=chip.acquired,
    )


@dataclass
class Tally:
    """What the parts read so far hold.

    Attributes:
        pairs: With a caption.
        landmarks: Recorded with them.
        lost: Reason → chips.
        writing: See `Captions.counts`.
    """

    pairs: int = 0
    landmarks: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    writing: Counter[tuple[str, str]] = field(default_factory=Counter)


def read_parts(parts: Sequence[Path], tally: Tally) -> Iterator[Pair]:
    """Yield the pairs of the parts in their order, one part in memory at a time."""
    for part in parts:
        for row in daft.read_parquet(str(part / "*.parquet")).sort(["cell", "place"]).iter_rows():
            for writer, what, count in json.loads(row["captions"]):
                tally.writing[writer, what] += count
            if row["lost"] is not None:
                tally.lost[row["lost"]] += row["chips"]
                continue
            stored = json.loads(row["pair"])
            tally.pairs += 1
            tally.landmarks += len(stored["landmarks"])
            stored |= {name: tuple(stored[name]) for name in ("captions", "landmarks")}
            yield Pair(jpeg=row["jpeg"], **stored)
