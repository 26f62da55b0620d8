"""`pairs web`: keep, of a table of urls and alt-texts, the images taken from above.

The stages are in `web_stages`, here in their order, from the cheapest to the dearest: text, alt-text, fetch,
image, classifier (if a model is given), duplicates. What a row's words can decide is decided before
anything is fetched. Every row of the table is accounted for in `decisions.parquet` beside the pairs.
"""

import tempfile
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id, whole_folder
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.web_stages.alt_text import clean_alt_text
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.duplicates import duplicates_of
from geomammut.pairs.web_stages.fetch import fetch
from geomammut.pairs.web_stages.image import STORED_SIDE, WebImage, read_image
from geomammut.pairs.web_stages.table import read_web_table
from geomammut.pairs.web_stages.text import RULES, text_stage
from geomammut.progress import track

DECISIONS = "decisions.parquet"
DECISIONS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # in the table, from 0
        ("url", pa.string()),
        ("alt_text", pa.string()),
        ("keyword", pa.string()),  # what spoke for it in the text stage
        ("stage", pa.string()),  # that dropped it; null where it was kept
        ("reason", pa.string()),  # as counted in funnel.json; null where it was kept
        ("detail", pa.string()),
        ("duplicate_of", pa.int64()),  # row
        ("id", pa.string()),  # of its pair; null where it was dropped
    ]
)
DOWNLOADS = 16  # at a time
DECODERS = 4  # images decoded at a time: each may take 200 MB
AHEAD = 64  # answers held while an earlier, slower one is waited for

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Candidate:
    """A row that passed the text stage, and what became of it."""

    row: int
    url: str
    alt_text: str
    keyword: str
    caption: str = ""
    image: WebImage | None = None  # its bytes in the spool
    aerial_probability: float | None = None
    stage: str | None = None
    reason: str | None = None
    detail: str | None = None
    duplicate_of: int | None = None
    id: str | None = None

    def drop(self, stage: str, dropped: Dropped) -> None:
        self.stage, self.reason, self.detail = stage, dropped.reason, dropped.detail or None


class Spool:
    """Encoded images on disk until they are written; the file has no name and is gone when closed."""

    def __init__(self, folder: Path) -> None:
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)
        self.places: dict[int, tuple[int, int]] = {}

    def add(self, row: int, data: bytes) -> None:
        self.places[row] = (self.file.seek(0, 2), len(data))
        self.file.write(data)

    def read(self, row: int) -> bytes:
        start, size = self.places[row]
        self.file.seek(start)
        return self.file.read(size)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def pairs_web(table: Path, out: Path, *, classifier: str | None = None, seed: int = 0) -> Path:
    """Filter a table of urls and alt-texts into a pair set of images taken from above.

    Args:
        table: Parquet, CSV, TSV or JSONL with a url and an alt-text column, found by their usual names. A url
            is http(s), or a path relative to the table's folder that stays inside it.
        out: Folder of the pair set (DESIGN §4), with `decisions.parquet`: for every row of the table, the
            stage that dropped it and why, or its pair's id.
        classifier: A model (directory, hub id, `open_clip:NAME/TAG`) that also judges the images, zero-shot.
        seed: Every verb takes one; nothing here is drawn by chance, and the order of answers changes nothing.

    Returns:
        `out`.

    Raises:
        UserError: The table cannot be read or lacks a column, there is no such model, or no row is left.
    """
    table, out = Path(table), Path(out)
    rows = text_stage(read_web_table(table))
    out.parent.mkdir(parents=True, exist_ok=True)
    funnel = Funnel()
    candidates = _candidates(rows, funnel)
    with Spool(out.parent) as spool:
        left = _clean(candidates, funnel)
        left = _fetch_and_read(left, table.parent, spool, funnel)
        if classifier is not None:
            left = _classify(left, classifier, spool, funnel)
        left = _without_duplicates(left, funnel)
        if not left:
            raise UserError(_nothing_left(table, funnel))
        with whole_folder(out) as folder:
            pairs = (_pair(candidate, spool, table, classifier) for candidate in left)
            write_pair_set(folder, pairs, funnel=funnel, card=_card(table, classifier, funnel))
            pq.write_table(_decisions(rows, candidates), folder / DECISIONS)
    return out


