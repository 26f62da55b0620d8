"""A pair set: a folder of WebDataset shards with their metadata, funnel and card (DESIGN §4)."""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.files import whole_folder, write_json
from geomammut.pairs.remote_files import is_address, open_file
from geomammut.pairs.shard_cache import ShardCache
from geomammut.pictures import open_picture

Source = Literal["landmarks", "web", "benchmark"]

SHARDS_KEPT = 64  # on this machine, of a pair set at an address
_METADATA_ROWS = 10_000  # in memory, and in a row group of pairs.parquet

METADATA_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("source", pa.string()),
        ("provenance", pa.string()),  # JSON
        ("landmarks", pa.string()),  # JSON
        ("url", pa.string()),
        ("footprint", pa.string()),  # GeoJSON geometry, EPSG:4326
        ("crs", pa.string()),
        ("gsd_m", pa.float64()),
        ("acquired", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("shard", pa.string()),
        ("jpeg_offset", pa.int64()),  # of the JPEG's first byte in its shard
        ("jpeg_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Pair:
    """One image with its captions.

    `jpeg` holds the encoded image; `landmarks` what `pairs landmarks` found visible in it; `footprint`
    a GeoJSON geometry in EPSG:4326; `gsd_m` metres per pixel; `acquired` ISO 8601.
    """

    id: str
    captions: tuple[str, ...]
    jpeg: bytes
    width: int
    height: int
    source: Source
    provenance: dict[str, Any] = field(default_factory=dict)
    landmarks: tuple[dict[str, Any], ...] = ()
    url: str | None = None
    footprint: dict[str, Any] | None = None
    crs: str | None = None
    gsd_m: float | None = None
    acquired: str | None = None

    def sample_json(self) -> dict[str, Any]:
        """Return everything but the pixels, as stored in `<id>.json`."""
        return {column.name: getattr(self, column.name) for column in fields(self) if column.name != "jpeg"}


@dataclass
class Funnel:
    """How many records went into and out of each step, and why the others were dropped."""

    steps: list[dict[str, Any]] = field(default_factory=list)

    def step(self, name: str, went_in: int, went_out: int, dropped: dict[str, int] | None = None) -> None:
        """Record one step; `dropped` maps a reason to a count and must account for the difference."""
        self.steps.append({"step": name, "in": went_in, "out": went_out, "dropped": dropped or {}})

    def as_json(self) -> dict[str, Any]:
        return {"steps": self.steps}


def write_pair_set(out: Path, pairs: Iterable[Pair], *, funnel: Funnel, card: str, shard_size: int = 1000) -> Path:
    """Write `pairs` to the folder `out`, whole or not at all, and return it.

    Pairs whose id was written already are dropped and counted in the funnel's last step ("write").
    The bytes depend on the pairs alone: tar members carry no time and no owner.

    Args:
        out: Folder of the pair set; an older one is replaced when the new one is whole.
        pairs: The pairs in their final order.
        funnel: Steps taken so far; may still grow while `pairs` is drawn. "write" is added at the end.
        card: Markdown text of `card.md`: what the set is, its sources, licences, how it was made.
        shard_size: Pairs per tar shard.

    Raises:
        UserError: No pair is left to write.
    """
    with whole_folder(out) as folder, ExitStack() as stack:
        rows: list[dict[str, Any]] = []
        seen: set[str] = set()
        duplicates = 0
        tar: tarfile.TarFile | None = None
        metadata = stack.enter_context(pq.ParquetWriter(folder / "pairs.parquet", METADATA_SCHEMA))

        def flush() -> None:
            metadata.write_table(pa.Table.from_pylist(rows, schema=METADATA_SCHEMA))
            rows.clear()

        for pair in pairs:
            if pair.id in seen:
                duplicates += 1
                continue
            if len(seen) % shard_size == 0:
                if tar is not None:
                    tar.close()
                shard = f"shard-{len(seen) // shard_size:06d}.tar"
                tar = tarfile.open(folder / shard, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed below)
            assert tar is not None
            rows.append(_write_sample(tar, shard, pair))
            seen.add(pair.id)
            if len(rows) == _METADATA_ROWS:
                flush()
        if tar is not None:
            tar.close()
        funnel.step("write", len(seen) + duplicates, len(seen), {"duplicate id": duplicates} if duplicates else {})
        if not seen:
            raise UserError(f"no pair is left for {out}: {_last_losses(funnel)}")
        flush()
        metadata.close()
        write_json(folder / "funnel.json", funnel.as_json())
        (folder / "card.md").write_text(card.rstrip() + "\n", encoding="utf-8")
    return Path(out)


def _write_sample(tar: tarfile.TarFile, shard: str, pair: Pair) -> dict[str, Any]:
    sample = pair.sample_json()
    offset = _add_member(tar, f"{pair.id}.jpg", pair.jpeg)
    _add_member(tar, f"{pair.id}.txt", pair.captions[0].encode("utf-8"))
    _add_member(tar, f"{pair.id}.json", json.dumps(sample, ensure_ascii=False, sort_keys=True).encode("utf-8"))
    row = dict(sample, shard=shard, jpeg_offset=offset, jpeg_bytes=len(pair.jpeg))
    for column in ("provenance", "landmarks", "footprint"):
        row[column] = json.dumps(row[column], ensure_ascii=False, sort_keys=True)
    return row


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    header_at = tar.offset
    tar.addfile(member, io.BytesIO(data))
    return header_at + tarfile.BLOCKSIZE


def _last_losses(funnel: Funnel) -> str:
    losses = [
        f"{step['step']} kept {step['out']} of {step['in']}"
        + "".join(f", {count} {reason}" for reason, count in step["dropped"].items())
        for step in funnel.steps
    ]
    return "; ".join(losses) or "no step was taken"


class PairSet:
    """A pair set, read by index: a folder, or its address (http, https, s3, gs, az).

    Of one at an address, a shard is copied here when it is first read, and the latest SHARDS_KEPT stay.

    Attributes:
        folder: Its folder; of one at an address, where its shards are copied to.
        table: `pairs.parquet` (see METADATA_SCHEMA), one row a pair.
        is_remote: Whether it stands at an address.
    """

    def __init__(self, folder: str | Path) -> None:
        self.is_remote = is_address(str(folder))
        self._cache = ShardCache(str(folder), SHARDS_KEPT) if self.is_remote else None
        self.folder = self._cache.folder if self._cache else Path(folder)
        metadata = f"{str(folder).rstrip('/')}/pairs.parquet"
        if not self.is_remote and not Path(metadata).is_file():
            raise UserError(f"{folder} is no pair set: pairs.parquet is missing; make one with `geomammut pairs`")
        try:
            with open_file(metadata) as file:
                self.table = pq.read_table(file)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{metadata} cannot be read ({error}); make the pair set again") from error
        missing = set(METADATA_SCHEMA.names) - set(self.table.column_names)
        if missing:
            raise UserError(f"{metadata} lacks the columns {', '.join(sorted(missing))}; make the pair set again")
        outside = [name for name in self.table["shard"].unique().to_pylist() if Path(name).name != name]
        if outside:
            raise UserError(f"{metadata} names a shard outside its folder, {outside[0]!r}; do not use it")
        self._shards = self.table["shard"].to_pylist()
        self._offsets = self.table["jpeg_offset"].to_numpy()
        self._sizes = self.table["jpeg_bytes"].to_numpy()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> list[str]:
        return list(self.table["id"].to_pylist())

    @property
    def captions(self) -> list[list[str]]:
        """All captions, a list a pair."""
        return list(self.table["captions"].to_pylist())

    @property
    def landmarks(self) -> list[list[dict[str, Any]]]:
        """The visible landmarks, a list a pair (empty where none were recorded)."""
        return [json.loads(text) if text else [] for text in self.table["landmarks"].to_pylist()]

    def captions_of(self, index: int) -> list[str]:
        """Return the captions of one pair; many pairs as Python lists would take five times the table's memory."""
        return list(self.table["captions"][index].as_py())

    def landmarks_of(self, index: int) -> list[dict[str, Any]]:
        """Return the visible landmarks of one pair."""
        text = self.table["landmarks"][index].as_py()
        return list(json.loads(text)) if text else []

    def read_jpegs(self, indices: Sequence[int]) -> list[bytes]:
        """Return the encoded images at `indices`, in their order."""
        images = []
        for index in indices:
            shard, offset, size = self._shards[index], int(self._offsets[index]), int(self._sizes[index])
            if self._cache is not None:
                images.append(self._cache.read(shard, offset, size))
                continue
            with (self.folder / shard).open("rb") as file:
                file.seek(offset)
                images.append(file.read(size))
        return images

    def rows_by_shard(self) -> list[NDArray[np.int64]]:
        """Return the rows of each shard, shards in the order of their first row."""
        shards = self.table["shard"].combine_chunks().dictionary_encode().indices.to_numpy()
        order = np.argsort(shards, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(shards[order])) + 1)

    def read_picture(self, index: int) -> Image.Image:
        """Return the image at `index` as RGB; raises one of `pictures.UNREADABLE` if it is corrupt."""
        return open_picture(io.BytesIO(self.read_jpegs([index])[0]))
