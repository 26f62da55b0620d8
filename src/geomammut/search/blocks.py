"""The work of indexing in blocks of chips, each known by a hash of all that its chips depend on."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.imagery.addresses import path_of, plain_address
from geomammut.imagery.chips import ChipPlan, chips
from geomammut.imagery.datasets import is_virtual
from geomammut.imagery.grid import ChipBlock
from geomammut.imagery.sources import ImagerySource, alike

_REFERENCED = re.compile(r"<SourceFilename([^>]*)>([^<]+)</SourceFilename>")
THUMBNAIL_QUALITY = 80  # of a chip's JPEG
_VERSION = "1"  # of how chips become rows


@dataclass(frozen=True)
class Work:
    """A block of chips to be embedded.

    Attributes:
        key: Content hash of what its chips depend on: where they lie, and the rasters that reach there, with the
            size and time of their files.
        day: Its plan's place among the plans.
        block: What `ChipPlan.read` takes.
    """

    key: str
    day: int
    block: ChipBlock


def plans_of(sources: Sequence[ImagerySource], *, size: int, gsd_m: float, stride: int) -> list[ChipPlan]:
    """Return a plan of chips for each day of acquisition: what is of one day makes one picture, days do not mix.

    Raises:
        UserError: A number is out of range, or not a single chip fits.
    """
    days: dict[str, list[ImagerySource]] = {}
    for source in sources:
        days.setdefault((source.acquired or "")[:10], []).append(source)
    plans: list[ChipPlan] = []
    failure: UserError | None = None
    for day in sorted(days):
        try:
            plans.append(chips(days[day], size=size, gsd_m=gsd_m, stride=stride, jpeg_quality=THUMBNAIL_QUALITY))
        except UserError as error:
            failure = failure or error
    if failure is not None and not plans:
        raise failure
    return plans


def works_of(plans: Sequence[ChipPlan]) -> Iterator[Work]:
    """Yield the blocks of all plans, in the plans' order."""
    states: dict[str, str] = {}
    for day, plan in enumerate(plans):
        numbers = alike(plan.plan.sources)
        how = [_VERSION, plan.plan.size, plan.plan.gsd_m, plan.resampling]
        for block in plan.plan:
            reaching = []
            for index in block.sources:
                source = plan.plan.sources[index]
                if source.dataset not in states:
                    states[source.dataset] = _state(source)
                same = [place for place, other in enumerate(block.sources) if numbers[other] == numbers[index]]
                reaching.append([states[source.dataset], repr(replace(source, dataset="", coarser=())), same])
            where = [block.crs, block.corners.tolist(), np.packbits(block.covers).tolist()]
            yield Work(content_id(repr([how, where, reaching])), day, block)


def told_apart(sources: Sequence[ImagerySource]) -> list[ImagerySource]:
    """Return the sources, those of equal names with a hash of their address added to the name.

    Raises:
        UserError: One is given twice.
    """
    twice = [dataset for dataset, count in Counter(source.dataset for source in sources).items() if count > 1]
    if twice:
        name = next(source.name for source in sources if source.dataset == twice[0])
        raise UserError(f"imagery {name} is given twice; give each raster once")
    names = Counter(source.name for source in sources)
    return [
        source if names[source.name] == 1 else replace(source, name=f"{source.name} ({content_id(source.dataset)[:6]})")
        for source in sources
    ]


def _state(source: ImagerySource) -> str:
    """Return what tells whether a raster changed: its address, and the size and time of its files."""
    dataset = source.dataset
    local = Path(dataset)
    xml = dataset if is_virtual(dataset) else ""
    states: list[Any] = []
    if not xml and local.is_file():
        states.append(_file_state(local))
        if local.suffix.lower() == ".vrt":
            xml = local.read_text(encoding="utf-8", errors="replace")
    for attributes, name in _REFERENCED.findall(xml):
        beside = 'relativeToVRT="1"' in attributes
        states.append(_file_state(local.parent / name if beside else Path(name)))
    # The query of a signed link is another each time.
    return content_id(repr([xml or path_of(plain_address(dataset)), states]))


def _file_state(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), stat.st_size, stat.st_mtime_ns
