"""A caption read: the things that it names, and what it says of each one's place, course and neighbours."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from geomammut.pairs.claims.lexicon import Lexicon, Mention, Token, tokens_of
from geomammut.pairs.claims.places import BEARING, Course, Place, courses_in, places_in, step_of
from geomammut.pairs.claims.relations import PHRASES, RelationWord

_SENTENCE_END = re.compile(r"[.;!?:](?=\s|$)")
_CLAUSE_END = re.compile(
    r"[.;!?:](?=\s|$)|,?\s(?:and|while|whereas|but)\s(?=there\b)|,\s(?:and|while|whereas|but)\s|\swhile\s"
)
_OPENS = re.compile(r"(?:^|,|\band|\bwhile|\bwhereas|\bwith|\bfeaturing|\bshowing|\bshows|\bwhere)$", re.IGNORECASE)
_SURELY_OPENS = re.compile(r"(?:^|\band,?|\bwhile|\bwhereas|,\s*with)$", re.IGNORECASE)
# Between a thing and its place: what brings in another thing, that the lexicon may not know. "With …" does not:
# that is the thing's own.
_NEW_THING = re.compile(r"\b(?:and|plus|showing|where)\s+(?!(?:is|are|can|lies?|sits?|stands?)\b)\w+", re.IGNORECASE)
_TIES = re.compile(
    r"\b(?:with|from|of|by|in|on|featuring|containing|beside|next to|near|along|over|at|for|to)\b", re.IGNORECASE
)
_HOLDS = re.compile(
    r"\b(?:filled|full|covered|lined|dotted|packed|rows?|planted|clusters?|surrounded)\b", re.IGNORECASE
)
_CROSSES = re.compile(r"\b(?:spans|crosses|bridges|intersects)\b", re.IGNORECASE)
_UP_TO_NOUN = (
    r"\s+(?:(?!(?:and|or|with|while|is|are|lies?|in|at|on|image|picture|frame|scene|photo|view)\b)[\w'’-]+,?\s+){0,6}$"
)
_NOT_THERE = re.compile(
    r"\b(?:like|resembl\w+|similar to|reminiscent of|shape of|style of)\s+(?:an?\s+|the\s+)?(?:\w+\s+)?$", re.I
)
_AFTER_NOUNS = frozenset(
    "and or with in on at by to from inside within of is are lies sits stands near next beside surrounded that "
    "which where can along between below above behind".split()
)
_PRONOUN = re.compile(r"\b(?:it|them)\b", re.IGNORECASE)
_ACROSS = re.compile(r"\bacross(?:\s+(?:the|an?))?(?:\s+\w+)?\s+$", re.IGNORECASE)
_FROM = re.compile(r"\s+from\s", re.IGNORECASE)
_OWN_NOUN = re.compile(r"\s+(?:bank|bend|arm|fork|shore|wing|lane|carriageway)s?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Placed:
    """`place` is said of one of the `things`."""

    place: Place
    things: tuple[Mention, ...]


@dataclass(frozen=True)
class Related:
    """One of the `subjects` is said to stand in the relation `word` to the `objects`."""

    word: RelationWord
    subjects: tuple[Mention, ...]
    objects: tuple[Mention, ...]
    words: str
    step: tuple[float, float] = (0.0, 0.0)  # for the word "towards": x to the right, y down


class Reading:
    """A caption's tokens, mentions, places and courses, and who says what of whom."""

    def __init__(self, caption: str, lexicon: Lexicon) -> None:
        self.caption = caption
        self.tokens: list[Token] = tokens_of(caption)
        self.courses: list[Course] = courses_in(caption)
        known = lexicon.mentions(self.tokens)
        # "A sports centre in an aerial view" names no centre of the view.
        places = [
            place
            for place in places_in(caption, self.courses)
            if not any(mention.start < place.start < mention.end for mention in known)
        ]
        spans = [
            *((place.start, place.end) for place in places),
            *((course.start, course.end) for course in self.courses),
        ]
        mentions = [
            mention
            for mention in known
            if not any(start < mention.end and mention.start < end for start, end in spans)
            and not self._is_adjective(mention)
            and not _NOT_THERE.search(caption, 0, mention.start)
        ]
        # "Prison complex", "concrete bunker": one thing.
        firsts, lasts = {mention.first for mention in mentions}, {mention.last for mention in mentions}
        mentions = [m for m in mentions if not (m.sense.loose and (m.first in lasts or m.last in firsts))]
        # "The left pond", "the left bank of": not a place in the picture.
        starts = {mention.start for mention in mentions}
        self.places = [
            place for place in places if place.end + 1 not in starts and not _OWN_NOUN.match(caption, place.end)
        ]
        self.mentions = mentions
        self.taken = [any(m.first <= i < m.last for m in mentions) for i in range(len(self.tokens))]

    def _is_adjective(self, mention: Mention) -> bool:
        """Tell whether a word is something else here: "tree-lined", "park-like", "square ponds"."""
        behind = self.tokens[mention.last].text if mention.last < len(self.tokens) else ""
        square = mention.sense.phrase == "square" and behind.isalpha() and behind not in _AFTER_NOUNS
        return square or self.tokens[mention.last - 1].hyphened

    def is_part(self, mention: Mention) -> bool:
        """Tell whether a mention is the second half of a compound: the tower of "church tower"."""
        return mention.first > 0 and self.taken[mention.first - 1]

    def is_denied(self, mention: Mention) -> bool:
        lead = self.caption[max(0, mention.start - 40) : mention.start]
        return (
            re.search(r"\b(?:no|without(?: any)?|free of|devoid of|lacks?|lacking)\s+(?:\w+\s+){0,2}$", lead, re.I)
            is not None
        )

    # ------------------------------------------------------------------------- places and courses

    def placed(self) -> Iterator[Placed]:
        """Yield each place with the things that it may be said of; the check is done if it fits any of them.

        A place at the beginning of a clause ("in the upper left, …") speaks of what follows, any other of
        what it follows.
        """
        last: tuple[Mention, ...] = ()
        for number, place in enumerate(self.places):
            sentence = self._sentence(place.start)
            after = max(sentence[0], self.places[number - 1].end if number else 0)
            until = min([sentence[1], *(other.start for other in self.places[number + 1 : number + 2])])
            before = [mention for mention in self.mentions if after <= mention.start < place.start]
            following = [mention for mention in self.mentions if place.end <= mention.start < until]
            lead = self.caption[after : place.start].rstrip()
            things: list[Mention] = []
            if following and (not before or _SURELY_OPENS.search(lead)) and _OPENS.search(lead):
                things = following[:1]
            elif before:
                things = self._before(before, place.start)
                if lead.endswith(",") and following:
                    things += following[:1]
            elif not following and re.fullmatch(r",?\s*(?:and|or|&)?", lead):
                things = list(last)
            elif following and lead == "":
                things = following[:1]
            last = tuple(things)
            if things:
                yield Placed(place, last)
            # What crosses a thing in the upper left is itself in the upper left.
            for subject, object_ in pairwise(before):
                if object_ in things and _CROSSES.search(self.caption[subject.end : object_.start]):
                    yield Placed(place, (subject,))

    def _before(self, mentions: Sequence[Mention], end: int) -> list[Mention]:
        """Return who a place at `end` may speak of: the last thing, and what that is tied to.

        What only belongs to a thing (its roofs, "filled with cars") is passed over.
        """
        if _NEW_THING.search(self.caption[mentions[-1].end : end]):
            return []
        found = [mentions[-1]]
        for earlier, later in zip(reversed(mentions[:-1]), reversed(mentions[1:]), strict=True):
            gap = self.caption[earlier.end : later.start]
            if re.search(r";|\band\b|,\s*with\b", gap) or not (later.sense.part or _TIES.search(gap)):
                break
            if later.sense.loose and found == [later] and (later.sense.part or _HOLDS.search(gap)):
                found = []
            found.append(earlier)
        return found

    def coursed(self) -> Iterator[tuple[Course, tuple[Mention, ...]]]:
        """Yield each course with the things that it may be said of."""
        for course in self.courses:
            start = self._sentence(course.start)[0]
            before = [mention for mention in self.mentions if start <= mention.start < course.start]
            if before and not _NEW_THING.search(self.caption[before[-1].end : course.start]):
                yield course, tuple(self._before(before, course.start))

    # --------------------------------------------------------------------------------- relations

    def related(self) -> Iterator[Related]:
        """Yield each relation between things that the caption states."""
        for number, object_ in enumerate(self.mentions):
            sentence = self._sentence(object_.start)
            since = max([sentence[0], *(m.end for m in self.mentions[:number] if m.start >= sentence[0])])
            gap = self.caption[since : object_.start]
            for word, pattern in PHRASES:
                match = re.search(pattern.pattern + _UP_TO_NOUN, gap, re.IGNORECASE)
                if match is None or self._is_place(since + match.start()):
                    continue
                if _ACROSS.search(gap) and _FROM.match(self.caption, object_.end):
                    break
                objects = self._with_second(object_, word, gap)
                if word in ("between", "separating") and len(objects) == 1 and not object_.plural:
                    break
                words = " ".join(match.group().split())
                subjects = self._subjects(since + match.start(), objects[-1], sentence)
                if subjects:
                    yield Related(word, subjects, objects, f"{words} {self.caption[object_.start : object_.end]}")
                break
        yield from self._of_pronouns()
        yield from self._across()
        yield from self._bearings()

    def _is_place(self, at: int) -> bool:
        """Tell whether words belong to a place in the picture: "near the top, a pond"."""
        return any(place.start <= at < place.end for place in self.places)

    def _with_second(self, object_: Mention, word: RelationWord, gap: str) -> tuple[Mention, ...]:
        """ "Between a and b", "far from both a and b": both are meant."""
        if word in ("between", "separating") or (word == "far" and "both" in gap):
            for other in self.mentions:
                joint = self.caption[object_.end : other.start] if other.start > object_.end else ""
                if joint and re.fullmatch(r"\s+(?:and|from)\s+(?:[\w'’-]+,?\s+){0,6}", joint, re.IGNORECASE):
                    return (object_, other)
        return (object_,)

    def _of_pronouns(self) -> Iterator[Related]:
        """ "A pond with a mosque far away from it"."""
        for pronoun in _PRONOUN.finditer(self.caption):
            sentence = self._sentence(pronoun.start())
            since = max([sentence[0], *(m.end for m in self.mentions if m.end <= pronoun.start())])
            for word, pattern in PHRASES:
                match = re.search(pattern.pattern + r"\s+$", self.caption[since : pronoun.start()], re.IGNORECASE)
                if match is None:
                    continue
                at = since + match.start()
                object_ = self._antecedent(at, sentence)
                if object_ is not None and (subjects := self._others(at, object_, sentence)):
                    words = " ".join(match.group().split())
                    yield Related(word, subjects, (object_,), f"{words} the {object_.sense.phrase}")
                break

    def _across(self) -> Iterator[Related]:
        """ "Allotments across the river from a town": the river lies between them."""
        for between, other in pairwise(self.mentions):
            sentence = self._sentence(between.start)
            match = _ACROSS.search(self.caption[sentence[0] : between.start])
            joint = _FROM.match(self.caption, between.end)
            if match is None or joint is None or other.start >= sentence[1]:
                continue
            subjects = self._subjects(sentence[0] + match.start(), None, sentence)
            if subjects and re.fullmatch(_UP_TO_NOUN, self.caption[joint.end() - 1 : other.start]):
                words = f"between the {subjects[0].sense.phrase} and the {other.sense.phrase}"
                yield Related("between", (between,), (subjects[0], other), words)

    def _bearings(self) -> Iterator[Related]:
        for match in BEARING.finditer(self.caption):
            within = any(m.start <= match.start() < m.end for m in self.mentions)  # "a pipeline above ground"
            if within or re.search(r"\bfrom\s+$", self.caption[: match.start()], re.IGNORECASE):  # "from above"
                continue
            sentence = self._sentence(match.start())
            behind = [m for m in self.mentions if match.end() <= m.start < sentence[1]]
            object_ = next(iter(behind), None)
            if re.match(r"\s+(?:it|them)\b", self.caption[match.end() :]):
                object_ = self._antecedent(match.start(), sentence)
                last = None
            elif object_ is None or not re.fullmatch(_UP_TO_NOUN, self.caption[match.end() : object_.start]):
                continue
            else:
                last = object_ = self._whole(object_, behind)
            if object_ is None:
                continue
            subjects = self._others(match.start(), object_, sentence, last)
            if subjects:
                words = f"{match.group()} {self.caption[object_.start : object_.end]}"
                yield Related("towards", subjects, (object_,), words, step_of(match.group()))

    def _whole(self, part: Mention, behind: Sequence[Mention]) -> Mention:
        """Return the forest of "the trees of a forest"."""
        owner = next((m for m in behind if m.start >= part.end), part)
        of = re.fullmatch(r"\s+of\s+(?:an?|the)\s+(?:\w+\s+)?", self.caption[part.end : owner.start])
        return owner if part.sense.loose and of else part

    def _others(
        self, at: int, object_: Mention, sentence: tuple[int, int], last: Mention | None = None
    ) -> tuple[Mention, ...]:
        return tuple(subject for subject in self._subjects(at, last, sentence) if subject != object_)

    def _antecedent(self, at: int, sentence: tuple[int, int]) -> Mention | None:
        clause = self._clause(at)
        earlier = [m for m in self.mentions if sentence[0] <= m.start < clause]
        if earlier:
            return earlier[0]
        within = [m for m in self.mentions if clause <= m.start < at]
        return within[0] if len(within) > 1 else None

    def _subjects(self, at: int, object_: Mention | None, sentence: tuple[int, int]) -> tuple[Mention, ...]:
        """Return what a relation's words at `at` may speak of: the things before in its clause, else the next."""
        clause = max(self._clause(at), sentence[0])
        before = [mention for mention in self.mentions if clause <= mention.start < at and not mention.sense.part]
        if not before and self.caption[clause:at].strip():
            before = [mention for mention in self.mentions if sentence[0] <= mention.start < at]
        if before:
            gap = self.caption[max(m.end for m in self.mentions if m.start < at) : at]
            if _NEW_THING.search(gap):
                return ()
            # "A rail yard with many tracks lies …" speaks of the yard.
            lead = self.caption[before[-2].end : before[-1].start] if len(before) > 1 else ""
            if before[-1].sense.loose and re.match(r"\s+with\b", lead):
                before.pop()
            return tuple(reversed(before))
        if object_ is None:
            return ()
        following = [mention for mention in self.mentions if object_.end <= mention.start < sentence[1]]
        # "Beside a road, four tanks stand": the comma or the verb before what it is about.
        return tuple(following[:1])

    def _sentence(self, at: int) -> tuple[int, int]:
        ends = [match.end() for match in _SENTENCE_END.finditer(self.caption)]
        return (max([0, *(end for end in ends if end <= at)]), min([len(self.caption), *(e for e in ends if e > at)]))

    def _clause(self, at: int) -> int:
        return max([0, *(match.end() for match in _CLAUSE_END.finditer(self.caption) if match.end() <= at)])
