"""The check of a caption against what the map and the geometry say is in the chip.

It reads a caption, finds the things that the lexicon knows, and asks of each: is it there, are there that
many, is it as large, does it stand where the caption says and so to the others? Words that the lexicon does
not know are let pass, since a writer that sees the image may describe more than the map holds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import shapely

from geomammut.pairs import english
from geomammut.pairs.claims import relations, spots, wording
from geomammut.pairs.claims.lexicon import Lexicon, Mention
from geomammut.pairs.claims.numbers import Quantity, quantity_of
from geomammut.pairs.claims.places import Place
from geomammut.pairs.claims.reading import Reading
from geomammut.pairs.positions import Region
from geomammut.pairs.visible import ChipContents, Kind

__all__ = [
    "GROUNDING_COUNTS",
    "SALIENT",
    "VERSION",
    "Examination",
    "Fault",
    "FaultKind",
    "Lexicon",
    "check_caption",
    "examine_caption",
    "grounding_counts",
    "grounding_report",
]

VERSION = "grounding-3"

FaultKind = Literal[
    "empty or too long",
    "instruction",
    "prompt echo",
    "map-speak",
    "measurement",
    "place name",
    "wrong category",
    "wrong count",
    "wrong size",
    "wrong direction",
    "wrong relation",
    "no landmark",
]

GROUNDING_COUNTS = ("mentions", "grounded", "salient", "recalled", "proper_nouns", "real_names")
SALIENT = 3  # kinds of a chip, at most, that its captions should name between them
_MAX_WORDS = 80
_SMALL = 0.06  # share of the chip
_MAX_SUMS = 5  # kinds whose counts a caption may have added up


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
class Examination:
    """What the check saw in one caption.

    Attributes:
        faults: What is wrong, at most one fault of each kind, the gravest kind first; none if it is grounded.
        mentions: Things named, but for common surroundings.
        grounded: Those of them that are there, as often, as large, where and beside what the caption says.
        named: Categories in the chip that it names.
        proper_nouns: Proper nouns in it.
        real_names: Those of them that are, or are part of, the name of a landmark in the chip.
    """

    faults: tuple[Fault, ...]
    mentions: int = 0
    grounded: int = 0
    named: frozenset[str] = frozenset()
    proper_nouns: int = 0
    real_names: int = 0


def check_caption(caption: str, contents: ChipContents, lexicon: Lexicon) -> tuple[Fault, ...]:
    """Return what is wrong with `caption`, given what is in its chip; nothing if it is grounded.

    At most one fault of each kind is returned, the gravest kind first.
    """
    return examine_caption(caption, contents, lexicon).faults


def examine_caption(caption: str, contents: ChipContents, lexicon: Lexicon) -> Examination:
    """Return what is wrong with `caption`, and the counts from which the figures of its writer are made."""
    if not 2 <= len(caption.split()) <= _MAX_WORDS:
        return Examination((Fault("empty or too long", f"A caption has between two and {_MAX_WORDS} words."),))
    names = sorted({member.name for kind in contents.kinds for member in kind.members if member.name})
    nouns = wording.proper_nouns(caption, names, lexicon.words)
    checked = _Checked(Reading(caption, lexicon), contents)
    found = [*_worded(caption, names, lexicon, nouns), *(fault for _, fault in checked.faults)]
    if not any(checked.kinds.values()):
        found.append(Fault("no landmark", "It names none of the listed things; name the most important one."))
    first: dict[FaultKind, Fault] = {fault.kind: fault for fault in reversed(found)}
    claims = {mention for mention in checked.kinds if not mention.sense.loose}
    return Examination(
        faults=tuple(first[kind] for kind in get_args(FaultKind) if kind in first),
        mentions=len(claims),
        grounded=len(claims - {mention for mention, _ in checked.faults}),
        named=frozenset(kind.category for kinds in checked.kinds.values() for kind in kinds),
        proper_nouns=len(nouns),
        real_names=sum(is_real for _, is_real in nouns),
    )


def grounding_counts(captions: Iterable[Examination], contents: ChipContents) -> Counter[str]:
    """Return the counts of one chip's captions, as its writer wrote them; those of several chips add up.

    Its keys are `GROUNDING_COUNTS`: those of `Examination`, and of the chip's up to three most salient
    kinds how many there are ("salient") and how many its captions name between them ("recalled").
    """
    counts: Counter[str] = Counter()
    named: set[str] = set()
    for caption in captions:
        counts.update({name: getattr(caption, name) for name in GROUNDING_COUNTS if hasattr(caption, name)})
        named |= caption.named
    salient = {kind.category for kind in contents.kinds[:SALIENT]}
    counts.update(salient=len(salient), recalled=len(salient & named))
    return counts


def grounding_report(counts: Mapping[str, int]) -> dict[str, float | None]:
    """Return the figures of a writer, in percent; None where there is nothing to measure.

    `grounding_precision`: of the things named, how many are there and as said.
    `salient_recall`: of the up to three most salient kinds of each chip, how many its captions name.
    `proper_noun_fdr`: of the proper nouns, how many are no landmark's name: 1 − precision of proper nouns.

    Args:
        counts: Sum of `grounding_counts` over the chips of the writer.
    """

    def percent(part: int, whole: int) -> float | None:
        return round(100 * part / whole, 2) if whole else None

    proper, real = counts.get("proper_nouns", 0), counts.get("real_names", 0)
    return {
        "grounding_precision": percent(counts.get("grounded", 0), counts.get("mentions", 0)),
        "salient_recall": percent(counts.get("recalled", 0), counts.get("salient", 0)),
        "proper_noun_fdr": percent(proper - real, proper),
    }


def _worded(caption: str, names: Sequence[str], lexicon: Lexicon, nouns: Sequence[tuple[str, bool]]) -> Iterator[Fault]:
    """Yield the faults of wording, which no picture could make right."""
    if words := wording.obeyed(caption, names, lexicon.words):
        yield Fault("instruction", f"“{words}” follows an instruction or advertises; describe the picture only.")
    if words := wording.echo_of_the_task(caption):
        yield Fault("prompt echo", f"“{words}” speaks of the task; describe the picture only.")
    if words := wording.map_speak(caption):
        yield Fault("map-speak", f"“{words}” speaks of a map or its data, which cannot be seen in the picture.")
    if words := wording.measurement(caption):
        yield Fault("measurement", f"“{words}” is a size in figures, which cannot be read from the picture.")
    if nouns:
        yield Fault("place name", f"“{nouns[0][0]}” is a name, which cannot be seen in the picture.")


class _Checked:
    """A reading held against the chip: which kinds each mention means, and what is wrong with it.

    Attributes:
        kinds: Each thing that the caption says is there, with the kinds in the chip that it may mean.
        faults: Mentions with their faults.
    """

    def __init__(self, reading: Reading, contents: ChipContents) -> None:
        self._reading = reading
        self._contents = contents
        self.kinds: dict[Mention, tuple[Kind, ...]] = {}
        self._counted: set[Mention] = set()  # those whose kinds they name, not only imply
        self.faults: list[tuple[Mention, Fault]] = []
        for mention in reading.mentions:
            named = tuple(kind for kind in contents.kinds if _names_kind(mention, kind))
            implied = tuple(kind for kind in contents.kinds if kind.category in mention.sense.implied)
            denied = reading.is_denied(mention)
            if denied and named and not mention.sense.loose:
                self._fault(mention, "wrong count", f"It denies “{mention.sense.phrase}”, which is there.")
            if denied:
                continue
            if not named and not implied and not mention.sense.loose and not reading.is_part(mention):
                self._fault(mention, "wrong category", f"“{mention.sense.phrase}” is not among the listed things.")
            self.kinds[mention] = named or implied
            if named:
                self._counted.add(mention)
        self._check_places()
        self._check_counts()
        self._check_sizes()
        self._check_relations()

    def _fault(self, mention: Mention, kind: FaultKind, reason: str) -> None:
        self.faults.append((mention, Fault(kind, reason)))

    def _check_counts(self) -> None:
        places: dict[Mention, list[Region]] = {}
        for placed in self._reading.placed():
            for mention in placed.things[:1]:
                places.setdefault(mention, []).append(placed.place.region)
        for mention in self._counted:
            kinds = self.kinds[mention]
            said = quantity_of(self._reading.tokens, mention, self._reading.taken)
            if mention.sense.loose and not _counts_exactly(mention, kinds, said):
                continue
            if said is None:
                if mention.plural and _is_one(kinds):
                    self._fault(mention, "wrong count", f"There is only one {mention.sense.phrase}.")
                continue
            true = _counts(kinds)
            true += [spots.standing_in(region, kinds, self._contents) for region in places.get(mention, ())]
            vague = said.high > 1000 and not any(kind.countable or kind.linear for kind in kinds)
            if not vague and not any(said.low <= count <= said.high for count in true):
                self._fault(
                    mention,
                    "wrong count",
                    f"“{said.words} {mention.sense.phrase}” is a wrong number; there {_are(max(true))}.",
                )

    def _check_places(self) -> None:
        for placed in self._reading.placed():
            things = self._known(placed.things)
            if things and not self._stand_there(things, placed.place):
                where = self.kinds[things[0]][0].position
                self._fault(
                    things[0],
                    "wrong direction",
                    f"“{things[0].sense.phrase}” is not at “{placed.place.words}”"
                    + (f", but {where}." if where else "."),
                )
        for course, mentions in self._reading.coursed():
            things = self._known(mentions)
            if things and not any(spots.runs(course, self.kinds[m], self._contents) for m in things):
                self._fault(things[0], "wrong direction", f"“{things[0].sense.phrase}” does not run “{course.words}”.")

    def _check_relations(self) -> None:
        for related in self._reading.related():
            subjects = self._known(related.subjects)
            objects = [mention for mention in related.objects if self.kinds.get(mention)]
            # "In a wide field": perhaps one that the map has not.
            vague = any(self._is_vague(mention) for mention in (*subjects[:1], *objects))
            if vague or not subjects or len(objects) < len(related.objects):
                continue
            shapes = [spots.outlines_of(self.kinds[mention]) for mention in objects]
            if any(
                relations.holds(
                    related.word, spots.outlines_of(self.kinds[m]), shapes, self._contents.width, related.step
                )
                for m in subjects
                if self.kinds[m] != self.kinds[objects[0]]
            ) or all(self.kinds[m] == self.kinds[objects[0]] for m in subjects):
                continue
            kind: FaultKind = "wrong direction" if related.word == "towards" else "wrong relation"
            self._fault(subjects[0], kind, f"“{subjects[0].sense.phrase}” is not “{related.words}”.")

    def _check_sizes(self) -> None:
        reading = self._reading
        for at, (low, high), words in spots.shares_said(reading.caption):
            before = [mention for mention in self.kinds if mention.end <= at and not mention.sense.part]
            things = self._known(tuple(before[-1:]))
            if things and not low <= spots.share_of(self.kinds[things[0]]) <= high:
                self._fault(things[0], "wrong size", f"“{things[0].sense.phrase}” does not do this: “{words}”.")
        for mention in self._counted:
            words_before = [token.text for token in reading.tokens[max(0, mention.first - 3) : mention.first]]
            size = spots.size_said(words_before)
            kinds = self.kinds[mention]
            if size is None or mention.sense.loose or all(kind.linear for kind in kinds):
                continue
            (low, high), word = size
            if not any(low <= member.area_share <= high for kind in kinds for member in kind.members):
                self._fault(mention, "wrong size", f"“{mention.sense.phrase}” is not “{word}” in this picture.")

    def _stand_there(self, things: Sequence[Mention], place: Place) -> bool:
        """Tell whether any of the things stands in a part of the picture.

        "A bridge over a canal on the right" speaks of the bridge, if the canal goes all the way.
        """
        region = place.region
        there = [m for m in things if spots.standing_in(region, self.kinds[m], self._contents, place.spread)]
        left, top, right, bottom = region
        opposite = (1 - right, 1 - bottom, 1 - left, 1 - top)
        lines = all(kind.linear for m in there for kind in self.kinds[m])
        if not there or there[-1] == things[-1] or not lines or opposite == region:
            return bool(there)
        return not all(spots.standing_in(opposite, self.kinds[m], self._contents) for m in there)

    def _is_vague(self, mention: Mention) -> bool:
        """Tell whether a common thing may be one that the map has not; roads it has."""
        kinds = self.kinds[mention]
        said = quantity_of(self._reading.tokens, mention, self._reading.taken)
        counted = _counts_exactly(mention, kinds, said)
        return mention.sense.loose and not counted and not all(kind.linear for kind in kinds)

    def _known(self, mentions: Sequence[Mention]) -> list[Mention]:
        """Return the mentions that the chip can bear out; none if the foremost is beyond what the map knows."""
        if not mentions or not self.kinds.get(mentions[0]):
            return []
        return [mention for mention in mentions if self.kinds.get(mention)]


def _names_kind(mention: Mention, kind: Kind) -> bool:
    return kind.category in mention.sense.named or kind.phrase.lower() == mention.sense.phrase


def _is_one(kinds: Sequence[Kind]) -> bool:
    """Tell whether there is just one, too small to be spoken of in the plural, as a scree is of its slopes."""
    return len(kinds) == 1 and kinds[0].countable and kinds[0].area_share < _SMALL and _count_range(kinds[0]) == (1, 1)


def _counts_exactly(mention: Mention, kinds: Sequence[Kind], said: Quantity | None) -> bool:
    """Tell whether a common thing is counted as the map counts it: "three houses", where houses are mapped."""
    exact = said is not None and said.high < 100 and said.low > 0
    return exact and any(kind.countable and kind.phrase == mention.sense.phrase for kind in kinds)


def _counts(kinds: Sequence[Kind]) -> list[int]:
    """Return the numbers that a person may count: of each kind, and of any of them together."""
    foremost = kinds[:_MAX_SUMS]
    ranges = [_count_range(kind) for kind in foremost]
    sums: list[int] = []
    for size in range(1, len(ranges) + 1):
        for chosen in combinations(ranges, size):
            sums += range(sum(r[0] for r in chosen), min(sum(r[1] for r in chosen), 10_000) + 1)
    return sorted({*sums, sum(high for _, high in (_count_range(kind) for kind in kinds))})


def _count_range(kind: Kind) -> tuple[int, int]:
    """Return the least and the most that a person may count of a kind.

    The map cuts one road into many; what is cut by the edge or runs together is counted as one or as several.
    """
    if english.is_mass(kind.phrase) or english.is_plural(kind.phrase):
        return 1, 10_000
    if kind.countable:
        return kind.count, kind.count
    if kind.linear:
        joined = shapely.union_all(shapely.buffer([member.outline for member in kind.members], 1.5))
        return min(int(shapely.get_num_geometries(joined)), kind.count), kind.count
    return 1, kind.count


def _are(count: int) -> str:
    return "is one" if count == 1 else f"are {count}"
