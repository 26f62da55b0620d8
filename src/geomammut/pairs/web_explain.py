"""What became of one row of `pairs web`: stage by stage, with all that was recorded."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from geomammut.errors import UserError
from geomammut.pairs.web_decisions import DECISIONS, DECISIONS_SCHEMA

_MOST = 20  # rows told of, where many have the same url

Row = Mapping[str, Any]


def explain_row(out: Path, wanted: str) -> str:
    """Return which stage of the run that made the pair set `out` kept or dropped a row, and why.

    Args:
        out: A pair set of `pairs web`.
        wanted: A pair's id, a row's number, or a url; one may stand for several rows, which are all told.

    Raises:
        UserError: `out` has no decisions, or there is no such row.
    """
    path = out / DECISIONS
    try:
        decisions = ds.dataset(path, format="parquet")
        stages = [step["step"] for step in json.loads((out / "funnel.json").read_text(encoding="utf-8"))["steps"]]
        rows = decisions.head(_MOST, filter=_is(wanted))
    except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} cannot be read; give the --out of a finished `geomammut pairs web`") from error
    if missing := set(DECISIONS_SCHEMA.names) - set(decisions.schema.names):
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}; make the pair set again")
    if not len(rows):
        raise UserError(f"no row of {path} has the id, number or url {wanted!r}")
    others = {of for of in rows["duplicate_of"].to_pylist() if of is not None}
    best = decisions.to_table(columns=["row", "url", "id"], filter=ds.field("row").isin(sorted(others))).to_pylist()
    return "\n\n".join(_told(row, stages, {other["row"]: other for other in best}) for row in rows.to_pylist())


def _is(wanted: str) -> ds.Expression:
    found = (ds.field("id") == wanted) | (ds.field("url") == wanted)
    if wanted.isascii() and wanted.isdigit() and int(wanted) < 2**63:
        found |= ds.field("row") == int(wanted)
    return found


def _told(row: Row, stages: list[str], others: Mapping[int, Row]) -> str:
    lines = [f"row {row['row']}: {row['url'] or 'no url'}", f"  says          {row['alt_text'] or 'nothing'}"]
    for stage in stages:
        if stage == row["stage"]:
            lines.append(f"  {stage:13} dropped: {_why(row, others)}{_scores(stage, row)}")
            return "\n".join(lines)
        lines.append(f"  {stage:13} kept{_scores(stage, row)}")
    return "\n".join([*lines, f"  is the pair   {row['id']}"])


def _why(row: Row, others: Mapping[int, Row]) -> str:
    why = row["reason"] + (f" ({row['detail']})" if row["detail"] else "")
    if (of := row["duplicate_of"]) is None:
        return str(why)
    best = others.get(of, {})
    return f"{why} of row {of}, {best.get('url') or 'no url'}, " + (
        f"the pair {best['id']}" if best.get("id") else "which was dropped too"
    )


_SCORES: Mapping[str, tuple[tuple[str, Callable[[Row], str]], ...]] = {
    "text": (
        ("keyword", lambda row: f"keyword {row['keyword']!r}"),
        ("text_score", lambda row: f"score of the text classifier {row['text_score']:.3f}"),
    ),
    "alt-text": (
        ("caption", lambda row: f"caption {row['caption']!r}"),
        ("language", lambda row: f"language {row['language']}"),
    ),
    "image": (
        ("original_pixels", lambda row: f"{row['original_pixels']:,} pixels"),
        ("width", lambda row: f"stored as {row['width']} × {row['height']}"),
    ),
    "classifier": (("aerial_probability", lambda row: f"probability of aerial {row['aerial_probability']:.3f}"),),
}


def _scores(stage: str, row: Row) -> str:
    told = [tell(row) for column, tell in _SCORES.get(stage, ()) if row[column] is not None]
    return ": " + ", ".join(told) if told and stage != row["stage"] else "; " + ", ".join(told) if told else ""
