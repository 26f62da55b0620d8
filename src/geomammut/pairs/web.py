"""`pairs web`: keep, of a table of urls and alt-texts, the images taken from above.

The stages are in `web_stages`, here in their order, from the cheapest to the dearest: text, alt-text, fetch,
image, classifier (if one is given), duplicates. What a row's words can decide is decided before anything
is fetched. Every row of the input is accounted for in `decisions.parquet` beside the pairs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import content_id, whole_folder
from geomammut.pairs.daft_runner import run_on
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.run_folder import RunFolder, file_state
from geomammut.pairs.web_card import card, nothing_left, record
from geomammut.pairs.web_decisions import DECISIONS, Reasons, decide
from geomammut.pairs.web_explain import explain_row
from geomammut.pairs.web_programs import cleaned, image_judge
from geomammut.pairs.web_run import WebRun
from geomammut.pairs.web_stages.duplicates import near_duplicates
from geomammut.pairs.web_stages.input_files import is_address
from geomammut.pairs.web_stages.inputs import read_web_inputs, sources
from geomammut.pairs.web_stages.text import RULES, text_stage
from geomammut.pairs.web_stages.text_classifier import WEIGHTS, load_text_classifier

STAGES = ("read", "text", "alt-text", "fetch", "image", "classifier", "duplicates")


def pairs_web(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    url_column: str | None = None,
    text_column: str | None = None,
    text_classifier: Path | None = None,
    classifier: str | None = None,
    partition: int = 4096,
    ray: str | None = None,
    explain: str | None = None,
    seed: int = 0,
) -> Path:
    """Filter urls and alt-texts of the web into a pair set of images taken from above.

    The images are worked on partition by partition, each by a Daft program, in this process or on Ray. Finished
    steps and partitions are kept in a hidden folder beside `out`, and the same call goes on where a killed
    one stood. Neither the partitions nor where they are worked on change a byte of the result.

    Args:
        inputs: Tables (Parquet, CSV, TSV, JSONL) with a url and an alt-text column, WebDataset shards, Common Crawl
            WARC files, folders of these or of images, glob patterns; paths or addresses. A url is http(s), or
            a path relative to the table's folder that stays inside it. See `read_web_inputs`.
        out: Folder of the pair set (DESIGN §4), with `decisions.parquet`: for every row of the input, the
            stage that dropped it and why, or its pair's id.
        url_column: Name of the tables' url column, where it is none of the usual.
        text_column: Likewise, of the alt-texts.
        text_classifier: Folder of a text classifier, which keeps rows without a keyword too that it is sure of.
        classifier: Also judges the images: a folder of `geomammut web train-classifier`, or a model (directory,
            hub id, `open_clip:NAME/TAG`), which is asked zero-shot.
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
    run_on(ray)
    rows = read_web_inputs(inputs, url_column, text_column)
    found = sources(inputs)
    words = text_stage(rows, None if text_classifier is None else load_text_classifier(text_classifier))
    if classifier is not None:
        image_judge(classifier)  # first of all: who names none shall learn it before the work
    folder = RunFolder(
        out,
        {
            "geomammut": __version__,
            "inputs": [[source.kind, file_state(source.path), source.images] for source in found],
            "columns": [url_column, text_column],
            "rules": content_id(RULES.read_bytes()),
            "text_classifier": None if text_classifier is None else file_state(Path(text_classifier) / WEIGHTS),
            "classifier": classifier,
            "partition": partition,
        },
    )
    run = WebRun(folder)
    plan = run.plan(cleaned(words), partition)
    run.find_repeats(plan)
    run.look(plan, classifier)
    run.drop(plan, "duplicates", near_duplicates, "duplicates", "near-duplicate")

    funnel, reasons = Funnel(), Reasons()
    names = [given if is_address(given) else Path(given).name for given in map(str, inputs)]
    given = {"text classifier": text_classifier, "classifier": classifier}
    judges = {what: str(name) for what, name in given.items() if name is not None}
    stages = [stage for stage in STAGES if stage != "classifier" or classifier is not None]

    def pairs() -> Iterator[Pair]:
        kept = 0
        for row, jpeg in decide(run, plan, folder.path / DECISIONS, reasons):
            kept += 1
            yield _pair(row, jpeg, judges)
        record(funnel, stages, plan.rows, reasons)
        if not kept:
            folder.remove()
            raise UserError(nothing_left(names, funnel))

    with whole_folder(out) as whole:
        write_pair_set(whole, pairs(), funnel=funnel, card="The counts follow when the set is whole.")
        (whole / "card.md").write_text(card(names, judges, funnel), encoding="utf-8")
        (folder.path / DECISIONS).replace(whole / DECISIONS)
    folder.remove()
    return out


def _pair(row: dict[str, Any], jpeg: bytes, judges: dict[str, str]) -> Pair:
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
