"""The little English that captions need: articles, plurals, numbers, lists."""

import re
from collections.abc import Sequence
from functools import lru_cache

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()

# Heads that are not counted: "farmland", not "a farmland".
_MASS = set(
    "farmland cropland land grassland woodland scrubland scrub shrubland heathland parkland rangeland "
    "marshland wasteland water sand grass mud shingle gravel scree terrain rock snow ice vegetation "
    "greenery housing parking tundra machinery rubble soil turf".split()
)
_ENDS_IN_S = set("bus gas grass campus terminus pass glass mass fortress".split())  # one thing all the same
_IRREGULAR = {"aircraft": "aircraft", "leaf": "leaves", "wharf": "wharves", "shelf": "shelves"}
_SOFT_U = re.compile(r"^(uni|use|usu|ure|eu|one\b|once)", re.IGNORECASE)
_SILENT_H = re.compile(r"^(hour|heir|honest)", re.IGNORECASE)
_HEAD = re.compile(r" (?:of|with|for|under|in|on|along|at|without|above|below|and) ")


def bare(phrase: str) -> str:
    """Return `phrase` without an article in front."""
    return re.sub(r"^(an?|the|some) ", "", phrase.strip())


def _split_head(phrase: str) -> tuple[str, str]:
    found = _HEAD.search(phrase)
    return (phrase, "") if found is None else (phrase[: found.start()], phrase[found.start() :])


def is_plural(phrase: str) -> bool:
    """Tell whether a phrase names several things already ("train tracks")."""
    head = _split_head(phrase)[0].rsplit(" ", 1)[-1].lower()
    return head.endswith("s") and not head.endswith("ss") and head not in _ENDS_IN_S


def is_mass(phrase: str) -> bool:
    """Tell whether a phrase names stuff rather than things ("farmland")."""
    return _split_head(phrase)[0].rsplit(" ", 1)[-1].lower() in _MASS


@lru_cache(maxsize=4096)
def plural(phrase: str) -> str:
    """Return the plural: "field of solar panels" → "fields of solar panels"; stuff stays as it is."""
    if is_plural(phrase) or is_mass(phrase):
        return phrase
    head, rest = _split_head(phrase)
    before, _, noun = head.rpartition(" ")
    if noun in _IRREGULAR:
        many = _IRREGULAR[noun]
    elif re.search(r"[^aeiou]y$", noun):
        many = noun[:-1] + "ies"
    elif re.search(r"(s|x|z|ch|sh)$", noun):
        many = noun + "es"
    else:
        many = noun + "s"
    return f"{before} {many}".lstrip() + rest


@lru_cache(maxsize=4096)
def with_article(phrase: str) -> str:
    """Return "a dam", "an orchard", "farmland", "train tracks"."""
    if is_plural(phrase) or is_mass(phrase):
        return phrase
    vowel = (phrase[:1].lower() in "aeiou" and not _SOFT_U.match(phrase)) or _SILENT_H.match(phrase)
    return f"{'an' if vowel else 'a'} {phrase}"


def listing(items: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def sentence(text: str) -> str:
    """Return `text` with a capital in front and a full stop at the end."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
