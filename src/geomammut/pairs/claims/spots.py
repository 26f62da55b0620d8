"""Whether things stand where, run as, and are as large as a caption says."""

import re
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from geomammut.pairs.claims.places import Course, Spread
from geomammut.pairs.positions import Region
from geomammut.pairs.visible import ChipContents, Kind

_COVERS = re.compile(
    r"\b(?:cover(?:s|ing)?|fill(?:s|ing)?|occup(?:y|ies|ying)|tak(?:es?|ing) up|spread(?:s|ing)? (?:over|across)|"
    r"dominat(?:es?|ing)|makes? up|account(?:s|ing)? for|stretch(?:es|ing)? over)\s+"
    r"(?P<share>(?:(?!\band\b|\bwith\b)[\w-]+,?\s+){0,7}?)(?:of\s+)?"
    r"(?:(?:the|this)\s+(?P<of>(?:(?:entire|whole|full)\s+)?(?:\w+\s+)?)"
    r"(?:image|picture|photo|photograph|scene|frame|view|shot|tile|chip)|what (?:we|you|one|is|can be))\b"
    r"|\btak(?:es?|ing) up\s+(?P<bare>an?\s+(?:\w+\s+)?(?:part|share|portion|sliver|fraction|spot|bit))"
    r"|\b(?:cover(?:s|ing)?|fill(?:s|ing)?|occup(?:y|ies|ying))\s+(?P<spot>(?:only\s+|just\s+)?an?\s+(?:tiny|small|minute|little)\s+\w+)",
    re.IGNORECASE,
)
# What part of the picture words mean, generously: (from, to).
_SHARES: tuple[tuple[str, tuple[float, float]], ...] = (
    (r"less than|under|tenth|sliver|tiny|minute|negligible|fraction|spot|bit|little|hardly|barely", (0.0, 0.2)),
    (r"small|minor", (0.0, 0.35)),
    (
        r"(?:almost|nearly|virtually) (?:the )?(?:entire|whole|all|everything)|entire(?:ty)?|whole|all|full|everything",
        (0.55, 1.0),
    ),
    (r"most|majority|bulk", (0.35, 1.0)),
    (r"two[- ]thirds|three[- ]quarters", (0.4, 1.0)),
    (r"half", (0.28, 0.78)),
    (r"third", (0.14, 0.6)),
    (r"quarter", (0.1, 0.5)),
    (r"much|large|big|good|significant|considerable|substantial|major|great|huge", (0.12, 1.0)),
)
_ADJECTIVES = {
    "tiny": (0.0, 0.12),
    "minuscule": (0.0, 0.08),
    "small": (0.0, 0.4),
    **dict.fromkeys(("vast", "huge", "enormous", "massive", "expansive", "immense", "gigantic"), (0.04, 1.0)),
}


def outlines_of(kinds: Sequence[Kind]) -> NDArray[np.object_]:
    return np.array([member.outline for kind in kinds for member in kind.members], dtype=object)


def share_of(kinds: Sequence[Kind]) -> float:
    """Return the share of the chip that kinds cover, 0..1."""
    return min(1.0, sum(kind.area_share for kind in kinds))


def standing_in(region: Region, kinds: Sequence[Kind], contents: ChipContents, spread: Spread = "stands") -> int:
    """Return how many members stand in a part of the picture: with a quarter of them or of it.

    Those that are said to be mostly there need two fifths; those that fill it, a third of it between them.
    """
    left, top, right, bottom = region
    window = shapely.box(left * contents.width, top * contents.height, right * contents.width, bottom * contents.height)
    outlines = outlines_of(kinds)
    inside = shapely.intersection(outlines, window)
    dimension = shapely.get_dimensions(outlines)
    shared = np.where(dimension == 2, shapely.area(inside), shapely.length(inside))
    whole = np.where(dimension == 2, shapely.area(outlines), shapely.length(outlines))
    room = np.where(dimension == 2, shapely.area(window), max(contents.width, contents.height))
    least = 0.25 if spread == "stands" else 0.4
    stands = (shared >= least * whole) | (shared >= least * room)
    if spread == "fills":
        stands &= (dimension != 2) | (shared[dimension == 2].sum() >= 0.35 * room)
    return int(np.sum(np.where(dimension == 0, ~shapely.is_empty(inside), stands & (shared > 0))))


def runs(course: Course, kinds: Sequence[Kind], contents: ChipContents) -> bool:
    """Tell whether a line of the kinds, or all of them together, runs so."""
    outlines = outlines_of(kinds)
    return any(
        _follows(shapely.get_coordinates(one), course.step, contents)
        for one in (*outlines, shapely.union_all(outlines))
    )


def _follows(points: NDArray[np.float64], step: tuple[float, float], contents: ChipContents) -> bool:
    points = points / np.array([contents.width, contents.height])
    if len(points) < 2:
        return False
    extent = np.ptp(points, axis=0)
    if step == (0.0, 0.0):  # aslant
        return bool(extent.min() > 0.3 * extent.max())
    direction = np.array(step) / np.hypot(*step)
    along = points @ direction
    reach = float(np.ptp(along))
    # Of a ribbon the far ends have width: the middle of the points near each end is the end.
    low, high = (
        points[near].mean(axis=0) for near in (along <= along.min() + 0.1 * reach, along >= along.max() - 0.1 * reach)
    )
    run = high - low
    if step[0] and step[1] and abs(run).min() > 0.15 and run[0] * run[1] * step[0] * step[1] < 0:
        return False
    straight = float(run @ direction / max(float(np.hypot(*run)), 1e-9))
    return bool(reach >= 0.35 and straight >= 0.6 and reach >= 0.5 * float(extent.max()))


def shares_said(caption: str) -> list[tuple[int, tuple[float, float], str]]:
    """Return what a caption says about how much of the picture something covers: (where, (from, to), words)."""
    found = []
    for match in _COVERS.finditer(caption):
        words = " ".join(filter(None, (match["share"], match["of"], match["bare"], match["spot"]))).lower()
        if re.search(r"\b(?:width|length|height|edge|side)\b", words):
            continue
        for pattern, limits in _SHARES:
            if re.search(rf"\b(?:{pattern})\b", words):
                found.append((match.start(), limits, " ".join(match.group().split())))
                break
    return found


def size_said(words: Sequence[str]) -> tuple[tuple[float, float], str] | None:
    """Return the share of the picture that an adjective among `words` allows: (from, to), adjective."""
    return next(((_ADJECTIVES[word], word) for word in words if word in _ADJECTIVES), None)
