"""Landmark pairs: imagery and a map become images with captions."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import shapely
from PIL import Image
from shapely.geometry.base import BaseGeometry

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id, whole_file
from geomammut.imagery.chips import Chip, chips
from geomammut.imagery.sources import ImagerySource, open_sources
from geomammut.landmarks.table import read_landmarks
from geomammut.pairs import grounding
from geomammut.pairs.grounding import Lexicon
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.visible import ChipContents, LandmarkIndex
from geomammut.pairs.writers.captioning import (
    NO_ANSWER,
    NO_FAULTS,
    PASSED,
    REPLACED,
    REWRITTEN,
    WRITTEN,
    Captions,
    by_writer,
)
from geomammut.pairs.writers.estimate import estimate
from geomammut.pairs.writers.writer import CaptionWriter, WriterName, WriterOptions, open_writer
from geomammut.progress import console, track

_JPEG_QUALITY = 90
_COLUMNS = (WRITTEN, PASSED, REWRITTEN, REPLACED, NO_ANSWER)  # of the card's table of writers


@dataclass
class _Tally:
    """What the steps between chips and pairs kept and lost."""

    chips: int = 0
    paired: int = 0
    landmarks: int = 0
    writing: Counter[tuple[str, str]] = field(default_factory=Counter)  # see `Captions.counts`
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Paired:
    """A chip, encoded, and what is visible in it."""

    id: str
    jpeg: bytes
    chip: Chip
    contents: ChipContents
    phrasing: str


def pairs_landmarks(
    imagery: Sequence[str | Path],
    landmarks: Path,
    out: Path,
    *,
    size: int = 224,
    gsd: float = 1.0,
    area: Path | None = None,
    writer: WriterName = "template",
    model: str | None = None,
    batch: bool = False,
    concurrency: int = 8,
    timeout: float = 90.0,
    requests_per_minute: float | None = None,
    max_requests: int | None = None,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    dry_run: bool = False,
    seed: int = 0,
) -> Path:
    """Cut imagery into chips, find the landmarks visible in each, and write captions for them.

    Every caption, whoever wrote it, is checked against the landmarks; one by a language model that fails
    is written again with the reason, at most twice, and then replaced by the template writer's. The answers
    of a language model are kept in `OUT.answers.sqlite` beside `out` as they arrive, so that a run that was
    killed pays for none of them twice.

    Args:
        imagery: GeoTIFFs, folders of them, `.mbtiles` or folders of XYZ tiles; see `open_sources`.
        landmarks: Landmark table, from `geomammut landmarks`.
        out: Folder of the new pair set.
        size: Side of a chip in pixels.
        gsd: Ground sample distance of the chips in metres per pixel.
        area: GeoJSON polygons (EPSG:4326); only chips wholly inside are made.
        writer: `template` (offline), `google` (Gemini; key in GEMINI_API_KEY) or `openai` (any compatible
            server; key in OPENAI_API_KEY, address in OPENAI_BASE_URL).
        model: Name of the language model, for `google` and `openai`.
        batch: Ask Gemini by its Batch API: half the price, answers within a day.
        concurrency: Requests, or with `batch` jobs, under way at the same time.
        timeout: Seconds after which a request without an answer is made again.
        requests_per_minute: No more requests than this a minute; None for no limit.
        max_requests: Stop before more requests than this are made for `out`; answers of earlier runs count.
        max_cost: Stop before more US dollars than this are spent on `out`, by earlier runs too.
        price_in: US dollars for a million input tokens, where the listed price is wrong or missing.
        price_out: The same for output tokens.
        dry_run: Only print how many requests and tokens the captions would take, and their cost.
        seed: Picks among the template writer's phrasings.

    Returns:
        `out`, which a dry run does not make.

    Raises:
        UserError: An input is missing or wrong, no chip shows a landmark, the writer is out of reach, or one
            of its limits is reached.
    """
    out = Path(out)
    options = WriterOptions(
        writer=writer,
        model=model,
        batch=batch,
        concurrency=concurrency,
        timeout=timeout,
        requests_per_minute=requests_per_minute,
        max_requests=max_requests,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    with ExitStack() as stack:
        # First of all: who lacks a key shall learn it before the work.
        caption_writer = None if dry_run else stack.enter_context(open_writer(options, out))
        table = read_landmarks(Path(landmarks))
        sources = open_sources(imagery)
        grid = chips(sources, size=size, gsd_m=gsd, area=None if area is None else read_area(Path(area)))
        index = LandmarkIndex(table)
        lexicon = Lexicon(index.phrases)
        funnel, tally = Funnel(), _Tally()
        paired = _paired(track(grid, "pairing chips", total=len(grid)), index, tally, seed)
        if caption_writer is None:
            expected = estimate(paired, options, out)
            console.print(expected or f"{sum(1 for _ in paired):,} chips to caption, at no cost", soft_wrap=True)
            return out

        def pairs() -> Iterator[Pair]:
            for found, captions in caption_writer.captions(paired, lexicon):
                tally.writing += captions.counts
                if captions.texts:
                    yield _pair(found, captions, caption_writer)
                else:
                    tally.dropped["no caption passed the check"] += 1
            _record(funnel, len(grid), dict(grid.dropped), tally, caption_writer)

        write_pair_set(out, pairs(), funnel=funnel, card="The counts follow when the set is whole.")
        with whole_file(out / "card.md") as partial:
            partial.write_text(
                _card(
                    imagery=sources,
                    map_text=f"{Path(landmarks).name}, {len(table):,} landmarks of "
                    f"{table['category'].nunique()} categories",
                    chips_text=f"{size} × {size} pixels at {gsd:g} m per pixel (JPEG, quality {_JPEG_QUALITY})"
                    + (f", inside the polygons of {Path(area).name}" if area else ""),
                    writer=caption_writer,
                    funnel=funnel,
                    tally=tally,
                    seed=seed,
                ),
                encoding="utf-8",
            )
    return out


def read_area(path: Path) -> BaseGeometry:
    """Return the union of a GeoJSON file's polygons, in EPSG:4326.

    Raises:
        UserError: It is missing, unreadable, or holds no polygon.
    """
    if not path.is_file():
        raise UserError(f"area {path} not found; give a GeoJSON file with polygons")
    try:
        shapes = geopandas.read_file(path).to_crs(4326).geometry
    except (pyogrio.errors.DataSourceError, ValueError) as error:
        raise UserError(f"area {path} cannot be read; give a GeoJSON file with polygons") from error
    polygons = shapes[shapes.geom_type.isin(["Polygon", "MultiPolygon"])]
    if polygons.empty:
        raise UserError(f"area {path} holds no polygon; give a GeoJSON file with polygons")
    return shapely.union_all(shapely.make_valid(polygons.to_numpy()))


def _paired(found: Iterable[Chip], index: LandmarkIndex, tally: _Tally, seed: int) -> Iterator[_Paired]:
    for chip in found:
        tally.chips += 1
        contents = index.contents(chip)
        if not contents.kinds:
            continue
        tally.paired += 1
        tally.landmarks += len(contents.landmarks)
        jpeg = io.BytesIO()
        Image.fromarray(chip.pixels).save(jpeg, "JPEG", quality=_JPEG_QUALITY)
        footprint = json.dumps(_footprint(chip), sort_keys=True)
        chip_id = content_id(jpeg.getvalue(), footprint)
        yield _Paired(chip_id, jpeg.getvalue(), chip, contents, phrasing=content_id(chip_id, str(seed)))


def _footprint(chip: Chip) -> dict[str, object]:
    corners = shapely.get_coordinates(chip.footprint).tolist()
    return {"type": "Polygon", "coordinates": [corners]}


def _pair(found: _Paired, captions: Captions, writer: CaptionWriter) -> Pair:
    chip = found.chip
    return Pair(
        id=found.id,
        captions=captions.texts,
        jpeg=found.jpeg,
        width=found.contents.width,
        height=found.contents.height,
        source="landmarks",
        provenance={
            "writer": writer.name,
            "model": writer.model,
            "prompt_version": writer.prompt_version,
            "imagery": chip.source,
            "caption_writers": list(captions.writers),
            "verification": {"check": grounding.VERSION, "by_writer": by_writer(captions.counts)},
        },
        landmarks=found.contents.landmarks_json(),
        footprint=_footprint(chip),
        crs=chip.crs,
        gsd_m=chip.gsd_m,
        acquired=chip.acquired,
    )


def _record(funnel: Funnel, cells: int, dropped: dict[str, int], tally: _Tally, writer: CaptionWriter) -> None:
    funnel.step("chips cut from cells", cells, tally.chips, dropped)
    unseen = tally.chips - tally.paired
    funnel.step(
        "chips with a visible landmark",
        tally.chips,
        tally.paired,
        {"no visible landmark": unseen} if unseen else {},
    )
    table = by_writer(tally.writing)
    faults: Counter[str] = Counter()
    for counts in table.values():
        faults.update({what: count for what, count in counts.items() if what not in NO_FAULTS})
    written = sum(counts.get(WRITTEN, 0) for counts in table.values())
    funnel.step("captions grounded in the landmarks", written, written - faults.total(), dict(faults.most_common()))
    funnel.steps[-1]["by_writer"] = table
    if (spent := writer.spent()) is not None:
        funnel.steps[-1]["spent"] = spent
    funnel.step("pairs with a caption", tally.paired, tally.paired - tally.dropped.total(), dict(tally.dropped))


def _card(
    *,
    imagery: Sequence[ImagerySource],
    map_text: str,
    chips_text: str,
    writer: CaptionWriter,
    funnel: Funnel,
    tally: _Tally,
    seed: int,
) -> str:
    by = f"the {writer.name} writer" + (f" with the model {writer.model}" if writer.model else "")
    steps = "\n".join(
        f"| {step['step']} | {step['in']:,} | {step['out']:,} | "
        + ", ".join(f"{count:,} {reason}" for reason, count in step["dropped"].items())
        + " |"
        for step in funnel.steps
    )
    writers = "\n".join(
        f"| {name} | " + " | ".join(f"{counts.get(what, 0):,}" for what in _COLUMNS) + " |"
        for name, counts in by_writer(tally.writing).items()
    )
    listed = "\n".join(
        f"- {source.name} ({source.gsd_m:.3g} m per pixel, {source.crs}"
        + (f", acquired {source.acquired}" if source.acquired else "")
        + ")"
        for source in imagery
    )
    return f"""# Landmark pairs

