"""What the server answers, apart from how it is asked: queries, heat and masks of one archive."""

import base64
import binascii
import hashlib
import io
import os
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.model.interface import VisionLanguageModel
from geomammut.pictures import UNREADABLE
from geomammut.search.archive import Archive, Filter
from geomammut.search.query import query_embedding
from geomammut.search.server.areas import heat_picture, masks
from geomammut.search.server.lines import Line, Memory
from geomammut.search.server.messages import (
    About,
    Answer,
    Embedding,
    Found,
    Heat,
    ImageInstance,
    Instance,
    Query,
    Search,
    Segments,
    Source,
    SourceName,
)
from geomammut.search.server.tiles import MAX_AREA_PIXELS, Imagery

MAX_PICTURE_PIXELS = 25_000_000
# Answers remembered
_TILES, _CHIPS, _QUERIES, _HEATS, _MASKS = 1024, 4096, 2048, 64, 4


class Answers:
    """Answers from one archive by its model, each kind of work in a waiting line of its own.

    Attributes:
        archive: What is asked.
        imagery: Its rasters; no others are ever read.
        lines: The waiting lines by name: `model` one at a time, `tiles` and `archive` a few.
    """

    def __init__(self, archive: Archive, model: VisionLanguageModel) -> None:
        self.archive = archive
        self.imagery = Imagery(archive.info.sources)
        self.lines = {
            "model": Line(1, 512),
            "archive": Line(4, 512),
            "tiles": Line(max(2, os.cpu_count() or 2), 1024),
        }
        self._model = model
        self._names = {source.name: number for number, source in enumerate(archive.info.sources)}
        self._tiles = Memory(self.lines["tiles"], _TILES)
        self._chips = Memory(self.lines["archive"], _CHIPS)
        self._queries, self._heats, self._masks = (
            Memory(self.lines["model"], most) for most in (_QUERIES, _HEATS, _MASKS)
        )
        # The model looks at chips of its own size: this is how far apart their pixels are on the ground.
        self.gsd_m = archive.info.gsd_m * archive.info.size / model.image_size

    def about(self) -> About:
        info = self.archive.info
        sources = [
            Source(id=number, name=source.name, bounds=bounds, gsd_m=source.gsd_m, acquired=source.acquired)
            for number, (source, bounds) in enumerate(zip(info.sources, self.imagery.bounds, strict=True))
        ]
        return About(
            chips=len(self.archive),
            bounds=self.archive.bounds(),
            model=info.model.rstrip("/").rpartition("/")[2],  # where it lies is nobody's business
            embed_dim=info.embed_dim,
            size=info.size,
            gsd_m=info.gsd_m,
            sources=sources,
            tiles=self.imagery.zooms,
            area_m=MAX_AREA_PIXELS**0.5 * self.gsd_m,
            version=__version__,
        )

    async def search(self, asked: Search) -> Answer:
        """Return the places that fit best.

        Raises:
            UserError: The query or its limits make no sense.
        """
        began = time.perf_counter()
        where = self._filter(asked)
        query = await self._query(asked)
        hits = await self.lines["archive"].run(lambda: self.archive.search(query, asked.k, where))
        found = [
            Found(
                id=hit.id,
                score=round(hit.score, 5),
                unusual=round(hit.unusual, 2),
                footprint=dict(hit.footprint),
                source=SourceName(id=self._names[hit.source], name=hit.source),
                acquired=hit.acquired,
                gsd_m=hit.gsd_m,
                merged=hit.merged,
            )
            for hit in hits
        ]
        return Answer(hits=found, seconds=round(time.perf_counter() - began, 4))

    async def heat(self, asked: Heat) -> tuple[bytes, float, float]:
        """Return a picture of where a query fits, and the least and the largest cosine."""
        query = await self._query(asked)
        return await self._heats.get(
            (query.tobytes(), asked.bbox),
            lambda: heat_picture(self._model, self.imagery, query, asked.bbox, self.gsd_m),
        )

    async def segments(self, asked: Segments) -> bytes:
        """Return the classes of an area as asked for, GeoTIFF or GeoJSON."""
        mask, polygons = await self._masks.get(
            (asked.classes, asked.bbox),
            lambda: masks(self._model, self.imagery, asked.classes, asked.bbox, self.gsd_m),
        )
        return mask if asked.format == "tif" else polygons

    async def embeddings(self, instances: list[Instance]) -> list[Embedding]:
        """Return the embeddings of texts and pictures."""
        queries = [
            Query(image=one.image) if isinstance(one, ImageInstance) else Query(text=one.text) for one in instances
        ]
        vectors = await self.lines["model"].run(lambda: [self._embedded(query) for query in queries])
        return [Embedding(embedding=vector.tolist()) for vector in vectors]

    async def tile(self, zoom: int, column: int, row: int) -> tuple[bytes, str] | None:
        """Return a map tile and its media type; None where there is no imagery."""
        return await self._tiles.get((zoom, column, row), lambda: self.imagery.tile(zoom, column, row))

    async def chip(self, id: str) -> bytes:
        """Return a chip's JPEG.

        Raises:
            KeyError: There is no such chip.
        """
        return await self._chips.get(id, lambda: self.archive.chip(id))

    async def _query(self, asked: Query) -> NDArray[np.float32]:
        wanted = Query.model_validate({name: getattr(asked, name) for name in Query.model_fields})
        key = hashlib.sha256(wanted.model_dump_json().encode()).digest()
        return await self._queries.get(key, lambda: self._embedded(wanted))

    def _embedded(self, query: Query) -> NDArray[np.float32]:
        """Decode, look up and embed what a query names; slow, so not for the event loop."""
        return query_embedding(
            self._model,
            texts=[query.text] if query.text else (),
            images=[] if query.image is None else [picture(query.image)],
            without=[query.without] if query.without else (),
            liked=self._judged(query.liked),
            disliked=self._judged(query.disliked),
            centre=self.archive.centre,
        )

    def _judged(self, ids: list[str]) -> NDArray[np.float32] | None:
        if not ids:
            return None
        return np.stack([self.archive.embedding(id) for id in dict.fromkeys(ids)])

    def _filter(self, asked: Search) -> Filter:
        sources = self.archive.info.sources
        unknown = [number for number in asked.sources if number >= len(sources)]
        if unknown:
            raise UserError(f"there is no source {unknown[0]}; this archive has {len(sources)}, from 0")
        return Filter(
            bbox=asked.bbox,
            since=asked.since.isoformat() if asked.since else None,
            until=asked.until.isoformat() if asked.until else None,
            sources=tuple(sources[number].name for number in dict.fromkeys(asked.sources)),
        )


def picture(encoded: str) -> Image.Image:
    """Decode a picture file in base64.

    Raises:
        UserError: It is none, broken, or larger than MAX_PICTURE_PIXELS.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as opened:
            if opened.width * opened.height > MAX_PICTURE_PIXELS:
                raise UserError(f"the image has {opened.width} × {opened.height} pixels; at most 25 million are taken")
            return opened.convert("RGB")
    except (*UNREADABLE, binascii.Error) as error:
        raise UserError("the image is no picture that can be read; send a JPEG, PNG or WebP in base64") from error
