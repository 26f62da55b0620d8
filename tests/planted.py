"""How planted captions are written down.

A caption is true as it stands, but for its slots: `[true words|false words:fault]`. With every slot true it is
a true caption; with exactly one slot false, a caption with one planted fault of that kind.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from geomammut.pairs.visible import ChipContents
from scenes import contents_of, line, thing

_SLOT = re.compile(r"\[([^|\]]*)\|([^:\]]*):([a-z -]+)\]")


@dataclass(frozen=True)
class Scene:
    """What is in a chip, category → boxes (x, y, width, height) or lines ((x, y), …), maybe named; its captions."""

    landmarks: dict[str, list[Any]]
    captions: tuple[str, ...]

    def contents(self) -> ChipContents:
        return contents_of(
            *(
                line(category, shape) if isinstance(shape[0], tuple) else thing(category, *shape)
                for category, shapes in self.landmarks.items()
                for shape in shapes
            )
        )


@dataclass(frozen=True)
class Planted:
    caption: str
    contents: ChipContents
    fault: str | None  # None: the caption is true


def planted(scenes: Iterable[Scene]) -> Iterator[Planted]:
    """Yield every true caption, and after it each of its false ones."""
    for scene in scenes:
        contents = scene.contents()
        for marked in scene.captions:
            yield Planted(_told(marked, None), contents, None)
            for number, slot in enumerate(_SLOT.finditer(marked)):
                yield Planted(_told(marked, number), contents, slot[3])


def _told(marked: str, false: int | None) -> str:
    """Return the caption with slot number `false` telling its lie."""
    slots = iter(range(len(marked)))
    return _SLOT.sub(lambda slot: slot[2] if next(slots) == false else slot[1], marked)
