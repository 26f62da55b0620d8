"""The study's tables and figure, from the results under its folder."""

import json
import math
from pathlib import Path
from statistics import mean, stdev

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
# Two-sided 95% of Student's t by degrees of freedom; beyond, the normal's is near enough.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
COLUMNS = {
    "own": ("mR", "held-out districts, mR"),
    "unseen": ("mR", "unseen place, mR"),
    "scenes": ("top1", "its scenes, top-1"),
    "masks": ("miou", "its masks, mIoU"),
    "rsicd": ("mR", "RSICD val, mR"),
    "ucm": ("top1", "UC Merced, top-1"),
    "eurosat": ("top1", "EuroSAT, top-1"),
    "dubai": ("miou", "Dubai, mIoU"),
}
PLACES = ("own", "unseen", "scenes", "masks")  # the columns that every study has
# What is claimed: the first row is better than the second, by this column.
CLAIMS = (
    ("web pairs help", "web", "none", "unseen"),
    ("landmark pairs help", "landmarks", "none", "unseen"),
    ("both, by the curriculum, help more than web pairs alone", "curriculum", "web", "unseen"),
    ("both, by the curriculum, help more than landmark pairs alone", "curriculum", "landmarks", "unseen"),
    ("both, mixed from the start, help more than web pairs alone", "mix", "web", "unseen"),
    ("both, mixed from the start, help more than landmark pairs alone", "mix", "landmarks", "unseen"),
    ("the curriculum is better than mixing from the start", "curriculum", "mix", "unseen"),
    ("the caption loss helps the contrastive one", "curriculum", "contrastive_only", "unseen"),
    ("the contrastive loss helps the caption one", "curriculum", "caption_only", "unseen"),
    ("focal sigmoid is better than InfoNCE", "focal", "curriculum", "unseen"),
    ("focal sigmoid is better than SigLIP's", "focal", "siglip", "unseen"),
    ("a bidirectional contrastive pass is better than a causal one", "curriculum", "causal", "unseen"),
    ("richer template captions are better than plain ones", "curriculum", "plain", "unseen"),
    ("a language model's captions are better than templates", "written", "curriculum", "unseen"),
    ("a round of localization sharpens the masks", "round 1", "curriculum", "masks"),
    ("a second round does, too", "round 2", "round 1", "masks"),
    ("a third round does, too", "round 3", "round 2", "masks"),
)

Figures = dict[str, dict[str, dict[int, float]]]  # row → column → seed → value


