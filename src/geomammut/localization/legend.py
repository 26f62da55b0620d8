"""The legend of a mask: its classes, what to call them in a prompt, and their colours."""

from collections.abc import Sequence
from itertools import cycle

from geomammut.errors import UserError
from geomammut.evaluation.masks import BACKGROUND_PROMPTS

NODATA_CLASS = 0
BACKGROUND = "background"

Colour = tuple[int, int, int, int]  # RGBA

_CLASS_COLOURS = (
    "4269d0 efb118 ff725c 6cc5b0 3ca951 ff8ab7 a463f2 97bbf5 9c6b4e 9498a0 "
    "1b4f72 7d6608 922b21 0e6655 196f3d 884ea0 5b2c6f 2e86c1 6e2c00 424949"
).split()
# What maps have taught everyone to expect; of several such classes the first has it.
_EXPECTED = {
    "water": "4269d0", "river": "4269d0", "lake": "4269d0", "sea": "4269d0",
    "building": "ff725c", "house": "ff725c", "roof": "ff725c",
    "road": "9498a0", "street": "9498a0", "motorway": "9498a0",
    "forest": "196f3d", "tree": "196f3d", "wood": "196f3d",
    "grass": "3ca951", "vegetation": "3ca951", "meadow": "3ca951",
    "farmland": "efb118", "field": "efb118", "crop": "efb118",
    "land": "9c6b4e", "soil": "9c6b4e", "sand": "9c6b4e",
}  # fmt: skip


def parse_classes(classes: str) -> dict[str, list[str]]:
    """Parse "building|house roofs, road" into {"building": ["building", "house roofs"], "road": ["road"]}.

    The class `background`, given no synonyms, is asked for by BACKGROUND_PROMPTS.

    Raises:
        UserError: Fewer than two classes, more than 255, an empty name, or one twice.
    """
    parsed: dict[str, list[str]] = {}
    for part in classes.split(","):
        synonyms = [synonym.strip() for synonym in part.split("|")]
        if not all(synonyms):
            raise UserError(f"--classes {classes!r} has an empty name; write it as 'building, road, water'")
        if synonyms[0] in parsed:
            raise UserError(f"--classes names {synonyms[0]!r} twice")
        parsed[synonyms[0]] = list(BACKGROUND_PROMPTS) if synonyms == [BACKGROUND] else synonyms
    if not 2 <= len(parsed) <= 255:
        raise UserError(
            f"--classes names {len(parsed)}; segmenting needs 2 to 255 classes to choose from, "
            f"of which one may be {BACKGROUND}"
        )
    return parsed


def class_colours(names: Sequence[str]) -> list[Colour]:
    """Return a colour for each class: what maps give it, where they do ("bare land", "roads"), else another."""
    chosen: dict[str, str] = {}
    for name in names:
        for word in name.lower().split():
            colour = _EXPECTED.get(word) or _EXPECTED.get(word.removesuffix("s"))
            if colour is not None and name not in chosen and colour not in chosen.values():
                chosen[name] = colour
    others = cycle([colour for colour in _CLASS_COLOURS if colour not in chosen.values()])
    return [_rgba(chosen[name] if name in chosen else next(others)) for name in names]


def _rgba(colour: str) -> Colour:
    red, green, blue = bytes.fromhex(colour)
    return red, green, blue, 255
