"""The legend of a mask: its classes, what to call them in a prompt, and their colours."""

from geomammut.errors import UserError
from geomammut.evaluation.masks import BACKGROUND_PROMPTS

NODATA_CLASS = 0
BACKGROUND = "background"

_CLASS_COLOURS = (
    "4269d0 efb118 ff725c 6cc5b0 3ca951 ff8ab7 a463f2 97bbf5 9c6b4e 9498a0 "
    "1b4f72 7d6608 922b21 0e6655 196f3d 884ea0 5b2c6f 2e86c1 6e2c00 424949"
).split()


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


def class_colours(count: int) -> dict[int, tuple[int, int, int, int]]:
    """Return a colour, RGBA, for each class 1 … count."""
    colours = {}
    for index in range(1, count + 1):
        colour = bytes.fromhex(_CLASS_COLOURS[(index - 1) % len(_CLASS_COLOURS)])
        colours[index] = (colour[0], colour[1], colour[2], 255)
    return colours