def write_tables(out: Path, results: Path, settings: dict[str, str]) -> None:
    """Write the study's section of `results` between its marks, and `images/study.svg` beside it."""
    figures = read(out)
    columns = [column for column in COLUMNS if any(column in found for found in figures.values())]
    image = results.parent / "images" / "study.svg"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(bars(figures, "unseen"), encoding="utf-8")
    lines = [
        BEGIN,
        "## The study",
        "",
        "    make study",
        "",
        f"Budget of a row: {int(settings['samples']):,} samples; {settings['places']} places of {settings['side']} m to"
        " train on and one, in another style, to measure on. Mean and 95% interval over seeds (Student's t);"
        f" {told_time(out)}.",
        "",
        "| row | " + " | ".join(COLUMNS[column][1] for column in columns) + " | seeds |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for row, found in figures.items():
        cells = [spread(list(found.get(column, {}).values())) for column in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {len(found.get('unseen', {}))} |")
    lines += ["", "![The unseen place's mR by row, with intervals](images/study.svg)", ""]
    lines += ["Differences of two rows, paired by seed; a claim is judged by the one in bold:", ""]
    lines += ["| claim | " + " | ".join(COLUMNS[column][1] for column in PLACES) + " | here |"]
    lines += ["|---|" + "---|" * (len(PLACES) + 1)]
    lines += [judged(figures, *claim) for claim in CLAIMS]
    lines += ["", *holdout_lines(out), END]
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    before, mark, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if mark else ""
    results.write_text(f"{before.rstrip()}\n\n" + "\n".join(lines) + after.rstrip() + "\n", encoding="utf-8")


def read(out: Path) -> Figures:
    figures: Figures = {}
    for path in sorted(out.glob("runs/*/*/*.json"), key=order):
        row, seed, column = path.parent.name, int(path.parents[1].name.rpartition("-")[2]), path.stem
        if column in COLUMNS:
            value = json.loads(path.read_text(encoding="utf-8"))["metrics"][COLUMNS[column][0]]
            figures.setdefault(row, {}).setdefault(column, {})[seed] = value
    return figures


def order(path: Path) -> tuple[int, str]:
    first = ("none", "web", "landmarks", "curriculum", "mix")
    row = path.parent.name
    return (first.index(row) if row in first else len(first) + row.startswith("round"), str(path))


def half_width(values: list[float]) -> float:
    """Half of the 95% interval of the mean; infinite for one value."""
    if len(values) < 2:
        return math.inf
    return T95.get(len(values) - 1, 1.96) * stdev(values) / math.sqrt(len(values))


def spread(values: list[float]) -> str:
    if not values:
        return "–"
    half = half_width(values)
    return f"{mean(values):.1f}" + (f" ± {half:.1f}" if math.isfinite(half) else "")


def judged(figures: Figures, claim: str, better: str, worse: str, by: str) -> str:
    found = {column: differences(figures, better, worse, column) for column in PLACES}
    cells = [f"**{spread(values)}**" if column == by and values else spread(values) for column, values in found.items()]
    return f"| {claim} | " + " | ".join(cells) + f" | {verdict(found[by])} |"


def differences(figures: Figures, better: str, worse: str, column: str) -> list[float]:
    first, second = (figures.get(row, {}).get(column, {}) for row in (better, worse))
    return [first[seed] - second[seed] for seed in sorted(set(first) & set(second))]


def verdict(found: list[float]) -> str:
    if not found:
        return "not measured"
    half = half_width(found)
    if mean(found) > half:
        return "holds"
    return "does not hold" if mean(found) < -half else "cannot be told at this size"


def holdout_lines(out: Path) -> list[str]:
    """Tell top-1 of the classes that the row `unseen` never read of, beside the curriculum's, which did."""
    cells = {}
    for row in ("curriculum", "unseen"):
        found = [
            json.loads(path.read_text(encoding="utf-8"))["holdout"]["unseen"]["top1"]
            for path in sorted(out.glob(f"runs/{row}-*/{row}/scenes.json"))
        ]
        cells[row] = spread(found)
    if "–" in cells.values():
        return []
    classes = ", ".join((out / "holdout.txt").read_text(encoding="utf-8").split("\n")).rstrip(", ")
    return [f"Held-out classes ({classes}), top-1: {cells['unseen']} unread, {cells['curriculum']} read.", ""]


def told_time(out: Path) -> str:
    rates = []
    for log in out.glob("runs/*/model/log.jsonl"):
        rates += [json.loads(line)["samples_per_s"] for line in log.read_text(encoding="utf-8").splitlines()]
    return f"{sorted(rates)[len(rates) // 2]:.0f} samples/s in the median step" if rates else "no step was taken"


def bars(figures: Figures, column: str) -> str:
    """Draw a bar a row, with the interval over seeds as a line, as an SVG that follows no font of its own."""
    rows = [(row, list(found[column].values())) for row, found in figures.items() if column in found]
    full = max([1e-9, *(mean(values) for _, values in rows)]) * 1.25
    tall = 24 * len(rows) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {tall}" font-family="sans-serif" font-size="12">'
        f'<rect width="640" height="{tall}" fill="white"/>'
    ]
    for number, (row, values) in enumerate(rows):
        y, middle = 24 * number + 4, mean(values)
        x = 150 + 440 * middle / full
        parts.append(f'<text x="142" y="{y + 15}" text-anchor="end">{row}</text>')
        parts.append(f'<rect x="150" y="{y + 3}" width="{x - 150:.1f}" height="16" fill="#4a7fb0"/>')
        half = half_width(values)
        if math.isfinite(half):
            low, high = (150 + 440 * min(max(v, 0), full) / full for v in (middle - half, middle + half))
            parts.append(f'<path d="M{low:.1f} {y + 11}H{high:.1f}" stroke="#222" stroke-width="2"/>')
        parts.append(f'<text x="600" y="{y + 15}">{middle:.1f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
