"""A sheet: what is painted of one part of the place, what of it is mapped, and where its scenes are.

Coordinates are metres in the place's own frame: x to the right (east), y down (south), origin at the top left,
so that one metre is one pixel of the mosaic.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from geomammut.demo.place_names import Namer
from geomammut.demo.place_surfaces import SURFACE_INDEX, Colour

Points = npt.NDArray[np.float64]
Tags = dict[str, str]

GROUND, AREA, WATER, DETAIL, ROAD, MARKING, BRIDGE, DECK, BUILDING, ROOFTOP, TREE = range(11)
Kind = Literal["fill", "line", "disc", "stripes", "facet", "tree"]


class Op(NamedTuple):
    """One stroke of paint. `height` in metres (None leaves the ground's); `extra` depends on the kind:
    stripes (angle, period, share, colour); facet (downhill azimuth, steepness)."""

    level: int
    kind: Kind
    points: Points
    size: float
    colour: Colour
    surface: int
    height: float | None
    extra: tuple[float, ...]


class Feature(NamedTuple):
    """A map feature: a node, a line, or an area of one outer ring and its holes."""

    kind: Literal["node", "line", "area"]
    rings: list[Points]
    tags: Tags


class Scene(NamedTuple):
    """A point that shows `label` when a camera is centred on it."""

    label: str
    x: float
    y: float


class Frame(NamedTuple):
    """A turned rectangle: local x runs along its width, local y along its depth, from its centre."""

    cx: float
    cy: float
    angle: float
    width: float
    depth: float

    def at(self, points: Sequence[tuple[float, float]] | Points) -> Points:
        """Return local points [N, 2] in the place's coordinates."""
        local = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        c, s = math.cos(self.angle), math.sin(self.angle)
        x, y = local[:, 0], local[:, 1]
        return np.stack([self.cx + c * x - s * y, self.cy + s * x + c * y], axis=1)

    def rect(self, x0: float, y0: float, x1: float, y1: float) -> Points:
        return self.at([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    def whole(self, inset: float = 0.0) -> Points:
        w, d = self.width / 2 - inset, self.depth / 2 - inset
        return self.rect(-w, -d, w, d)

    def inner(self, x0: float, y0: float, x1: float, y1: float, turn: float = 0.0) -> "Frame":
        """Return the frame of a local rectangle, turned about its centre."""
        cx, cy = self.at([((x0 + x1) / 2, (y0 + y1) / 2)])[0]
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


def offset(line: Points, distance: float) -> Points:
    """Return the line moved sideways (to its right, y pointing down) by `distance`."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return line + distance * np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


class Sheet:
    """Collects paint, map features and scenes, and remembers which ground is taken."""

    def __init__(self, rng: np.random.Generator, bounds: tuple[float, float, float, float]) -> None:
        self.rng = rng
        self.namer = Namer(rng)
        self.ops: list[Op] = []
        self.features: list[Feature] = []
        self.scenes: list[Scene] = []
        self._left, self._top = bounds[0], bounds[1]
        size = (max(1, int(bounds[2] - bounds[0]) + 1), max(1, int(bounds[3] - bounds[1]) + 1))
        self._taken = Image.new("L", size, 0)
        self._pen = ImageDraw.Draw(self._taken)
        self._size = size
        self._bounds: Points | None = None

    def bounds(self) -> Points:
        """Return the strokes' bounds [N, 4] (left, top, right, bottom), kept once asked for."""
        if self._bounds is None or len(self._bounds) != len(self.ops):
            boxes = np.empty((len(self.ops), 4))
            for row, op in zip(boxes, self.ops, strict=True):
                reach = op.size if op.kind in ("disc", "tree") else op.size / 2
                row[:2] = op.points.min(axis=0) - reach
                row[2:] = op.points.max(axis=0) + reach
            self._bounds = boxes
        return self._bounds

    def vary(self, colour: Colour, amount: float = 8) -> Colour:
        """Return the colour a little lighter or darker, and a little off in hue."""
        shade = self.rng.normal(0, amount)
        r, g, b = (float(np.clip(c + shade + self.rng.normal(0, amount / 3), 0, 255)) for c in colour)
        return int(r), int(g), int(b)

    def pick(self, *colours: Colour, amount: float = 8) -> Colour:
        return self.vary(colours[int(self.rng.integers(len(colours)))], amount)

    def fill(self, level: int, points: Points, colour: Colour, surface: str, height: float | None = None) -> None:
        self.ops.append(Op(level, "fill", points, 0, colour, SURFACE_INDEX[surface], height, ()))

    def line(
        self,
        level: int,
        points: Points,
        width: float,
        colour: Colour,
        surface: str,
        height: float | None = None,
    ) -> None:
        self.ops.append(Op(level, "line", points, width, colour, SURFACE_INDEX[surface], height, ()))

    def disc(
        self,
        level: int,
        x: float,
        y: float,
        radius: float,
        colour: Colour,
        surface: str,
        height: float | None = None,
    ) -> None:
        at = np.array([[x, y]])
        self.ops.append(Op(level, "disc", at, radius, colour, SURFACE_INDEX[surface], height, ()))

    def stripes(
        self,
        level: int,
        points: Points,
        angle: float,
        period: float,
        share: float,
        colour: Colour,
        surface: str,
    ) -> None:
        """Paint parallel stripes inside a polygon: `share` of each `period` metres, along `angle`."""
        extra = (angle, period, share)
        self.ops.append(Op(level, "stripes", points, 0, colour, SURFACE_INDEX[surface], None, extra))

    def facet(self, level: int, points: Points, colour: Colour, height: float, downhill: float) -> None:
        """Paint one plane of a pitched roof; `downhill` is the azimuth that it falls toward."""
        self.ops.append(Op(level, "facet", points, 0, colour, SURFACE_INDEX["roof"], height, (downhill,)))

    def tree(self, x: float, y: float, radius: float, colour: Colour, height: float | None = None) -> None:
        tall = height if height is not None else radius * 2.2
        self.ops.append(Op(TREE, "tree", np.array([[x, y]]), radius, colour, SURFACE_INDEX["tree"], tall, ()))

    def map_area(self, points: Points, holes: Sequence[Points] = (), **tags: str) -> None:
        self.features.append(Feature("area", [points, *holes], _tags(tags)))

    def map_line(self, points: Points, **tags: str) -> None:
        self.features.append(Feature("line", [points], _tags(tags)))

    def map_node(self, x: float, y: float, **tags: str) -> None:
        self.features.append(Feature("node", [np.array([[x, y]])], _tags(tags)))

    def scene(self, label: str, x: float, y: float) -> None:
        self.scenes.append(Scene(label, float(x), float(y)))

    def take(self, points: Points) -> None:
        """Mark the ground under a polygon as taken."""
        self._pen.polygon((points - (self._left, self._top)).ravel().tolist(), fill=255, outline=255)

    def take_all_but(self, outline: Points) -> None:
        """Mark everything as taken except what a polygon encloses."""
        self._pen.rectangle((0, 0, *self._size), fill=255)
        self._pen.polygon((outline - (self._left, self._top)).ravel().tolist(), fill=0)

    def take_line(self, points: Points, width: float) -> None:
        flat = (points - (self._left, self._top)).ravel().tolist()
        self._pen.line(flat, fill=255, width=max(1, round(width)))

    def free(self, points: Points) -> bool:
        """Say whether the ground under these points is inside the sheet and not taken."""
        w, h = self._size
        access = self._taken.load()
        assert access is not None
        for x, y in (points - (self._left, self._top)).tolist():
            if not (0 <= x < w and 0 <= y < h) or access[int(x), int(y)]:
                return False
        return True

    def free_ground(self, polygon: Points) -> bool:
        """Say whether a convex polygon's corners, edges' middles and centre are on free ground."""
        middles = (polygon + np.roll(polygon, 1, axis=0)) / 2
        return self.free(np.concatenate([polygon, middles, polygon.mean(axis=0, keepdims=True)]))


def _tags(tags: dict[str, str]) -> Tags:
    """Turn Python's keyword names into OSM keys: `plant__source` means `plant:source`; empty values are left out."""
    return {key.replace("__", ":"): value for key, value in tags.items() if value}
