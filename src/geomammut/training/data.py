"""What a step trains on: an order that hangs on the seed alone, images decoded off the training thread."""

import logging
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pictures import UNREADABLE
from geomammut.training.recipe import AugmentPart

DIRECTIONS = re.compile(
    r"\b(left|right|top|bottom|upper|lower|above|below|under|north\w*|south\w*|east\w*|west\w*|horizontal\w*|"
    r"vertical\w*|upright|clockwise)\b",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Samples of a step.

    Attributes:
        images: [b, 3, S, S], normalized.
        captions: One of each pair.
        landmarks: Those visible in each.
        sources: The pair set of each, by its name in the recipe.
        kept: [b, k] numbers of the patches that training looks at, in order; None for all.
        boxes: [b, 4], of the positional embedding; None for the whole; see `VisionTower.tokens`.
    """

    images: Tensor
    captions: list[str]
    landmarks: list[list[dict[str, Any]]]
    sources: list[str]
    kept: Tensor | None = None
    boxes: Tensor | None = None

    def rows(self, rows: slice) -> "Batch":
        """Return some of the samples."""
        looks = [None if look is None else look[rows] for look in (self.kept, self.boxes)]
        return Batch(self.images[rows], self.captions[rows], self.landmarks[rows], self.sources[rows], *looks)


def sample_order(sizes: Mapping[str, int], mix: Mapping[str, float], samples: int, seed: int) -> list[tuple[str, int]]:
    """Return which pair each of `samples` draws takes: (set, index).

    Each draw picks a set by its weight; a set's own draws run through it in epochs, each freshly shuffled,
    so that no pair is seen twice before all are seen once.
    """
    generator = np.random.default_rng(seed)
    names = list(mix)
    weights = np.array([mix[name] for name in names], dtype=np.float64)
    picks = generator.choice(len(names), size=samples, p=weights / weights.sum())
    order: list[tuple[str, int]] = [("", 0)] * samples
    for number, name in enumerate(names):
        places = np.flatnonzero(picks == number)
        epochs = -(-len(places) // sizes[name]) if len(places) else 0
        indices = np.concatenate([generator.permutation(sizes[name]) for _ in range(epochs)] or [np.empty(0, int)])
        for place, index in zip(places, indices, strict=False):
            order[place] = (name, int(index))
    return order


class BatchLoader:
    """Batches of one stage from step `first_step` on, prepared by a background thread.

    A pair that cannot be decoded is counted in `corrupt`, logged, and replaced by the next in order that can.

    Args:
        sets: The pair sets by name.
        order: What `sample_order` returned.
        prepare: Maps an RGB image, its caption and a generator to a normalized tensor [3, S, S].
        rows: Which rows of each batch are prepared: those of this process; all if None.
        patches: How many patches an image has, and how many of them training looks at; None for all.
        crop_positions: Whether each image gets a box of the positional embedding.
    """

    def __init__(
        self,
        sets: Mapping[str, PairSet],
        order: list[tuple[str, int]],
        *,
        batch_size: int,
        seed: int,
        prepare: Callable[[Image.Image, str, np.random.Generator], Tensor],
        rows: range | None = None,
        patches: tuple[int, int] | None = None,
        crop_positions: bool = False,
    ) -> None:
        self.sets = sets
        self.order = order
        self.batch_size = batch_size
        self.seed = seed
        self.prepare = prepare
        self.rows = range(batch_size) if rows is None else rows
        self.patches = patches
        self.crop_positions = crop_positions
        self.corrupt: Counter[str] = Counter()
        self._captions = {name: pair_set.captions for name, pair_set in sets.items()}
        self._landmarks = {name: pair_set.landmarks for name, pair_set in sets.items()}

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Yield the batches of steps `first_step`, `first_step` + 1, … of the stage."""
        ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=3)
        stop = threading.Event()

        def put(item: Batch | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def produce() -> None:
            try:
                for step in range(first_step, len(self)):
                    if stop.is_set():
                        return
                    put(self._batch(step))
                put(None)
            except BaseException as error:
                put(error)

        thread = threading.Thread(target=produce, name="batches", daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            thread.join()

    def _batch(self, step: int) -> Batch:
        places = [step * self.batch_size + row for row in self.rows]
        generators = [np.random.default_rng((self.seed, place)) for place in places]
        samples = [self._sample(place, generator) for place, generator in zip(places, generators, strict=True)]
        images, captions, landmarks, sources = zip(*samples, strict=True)
        kept = None
        if self.patches is not None:
            patches, number = self.patches
            chosen = [np.sort(generator.permutation(patches)[:number]) for generator in generators]
            kept = torch.from_numpy(np.stack(chosen))
        boxes = None
        if self.crop_positions:
            boxes = torch.tensor([_position_box(generator) for generator in generators])
        return Batch(torch.stack(images), list(captions), list(landmarks), list(sources), kept, boxes)

    def _sample(self, place: int, generator: np.random.Generator) -> tuple[Tensor, str, list[dict[str, Any]], str]:
        for attempt in range(100):
            name, index = self.order[(place + attempt * self.batch_size) % len(self.order)]
            captions = self._captions[name][index]
            caption = captions[generator.integers(len(captions))]
            try:
                image = self.sets[name].read_picture(index)
            except UNREADABLE as error:
                self.corrupt[name] += 1
                logger.warning("pair %s of %s is corrupt and is replaced: %s", index, name, str(error).splitlines()[0])
                continue
            return self.prepare(image, caption, generator), caption, self._landmarks[name][index], name
        raise UserError(f"100 pairs in a row cannot be decoded; run `geomammut pairs check` on {', '.join(self.sets)}")


class Augment:
    """Random crop, flip and right-angle turn of one image, then normalization; see AugmentPart.

    A caption with direction words keeps the image upright and unflipped, since they would turn false.
    """

    def __init__(
        self,
        part: AugmentPart,
        image_size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        self.part = part
        self.image_size = image_size
        self.mean = torch.tensor(mean).view(3, 1, 1) * 255
        self.std = torch.tensor(std).view(3, 1, 1) * 255

    def __call__(self, image: Image.Image, caption: str, generator: np.random.Generator) -> Tensor:
        """Return float32 [3, S, S] of an RGB image."""
        side = min(image.size) * generator.uniform(self.part.crop, 1.0) ** 0.5
        left, top = generator.uniform(0, image.width - side), generator.uniform(0, image.height - side)
        size = (self.image_size, self.image_size)
        box = (left, top, left + side, top + side)
        resized = image.resize(size, Image.Resampling.BILINEAR, box=box)
        crop = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
        turns, flip = int(generator.integers(4)), bool(generator.integers(2))
        if self.part.symmetries and not DIRECTIONS.search(caption):
            crop = torch.rot90(crop, turns, (1, 2))
            if flip:
                crop = crop.flip(2)
        return (crop - self.mean) / self.std


def _position_box(generator: np.random.Generator) -> tuple[float, float, float, float]:
    """Return a box of 0.1 to 1 of a square's area, up to twice as long as wide (RO-ViT, Kim et al. 2023, §3.1)."""
    area = generator.uniform(0.1, 1.0)
    aspect = 2.0 ** generator.uniform(-1.0, 1.0)
    width, height = min(1.0, (area * aspect) ** 0.5), min(1.0, (area / aspect) ** 0.5)
    left, top = generator.uniform(0, 1 - width), generator.uniform(0, 1 - height)
    return left, top, left + width, top + height
