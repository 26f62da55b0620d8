"""Points, turned rectangles and outlines.

Coordinates are metres in the place's own frame: x to the right (east), y down (south), origin at the top left,
so that one metre is one pixel of the mosaic.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

Point = tuple[float, float]
Points = npt.NDArray[np.float64]  # [N, 2]
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Frame(NamedTuple):
    """A turned rectangle: local x runs along its width, local y along its depth, from its centre."""

    cx: float
    cy: float
    angle: float
    width: float
    depth: float

    def at(self, points: Sequence[Point] | Points) -> Points:
        """Return local points [N, 2] in the place's coordinates."""
        local = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        c, s = math.cos(self.angle), math.sin(self.angle)
        x, y = local[:, 0], local[:, 1]
        return np.stack([self.cx + c * x - s * y, self.cy + s * x + c * y], axis=1)

    def point(self, x: float, y: float) -> Point:
        """Return one local point in the place's coordinates."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return float(self.cx + c * x - s * y), float(self.cy + s * x + c * y)

    def local(self, points: Points) -> Points:
        """Return the place's points [N, 2] in this frame's coordinates."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        x, y = points[:, 0] - self.cx, points[:, 1] - self.cy
        return np.stack([x * c + y * s, -x * s + y * c], axis=1)

    def turned(self, turn: float) -> "Frame":
        """Return the frame turned about its centre, its sides as long as before."""
        return self._replace(angle=self.angle + turn)

    def rect(self, x0: float, y0: float, x1: float, y1: float) -> Points:
        return self.at([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    def whole(self, inset: float = 0.0) -> Points:
        w, d = self.width / 2 - inset, self.depth / 2 - inset
        return self.rect(-w, -d, w, d)

    def inner(self, x0: float, y0: float, x1: float, y1: float, turn: float = 0.0) -> "Frame":
        """Return the frame of a local rectangle, turned about its centre."""
        cx, cy = self.point((x0 + x1) / 2, (y0 + y1) / 2)
        return Frame(cx, cy, self.angle + turn, x1 - x0, y1 - y0)

    def lengthwise(self) -> "Frame":
        """Return the same rectangle with its width along the longer side."""
        if self.width >= self.depth:
            return self
        return Frame(self.cx, self.cy, self.angle + math.pi / 2, self.depth, self.width)

    def tilted(self, turn: float) -> "Frame":
        """Return the largest rectangle of the same proportions, turned by `turn`, that fits inside."""
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        w, d = self.width, self.depth
        scale = min(w / (w * c + d * s), d / (w * s + d * c))
        return Frame(self.cx, self.cy, self.angle + turn, w * scale, d * scale)


def circle(x: float, y: float, radius: float, corners: int = 28) -> Points:
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def blob(rng: np.random.Generator, x: float, y: float, rx: float, ry: float, rough: float = 0.25) -> Points:
    """Return a smooth random closed outline around (x, y) with radii near `rx`, `ry`."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.ones_like(turn)
    for k in range(2, 7):
        radius += rough * rng.normal() / k * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.45, 1.3)
    return np.stack([x + rx * radius * np.cos(turn), y + ry * radius * np.sin(turn)], axis=1)


def smooth(points: Points, rounds: int = 3) -> Points:
    """Round the corners of an open line by Chaikin's rule; its ends stay."""
    for _ in range(rounds):
        near, far = points[:-1], points[1:]
        cut = np.stack([0.75 * near + 0.25 * far, 0.25 * near + 0.75 * far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


def along(line: Points, step: float, start: float = 0.0) -> tuple[Points, Points]:
    """Return points every `step` metres along a line and the unit directions there, both [N, 2]."""
    delta = np.diff(line, axis=0)
    length = np.hypot(delta[:, 0], delta[:, 1])
    reach = np.concatenate([[0.0], np.cumsum(length)])
    where = np.arange(start, reach[-1], step)
    segment = np.clip(np.searchsorted(reach, where, side="right") - 1, 0, len(length) - 1)
    safe = np.maximum(length[segment], 1e-9)
    direction = delta[segment] / safe[:, None]
    return line[segment] + direction * (where - reach[segment])[:, None], direction


def normals(line: Points) -> Points:
    """Return the unit vectors to a line's right (y pointing down) at its points."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def offset(line: Points, distance: float) -> Points:
    """Return the line moved to its right by `distance`."""
    return line + distance * normals(line)


def closed(outline: Points) -> Points:
    """Return an outline with its first point again at its end."""
    return np.concatenate([outline, outline[:1]])


def ring(polygon: shapely.Polygon) -> Points:
    """Return a polygon's outer outline, its first point once."""
    return np.asarray(polygon.exterior.coords)[:-1]


def pieces(shape: shapely.Geometry, least: float = 0.0) -> list[shapely.Polygon]:
    """Return a geometry's polygons larger than `least` m²."""
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > least]


def area(outline: Points) -> float:
    """Return a polygon's area, m²."""
    x, y = outline[:, 0], outline[:, 1]
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def inside(outline: Points, x: float, y: float) -> bool:
    """Say whether a point is inside a polygon (even-odd rule)."""
    a, b = outline, np.roll(outline, -1, axis=0)
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    return bool(np.count_nonzero(crosses & (x < at)) % 2)
