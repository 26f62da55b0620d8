"""The table of a suite: our results and published figures side by side, as Markdown and as one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomammut.evaluation.anchors import Anchor, published
from geomammut.files import whole_file
from geomammut.markup import Html, markup, section, tag

# In this order, and under these headings; what a result has beside them comes after them, under its own name.
HEADINGS = {
    "mR": "mR",
    "i2t_mean": "i2t mean",
    "t2i_mean": "t2i mean",
    **{f"{way}_r{k}": f"{way} R@{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)},
    "top1": "top-1",
    "top5": "top-5",
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "cider": "CIDEr",
    "spider": "SPIDEr",
    "spice": "SPICE",
    **{f"bleu{n}": f"BLEU-{n}" for n in (1, 2, 3, 4)},
}
HEADLINE = {"retrieval": "mR", "classification": "top1", "segmentation": "miou", "captioning": "cider"}

ABOUT = (
    "Metrics are percentages, with 95% intervals where they were measured. Leaks are images of the benchmark that are "
    "nearly one of the pair sets that the model was trained on, as far as its own records name these. Published "
    "figures, in italics, are their sources'; compare one with ours only where protocol, split and size agree. Nothing "
    "is tuned for one benchmark: prompts, windows and background are the same for all models."
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1e21; max-width: 92rem; margin: 2rem auto; padding: 0 1rem }
.lead { max-width: 60rem } .lead, tr.published { color: #5b6470 } tr.published { font-style: italic }
.scroll { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; line-height: 1.35 }
th, td { padding: .3rem .35rem; border-bottom: 1px solid #d9dce0; text-align: left; vertical-align: top }
section td:last-child { min-width: 17rem } td:first-child { min-width: 6rem }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e4e6e9 } th, td { border-color: #3a3f45 }
  tr.published, .lead { color: #a4acb6 } }
"""


@dataclass(frozen=True)
class Measured:
    """An entry of a suite for one model: its results, or why there are none.

    Attributes:
        kind: "retrieval", "classification", …
        name: Of the entry.
        published: Benchmark whose published figures stand beside it.
        model: Label of the model.
        results: As the verb wrote them.
        failure: What went wrong, in one line.
    """

    kind: str
    name: str
    published: str | None
    model: str
    results: dict[str, Any] | None
    failure: str | None


@dataclass(frozen=True)
class _Part:
    """One entry's table: a row a model, then the published ones; all cells but the first and the last are figures."""

    title: str
    about: str
    headings: list[str]
    rows: list[list[str]]
    ours: int  # so many rows are ours


def write_tables(out: Path, title: str, measured: Sequence[Measured]) -> Path:
    """Write `out/table.md` and `out/table.html`, and return the former."""
    names = list(dict.fromkeys(each.name for each in measured))
    parts = [_part([each for each in measured if each.name == name]) for name in names]
    overview = _overview(names, measured)
    with whole_file(out / "table.html") as file:
        file.write_text(_html(title, overview, parts), encoding="utf-8")
    with whole_file(out / "table.md") as file:
        file.write_text(_markdown(title, overview, parts), encoding="utf-8")
    return out / "table.md"


def _overview(names: Sequence[str], measured: Sequence[Measured]) -> _Part:
    """Return the table of all models and entries, each by one metric."""
    kinds = {each.name: each.kind for each in measured}
    cells = {(each.model, each.name): _headline(each) for each in measured}
    models = list(dict.fromkeys(each.model for each in measured))
    rows = [[model, *(cells[model, name] for name in names)] for model in models]
    return _Part("", "", ["model", *(f"{name}, {HEADINGS[HEADLINE[kinds[name]]]}" for name in names)], rows, len(rows))


def _headline(each: Measured) -> str:
    return "failed" if each.results is None else _cell(each.results, HEADLINE[each.kind])


def _part(same: Sequence[Measured]) -> _Part:
    """Return the table of one entry: its models, and what is published."""
    first = same[0]
    done = next((each.results for each in same if each.results), None)
    anchors = published(first.published) if first.published else []
    if done and first.kind == "retrieval":
        anchors = [anchor for anchor in anchors if anchor.ours == done["protocol"]]
    known = {name for each in same if each.results for name in _with_means(each.results["metrics"])}
    known |= {name for anchor in anchors for name in _with_means(anchor.metrics)}
    columns = [name for name in HEADINGS if name in known] + sorted(known - set(HEADINGS))
    rows = [_our_row(each, columns) for each in same] + [_published_row(anchor, columns) for anchor in anchors]
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in done["counts"].items()) if done else ""
    about = f"{first.kind[0].upper()}{first.kind[1:]} on {done['benchmark']}: {counts}." if done else ""
    headings = ["model", *(HEADINGS.get(name, name) for name in columns), "leaks", "protocol and source"]
    return _Part(first.name, about, headings, rows, len(same))


