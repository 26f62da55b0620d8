"""What a step trains on: an order that hangs on the seed alone, images decoded beside the training thread."""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.pairs.pair_set import PairSet
from geomammut.pictures import UNREADABLE
from geomammut.training.augment import Augment

Images = NDArray[np.float32]

SHARDS_AT_ONCE = 16  # of a pair set at an address
_AHEAD = 3  # batches prepared while a step runs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Samples of a step.

    Attributes:
        images: [b, 3, S, S], normalized.
        captions: One of each pair.
        all_captions: All of each pair.
        landmarks: Those visible in each.
        sources: The pair set of each, by its name in the recipe.
        kept: [b, k] numbers of the patches that training looks at, in order; None for all.
        boxes: [b, 4], of the positional embedding; None for the whole; see `VisionTower.tokens`.
    """

    images: Tensor
    captions: list[str]
    all_captions: list[list[str]]
    landmarks: list[list[dict[str, Any]]]
    sources: list[str]
    kept: Tensor | None = None
    boxes: Tensor | None = None

    def rows(self, rows: slice) -> "Batch":
        """Return some of the samples."""
        kept, boxes = (None if look is None else look[rows] for look in (self.kept, self.boxes))
        told = self.captions[rows], self.all_captions[rows], self.landmarks[rows], self.sources[rows]
        return Batch(self.images[rows], *told, kept, boxes)


@dataclass(frozen=True)
class SampleOrder:
    """Which pair each draw takes; six bytes a draw, so that hundreds of millions can be drawn.

    Attributes:
        names: The pair sets.
        sets: [n], of each draw, the number of its set in `names`.
        indices: [n], and its pair there.
    """

    names: tuple[str, ...]
    sets: NDArray[np.int16]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, place: int) -> tuple[str, int]:
        return self.names[self.sets[place]], int(self.indices[place])


def sample_order(
    sizes: Mapping[str, int],
    mix: Mapping[str, float],
    samples: int,
    seed: int,
    shards: Mapping[str, Sequence[NDArray[np.int64]]] | None = None,
) -> SampleOrder:
    """Return which pair each of `samples` draws takes.

    Each draw picks a set by its weight; a set's own draws run through it in epochs, each freshly shuffled,
    so that no pair is seen twice before all are seen once. Of a set in `shards` (the rows of each of its shards),
    an epoch shuffles the shards, and pairs among SHARDS_AT_ONCE of them at a time, so that few are held.
    """
    generator = np.random.default_rng(seed)
    names = list(mix)
    weights = np.array([mix[name] for name in names], dtype=np.float64)
    picks = generator.choice(len(names), size=samples, p=weights / weights.sum())
    taken = np.zeros(samples, np.int32)
    for number, name in enumerate(names):
        places = np.flatnonzero(picks == number)
        epochs = -(-len(places) // sizes[name]) if len(places) else 0
        own = (shards or {}).get(name) or [np.arange(sizes[name])]
        indices = np.concatenate([_epoch(own, generator) for _ in range(epochs)] or [np.empty(0, int)])
        taken[places] = indices[: len(places)]
    return SampleOrder(tuple(names), picks.astype(np.int16), taken)


def _epoch(shards: Sequence[NDArray[np.int64]], generator: np.random.Generator) -> NDArray[np.int64]:
    order = generator.permutation(len(shards))
    groups = [order[start : start + SHARDS_AT_ONCE] for start in range(0, len(order), SHARDS_AT_ONCE)]
    return np.concatenate([generator.permutation(np.concatenate([shards[one] for one in group])) for group in groups])


class _Sample(NamedTuple):
    caption: str
    all_captions: list[str]
    landmarks: list[dict[str, Any]]
    source: str


class BatchLoader:
    """Batches of one stage from step `first_step` on, prepared by threads.

    A pair that cannot be decoded is counted in `corrupt`, logged, and replaced by the next in order that can.
    What a sample is depends on its place in the order alone, not on workers or ranks.

    Args:
        sets: The pair sets by name.
        order: What `sample_order` returned.
        augment: Makes the pixels of a sample.
        rows: Which rows of each batch are prepared: those of this process; all if None.
        workers: Threads; 0 prepares a batch when it is asked for.
        patches: How many patches an image has, and how many of them training looks at; None for all.
        crop_positions: Whether each image gets a box of the positional embedding.
    """

    def __init__(
        self,
        sets: Mapping[str, PairSet],
        order: SampleOrder,
        *,
        batch_size: int,
        seed: int,
        augment: Augment,
        rows: range | None = None,
        workers: int = 0,
        patches: tuple[int, int] | None = None,
        crop_positions: bool = False,
    ) -> None:
        self.sets = sets
        self.order = order
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.rows = range(batch_size) if rows is None else rows
        self.workers = workers
        self.patches = patches
        self.crop_positions = crop_positions
        self.corrupt: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Yield the batches of steps `first_step`, `first_step` + 1, … of the stage."""
        if not self.workers:
            for step in range(first_step, len(self)):
                images = self._room()
                yield self._batch(step, images, self._samples(self._places(step), images))
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="batches")
        waiting: deque[tuple[int, Images, list[Future[list[_Sample]]]]] = deque()
        try:
            for step in range(first_step, len(self)):
                places, images = self._places(step), self._room()
                shares = [slice(worker, None, self.workers) for worker in range(min(self.workers, len(places)))]
                tasks = [pool.submit(self._samples, places[share], images[share]) for share in shares]
                waiting.append((step, images, tasks))
                if len(waiting) > _AHEAD:
                    yield self._gathered(*waiting.popleft())
            while waiting:
                yield self._gathered(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _places(self, step: int) -> list[int]:
        return [step * self.batch_size + row for row in self.rows]

    def _room(self) -> Images:
        return np.empty((len(self.rows), 3, self.augment.image_size, self.augment.image_size), np.float32)

    def _gathered(self, step: int, images: Images, shares: list[Future[list[_Sample]]]) -> Batch:
        parts = [share.result() for share in shares]
        samples = [parts[row % len(parts)][row // len(parts)] for row in range(len(self.rows))]
        return self._batch(step, images, samples)

    def _batch(self, step: int, images: Images, samples: Sequence[_Sample]) -> Batch:
        captions, every, landmarks, sources = map(list, zip(*samples, strict=True))
        kept = boxes = None
        if self.patches is not None or self.crop_positions:
            generators = [np.random.default_rng((self.seed, place, 1)) for place in self._places(step)]
            if self.patches is not None:
                patches, number = self.patches
                chosen = [np.sort(generator.permutation(patches)[:number]) for generator in generators]
                kept = torch.from_numpy(np.stack(chosen))
            if self.crop_positions:
                boxes = torch.tensor([_position_box(generator) for generator in generators])
        return Batch(torch.from_numpy(images), captions, every, landmarks, sources, kept, boxes)

    def _samples(self, places: Sequence[int], images: Images) -> list[_Sample]:
        return [self._sample(place, image) for place, image in zip(places, images, strict=True)]

    def _sample(self, place: int, image: Images) -> _Sample:
        """Write the sample's pixels into `image` [3, S, S]."""
        generator = np.random.default_rng((self.seed, place))
        for attempt in range(100):
            name, index = self.order[(place + attempt * self.batch_size) % len(self.order)]
            captions = self.sets[name].captions_of(index)
            caption = captions[generator.integers(len(captions))]
            try:
                pixels = self.augment(self.sets[name].read_jpegs([index])[0], caption, generator)
            except UNREADABLE as error:
                self.corrupt[name] += 1
                logger.warning("pair %s of %s is corrupt and is replaced: %s", index, name, str(error).splitlines()[0])
                continue
            self.augment.normalize(pixels, image)
            return _Sample(caption, captions, self.sets[name].landmarks_of(index), name)
        raise UserError(f"100 pairs in a row cannot be decoded; run `geomammut pairs check` on {', '.join(self.sets)}")


def _position_box(generator: np.random.Generator) -> tuple[float, float, float, float]:
    """Return a box of 0.1 to 1 of a square's area, up to twice as long as wide (RO-ViT, Kim et al. 2023, §3.1)."""
    area = generator.uniform(0.1, 1.0)
    aspect = 2.0 ** generator.uniform(-1.0, 1.0)
    width, height = min(1.0, (area * aspect) ** 0.5), min(1.0, (area / aspect) ** 0.5)
    left, top = generator.uniform(0, 1 - width), generator.uniform(0, 1 - height)
    return left, top, left + width, top + height
