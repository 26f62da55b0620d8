"""Which landmarks are visible in a chip, how large, and where."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.pairs import english
from geomammut.pairs.join_grid import intersection
from geomammut.pairs.positions import Region, place_of_many, place_of_one
from geomammut.pairs.relations import Relation, relations_between

MAX_LANDMARKS = 8  # kept per pair; more only repeats

# What can be told apart at all, in pixels: a thing's mean width, its area, a line's length as a share
# of the chip's side, and the rim in which a point or a line along the edge is as good as cut off.
_MIN_WIDTH_PX, _MIN_AREA_PX, _MIN_LENGTH, _RIM = 2.0, 12.0, 0.15, 0.03
# A thing cut by the edge must still be recognisable: a quarter of it, or a thirtieth of the chip.
_MIN_SHARE_VISIBLE, _MIN_AREA_SHARE = 0.25, 1 / 30
_RIBBON = 0.12  # 4π area / perimeter² below which a polygon is a ribbon: a river, a widened road
# Some exports draw roads as ribbons; cut short by a chip's edge, one is a line all the same.
_LINE_CATEGORIES = frozenset(
    category.key for category in load_taxonomy().categories.values() if "area" not in category.kinds
)


@dataclass(frozen=True)
class VisibleLandmark:
    """One landmark as seen in one chip.

    `outline` is its visible part in chip pixels, x right, y down; `bounds` its bounding box in
    shares of the chip; `pixels_across` the longer side of its bounding box.
    """

    landmark_id: str
    category: str
    phrase: str
    name: str | None
    position: str
    share_visible: float
    area_share: float
    pixels_across: float
    outline: BaseGeometry
    bounds: Region
    linear: bool
    salience: float

    def as_json(self, count: int) -> dict[str, Any]:
        """Return the entry of a pair's `landmarks`; `count` landmarks of its category are in the chip."""
        outline = shapely.transform(shapely.simplify(self.outline, 0.5), lambda xy: xy.round(1))
        return {
            "landmark_id": self.landmark_id,
            "category": self.category,
            "phrase": self.phrase,
            "name": self.name,
            "count": count,
            "position": self.position,
            "share_visible": round(self.share_visible, 3),
            "area_share": round(self.area_share, 4),
            "pixels_across": round(self.pixels_across, 1),
            "outline": shapely.geometry.mapping(outline),
        }


@dataclass(frozen=True)
class Kind:
    """All visible landmarks of one category in one chip, the most salient first."""

    category: str
    phrase: str
    members: tuple[VisibleLandmark, ...]
    position: str  # "" where no words of place fit all of them
    linear: bool
    countable: bool  # whether a person would count them and get the same number
    salience: float

    @property
    def count(self) -> int:
        return len(self.members)

    @property
    def area_share(self) -> float:
        return min(1.0, sum(member.area_share for member in self.members))


@dataclass(frozen=True)
class ChipContents:
    """What the map says is to be seen in one chip, the most salient kind first."""

    width: int
    height: int
    kinds: tuple[Kind, ...]
    relations: tuple[Relation, ...]

    @cached_property
    def landmarks(self) -> tuple[VisibleLandmark, ...]:
        """The few worth keeping: the best of each kind, then the best of the rest."""
        first = [kind.members[0] for kind in self.kinds]
        rest = sorted(
            (member for kind in self.kinds for member in kind.members[1:]),
            key=lambda member: (-member.salience, member.landmark_id),
        )
        return tuple((first + rest)[:MAX_LANDMARKS])

    def landmarks_json(self) -> tuple[dict[str, Any], ...]:
        counts = {kind.category: kind.count for kind in self.kinds}
        return tuple(landmark.as_json(counts[landmark.category]) for landmark in self.landmarks)


@dataclass(frozen=True)
class Frame:
    """Where a chip of `size` × `size` pixels lies; `transform` goes from pixel (column, row) to `crs`, north up."""

    crs: str
    transform: Affine
    gsd_m: float
    size: int


