"""Where the right items rank, by blocks of scores: the table of all scores is never held."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.progress import track

# A block of scores (16 MB), and as many comparisons, stay in a server's L3 cache.
_IMAGES_AT_ONCE, _TEXTS_AT_ONCE = 1024, 4096
_LONG = 1 << 31  # so many scores take long enough for a progress bar: some 20 seconds


@dataclass(frozen=True)
class Ranks:
    """Where the best right item of each of Q queries stands.

    Attributes:
        before: Wrong items that rank before it, with a score of at least its own, [Q].
        tied: Those of them with exactly its score, [Q].
    """

    before: NDArray[np.int64]
    tied: NDArray[np.int64]


def rank(images: Tensor, texts: Tensor, right: NDArray[np.int64]) -> tuple[Ranks, Ranks]:
    """Rank all texts for each image, and all images for each text, by inner products in float32.

    A block of scores is made once for both directions, and once before that if it holds a right pair, whose
    score the others are compared with. Equal embeddings are scored once, so that they tie to the last bit
    wherever they stand.

    Args:
        images: [I, E].
        texts: [T, E].
        right: Pairs (image, text) that belong together, [N, 2], each once; every image and every text has one.

    Returns:
        The ranks of each image's texts [I], and of each text's images [T].

    Raises:
        ValueError: An image or text without a right partner, or embeddings that are not finite.
    """
    blocks = _Blocks(_Side(images, right[:, 0]), _Side(texts, right[:, 1]))
    blocks.read_right_scores()
    blocks.count()
    return blocks.images.ranks(), blocks.texts.ranks()


class _Side:
    """The images or the texts, as rows of the table of scores: its distinct embeddings.

    Attributes:
        rows: The distinct embeddings in order of first appearance, [U, E].
        copies: How many items each row stands for, [U].
        right_rows: The row of each right pair's item, [N].
        right_scores: The score of each right pair, [N].
        best: The score of each item's best right partner, [Q].
    """

    def __init__(self, embeddings: Tensor, partners: NDArray[np.int64]) -> None:
        whole = embeddings.detach().float().cpu()
        if not np.isfinite(whole.numpy()).all():
            raise ValueError("embeddings must be finite")
        if len(np.unique(partners)) < len(whole):
            raise ValueError("every query needs at least one right item")
        first, self._row = _distinct_rows(whole)
        self.rows = whole if len(first) == len(whole) else whole[torch.from_numpy(first)]
        self.copies = torch.from_numpy(np.bincount(self._row)).float()
        self.right_rows = self._row[partners]
        self._partners = torch.from_numpy(np.ascontiguousarray(partners))
        self._items = np.argsort(self._row, kind="stable")
        self._ends = np.searchsorted(self._row[self._items], np.arange(len(first) + 1))
        self._at_least = torch.zeros(len(whole), dtype=torch.int64)
        self._equal = torch.zeros(len(whole), dtype=torch.int64)

    def expect(self, right_scores: Tensor) -> None:
        """Take the scores of the right pairs, [N], which others shall be compared with."""
        self.right_scores = right_scores
        lowest = torch.full(self._at_least.shape, -torch.inf)
        self.best = lowest.scatter_reduce(0, self._partners, right_scores, "amax")

    def count(self, scores: Tensor, first: int, copies: Tensor) -> None:
        """Count what reaches the best right score, and what equals it.

        Args:
            scores: Of the rows from `first` on with some of the other side's, [u, v].
            first: The first row.
            copies: How many items each of the other side's rows stands for, [v].
        """
        for items, expanded in self._expanded(scores, first):
            limits = self.best[items, None]
            hits = torch.ge(expanded, limits, out=torch.empty_like(expanded))
            self._at_least[items] += (hits @ copies).long()
            torch.eq(expanded, limits, out=hits)
            self._equal[items] += (hits @ copies).long()

    def ranks(self) -> Ranks:
        """Return the counts without the right items, none of which passes the best of them."""
        is_best = self.right_scores == self.best[self._partners]
        right = torch.bincount(self._partners[is_best], minlength=len(self.best))
        return Ranks((self._at_least - right).numpy(), (self._equal - right).numpy())

    def _expanded(self, scores: Tensor, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield items, and the scores of each of them: a row once for every item it stands for."""
        items = torch.from_numpy(self._items[self._ends[first] : self._ends[first + len(scores)]])
        if len(items) == len(scores):
            yield items, scores
            return
        local = torch.from_numpy(self._row)[items] - first
        for some in torch.split(torch.arange(len(items)), max(1, _IMAGES_AT_ONCE * _TEXTS_AT_ONCE // scores.shape[1])):
            yield items[some], scores[local[some]]


class _Blocks:
    """The table of scores of images and texts, a block at a time."""

    def __init__(self, images: _Side, texts: _Side) -> None:
        self.images, self.texts = images, texts
        self._scores = torch.empty(
            min(_IMAGES_AT_ONCE, len(images.rows)) * min(_TEXTS_AT_ONCE, len(texts.rows)), dtype=torch.float32
        )

    def _block(self, image: int, text: int) -> Tensor:
        """Return the scores from one row and column on; the same block comes out the same to the last bit."""
        images = self.images.rows[image : image + _IMAGES_AT_ONCE]
        texts = self.texts.rows[text : text + _TEXTS_AT_ONCE]
        scores = self._scores[: len(images) * len(texts)].view(len(images), len(texts))
        return torch.mm(images, texts.T, out=scores)

    def read_right_scores(self) -> None:
        """Score the right pairs, in the blocks that hold any; texts mostly stand in the order of their images."""
        row, column = self.images.right_rows, self.texts.right_rows
        right_scores = torch.empty(len(row))
        blocks = np.stack([row // _IMAGES_AT_ONCE, column // _TEXTS_AT_ONCE])
        order = np.lexsort(blocks[::-1])
        changes = np.flatnonzero(np.diff(blocks[:, order], axis=1).any(0)) + 1
        for pairs in np.split(order, changes):
            image, text = blocks[:, pairs[0]] * (_IMAGES_AT_ONCE, _TEXTS_AT_ONCE)
            scores = self._block(int(image), int(text))
            right_scores[pairs] = scores[row[pairs] - image, column[pairs] - text]
        self.images.expect(right_scores)
        self.texts.expect(right_scores)

    def count(self) -> None:
        """Compare all scores with those of the right pairs."""
        starts = range(0, len(self.images.rows), _IMAGES_AT_ONCE)
        is_long = len(self.images.rows) * len(self.texts.rows) > _LONG
        for image in track(starts, "ranking") if is_long else starts:
            for text in range(0, len(self.texts.rows), _TEXTS_AT_ONCE):
                scores = self._block(image, text)
                self.images.count(scores, image, self.texts.copies[text : text + scores.shape[1]])
                self.texts.count(scores.T, text, self.images.copies[image : image + scores.shape[0]])


def _distinct_rows(embeddings: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the index of the first of each distinct row [U], and each row's place among them [N]."""
    places: dict[bytes, int] = {}
    first: list[int] = []
    place = np.empty(len(embeddings), np.int64)
    for index, row in enumerate(embeddings.numpy()):
        key = blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()  # −0 becomes 0
        place[index] = places.setdefault(key, len(first))
        if place[index] == len(first):
            first.append(index)
    return np.array(first, np.int64), place
