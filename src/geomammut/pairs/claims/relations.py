"""Words for how things stand to each other, and whether they do."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

RelationWord = Literal[
    "far",
    "parallel",
    "between",
    "separating",
    "crossing",
    "outside",
    "inside",
    "amid",
    "along",
    "beside",
    "near",
    "towards",
]
Outlines = NDArray[np.object_]

_MOVES = (
    r"(?:runs?|running|pass(?:es|ing)?|goes|going|leads?|leading|flows?|flowing|winds?|winding|stretch(?:es|ing)?|"
    r"extend(?:s|ing)?)"
)
# The first that fits is meant.
_PATTERNS: tuple[tuple[RelationWord, str], ...] = (
    (
        "far",
        r"(?<!not )(?<!too )far (?:away )?from|well away from|nowhere near|distant from|remote from|"
        r"a long way from|(?:great|long|considerable|good|some) distance (?:away )?from|miles (?:away|off) from|"
        r"(?:on|at) the (?:opposite|other) (?:side|end)s? of the (?:image|picture|photo|frame|scene) (?:from|to)",
    ),
    ("parallel", r"(?:in )?parallel (?:to|with)"),
    ("between", r"between"),
    ("separating", r"separat(?:es|ing)|divid(?:es|ing)"),
    (
        "crossing",
        rf"cross(?:es|ing|ed by)?|spann?(?:s|ing|ed by)|intersect(?:s|ing|ed by)?|bisect(?:s|ing|ed by)?|"
        rf"travers(?:es|ing|ed by)|cut(?:s|ting)? (?:straight |right |directly )?(?:through|across)|"
        rf"{_MOVES} (?:straight |right |directly )?(?:through|across|over)(?: the (?:middle|centre|center) of)?|"
        r"on top of|(?:right |straight )?(?:through|across)(?: the (?:middle|centre|center) of)?",
    ),
    ("outside", r"(?:well |just )?outside(?: of)?"),
    (
        "amid",
        r"surrounded by|encircled by|ringed by|amid(?:st)?|nestled (?:in|among)|"
        r"in the (?:middle|centre|center|heart|midst) of|at the (?:heart|centre|center) of",
    ),
    ("inside", r"inside|within|enclosed (?:by|within|in)"),
    ("along", r"alongside|along(?: the (?:edge|side|bank)s? of)?|lin(?:es?|ing|ed by)"),
    (
        "beside",
        r"beside|(?:right |directly )?next to|adjacent to|"
        r"border(?:s|ing|ed by)?|abut(?:s|ting)?|flank(?:s|ing|ed by)?|facing|"
        r"extend(?:s|ing)? from|jut(?:s|ting)?(?: out)? from|at the edge of|connected to|attached to",
    ),
    (
        "near",
        r"(?:very )?close to|near(?:by| to)?|surround(?:s|ing)|encircl(?:es|ing)|not far from|in the vicinity of|"
        r"in front of|behind|past",
    ),
    ("amid", r"in(?= (?:an?|the) )"),
)
PHRASES = tuple((word, re.compile(rf"\b(?:{pattern})")) for word, pattern in _PATTERNS)
# Shares of the chip's side: how far apart things may be and still stand beside or near each other.
_BESIDE, _NEAR, _TOUCH, _FAR = 0.28, 0.45, 0.02, 0.3


def holds(
    word: RelationWord, subject: Outlines, objects: Sequence[Outlines], side: float, step: tuple[float, float]
) -> bool:
    """Tell whether any of the `subject`'s outlines stands so to any of the objects'.

    Args:
        word: The relation.
        subject, objects: Outlines in pixels; two objects for "between" and "far from both".
        side: The chip's side in pixels.
        step: For "towards": where the subject lies from the object, x to the right, y down.
    """
    first = objects[0]
    tests: dict[RelationWord, Callable[[], bool]] = {
        "far": lambda: all(bool((_gaps(subject, other).min(axis=1) > _FAR * side).any()) for other in objects),
        "parallel": lambda: _parallel(subject, first),
        "between": lambda: _between(subject, objects, side),
        "separating": lambda: _between(subject, objects, side),
        "crossing": lambda: bool(_gaps(subject, first).min() <= _TOUCH * side),
        "outside": lambda: bool((_inside(subject, first, side) < 0.5).any()),
        "inside": lambda: bool((_inside(subject, first, side) > 0.5).any()),
        "amid": lambda: _amid(subject, first, side),
        "along": lambda: _beside(subject, first, side) and not _athwart(subject, first),
        "beside": lambda: _beside(subject, first, side),
        "near": lambda: bool(_gaps(subject, first).min() <= _NEAR * side),
        "towards": lambda: _towards(subject, first, step, side),
    }
    return tests[word]()


def _beside(subject: Outlines, object_: Outlines, side: float) -> bool:
    return bool(_gaps(subject, object_).min() <= _BESIDE * side) and not _all_inside(subject, object_)


def _amid(subject: Outlines, around: Outlines, side: float) -> bool:
    hull = shapely.buffer(shapely.convex_hull(shapely.union_all(around)), _TOUCH * side)
    within = bool(shapely.intersects(hull, shapely.point_on_surface(subject)).any())
    return within or bool(_gaps(subject, around).min() <= 0.1 * side)


def _gaps(a: Outlines, b: Outlines) -> NDArray[np.float64]:
    return np.asarray(shapely.distance(a[:, None], b[None, :]))


def _inside(inner: Outlines, outer: Outlines, side: float) -> NDArray[np.float64]:
    """Return the share of each inner outline that lies within the outer ones."""
    around = shapely.union_all(shapely.buffer(outer, 0.02 * side))
    shared = shapely.intersection(inner, around)
    dimension = shapely.get_dimensions(inner)
    measure = np.where(dimension == 2, shapely.area(shared), shapely.length(shared))
    whole = np.where(dimension == 2, shapely.area(inner), shapely.length(inner))
    return np.where(dimension == 0, ~shapely.is_empty(shared), measure / np.maximum(whole, 1e-9))


def _all_inside(inner: Outlines, outer: Outlines) -> bool:
    """Tell whether areas lie wholly within another area, where nobody would say "beside"."""
    if (shapely.get_dimensions(inner) == 1).any() or (shapely.get_dimensions(outer) != 2).any():
        return False
    shares = shapely.area(shapely.intersection(inner, shapely.union_all(outer))) / np.maximum(shapely.area(inner), 1e-9)
    return bool((shares > 0.95).all())


def _athwart(lines: Outlines, outlines: Outlines) -> bool:
    """Tell whether lines all cut across what is long itself: nobody would say "along"."""
    if len(lines) > 1 or (shapely.get_dimensions(lines) != 1).any() or not shapely.intersects(lines, outlines).any():
        return False
    return bool((np.abs(_axis(lines[0]) @ np.array([_axis(one) for one in outlines]).T) < 0.5).all())


def _axis(outline: BaseGeometry) -> NDArray[np.float64]:
    """Return the unit vector along the longer side of an outline's smallest box."""
    box = shapely.minimum_rotated_rectangle(outline)
    corners = shapely.get_coordinates(box)
    if len(corners) < 4:
        along = corners[-1] - corners[0]
    else:
        sides = np.diff(corners[:3], axis=0)
        along = sides[np.argmax(np.hypot(sides[:, 0], sides[:, 1]))]
    return np.asarray(along / max(float(np.hypot(*along)), 1e-9))


