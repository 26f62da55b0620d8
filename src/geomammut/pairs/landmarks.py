"""Landmark pairs: imagery and a map become images with captions."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from rich.progress import Progress
from shapely.geometry.base import BaseGeometry

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import whole_file
from geomammut.imagery.chips import JPEG_QUALITY, chips
from geomammut.imagery.reading import ResamplingName
from geomammut.imagery.sources import open_sources
from geomammut.landmarks.table import LANDMARK_SCHEMA, read_landmarks
from geomammut.pairs import grounding
from geomammut.pairs.centres import landmark_centres
from geomammut.pairs.daft_runner import run_on
from geomammut.pairs.grounding import Lexicon
from geomammut.pairs.landmarks_card import card, record
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.pairing import FoundCell, FoundChip, Partition
from geomammut.pairs.pairing_run import PairingRun
from geomammut.pairs.parts import Tally, part_rows, read_parts, write_part, write_rows
from geomammut.pairs.run_folder import RunFolder, file_state
from geomammut.pairs.writers.captioning import Captions
from geomammut.pairs.writers.estimate import estimate
from geomammut.pairs.writers.writer import CaptionWriter, WriterName, WriterOptions, open_writer
from geomammut.progress import console, progress_bar


def pairs_landmarks(
    imagery: Sequence[str | Path],
    landmarks: Path,
    out: Path,
    *,
    size: int = 224,
    gsd: float = 1.0,
    area: Path | None = None,
    centred: bool = False,
    resampling: ResamplingName = "cubic",
    jpeg_quality: int = JPEG_QUALITY,
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
    partition: int = 4096,
    ray: str | None = None,
    seed: int = 0,
) -> Path:
    """Cut imagery into chips, find the landmarks visible in each, and write captions for them.

    Every caption, whoever wrote it, is checked against the landmarks; one by a language model that fails
    is written again with the reason, at most twice, and then replaced by the template writer's. The answers
    of a language model are kept in `OUT.answers.sqlite` beside `out` as they arrive, so that a run that was
    killed pays for none of them twice.

    The work is done partition by partition, each by a Daft program, in this process or on Ray. Finished
    partitions are kept in a hidden folder beside `out`, and the same call goes on where a killed one
    stood. Neither the partitions nor where they are worked on change a byte of the result.

    Args:
        imagery: GeoTIFFs, folders of them, `.mbtiles`, folders of XYZ tiles, STAC documents or searches; paths
            or addresses. Where they overlap, the one given first that fills a chip gives it. See `open_sources`.
        landmarks: Landmark table, from `geomammut landmarks`.
        out: Folder of the new pair set.
        size: Side of a chip in pixels.
        gsd: Ground sample distance of the chips in metres per pixel.
        area: GeoJSON polygons (EPSG:4326); only chips wholly inside are made.
        centred: Centre chips on landmarks, a quarter of their side off at most, instead of laying them side
            by side; at most one in each cell of the grid, on a landmark of the rarest category there.
        resampling: Kernel for imagery whose pixels do not fit the chips': `nearest`, `bilinear`, `cubic` or
            `average`.
        jpeg_quality: 1 to 100, libjpeg's scale.
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
        partition: Chips worked on at a time, which bounds the memory: some 50 kB each, beside a gigabyte. On a
            cluster, thousands for each of its cores.
        ray: Where Daft runs: None for this process, "local" for a Ray cluster on this machine, "auto" for the
            one it belongs to, or an address. All machines of a cluster must see the imagery and `out`
            under the same paths. A language model's server is asked from this machine.
        seed: Picks among the template writer's phrasings, and how far off its landmark a chip is centred.

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
    if partition < 1:
        raise UserError(f"--partition {partition} is out of range; give the chips to work on at a time, such as 4096")
    with ExitStack() as stack:
        # First of all: who lacks a key shall learn it before the work.
        caption_writer = None if dry_run else stack.enter_context(open_writer(options, out))
        sources = open_sources(imagery)
        table = landmark_table(Path(landmarks))
        grid = chips(
            sources,
            size=size,
            gsd_m=gsd,
            area=None if area is None else read_area(Path(area)),
            centres=landmark_centres(table, gsd, seed) if centred else None,
            resampling=resampling,
            jpeg_quality=jpeg_quality,
        )
        run_on(ray)
        run = RunFolder(
            # A dry run leaves alone what a killed run has finished.
            Path(stack.enter_context(TemporaryDirectory())) / out.name if dry_run else out,
            {
                "geomammut": __version__,
                "imagery": [file_state(path) for path in imagery],
                "sources": [repr(source) for source in grid.plan.sources],
                "landmarks": file_state(table),
                "area": None if area is None else file_state(area),
                "chips": [size, gsd, centred, resampling, jpeg_quality],
                "writer": [writer, model, caption_writer.prompt_version if caption_writer else None, grounding.VERSION],
                "partition": partition,
                "seed": seed,
            },
        )
        pairing = PairingRun(grid, table, run, partition_chips=partition, seed=seed)
        if caption_writer is None:
            found = (chip for part in pairing.partitions for cell in pairing.found_cells(part) for chip in cell.chips)
            expected = str(estimate(found, options, out) or f"{sum(1 for _ in found):,} chips to caption, at no cost")
            console.print(expected, soft_wrap=True, markup=False, highlight=False)
            run.remove()
            return out
        lexicon = Lexicon(pairing.summary.phrases)
        with progress_bar() as bar:
            if writer == "template":
                _write_parts(pairing, caption_writer, lexicon, bar)
            else:
                _write_parts_here(pairing, caption_writer, lexicon, bar)
        funnel, tally = Funnel(), Tally()

        def pairs() -> Iterator[Pair]:
            yield from read_parts([pairing.part(each) for each in pairing.partitions], tally)
            record(funnel, pairing.planned, tally, caption_writer.spent())

        write_pair_set(out, pairs(), funnel=funnel, card="The counts follow when the set is whole.")
        with whole_file(out / "card.md") as partial:
            partial.write_text(
                card(
                    imagery=sources,
                    map_text=f"{table.name}, {pairing.summary.landmarks:,} landmarks of "
                    f"{len(pairing.summary.counts)} categories",
                    chips_text=grid.rules + (f"; inside the polygons of {Path(area).name}" if area else ""),
                    writer=caption_writer,
                    funnel=funnel,
                    tally=tally,
                    seed=seed,
                ),
                encoding="utf-8",
            )
        run.remove()
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


