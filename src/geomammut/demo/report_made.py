"""The report on what was made: the place, the pairs, and what became of everything else."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from geomammut.demo.report_charts import bars
from geomammut.demo.report_metrics import read_json, read_pairs
from geomammut.demo.report_pictures import OUTLINE_COLOURS, jpeg_uri, legend, outlined_chip, place_map
from geomammut.markup import Html, figure, grid, picture, section, table, tag
from geomammut.pairs.pair_set import PairSet

SAMPLES = 8  # of each kind of pairs
SAMPLE_OUTLINES = 4  # per chip; more hide it


def map_section(out: Path, metrics: dict[str, Any]) -> Html | None:
    """Return the mosaic with its areas and chips."""
    mosaic = out / "place" / "mosaic.tif"
    if not mosaic.is_file():
        return None
    areas = {name: out / "place" / f"{name}.geojson" for name in ("train", "heldout")}
    pairs = {name: pair_set for name in areas if (pair_set := read_pairs(out / "pairs" / name)) is not None}
    lead = (
        "The mosaic, one pixel a metre. Each small square is a chip that became a training or test image. "
        "Training uses only chips that lie wholly within the training areas; everything on this page that "
        "is called held-out lies wholly within the other ones."
    )
    counts = metrics["counts"]
    key = tag(
        "ul",
        *[
            tag("li", tag("i", class_=f"swatch {name}"), f"{title}: {counts.get(f'{name}_pairs', 0):,} chips")
            for name, title in (("train", "Training areas"), ("heldout", "Held-out areas"))
        ],
        class_="legend",
    )
    return section("map", "The place", lead, figure(place_map(mosaic, areas, pairs), key, class_="wide"))


def samples_section(out: Path) -> Html | None:
    """Return sample pairs of both kinds."""
    train, web = read_pairs(out / "pairs" / "train"), read_pairs(out / "pairs" / "web")
    body: list[object] = []
    if train is not None:
        chosen = telling_pairs(train.landmarks, SAMPLES)
        body += [
            tag("h3", "From the map"),
            grid([_landmark_sample(train, index) for index in chosen], "chips-4"),
        ]
    if web is not None:
        chosen = list(range(0, len(web), max(1, len(web) // SAMPLES)))[:SAMPLES]
        samples = [_web_sample(web, index) for index in chosen]
        body += [tag("h3", "From the web table"), grid(samples, "chips-4"), _dropped_rows(web.folder)]
    if not body:
        return None
    lead = (
        "Two kinds of training pairs. A chip of the mosaic gets captions written from the landmarks that "
        "the map has in it, outlined here; a picture of the web table keeps its alt-text."
    )
    return section("pairs", "Pairs of image and text", lead, *body)


def telling_pairs(landmarks: Sequence[Sequence[dict[str, Any]]], count: int) -> list[int]:
    """Return the indices of pairs that together show many kinds of landmarks, each as large as can be."""
    shown: Counter[str] = Counter()
    chosen: list[int] = []

    def worth(index: int) -> float:
        kinds = {str(each.get("category")): each for each in reversed(landmarks[index][:SAMPLE_OUTLINES])}
        sizes = {kind: min(float(each.get("area_share") or 0), 0.3) + 0.05 for kind, each in kinds.items()}
        return sum(size * 0.25 ** shown[kind] for kind, size in sizes.items())

    while len(chosen) < min(count, len(landmarks)):
        best = max((index for index in range(len(landmarks)) if index not in chosen), key=worth)
        chosen.append(best)
        shown.update({str(each.get("category")) for each in landmarks[best][:SAMPLE_OUTLINES]})
    return chosen


def _landmark_sample(pairs: PairSet, index: int) -> Html:
    row = pairs.table.slice(index, 1).to_pylist()[0]
    landmarks = [each for each in json.loads(row["landmarks"] or "[]") if each.get("outline")][:SAMPLE_OUTLINES]
    jpeg = pairs.read_jpegs([index])[0]
    outlines = [each["outline"] for each in landmarks]
    chip = outlined_chip(jpeg, row["width"], row["height"], row["captions"][0], outlines)
    phrases = [str(each.get("phrase") or each.get("category")) for each in landmarks]
    captions = [tag("p", caption) for caption in row["captions"][:2]]
    return figure(chip, legend(phrases, OUTLINE_COLOURS[: len(phrases)]), *captions)


def _web_sample(pairs: PairSet, index: int) -> Html:
    caption = pairs.captions[index][0]
    image = pairs.read_picture(index)
    image.thumbnail((320, 320), Image.Resampling.LANCZOS)
    shown = picture(jpeg_uri(image), caption, image.width, image.height, "chip")
    return figure(shown, tag("p", caption))


def _dropped_rows(web: Path) -> Html | None:
    """Return one dropped row of the web table for each reason, if it was kept on record."""
    if not (web / "decisions.parquet").is_file():
        return None
    rows = pq.read_table(web / "decisions.parquet", columns=["alt_text", "stage", "reason"]).to_pylist()
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["reason"]:
            first.setdefault(row["reason"], row)
    told = [[row["stage"], reason, (row["alt_text"] or "")[:90]] for reason, row in first.items()]
    if not told:
        return None
    head = ["Stage", "Why", "Alt-text of one such row"]
    return tag("details", tag("summary", "Rows of the web table that were not kept"), table(head, told, words=3))


def funnels_section(out: Path) -> Html | None:
    """Return what went into and out of each step."""
    body = []
    landmarks = out / "landmarks.parquet"
    if landmarks.is_file():
        record = json.loads((pq.read_schema(landmarks).metadata or {}).get(b"geomammut", b"{}"))
        kept = pq.read_metadata(landmarks).num_rows
        lost = record.get("dropped") or {}
        step = [
            "read the map",
            _count(record.get("seen", kept)),
            _count(record.get("kept", kept)),
            _reasons(lost),
        ]
        body.append(_funnel("Landmarks", [step]))
        found = Counter(pq.read_table(landmarks, columns=["category"])["category"].to_pylist()).most_common(12)
        rows = [(name.replace("_", " "), float(count), _count(count)) for name, count in found]
        body.append(tag("details", tag("summary", "The most frequent kinds of landmarks"), bars(rows, rows[0][1])))
    for name, title in (("train", "Training chips"), ("heldout", "Held-out chips"), ("web", "Web pairs")):
        funnel = read_json(out / "pairs" / name / "funnel.json")
        if funnel:
            steps = [
                [step["step"], _count(step["in"]), _count(step["out"]), _reasons(step["dropped"])]
                for step in funnel["steps"]
            ]
            body.append(_funnel(title, steps))
    lead = "What went into each step, what came out, and why the rest did not. Nothing is dropped silently."
    return section("funnels", "From everything to what is used", lead, *body) if body else None


def _funnel(title: str, steps: list[list[Any]]) -> Html:
    rows = [[tag("span", name), kept_in, kept_out, why] for name, kept_in, kept_out, why in steps]
    return tag("div", table([title, "In", "Out", "Not kept"], rows), class_="funnel")


def _reasons(dropped: dict[str, int]) -> Html:
    told = [f"{_count(count)} {reason}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1])]
    return tag("span", "; ".join(told), class_="why")


def _count(number: int) -> str:
    return f"{number:,}"
