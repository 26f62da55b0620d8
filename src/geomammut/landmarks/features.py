"""What every reader of a map gives: batches of features that can be seen from above, and a count of the others."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from geomammut.landmarks.taxonomy import Kind, Tags, Taxonomy, why_hidden

BROKEN = "broken geometry"
KINDS: tuple[tuple[Kind, ...], ...] = (("point",), ("line",), ("area", "line"), ())
"""How a feature could be taken: a node, an open line, a closed line or an area, a thing without a shape."""
POINT, LINE, CLOSED, SHAPELESS = range(4)
TAGS = pa.map_(pa.string(), pa.string())

Codes = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]
Geometries = npt.NDArray[np.object_]

_MEMO = 100_000
HIDDEN = -1

Answer = TypeVar("Answer")


class Verdict(NamedTuple):
    """What is to be said of a feature: its category, how to take it, or why it is hidden if a category fits it."""

    category: int
    is_area: bool
    hidden: str | None


class Batch(NamedTuple):
    """Features of a map that have a category; N of them.

    Attributes:
        ids: Strings [N].
        tags: TAGS [N].
        categories: Indices [N] into the taxonomy's `order`.
        is_area: Whether each is an area; its geometry may be a closed line, still to be filled.
        geometries: shapely geometries [N] in EPSG:4326.
    """

    ids: pa.Array
    tags: pa.MapArray
    categories: Codes
    is_area: Mask
    geometries: Geometries


Reader = Callable[[Path, "Sieve"], Iterator[Batch]]


@dataclass
class Sieve:
    """Lets through what can be seen from above and counts, by reason, what cannot.

    Attributes:
        taxonomy: What counts as visible.
        seen: Features asked about so far.
        dropped: Reason → count.
        notes: What a reader assumed about its source, in words for the user.
    """

    taxonomy: Taxonomy
    seen: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def sift(self, tags: pa.MapArray, kinds: Codes) -> tuple[Codes, Mask]:
        """Return each feature's category and whether it is an area; count the features without one.

        Args:
            tags: TAGS [N].
            kinds: Indices [N] into KINDS.

        Returns:
            Indices [N] into the taxonomy's `order`, HIDDEN for those dropped; booleans [N].
        """
        # Features by the million differ in few of the tags that decide, so each such set is judged once.
        self.seen += len(tags)
        decisive = pc.is_in(tags.keys, value_set=self._decisive)
        pairs = pc.binary_join_element_wise(tags.keys, tags.items, "=")
        starts = np.concatenate([[0], np.cumsum(decisive.to_numpy(zero_copy_only=False))])[tags.offsets.to_numpy()]
        groups = _groups(pc.filter(pairs, decisive), starts, kinds)
        verdicts = [_known(self._verdicts, text, self._judge, tags, kinds, row) for text, row in groups.members]
        for verdict, count in zip(verdicts, groups.sizes, strict=True):
            if verdict.hidden:
                self.dropped[verdict.hidden] += count
        nameless = np.array([verdict.category == HIDDEN and not verdict.hidden for verdict in verdicts], bool)
        rows = np.flatnonzero(nameless[groups.of])
        if len(rows):
            self._count_nameless(tags.take(pa.array(rows)), kinds[rows])
        categories = np.array([verdict.category for verdict in verdicts], np.int16)
        is_area = np.array([verdict.is_area for verdict in verdicts], bool)
        return categories[groups.of], is_area[groups.of]

    def _count_nameless(self, tags: pa.MapArray, kinds: Codes) -> None:
        """Count, by reason, features that no category fits; where a value decides nothing its key is enough."""
        decisive = pc.is_in(tags.keys, value_set=self._decisive)
        terms = pc.if_else(decisive, pc.binary_join_element_wise(tags.keys, tags.items, "="), tags.keys)
        groups = _groups(terms, tags.offsets.to_numpy(), kinds)
        for (text, row), count in zip(groups.members, groups.sizes, strict=True):
            self.dropped[_known(self._reasons, text, self.taxonomy.why_dropped, tags, kinds, row)] += count

    def _judge(self, tags: Tags, kinds: tuple[Kind, ...]) -> Verdict:
        found = self.taxonomy.classify(tags, kinds)
        hidden = why_hidden(tags) if found else None
        if found is None or hidden:
            return Verdict(HIDDEN, False, hidden)
        return Verdict(self._index[found[0].key], found[1] == "area", None)

    @cached_property
    def _decisive(self) -> pa.Array:
        return pa.array(sorted(self.taxonomy.decisive_keys))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {category.key: index for index, category in enumerate(self.taxonomy.order)}


class _Groups(NamedTuple):
    """Features that are alike: for each group its text and its first member's row, and its size; and whose is whose."""

    members: list[tuple[str, int]]
    sizes: list[int]
    of: npt.NDArray[np.int32]


def _groups(terms: pa.Array, starts: npt.NDArray[np.integer[Any]], kinds: Codes) -> _Groups:
    """Group features by kind and terms; those of feature i are `terms[starts[i]:starts[i + 1]]`."""
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), terms)
    joined = pc.binary_join_element_wise(pa.array(kinds).cast(pa.string()), pc.binary_join(lists, "\x1e"), "\x1e")
    encoded = joined.dictionary_encode()
    of = encoded.indices.to_numpy()
    texts = encoded.dictionary.to_pylist()
    _, first = np.unique(of, return_index=True)
    return _Groups(list(zip(texts, first.tolist(), strict=True)), np.bincount(of, minlength=len(texts)).tolist(), of)


def _known(
    memo: dict[str, Answer],
    text: str,
    ask: Callable[[Tags, tuple[Kind, ...]], Answer],
    tags: pa.MapArray,
    kinds: Codes,
    row: int,
) -> Answer:
    """Return what `memo` holds under `text`, else what `ask` says about the feature of `row`."""
    if text not in memo:
        if len(memo) >= _MEMO:
            memo.clear()
        memo[text] = ask(dict(tags[row].as_py()), KINDS[kinds[row]])
    return memo[text]
