"""Where something is in an image: words for places, and the places that words mean.

Coordinates are shares of the image: u to the right, v downwards, 0..1.
"""

from collections.abc import Sequence

Region = tuple[float, float, float, float]  # left, top, right, bottom

# An anchor this close to the middle counts as central: a little less than a third each way,
# so that "left" is said only of what a person would call left.
_NEAR, _FAR = 0.36, 0.64

_CELLS = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the centre", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)
_ROWS = ("along the top", "across the middle", "along the bottom")
_COLUMNS = ("along the left", "down the middle", "along the right")
MOST = "across most of the image"
ACROSS = "across the image"
FALLING = "from the upper left to the lower right"
RISING = "from the lower left to the upper right"

# What each word of place may refer to. Generous, since the words are: a caption is wrong about a
# place only if nothing of the kind stands in the half or quarter of the image that it names.
REGIONS: dict[str, Region] = {
    "upper left": (0.0, 0.0, 0.5, 0.5),
    "upper right": (0.5, 0.0, 1.0, 0.5),
    "lower left": (0.0, 0.5, 0.5, 1.0),
    "lower right": (0.5, 0.5, 1.0, 1.0),
    "top": (0.0, 0.0, 1.0, 0.5),
    "bottom": (0.0, 0.5, 1.0, 1.0),
    "left": (0.0, 0.0, 0.5, 1.0),
    "right": (0.5, 0.0, 1.0, 1.0),
    "centre": (0.25, 0.25, 0.75, 0.75),
}


def _third(share: float) -> int:
    return 0 if share < _NEAR else 2 if share > _FAR else 1


def cell(u: float, v: float) -> str:
    """Say where a point is, in one of nine ways."""
    return _CELLS[_third(v)][_third(u)]


def place_of_one(anchor: tuple[float, float], bounds: Region, *, linear: bool, area_share: float, slope: float) -> str:
    """Say where one thing is.

    Args:
        anchor: A point of it near its middle.
        bounds: Its bounding box.
        linear: Whether it is a line or a ribbon: a road, a river.
        area_share: Share of the image that it covers.
        slope: Correlation of u and v along it, -1..1; says which diagonal a line follows.
    """
    wide, high = bounds[2] - bounds[0] > 0.8, bounds[3] - bounds[1] > 0.8
    if area_share > 0.55:
        return MOST
    if wide and high:
        if linear and abs(slope) > 0.7:
            return FALLING if slope > 0 else RISING
        return ACROSS
    if wide and bounds[3] - bounds[1] < 0.5:
        return _ROWS[_third(anchor[1])]
    if high and bounds[2] - bounds[0] < 0.5:
        return _COLUMNS[_third(anchor[0])]
    return cell(*anchor)


def place_of_many(bounds: Sequence[Region], places: Sequence[str]) -> str:
    """Say where several things are together, given each one's bounding box and place.

    Only what holds for all of them is said; "" if no words do.
    """
    if len(set(places)) == 1:
        return places[0]
    left, top = min(box[0] for box in bounds), min(box[1] for box in bounds)
    right, bottom = max(box[2] for box in bounds), max(box[3] for box in bounds)
    column, row = _side(left, right), _side(top, bottom)
    if column is not None and row is not None:
        return _CELLS[row][column]
    if column in (0, 2):
        return _CELLS[1][column]
    if row in (0, 2):
        return _CELLS[row][1]
    return ACROSS if len(bounds) >= 4 and right - left > 0.7 and bottom - top > 0.7 else ""


def _side(low: float, high: float) -> int | None:
    """Return 0, 1 or 2 for what lies wholly before, around or behind the middle, else None."""
    third = _third((low + high) / 2)
    holds = (high < 0.6, low > 0.2 and high < 0.8, low > 0.4)[third]
    return third if holds else None
