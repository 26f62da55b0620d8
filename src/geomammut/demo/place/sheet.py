"""A sheet: what is painted of one part of the place, what of it is mapped, and where its scenes are."""

from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from geomammut.demo.place.names import Namer
from geomammut.demo.place.shapes import Box, Points
from geomammut.demo.place.surfaces import SURFACE_INDEX, Colour

Tags = dict[str, str]

GROUND, AREA, WATER, DETAIL, ROAD, MARKING, BRIDGE, DECK, BUILDING, ROOFTOP, TREE = range(11)
Kind = Literal["fill", "line", "disc", "stripes", "facet", "tree"]


class Op(NamedTuple):
    """One stroke of paint. `height` in metres (None leaves the ground's); `extra` depends on the kind:
    stripes (angle, period, share); facet (downhill azimuth)."""

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


class Sheet:
    """Collects paint, map features and scenes, and remembers which ground is taken."""

    def __init__(self, rng: np.random.Generator, bounds: Box) -> None:
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

    def map_area(self, outline: Points, *holes: Points, **tags: str) -> None:
        self.features.append(Feature("area", [outline, *holes], _tags(tags)))

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