def landmark_table(path: Path) -> Path:
    """Return `path` if it is a landmark table with something in it; nothing but its header is read.

    Raises:
        UserError: It is missing, damaged, no landmark table, or empty.
    """
    try:
        header = pq.ParquetFile(path)
        sound = set(LANDMARK_SCHEMA.names) <= set(header.schema_arrow.names) and header.metadata.num_rows > 0
    except (OSError, pa.ArrowInvalid):
        sound = False
    if not sound:
        read_landmarks(path)  # tells what is wrong
    return path


def _write_parts(pairing: PairingRun, writer: CaptionWriter, lexicon: Lexicon, bar: Progress) -> None:
    """Let the template writer caption each partition where its chips were cut."""
    task = bar.add_task("pairing chips", total=pairing.planned)
    for partition in pairing.partitions:
        if not pairing.is_done(partition):
            with pairing.finish(partition) as part:
                write_part(pairing.found(partition), writer, lexicon, part)
        bar.advance(task, partition.chips)


def _write_parts_here(pairing: PairingRun, writer: CaptionWriter, lexicon: Lexicon, bar: Progress) -> None:
    """Let a language model caption the chips in one stream out of this process, so that its limits hold."""
    task = bar.add_task("captioning chips", total=pairing.planned)
    open_parts: deque[tuple[Partition, list[FoundCell]]] = deque()
    captions: deque[Captions] = deque()

    def found() -> Iterator[FoundChip]:
        for partition in pairing.partitions:
            if pairing.is_done(partition):
                bar.advance(task, partition.chips)
                continue
            open_parts.append((partition, pairing.found_cells(partition)))
            for cell in open_parts[-1][1]:
                yield from cell.chips

    def close_full_parts() -> None:
        while open_parts and len(captions) >= sum(len(cell.chips) for cell in open_parts[0][1]):
            partition, cells = open_parts.popleft()
            rows = [row for cell in cells for row in part_rows(cell, [captions.popleft() for _ in cell.chips], writer)]
            with pairing.finish(partition) as part:
                write_rows(rows, part)
            bar.advance(task, partition.chips - sum(len(cell.chips) for cell in cells))  # those that show nothing

    for _, written in writer.captions(found(), lexicon):
        captions.append(written)
        bar.advance(task)
        close_full_parts()
    close_full_parts()
