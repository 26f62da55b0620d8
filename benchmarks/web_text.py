"""The text stage of `pairs web` beside a Python loop over the rows: the same rules, the same answers.

    .venv/bin/python benchmarks/web_text.py alttext.parquet
    .venv/bin/python benchmarks/web_text.py alttext.parquet --classifier words    # and with a text classifier

The table's alt-texts are repeated, each with a number of its own, to `--rows`; the loop judges the first
`--loop-rows` of them: it folds a row, looks for each anchor in it, and asks the compiled rules only where one
stands. Both run in turn, `--rounds` times; the best round of each counts. The stage runs as Daft runs it, on the
machine's cores; the loop on one, and the rate of as many loops as cores is told beside it.
"""

import argparse
import os
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import daft
import pyarrow as pa
import pyarrow.parquet as pq

from geomammut.pairs.web_stages.folding import ABSENT
from geomammut.pairs.web_stages.text import EXCLUDED, NO_KEYWORD, NO_WORDS, text_patterns, text_stage
from geomammut.pairs.web_stages.text_classifier import load_text_classifier
from geomammut.pairs.web_stages.train_text_classifier import TEXT_COLUMNS

SPACES = re.compile(r"[\s_-]+")


def loop(texts: list[str]) -> list[str | None]:
    """Judge row after row, as a script would."""
    patterns = text_patterns()
    anchors = patterns.anchors.split("|")
    absent = re.compile(ABSENT)
    wanted, excluded = (re.compile(pattern, re.ASCII) for pattern in (patterns.wanted, patterns.excluded))
    dropped = {reason: re.compile(pattern, re.ASCII) for reason, pattern in patterns.dropped.items()}
    reasons: list[str | None] = []
    for text in texts:
        letters = text if text.isascii() else unicodedata.normalize("NFD", text)
        words = SPACES.sub(" ", absent.sub("", letters.lower()))
        if not any(anchor in words for anchor in anchors):
            reasons.append(NO_KEYWORD if any(map(str.isalnum, words)) else NO_WORDS)
            continue
        left = excluded.sub(" ¦ ", words)
        if not wanted.search(left):
            reasons.append(NO_KEYWORD if left == words else EXCLUDED)
        else:
            reasons.append(next((reason for reason, pattern in dropped.items() if pattern.search(words)), None))
    return reasons


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="parquet with alt-texts")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--loop-rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classifier", help="folder of a text classifier")
    options = parser.parse_args()

    column = next(name for name in pq.read_schema(options.table).names if name.lower() in TEXT_COLUMNS)
    given = [text or "" for text in pq.read_table(options.table)[column].to_pylist()]
    texts = [f"{given[row % len(given)]} {row // len(given)}" for row in range(options.rows)]
    frame = daft.from_arrow(pa.table({"alt_text": pa.array(texts, pa.large_string())}))
    some = texts[: options.loop_rows]
    stage = text_stage(frame.limit(len(some))).to_pydict()["reason"]
    differ = [text for text, ours, its in zip(some, stage, loop(some), strict=True) if ours != its]
    if differ:
        raise SystemExit(f"{len(differ)} rows are judged otherwise, such as {differ[0]!r}")

    ours = loops = scored = float("inf")
    for _ in range(options.rounds):
        ours = min(ours, seconds(lambda: text_stage(frame).select("reason", "keyword").collect()))
        loops = min(loops, seconds(lambda: loop(some)))
    cores = len(os.sched_getaffinity(0))
    stage_rate, loop_rate = len(texts) / ours, len(some) / loops
    print(f"same answers on {len(some):,} rows, {stage.count(None)} of them kept; {cores} cores")
    print(f"text stage   {stage_rate:12,.0f} rows/s")
    print(f"Python loop  {loop_rate:12,.0f} rows/s on one core: ×{stage_rate / loop_rate:.1f}")
    print(f"             {loop_rate * cores:12,.0f} rows/s as {cores} loops: ×{stage_rate / loop_rate / cores:.1f}")
    if options.classifier:
        classifier = load_text_classifier(options.classifier)
        for _ in range(options.rounds):
            scored = min(
                scored, seconds(lambda: text_stage(frame, classifier).select("reason", "text_score").collect())
            )
        print(f"with classifier {len(texts) / scored:9,.0f} rows/s")


if __name__ == "__main__":
    main()