def _candidates(rows: pa.Table, funnel: Funnel) -> list[Candidate]:
    """Close the text stage: the rows that it kept, as candidates."""
    kept = rows.filter(rows["reason"].is_null()).select(["row", "url", "alt_text", "keyword"]).to_pylist()
    reasons = Counter(rows["reason"].drop_null().to_pylist())
    funnel.step("text", len(rows), len(kept), dict(sorted(reasons.items())))
    return [Candidate(**row) for row in kept]


def _close(stage: str, candidates: Sequence[Candidate], funnel: Funnel) -> list[Candidate]:
    """Record `stage` in the funnel and return those that it did not drop."""
    kept = [candidate for candidate in candidates if candidate.stage != stage]
    reasons = Counter(candidate.reason or "" for candidate in candidates if candidate.stage == stage)
    funnel.step(stage, len(candidates), len(kept), dict(sorted(reasons.items())))
    return kept


def _clean(candidates: Sequence[Candidate], funnel: Funnel) -> list[Candidate]:
    for candidate in candidates:
        try:
            candidate.caption = clean_alt_text(candidate.alt_text)
        except Dropped as dropped:
            candidate.drop("alt-text", dropped)
    return _close("alt-text", candidates, funnel)


def _fetch_and_read(candidates: Sequence[Candidate], folder: Path, spool: Spool, funnel: Funnel) -> list[Candidate]:
    """Fetch and judge the images, DOWNLOADS at a time; they go to the spool in the table's order."""
    asked = _one_a_url(candidates)
    decoders = BoundedSemaphore(DECODERS)

    def look(candidate: Candidate) -> tuple[str, WebImage | Dropped]:
        stage = "fetch"
        try:
            data = fetch(candidate.url, folder)
            stage = "image"
            with decoders:
                return stage, read_image(data)
        except Dropped as dropped:
            return stage, dropped

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")  # of metadata it cannot read: the image counts
        answers = track(_in_order(look, asked), "fetching images", total=len(asked))
        for candidate, (stage, answer) in zip(asked, answers, strict=True):
            if isinstance(answer, Dropped):
                candidate.drop(stage, answer)
            else:
                spool.add(candidate.row, answer.jpeg)
                candidate.image = replace(answer, jpeg=b"")
    return _close("image", _close("fetch", candidates, funnel), funnel)


