"""The words of a caption, and which of them name things that the taxonomy knows."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.pairs import english

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]")
_HYPHENS = frozenset("-‐‑–")
_BRITISH = {
    "harbor": "harbour",
    "harbors": "harbours",
    "center": "centre",
    "centers": "centres",
    "neighborhood": "neighbourhood",
    "neighborhoods": "neighbourhoods",
    "plowed": "ploughed",
    "gray": "grey",
    "story": "storey",
    "meter": "metre",
    "meters": "metres",
    "theater": "theatre",
    "parkings": "parking",
}


# Heads of phrases that mostly mean something else: "a green plain", "stands in line", "a road crossing a river".
_OTHER_WORDS = frozenset(
    "area bay bed belt centre circle course crossing flat green ground heap lane line lot plot site slope stand "
    "well".split()
)


@dataclass(frozen=True)
class Token:
    """A word, number or mark of a caption: lower case, British spelling; `start`:`end` in the caption."""

    text: str
    start: int
    end: int
    hyphened: bool  # a hyphen ties it to the next word


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a caption; hyphens within words are no tokens of their own."""
    found = list(_TOKEN.finditer(text))
    tokens = []
    for number, match in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        if match.group() in _HYPHENS and number and found[number - 1].end() == match.start():
            continue
        tied = following is not None and following.group() in _HYPHENS and following.start() == match.end()
        word = match.group().lower()
        tokens.append(Token(_BRITISH.get(word, word), match.start(), match.end(), tied))
    return tokens


@dataclass(eq=False)
class Sense:
    """What a phrase can stand for.

    Attributes:
        phrase: It, in the singular.
        named: Categories that it names.
        implied: Categories that justify it without being counted by it: a runway says "airport".
        loose: Whether the map's silence proves nothing: trees, cars, roads.
        part: Whether it only belongs to something else: roofs, shadows.
    """

    phrase: str
    named: set[str] = field(default_factory=set)
    implied: set[str] = field(default_factory=set)
    loose: bool = False
    part: bool = False


@dataclass(frozen=True)
class Mention:
    """A thing that a caption names, in its tokens `first`:`last` and characters `start`:`end`."""

    first: int
    last: int
    start: int
    end: int
    sense: Sense
    plural: bool  # said of several; False also for words that do not tell


class Lexicon:
    """Every phrase that names a category, singular and plural, found in running text."""

    def __init__(self, phrases: Iterable[tuple[str, str]] = ()) -> None:
        """`phrases` are pairs (category, phrase) besides the taxonomy's own."""
        self._senses: dict[str, Sense] = {}
        self._forms: dict[tuple[str, ...], tuple[Sense, bool]] = {}
        words = _load()
        known = [(category.key, category.phrase) for category in load_taxonomy().categories.values()]
        for category, phrase in [*known, *phrases]:
            self._sense(phrase).named.add(category)
        for category, synonyms in words["synonyms"].items():
            for phrase in synonyms:
                self._sense(phrase).named.add(category)
        for phrase, categories in words["wider"].items():
            self._sense(phrase).named.update(categories)
        for phrase, categories in words["implied"].items():
            self._sense(phrase).implied.update(categories)
        for category, held in words["within"].items():
            for phrase in held:
                self._sense(phrase).implied.add(category)
        for phrase in words["surroundings"]["words"]:
            self._sense(phrase).loose = True
        for phrase in words["surroundings"]["parts"]:
            self._sense(phrase).loose = self._sense(phrase).part = True
        self._add_heads(known)
        self._longest = max(len(form) for form in self._forms)
        self.words = frozenset(word for form in self._forms for word in form)

    def _sense(self, phrase: str) -> Sense:
        singular = " ".join(token.text for token in tokens_of(english.bare(phrase)))
        if singular in self._senses:
            return self._senses[singular]
        form = tuple(singular.split())
        if form in self._forms:  # "gardens", of "allotment gardens", are gardens
            return self._forms[form][0]
        self._senses[singular] = sense = Sense(singular)
        self._forms[form] = (sense, False)
        many = english.plural(singular)
        self._forms.setdefault(tuple(many.split()), (sense, many != singular))
        return sense

    def _add_heads(self, known: Sequence[tuple[str, str]]) -> None:
        """ "Tanks" may mean storage tanks; but where a noun is a category of its own, it means that."""
        for category, phrase in known:
            if " of " in phrase or " " not in phrase:
                continue
            head = english.bare(phrase).lower().rsplit(" ", 1)[-1]
            if head in _OTHER_WORDS:
                continue
            new = (head,) not in self._forms
            sense = self._sense(head)
            sense.loose |= new
            (sense.named if sense.loose else sense.implied).add(category)

    def mentions(self, tokens: Sequence[Token]) -> list[Mention]:
        """Return what `tokens` name, longest phrases first, none within another."""
        texts = [token.text for token in tokens]
        found = []
        first = 0
        while first < len(texts):
            for last in range(min(len(texts), first + self._longest), first, -1):
                hit = self._forms.get(tuple(texts[first:last]))
                if hit is not None:
                    found.append(Mention(first, last, tokens[first].start, tokens[last - 1].end, *hit))
                    first = last - 1
                    break
            first += 1
        return found


@cache
def _load() -> dict[str, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
