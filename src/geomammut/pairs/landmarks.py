"""Landmark pairs: imagery and a map become images with captions."""

import io
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

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
from geomammut.pairs.grounding import Lexicon, check_caption
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.template_writer import TemplateWriter
from geomammut.pairs.visible import ChipContents, LandmarkIndex
from geomammut.pairs.writers import CONCURRENCY, NoAnswerError, Writer, WriterName, make_writer
from geomammut.progress import track

_JPEG_QUALITY = 90


@dataclass
class _Tally:
    """What the steps between chips and pairs kept and lost."""

    chips: int = 0
    paired: int = 0
    landmarks: int = 0
    written: int = 0  # captions
    faults: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    replaced: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # captions


@dataclass(frozen=True)
class _Paired:
    """A chip, encoded, and what is visible in it."""

    id: str
    jpeg: bytes
    chip: Chip
    contents: ChipContents


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
    seed: int = 0,
) -> Path:
    """Cut imagery into chips, find the landmarks visible in each, and write captions for them.

    Every caption, whoever wrote it, is checked against the landmarks; one by a language model that fails
    is replaced by the template writer's. The answers of a language model are kept in `.answers` beside
    `out` as they arrive, so that a run that was killed pays for none of them twice.

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
        seed: Picks among the template writer's phrasings.

    Returns:
        `out`.

    Raises:
        UserError: An input is missing or wrong, no chip shows a landmark, or the writer is out of reach.
    """
    out = Path(out)
    caption_writer = make_writer(writer, model, out.parent / ".answers")
    table = read_landmarks(Path(landmarks))
    sources = open_sources(imagery)
    grid = chips(sources, size=size, gsd_m=gsd, area=None if area is None else read_area(Path(area)))
    index = LandmarkIndex(table)
    lexicon = Lexicon(index.phrases)
    funnel, tally = Funnel(), _Tally()

    def pairs() -> Iterator[Pair]:
        paired = _paired(track(grid, "pairing chips", total=len(grid)), index, tally)
        for found, captions in _captioned(paired, caption_writer, seed):
            pair = _checked(found, captions, writer=caption_writer, lexicon=lexicon, tally=tally, seed=seed)
            if pair is not None:
                yield pair
        _record(funnel, len(grid), dict(grid.dropped), tally)

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


def _paired(found: Iterable[Chip], index: LandmarkIndex, tally: _Tally) -> Iterator[_Paired]:
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
        yield _Paired(content_id(jpeg.getvalue(), footprint), jpeg.getvalue(), chip, contents)


def _footprint(chip: Chip) -> dict[str, object]:
    corners = shapely.get_coordinates(chip.footprint).tolist()
    return {"type": "Polygon", "coordinates": [corners]}


def _captioned(
    paired: Iterator[_Paired], writer: Writer, seed: int
) -> Iterator[tuple[_Paired, tuple[str, ...] | None]]:
    """Yield each chip with the writer's captions, in order; None where it had no answer."""

    def write(found: _Paired) -> tuple[str, ...] | None:
        try:
            return writer.write(found.jpeg, found.contents, content_id(found.id, str(seed)))
        except NoAnswerError:
            return None

    if isinstance(writer, TemplateWriter):
        for found in paired:
            yield found, write(found)
        return
    waiting: deque[tuple[_Paired, Future[tuple[str, ...] | None]]] = deque()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        try:
            for found in paired:
                waiting.append((found, pool.submit(write, found)))
                if len(waiting) >= 4 * CONCURRENCY:
                    ready, answer = waiting.popleft()
                    yield ready, answer.result()
            while waiting:
                ready, answer = waiting.popleft()
                yield ready, answer.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _checked(
    found: _Paired,
    captions: tuple[str, ...] | None,
    *,
    writer: Writer,
    lexicon: Lexicon,
    tally: _Tally,
    seed: int,
) -> Pair | None:
    """Return the pair with the captions that pass the check, failing ones replaced by the template's."""
    kept: list[str] = []
    faults: Counter[str] = Counter()
    tally.written += len(captions or ())
    tally.unanswered += captions is None
    for caption in captions or ():
        wrong = check_caption(caption, found.contents, lexicon)
        if wrong:
            faults[wrong[0].kind] += 1
        else:
            kept.append(caption)
    by_template = isinstance(writer, TemplateWriter)
    replaced = 0
    if not by_template and (captions is None or faults):
        spare = TemplateWriter().write(found.jpeg, found.contents, content_id(found.id, str(seed)))
        grounded = [text for text in spare if text not in kept and not check_caption(text, found.contents, lexicon)]
        missing = len(grounded) if captions is None else faults.total()
        kept += grounded[:missing]
        replaced = len(grounded[:missing])
    tally.faults += faults
    tally.replaced += replaced
    if not kept:
        tally.dropped["no caption passed the check"] += 1
        return None
    chip = found.chip
    return Pair(
        id=found.id,
        captions=tuple(kept),
        jpeg=found.jpeg,
        width=found.contents.width,
        height=found.contents.height,
        source="landmarks",
        provenance={
            "writer": writer.name,
            "model": writer.model,
            "prompt_version": writer.prompt_version,
            "imagery": chip.source,
            "verification": {
                "check": grounding.VERSION,
                "checked": len(captions or ()),
                "failed": dict(sorted(faults.items())),
                "replaced": replaced,
            },
        },
        landmarks=found.contents.landmarks_json(),
        footprint=_footprint(chip),
        crs=chip.crs,
        gsd_m=chip.gsd_m,
        acquired=chip.acquired,
    )


def _record(funnel: Funnel, cells: int, dropped: dict[str, int], tally: _Tally) -> None:
    funnel.step("chips cut from cells", cells, tally.chips, dropped)
    unseen = tally.chips - tally.paired
    funnel.step(
        "chips with a visible landmark",
        tally.chips,
        tally.paired,
        {"no visible landmark": unseen} if unseen else {},
    )
    funnel.step(
        "captions grounded in the landmarks",
        tally.written,
        tally.written - tally.faults.total(),
        dict(tally.faults.most_common()),
    )
    if tally.replaced:
        funnel.steps[-1]["replaced by the template writer"] = tally.replaced
    funnel.step("pairs with a caption", tally.paired, tally.paired - tally.dropped.total(), dict(tally.dropped))


def _card(
    *,
    imagery: Sequence[ImagerySource],
    map_text: str,
    chips_text: str,
    writer: Writer,
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

{tally.landmarks:,} landmarks are recorded with the pairs. {tally.replaced:,} captions were replaced by the
template writer's; {tally.unanswered:,} chips had no answer from the writer.

## Limits

The map may be older or newer than the imagery, and leaves things out: a caption says what the map says is
visible, and its counts are the map's. Positions are of the picture, whose upper edge is north.
"""
