"""The check of a caption against what the map and the geometry say is in the chip.

It reads a caption as a list of words, finds the things that the taxonomy knows ("mentions"), and asks
of each: is it there, are there that many, is it where the caption says? Words that the taxonomy does
not know are let pass, since a writer that sees the image may describe more than the map holds.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely

from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.pairs import english
from geomammut.pairs.positions import REGIONS, Region
from geomammut.pairs.visible import ChipContents, Kind

VERSION = "grounding-1"

FaultKind = Literal[
    "empty or too long",
    "prompt echo",
    "map-speak",
    "measurement",
    "place name",
    "wrong category",
    "wrong count",
    "wrong direction",
    "no landmark",
]

_REASONS: dict[FaultKind, str] = {
    "empty or too long": "A caption has between two and eighty words.",
    "prompt echo": "It repeats the task or its wording instead of describing the picture.",
    "map-speak": "It speaks of maps, tags or data, which cannot be seen in the picture.",
    "measurement": "It states a size in figures, which cannot be read from the picture.",
    "place name": "It holds a name, which cannot be seen in the picture.",
    "wrong category": "It names a thing that is not in the picture.",
    "wrong count": "It states a wrong number of things.",
    "wrong direction": "It puts a thing where it is not.",
    "no landmark": "It names none of the listed things.",
}
_MAX_WORDS = 80
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]")
_ECHO = re.compile(
    r"[{}<>\[\]]|```|\b(as an ai|language model|i (can ?not|can't|am unable)|captions?\b|json|the prompt|"
    r"landmarks? (list|data|given|provided)|(previous|above|these) instructions|according to the|"
    r"provided (list|data|image))",
    re.IGNORECASE,
)
_MAP_SPEAK = re.compile(
    r"\b(osm|openstreetmap|overture|geojson|map (data|features?)|tagged|polygons?|linestrings?|bounding box|"
    r"node \d+|way \d+|coordinates?|latitude|longitude|pixels?|utm|epsg)\b|"
    r"\b\w+=\w+|\b[a-z]+_[a-z_]+\b|\b[a-z]+:[a-z]+",
    re.IGNORECASE,
)
_TENS = "thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
_NUMBER = rf"(?:\d[\d.,]*|{'|'.join(english.NUMBERS)}|{_TENS})"
_MEASURE = re.compile(
    rf"\b\d[\d.,]*\s?-?(?:m|km|cm|m2|m²|km²|ha|ft|mi|%)(?!\w)|"
    rf"\b{_NUMBER}[\s-]+(?:square[\s-]+)?(?:kilo|centi)?(?:met(?:re|er)|foot|feet|mile|hectare|acre|percent)s?\b|"
    rf"\b{_NUMBER}[\s-]+yards?[\s-](?:long|wide|across|high|deep|apart)\b",
    re.IGNORECASE,
)
# Too common and too rarely mapped in full for their absence from the map to prove a writer wrong.
_GENERIC = (
    "building",
    "road",
    "street",
    "path",
    "tree",
    "single tree",
    "row of trees",
    "house",
    "lawn",
    "wall",
    "fence",
    "hedge",
)
_AT_LEAST = {
    **dict.fromkeys(("several", "various"), 3),
    **dict.fromkeys(("many", "numerous", "countless"), 5),
    **dict.fromkeys(("dozens", "scores"), 18),
}
_EXACT = {word: number for number, word in enumerate(english.NUMBERS) if number} | {
    "pair": 2,
    "couple": 2,
    "single": 1,
}
# Words that end the reach of a number: "two roads and a pond" does not count ponds.
_STOPS = frozenset(
    "and or with in on at by to from inside within around through over under next between beside along near "
    "crossing a an the is are while".split()
) | set(",.;:()!?")
_CAPITALS_ALLOWED = frozenset("I A An The American T U L X Y H S Olympic January".split())
_ORDINARY = frozenset(
    "aerial across along around beside between from here image near next overhead over seen several some "
    "surrounded there this two three four five six seven eight nine many numerous view with within".split()
)
_DIRECTION = re.compile(
    r"\b(?:in|at|on|along|near|towards?|to|occup(?:ies|ying)|across|into|down|from)\s+the\s+(?:image's\s+|far\s+|extreme\s+)?"
    r"(?P<where>(?:upper|lower|top|bottom|north|south|east|west|northern|southern|eastern|western|central|middle)"
    r"(?:[\s-]?(?:left|right|centre|center|east|west|eastern|western)(?:ern)?(?:-hand)?)?"
    r"|left|right|left-hand|right-hand|centre|center)\b(?!\s+of\s+(?!(?:the|this)\s+(?:image|picture|photo|scene|frame|view)))",
    re.IGNORECASE,
)
_COMPASS = {"north": "top", "south": "bottom", "east": "right", "west": "left"}


@dataclass(frozen=True)
class Fault:
    """Something wrong with a caption.

    Attributes:
        kind: What sort of fault it is.
        reason: A sentence that says what is wrong, fit to be sent to whoever shall write the caption anew.
    """

    kind: FaultKind
    reason: str


@dataclass(frozen=True)
class Mention:
    """A thing that a caption names: words `start`:`end` of its tokens, and what they can stand for."""

    start: int
    end: int
    categories: frozenset[str]
    head: str  # the singular phrase


class Lexicon:
    """Every phrase that names a category, singular and plural, found in running text."""

    def __init__(self, phrases: Iterable[tuple[str, str]] = ()) -> None:
        """`phrases` are pairs (category, phrase) besides the taxonomy's own."""
        known = [(category.key, category.phrase) for category in load_taxonomy().categories.values()]
        self._forms: dict[tuple[str, ...], tuple[str, set[str]]] = {}
        for category, phrase in [*known, *phrases, *(("", phrase) for phrase in _GENERIC)]:
            singular = english.bare(phrase).lower()
            for form in (singular, english.plural(singular)):
                self._forms.setdefault(tuple(_words(form)), (singular, set()))[1].add(category)
        # "tanks" may mean storage tanks; but where a noun is a category of its own, it means that.
        for phrase in [phrase for _, phrase in known]:
            head = english.bare(phrase).lower().rsplit(" ", 1)[-1]
            if " of " not in phrase:
                for form in (head, english.plural(head)):
                    self._forms.setdefault((form,), (head, {""}))
        self._longest = max(len(form) for form in self._forms)
        self.words = frozenset(word for form in self._forms for word in form)

    def mentions(self, tokens: Sequence[str]) -> list[Mention]:
        """Return what `tokens` (lower case) name, longest phrases first, none within another."""
        found = []
        start = 0
        while start < len(tokens):
            for end in range(min(len(tokens), start + self._longest), start, -1):
                hit = self._forms.get(tuple(tokens[start:end]))
                if hit is not None:
                    found.append(Mention(start, end, frozenset(hit[1]), hit[0]))
                    start = end - 1
                    break
            start += 1
        return found