Pictures from above with captions written from the map landmarks that are visible in them.

Made by `geomammut pairs landmarks` {__version__}: chips of {chips_text};
captions by {by} ({writer.prompt_version}), each checked against the chip's landmarks
({grounding.VERSION}); seed {seed}.

## Sources and licences

Imagery:
{listed}

Map: {map_text}.

Before you share this set, see what the imagery's licence allows. If the map is OpenStreetMap's, the set is
derived from it: state "© OpenStreetMap contributors" and keep to the Open Database License (ODbL),
https://www.openstreetmap.org/copyright.

## Counts

| step | in | out | dropped |
|---|---|---|---|
{steps}

{tally.landmarks:,} landmarks are recorded with the pairs. Captions by writer:

| writer | written | passed the check | mended when rewritten | replaced by the template's | chips without an answer |
|---|---|---|---|---|---|
{writers}
{_spending(writer.spent())}

## Limits

The map may be older or newer than the imagery, and leaves things out: a caption says what the map says is
visible, and its counts are the map's. Positions are of the picture, whose upper edge is north.
"""


def _spending(spent: dict[str, Any] | None) -> str:
    if spent is None:
        return ""
    cost = "a cost that is not known" if spent["usd"] is None else f"${spent['usd']:,.4f}"
    unusable = sum(spent["unusable_answers"].values())
    return (
        f"\nThe language model gave {spent['answers']:,} answers ({unusable:,} of them unusable), for "
        f"{spent['tokens_in']:,} tokens in, {spent['tokens_out']:,} tokens out and {cost}.\n"
    )
