"""Chips of 100 × 100 pixels whose contents tests write down by hand."""

import shapely

from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.pairs.positions import place_of_one
from geomammut.pairs.relations import relations_between
from geomammut.pairs.visible import ChipContents, VisibleLandmark, group_kinds

PHRASES = {category.key: category.phrase for category in load_taxonomy().categories.values()}
SIZE = 100

Points = tuple[tuple[float, float], ...]


def thing(category: str, x: float, y: float, w: float, h: float, name: str | None = None) -> VisibleLandmark:
    """A box, or for a width or height of 0 a straight line."""
    if w == 0 or h == 0:
        return line(category, ((x, y), (x + w, y + h)), name)
    bounds = (x / SIZE, y / SIZE, (x + w) / SIZE, (y + h) / SIZE)
    anchor = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    share = w * h / SIZE**2
    return VisibleLandmark(
        landmark_id=f"w{category}{x:g}-{y:g}",
        category=category,
        phrase=PHRASES[category],
        name=name,
        position=place_of_one(anchor, bounds, linear=False, area_share=share, slope=0.0),
        share_visible=1.0,
        area_share=share,
        pixels_across=max(w, h),
        outline=shapely.box(x, y, x + w, y + h),
        bounds=bounds,
        linear=False,
        salience=0.2 + share,
    )


def line(category: str, points: Points, name: str | None = None) -> VisibleLandmark:
    outline = shapely.LineString(points)
    left, top, right, bottom = outline.bounds
    bounds = (left / SIZE, top / SIZE, right / SIZE, bottom / SIZE)
    middle = outline.interpolate(0.5, normalized=True)
    diagonal = min(right - left, bottom - top) > SIZE / 2
    slope = (1.0 if (points[-1][0] - points[0][0]) * (points[-1][1] - points[0][1]) > 0 else -1.0) if diagonal else 0.0
    return VisibleLandmark(
        landmark_id=f"w{category}{points[0][0]:g}-{points[0][1]:g}",
        category=category,
        phrase=PHRASES[category],
        name=name,
        position=place_of_one((middle.x / SIZE, middle.y / SIZE), bounds, linear=True, area_share=0.0, slope=slope),
        share_visible=1.0,
        area_share=0.0,
        pixels_across=max(right - left, bottom - top),
        outline=outline,
        bounds=bounds,
        linear=True,
        salience=0.2,
    )


def contents_of(*things: VisibleLandmark) -> ChipContents:
    kinds = group_kinds(things, dict.fromkeys(PHRASES, 1.0))
    outlines = [[member.outline for member in kind.members] for kind in kinds]
    return ChipContents(SIZE, SIZE, kinds, relations_between(outlines, [kind.linear for kind in kinds], SIZE))
