"""The pictures that a classifier is trained on: folders of images, or pair sets."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import track

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"}
MOST = 100_000  # a side; drawn by the seed where there are more
BATCH = 64

Source = Callable[[], Image.Image]


def sources(folders: Sequence[Path], side: str, generator: torch.Generator) -> list[Source]:
    """Return what opens each picture of `folders`, in an order that is always the same.

    Args:
        folders: Pair sets, or folders of images, nested or not.
        side: What these are, for messages: "positives" or "negatives".
        generator: Draws MOST of them where there are more.

    Raises:
        UserError: A folder does not exist or holds no picture.
    """
    found: list[Source] = []
    for folder in folders:
        here = _of_pair_set(folder) if (folder / "pairs.parquet").is_file() else _of_folder(folder)
        if not here:
            raise UserError(f"no picture in {folder} ({side}): give a pair set or a folder of images")
        found += here
    if len(found) > MOST:
        found = [found[place] for place in torch.randperm(len(found), generator=generator)[:MOST].sort().values]
    return found


def _of_folder(folder: Path) -> list[Source]:
    if not folder.is_dir():
        raise UserError(f"no folder of pictures at {folder}")
    paths = sorted(
        Path(parent) / name
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )
    return [_Opened(path) for path in paths]


def _of_pair_set(folder: Path) -> list[Source]:
    pairs = PairSet(folder)
    return [_OfPair(pairs, index) for index in range(len(pairs))]


@dataclass(frozen=True)
class _Opened:
    path: Path

    def __call__(self) -> Image.Image:
        return open_picture(self.path)


@dataclass(frozen=True)
class _OfPair:
    pairs: PairSet
    index: int

    def __call__(self) -> Image.Image:
        return self.pairs.read_picture(self.index)


def prepared(
    wanted: Sequence[Source], prepare: Callable[[Image.Image], Tensor], side: str
) -> Iterator[tuple[Tensor, int]]:
    """Yield what `prepare` makes of the pictures, stacked in batches, and how many of a batch were broken.

    Pictures are decoded in threads, one batch ahead.
    """

    def opened(source: Source) -> Tensor | None:
        try:
            return prepare(source())
        except UNREADABLE:
            return None

    left = iter(wanted)
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for _ in track(range(0, len(wanted), BATCH), f"reading {side}"):
            results = list(pool.map(opened, islice(left, BATCH)))
            whole = [result for result in results if result is not None]
            yield torch.stack(whole) if whole else torch.empty(0), len(results) - len(whole)
