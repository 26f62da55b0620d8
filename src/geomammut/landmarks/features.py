"""What every reader of a map gives: features that can be seen from above, and a count of the others."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shapely.geometry.base import BaseGeometry

from geomammut.landmarks.taxonomy import Category, Kind, Tags, Taxonomy, why_hidden

BROKEN = "broken geometry"


class Feature(NamedTuple):
    """One feature of a map that has a category.

    `geometry` is a shapely geometry or WKB (hexadecimal), in EPSG:4326; with `kind` "area" it may be a
    closed line, still to be filled.
    """

    id: str
    tags: dict[str, str]
    category: Category
    kind: Kind
    geometry: BaseGeometry | str


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

    def classify(self, tags: Tags, kinds: tuple[Kind, ...]) -> tuple[Category, Kind] | None:
        """Return the category and the way to take the feature, or None after counting why not."""
        self.seen += 1
        found = self.taxonomy.classify(tags, kinds)
        reason = why_hidden(tags) if found else self.taxonomy.why_dropped(tags, kinds)
        if reason is not None:
            self.dropped[reason] += 1
            return None
        return found


Reader = Callable[[Path, Sieve], Iterator[Feature]]
