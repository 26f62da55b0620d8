"""What no caption may say, whatever is in the picture: names, figures, and words about the map or the task."""

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from geomammut.pairs import english

_ECHO = re.compile(
    r"[{}<>\[\]|]|```|\\n|\b(?:as an ai|as a language model|language model|ai (?:assistant|model)|"
    r"i(?:['’]m| am) (?:sorry|unable|not able)|i (?:can ?not|can['’]t|do not|don['’]t) |captions?\b|json|"
    r"(?:the|this|your|my) prompt\b|landmarks?\b (?:list|data|given|provided|above|below|were|are)|"
    r"(?:the|these|provided|given|listed) landmarks?\b|"
    r"(?:previous|above|these|your|the|following) (?:instructions?|rules|guidelines)|"
    r"as (?:instructed|requested|required|asked|specified)|according to|based on the|"
    r"(?:provided|given|listed|following) (?:list|data|image|information|items?)|from the list|the list|"
    r"helpful assistant|you are an?\b|system prompt|here (?:is|are) (?:your|my)\b|sure[,!]|certainly[,!]|"
    r"output|response|task\b|word limit|at most ten words)",
    re.IGNORECASE,
)
_MAP_SPEAK = re.compile(
    r"\b(?:osm|open ?street ?maps?|overture|google maps|geojson|shapefile|map|maps|mapped|mapping|tags?|tagged|tagging|"
    r"metadata|database|dataset|annotat\w+|polygons?|multipolygons?|linestrings?|polylines?|bounding box(?:es)?|bbox|"
    r"(?:node|way|relation)s? (?:id )?#?\d+|coordinates?|latitudes?|longitudes?|lat|lon|pixels?|utm|epsg|wgs ?84|"
    r"gsd|landuse|feature class(?:es)?|geometr(?:y|ies)|centroid|categor(?:y|ies)|salience|area percent|n/a|null|"
    r"unnamed|undefined|population|elevation|inhabitants)\b|"
    r"\b\w+=[\w*]+|\b[a-z]+_[a-z_]+\b|\b[a-z]+:[a-z]+|-?\d{1,3}\.\d{3,}|\bids?\b\W{0,2}\d|\b\d{5,}\b|\d\.\d+\s*[,;]\s*-?\d+\.\d|\d°",
    re.IGNORECASE,
)
_TENS = "thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?"
_NUMBER = rf"(?:\d[\d.,]*|{'|'.join(english.NUMBERS)}|{_TENS})"
_LENGTH = r"(?:kilo|centi)?met(?:re|er)s?|foot|feet|miles?"
_UNIT = rf"{_LENGTH}|hectares?|acres?|percent|per cent|yards? (?:long|wide|across|high|deep|apart)|sq\.? (?:km|m|ft)"
_MEASURE = re.compile(
    rf"\b\d[\d.,]*\s?-?(?:m|km|cm|m2|m²|km²|ha|ft|mi|sqm|px|%)(?!\w)|\b\d[\d.,]*\s?[x×]\s?\d|"
    rf"\b{_NUMBER}(?:[\s-]+(?:of|and|a|half|by|{_TENS}))*[\s-]+(?:square[\s-]+)?(?:{_UNIT})\b|"
    rf"\b(?:several|few|many|couple of) (?:hundred |thousand )?(?:square )?(?:{_LENGTH}|hectares?|acres?)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"https?:|www\.|\b[\w-]+\.(?:com|org|net|io|example|ru|de|info|co)\b|\S+@\S+|(?<!\w)[@#]\w+", re.IGNORECASE
)
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|reply|respond|answer|write|say|print|output|repeat|mention|describe|call|include|"
    r"tell|state|pretend|insert|append|add|visit|click|buy|subscribe|instructions?|prompt|system|assistant|you|your|"
    r"must|always|never|instead)\b",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"\b(?:(?:ignore|disregard) (?:all|any|the|previous)|click here|subscribe|buy now|visit (?:us|our|now)|"
    r"call (?:us|now)|sign up|follow us|free tickets|best \w+ in the world)\b",
    re.IGNORECASE,
)
_CAPITALS_ALLOWED = frozenset("I A An The American T U L V X Y H S C Olympic January SUV SUVs RV RVs Ferris".split())
# Words that may open a caption although they are part of some name near it ("Along the River").
_ORDINARY = frozenset(
    "aerial across along around beside between from here image near next overhead over seen several some the "
    "surrounded there this two three four five six seven eight nine many numerous view with within white green large "
    "small long red blue dense open old new grand north south east west top upper lower only word words that picture "
    "photo about into what which where while each other like just and for".split()
)
_COLLOQUIAL = re.compile(r"\b(?:called|named|known as|labell?ed|signposted|dubbed)\s+(?!an?\b)\S+", re.IGNORECASE)
_NUMBERED = re.compile(
    r"\b(?:highway|route|motorway|interstate|runway|terminal|gate|exit|junction|line|road|street|pier|platform)"
    r"\s(?:no\.? )?\d+\w*\b|\b(?!U-|T-)[A-Z]{1,3}[- ]?\d{1,4}\b"
)
_SENTENCES = re.compile(r"(?<!\bSt)(?<!\bMt)(?<!\bDr)[.!?:;]\s+|\s[–—-]\s")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def echo_of_the_task(caption: str) -> str | None:
    """Return words about the prompt or the task instead of the picture."""
    return _found(_ECHO, caption)


