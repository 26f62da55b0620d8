"""How the kinds of landmarks in a chip stand to each other: beside, along, crossing, in, near."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Word = Literal["beside", "along", "crossing", "in", "near"]

# Shares of the chip's side. A road's line runs along its middle, so "beside" must span half its width.
_BESIDE, _NEAR = 0.08, 0.2
_MAX_KINDS, _MAX_MEMBERS = 6, 24  # bound the work in a chip of a thousand houses


@dataclass(frozen=True)
class Relation:
    """`subject` stands in the relation `word` to `object`; both are indices of kinds."""

    subject: int
    word: Word
    object: int


def relations_between(
    kinds: Sequence[Sequence[BaseGeometry]], linear: Sequence[bool], width: int
) -> tuple[Relation, ...]:
    """Return the relations between kinds, each given by its members' outlines in pixels.

    At most one word for each pair of kinds: the most telling.
    """
    outlines = [np.array(members[:_MAX_MEMBERS], dtype=object) for members in kinds[:_MAX_KINDS]]
    found = []
    for a, b in combinations(range(len(outlines)), 2):
        relation = (
            _crossing(a, b, outlines, linear) or _inside(a, b, outlines) or _beside(a, b, outlines, linear, width)
        )
        if relation is not None:
            found.append(relation)
    return tuple(found)


def _crossing(a: int, b: int, outlines: list[NDArray[np.object_]], linear: Sequence[bool]) -> Relation | None:
    """A line that goes through another line, or right through an area."""
    for subject, object_ in permutations((a, b)):
        if not linear[subject]:
            continue
        line, other = outlines[subject][0], outlines[object_][0]
        if not shapely.intersects(line, other) or shapely.get_dimensions(line) != 1:
            continue
        if linear[object_]:
            if shapely.get_dimensions(other) == 2:
                inside = shapely.intersection(line, other)
                crosses = 0 < shapely.length(inside) < 0.5 * shapely.length(line) and _both_sides(line, other)
            else:
                crosses = bool(shapely.crosses(line, other))
        else:
            through = shapely.length(shapely.intersection(line, other))
            crosses = shapely.area(other) > 0 and through > 0.6 * shapely.area(other) ** 0.5
        if crosses:
            return Relation(subject, "crossing", object_)
    return None


def _both_sides(line: BaseGeometry, ribbon: BaseGeometry) -> bool:
    return len(shapely.get_parts(shapely.difference(line, ribbon))) > 1


def _inside(a: int, b: int, outlines: list[NDArray[np.object_]]) -> Relation | None:
    for subject, object_ in permutations((a, b)):
        members, around = outlines[subject], outlines[object_]
        if shapely.get_dimensions(around[0]) != 2:
            continue
        if not _boxes_inside(members, around):  # the cheap question first
            continue
        whole, holder = shapely.area(members), shapely.area(around).max()
        if whole.max() > 0.6 * holder:
            continue
        measure = shapely.length if shapely.get_dimensions(members[0]) == 1 else shapely.area
        if shapely.get_dimensions(members[0]) == 0:
            within = shapely.intersects(members[:, None], around[None, :]).any(axis=1).astype(float)
        else:
            shared = measure(shapely.intersection(members[:, None], around[None, :])).max(axis=1)
            within = shared / np.maximum(measure(members), 1e-9)
        if (within > 0.9).all():
            return Relation(subject, "in", object_)
    return None


def _boxes_inside(members: NDArray[np.object_], around: NDArray[np.object_]) -> bool:
    inner, outer = shapely.bounds(members), shapely.total_bounds(around)
    slack = 0.1 * (inner[:, 2:] - inner[:, :2]).max(initial=0.0)
    return bool((inner[:, :2] >= outer[:2] - slack).all() and (inner[:, 2:] <= outer[2:] + slack).all())


def _beside(a: int, b: int, outlines: list[NDArray[np.object_]], linear: Sequence[bool], width: int) -> Relation | None:
    # The line, or else the larger thing, is what the other stands beside.
    if linear[a] != linear[b]:
        subject, object_ = (b, a) if linear[a] else (a, b)
    else:
        larger_is_a = shapely.area(outlines[a]).sum() > shapely.area(outlines[b]).sum()
        subject, object_ = (b, a) if larger_is_a else (a, b)
    members, other = outlines[subject], outlines[object_]
    gaps = shapely.distance(members[:, None], other[None, :]).min(axis=1) / width
    if len(members) >= 3 and linear[object_] and np.mean(gaps < _BESIDE) >= 0.6:
        return Relation(subject, "along", object_)
    if (gaps < _BESIDE).all() and (linear[object_] or _apart(members, other)):
        return Relation(subject, "beside", object_)
    if (gaps < _NEAR).all() and gaps.min() > 0:
        return Relation(subject, "near", object_)
    return None


def _apart(members: NDArray[np.object_], other: NDArray[np.object_]) -> bool:
    """Tell whether areas hardly overlap: what stands on a thing does not stand beside it."""
    shared = shapely.area(shapely.intersection(members[:, None], other[None, :])).max(axis=1)
    return bool((shared <= 0.05 * np.maximum(shapely.area(members), 1e-9)).all())
