"""The report on what came of it: training, search, names, heatmaps, masks, and the pseudo-label round."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from geomammut.demo.report_answers import MaskRow, mask_rows, search
from geomammut.demo.report_charts import Stage, bars, loss_chart
from geomammut.demo.report_metrics import MASKS, STAGES, read_json, read_pairs
from geomammut.demo.report_pictures import (
    IGNORED_COLOUR,
    class_palette,
    css_colour,
    encoded_uri,
    jpeg_uri,
    legend,
    mask_picture,
    png_uri,
)
from geomammut.evaluation.images import image_files, read_pixels
from geomammut.evaluation.masks import IGNORED, MaskClasses
from geomammut.markup import Html, figure, grid, percent, picture, section, table, tag
from geomammut.model.interface import VisionLanguageModel
from geomammut.pictures import open_picture

STAGE_TITLES = {
    "start": "Random model",
    "web": "After web pairs",
    "landmarks": "After landmark pairs",
    "mix": "After the mix",
    "round": "After the pseudo-label round",
}
MASK_TITLES = {
    "attention": "Raw attention",
    "sao": "Smooth attention",
    "round": "Smooth attention after the round",
}
RECALLS = (*(f"{way}_r{k}" for way in ("t2i", "i2t") for k in (1, 5, 10)), "mR")
LOSSES = {"contrastive": "Contrastive loss", "caption": "Caption loss", "extra": "Region loss of the round"}


def losses_section(out: Path) -> Html | None:
    """Return the loss curves of training and of the round."""
    logs = [out / "model" / "log.jsonl", *sorted((out / "localized").glob("round-*/log.jsonl"))]
    records = [json.loads(line) for log in logs if log.is_file() for line in log.read_text().splitlines()]
    if not records:
        return None
    runs = [(name, list(steps)) for name, steps in groupby(records, key=lambda record: str(record["name"]))]
    charts = []
    for key, title in LOSSES.items():
        stages, seen = [], 0.0
        for name, steps in runs:
            if all(key in step for step in steps):
                samples = [seen := seen + step["samples"] for step in steps]
                stages.append(Stage(name.replace("-", " "), samples, [step[key] for step in steps]))
        if stages:
            charts.append(figure(loss_chart(title, stages), tag("strong", title)))
    lead = (
        "Every step faint, their running mean firm, stages shaded in turn. A stage draws from other pairs "
        "than the one before it, so that steps up at a border are no surprise."
    )
    return section("training", "Training", lead, grid(charts, "charts"))


def recalls_section(metrics: dict[str, Any]) -> Html | None:
    """Return the recall table: chance, a random model, and the model after each stage."""
    retrieval, chance = metrics["retrieval"], metrics["chance"]
    if not retrieval:
        return None
    rows: list[list[object]] = []
    if "mR" in chance:
        rows.append(["Chance", *(percent(chance[name]) for name in RECALLS)])
    best = {name: max(some[name] for some in retrieval.values()) for name in RECALLS}
    for stage in STAGES:
        if stage in retrieval:
            some = retrieval[stage]
            cells = [
                tag("strong", percent(some[name])) if some[name] == best[name] else percent(some[name])
                for name in RECALLS
            ]
            rows.append([STAGE_TITLES[stage], *cells])
    counts = metrics["counts"]
    lead = (
        f"Held-out chips: {counts.get('heldout_pairs', 0):,} images with "
        f"{counts.get('heldout_captions', 0):,} captions. Recall@k is the share of queries, in percent, "
        "whose right answer is among the first k; mR is the mean of the six. Many chips look alike and "
        "captions repeat, so that even a perfect reader could not reach 100."
    )
    heads = [*(f"Text → image R@{k}" for k in (1, 5, 10)), *(f"Image → text R@{k}" for k in (1, 5, 10))]
    return section("recall", "Finding images by words, and words by images", lead, table(["", *heads, "mR"], rows))


def search_section(out: Path, model: VisionLanguageModel | None) -> Html | None:
    """Return text → image results as pictures."""
    heldout = read_pairs(out / "pairs" / "heldout")
    if model is None or heldout is None:
        return None
    blocks = []
    for answer in search(model, heldout):
        chips = [
            figure(
                picture(encoded_uri(found.jpeg), found.caption, 128, 128, "chip"),
                f"{found.score:.2f} ".replace("-", "−"),
                tag("span", "✓", title="its own caption or landmarks say so", class_="hit") if found.stated else None,
            )
            for found in answer.found
        ]
        told = f"{answer.stating:,} of {len(heldout):,} chips have it by their captions"
        heading = tag("h3", f"“{answer.query}” ", tag("small", told))
        blocks.append(tag("div", heading, grid(chips, "chips-5"), class_="query"))
    lead = (
        "The five held-out chips that fit each sentence best, of all held-out ones, by the model after the "
        "mix. Under each chip is its cosine; a tick says that the chip's own caption or landmarks, which "
        "the model is not shown, name the thing."
    )
    return section("search", "Search", lead, *blocks)


def classes_section(out: Path, metrics: dict[str, Any]) -> Html | None:
    """Return the accuracy of each scene class."""
    results = read_json(out / "results" / "classification.json")
    if not results:
        return None
    ranked = sorted(results["per_class"].items(), key=lambda item: (-item[1], item[0]))
    rows = [(name.replace("_", " "), value, percent(value, 0)) for name, value in ranked]
    found = results["metrics"]
    counts = results["counts"]
    lead = (
        f"{counts['images']:,} held-out scenes of {counts['classes']} classes, named without training for "
        f"it: the class whose sentence fits best. Top-1 {percent(found['top1'])} %, top-5 "
        f"{percent(found['top5'])} %. Bars are the share of each class named right, in percent; the thin "
        "line is chance."
    )
    return section("classes", "Naming scenes", lead, bars(rows, 100.0, metrics["chance"]["top1"]))


def heatmaps_section(out: Path) -> Html | None:
    """Return the heatmaps beside their image."""
    heatmaps = image_files(out / "heatmaps") if (out / "heatmaps").is_dir() else []
    if not heatmaps:
        return None
    images = out / "place" / "heldout" / "images"
    stands = {path.stem: path for path in image_files(images)} if images.is_dir() else {}
    pictures = []
    for path in heatmaps:
        stem, _, text = path.stem.partition("-")
        shown = [(f"“{text.replace('-', ' ')}”", open_picture(path))]
        if stem in stands:
            shown.insert(0, (f"window {stem}", Image.fromarray(read_pixels(stands[stem]))))
        for title, image in shown:
            image.thumbnail((512, 512), Image.Resampling.LANCZOS)
            pictures.append(figure(picture(jpeg_uri(image), title, image.width, image.height), title))
    lead = (
        "Where in a held-out image a text fits, by smooth attention. Dark is cold, yellow is hot; each map "
        "runs from its own coldest to its own hottest, so that it shows where, not how much."
    )
    return section("heatmaps", "Heatmaps", lead, grid(pictures, "chips-4"))


def masks_section(out: Path, model: VisionLanguageModel | None) -> Html | None:
    """Return masks beside the truth, and their IoU."""
    rows, classes = mask_rows(out, model)
    results = {name: read_json(out / "results" / f"segmentation-{name}.json") for name in MASKS}
    measured = {name: result for name, result in results.items() if result}
    body = []
    if classes is not None and rows:
        body += [_mask_legend(rows, classes), *[_mask_row(row, classes) for row in rows]]
    if measured:
        body.append(_iou_table(measured))
    if not body:
        return None
    lead = (
        "Each pixel of a held-out window goes to the class whose words fit it best; no mask was ever "
        "trained on. Raw attention is what the last cross-attention block looks at when it reads the "
        "class's name, the baseline."
    )
    return section("masks", "Masks by words", lead, *body)


def _mask_legend(rows: list[MaskRow], classes: MaskClasses) -> Html:
    palette = class_palette(classes.names)
    used = {int(index) for row in rows for mask in (row.truth, *row.answers.values()) for index in set(mask.flat)}
    shown = [(classes.names[index], palette[index]) for index in range(len(palette)) if index in used]
    if IGNORED in used:
        shown.append(("not counted", IGNORED_COLOUR))
    return legend([name for name, _ in shown], [css_colour(colour) for _, colour in shown])


def _mask_row(row: MaskRow, classes: MaskClasses) -> Html:
    palette = class_palette(classes.names)
    height, width = row.truth.shape
    cells = [figure(picture(jpeg_uri(Image.fromarray(row.pixels)), f"window {row.stem}", width, height), "Image")]
    titles = {"truth": "Truth"} | MASK_TITLES
    for name, mask in {"truth": row.truth, **row.answers}.items():
        uri = png_uri(mask_picture(mask, palette))
        cells.append(figure(picture(uri, f"{titles[name]}, window {row.stem}", width, height), titles[name]))
    return grid(cells, "masks")


def _iou_table(measured: dict[str, Any]) -> Html:
    first = next(iter(measured.values()))
    pixels = {name: sum(row) for name, row in zip(first["per_class"], first["confusion"], strict=True)}
    total = sum(pixels.values())
    mean = [tag("strong", percent(result["metrics"]["miou"])) for result in measured.values()]
    rows: list[list[object]] = [[tag("strong", "Mean over classes (mIoU)"), "", *mean]]
    rows.append(
        [
            "Pixels given their class",
            "",
            *(percent(result["metrics"]["pixel_accuracy"]) for result in measured.values()),
        ]
    )
    for name in sorted(pixels, key=lambda key: -pixels[key]):
        values = [result["per_class"].get(name) for result in measured.values()]
        rows.append([name, percent(100 * pixels[name] / total), *(percent(value) for value in values)])
    head = ["IoU in percent", "Share of pixels", *(MASK_TITLES[name] for name in measured)]
    counts = first["counts"]
    told = f"{counts['images']} held-out windows, {counts['classes']} classes; a dash: none of them holds it."
    return table(head, rows, caption=told)


def round_section(out: Path, metrics: dict[str, Any]) -> Html | None:
    """Return what the pseudo-label round reported."""
    rounds = metrics["rounds"]
    if not rounds:
        return None
    names = {"agreement": "Agreement", "coverage": "Patches with a label", "mR": "mR, one caption an image"}
    rows = [
        ["The teacher" if report["round"] == 0 else f"Student of round {report['round']}"]
        + [percent(report.get(name)) for name in names]
        for report in rounds
    ]
    kept = len(rounds) > 1 and rounds[-1]["kept"]
    verdict = (
        "Agreement rose, so the student became the teacher."
        if kept
        else "Agreement did not rise, or retrieval fell by more than a point, so the student was not kept and the "
        "model is the one before the round."
    )
    lead = (
        "The model marks, in its training images, where the landmarks that each caption states are; a "
        "student, begun anew, learns these regions beside the image-level losses. Agreement is judged on "
        "held-out pairs without any mask: how many of the phrases that an image states are among those that "
        "the model finds in it, in percent, the mean over phrases. " + verdict
    )
    phrases = (read_json(out / "localized" / "rounds.json") or {}).get("phrases", [])
    details = tag("details", tag("summary", f"The {len(phrases)} phrases"), tag("p", ", ".join(phrases)))
    return section("round", "A round of pseudo-labels", lead, table(["", *names.values()], rows), details)