def check_caption(caption: str, contents: ChipContents, lexicon: Lexicon) -> tuple[Fault, ...]:
    """Return what is wrong with `caption`, given what is in its chip; nothing if it is grounded."""
    words = caption.split()
    if not 2 <= len(words) <= _MAX_WORDS:
        return (Fault("empty or too long", _REASONS["empty or too long"]),)
    faults: Counter[FaultKind] = Counter()
    faults["prompt echo"] += _ECHO.search(caption) is not None
    faults["map-speak"] += _MAP_SPEAK.search(caption) is not None
    faults["measurement"] += _MEASURE.search(caption) is not None
    faults["place name"] += _names_a_place(caption, contents, lexicon)
    spans = [(match.start(), match.group()) for match in _TOKEN.finditer(caption)]
    tokens = [text.lower() for _, text in spans]
    mentions = lexicon.mentions(tokens)
    supported = [(mention, kinds) for mention in mentions if (kinds := _kinds_named(mention, contents))]
    faults["wrong category"] += any(
        not _kinds_named(mention, contents) and "" not in mention.categories for mention in mentions
    )
    faults["wrong count"] += any(_miscounts(tokens, mention, kinds) for mention, kinds in supported)
    starts = [start for start, _ in spans]
    faults["wrong direction"] += any(
        not _stands_in(region, kinds, contents) for region, kinds in _directions(caption, starts, supported)
    )
    faults["no landmark"] += not supported
    return tuple(Fault(kind, _REASONS[kind]) for kind, count in faults.items() if count)


def _words(text: str) -> list[str]:
    return [match.group() for match in _TOKEN.finditer(text.lower())]


def _kinds_named(mention: Mention, contents: ChipContents) -> list[Kind]:
    """Return the kinds in the chip that a mention may mean: its own, or those it names more loosely.

    "road" may mean a main road, "tank" a storage tank; "soccer field" never a baseball field.
    """
    return [
        kind
        for kind in contents.kinds
        if kind.category in mention.categories
        or kind.phrase.lower() == mention.head
        or kind.phrase.lower().endswith(f" {mention.head}")
    ]


