"""Forests with ragged edges, clearings, rides and patches of another species."""

import numpy as np
import shapely

from geomammut.demo.place.shapes import Frame, along, blob, closed, pieces, ring, smooth
from geomammut.demo.place.sheet import DETAIL, ROAD, Sheet
from geomammut.demo.place.surfaces import Colour


def forest(sheet: Sheet, usable: shapely.Geometry, frame: Frame) -> None:
    """A wood with ragged edges, clearings, a second species, a ride."""
    rng = sheet.rng
    kinds = ["deciduous", "conifer"] if rng.random() < 0.55 else ["conifer", "deciduous"]
    colours: dict[str, Colour] = {
        "deciduous": sheet.pick((70, 96, 46), (84, 104, 52), (62, 88, 44), amount=5),
        "conifer": sheet.pick((44, 66, 42), (50, 74, 48), (40, 60, 44), amount=4),
    }
    wood = shapely.buffer(usable, -float(rng.uniform(2, 12)))
    holes = []
    for _ in range(int(rng.integers(0, 4))):
        x, y = frame.point(rng.uniform(-0.35, 0.35) * frame.width, rng.uniform(-0.35, 0.35) * frame.depth)
        holes.append(shapely.Polygon(blob(rng, x, y, rng.uniform(16, 44), rng.uniform(14, 34), 0.4)))
    cleared = shapely.difference(wood, shapely.union_all(holes)) if holes else wood
    if rng.random() < 0.6:
        _ride(sheet, usable, frame)
    for part in pieces(cleared, 1500):
        _stand(sheet, part, kinds, colours)
    if not shapely.is_empty(cleared):
        (x0, y0, x1, y1) = shapely.bounds(cleared)
        for _ in range(12):
            spot = shapely.Point(rng.uniform(x0, x1), rng.uniform(y0, y1))
            if shapely.contains(shapely.buffer(cleared, -50), spot):
                sheet.scene("forest", spot.x, spot.y)


def _ride(sheet: Sheet, usable: shapely.Geometry, frame: Frame) -> None:
    """Lay a track through the wood."""
    bends = [(share * frame.width, sheet.rng.uniform(-0.3, 0.3) * frame.depth) for share in (-0.6, 0, 0.6)]
    line = shapely.LineString(smooth(frame.at(bends), 4))
    for part in shapely.get_parts(shapely.intersection(line, shapely.buffer(usable, 2))):
        if part.geom_type == "LineString":
            track = np.asarray(part.coords)
            sheet.line(ROAD, track, 3.0, (158, 140, 110), "dirt road")
            sheet.map_line(track, highway="track")


def _stand(sheet: Sheet, part: shapely.Polygon, kinds: list[str], colours: dict[str, Colour]) -> None:
    """Paint and map one stand of trees with its clearings, trees at its edge, patches of the other kind."""
    rng = sheet.rng
    sheet.fill(DETAIL, ring(part), colours[kinds[0]], kinds[0])
    gaps = [np.asarray(hole.coords)[:-1] for hole in part.interiors]
    for gap in gaps:
        sheet.fill(DETAIL, gap, sheet.vary((126, 132, 78), 8), "meadow", 0.0)
    tags = {"natural": "wood"} if rng.random() < 0.5 else {"landuse": "forest"}
    leaves = "broadleaved" if kinds[0] == "deciduous" else "needleleaved"
    sheet.map_area(ring(part), *gaps, leaf_type=leaves, name=sheet.namer.of("forest", 0.4), **tags)
    for spot in along(closed(ring(part)), 6)[0]:
        if rng.random() < 0.55:
            x, y = spot + rng.normal(0, 1.5, 2)
            sheet.tree(x, y, rng.uniform(2.2, 4.0), sheet.vary(colours[kinds[0]], 6), 10)
    for _ in range(int(rng.integers(0, 3))):
        x, y = part.representative_point().coords[0] + rng.uniform(-90, 90, 2)
        patch = shapely.intersection(shapely.Polygon(blob(rng, x, y, 50, 40, 0.5)), shapely.buffer(part, -6))
        for piece in pieces(patch, 400):
            if not piece.interiors:
                sheet.fill(DETAIL, ring(piece), colours[kinds[1]], kinds[1])
