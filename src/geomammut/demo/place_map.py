"""The demo place's map: an OpenStreetMap extract with true tags, shared junction nodes and holes in areas."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import osmium
from osmium.osm import mutable

from geomammut.demo.place_names import HOSTILE_NAMES
from geomammut.demo.place_sheet import Feature, Points, Tags

TIME = "2024-06-01T12:00:00Z"  # of every object, so that the same seed gives the same map
Degrees = Callable[[Points], npt.NDArray[np.float64]]


class _Ids:
    """Gives each place on the ground one node, to the centimetre, so that ways meet in nodes."""

    def __init__(self, to_degrees: Degrees) -> None:
        self._to_degrees = to_degrees
        self._by_place: dict[tuple[float, float], int] = {}
        self.nodes: list[tuple[int, float, float, Tags]] = []

    def of(self, points: Points) -> list[int]:
        """Return the node of each point, made where there is none yet."""
        ids = []
        for (x, y), (lon, lat) in zip(
            np.round(points, 2).tolist(), self._to_degrees(points).tolist(), strict=True
        ):
            if (x, y) not in self._by_place:
                self._by_place[x, y] = self.add(lon, lat, {})
            ids.append(self._by_place[x, y])
        return ids

    def add(self, lon: float, lat: float, tags: Tags) -> int:
        self.nodes.append((len(self.nodes) + 1, lon, lat, tags))
        return len(self.nodes)


def write_map(path: Path, features: Sequence[Feature], to_degrees: Degrees, seed: int) -> None:
    """Write features as `.osm.pbf`, nodes before ways before relations.

    Beside what is drawn, the map holds what every real one does and nobody sees from above: addresses, cafés
    inside buildings, a bus route; and a few names that are no names.
    """
    ids = _Ids(to_degrees)
    ways: list[tuple[list[int], Tags]] = []
    relations: list[tuple[list[tuple[str, int, str]], Tags]] = []
    for feature in _with_odd_names(features, seed):
        if feature.kind == "node":
            lon, lat = to_degrees(feature.rings[0])[0].tolist()
            ids.add(lon, lat, feature.tags)
        elif feature.kind == "line":
            ways.append((_without_repeats(ids.of(feature.rings[0])), feature.tags))
        elif len(feature.rings) == 1:
            ways.append((_ring(ids, feature.rings[0]), feature.tags))
        else:
            members = []
            for number, ring in enumerate(feature.rings):
                ways.append((_ring(ids, ring), {}))
                members.append(("w", len(ways), "inner" if number else "outer"))
            relations.append((members, {"type": "multipolygon", **feature.tags}))
    _add_invisible(features, ids, ways, relations, to_degrees, seed)
    with osmium.SimpleWriter(str(path)) as writer:
        for number, lon, lat, tags in ids.nodes:
            writer.add_node(
                mutable.Node(id=number, version=1, timestamp=TIME, location=(lon, lat), tags=tags)
            )
        for number, (nodes, tags) in enumerate(ways, start=1):
            writer.add_way(mutable.Way(id=number, version=1, timestamp=TIME, nodes=nodes, tags=tags))
        for number, (members, tags) in enumerate(relations, start=1):
            writer.add_relation(
                mutable.Relation(id=number, version=1, timestamp=TIME, members=members, tags=tags)
            )


def _ring(ids: _Ids, points: Points) -> list[int]:
    nodes = _without_repeats(ids.of(points))
    return nodes if nodes[0] == nodes[-1] else [*nodes, nodes[0]]


def _without_repeats(nodes: list[int]) -> list[int]:
    return [node for place, node in enumerate(nodes) if place == 0 or node != nodes[place - 1]]


def _with_odd_names(features: Sequence[Feature], seed: int) -> list[Feature]:
    """Give a few of the named features names that programs trip over."""
    named = [number for number, feature in enumerate(features) if "name" in feature.tags]
    chosen = np.random.default_rng([seed, 11]).choice(
        named, size=min(len(named), 3 * len(HOSTILE_NAMES)), replace=False
    )
    renamed = list(features)
    for turn, number in enumerate(chosen.tolist()):
        feature = features[number]
        renamed[number] = feature._replace(
            tags={**feature.tags, "name": HOSTILE_NAMES[turn % len(HOSTILE_NAMES)]}
        )
    return renamed


def _add_invisible(
    features: Sequence[Feature],
    ids: _Ids,
    ways: list[tuple[list[int], Tags]],
    relations: list[tuple[list[tuple[str, int, str]], Tags]],
    to_degrees: Degrees,
    seed: int,
) -> None:
    rng = np.random.default_rng([seed, 12])
    buildings = [feature for feature in features if "building" in feature.tags]
    for number in rng.choice(len(buildings), size=min(300, len(buildings)), replace=False).tolist():
        lon, lat = to_degrees(buildings[number].rings[0].mean(axis=0, keepdims=True))[0].tolist()
        if number % 6 == 0:
            ids.add(lon, lat, {"amenity": "cafe", "name": f"Café {number}", "indoor": "yes"})
        else:
            ids.add(lon, lat, {"addr:housenumber": str(1 + number % 90), "addr:street": "Long Street"})
    roads = [number for number, (_, tags) in enumerate(ways, start=1) if tags.get("highway") == "primary"]
    for route in range(3):
        members = [("w", way, "") for way in roads[route::3][:12]]
        if members:
            relations.append((members, {"type": "route", "route": "bus", "ref": str(route + 1)}))
