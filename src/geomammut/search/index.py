"""`geomammut index`: imagery becomes an archive that can be searched."""

import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import whole_file, write_json
from geomammut.imagery.addresses import is_address
from geomammut.imagery.sources import open_sources
from geomammut.model.load import load_model
from geomammut.pairs.daft_runner import run_on
from geomammut.progress import console, progress_bar
from geomammut.search.archive import INDEX, UNFINISHED, IndexInfo, read_info, sample_path
from geomammut.search.blocks import Work, plans_of, told_apart, works_of
from geomammut.search.calibration import SAMPLE
from geomammut.search.chip_table import ChipTable
from geomammut.search.embedding import Embedded, embed
from geomammut.search.geoparquet import EXPORT, write_geoparquet
from geomammut.search.identity import ModelIdentity

_CHIPS_A_COMMIT = 4096
_SECONDS_A_COMMIT = 30.0  # what a killed run loses at most, beside the blocks under way


def index(
    imagery: Sequence[str | Path],
    out: Path,
    model: str,
    *,
    size: int = 224,
    gsd: float = 1.0,
    stride: int | None = None,
    workers: int = 1,
    ray: str | None = None,
    seed: int = 0,
) -> Path:
    """Cut imagery into chips, embed them, and write an archive to be searched.

    Run again on the same `out`, it embeds what is new or changed (by the size and time of the files) and drops what
    is no longer given: the archive is always of exactly `imagery`. A killed run goes on where it was. An archive
    that is being searched shows its last whole state until the next is whole.

    What was acquired on one day makes one picture; where rasters of a day overlap, the one given first that fills a
    chip gives it.

    Args:
        imagery: GeoTIFFs, folders of them, `.mbtiles`, folders of XYZ tiles, STAC documents or searches; paths
            or addresses. See `open_sources`.
        out: Folder of the archive: `index.json`, the LanceDB tables, and `embeddings.parquet` (GeoParquet 1.1).
        model: What `load_model` takes.
        size: Side of a chip in pixels.
        gsd: Metres per pixel.
        stride: Pixels from a chip to the next; None for `size`, so that none overlap.
        workers: Processes that read and embed, each with a model of its own.
        ray: Where they are: None for this machine, "local" for a Ray cluster on it, "auto" for the one it belongs
            to, or an address. All machines must see the imagery and the model under the same paths.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: An input is missing or wrong, no chip fits, or `out` is of another model or other chips.
    """
    out = Path(out)
    if workers < 1:
        raise UserError(f"--workers {workers} is out of range; give 1 or more")
    before = read_info(out)
    if before is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and is no index; give another --out")
    # A server in another folder finds them, too.
    lasting = [each if is_address(str(each)) else Path(each).absolute() for each in imagery]
    sources = told_apart(open_sources(lasting))
    plans = plans_of(sources, size=size, gsd_m=gsd, stride=stride or size)
    with warnings.catch_warnings():
        # Ray starts programs of its own, which are not lancedb's concern.
        warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
        run_on(ray)
    loaded = load_model(model)
    info = IndexInfo(
        geomammut=__version__,
        model=_lasting(model),
        identity=ModelIdentity.of(loaded),
        embed_dim=loaded.embed_dim,
        size=size,
        gsd_m=gsd,
        stride=stride or size,
    )
    del loaded
    if before is None:
        write_json(out / INDEX, info.model_dump(mode="json"))
    else:
        _refuse_another(before, info, out)
    table = ChipTable(out, info.embed_dim)
    works = list(works_of(plans))
    kept = table.keep_only([work.key for work in works])
    todo = [work for work in works if work.key not in kept]
    if kept:
        console.print(f"{len(kept):,} of {len(works):,} blocks of chips are in {out} already", highlight=False)
    levels = tuple(level for plan in plans for level in plan.plan.sources)
    if before is not None and not todo and (before.version, before.sources) == (int(table.chips.version), levels):
        console.print(f"nothing is new: {len(table):,} chips in {out}", highlight=False)
        return out
    _embed_all(table, todo, embed(todo, plans, model, workers=workers, ray=ray) if todo else (), gsd)
    if not len(table):
        why, _ = table.lost().most_common(1)[0]
        raise UserError(f"no chip of the imagery could be used ({why}); give other imagery, or another --gsd or --size")
    lost = table.lost()
    _finish(out, table, info.model_copy(update={"sources": levels}), before)
    reasons = "".join(f", {count:,} {reason}" for reason, count in lost.most_common())
    console.print(f"{len(table):,} chips in {out}" + (f"; left out{reasons[1:]}" if reasons else ""), highlight=False)
    return out


def _embed_all(table: ChipTable, todo: Sequence[Work], done: Iterable[Embedded], gsd_m: float) -> None:
    """Add blocks to the table as they are done, many at a time."""
    squares = {work.key: len(work.block.corners) for work in todo}
    with progress_bar() as bar:
        task = bar.add_task("embedding chips", total=sum(squares.values()))
        waiting: list[Embedded] = []
        since = time.monotonic()
        for each in done:
            waiting.append(each)
            bar.advance(task, squares[each.key])
            chips = sum(len(one.rows) for one in waiting)
            if chips >= _CHIPS_A_COMMIT or time.monotonic() - since > _SECONDS_A_COMMIT:
                table.add(waiting, gsd_m)
                waiting, since = [], time.monotonic()
        if waiting:
            table.add(waiting, gsd_m)


def _finish(out: Path, table: ChipTable, info: IndexInfo, before: IndexInfo | None) -> None:
    """Index the table, and let the archive show it as it is now."""
    with console.status("indexing the embeddings"):
        version = table.finish(first=before is None or before.version == UNFINISHED)
    with whole_file(sample_path(out, version)) as partial:
        np.save(partial, table.sample(SAMPLE), allow_pickle=False)
    whole = info.model_copy(update={"chips": len(table), "bounds": table.bounds(), "version": version})
    with console.status("writing GeoParquet"):
        write_geoparquet(table.chips, whole, out / EXPORT)
    write_json(out / INDEX, whole.model_dump(mode="json"))
    for old in out.glob("sample-*.npy"):
        if old != sample_path(out, version):
            old.unlink()


def _refuse_another(before: IndexInfo, info: IndexInfo, out: Path) -> None:
    """Refuse to mix models, or chips of different kinds, in one archive."""
    if not info.identity.is_of(before.identity):
        raise UserError(
            f"{out} was made with another model ({before.model}, weights {before.identity.weights[:12]}); "
            "give that one, or another --out"
        )
    for option, name in (("--size", "size"), ("--gsd", "gsd_m"), ("--stride", "stride")):
        was, now = getattr(before, name), getattr(info, name)
        if was != now:
            raise UserError(f"{out} was made with {option} {was:g}, not {now:g}; give that, or another --out")


def _lasting(model: str) -> str:
    """Return a model's name so that it is found from another folder, too."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model