def _parallel(a: Outlines, b: Outlines) -> bool:
    along_a, along_b = np.array([_axis(one) for one in a]), np.array([_axis(one) for one in b])
    return bool((np.abs(along_a @ along_b.T) > 0.85).any())


def _between(subject: Outlines, objects: Sequence[Outlines], side: float) -> bool:
    if len(objects) == 1:  # "between the houses"
        around = shapely.convex_hull(shapely.union_all(objects[0]))
        return bool(shapely.intersects(shapely.buffer(around, 0.05 * side), subject).any())
    for one in objects[0]:
        for other in objects[1]:
            around = shapely.convex_hull(shapely.union_all([one, other]))
            within = shapely.area(
                shapely.intersection(shapely.buffer(subject, 1.0), shapely.buffer(around, 0.02 * side))
            )
            if (within > 0.4 * np.minimum(shapely.area(shapely.buffer(subject, 1.0)), 0.1 * side**2)).any():
                return True
            nearest = shapely.shortest_line(one, other)
            if (shapely.distance(subject, nearest) < 0.08 * side).any():
                return True
    return False


def _towards(subject: Outlines, object_: Outlines, step: tuple[float, float], side: float) -> bool:
    anchors = shapely.get_coordinates(shapely.centroid(subject))
    centres = shapely.get_coordinates(shapely.centroid(object_))
    nearest = shapely.get_coordinates(shapely.shortest_line(object_[None, :], shapely.centroid(subject)[:, None]))[::2]
    from_centre = anchors[:, None] - centres[None, :]
    from_nearest = anchors[:, None] - nearest.reshape(len(subject), len(object_), 2)
    slack = 0.02 * side
    for offsets in (from_centre, from_nearest):
        parts = [offsets[..., axis] * step[axis] for axis in (0, 1) if step[axis]]
        if (
            parts
            and (
                np.all([part >= -slack for part in parts], axis=0) & np.any([part > slack for part in parts], axis=0)
            ).any()
        ):
            return True
    return False
