"""Stage 1: does the alt-text speak of an image taken from above? All rows at once, by `web_keywords.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import daft
import pyarrow as pa
import pyarrow.compute as pc
from daft import Expression, col
from daft.functions import length, normalize, regexp, regexp_extract, regexp_replace

RULES = Path(__file__).with_name("web_keywords.toml")
ABSENT = "[\u0300-\u036f'’´`]"  # combining accents and apostrophes


@cache
def rules() -> Mapping[str, Any]:
    """Return the rules as read from `web_keywords.toml`."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class TextPatterns:
    """The rules as regular expressions over folded text (see `_folded`); linear-time syntax, no look-around.

    `anchors` is a plain list of strings, one of which stands in every text that `wanted` matches: two hundred
    times faster, it decides most rows.
    """

    anchors: str
    wanted: str
    excluded: str
    dropped: Mapping[str, str]


@cache
def text_patterns() -> TextPatterns:
    """Build the regular expressions of the rules."""
    read = rules()
    gap = rf"(?: [^ ]+){{0,{read['gap']}}}? "
    wanted: list[str] = []
    anchors: list[str] = []
    for language in read["languages"].values():
        whole_words = language.get("whole_words", True)
        wanted.append(_any_of(language["phrases"], whole_words))
        anchors += language["phrases"]
        for near in language.get("near", ()):
            wanted.append(_any_of(near["first"]) + gap + _any_of(near["then"]))
            anchors += near[near["anchor"]]
    return TextPatterns(
        anchors="|".join(sorted({_fold(phrase).removesuffix("*") for phrase in anchors})),
        wanted="|".join(wanted),
        excluded=_any_of(phrase for phrases in read["excluded"].values() for phrase in phrases),
        dropped={reason: _any_of(phrases) for reason, phrases in read["dropped"].items()},
    )


def text_stage(rows: pa.Table) -> pa.Table:
    """Judge every alt-text.

    Args:
        rows: Table with a string column `alt_text` (nullable).

    Returns:
        The table, in its order, with two more string columns: `reason` (null where the row is kept) and
        `keyword` (the words that spoke for it, folded; null where none did).
    """
    patterns = text_patterns()
    text = _folded(col("alt_text").fill_null(""))
    found = (
        daft.from_arrow(rows.select(["alt_text"]))
        .select(length(text).alias("letters"), regexp(text, patterns.anchors).alias("anchored"))
        .to_arrow()
    )
    reason: list[str | None] = pc.if_else(pc.equal(found["letters"], 0), "no alt-text", "no keyword").to_pylist()
    keyword: list[str | None] = [None] * len(rows)
    anchored = pc.indices_nonzero(found["anchored"])
    for place, judged in zip(anchored.to_pylist(), _judge(rows.take(anchored), patterns), strict=True):
        reason[place], keyword[place] = judged
    for name, column in (("reason", reason), ("keyword", keyword)):
        rows = rows.append_column(name, pa.array(column, pa.large_string()))
    return rows


def _judge(rows: pa.Table, patterns: TextPatterns) -> list[tuple[str | None, str | None]]:
    """Return reason and keyword of the few rows that have an anchor."""
    remaining = regexp_replace(col("text"), patterns.excluded, " ¦ ")
    judged = (
        daft.from_arrow(rows.select(["alt_text"]))
        .select(_folded(col("alt_text")).alias("text"))
        .select(
            regexp_extract(remaining, patterns.wanted, 0).alias("keyword"),
            regexp(col("text"), patterns.wanted).alias("wanted"),
            *(regexp(col("text"), pattern).alias(reason) for reason, pattern in patterns.dropped.items()),
        )
        .to_pylist()
    )
    return [(_reason(row, patterns), row["keyword"]) for row in judged]


def _reason(row: Mapping[str, Any], patterns: TextPatterns) -> str | None:
    if row["keyword"] is None:
        return "excluded phrase" if row["wanted"] else "no keyword"
    return next((reason for reason in patterns.dropped if row[reason]), None)


def _folded(text: Expression) -> Expression:
    """Return lower-case text without accents and apostrophes, its words set apart by single spaces."""
    spaced = normalize(regexp_replace(text, "[-_]", " "), nfd_unicode=True, lowercase=True, white_space=True)
    return regexp_replace(spaced, ABSENT, "")


def _fold(phrase: str) -> str:
    """Fold a phrase of the rules as `_folded` folds a text."""
    decomposed = unicodedata.normalize("NFD", phrase.replace("-", " ").lower())
    return re.sub(ABSENT, "", decomposed)


def _any_of(phrases: Iterable[str], whole_words: bool = True) -> str:
    folded = (_fold(phrase) for phrase in phrases)
    alternatives = "|".join(phrase[:-1] + r"\w*" if phrase.endswith("*") else phrase for phrase in folded)
    return rf"\b(?:{alternatives})\b" if whole_words else f"(?:{alternatives})"