def _miscounts(tokens: Sequence[str], mention: Mention, kinds: Sequence[Kind]) -> bool:
    """Tell whether a number before a mention, with at most two adjectives between, is wrong."""
    # "Two railway lines" may leave out the disused one, or count it.
    own = sum(kind.count for kind in kinds if kind.category in mention.categories)
    counts = {sum(kind.count for kind in kinds), own} - {0}
    for back in range(1, 5):
        at = mention.start - back
        if at < 0 or tokens[at] in _STOPS:
            return False
        word = tokens[at]
        if word in _AT_LEAST:
            return max(counts) < _AT_LEAST[word]
        if word == "one" and back > 1:  # "from above one sees two roads"
            return False
        number = int(word) if word.isdigit() and len(word) < 7 else _EXACT.get(word)
        if number is not None:
            # A person who counts many may well be one in five off.
            return all(abs(number - count) > (0 if count <= 6 else 0.2 * count) for count in counts)
    return False


def _directions(
    caption: str, starts: Sequence[int], supported: Sequence[tuple[Mention, list[Kind]]]
) -> Iterable[tuple[Region, list[Kind]]]:
    """Yield each place that a caption names with the kinds that it says stand there.

    A place at the beginning of a clause ("in the upper left, …") speaks of what follows, any other of
    what it follows.
    """
    places = list(_DIRECTION.finditer(caption))
    at = [(starts[mention.start], kinds) for mention, kinds in supported]
    for number, place in enumerate(places):
        region = _region(place["where"])
        if region is None:
            continue
        sentence = max(caption.rfind(mark, 0, place.start()) for mark in ".;!?") + 1
        after_last = max(sentence, places[number - 1].end() if number else 0)
        lead = caption[sentence : place.start()].rstrip()
        before = [kinds for start, kinds in at if after_last <= start < place.start()]
        end = min((i for mark in ".;!?" if (i := caption.find(mark, place.end())) >= 0), default=len(caption))
        if number + 1 < len(places):
            end = min(end, places[number + 1].start())
        following = [kinds for start, kinds in at if place.end() <= start < end]
        opens = lead == "" or re.search(r"(,|\band|\bwhile|\bwhereas|\bwith)$", lead, re.IGNORECASE) is not None
        if opens and following:
            yield region, following[0]
        elif before:
            yield region, before[-1]


def _region(where: str) -> Region | None:
    text = where.lower().replace("-hand", "").replace("-", " ").replace("center", "centre")
    text = re.sub(r"\b(north|south|east|west)ern\b", r"\1", text)
    text = re.sub(r"\b(north|south)\s?(east|west)\b", r"\1 \2", text)
    words = [_COMPASS.get(word, word) for word in text.split()]
    words = ["centre" if word in ("central", "middle") else word for word in words]
    rows = [w for w in words if w in ("upper", "lower", "top", "bottom")]
    columns = [w for w in words if w in ("left", "right")]
    if rows and columns:
        return REGIONS[("upper " if rows[0] in ("upper", "top") else "lower ") + columns[0]]
    if rows:
        return REGIONS["top" if rows[0] in ("upper", "top") else "bottom"]
    return REGIONS[columns[0]] if columns else REGIONS["centre"] if "centre" in words else None


def _stands_in(region: Region, kinds: Sequence[Kind], contents: ChipContents) -> bool:
    left, top, right, bottom = region
    window = shapely.box(left * contents.width, top * contents.height, right * contents.width, bottom * contents.height)
    return any(bool(np.any(shapely.intersects([member.outline for member in kind.members], window))) for kind in kinds)


def _names_a_place(caption: str, contents: ChipContents, lexicon: Lexicon) -> bool:
    """Tell whether a caption holds a landmark's name, a word of one, or another proper noun."""
    if any(ord(letter) > 0x24F and letter.isalpha() for letter in caption):  # no Latin letter
        return True
    names = {member.name for kind in contents.kinds for member in kind.members if member.name}
    parts = {word for name in names for word in re.findall(r"[^\W\d_][\w'’-]{3,}", name) if word[0].isupper()}
    for sentence in re.split(r"[.!?]\s+", caption):
        for number, found in enumerate(re.findall(r"[^\W\d_][\w'’-]*", sentence)):
            word = re.sub(r"(['’]s|-\w+)$", "", found)  # "Aguda's", "U-shaped"
            if not word[0].isupper() or word in _CAPITALS_ALLOWED or word.lower() in lexicon.words:
                continue
            # A sentence's first word is capital whatever it is: only the names in the chip can give it away.
            if number > 0 or (word in parts and word.lower() not in _ORDINARY):
                return True
    text = caption.casefold()
    for name in names:
        plain = name.casefold().strip()
        # A name of ordinary words only ("Storage Tank") says no more than the category does.
        if (
            " " in plain
            and not set(_words(plain)) <= lexicon.words
            and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", text)
        ):
            return True
    return False