def _our_row(each: Measured, columns: Sequence[str]) -> list[str]:
    if each.results is None:
        return [each.model, *("–" for _ in columns), "–", f"failed: {each.failure}"]
    cells = [_cell(each.results, name) for name in columns]
    return [each.model, *cells, _leaks(each.results), f"measured here; {each.results['protocol']}"]


def _published_row(anchor: Anchor, columns: Sequence[str]) -> list[str]:
    metrics = _with_means(anchor.metrics)
    cells = [f"{metrics[name]:.2f}" if name in metrics else "–" for name in columns]
    return [anchor.model, *cells, "–", f"{anchor.source}; {anchor.protocol}"]


def _with_means(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics, of retrieval also each direction's mean."""
    metrics = dict(metrics)
    for way in ("i2t", "t2i"):
        recalls = [metrics[f"{way}_r{k}"] for k in (1, 5, 10) if f"{way}_r{k}" in metrics]
        if recalls:
            metrics[f"{way}_mean"] = sum(recalls) / len(recalls)
    return metrics


def _cell(results: dict[str, Any], name: str) -> str:
    metrics = _with_means(results["metrics"])
    if name not in metrics:
        return "–"
    interval = results.get("intervals", {}).get(name)
    return f"{metrics[name]:.2f}" + (f" ({interval[0]:.1f}–{interval[1]:.1f})" if interval else "")


def _leaks(results: dict[str, Any]) -> str:
    """Return how many images of the benchmark the model has seen, "?" where its records do not say."""
    report = results.get("leaks")
    if report is None or report["images"] is None:
        return "?"
    partly = f", {len(report['not_found'])} sets not found" if report["not_found"] else ""
    return f"{report['images']} of {results['counts']['images']}{partly}"


def _markdown(title: str, overview: _Part, parts: Sequence[_Part]) -> str:
    lines = [f"# {title}", "", ABOUT, "", *_markdown_table(overview)]
    for part in parts:
        lines += ["", f"## {_escaped(part.title)}", "", *([_escaped(part.about), ""] if part.about else [])]
        lines += _markdown_table(part)
    return "\n".join(lines) + "\n"


def _markdown_table(part: _Part) -> list[str]:
    rows = [[_escaped(cell) for cell in row] for row in part.rows]
    rows[part.ours :] = [[f"*{row[0]}*", *row[1:]] for row in rows[part.ours :]]
    rule = ["---", *("---:" for _ in part.headings[1:])]
    if part.title:
        rule[-1] = "---"
    table_rows = [[_escaped(heading) for heading in part.headings], rule, *rows]
    return [f"| {' | '.join(row)} |" for row in table_rows]


def _escaped(text: str) -> str:
    """Return text that cannot become a cell, a link or HTML in Markdown."""
    text = " ".join(text.split())
    for sign in "\\|<[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def _html(title: str, overview: _Part, parts: Sequence[_Part]) -> str:
    body = markup(
        tag("h1", title),
        tag("p", ABOUT, class_="lead"),
        _html_table(overview),
        [section(part.title, part.title, part.about, _html_table(part)) for part in parts],
    )
    head = markup(tag("meta", charset="utf-8"), tag("title", title), tag("style", Html(_STYLE)))
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', body), lang='en')}\n"


def _html_table(part: _Part) -> Html:
    figures = range(1, len(part.headings) - bool(part.title))

    def cells(kind: str, row: Sequence[str]) -> list[Html]:
        return [tag(kind, cell, class_="number" if place in figures else None) for place, cell in enumerate(row)]

    rows = [
        tag("tr", *cells("td", row), class_=None if place < part.ours else "published")
        for place, row in enumerate(part.rows)
    ]
    inner = tag("table", tag("thead", tag("tr", *cells("th", part.headings))), tag("tbody", *rows))
    return tag("div", inner, class_="scroll")
