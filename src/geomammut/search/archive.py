"""An archive: imagery cut into chips, each with its embedding, that can be asked what looks like something."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from geomammut.errors import UserError
from geomammut.imagery.sources import ImagerySource
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.search.calibration import Tail, similar_from
from geomammut.search.identity import ModelIdentity
from geomammut.search.merging import Candidates, merged
from geomammut.search.moments import needed_moment
from geomammut.search.vectors import nearest

INDEX, TABLE = "index.json", "chips"
UNFINISHED = 0  # the version of an archive whose first run is not through
_ID = re.compile(r"[0-9a-f]{20}")
_A_HIT = 4  # candidates looked at for each hit wanted, at first
_COLUMNS = ["id", "embedding", "footprint", "source", "acquired", "gsd_m"]


@dataclass(frozen=True)
class Filter:
    """Which chips of an archive a query asks.

    Attributes:
        bbox: West, south, east, north in degrees; west > east runs across ±180°. Chips that touch it.
        since: Date or time (ISO 8601): acquired then or later.
        until: Date or time (ISO 8601): acquired then (on that day) or earlier.
        sources: Names of rasters, as in `Hit.source`; empty for all.
    """

    bbox: tuple[float, float, float, float] | None = None
    since: str | None = None
    until: str | None = None
    sources: tuple[str, ...] = ()

    def condition(self) -> str | None:
        """Return it as a condition in SQL, or None if it lets all pass.

        Raises:
            UserError: A date or a box makes no sense.
        """
        terms = []
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90):
                raise UserError(f"the box {west:g},{south:g},{east:g},{north:g} is not W,S,E,N in degrees")
            terms.append(f"south <= {north!r} AND north >= {south!r}")
            spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
            # A chip across ±180° has west > east, and reaches to both.
            touching = [
                f"(west <= east AND west <= {right!r} AND east >= {left!r})"
                f" OR (west > east AND (west <= {right!r} OR east >= {left!r}))"
                for left, right in spans
            ]
            terms.append(f"({' OR '.join(touching)})")
        if self.since is not None:
            terms.append(f"time >= timestamp '{needed_moment(self.since, 'since').isoformat(sep=' ')}'")
        if self.until is not None:
            terms.append(f"time <= timestamp '{needed_moment(self.until, 'until', latest=True).isoformat(sep=' ')}'")
        if self.sources:
            names = ", ".join("'" + name.replace("'", "''") + "'" for name in self.sources)
            terms.append(f"source IN ({names})")
        return " AND ".join(terms) or None


@dataclass(frozen=True)
class Hit:
    """A chip that answers a query.

    Attributes:
        id: Of the chip: a content hash, hexadecimal.
        score: Cosine of its embedding and the query's.
        unusual: One chip in so many of this archive scores as high, by its sample; at least 1.
        footprint: GeoJSON, EPSG:4326: a polygon, or a multipolygon where it runs across ±180°.
        source: Name of the raster that it comes from; unique in the archive.
        acquired: Time of acquisition as that raster states it (ISO 8601), or None.
        gsd_m: Metres per pixel.
        merged: Overlapping chips that look the same and are told of by this one.
    """

    id: str
    score: float
    unusual: float
    footprint: Mapping[str, Any]
    source: str
    acquired: str | None
    gsd_m: float
    merged: int = 0


class IndexInfo(BaseModel):
    """`index.json`: what an archive is of, and with which model it was made.

    Attributes:
        geomammut: Which version wrote it.
        model: Where the model was, as `load_model` takes it.
        identity: What tells that model, wherever it is.
        embed_dim: E.
        size: Side of a chip in pixels.
        gsd_m: Metres per pixel.
        stride: Pixels from a chip to the next.
        chips: How many there are.
        bounds: West, south, east, north of all chips in degrees.
        sources: The rasters, each name once.
        version: Of the table `chips`: what was written to it later is not whole yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    geomammut: str
    model: str
    identity: ModelIdentity
    embed_dim: int
    size: int
    gsd_m: float
    stride: int
    chips: int = 0
    bounds: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    sources: tuple[ImagerySource, ...] = ()
    version: int = UNFINISHED


