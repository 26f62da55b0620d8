"""Which map features can be seen from above, and what a person would call them."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

Kind = Literal["area", "line", "point"]
Tags = Mapping[str, str]

LIFECYCLE = frozenset(
    "abandoned construction demolished destroyed disused historic planned proposed razed removed was".split()
)
# What a feature carries without being a thing of its own.
_DESCRIPTIVE = frozenset(
    "area attribution created_by fixme height id layer level name note osm_id ref source start_date surface "
    "timestamp url version website wikidata wikipedia".split()
)
_INSIDE_BUILDINGS = ("shop", "office", "amenity", "tourism", "craft", "healthcare", "leisure", "club")
NOT_THERE = "gone, disused or not yet built"
_YES = frozenset({"yes"})
_UNBOUNDED_RELATIONS = frozenset(
    "route route_master superroute boundary restriction site network street associatedStreet waterway "
    "public_transport destination_sign destinationsign enforcement surveillance".split()
)
# What `why_hidden` and `why_dropped` ask after besides.
_GONE = ("proposed", "planned", "demolished", "destroyed", "razed", "removed")
_HIDING_KEYS = frozenset(
    ("tunnel", "location", "parking", "layer", "indoor", "covered", "building", "highway", "railway", "type", *_GONE)
)


@dataclass(frozen=True)
class Rule:
    """Tags that must all hold: key → accepted values (None: any but `no`), and values that must not."""

    required: tuple[tuple[str, frozenset[str] | None], ...]
    forbidden: tuple[tuple[str, frozenset[str] | None], ...] = ()

    @property
    def specificity(self) -> tuple[int, int]:
        """How many exact tags, then how many tags at all."""
        return (sum(values is not None for _, values in self.required), len(self.required))

    def holds(self, tags: Tags) -> bool:
        return all(_has(tags, key, values) for key, values in self.required) and not any(
            _has(tags, key, values) for key, values in self.forbidden
        )


@dataclass(frozen=True)
class Category:
    """A kind of thing that can be seen from above.

    Attributes:
        key: Its name in the landmark table, such as `soccer_field`.
        phrase: Singular noun phrase without article, such as "soccer field".
        kinds: How it must be mapped, the preferred kind first.
        min_visible_gsd_m: Coarsest ground sample distance (metres per pixel) at which it can be seen.
        rules: Tags that make a feature one of these; any rule suffices.
    """

    key: str
    phrase: str
    kinds: tuple[Kind, ...]
    min_visible_gsd_m: float
    rules: tuple[Rule, ...]


class Taxonomy:
    """The categories, found by tags.

    Attributes:
        categories: key → category, in the order of the file.
        order: The categories as a sequence.
        keys: Every map key that some rule requires, such as `landuse`.
        decisive_keys: Every map key whose value bears on what a feature is and whether it is hidden.
    """

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self.categories = dict(categories)
        # A rule is tried only where the tag it names first is there: first key → value → rules, best first.
        self._by_tag: dict[tuple[str, str | None], list[tuple[tuple[int, int, int], Rule, Category]]] = {}
        for order, category in enumerate(self.categories.values()):
            for rule in category.rules:
                exact, length = rule.specificity
                rank = (-exact, -length, order)
                key, values = rule.required[0]
                for value in values if values is not None else (None,):
                    self._by_tag.setdefault((key, value), []).append((rank, rule, category))
        self.order = tuple(self.categories.values())
        rules = [rule for category in self.order for rule in category.rules]
        self.keys = frozenset(key for rule in rules for key, _ in rule.required)
        self.decisive_keys = self.keys | {key for rule in rules for key, _ in rule.forbidden} | _HIDING_KEYS

    def __len__(self) -> int:
        return len(self.categories)

    def classify(self, tags: Tags, kinds: tuple[Kind, ...]) -> tuple[Category, Kind] | None:
        """Return the category that fits `tags` best and how the feature is to be taken, or None.

        Args:
            tags: The feature's OpenStreetMap tags.
            kinds: How the feature could be taken; a closed way, for one, as ("area", "line").
        """
        best: tuple[tuple[int, int, int], Category] | None = None
        for rank, category in self._fitting(tags):
            if (best is None or rank < best[0]) and any(kind in category.kinds for kind in kinds):
                best = (rank, category)
        if best is None:
            return None
        category = best[1]
        return category, next(kind for kind in category.kinds if kind in kinds)

    def why_dropped(self, tags: Tags, kinds: tuple[Kind, ...]) -> str:
        """Return why a feature that has no category is left out, in words for the user's table."""
        if tags.get("type") in _UNBOUNDED_RELATIONS or any(key in tags for key in ("route", "boundary")):
            return "a route, boundary or other thing without a body"
        if any(prefix in LIFECYCLE for prefix, colon, _ in (key.partition(":") for key in tags) if colon) or (
            {tags.get("highway"), tags.get("railway"), tags.get("building")}
            & {"proposed", "construction", "abandoned", "razed", "demolished"}
        ):
            return NOT_THERE
        if next(self._fitting(tags), None) is not None:
            return f"mapped as a {kinds[-1] if kinds else 'relation'} only: its extent is unknown"
        if "point" in kinds and any(key in tags for key in _INSIDE_BUILDINGS):
            return "a place inside a building, or too small to see"
        things = [key for key in tags if key not in _DESCRIPTIVE and not key.startswith(("name:", "source:"))]
        if things and all(key.startswith("addr:") or key == "entrance" for key in things):
            return "an address"
        return "nothing that can be seen from above" if things else "no tags"

    def _fitting(self, tags: Tags) -> Iterator[tuple[tuple[int, int, int], Category]]:
        for key, value in tags.items():
            if key not in self.keys:
                continue
            values = value.split(";") if ";" in value else (value,)
            for wanted in (*(part.strip() for part in values), None):
                for rank, rule, category in self._by_tag.get((key, wanted), ()):
                    if rule.holds(tags):
                        yield rank, category


