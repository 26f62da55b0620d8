"""A folder of XYZ tiles read as one raster: a GDAL virtual raster that points at the tile files."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

from geomammut.pictures import UNREADABLE

WEB_MERCATOR = "EPSG:3857"
_HALF_WORLD_M = 20037508.342789244
_FLAT_NAME = re.compile(r"(?:(?P<prefix>.*)-)?(?P<x>\d+)-(?P<y>\d+)-(?P<z>\d+)\.(?:jpe?g|png|webp)", re.IGNORECASE)
_NESTED_NAME = re.compile(r"(?P<z>\d+)/(?P<x>\d+)/(?P<y>\d+)\.(?:jpe?g|png|webp)", re.IGNORECASE)
_MAX_ZOOM = 25


@dataclass(frozen=True)
class TileLevel:
    """The tiles of one zoom level.

    Attributes:
        dataset: GDAL virtual raster (XML, which rasterio opens as it is): red, green, blue, alpha;
            transparent where there is no tile.
        zoom: Zoom level; a pixel measures `2 · 20037508.34 / (tile size · 2^zoom)` web-mercator metres.
        tiles: How many tiles it has.
        unreadable: How many tile files were left out because they are no images.
    """

    dataset: str
    zoom: int
    tiles: int
    unreadable: int


def find_tiles(folder: Path) -> dict[str, dict[int, dict[tuple[int, int], Path]]]:
    """Return the XYZ tiles in `folder`: prefix → zoom → (x, y) → file.

    Names are `[PREFIX-]x-y-z.png` in the folder itself, or `z/x/y.png` below it; also jpg and webp.
    y counts from the north. Files whose numbers lie outside their zoom level's range are no tiles.
    """
    found: dict[str, dict[int, dict[tuple[int, int], Path]]] = defaultdict(lambda: defaultdict(dict))
    flat = ((path, _FLAT_NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    nested = (
        (path, _NESTED_NAME.fullmatch(path.relative_to(folder).as_posix()))
        for path in sorted(folder.glob("[0-9]*/[0-9]*/[0-9]*.*"))
    )
    for path, match in (*flat, *nested):
        if match is None:
            continue
        x, y, z = (int(match[axis]) for axis in "xyz")
        if z <= _MAX_ZOOM and max(x, y) < 2**z:
            found[match.groupdict().get("prefix") or ""][z].setdefault((x, y), path)
    return {prefix: dict(levels) for prefix, levels in found.items()}


def tile_level(zoom: int, tiles: Mapping[tuple[int, int], Path]) -> TileLevel | None:
    """Return one zoom level as a virtual raster, or None if not one of its tiles is an image."""
    looks = {position: look for position, path in tiles.items() if (look := _look(path)) is not None}
    if not looks:
        return None
    size = max(width for width, _ in looks.values())
    left, top = min(x for x, _ in looks), min(y for _, y in looks)
    columns = max(x for x, _ in looks) - left + 1
    rows = max(y for _, y in looks) - top + 1
    bands: list[list[str]] = [[], [], [], []]
    for (x, y), (width, mode) in sorted(looks.items(), key=lambda item: (item[0][1], item[0][0])):
        source = (
            f'<SourceFilename relativeToVRT="0">{escape(str(tiles[x, y].resolve()))}</SourceFilename>'
            f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{width}"/>'
            f'<DstRect xOff="{(x - left) * size}" yOff="{(y - top) * size}" xSize="{size}" ySize="{size}"/>'
        )
        for band, sources in enumerate(bands):
            sources.append(f"<ComplexSource>{source}{_band_of(mode, band)}</ComplexSource>")
    pixel = 2 * _HALF_WORLD_M / 2**zoom / size
    west, north = left * size * pixel - _HALF_WORLD_M, _HALF_WORLD_M - top * size * pixel
    colours = ("Red", "Green", "Blue", "Alpha")
    xml = (
        f'<VRTDataset rasterXSize="{columns * size}" rasterYSize="{rows * size}"><SRS>{WEB_MERCATOR}</SRS>'
        f"<GeoTransform>{west!r}, {pixel!r}, 0, {north!r}, 0, {-pixel!r}</GeoTransform>"
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{number}" blockXSize="{size}" blockYSize="{size}">'
            f"<ColorInterp>{colour}</ColorInterp>{''.join(sources)}</VRTRasterBand>"
            for number, (colour, sources) in enumerate(zip(colours, bands, strict=True), start=1)
        )
        + "</VRTDataset>"
    )
    return TileLevel(xml, zoom, len(looks), len(tiles) - len(looks))


def _look(path: Path) -> tuple[int, str] | None:
    """Return width and mode of a tile's picture, or None if it is none or not square."""
    try:
        with Image.open(path) as picture:
            return (picture.width, picture.mode) if picture.width == picture.height else None
    except UNREADABLE:
        return None


def _band_of(mode: str, band: int) -> str:
    """Return how band 0–3 (red, green, blue, alpha) comes out of a picture of this mode."""
    opaque = "<SourceBand>1</SourceBand><ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
    if mode in ("P", "1"):
        return f"<SourceBand>1</SourceBand><ColorTableComponent>{band + 1}</ColorTableComponent>"
    if mode in ("L", "LA"):
        alpha = "<SourceBand>2</SourceBand>" if mode == "LA" else opaque
        return "<SourceBand>1</SourceBand>" if band < 3 else alpha
    return opaque if band == 3 and mode != "RGBA" else f"<SourceBand>{band + 1}</SourceBand>"