class Archive:
    """What `geomammut index` made.

    Attributes:
        folder: Where it is.
        info: What it is of.
        table: LanceDB table of the chips, as it was when it was last whole.
        sample: float32 [n, E], embeddings of chips drawn at random.
    """

    def __init__(self, folder: Path, info: IndexInfo, table: lancedb.table.Table, sample: NDArray[np.float32]) -> None:
        self.folder, self.info, self.table, self.sample = folder, info, table, sample

    @classmethod
    def open(cls, folder: Path) -> "Archive":
        """Open an archive.

        Raises:
            UserError: There is none, or its making was broken off.
        """
        folder = Path(folder)
        info = read_info(folder)
        if info is None:
            raise UserError(f"no index at {folder}; make one with `geomammut index IMAGERY... -o {folder} --model M`")
        if info.version == UNFINISHED:
            raise UserError(f"the index {folder} is not whole; run the same `geomammut index` again to finish it")
        try:
            table = lancedb.connect(folder).open_table(TABLE)
            table.checkout(info.version)
            sample = np.load(sample_path(folder, info.version), allow_pickle=False)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the index {folder} is damaged ({reason}); make it again") from error
        return cls(folder, info, table, sample.astype(np.float32))

    def load_model(self, name: str | None = None) -> VisionLanguageModel:
        """Load the model that the archive was made with, from `name` if it has moved.

        Raises:
            UserError: It is gone, or is another than it was.
        """
        try:
            model = load_model(name or self.info.model)
        except UserError as error:
            if name is None:
                raise UserError(f"{error}; if the index's model has moved, say where to with --model") from error
            raise
        if not ModelIdentity.of(model).is_of(self.info.identity):
            raise UserError(
                f"{name or self.info.model} is not the model that the index {self.folder} was made with "
                f"({self.info.model}, weights {self.info.identity.weights[:12]}); ask with that one, or index again"
            )
        return model

    def __len__(self) -> int:
        return self.info.chips

    @cached_property
    def centre(self) -> NDArray[np.float32]:
        """The mean of the sample's embeddings, float32 [E]."""
        return np.asarray(self.sample.mean(axis=0))

    def sources(self) -> tuple[str, ...]:
        """Return the addresses of the rasters, as GDAL takes them; the details are in `info.sources`."""
        return tuple(source.dataset for source in self.info.sources)

    def bounds(self) -> tuple[float, float, float, float]:
        """Return west, south, east, north in degrees."""
        return self.info.bounds

    def search(self, embedding: NDArray[np.float32], k: int, where: Filter) -> list[Hit]:
        """Return the `k` places that fit best, overlapping chips that look the same merged, best first.

        Args:
            embedding: [E], of any length but 0.
            k: How many hits at most.
            where: Which chips are asked.

        Raises:
            UserError: The embedding is of another size, or the filter makes no sense.
        """
        query = np.asarray(embedding, np.float32)
        length = float(np.linalg.norm(query))
        if query.shape != (self.info.embed_dim,) or not np.isfinite(length) or length == 0:
            raise UserError(
                f"a query of shape {list(query.shape)} does not fit this index; "
                f"give {self.info.embed_dim} finite numbers, not all 0"
            )
        query = query / length
        unknown = set(where.sources) - {source.name for source in self.info.sources}
        if unknown:
            names = ", ".join(source.name for source in self.info.sources[:5])
            raise UserError(f"the index has no source {min(unknown)!r}; it has {names}")
        condition = where.condition()
        count = min(_A_HIT * k, len(self))
        while True:
            found = nearest(self.table, query, count, _COLUMNS, condition)
            groups = merged(_candidates(found, query), k, self._similar_from)
            if len(groups) == k or len(found) < count or count == len(self):
                break
            count = min(4 * count, len(self))
        tail = Tail(self.sample @ query)
        columns = found.select([name for name in _COLUMNS if name not in ("embedding", "footprint")])
        return [
            Hit(
                score=group.score,
                unusual=tail.unusual(group.score),
                footprint=group.footprint,
                merged=group.others,
                **columns.slice(group.row, 1).to_pylist()[0],
            )
            for group in groups
        ]

    def chip(self, id: str) -> bytes:
        """Return a chip's small JPEG.

        Raises:
            KeyError: There is no such chip.
        """
        jpeg: bytes = self._value(id, "jpeg")
        return jpeg

    def embedding(self, id: str) -> NDArray[np.float32]:
        """Return a chip's embedding [E].

        Raises:
            KeyError: There is no such chip.
        """
        return np.array(self._value(id, "embedding"), np.float32)

    @cached_property
    def _similar_from(self) -> float:
        return similar_from(self.sample)

    def _value(self, id: str, column: str) -> Any:
        if not _ID.fullmatch(id):
            raise KeyError(id)
        found = self.table.search().where(f"id = '{id}'").select([column]).limit(1).to_arrow()
        if len(found) == 0:
            raise KeyError(id)
        return found[column][0].as_py()


def read_info(folder: Path) -> IndexInfo | None:
    """Return what `index.json` says, or None where there is none.

    Raises:
        UserError: It cannot be read.
    """
    path = folder / INDEX
    try:
        return IndexInfo.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError, ValueError) as error:
        raise UserError(f"{path} cannot be read; make the index again") from error


def sample_path(folder: Path, version: int) -> Path:
    """Return where the sample that belongs to a version of the table is."""
    return folder / f"sample-{version}.npy"


def _candidates(found: pa.Table, query: NDArray[np.float32]) -> Candidates:
    """Return what was found, best first; equal ones by id."""
    embeddings = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    embeddings = embeddings.reshape(len(found), len(query)).astype(np.float32)
    scores = embeddings @ query / np.maximum(np.linalg.norm(embeddings, axis=1), 1e-12)
    order = np.lexsort((found["id"].to_numpy(zero_copy_only=False), -scores))
    return Candidates(
        order, scores[order], embeddings[order], [found["footprint"][row].as_py() for row in order.tolist()]
    )
