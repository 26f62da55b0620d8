"""`pairs web`: keep, of a table of urls and alt-texts, the images taken from above.

The stages are in `web_stages`, here in their order, from the cheapest to the dearest: text, alt-text, fetch,
image, classifier (if one is given), duplicates, leakage. What a row's words can decide is decided before anything
is fetched. Every row of the input is accounted for in `decisions.parquet` beside the pairs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import daft

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id, whole_folder
from geomammut.pairs.benchmark_register import benchmarks_list
from geomammut.pairs.daft_runner import run_on
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.remote_files import is_address
from geomammut.pairs.run_folder import RunFolder, file_state
from geomammut.pairs.web_card import card, nothing_left, record, record_captions
from geomammut.pairs.web_decisions import DECISIONS, Reasons, decide
from geomammut.pairs.web_explain import explain_row
from geomammut.pairs.web_programs import cleaned, close_fetcher, embedder, image_judge
from geomammut.pairs.web_recaption import recaptioned
from geomammut.pairs.web_run import Plan, WebRun
from geomammut.pairs.web_stages.duplicates import near_duplicates
from geomammut.pairs.web_stages.inputs import read_sources, sources
from geomammut.pairs.web_stages.leakage import copies_of, leaks
from geomammut.pairs.web_stages.text import RULES, text_stage
from geomammut.pairs.web_stages.text_classifier import WEIGHTS, load_text_classifier
from geomammut.pairs.writers.writer import ModelWriter, WriterOptions, open_model_writer

STAGES = ("read", "text", "alt-text", "fetch", "image", "classifier", "duplicates", "leakage")


def pairs_web(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    url_column: str | None = None,
    text_column: str | None = None,
    text_classifier: Path | None = None,
    classifier: str | None = None,
    against: Sequence[Path] = (),
    leakage_guard: bool = True,
    writer: Literal["google", "openai"] | None = None,
    model: str | None = None,
    batch: bool = False,
    concurrency: int = 8,
    timeout: float = 90.0,
    requests_per_minute: float | None = None,
    max_requests: int | None = None,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    partition: int = 4096,
    ray: str | None = None,
    explain: str | None = None,
    seed: int = 0,
) -> Path:
    """Filter urls and alt-texts of the web into a pair set of images taken from above.

    The answers of the web are kept in `OUT.fetched` beside `out`: an answered url is never asked again, by no
    later run either. The images are worked on partition by partition, each by a Daft program, in this process or
    on Ray. Finished steps and partitions are kept in a hidden folder beside `out`, and the same call goes on where
    a killed one stood. Neither the partitions nor where they are worked on change a byte of the result.

    Args:
        inputs: Tables (Parquet, CSV, TSV, JSONL) with a url and an alt-text column, WebDataset shards, Common Crawl
            WARC files, folders of these or of images, glob patterns; paths or addresses. A url is http(s), or
            a path relative to the table's folder that stays inside it. See `sources`.
        out: Folder of the pair set (DESIGN §4), with `decisions.parquet`: for every row of the input, the
            stage that dropped it and why, or its pair's id.
        url_column: Name of the tables' url column, where it is none of the usual.
        text_column: Likewise, of the alt-texts.
        text_classifier: Folder of a text classifier, which keeps rows without a keyword too that it is sure of.
        classifier: Also judges the images: a folder of `geomammut web train-classifier`, or a model (directory,
            hub id, `open_clip:NAME/TAG`), which is asked zero-shot.
        against: Pair sets; images that are near-duplicates of theirs are dropped.
        leakage_guard: Drop near-duplicates of the registered benchmarks' images (see `benchmarks_add`).
        writer: Writes new captions, with the alt-text as a hint: `google` (Gemini; key in GEMINI_API_KEY) or `openai`
            (any compatible server; key in OPENAI_API_KEY, address in OPENAI_BASE_URL). Its answers are kept in
            `OUT.answers.sqlite` beside `out`, and no run pays for one twice.
        model, batch, concurrency, timeout, requests_per_minute, max_requests, max_cost, price_in, price_out: Of the
            writer; see `pairs_landmarks`.
        partition: Images worked on at a time, which bounds the memory: some 100 kB each, beside a gigabyte.
        ray: Where Daft runs: None for this process, "local" for a Ray cluster on this machine, "auto" for the
            one it belongs to, or an address. All machines of a cluster must see the inputs and `out` under
            the same paths.
        explain: Make nothing; print for one row of the finished `out`, or for the rows of a url, which stage kept
            or dropped it and why. A pair's id, a row's number or a url; `inputs` may be empty then.
        seed: Every verb takes one; nothing here is drawn by chance, and the order of answers changes nothing.

    Returns:
        `out`.

    Raises:
        UserError: An input cannot be read or lacks a column, there is no such model, or no row is left.
    """
    out = Path(out)
    if explain is not None:
        print(explain_row(out, explain))
        return out
    if partition < 1:
        raise UserError(f"--partition {partition} is out of range; give the images to work on at a time, such as 4096")
    if writer is None and model is not None:
        raise UserError("--model is for --writer google or openai; --classifier takes the model that judges images")
    with ExitStack() as stack:
        # First of all: who lacks a key or names no model shall learn it before the work.
        recaptioner = None
        if writer is not None:
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
            recaptioner = stack.enter_context(open_model_writer(options, out))
        if classifier is not None:
            image_judge(classifier)
        text_judge = None if text_classifier is None else load_text_classifier(text_classifier)
        guarded = benchmarks_list() if leakage_guard else []
        run_on(ray)
        found = sources(inputs, url_column, text_column)
        folder = RunFolder(
            out,
            {
                "geomammut": __version__,
                "inputs": [[source.kind, file_state(source.path), source.images] for source in found],
                "columns": [url_column, text_column],
                "rules": content_id(RULES.read_bytes()),
                "text_classifier": None if text_classifier is None else file_state(Path(text_classifier) / WEIGHTS),
                "classifier": None if classifier is None else file_state(classifier),
                "against": [file_state(Path(each) / "pairs.parquet") for each in against],
                "benchmarks": [file_state(each.file) for each in guarded],
                "partition": partition,
            },
        )

        def words(files: range) -> daft.DataFrame:
            return cleaned(text_stage(read_sources(found, files, url_column, text_column), text_judge))

        run = WebRun(folder)
        plan = run.plan(words, len(found), partition)
        run.find_repeats(plan)
        answers = out.with_name(f"{out.name}.fetched")
        stack.callback(close_fetcher, answers)
        run.look(plan, answers, classifier)
        run.drop(plan, "duplicates", near_duplicates, "duplicates", "near-duplicate")
        if against:
            model_too = None if classifier is None else embedder(classifier)
            copies = partial(copies_of, pair_sets=against, embedder=model_too)
            run.drop(plan, "copies", copies, "duplicates", "near-duplicate in another pair set")
        if leakage_guard:
            run.drop(plan, "leaks", leaks, "leakage", "near-duplicate of a benchmark's image")

        given = {"text classifier": text_classifier, "classifier": classifier}
        asked = {"classifier": classifier is not None, "leakage": leakage_guard}
        about = _About(
            inputs=[str(each) if is_address(str(each)) else Path(each).name for each in inputs],
            stages=[stage for stage in STAGES if asked.get(stage, True)],
            judges={
                what: Path(name).name if Path(name).exists() else str(name)
                for what, name in given.items()
                if name is not None
            },
            guarded=[each.name for each in guarded],
            recaptioner=recaptioner,
        )
        _write(out, folder, run, plan, about)
        folder.remove()
    return out


@dataclass(frozen=True)
class _About:
    """What the set says of itself: what was read, which stages it went through, by whom judged and captioned."""

    inputs: Sequence[str]
    stages: Sequence[str]
    judges: Mapping[str, str]
    guarded: Sequence[str]
    recaptioner: ModelWriter | None


def _write(out: Path, folder: RunFolder, run: WebRun, plan: Plan, about: _About) -> None:
    funnel, reasons, written = Funnel(), Reasons(), Counter[str]()

    def pairs() -> Iterator[Pair]:
        kept = (_pair(row, jpeg, about.judges) for row, jpeg in decide(run, plan, folder.path / DECISIONS, reasons))
        some = False
        for pair in kept if about.recaptioner is None else recaptioned(kept, about.recaptioner, written):
            some = True
            yield pair
        record(funnel, about.stages, plan.rows, reasons)
        if not some:
            folder.remove()
            raise UserError(nothing_left(about.inputs, funnel))
        if about.recaptioner is not None:
            record_captions(funnel, about.recaptioner, written)

    with whole_folder(out) as whole:
        write_pair_set(whole, pairs(), funnel=funnel, card="The counts follow when the set is whole.")
        text = card(about.inputs, about.judges, funnel, about.guarded, about.recaptioner)
        (whole / "card.md").write_text(text, encoding="utf-8")
        (folder.path / DECISIONS).replace(whole / DECISIONS)


def _pair(row: dict[str, Any], jpeg: bytes, judges: Mapping[str, str]) -> Pair:
    recorded = ("row", "alt_text", "keyword", "text_score", "language", "aerial_probability")
    provenance = {"writer": "alt-text", **{name: row[name] for name in recorded if row[name] is not None}, **judges}
    return Pair(
        id=row["id"],
        captions=(row["caption"],),
        jpeg=jpeg,
        width=row["width"],
        height=row["height"],
        source="web",
        provenance=provenance,
        url=row["url"],
    )
