"""Chips that no source fills alone, put together from sources that are alike: across the edges of files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from geomammut.imagery.grid import ChipBlock, covered, pixel_boxes
from geomammut.imagery.outlines import near, outline
from geomammut.imagery.reading import Pixels, ResamplingName, Validity, open_reader
from geomammut.imagery.sources import ImagerySource


@dataclass(frozen=True)
class Patched:
    """A chip of several sources.

    Attributes:
        pixels: uint8 [size, size, 3].
        valid: bool [size, size], where one of the sources has data.
        says_missing: Whether all of them tell which pixels lack data.
        source: The one that gave the most pixels.
    """

    pixels: Pixels
    valid: Validity
    says_missing: bool
    source: ImagerySource


def patched(
    block: ChipBlock,
    wanted: NDArray[np.intp],
    sources: Sequence[ImagerySource],
    *,
    footprints: NDArray[np.object_],
    size: int,
    gsd_m: float,
    resampling: ResamplingName,
) -> Iterator[tuple[int, Patched]]:
    """Yield those of a block's chips that `sources`, which are alike, fill together.

    A pixel comes from the first source that has it whole; one that lies on the edge between two is the mean of its
    neighbours. A part of a file that cannot be read counts as missing.

    Args:
        wanted: Numbers of the chips in the block.
        footprints: Outlines of the block's chips in EPSG:4326.
    """
    if len(wanted) == 0 or len(sources) < 2:
        return
    around = near(*footprints[wanted])
    outlines = np.array([outline(source, block.crs, around) for source in sources])
    boxes = pixel_boxes(block.corners[wanted], size, gsd_m)
    are_covered = covered(shapely.union_all(outlines), boxes)
    for number, box in zip(wanted[are_covered].tolist(), boxes[are_covered], strict=True):
        chip = _Patches(size)
        for place in np.flatnonzero(shapely.intersects(outlines, box)).tolist():
            try:
                with open_reader(sources[place], resampling, block.crs, gsd_m) as reader:
                    for colours, valid in reader.read(block.corners[[number]], size):
                        chip.add(colours, valid, place, reader.says_missing or sources[place].stretch is not None)
                    chip.says_missing &= reader.says_missing
            except RasterioError:
                continue
            if chip.is_full:
                break
        given = np.bincount(chip.giver[chip.filled])
        if len(given):
            for axis in (0, 1):
                chip.close(axis)
            yield number, Patched(chip.pixels, chip.inside, chip.says_missing, sources[int(given.argmax())])


class _Patches:
    def __init__(self, size: int) -> None:
        self.pixels = np.zeros((size, size, 3), np.uint8)
        self.filled = np.zeros((size, size), bool)
        self.inside = np.zeros((size, size), bool)
        self.giver = np.zeros((size, size), np.intp)
        self.says_missing = True

    @property
    def is_full(self) -> bool:
        return bool(self.filled.all())

    def add(self, colours: Pixels, valid: Validity, giver: int, black_is_data: bool) -> None:
        """Fill what is still open. Black may be a gap where nothing says so: another source may know better."""
        here = np.ones(self.filled.shape, bool) if valid is None else valid
        self.inside |= here
        take = here & ~self.filled
        if not black_is_data:
            take &= colours.any(axis=2)
        self.pixels[take] = colours[take]
        self.giver[take] = giver
        self.filled |= take

    def close(self, axis: int) -> None:
        """Fill lines one pixel wide along the edges of files: no file has the pixels that lie on its edge whole."""
        pixels, inside = np.moveaxis(self.pixels, axis, 0), np.moveaxis(self.inside, axis, 0)
        for line in np.flatnonzero(~inside.all(axis=1)).tolist():
            sides = [beside for beside in (line - 1, line + 1) if 0 <= beside < len(inside)]
            gap = ~inside[line] & inside[sides].all(axis=0)
            pixels[line, gap] = pixels[sides][:, gap].mean(axis=0).round()
            inside[line] |= gap
