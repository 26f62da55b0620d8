"""The demo place's map: true OpenStreetMap tags in an `.osm.pbf`, and its areas as GeoJSON."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import osmium
import pyproj
import shapely
from osmium.osm.mutable import Node, Relation, Way

from geomammut.demo.place.names import HOSTILE_NAMES
from geomammut.demo.place.plan import DISTRICT_M, Plan
from geomammut.demo.place.shapes import Points, circle, closed, pieces, ring
from geomammut.demo.place.sheet import Feature, Sheet
from geomammut.files import write_json

# The place lies in the open Mediterranean, so that nobody takes it for a real one.
CRS = "EPSG:32633"
EAST, NORTH = 496_000.0, 3_904_000.0

_TO_DEGREES = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)


def degrees(points: Points) -> Points:
    """Return place coordinates [N, 2] as longitude and latitude."""
    lon, lat = _TO_DEGREES.transform(EAST + points[:, 0], NORTH - points[:, 1])
    return np.stack([lon, lat], axis=1)


def write_map(path: Path, plan: Plan, features: Sequence[Feature]) -> None:
    """Write all features as one `.osm.pbf`, with some that cannot be seen from above, as real maps have."""
    everything = _with_hostile_names([*features, *_unseen(plan)])
    nodes: dict[tuple[float, float], int] = {}
    spots: list[tuple[float, float]] = []
    tagged: dict[int, dict[str, str]] = {}
    ways: list[tuple[list[int], dict[str, str]]] = []
    relations: list[tuple[list[tuple[str, int, str]], dict[str, str]]] = []

    def node(x: float, y: float) -> int:
        key = (round(float(x), 2), round(float(y), 2))
        if key not in nodes:
            spots.append(key)
            nodes[key] = len(spots)
        return nodes[key]

    def way(points: Points, tags: dict[str, str], *, closed: bool) -> int:
        refs = [node(x, y) for x, y in points]
        refs = [ref for k, ref in enumerate(refs) if k == 0 or ref != refs[k - 1]]
        if closed and refs[0] != refs[-1]:
            refs.append(refs[0])
        ways.append((refs, tags))
        return len(ways)

    for feature in everything:
        if feature.kind == "node":
            spots.append((round(float(feature.rings[0][0, 0]), 2), round(float(feature.rings[0][0, 1]), 2)))
            tagged[len(spots)] = feature.tags
        elif feature.kind == "line":
            way(feature.rings[0], feature.tags, closed=False)
        elif len(feature.rings) == 1:
            way(feature.rings[0], feature.tags, closed=True)
        else:
            roles = ["outer"] + ["inner"] * (len(feature.rings) - 1)
            members = [("w", way(r, {}, closed=True), role) for r, role in zip(feature.rings, roles, strict=True)]
            relations.append((members, {"type": "multipolygon", **feature.tags}))
    relations.append(_bus_route(ways))
    places = degrees(np.array(spots))
    with osmium.SimpleWriter(str(path)) as writer:
        for k, (lon, lat) in enumerate(places.tolist(), start=1):
            writer.add_node(Node(id=k, version=1, location=(lon, lat), tags=tagged.get(k, {})))
        for k, (refs, tags) in enumerate(ways, start=1):
            writer.add_way(Way(id=k, version=1, nodes=refs, tags=tags))
        for k, (members, tags) in enumerate(relations, start=1):
            writer.add_relation(Relation(id=k, version=1, members=members, tags=tags))


def _with_hostile_names(features: Iterable[Feature]) -> list[Feature]:
    """Give a few named features the names that programs trip over, each to another kind of feature."""
    left = list(HOSTILE_NAMES)
    done: set[str] = set()
    renamed: list[Feature] = []
    for feature in features:
        kind = next(
            (f"{k}={v}" for k, v in feature.tags.items() if k in ("landuse", "leisure", "natural", "amenity", "shop")),
            "",
        )
        if left and kind and "name" in feature.tags and kind not in done:
            done.add(kind)
            renamed.append(feature._replace(tags={**feature.tags, "name": left.pop(0)}))
        else:
            renamed.append(feature)
    return renamed


def _unseen(plan: Plan) -> list[Feature]:
    """Return what maps hold and cameras do not see: a border, names of quarters, pipes, tunnels, addresses, shops."""
    rng = plan.rng(6)
    sheet = Sheet(rng, (0, 0, 1, 1))
    side = float(plan.side)
    border = np.array([(4.0, 4.0), (side - 4, 4.0), (side - 4, side - 4), (4.0, side - 4)])
    sheet.map_area(border, boundary="administrative", admin_level="8", name=sheet.namer.word())
    for town in plan.towns:
        sheet.map_node(*town, place="suburb", name=sheet.namer.of("suburb"))
    for _ in range(2 * plan.count):
        x, y = rng.uniform(60, side - 60, 2)
        sheet.map_node(x, y, addr__housenumber=str(rng.integers(1, 90)), addr__street=sheet.namer.street())
        x, y = rng.uniform(60, side - 60, 2)
        sheet.map_node(x, y, shop=str(rng.choice(["bakery", "books", "hairdresser"])), name=sheet.namer.of("cafe"))
    ends = rng.uniform(60, side - 60, (3, 2, 2))
    sheet.map_line(ends[0], man_made="pipeline", location="underground", substance="gas")
    sheet.map_line(ends[1], railway="subway", tunnel="yes", layer="-2", name="Line 1")
    sheet.map_line(ends[2], highway="service", tunnel="yes", layer="-1")
    x, y = plan.towns[0]
    sheet.map_area(circle(x, y, 40), amenity="parking", parking="underground", layer="-1")
    sheet.map_node(x + 5, y, entrance="main")
    return sheet.features


def _bus_route(
    ways: list[tuple[list[int], dict[str, str]]],
) -> tuple[list[tuple[str, int, str]], dict[str, str]]:
    stops = [k for k, (_, tags) in enumerate(ways, start=1) if tags.get("highway") == "primary"][:12]
    return [("w", k, "") for k in stops], {"type": "route", "route": "bus", "ref": "42", "name": "Bus 42"}


def write_areas(folder: Path, plan: Plan) -> None:
    """Write `train.geojson` and `heldout.geojson`: whole districts that do not overlap."""
    square = shapely.box(0, 0, plan.side, plan.side)
    held = shapely.union_all(
        [
            shapely.box(i * DISTRICT_M, j * DISTRICT_M, (i + 1) * DISTRICT_M, (j + 1) * DISTRICT_M)
            for i, j in plan.held_out
        ]
    )
    for name, area in (("train", shapely.difference(square, held)), ("heldout", held)):
        (outline,) = pieces(shapely.segmentize(shapely.simplify(area, 0), DISTRICT_M))
        corners = degrees(closed(ring(outline))).round(9).tolist()[::-1]  # counter-clockwise, as RFC 7946 asks
        geometry = {"type": "Polygon", "coordinates": [corners]}
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": geometry}
        write_json(folder / f"{name}.geojson", {"type": "FeatureCollection", "features": [feature]})
