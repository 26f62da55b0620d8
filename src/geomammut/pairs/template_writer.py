"""Captions without a language model: deterministic, offline, in many phrasings."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from geomammut.pairs import english
from geomammut.pairs.positions import ACROSS, FALLING, MOST, RISING
from geomammut.pairs.relations import Relation
from geomammut.pairs.visible import ChipContents, Kind

VERSION = "template-1"

_VIEW = (
    "an aerial image of {}",
    "an aerial photo of {}",
    "an aerial view of {}",
    "an overhead view of {}",
    "an overhead image of {}",
    "a view from above of {}",
    "a bird's-eye view of {}",
    "a remote sensing image of {}",
    "a top-down view of {}",
    "{} seen from above",
    "{} from the air",
    "{}",
)
_SHOWS = (
    "the image shows {}",
    "the aerial image shows {}",
    "this view from above shows {}",
    "seen from above: {}",
    "the picture, taken from above, shows {}",
    "an aerial photograph showing {}",
    "in this aerial picture: {}",
)
_PLACED = (
    "there {is_} {thing} {where}",
    "{thing} {where}",
    "{where}, there {is_} {thing}",
    "{thing} can be seen {where}",
    "{thing} {is_} visible {where}",
    "{where} {is_} {thing}",
    "the image has {thing} {where}",
    "an aerial image with {thing} {where}",
)
_RELATED = (
    "{a} {word} {b}",
    "{a} {is_} {word} {b}",
    "an aerial image of {a} {word} {b}",
    "an overhead view of {a} {word} {b}",
    "there {is_} {a} {word} {b}",
    "{a} {word} {b}, seen from above",
    "the image shows {a} {word} {b}",
)
_WORDS = {
    "beside": ("beside", "next to", "close to", "adjacent to"),
    "near": ("near", "not far from", "in the vicinity of"),
    "along": ("along", "lined up along", "beside", "on the side of"),
    "crossing": ("crossing", "going across", "passing through"),
    "in": ("in", "within", "inside"),
}
_FEW = 12  # up to here a person counts


@dataclass(frozen=True)
class _Thing:
    """A kind as a noun phrase."""

    text: str
    many: bool

    @property
    def is_(self) -> str:
        return "are" if self.many else "is"


class TemplateWriter:
    """Writes captions by rule from a chip's contents.

    Attributes:
        name, model, prompt_version: For the pair's provenance.
    """

    name = "template"
    model: str | None = None
    prompt_version = VERSION

    def write(self, jpeg: bytes, contents: ChipContents, key: str) -> tuple[str, ...]:
        """Return three to five different captions, from short to detailed; `key` picks the phrasings."""
        del jpeg
        draw = random.Random(key)
        kinds = list(contents.kinds)
        captions = [self._short(kinds[0], draw)]
        writers = [self._placed, self._detailed, self._related, self._listed]
        wanted = 3 + min(2, len(kinds) - 1)
        for attempt in range(24):
            if len(captions) == wanted:
                break
            caption = writers[attempt % len(writers)](contents, draw)
            if caption is not None and caption not in captions:
                captions.append(caption)
        return tuple(captions)

    def _short(self, kind: Kind, draw: random.Random) -> str:
        text = _thing(kind, draw, counted=draw.random() < 0.5).text
        patterns = _VIEW if " " in text else _VIEW[:-1]  # one word is no caption
        return english.sentence(draw.choice(patterns).format(text))

    def _placed(self, contents: ChipContents, draw: random.Random) -> str | None:
        """One or two kinds with their places."""
        kinds = [kind for kind in contents.kinds if kind.position]
        if not kinds:
            return self._short(contents.kinds[0], draw)
        chosen = _pick(kinds, draw.choice((1, 1, 2)), draw)
        first = _place(chosen[0], draw)
        if len(chosen) == 1:
            return english.sentence(first)
        return english.sentence(f"{first}{draw.choice((', and ', '; ', ', while '))}{_clause(chosen[1], draw)}")

    def _related(self, contents: ChipContents, draw: random.Random) -> str | None:
        """Two kinds and how they stand to each other."""
        if not contents.relations:
            return self._short(contents.kinds[0], draw)
        relation = _pick_relation(contents.relations, draw)
        return english.sentence(_relate(contents.kinds, relation, draw))

    def _listed(self, contents: ChipContents, draw: random.Random) -> str | None:
        """The kinds by name alone."""
        chosen = _pick(contents.kinds, draw.choice((2, 3, 4)), draw)
        text = english.listing([_thing(kind, draw).text for kind in chosen])
        return english.sentence(draw.choice(_VIEW + _SHOWS).format(text))

    def _detailed(self, contents: ChipContents, draw: random.Random) -> str | None:
        """A first sentence on the main kind, then where the others are."""
        main, *others = contents.kinds[:5]
        own = [relation for relation in contents.relations if 0 in (relation.subject, relation.object)]
        if own and draw.random() < 0.6:
            relation = _pick_relation(own, draw)
            told = {relation.subject, relation.object}
            first = _relate(contents.kinds, relation, draw)
        else:
            told = {0}
            first = _place(main, draw) if main.position else draw.choice(_SHOWS).format(_thing(main, draw).text)
        rest = [kind for number, kind in enumerate(others, start=1) if number not in told and kind.position]
        if not rest:
            return english.sentence(first)
        clauses = [_clause(kind, draw) for kind in rest[: draw.choice((1, 2, 3))]]
        if draw.random() < 0.5 or len(clauses) > 1:
            return f"{english.sentence(first)} {english.sentence(english.listing(clauses))}"
        return english.sentence(f"{first}, with {_with(rest[0], draw)}")


def _thing(kind: Kind, draw: random.Random, *, counted: bool = True) -> _Thing:
    phrase, count = kind.phrase, kind.count
    if english.is_mass(phrase):
        return _Thing(phrase, many=False)
    if count == 1:
        return _Thing(english.with_article(phrase), many=english.is_plural(phrase))
    several = english.plural(phrase)
    if not (counted and kind.countable) or english.is_plural(phrase):
        return _Thing(several, many=True)
    if count <= _FEW:
        vague = count >= 3 and draw.random() < 0.25
        return _Thing(f"{'several' if vague else english.NUMBERS[count]} {several}", many=True)
    return _Thing(f"{draw.choice(('many', 'numerous') if count < 24 else ('many', 'dozens of'))} {several}", many=True)


def _where(kind: Kind, draw: random.Random) -> str:
    place = kind.position
    if place in (FALLING, RISING):
        return f"{'running ' if kind.linear else ''}{place}"
    if place == ACROSS and kind.countable and kind.count > 1:
        return draw.choice(("scattered across the image", "spread across the image", "all over the image"))
    if place not in (MOST, ACROSS) and draw.random() < 0.4:
        return f"{place} of the image"
    return place


def _place(kind: Kind, draw: random.Random) -> str:
    thing = _thing(kind, draw)
    where = _where(kind, draw)
    # "Running from … to …" and "across …" only read well behind the thing.
    reads_anywhere = where.startswith(("in ", "at ", "on ", "along "))
    patterns = [pattern for pattern in _PLACED if "image" not in pattern or "image" not in where]
    return draw.choice(patterns if reads_anywhere else _PLACED[:2]).format(thing=thing.text, where=where, is_=thing.is_)


def _clause(kind: Kind, draw: random.Random) -> str:
    thing = _thing(kind, draw)
    return draw.choice(("there {is_} {thing} {where}", "{thing} {is_} {where}", "{thing} can be seen {where}")).format(
        thing=thing.text, where=_where(kind, draw), is_=thing.is_
    )


def _with(kind: Kind, draw: random.Random) -> str:
    return f"{_thing(kind, draw).text} {_where(kind, draw)}"


def _relate(kinds: Sequence[Kind], relation: Relation, draw: random.Random) -> str:
    a, b = _thing(kinds[relation.subject], draw), _thing(kinds[relation.object], draw)
    words = _WORDS[relation.word]
    if relation.word == "in" and _stands_amid(kinds[relation.subject], kinds[relation.object]):
        words += ("surrounded by", "in the middle of")
    word = draw.choice(words)
    pattern = draw.choice(_RELATED)
    if word.startswith(("crossing", "going", "passing", "lined")) and "there" in pattern:
        pattern = _RELATED[0]
    return pattern.format(a=a.text, b=b.text, word=word, is_=a.is_)


def _stands_amid(inner: Kind, outer: Kind) -> bool:
    """Tell whether one thing has the other on all sides as far as the chip shows."""
    if inner.linear or outer.area_share < 0.4:
        return False
    sides = [side for member in inner.members for side in member.bounds]
    return min(sides) > 0.1 and max(sides) < 0.9


def _pick(kinds: Sequence[Kind], count: int, draw: random.Random) -> list[Kind]:
    """Draw kinds without putting one back, the more salient the likelier, and keep their order."""
    left = list(range(len(kinds)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        number = draw.choices(left, [kinds[i].salience for i in left])[0]
        left.remove(number)
        chosen.append(number)
    return [kinds[i] for i in sorted(chosen)]


def _pick_relation(relations: Sequence[Relation], draw: random.Random) -> Relation:
    # Nearness says least; kinds are in order of salience, so lower indices matter more.
    weights = [
        (0.3 if relation.word == "near" else 1.0) / (1 + relation.subject + relation.object) for relation in relations
    ]
    return draw.choices(relations, weights)[0]