def why_hidden(tags: Tags) -> str | None:
    """Return why nothing of a feature can be seen from above whatever it is, or None if it can."""
    if _has(tags, "tunnel", None) or "underground" in (tags.get("location"), tags.get("parking")):
        return "underground"
    layer = tags.get("layer", "")
    # Whole rivers are mapped below the bridges over them.
    is_water = "waterway" in tags or tags.get("natural") == "water"
    if layer.startswith("-") and layer[1:].strip().isdigit() and int(layer[1:]) > 0 and not is_water:
        return "underground"
    if any(_has(tags, key, _YES) for key in _GONE):
        return NOT_THERE
    if _has(tags, "indoor", None) or tags.get("location") == "indoor" or tags.get("highway") == "corridor":
        return "indoor"
    if _has(tags, "covered", None) and "building" not in tags:
        return "under a roof"
    return None


def _has(tags: Tags, key: str, values: frozenset[str] | None) -> bool:
    value = tags.get(key)
    if value is None:
        return False
    if values is None:
        return value != "no"
    return value in values or (";" in value and any(part.strip() in values for part in value.split(";")))


@cache
def load_taxonomy() -> Taxonomy:
    """Return the taxonomy that comes with the package (`taxonomy.toml`)."""
    text = resources.files(__package__).joinpath("taxonomy.toml").read_text(encoding="utf-8")
    return Taxonomy({key: _category(key, entry) for key, entry in tomllib.loads(text).items()})


def _category(key: str, entry: dict[str, object]) -> Category:
    tags, kinds, gsd = entry["tags"], entry["geometry"], entry["gsd"]
    assert isinstance(tags, list) and isinstance(kinds, list) and isinstance(gsd, float)
    return Category(
        key=key,
        phrase=str(entry["phrase"]),
        kinds=tuple(kinds),
        min_visible_gsd_m=gsd,
        rules=tuple(_rule(str(text)) for text in tags),
    )


def _rule(text: str) -> Rule:
    required: list[tuple[str, frozenset[str] | None]] = []
    forbidden: list[tuple[str, frozenset[str] | None]] = []
    for term in text.split():
        key, _, value = term.removeprefix("!").partition("=")
        values = None if value == "*" else frozenset(value.split("|"))
        (forbidden if term.startswith("!") else required).append((key, values))
    return Rule(tuple(required), tuple(forbidden))
