"""How many of a thing a caption says there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from geomammut.pairs import english
from geomammut.pairs.claims.lexicon import Mention, Token

_MANY = 10**9
_UNITS = {word: number for number, word in enumerate(english.NUMBERS)}
_TENS = {
    word: 10 * number for number, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), start=3)
} | {"twenty": 20}
_EXACT = {"pair": 2, "couple": 2, "single": 1, "lone": 1, "solitary": 1, "sole": 1, "twin": 2, "trio": 3, "both": 2}
_RANGES = {
    **dict.fromkeys(("no", "without", "any"), (0, 0)),
    **dict.fromkeys(("multiple", "several"), (2, _MANY)),
    **dict.fromkeys(("various",), (3, _MANY)),
    "few": (2, 12),
    "handful": (2, 9),
    **dict.fromkeys(("many", "numerous", "countless"), (5, _MANY)),
    "dozen": (10, 15),
    **dict.fromkeys(("dozens", "scores"), (18, _MANY)),
    "hundreds": (90, _MANY),
    "thousands": (900, _MANY),
    # What takes more than one to make.
    **dict.fromkeys(("row", "group", "cluster", "series", "line", "rows", "groups", "clusters", "lines"), (2, _MANY)),
}
_ARRANGED = frozenset("row group cluster series line rows groups clusters lines".split())
_COLLECTIVES = _ARRANGED | set("pair couple trio dozen dozens scores hundreds thousands handful".split())
# Words that end the reach of a number: "two roads and a pond" does not count ponds.
_STOPS = frozenset(
    "and or with in on at by to from inside within around through over under next between beside along near "
    "crossing is are while has have shows features where which that its their this each".split()
) | set(".;:()!?")
_REACH = 8


@dataclass(frozen=True)
class Quantity:
    """A number that a caption states: at least `low`, at most `high` things."""

    low: int
    high: int
    words: str


def quantity_of(tokens: Sequence[Token], mention: Mention, taken: Sequence[bool]) -> Quantity | None:
    """Return the number said of a mention, with adjectives between; None if there is none.

    `taken` tells which tokens belong to some mention: no number reaches across another thing.
    """
    of = False  # "a row of tanks" counts tanks, "three rows of tanks" rows
    at = mention.first - 1
    while at >= max(0, mention.first - _REACH):
        word = tokens[at].text
        if word in _STOPS or taken[at]:
            return None
        if word == "of":
            of = True
        elif word in ("a", "an", "the"):  # "one of the ponds": of how many is not said
            return None
        elif not tokens[at].hyphened or tokens[at + 1].text in _UNITS:
            said = _number(tokens, at)
            if said is not None:
                counts = word in _COLLECTIVES if of else word not in _ARRANGED
                return said if counts else None
        at -= 1
    return None


def _number(tokens: Sequence[Token], at: int) -> Quantity | None:
    word = tokens[at].text
    before = [token.text for token in tokens[max(0, at - 2) : at]]
    if word in ("dozen", "dozens") and "half" in before:
        return Quantity(5, 7, "half a dozen")
    if word == "one" and at + 1 < len(tokens) and tokens[at + 1].text in ("sees", "can", "of"):
        return None
    number = _value(word, before[-1] if before else "")
    if number is not None:
        # A person who counts many may well be one in five off.
        slack = 0 if number <= 6 else round(0.2 * number)
        return Quantity(number - slack, number + slack, word)
    if word in _RANGES and (word != "any" or before[-1:] == ["without"]):
        return Quantity(*_RANGES[word], word)
    return None


def _value(word: str, before: str) -> int | None:
    if word.isdigit():
        return int(word) if len(word) < 7 else None
    if word in _UNITS:
        return _UNITS[word] + (_TENS.get(before, 0) if 0 < _UNITS[word] < 10 else 0)
    return _TENS.get(word, _EXACT.get(word))
