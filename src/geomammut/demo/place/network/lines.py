"""What roads and railways share: where bridges carry them, and their pieces."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from geomammut.demo.place.plan import DISTRICT_M, Plan
from geomammut.demo.place.shapes import Points
from geomammut.demo.place.sheet import BRIDGE, DECK, MARKING, ROAD, Sheet

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Ground(NamedTuple):
    """What the lines are laid on: the plan, the sheet to paint, the water to bridge, the ground taken so far."""

    plan: Plan
    sheet: Sheet
    water: shapely.Geometry
    corridors: list[tuple[Points, float]]  # centre lines and full widths


class Way(NamedTuple):
    """A piece of a line, on the ground or on a bridge."""

    points: Points
    bridge: bool

    @property
    def levels(self) -> tuple[int, int]:
        """The levels of the way itself and of the markings on it."""
        return (BRIDGE, DECK) if self.bridge else (ROAD, MARKING)

    @property
    def tags(self) -> dict[str, str]:
        return {"bridge": "yes", "layer": "1"} if self.bridge else {}


def plan_line(axis: str, line: float, run: Values) -> Points:
    """Return the points of a grid line at these positions along it, in plan coordinates."""
    across = np.full(len(run), line * DISTRICT_M)
    return np.stack([across, run] if axis == "v" else [run, across], axis=1)


def bridges(points: Points, water: shapely.Geometry, reach: int) -> Flags:
    """Say at which points a road is over water, `reach` points more on both sides."""
    wet = shapely.contains_xy(water, points[:, 0], points[:, 1])
    over: Flags = np.convolve(wet.astype(float), np.ones(2 * reach + 1), mode="same") > 0
    return over


def cut(points: Points, wet: Flags, kept: Flags | None = None) -> list[Way]:
    """Cut a line where `wet` says that a bridge carries it; neighbouring pieces share their end.

    With `kept`, only these points and every seventh stay between the ends.
    """
    ways, start = [], 0
    for k in range(1, len(points)):
        if k == len(points) - 1 or wet[k] != wet[start]:
            keep = [start]
            for m in range(start + 1, k):
                if kept is None or kept[m] or m - keep[-1] >= 7:
                    keep.append(m)
            ways.append(Way(points[[*keep, k]], bool(wet[start])))
            start = k
    return ways
