"""Captions without a language model: deterministic, offline, in many phrasings."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from geomammut.pairs import english
from geomammut.pairs.positions import ACROSS, FALLING, MOST, RISING
from geomammut.pairs.relations import Relation
from geomammut.pairs.visible import ChipContents, Kind

VERSION = "template-2"

_PICTURES = (
    "an aerial image",
    "an aerial photo",
    "an aerial photograph",
    "an aerial view",
    "an aerial picture",
    "an overhead view",
    "an overhead image",
    "an overhead picture",
    "a bird's-eye view",
    "a top-down view",
    "a view from above",
    "a view from the air",
    "a remote sensing image",
    "a vertical aerial photo",
)
_VIEW = (
    *(f"{picture} {link} {{}}" for picture in _PICTURES for link in ("of", "of", "showing", "with", "that shows")),
    "{} seen from above",
    "{} as seen from above",
    "{} seen from the air",
    "{} seen from overhead",
    "{} viewed from above",
    "{} viewed from the air",
    "{} photographed from above",
    "{} from the air",
    "{} in an aerial view",
    "{} in an overhead view",
    "{}",
)
_SHOWS = (
    *(
        f"{picture} {verb} {{}}"
        for picture in (
            "the image",
            "the picture",
            "the photo",
            "the aerial image",
            "the aerial photo",
            "the overhead view",
            "this view from above",
            "this aerial view",
            "the scene, seen from above,",
            "the picture, taken from above,",
        )
        for verb in ("shows", "contains", "has", "features")
    ),
    "seen from above: {}",
    "viewed from the air: {}",
    "in this aerial picture: {}",
    "in view from above: {}",
    "visible from above: {}",
    "this is what the view from above shows: {}",
)
# How things are put in their places; {stand} is a verb that suits them.
_PLACED = (
    "there {is_} {thing} {where}",
    "{thing} {where}",
    "{thing} {stand} {where}",
    "{where}, there {is_} {thing}",
    "{where}, {thing} {stand}",
    "{where}, {thing} can be seen",
    "{where}, one can see {thing}",
    "{thing} can be seen {where}",
    "{thing} can be made out {where}",
    "{thing} {is_} visible {where}",
    "{where} {is_} {thing}",
    "{where} {stand} {thing}",
    "we see {thing} {where}",
    "one can see {thing} {where}",
    "the image has {thing} {where}",
    "the image shows {thing} {where}",
    "the picture shows {thing} {where}",
    "an aerial image with {thing} {where}",
    "an aerial photo with {thing} {where}",
    "an overhead view with {thing} {where}",
    "a view from above with {thing} {where}",
    "seen from above, {thing} {stand} {where}",
    "seen from the air, there {is_} {thing} {where}",
)
_CLAUSES = (
    "there {is_} {thing} {where}",
    "{thing} {is_} {where}",
    "{thing} {stand} {where}",
    "{thing} can be seen {where}",
    "{thing} {is_} visible {where}",
    "one can see {thing} {where}",
)
_JOINTS = (", and ", "; ", ", while ", ", whereas ")
_RELATED = (
    "{a} {word} {b}",
    "{a} {is_} {word} {b}",
    "{a} can be seen {word} {b}",
    "there {is_} {a} {word} {b}",
    "we see {a} {word} {b}",
    "{a} {word} {b}, seen from above",
    "{a} {word} {b}, seen from the air",
    "the image shows {a} {word} {b}",
    "the picture shows {a} {word} {b}",
    "seen from above, {a} {is_} {word} {b}",
    *(f"{picture} {link} {{a}} {{word}} {{b}}" for picture in _PICTURES for link in ("of", "showing", "with")),
)
# Other words for a place; what is said of lines and of the whole stays as it is.
_SAME_PLACE = {
    "in the upper left": ("in the top left", "in the upper left part", "towards the upper left", "in the north-west"),
    "in the upper right": (
        "in the top right",
        "in the upper right part",
        "towards the upper right",
        "in the north-east",
    ),
    "in the lower left": (
        "in the bottom left",
        "in the lower left part",
        "towards the lower left",
        "in the south-west",
    ),
    "in the lower right": (
        "in the bottom right",
        "in the lower right part",
        "towards the lower right",
        "in the south-east",
    ),
    "at the top": ("in the upper part", "near the top", "in the north", "in the upper half"),
    "at the bottom": ("in the lower part", "near the bottom", "in the south", "in the lower half"),
    "on the left": ("on the left side", "on the left-hand side", "in the west", "in the left half"),
    "on the right": ("on the right side", "on the right-hand side", "in the east", "in the right half"),
    "in the centre": ("in the middle", "at the centre", "in the central part", "near the centre"),
    "along the top": ("across the top", "across the upper part"),
    "along the bottom": ("across the bottom", "across the lower part"),
    "along the left": ("down the left", "down the left side"),
    "along the right": ("down the right", "down the right side"),
}
_WORDS = {
    "beside": ("beside", "next to", "close to", "adjacent to", "right next to"),
    "near": ("near", "not far from", "in the vicinity of", "a short way from"),
    "along": ("along", "lined up along", "beside", "on the side of"),
    "crossing": ("crossing", "going across", "passing through", "cutting across", "running through"),
    "in": ("in", "within", "inside"),
}
_PICTURE = re.compile(r"\b(?:image|picture|photo|view|scene)\b")
_FEW = 12  # up to here a person counts


@dataclass(frozen=True)
class _Thing:
    """A kind as a noun phrase."""

    text: str
    many: bool
    linear: bool = False

    def stand(self, draw: random.Random) -> str:
        """Return "stands", "lie", "runs": a verb for being somewhere."""
        verb = draw.choice(("run", "pass") if self.linear else ("lie", "stand", "sit", "appear"))
        return verb if self.many else verb + ("es" if verb.endswith("s") else "s")

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
        return english.sentence(f"{first}{draw.choice(_JOINTS)}{_clause(chosen[1], draw)}")

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
    text, many = _noun(kind, draw, counted)
    return _Thing(text, many, kind.linear)


def _noun(kind: Kind, draw: random.Random, counted: bool) -> tuple[str, bool]:
    """Return a noun phrase, and whether it is a plural."""
    phrase, count = kind.phrase, kind.count
    if english.is_mass(phrase):
        return phrase, False
    if count == 1:
        return english.with_article(phrase), english.is_plural(phrase)
    several = english.plural(phrase)
    if not (counted and kind.countable) or english.is_plural(phrase):
        return several, True
    if count <= _FEW:
        vague = count >= 3 and draw.random() < 0.25
        return f"{'several' if vague else english.NUMBERS[count]} {several}", True
    return f"{draw.choice(('many', 'numerous') if count < 24 else ('many', 'dozens of'))} {several}", True


def _where(kind: Kind, draw: random.Random) -> str:
    place = kind.position
    if place in (FALLING, RISING):
        return f"{'running ' if kind.linear else ''}{place}"
    if place == ACROSS and kind.countable and kind.count > 1:
        return draw.choice(("scattered across the image", "spread across the image", "all over the image"))
    if draw.random() < 0.5:
        place = draw.choice(_SAME_PLACE.get(place, (place,)))
    if place not in (MOST, ACROSS) and draw.random() < 0.4:
        return f"{place} of the {draw.choice(('image', 'picture', 'scene', 'view'))}"
    return place


def _place(kind: Kind, draw: random.Random) -> str:
    where = _where(kind, draw)
    # "Running from … to …" and "across …" only read well behind the thing.
    reads_anywhere = where.startswith(("in ", "at ", "on ", "along ", "near "))
    patterns = [pattern for pattern in _PLACED if not (_PICTURE.search(pattern) and _PICTURE.search(where))]
    return _put(draw.choice(patterns if reads_anywhere else _PLACED[:2]), kind, where, draw)


def _clause(kind: Kind, draw: random.Random) -> str:
    where = _where(kind, draw)
    plain = where.startswith(("in ", "at ", "on ", "along ", "near ", "down ", "towards "))
    return _put(draw.choice(_CLAUSES if plain else _CLAUSES[:2]), kind, where, draw)


def _put(pattern: str, kind: Kind, where: str, draw: random.Random) -> str:
    thing = _thing(kind, draw)
    return pattern.format(thing=thing.text, where=where, is_=thing.is_, stand=thing.stand(draw))


def _with(kind: Kind, draw: random.Random) -> str:
    return f"{_thing(kind, draw).text} {_where(kind, draw)}"


def _relate(kinds: Sequence[Kind], relation: Relation, draw: random.Random) -> str:
    a, b = _thing(kinds[relation.subject], draw), _thing(kinds[relation.object], draw)
    words = _WORDS[relation.word]
    if relation.word == "in" and _stands_amid(kinds[relation.subject], kinds[relation.object]):
        words += ("surrounded by", "in the middle of")
    word = draw.choice(words)
    return draw.choice(_RELATED).format(a=a.text, b=b.text, word=word, is_=a.is_)


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
