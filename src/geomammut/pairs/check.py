"""Verifies a pair set whole: what it says of itself against what is in it."""

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.table import Table

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.pair_set import PairSet
from geomammut.pictures import UNREADABLE, check_size
from geomammut.progress import console, track

_MEMBER = re.compile(r"([0-9a-f]{20})\.(jpg|txt|json)")
_SHARD = re.compile(r"shard-\d{6}\.tar")
_MAX_MEMBER_BYTES = 256 * 2**20
_SHOWN = 3


@dataclass
class _Sample:
    """The members of one sample as they stand in a tar."""

    id: str
    parts: dict[str, bytes] = field(default_factory=dict)
    jpeg_offset: int = -1


class _BrokenError(Exception):
    """One fault, told in a few words."""


def pairs_check(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Verify a pair set and print what is in it.

    Every shard is read as WebDataset readers read it; nothing is unpacked to disk. Checked are: members
    (names, order, no links), images (decodable, of the stated size), ids against content, offsets, captions,
    and `pairs.parquet` against the JSON of every sample.

    Args:
        folder: A pair set.
        seed: Nothing here is drawn by chance.

    Returns:
        {"folder", "pairs", "captions", "shards", "bytes", "sources", "writers", "gsd_m", "sizes",
        "categories", "words_per_caption", "distinct_captions"}.

    Raises:
        UserError: It is no pair set, or it is broken: how many faults, and the first of them.
    """
    del seed
    folder = Path(folder)
    pairs = PairSet(folder)
    faults: list[str] = [f"{name} is missing" for name in ("funnel.json", "card.md") if not (folder / name).is_file()]
    faults += _funnel_faults(folder / "funnel.json")
    rows = {str(row["id"]): row for row in pairs.table.to_pylist()}
    if len(rows) != len(pairs):
        faults.append(f"pairs.parquet repeats {len(pairs) - len(rows)} ids")
    shards = sorted({str(row["shard"]) for row in rows.values()})
    strangers = sorted({path.name for path in folder.glob("*.tar")} - set(shards))
    faults += [f"{name} is not listed in pairs.parquet" for name in strangers]
    found: set[str] = set()
    summary = _Summary()
    for shard in track(shards, "checking shards"):
        if not _SHARD.fullmatch(shard):
            faults.append(f"pairs.parquet names a shard {shard!r}")
            continue
        try:
            for sample in _samples(folder / shard):
                if sample.id in found:
                    faults.append(f"{shard}: {sample.id} occurs twice")
                found.add(sample.id)
                try:
                    _check_sample(sample, rows.get(sample.id), shard)
                except _BrokenError as fault:
                    faults.append(f"{shard}: {sample.id}: {fault}")
        except (_BrokenError, tarfile.TarError, OSError, EOFError) as fault:
            faults.append(f"{shard}: {fault}")
    faults += [f"{row['shard']}: {name} is listed but not there" for name, row in rows.items() if name not in found]
    if faults:
        shown = "; ".join(faults[:_SHOWN])
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise UserError(f"{folder} is broken: {shown}{more}. Make the pair set again")
    for row in rows.values():
        summary.add(row)
    report = {
        "folder": str(folder),
        "pairs": len(rows),
        "shards": len(shards),
        "bytes": sum((folder / shard).stat().st_size for shard in shards),
        **summary.as_json(),
    }
    _print(report)
    return report


def _samples(path: Path) -> Iterator[_Sample]:
    """Yield the samples of a tar; a sample's members stand together, as WebDataset wants them."""
    if not path.is_file():
        raise _BrokenError("file is missing")
    sample: _Sample | None = None
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            match = _MEMBER.fullmatch(member.name)
            # The pattern lets neither "/" nor ".." pass; a link or a device is no regular file.
            if match is None or not member.isreg():
                raise _BrokenError(f"member {member.name!r} is no part of a pair set")
            if member.size > _MAX_MEMBER_BYTES:
                raise _BrokenError(f"member {member.name!r} has {member.size} bytes")
            name, suffix = match.groups()
            if sample is None or sample.id != name:
                if sample is not None:
                    yield sample
                sample = _Sample(name)
            if suffix in sample.parts:
                raise _BrokenError(f"member {member.name!r} occurs twice")
            data = tar.extractfile(member)
            assert data is not None
            sample.parts[suffix] = data.read()
            if len(sample.parts[suffix]) != member.size:
                raise _BrokenError(f"ends in the middle of {member.name!r}")
            if suffix == "jpg":
                sample.jpeg_offset = member.offset_data
    if sample is not None:
        yield sample
    if path.stat().st_size % tarfile.BLOCKSIZE or path.stat().st_size < 2 * tarfile.BLOCKSIZE:
        raise _BrokenError("is cut short")


def _check_sample(sample: _Sample, row: dict[str, Any] | None, shard: str) -> None:
    missing = {"jpg", "txt", "json"} - set(sample.parts)
    if missing:
        raise _BrokenError(f"has no {' and no '.join(sorted(missing))}")
    if row is None:
        raise _BrokenError("is not listed in pairs.parquet")
    try:
        stated = json.loads(sample.parts["json"])
        text = sample.parts["txt"].decode("utf-8")
    except ValueError as error:
        raise _BrokenError("its JSON or text cannot be read") from error
    if not isinstance(stated, dict):
        raise _BrokenError("its JSON is no object")
    jpeg = sample.parts["jpg"]
    if (row["shard"], row["jpeg_offset"], row["jpeg_bytes"]) != (shard, sample.jpeg_offset, len(jpeg)):
        raise _BrokenError("pairs.parquet gives the wrong place of its image")
    for name, value in stated.items():
        listed = json.loads(row[name]) if name in ("provenance", "landmarks", "footprint") else row.get(name)
        if listed != value:
            raise _BrokenError(f"pairs.parquet and its JSON differ in {name}")
    captions = stated.get("captions")
    if not isinstance(captions, list) or not captions or not all(isinstance(c, str) and c.strip() for c in captions):
        raise _BrokenError("has an empty caption, or none")
    if text != captions[0]:
        raise _BrokenError("its text is not its first caption")
    if sample.id not in _ids_of(jpeg, stated) or stated.get("id") != sample.id:
        raise _BrokenError("its id is not that of its content")
    size = _decoded_size(jpeg)
    if size != (stated.get("width"), stated.get("height")):
        raise _BrokenError(
            f"its image has {size[0]} × {size[1]} pixels, not {stated.get('width')} × {stated.get('height')}"
        )


def _ids_of(jpeg: bytes, stated: dict[str, Any]) -> set[str]:
    """Return the id that the content has, by the rule of its source."""
    match stated.get("source"):
        case "landmarks":
            return {content_id(jpeg, json.dumps(stated.get("footprint"), sort_keys=True))}
        case "benchmark":
            return {content_id(jpeg, str((stated.get("provenance") or {}).get("filename")))}
        case "web":
            return {content_id(jpeg, stated["captions"][0])}
    raise _BrokenError(f"has an unknown source {stated.get('source')!r}")


def _decoded_size(jpeg: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            check_size(image)
            image.load()
            return image.size
    except UNREADABLE as error:
        raise _BrokenError(f"its image cannot be decoded ({error})") from error


def _funnel_faults(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return [
            f"funnel.json does not add up in the step {step['step']!r}"
            for step in steps
            if step["in"] != step["out"] + sum(step["dropped"].values())
        ]
    except (ValueError, KeyError, TypeError):
        return ["funnel.json cannot be read"]


class _Summary:
    """Counts over the pairs of a set."""

    def __init__(self) -> None:
        self.captions = self.words = 0
        self.distinct: set[str] = set()
        self.sources: Counter[str] = Counter()
        self.writers: Counter[str] = Counter()
        self.gsd_m: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()  # pairs that show one

    def add(self, row: dict[str, Any]) -> None:
        self.captions += len(row["captions"])
        self.words += sum(len(caption.split()) for caption in row["captions"])
        self.distinct.update(row["captions"])
        self.sources[row["source"]] += 1
        self.writers[str(json.loads(row["provenance"]).get("writer"))] += 1
        self.gsd_m["unknown" if row["gsd_m"] is None else f"{row['gsd_m']:g}"] += 1
        self.sizes[f"{row['width']}×{row['height']}"] += 1
        self.categories.update({entry["category"] for entry in json.loads(row["landmarks"])})

    def as_json(self) -> dict[str, Any]:
        return {
            "captions": self.captions,
            "distinct_captions": len(self.distinct),
            "words_per_caption": round(self.words / max(self.captions, 1), 2),
            "sources": dict(self.sources.most_common()),
            "writers": dict(self.writers.most_common()),
            "gsd_m": dict(self.gsd_m.most_common()),
            "sizes": dict(self.sizes.most_common()),
            "categories": dict(self.categories.most_common()),
        }


def _print(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['folder']}: whole", show_header=False)
    for name, value in report.items():
        if isinstance(value, dict):
            first = ", ".join(f"{key} {count:,}" for key, count in list(value.items())[:10])
            table.add_row(name, first + (f", … ({len(value)} in all)" if len(value) > 10 else ""))
        elif name != "folder":
            table.add_row(name, f"{value:,}")
    console.print(table)
