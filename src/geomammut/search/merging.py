"""Overlapping chips that look the same become one hit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

_OVERLAP = 0.25  # of the smaller footprint's area, from which two may be of the same thing


@dataclass(frozen=True)
class Candidates:
    """Chips that were found, best first.

    Attributes:
        rows: int [N], their places in the table that was found.
        scores: float32 [N].
        embeddings: float32 [N, E].
        footprints: WKB.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    footprints: Sequence[bytes]


@dataclass(frozen=True)
class Group:
    """A chip and how many others it stands for.

    Attributes:
        row: Its place in the table that was found.
        score: Its own, the best of all.
        footprint: GeoJSON.
        others: How many were merged into it.
    """

    row: int
    score: float
    footprint: Mapping[str, Any]
    others: int


def merged(found: Candidates, k: int, similar_from: float) -> list[Group]:
    """Return the first `k` groups, best first: a chip joins the best that it overlaps by a quarter and looks like.

    Args:
        found: Best first.
        k: How many groups at most.
        similar_from: Cosine of two embeddings from which chips look the same.
    """
    shapes = shapely.from_wkb(list(found.footprints))
    areas = shapely.area(shapes)
    lengths = np.linalg.norm(found.embeddings, axis=1, keepdims=True)
    units = found.embeddings / np.maximum(lengths, 1e-12)
    heads: list[int] = []
    others: list[int] = []
    for place in range(len(found.rows)):
        if heads:
            kept = np.array(heads)
            shared = shapely.area(shapely.intersection(shapes[kept], shapes[place]))
            same = shared >= _OVERLAP * np.minimum(areas[kept], areas[place])
            same &= units[kept] @ units[place] >= similar_from
            if same.any():
                others[int(np.argmax(same))] += 1
                continue
        if len(heads) == k:
            break
        heads.append(place)
        others.append(0)
    return [
        Group(int(found.rows[head]), float(found.scores[head]), json.loads(shapely.to_geojson(shapes[head])), count)
        for head, count in zip(heads, others, strict=True)
    ]
