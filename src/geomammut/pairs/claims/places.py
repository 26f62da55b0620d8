"""Words of place in a caption: "in the upper left", "from west to east", "to the north of"."""

import re
from dataclasses import dataclass
from typing import Literal

from geomammut.pairs.positions import REGIONS, Region

Spread = Literal["stands", "mostly", "fills"]

_VERTICAL = r"(?:upper|lower|top|bottom|north(?:ern(?:most)?)?|south(?:ern(?:most)?)?)"
_SIDEWAYS = r"(?:left|right|(?:east|west)(?:ern(?:most)?)?)"
_MIDDLE = r"(?:cent(?:re|er)|middle|central|heart)"
_WHERE = (
    rf"(?:{_VERTICAL}(?:[\s-]?(?:most\s)?(?:{_SIDEWAYS}|{_MIDDLE}))?|{_MIDDLE}(?:[\s-](?:{_SIDEWAYS}|{_VERTICAL}))?"
    rf"|{_SIDEWAYS}(?:[\s-]{_MIDDLE})?)(?:[\s-]hand)?"
)
_PART = (
    r"(?:\s+(?:side|part|corner|portion|half|third|quarter|quadrant|edge|section|area|region|end|border|margin|zone"
    r"|sector|segment|strip|rim)s?)"
)
_PICTURE = (
    r"(?:\s+(?:of|in)\s+(?:the|this|an?)\s+(?:\w+\s+)?"
    r"(?:image|picture|photo|photograph|frame|scene|view|shot|tile|landscape|area|composition))"
)
_FAR = r"(?:(?:image|picture|frame|photo|scene)['’]s\s+)?(?:(?:far|extreme|very|immediate|entire|whole|outer)\s+)*"
_LEAD = (
    r"(?:in|at|on|along|near|towards?|to|across|into|down|from|by|throughout|over|within|around|reaching|"
    r"(?:much|most|all|half|parts?) of|occup(?:ies|ying|y)|fill(?:s|ing)?|dominat(?:es|ing|e)|cover(?:s|ing)?)"
)
_PLACE = re.compile(
    rf"\b(?:(?P<lead>{_LEAD})\s+)?(?P<the>the\s+)?{_FAR}(?P<where>{_WHERE})\b(?P<part>{_PART})?(?P<picture>{_PICTURE})?"
    r"(?P<of>\s+of\b)?(?P<verb>\s+(?:shows?|features?|contains?|holds?|has|is occupied|is dominated|displays))?",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    rf"\b(?:from\s+)?(?:the\s+)?(?P<a>{_WHERE}){_PART}?\s+(?:through\s+)?to\s+(?:the\s+)?(?P<b>{_WHERE})\b{_PART}?{_PICTURE}?",
    re.IGNORECASE,
)
_AXIS = re.compile(
    r"\b(?P<axis>horizontally|vertically|diagonally|north[\s-]south|south[\s-]north|east[\s-]west|west[\s-]east)\b",
    re.IGNORECASE,
)
_COMPASS = r"(?:north|south)(?:[\s-]?(?:east|west))?(?:ern)?|(?:east|west)(?:ern)?"
BEARING = re.compile(
    rf"\b(?:(?:(?:to|on|at|along|in|near)\s+the\s+)?(?:{_VERTICAL}[\s-]?{_SIDEWAYS}|{_COMPASS}|left|right)(?:[\s-]hand)?"
    r"(?:\s+(?:side|end|edge|part|half|corner|section|tip|area|portion|quadrant|quarter|bank|shore))?\s+of|"
    r"above|below|beneath|underneath)\b",
    re.IGNORECASE,
)
# "In the far left", "at the edge", "in the corner" say more than "on the left".
_TIGHT = re.compile(r"\b(?:far|extreme|corner|edge|border|margin|rim)s?\b", re.IGNORECASE)
_OUTER = 0.38
_COMPASS_AS_SIDE = {"north": "top", "south": "bottom", "east": "right", "west": "left"}
_STEPS = {
    "top": (0.0, -1.0),
    "upper": (0.0, -1.0),
    "above": (0.0, -1.0),
    "bottom": (0.0, 1.0),
    "lower": (0.0, 1.0),
    "below": (0.0, 1.0),
    "beneath": (0.0, 1.0),
    "underneath": (0.0, 1.0),
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
}


@dataclass(frozen=True)
class Place:
    """Words of place in the characters `start`:`end` of a caption, and the part of the picture they name.

    `spread` tells whether a thing only stands there, is mostly there ("dominates"), or fills it ("covers").
    """

    start: int
    end: int
    region: Region
    words: str
    spread: Spread = "stands"


