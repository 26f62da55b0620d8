"""Blocks of chips read and embedded, by this process, by others on this machine, or on Ray."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import daft
import numpy as np
import pyarrow as pa
import shapely
import torch
from daft import DataType
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.imagery.chips import Chip, ChipPlan, encode_jpeg
from geomammut.imagery.grid import ChipBlock
from geomammut.imagery.reading import Pixels
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.load import load_model
from geomammut.pairs.daft_runner import steadily
from geomammut.search.blocks import THUMBNAIL_QUALITY, Work

_THUMBNAIL_PX = 224  # the side of a chip's small JPEG, at most
_CHIPS_AT_ONCE = 64

_ROW = pa.struct(
    [
        ("id", pa.string()),
        ("embedding", pa.large_binary()),  # float32 [E]
        ("footprint", pa.large_binary()),  # WKB
        ("source", pa.string()),
        ("acquired", pa.string()),
        ("jpeg", pa.large_binary()),
    ]
)
_DONE = pa.struct([("rows", pa.list_(_ROW)), ("lost", pa.string())])
_DONE_TYPE = DataType.from_arrow_type(_DONE)


@dataclass(frozen=True)
class Embedded:
    """What became of one block.

    Attributes:
        key: Of the block.
        rows: A dictionary for each chip: `id`, `embedding` (bytes of float32 [E]), `footprint` (WKB), `source`,
            `acquired`, `jpeg`.
        lost: Reason → squares that gave no chip.
    """

    key: str
    rows: list[dict[str, Any]]
    lost: dict[str, int]


def embed(
    works: Sequence[Work], plans: Sequence[ChipPlan], model: str, *, workers: int, ray: str | None
) -> Iterator[Embedded]:
    """Read and embed blocks, and yield each in its turn as it is done.

    Args:
        works: The blocks.
        plans: Which they are of.
        model: As `load_model` takes it; it runs on a GPU where there is one.
        workers: Processes that read and embed, each with a model of its own; 1 for this one, without Ray.
        ray: Where they are, as `run_on` was told.
    """
    on_gpu = ray is not None and torch.cuda.is_available()
    if workers > 1 or ray is not None:
        embedder = daft.cls(_Embedder, use_process=True, max_concurrency=workers, gpus=1 / workers if on_gpu else 0)
        embed_blocks = embedder(model, list(plans)).embed
    else:
        here = _Embedder(model, list(plans))
        embed_blocks = daft.func.batch(return_dtype=_DONE_TYPE, use_process=False, batch_size=1)(here.embed_here)
    table = daft.from_pydict(
        {
            "key": [work.key for work in works],
            "day": [work.day for work in works],
            "crs": [work.block.crs for work in works],
            "corners": [work.block.corners.ravel().tolist() for work in works],
            "sources": [list(work.block.sources) for work in works],
            "covers": [work.block.covers.ravel().tolist() for work in works],
        }
    )
    columns = [daft.col(name) for name in ("day", "crs", "corners", "sources", "covers")]
    done = table.select("key", embed_blocks(*columns).alias("done"))
    for batch in done.to_arrow_iter(results_buffer_size=1):
        for row in batch.to_pylist():
            yield Embedded(row["key"], row["done"]["rows"], json.loads(row["done"]["lost"]))


class _Embedder:
    """Lives where the work is done."""

    def __init__(self, model: str, plans: list[ChipPlan]) -> None:
        self._model, self._plans = model, plans

    @daft.method.batch(return_dtype=_DONE_TYPE, batch_size=1)
    def embed(
        self, day: daft.Series, crs: daft.Series, corners: daft.Series, sources: daft.Series, covers: daft.Series
    ) -> pa.Array:
        return self.embed_here(day, crs, corners, sources, covers)

    def embed_here(
        self, day: daft.Series, crs: daft.Series, corners: daft.Series, sources: daft.Series, covers: daft.Series
    ) -> pa.Array:
        model = _shared_model(self._model)
        columns = (series.to_pylist() for series in (day, crs, corners, sources, covers))
        done = []
        for number, name, flat, reaching, covering in zip(*columns, strict=True):
            where = np.array(flat, np.int64).reshape(-1, 2)
            block = ChipBlock(name, where, tuple(reaching), np.array(covering, bool).reshape(len(where), -1))
            rows, lost = steadily(_embed_block, model, self._plans[number], block)
            done.append({"rows": rows, "lost": json.dumps(lost, sort_keys=True)})
        return pa.array(done, _DONE)


_lock = Lock()


def _shared_model(name: str) -> VisionLanguageModel:
    with _lock:
        return _loaded(name)


@cache
def _loaded(name: str) -> VisionLanguageModel:
    return load_model(name, "cuda" if torch.cuda.is_available() else "cpu")


def _embed_block(
    model: VisionLanguageModel, plan: ChipPlan, block: ChipBlock
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    outcomes = plan.read(block)
    found = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    lost = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    # Batches end where blocks do, so that what a killed run had done changes no embedding of what is left.
    starts = range(0, len(found), _CHIPS_AT_ONCE)
    parts = [embed_pictures(model, [c.pixels for c in found[first : first + _CHIPS_AT_ONCE]]) for first in starts]
    embeddings = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
    return [_row(chip, embedding) for chip, embedding in zip(found, embeddings, strict=True)], dict(lost)


@torch.inference_mode()
def embed_pictures(model: VisionLanguageModel, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    """Embed uint8 pictures [H, W, 3] as float32 [N, E], each of length 1.

    Raises:
        UserError: The model's embeddings are not finite.
    """
    batch = torch.stack([model.preprocess(Image.fromarray(picture)) for picture in pictures])
    embeddings = model.encode_image(batch.to(model.device)).float().cpu()
    if not embeddings.isfinite().all():
        raise UserError(f"{model.name} gives image embeddings that are not finite; its weights are broken")
    return embeddings.numpy()


def _row(chip: Chip, embedding: NDArray[np.float32]) -> dict[str, Any]:
    footprint = shapely.to_wkb(chip.footprint)
    return {
        "id": content_id(chip.jpeg, footprint, chip.acquired or ""),
        "embedding": embedding.tobytes(),
        "footprint": footprint,
        "source": chip.source,
        "acquired": chip.acquired,
        "jpeg": _thumbnail(chip),
    }


def _thumbnail(chip: Chip) -> bytes:
    if len(chip.pixels) <= _THUMBNAIL_PX:
        return chip.jpeg
    small = Image.fromarray(chip.pixels).resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    return encode_jpeg(np.array(small), THUMBNAIL_QUALITY)