class LandmarkIndex:
    """Some landmarks, found by place.

    Args:
        table: Columns of a landmark table. Where its geometries are pieces of landmarks, `extent_m` tells how
            large the whole is: the length of a line in metres, the area of a polygon in square metres.
        rarity: Category → 0..1, how much it is worth saying (see `rarity_of`); by default of this table.
    """

    def __init__(self, table: pandas.DataFrame, rarity: Mapping[str, float] | None = None) -> None:
        self._geometries: NDArray[np.object_] = table["geometry"].to_numpy(dtype=object)
        self._dimension = shapely.get_dimensions(self._geometries)
        areas = table["area_m2"].to_numpy(dtype=float)
        self._extent_m = (
            table["extent_m"].to_numpy(dtype=float) if "extent_m" in table else extents_m(self._geometries, areas)
        )
        self._min_visible_gsd_m = table["min_visible_gsd_m"].to_numpy(dtype=float)
        self._ids: list[str] = table["landmark_id"].tolist()
        self._categories: list[str] = table["category"].tolist()
        self._phrases: list[str] = [english.bare(phrase) for phrase in table["phrase"]]
        self._names: list[str | None] = [name if isinstance(name, str) and name else None for name in table["name"]]
        self._rarity = rarity_of(Counter(self._categories)) if rarity is None else rarity
        self._weight = np.array([self._rarity[category] for category in self._categories])
        self._of_line_category = np.array([category in _LINE_CATEGORIES for category in self._categories])
        self._in_crs: dict[str, tuple[NDArray[np.object_], shapely.STRtree]] = {}

    def contents_of(self, frames: Sequence[Frame]) -> list[ChipContents]:
        """Return what is visible in each frame; `kinds` are empty where nothing is."""
        by_crs: dict[str, list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            by_crs[frame.crs].append(index)
        found: list[list[VisibleLandmark]] = [[] for _ in frames]
        for crs, indices in by_crs.items():
            for number, landmark in self._visible(crs, [frames[index] for index in indices]):
                found[indices[number]].append(landmark)
        return [self._contents(frame, landmarks) for frame, landmarks in zip(frames, found, strict=True)]

    def _contents(self, frame: Frame, landmarks: Sequence[VisibleLandmark]) -> ChipContents:
        if not landmarks:
            return ChipContents(frame.size, frame.size, (), ())
        kinds = group_kinds(landmarks, self._rarity)
        members = [[member.outline for member in kind.members] for kind in kinds]
        relations = relations_between(members, [kind.linear for kind in kinds], frame.size)
        return ChipContents(frame.size, frame.size, kinds, relations)

    def _projected(self, crs: str) -> tuple[NDArray[np.object_], shapely.STRtree]:
        if crs not in self._in_crs:
            to_crs = _to_crs(crs)

            def project(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
                return np.column_stack(to_crs.transform(lonlat[:, 0], lonlat[:, 1]))

            geometries: NDArray[np.object_] = shapely.transform(self._geometries, project)
            # What lies on the other side of the Earth has no place in this projection.
            geometries[~np.isfinite(shapely.bounds(geometries)).all(axis=1)] = shapely.Point()
            self._in_crs[crs] = geometries, shapely.STRtree(geometries)
        return self._in_crs[crs]

    def _visible(self, crs: str, frames: Sequence[Frame]) -> Iterator[tuple[int, VisibleLandmark]]:
        """Yield the landmarks visible in frames of one CRS, each with the index of its frame.

        The arithmetic is done for all pairs of frame and landmark together: one by one it takes ten times as long.
        """
        geometries, tree = self._projected(crs)
        gsd_m, size = np.array([[frame.gsd_m, frame.size] for frame in frames]).T
        windows = np.array([_bounds(frame) for frame in frames])
        number, row = tree.query(shapely.box(*windows.T))
        order = np.lexsort((row, number))
        order = order[self._min_visible_gsd_m[row[order]] >= gsd_m[number[order]]]
        number, row = number[order], row[order]
        outlines = _in_pixels(geometries[row], windows[number], gsd_m[number])
        seen = np.flatnonzero(~shapely.is_empty(outlines))
        number, row, outlines = number[seen], row[seen], outlines[seen]
        gsd_m, size = gsd_m[number], size[number]

        area, length = shapely.area(outlines), shapely.length(outlines)
        bounds = shapely.bounds(outlines)
        across = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        # A centroid may lie beside a bent thing: take its nearest point that is part of it.
        anchor = shapely.get_coordinates(shapely.shortest_line(outlines, shapely.centroid(outlines)))[::2]
        anchor = anchor / size[:, None]
        box = bounds / size[:, None]
        in_rim = ((anchor <= _RIM) | (anchor >= 1 - _RIM)).any(axis=1)
        area_share = area / size**2
        dimension = self._dimension[row]
        is_area, is_line = dimension == 2, dimension == 1
        of_line_category = self._of_line_category[row]
        linear = is_line | (is_area & (of_line_category | (4 * np.pi * area < _RIBBON * length**2)))
        run = np.where(is_area, length / 2, length)  # of a line or ribbon
        visible = np.where(is_area, area * gsd_m**2, length * gsd_m)
        whole = self._extent_m[row]
        share = np.where((dimension > 0) & (whole > 0), np.minimum(1.0, visible / np.where(whole > 0, whole, 1.0)), 1.0)

        kept = np.where(is_area, area >= _MIN_AREA_PX, ~in_rim)
        kept &= ~is_area | (area >= _MIN_WIDTH_PX * np.maximum(across, 1e-9))
        kept &= ~is_area | (share >= _MIN_SHARE_VISIBLE) | (area_share >= _MIN_AREA_SHARE)
        kept &= ~linear | (run >= _MIN_LENGTH * size)

        extent = np.where(linear, 0.25 * np.minimum(1.0, run / size), np.sqrt(area_share))
        off_centre = 2 * np.abs(anchor - 0.5).max(axis=1, initial=0.0)
        central = 1 - 0.4 * off_centre * ((area_share < 0.25) & ~linear)
        salience = (0.15 + 0.85 * extent) * self._weight[row] * (0.6 + 0.4 * share) * central
        for i in np.flatnonzero(kept).tolist():
            place = int(row[i])
            region: Region = tuple(box[i].tolist())
            wide = min(region[2] - region[0], region[3] - region[1]) > 0.5
            slope = _slope(outlines[i]) if linear[i] and wide else 0.0
            u, v = anchor[i].tolist()
            yield (
                int(number[i]),
                VisibleLandmark(
                    landmark_id=self._ids[place],
                    category=self._categories[place],
                    phrase=self._phrases[place],
                    name=self._names[place],
                    position=place_of_one(
                        (u, v), region, linear=bool(linear[i]), area_share=float(area_share[i]), slope=slope
                    ),
                    share_visible=float(share[i]),
                    area_share=float(area_share[i]),
                    pixels_across=float(across[i]),
                    outline=outlines[i],
                    bounds=region,
                    linear=bool(linear[i]),
                    salience=float(salience[i]),
                ),
            )


def _slope(outline: BaseGeometry) -> float:
    """Return the correlation of x and y along an outline, -1..1; 0 for one along an axis."""
    xy = shapely.get_coordinates(shapely.segmentize(outline, 8.0))
    spread = xy.std(axis=0)
    if spread.min() < 1e-6:
        return 0.0
    return float(((xy - xy.mean(axis=0)) / spread).prod(axis=1).mean())


def group_kinds(landmarks: Sequence[VisibleLandmark], rarity: Mapping[str, float]) -> tuple[Kind, ...]:
    """Return a chip's landmarks by category, the most salient first; `rarity` 0..1 weighs categories."""
    by_category: dict[str, list[VisibleLandmark]] = defaultdict(list)
    for landmark in landmarks:
        by_category[landmark.category].append(landmark)
    kinds = []
    for category, found in by_category.items():
        members = sorted(found, key=lambda member: (-member.salience, member.landmark_id))
        linear = sum(member.linear for member in members) * 2 > len(members)
        places = [member.position for member in members]
        together = min(1.0, sum(member.area_share for member in members)) ** 0.5
        countable = (
            not linear
            and sorted(member.share_visible for member in members)[len(members) // 2] >= 0.5
            and max(member.area_share for member in members) < 0.25
        )
        kinds.append(
            Kind(
                category=category,
                phrase=members[0].phrase,
                members=tuple(members),
                position=place_of_many([member.bounds for member in members], places),
                linear=linear,
                countable=countable,
                salience=max(members[0].salience, 0.0 if linear else (0.15 + 0.85 * together) * rarity[category] * 0.8),
            )
        )
    return tuple(sorted(kinds, key=lambda kind: (-kind.salience, kind.category)))


def rarity_of(counts: Mapping[str, int]) -> dict[str, float]:
    """Return how much each category is worth saying, 0..1, given how many landmarks of a map have it.

    A stadium tells chips apart, a house does not: the rarer in this map, the more worth saying.
    """
    return {category: 1 / (1 + math.log10(count)) for category, count in counts.items()}


def extents_m(geometries: NDArray[np.object_], areas_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how large each landmark is: a line's length in metres, a polygon's area in square metres."""
    return np.where(shapely.get_dimensions(geometries) == 1, lengths_m(geometries), areas_m2)


def lengths_m(geometries: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the length on the ground of each line, in metres (to half a percent); 0 for others."""
    lines = np.flatnonzero(shapely.get_dimensions(geometries) == 1)
    parts, owner = shapely.get_parts(geometries[lines], return_index=True)
    lonlat, part = shapely.get_coordinates(parts, return_index=True)
    same = part[1:] == part[:-1]
    step = np.radians(np.diff(lonlat, axis=0))[same]
    latitude = np.radians((lonlat[1:, 1] + lonlat[:-1, 1]) / 2)[same]
    metres = 6_371_008.8 * np.hypot(step[:, 0] * np.cos(latitude), step[:, 1])
    total = np.zeros(len(geometries))
    np.add.at(total, lines[owner[part[1:][same]]], metres)
    return total


@lru_cache(maxsize=64)
def _to_crs(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _bounds(frame: Frame) -> tuple[float, float, float, float]:
    left, top = frame.transform.c, frame.transform.f
    return left, top - frame.size * frame.gsd_m, left + frame.size * frame.gsd_m, top


def _in_pixels(
    geometries: NDArray[np.object_], windows: NDArray[np.float64], gsd_m: NDArray[np.float64]
) -> NDArray[np.object_]:
    """Cut each geometry to its window and return it in pixels; what only touches the edge comes back empty."""
    bounds = shapely.bounds(geometries)
    outside = (bounds[:, :2] < windows[:, :2]).any(axis=1) | (bounds[:, 2:] > windows[:, 2:]).any(axis=1)
    if outside.any():
        geometries[outside] = intersection(geometries[outside], shapely.box(*windows[outside].T))
    xy, owner = shapely.get_coordinates(geometries, return_index=True)
    pixels = (xy - windows[owner][:, [0, 3]]) / gsd_m[owner, None] * [1.0, -1.0]
    outlines: NDArray[np.object_] = shapely.set_coordinates(geometries, pixels)
    return outlines