@dataclass(frozen=True)
class Course:
    """Words for how a line runs: `step` is its direction, x to the right, y down; (0, 0) means aslant."""

    start: int
    end: int
    step: tuple[float, float]
    words: str


def courses_in(caption: str) -> list[Course]:
    """Return what a caption says about how lines run."""
    found = []
    for match in _FROM_TO.finditer(caption):
        ends = [_step(match["a"]), _step(match["b"])]
        step = (ends[1][0] - ends[0][0], ends[1][1] - ends[0][1])
        # "From top to bottom" of all, not from the middle to the middle.
        if step != (0.0, 0.0):
            found.append(Course(match.start(), match.end(), step, match.group().strip()))
    for match in _AXIS.finditer(caption):
        word = match["axis"].lower()
        step = (0.0, 0.0) if word.startswith("d") else (1.0, 0.0) if word[0] in "hew" else (0.0, 1.0)
        found.append(Course(match.start(), match.end(), step, word))
    return found


def places_in(caption: str, courses: list[Course]) -> list[Place]:
    """Return the parts of the picture that a caption names, in order; what is relative to a thing is left out."""
    found = []
    for match in _PLACE.finditer(caption):
        if any(course.start < match.end() and match.start() < course.end for course in courses):
            continue
        sure = match["part"] or match["picture"] or match["verb"]
        if match["of"] and not match["picture"]:  # "to the left of the pond"
            continue
        if not sure and (not _is_led(match) or _goes_on(match)):
            continue
        region = _region(match["where"], tight=bool(_TIGHT.search(match.group())))
        if region is not None:
            end = match.start("verb") if match["verb"] else match.end()
            words = caption[match.start("where") : end].strip()
            found.append(Place(match.start(), end, region, words, _spread(match["lead"] or "")))
    return found


def _spread(lead: str) -> Spread:
    if lead.lower().startswith(("fill", "cover")):
        return "fills"
    return "mostly" if lead.lower().startswith(("dominat", "occup")) else "stands"


def _is_led(match: re.Match[str]) -> bool:
    """Tell whether a word of place has what makes it one: "along the left", "near top right", "at top"."""
    lead = (match["lead"] or "").lower()
    return lead in ("at", "on", "in") or (lead != "" and bool(match["the"] or re.search(r"[\s-]", match["where"])))


def _goes_on(match: re.Match[str]) -> bool:
    """Tell whether a word of place only describes the noun behind it: "across the central square"."""
    return match["where"].lower().endswith(("central", "northern", "southern", "eastern", "western", "upper", "lower"))


def step_of(bearing: str) -> tuple[float, float]:
    """Return the direction that "to the north-east of" means: x to the right, y down."""
    found = re.search(
        rf"{_VERTICAL}[\s-]?{_SIDEWAYS}|{_COMPASS}|left|right|above|below|beneath|underneath", bearing, re.IGNORECASE
    )
    return _step(found.group()) if found else (0.0, 0.0)


def _words(where: str) -> list[str]:
    text = re.sub(r"ern(most)?\b", "", where.lower()).replace("-", " ").replace(" hand", "")
    text = re.sub(r"\b(north|south)\s?(east|west)\b", r"\1 \2", text)
    text = re.sub(r"\b(center|central|middle|heart)\b", "centre", text)
    return [_COMPASS_AS_SIDE.get(word, word) for word in text.split()]


def _step(where: str) -> tuple[float, float]:
    steps = [_STEPS.get(word, (0.0, 0.0)) for word in _words(where)]
    return (sum(step[0] for step in steps), sum(step[1] for step in steps))


def _region(where: str, tight: bool = False) -> Region | None:
    words = _words(where)
    rows = [word for word in words if word in ("upper", "lower", "top", "bottom")]
    columns = [word for word in words if word in ("left", "right")]
    name = ""
    if rows and columns:
        name = ("upper " if rows[0] in ("upper", "top") else "lower ") + columns[0]
    elif rows:
        name = "top" if rows[0] in ("upper", "top") else "bottom"
    elif columns:
        name = columns[0]
    elif "centre" in words:
        name = "centre"
    if not name:
        return None
    left, top, right, bottom = REGIONS[name]
    if not tight or name == "centre":
        return REGIONS[name]
    return (
        1 - _OUTER if left == 0.5 else left,
        1 - _OUTER if top == 0.5 else top,
        _OUTER if right == 0.5 else right,
        _OUTER if bottom == 0.5 else bottom,
    )
