"""The pixels of a raster scored by texts, in bounded memory, and gone on with after a kill."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.windows import Window as PixelWindow

from geomammut.errors import UserError
from geomammut.localization.rasters import has_data, rgb_without_holes
from geomammut.localization.unfinished_rows import UnfinishedRows
from geomammut.model.interface import VisionLanguageModel
from geomammut.model.pooling_head import Window, radii
from geomammut.model.score_maps import ClassTexts, sao_scorer, score_strips
from geomammut.progress import progress_bar

# Scores float32 [C, rows, columns] and where there is data [rows, columns] → what is kept, each [bands, rows, columns]
Keep = Callable[[NDArray[np.float32], NDArray[np.bool_]], Mapping[str, NDArray[Any]]]

_SCORES_AT_ONCE = 1 << 26  # numbers in the band of scores that is being summed


@contextmanager
def scored(
    model: VisionLanguageModel,
    raster: rasterio.DatasetReader,
    texts: ClassTexts,
    window: Window,
    out: Path,
    layers: Mapping[str, tuple[str, int]],
    keep: Keep,
) -> Iterator[UnfinishedRows]:
    """Score every pixel against C classes, and yield what `keep` made of the scores, which goes when the block ends.

    What is kept lies in a hidden folder beside `out`. It stays there if the process is killed or interrupted; the
    same call then goes on from it, with the same bytes in the end.

    Args:
        model: Whose image size and stride the windows have.
        raster: The image.
        texts: Of the classes.
        window: Radius, or radii, of the Smooth-Attention.
        out: The file that is made in the end.
        layers: What `keep` returns: names, types and bands.
        keep: Given scores of some rows, and where they have data.

    Raises:
        UserError: The raster cannot be read to its end.
    """
    stride = max(1, model.image_size // 2)
    blocks = _column_blocks(raster.width, len(texts), model.image_size, stride)
    folder = out.with_name(f".{out.name}.unfinished")
    rows = UnfinishedRows(folder, _plan(model, raster, texts, window), layers, blocks, raster.height)
    try:
        _score_blocks(model, raster, texts, window, rows, keep, stride)
        yield rows
    except (UserError, AssertionError):
        rows.remove()
        raise
    rows.remove()


def _score_blocks(
    model: VisionLanguageModel,
    raster: rasterio.DatasetReader,
    texts: ClassTexts,
    window: Window,
    rows: UnfinishedRows,
    keep: Keep,
    stride: int,
) -> None:
    score = sao_scorer(model, texts, window)
    # Windows stand on one grid over the whole raster: a part begins on it, so far out that what stands differently
    # at the part's own end touches nothing of what is kept.
    margin = -(-model.image_size // stride) * stride
    with progress_bar() as bar:
        task = bar.add_task("scoring rows", total=raster.height * len(rows.blocks))
        for block in rows.blocks:
            done = rows.done(block, stride)
            bar.advance(task, done)
            if done == raster.height:
                continue
            top, left = max(0, done - margin), max(0, block.start - margin)
            width = min(raster.width, block.stop + margin) - left

            def read_rows(first: int, count: int, top: int = top, left: int = left, width: int = width) -> Any:
                return rgb_without_holes(raster, PixelWindow(left, top + first, width, count), model.mean)

            for first, scores in score_strips(model, score, read_rows, raster.height - top, width):
                known = max(0, done - top - first)
                some = scores[:, known:, block.start - left : block.stop - left]
                if some.shape[1]:
                    valid = has_data(raster, PixelWindow(block.start, done, len(block), some.shape[1]))
                    rows.append(block, keep(some, valid))
                    done += some.shape[1]
                    bar.advance(task, some.shape[1])


def _column_blocks(width: int, texts: int, size: int, stride: int) -> list[range]:
    """Divide columns so that a band of scores [C, S, columns] stays small; blocks begin on the grid of windows."""
    most = max(4 * size, _SCORES_AT_ONCE // (texts * size)) // stride * stride
    return [range(first, min(width, first + most)) for first in range(0, width, most)]


def _plan(
    model: VisionLanguageModel, raster: rasterio.DatasetReader, texts: ClassTexts, window: Window
) -> dict[str, Any]:
    """Return what scores depend on; the weights by what they make of noise."""
    noise = torch.randn(1, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        seen = model.dense_image_embeddings(noise.to(model.device), window).float().cpu()
    file = Path(raster.name).stat()
    return {
        "image": [str(Path(raster.name).resolve()), file.st_size, file.st_mtime_ns],
        "model": hashlib.sha256(seen.numpy().tobytes()).hexdigest(),
        "texts": [hashlib.sha256(own.float().cpu().numpy().tobytes()).hexdigest() for own in texts],
        "window": list(radii(window)),
    }
