"""The surfaces that the demo place is painted with, and the land classes that can be told apart from above."""

from typing import NamedTuple

Colour = tuple[int, int, int]


def shade(
    colour: Colour, red: float, green: float | None = None, blue: float | None = None, *, lift: int = 0
) -> Colour:
    """Return a colour times a factor, or one for each band, plus `lift`."""
    factors = (red, red if green is None else green, red if blue is None else blue)
    r, g, b = (min(255, int(c * factor) + lift) for c, factor in zip(colour, factors, strict=True))
    return r, g, b


class LandClass(NamedTuple):
    """One class of the class mask: its value is its place in `LAND_CLASSES`, plus one (0 is ignored)."""

    name: str
    colour: Colour
    prompts: tuple[str, ...]


LAND_CLASSES = (
    LandClass("building", (178, 34, 52), ("a building", "house roofs", "the roof of a large hall")),
    LandClass("road", (70, 70, 78), ("a road", "a street with cars")),
    LandClass("parking lot", (232, 160, 48), ("a parking lot", "parked cars")),
    LandClass("railway", (120, 72, 40), ("a railway", "railway tracks")),
    LandClass("water", (40, 110, 200), ("water", "a river", "a lake")),
    LandClass("trees", (20, 92, 40), ("trees", "a forest")),
    LandClass("farmland", (214, 196, 96), ("farmland", "a ploughed field", "crops")),
    LandClass("grass", (132, 196, 92), ("grass", "a meadow", "a lawn")),
    LandClass("sports pitch", (44, 196, 150), ("a sports pitch", "a soccer field", "tennis courts")),
    LandClass("golf course", (168, 226, 66), ("a golf course", "a golf fairway")),
    LandClass("runway", (150, 150, 176), ("an airport runway", "an airport apron")),
    LandClass("solar panels", (30, 36, 110), ("solar panels", "a solar farm")),
    LandClass("storage tank", (236, 236, 244), ("storage tanks", "a tank farm")),
    LandClass("bare soil", (160, 120, 80), ("bare soil", "a quarry", "a construction site")),
    LandClass("sand", (246, 226, 170), ("sand", "a beach")),
    LandClass("marina", (150, 60, 170), ("boats in a marina", "a pier")),
    LandClass("greenhouse", (176, 226, 236), ("greenhouses",)),
    LandClass("stadium", (230, 84, 130), ("the stands of a stadium", "a stadium")),
)

IGNORED_COLOUR: Colour = (0, 0, 0)


class Surface(NamedTuple):
    """How a surface behaves under the camera.

    `grain` and `blotch` are the relative strengths of metre-sized and ten-metre-sized texture; `vegetation`
    (0..1) is how far the season changes its colour; `relief` (0..1) how far its own height shades it.
    """

    land_class: str | None
    grain: float
    blotch: float
    vegetation: float = 0.0
    relief: float = 0.0


SURFACES: dict[str, Surface] = {
    "grass": Surface("grass", 0.10, 0.16, 1.0),
    "lawn": Surface("grass", 0.06, 0.09, 0.8),
    "meadow": Surface("grass", 0.09, 0.22, 1.0),
    "farm": Surface("farmland", 0.07, 0.10, 0.4),
    "pitch": Surface("sports pitch", 0.04, 0.05, 0.2),
    "golf": Surface("golf course", 0.05, 0.08, 0.3),
    "soil": Surface("bare soil", 0.10, 0.18),
    "sand": Surface("sand", 0.05, 0.08),
    "road": Surface("road", 0.05, 0.07),
    "dirt road": Surface("road", 0.09, 0.12),
    "paved": Surface(None, 0.06, 0.09),
    "thing": Surface(None, 0.05, 0.0),
    "parking": Surface("parking lot", 0.05, 0.08),
    "rail": Surface("railway", 0.12, 0.08),
    "water": Surface("water", 0.025, 0.05),
    "deciduous": Surface("trees", 0.10, 0.10, 0.9, 1.0),
    "conifer": Surface("trees", 0.10, 0.10, 0.2, 1.0),
    "tree": Surface("trees", 0.14, 0.05, 0.8, 0.9),
    "roof": Surface("building", 0.05, 0.04, 0.0, 0.0),
    "tank": Surface("storage tank", 0.02, 0.03),
    "stand": Surface("stadium", 0.07, 0.02),
    "solar": Surface("solar panels", 0.05, 0.04),
    "glass": Surface("greenhouse", 0.06, 0.08),
    "runway": Surface("runway", 0.05, 0.10),
    "marina": Surface("marina", 0.06, 0.02),
}

SURFACE_INDEX = {name: index for index, name in enumerate(SURFACES)}
CLASS_INDEX = {land_class.name: index for index, land_class in enumerate(LAND_CLASSES, start=1)}
