"""An archive: imagery cut into chips, each with its embedding, that can be asked what looks like something."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from geomammut.imagery.sources import ImagerySource
from geomammut.model.interface import VisionLanguageModel

INDEX, TABLE = "index.json", "chips"


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
        model: Where the model was, as `load_model` takes it.
        fingerprint: Of its weights.
        preprocess: What becomes of a picture on its way into it.
        probe: Its embeddings of a picture and of a sentence, one after the other, to tell it by its answers.
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
    fingerprint: str
    preprocess: dict[str, Any]
    probe: tuple[float, ...]
    embed_dim: int
    size: int
    gsd_m: float
    stride: int
    chips: int
    bounds: tuple[float, float, float, float]
    sources: tuple[ImagerySource, ...]
    version: int


class Archive:
    """What `geomammut index` made.

    Attributes:
        folder: Where it is.
        info: What it is of.
        centre: float32 [E], mean of the sample's embeddings.
    """

    folder: Path
    info: IndexInfo
    centre: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> "Archive":
        """Open an archive.

        Raises:
            UserError: There is none, or its making was broken off.
        """
        raise NotImplementedError

    def load_model(self, name: str | None = None) -> VisionLanguageModel:
        """Load the model that the archive was made with, from `name` if it has moved.

        Raises:
            UserError: It is gone, or is another than it was.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        return self.info.chips

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
        raise NotImplementedError

    def chip(self, id: str) -> bytes:
        """Return a chip's small JPEG.

        Raises:
            KeyError: There is no such chip.
        """
        raise NotImplementedError

    def embedding(self, id: str) -> NDArray[np.float32]:
        """Return a chip's embedding [E].

        Raises:
            KeyError: There is no such chip.
        """
        raise NotImplementedError
