"""Stage 1: does the alt-text speak of an image taken from above? By the rules in `web_keywords.toml`, and a classifier.

The rules are regular expressions over whole columns (Arrow's RE2). Each looks only at what the one before it
let through: a net over the raw text leaves a tenth of the web's rows to be folded, and that a hundredth to judge.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import daft
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from daft import DataType, Series, col

from geomammut.pairs.web_stages.folding import SPACES, fold_phrase, folded
from geomammut.pairs.web_stages.text_classifier import TextClassifier

RULES = Path(__file__).with_name("web_keywords.toml")
RARE = "[^\x00-\x7f]|['`]"  # what no net over raw text can compare
JUDGED = pa.struct([("reason", pa.large_string()), ("keyword", pa.large_string()), ("text_score", pa.float32())])
NO_WORDS, NO_KEYWORD, EXCLUDED = "no alt-text", "no keyword", "excluded phrase"


@cache
def rules() -> Mapping[str, Any]:
    """Return the rules as read from `web_keywords.toml`."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class TextPatterns:
    """The rules as regular expressions (RE2) over folded text (see `folding`).

    `anchors` is a plain list of strings, one of which stands in every text that `wanted` or `excluded` matches.
    `net` is wider and for the text as it came, in any case: what it does not match has no anchor.
    """

    net: str
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
    excluded = [phrase for phrases in read["excluded"].values() for phrase in phrases]
    anchors = {fold_phrase(phrase) for phrase in excluded}
    for language in read["languages"].values():
        wanted.append(_any_of(language["phrases"]))
        anchors |= {fold_phrase(phrase) for phrase in language["phrases"]}
        for near in language.get("near", ()):
            wanted.append(_any_of(near["first"]) + gap + _any_of(near["then"]))
            anchors |= {fold_phrase(phrase) for phrase in near[near["anchor"]]}
    plain = sorted(anchor.removesuffix("*") for anchor in anchors)
    return TextPatterns(
        net="|".join([RARE, *(anchor.replace(" ", SPACES) for anchor in plain if anchor.isascii())]),
        anchors="|".join(plain),
        wanted="|".join(wanted),
        excluded=_any_of(excluded),
        dropped={reason: _any_of(phrases) for reason, phrases in read["dropped"].items()},
    )


def text_stage(frame: daft.DataFrame, classifier: TextClassifier | None = None) -> daft.DataFrame:
    """Judge every alt-text, lazily.

    The rules alone keep the rows that have a keyword. With a classifier, a row without one is kept too where the
    classifier gives it at least its threshold; what the rules exclude or drop stays dropped.

    Args:
        frame: Rows with a string column `alt_text` (nullable).
        classifier: Ranks all rows, and rescues those that speak of a view from above without a keyword.

    Returns:
        The frame with three more columns: `reason` (string, null where the row is kept), `keyword` (string,
        the words that spoke for it, folded; null where none did) and `text_score` (float32, the
        classifier's probability; null without a classifier).
    """

    @daft.func.batch(return_dtype=DataType.from_arrow_type(JUDGED), unnest=True, use_process=False)
    def judged(alt_texts: Series) -> Series:
        return Series.from_arrow(judge(alt_texts.to_arrow(), classifier))

    return frame.select(*frame.column_names, judged(col("alt_text")))


def judge(alt_texts: pa.Array, classifier: TextClassifier | None = None) -> pa.StructArray:
    """Judge N alt-texts (strings or nulls): `text_stage` for an array, with its three columns as fields (JUDGED)."""
    patterns = text_patterns()
    texts = alt_texts.cast(pa.large_string()).fill_null("")
    reasons = pc.if_else(pc.match_substring_regex(texts, r"[\pL\pN]"), NO_KEYWORD, NO_WORDS).cast(pa.large_string())
    caught = pc.indices_nonzero(pc.match_substring_regex(texts, patterns.net, ignore_case=True))
    left = folded(texts.take(caught))
    anchored = pc.match_substring_regex(left, patterns.anchors)
    places, left = caught.filter(anchored), left.filter(anchored)
    found = _keywords(pc.replace_substring_regex(left, patterns.excluded, " ¦ "), patterns.wanted)
    refused = pc.if_else(pc.match_substring_regex(left, patterns.excluded), EXCLUDED, NO_KEYWORD)
    reasons = _put(reasons, places, pc.if_else(found.is_valid(), _dropped(left, patterns), refused))
    scores = pa.nulls(len(texts), pa.float32())
    if classifier is not None:
        scores = pa.array(classifier.score(texts))
        passed = pc.and_(pc.equal(reasons, NO_KEYWORD), pc.greater_equal(scores, classifier.threshold))
        places_passed = pc.indices_nonzero(passed)
        reasons = _put(reasons, places_passed, _dropped(folded(texts.take(places_passed)), patterns))
    keywords = _put(pa.nulls(len(texts), pa.large_string()), places, found)
    return pa.StructArray.from_arrays([reasons, keywords, scores], fields=list(JUDGED))


def _keywords(texts: pa.Array, wanted: str) -> pa.Array:
    """Return, of each text, the words that `wanted` matches, or null."""
    return pc.struct_field(pc.extract_regex(texts, f"(?P<keyword>{wanted})"), "keyword")


def _dropped(texts: pa.Array, patterns: TextPatterns) -> pa.Array:
    """Return, of each text that speaks of a view from above, why it is dropped all the same, or null."""
    reasons = pa.nulls(len(texts), pa.large_string())
    for reason, pattern in patterns.dropped.items():
        this = pc.if_else(pc.match_substring_regex(texts, pattern), pa.scalar(reason, reasons.type), None)
        reasons = pc.coalesce(reasons, this)
    return reasons


def _put(values: pa.Array, places: pa.Array, new: pa.Array) -> pa.Array:
    """Return `values` with `new` at `places` (ascending)."""
    mask = np.zeros(len(values), bool)
    mask[places.to_numpy()] = True
    return pc.replace_with_mask(values, mask, new.cast(values.type))


def _any_of(phrases: Iterable[str]) -> str:
    """Return a pattern for any of the phrases: whole words in Latin script, and any ending for a `*`."""
    return "(?:" + "|".join(_bounded(fold_phrase(phrase)) for phrase in phrases) + ")"


def _bounded(phrase: str) -> str:
    start = r"\b" if phrase[0].isascii() else ""
    end = r"\b" if phrase[-1].isascii() and not phrase.endswith("*") else ""
    return f"{start}{phrase.removesuffix('*')}{end}"