def map_speak(caption: str) -> str | None:
    """Return words about the map or its data."""
    return _found(_MAP_SPEAK, caption)


def measurement(caption: str) -> str | None:
    """Return a length, area or share in figures, none of which a picture shows."""
    return _found(_MEASURE, caption)


def obeyed(caption: str, names: Iterable[str], known: frozenset[str]) -> str | None:
    """Return words that a caption took from an instruction: in one of the `names`, or an address, or a call to act.

    Args:
        known: Words that the lexicon knows; they give nothing away.
    """
    found = _found(_ADDRESS, caption) or _found(_CALLS, caption)
    if found is not None:
        return found
    text = caption.casefold()
    said = set(_words(text))
    for name in names:
        if not _ORDERS.search(name):
            continue
        words = _words(name.casefold())
        for run in range(min(6, len(words)), 2, -1):
            for first in range(len(words) - run + 1):
                part = words[first : first + run]
                if set(part) - known - _ORDINARY - {"a", "an", "in", "is", "of"} and " ".join(part) in " ".join(
                    _words(text)
                ):
                    return " ".join(part)
        telling = [w for w in words if len(w) > 3 and w not in known | _ORDINARY and not _ORDERS.fullmatch(w)]
        for word in telling:
            if word in said:
                return word
    return None


def proper_nouns(caption: str, names: Iterable[str], known: frozenset[str]) -> list[tuple[str, bool]]:
    """Return the proper nouns of a caption, each with whether it is (part of) one of the `names` in the chip.

    Args:
        names: Names of the landmarks in the chip.
        known: Words that the lexicon knows: no names, even with a capital.
    """
    names = [name for name in names if name]
    parts = {word.casefold() for name in names for word in _WORD.findall(name) if len(word) > 3 and word[0].isupper()}
    every = {word.casefold() for name in names for word in _WORD.findall(name)}
    found: list[tuple[str, bool]] = []
    if any(ord(letter) > 0x24F and letter.isalpha() for letter in caption):  # no Latin letter
        foreign = "".join(letter for letter in caption if ord(letter) > 0x24F and letter.isalpha())
        found.append((foreign, any(foreign in name for name in names)))
    for sentence in _SENTENCES.split(caption):
        for number, match in enumerate(_WORD.findall(sentence)):
            word = re.sub(r"(['’]s|(?<=\w)-\w+)$", "", match)  # "Aguda's", "U-shaped"
            plain = word.casefold()
            shouted = len(word) > 3 and word.isupper()
            if not word[0].isupper() or word in _CAPITALS_ALLOWED or (plain in known and not shouted):
                continue
            # A sentence's first word is capital whatever it is: only known names can give it away.
            if number > 0 or (plain in parts and plain not in _ORDINARY) or plain in _gazetteer():
                found.append((word, plain in every))
    if not found:
        found += [(match.group(), False) for match in (_COLLOQUIAL.search(caption), _NUMBERED.search(caption)) if match]
    text = caption.casefold()
    for name in names:
        plain = name.casefold().strip()
        # A name of ordinary words only ("Storage Tank") says no more than the category does.
        ordinary = set(_words(plain)) <= known | _ORDINARY
        if not found and " " in plain and not ordinary and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", text):
            found.append((name, True))
    return found


def _found(pattern: re.Pattern[str], caption: str) -> str | None:
    match = pattern.search(caption)
    return None if match is None else match.group().strip()


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@cache
def _gazetteer() -> frozenset[str]:
    """Names that may open a sentence and cannot be told from other words there: countries, states, great cities."""
    text = resources.files(__package__).joinpath("gazetteer.txt").read_text(encoding="utf-8")
    return frozenset(line.casefold() for line in text.split() if not line.startswith("#"))