def _one_a_url(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep, of the rows with the same url, the one with the longest caption, then the first."""
    best: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda other: (-len(other.caption), other.row)):
        if not candidate.url:
            candidate.drop("fetch", Dropped("no url"))
        elif (first := best.setdefault(candidate.url, candidate)) is not candidate:
            candidate.drop("fetch", Dropped("repeated url"))
            candidate.duplicate_of = first.row
    return sorted(best.values(), key=lambda candidate: candidate.row)


def _in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function` of each item in order, computed by DOWNLOADS threads, at most AHEAD items ahead."""
    pool = ThreadPoolExecutor(DOWNLOADS)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _classify(candidates: Sequence[Candidate], classifier: str, spool: Spool, funnel: Funnel) -> list[Candidate]:
    from geomammut.pairs.web_stages import zero_shot  # noqa: PLC0415  (torch, for those who ask for it)

    score = zero_shot.aerial_probability(classifier)
    starts = range(0, len(candidates), zero_shot.BATCH)
    for start in track(starts, "classifying images"):
        batch = candidates[start : start + zero_shot.BATCH]
        scores = score([spool.read(candidate.row) for candidate in batch])
        for candidate, probability in zip(batch, scores, strict=True):
            candidate.aerial_probability = probability
            if probability < zero_shot.KEPT_PROBABILITY:
                candidate.drop("classifier", Dropped("not from above", f"probability {probability:.3f}"))
    return _close("classifier", candidates, funnel)


def _without_duplicates(candidates: Sequence[Candidate], funnel: Funnel) -> list[Candidate]:
    """Keep, of near-duplicate images, the largest, then the one with the longest caption, then the first."""
    images = [(candidate, candidate.image) for candidate in candidates if candidate.image is not None]
    images.sort(key=lambda pair: (-pair[1].original_pixels, -len(pair[0].caption), pair[0].row))
    repeats = duplicates_of([image.perceptual_hash for _, image in images])
    for (candidate, _), repeated in zip(images, repeats, strict=True):
        if repeated is not None:
            candidate.drop("duplicates", Dropped("near-duplicate"))
            candidate.duplicate_of = images[repeated][0].row
    return _close("duplicates", candidates, funnel)


def _pair(candidate: Candidate, spool: Spool, table: Path, classifier: str | None) -> Pair:
    assert candidate.image is not None
    jpeg = spool.read(candidate.row)
    candidate.id = content_id(jpeg, candidate.caption)
    provenance = {
        "writer": "alt-text",
        "table": table.name,
        "row": candidate.row,
        "alt_text": candidate.alt_text,
        "keyword": candidate.keyword,
    }
    if classifier is not None:
        provenance |= {
            "classifier": classifier,
            "aerial_probability": round(candidate.aerial_probability or 0.0, 4),
        }
    return Pair(
        id=candidate.id,
        captions=(candidate.caption,),
        jpeg=jpeg,
        width=candidate.image.width,
        height=candidate.image.height,
        source="web",
        provenance=provenance,
        url=candidate.url,
    )


def _decisions(rows: pa.Table, candidates: Iterable[Candidate]) -> pa.Table:
    """Return what became of every row, in the table's order (DECISIONS_SCHEMA)."""
    by_row = {candidate.row: candidate for candidate in candidates}
    columns = ("stage", "reason", "detail", "duplicate_of", "id")
    decided: dict[str, list[object]] = {column: [] for column in columns}
    for row, reason in zip(rows["row"].to_pylist(), rows["reason"].to_pylist(), strict=True):
        candidate = by_row.get(row)
        for column in columns:
            if candidate is not None:
                value = getattr(candidate, column)
            else:
                value = {"stage": "text", "reason": reason}.get(column)
            decided[column].append(value)
    read = {column: rows[column] for column in ("row", "url", "alt_text", "keyword")}
    return pa.table(read | decided).cast(DECISIONS_SCHEMA)


def _nothing_left(table: Path, funnel: Funnel) -> str:
    losses = [
        f"{step['step']} kept {step['out']} of {step['in']}"
        + "".join(f", {count} {reason}" for reason, count in step["dropped"].items())
        for step in funnel.steps
        if step["in"]
    ]
    emptied = next(step["step"] for step in funnel.steps if not step["out"])
    advice = {
        "text": "its alt-texts must speak of images from above",
        "fetch": "check the network, and that local paths are relative to the table's folder",
    }.get(emptied, f"look at what the {emptied} stage refuses")
    return f"no pair is left of {table}: {'; '.join(losses)}; {advice}"


def _card(table: Path, classifier: str | None, funnel: Funnel) -> str:
    steps = "\n".join(
        f"| {step['step']} | {step['in']} | {step['out']} | "
        + ", ".join(f"{reason}: {count}" for reason, count in step["dropped"].items())
        + " |"
        for step in funnel.steps
    )
    rules = content_id(RULES.read_bytes())
    judge = f"the zero-shot classifier `{classifier}`" if classifier else "no classifier"
    return f"""# Web pairs from {table.name}

Images that the web's own words say were taken from above, with their cleaned alt-texts as captions.

Made by `geomammut pairs web` {__version__} with the text rules {rules} and {judge}.
Images are JPEG, at most {STORED_SIDE} pixels a side. What became of every row is in `{DECISIONS}`.

| stage | in | out | dropped |
|---|---|---|---|
{steps}

**Licence.** Images and texts belong to those who published them; each pair's `url` says where. This set
grants no right to them.
"""
