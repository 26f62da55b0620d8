"""The demo's report: one page that shows what was made and how good it is, and `metrics.json` beside it."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from geomammut import __version__
from geomammut.demo.report_charts import bars
from geomammut.demo.report_made import funnels_section, map_section, samples_section
from geomammut.demo.report_metrics import gather_metrics
from geomammut.demo.report_results import (
    classes_section,
    heatmaps_section,
    losses_section,
    masks_section,
    recalls_section,
    round_section,
    search_section,
)
from geomammut.files import whole_file, write_json
from geomammut.markup import Html, section, tag
from geomammut.model.load import load_model

HERE = Path(__file__).parent
COMMANDS = (
    ("What can be seen from above, from your map", "geomammut landmarks map.osm.pbf -o landmarks.parquet"),
    (
        "Chips of your imagery, with captions of what is in them",
        "geomammut pairs landmarks --imagery mosaic.tif --landmarks landmarks.parquet -o pairs --size 128",
    ),
    (
        "A model of your own",
        "geomammut train recipes/landmarks_small.toml -o model --set pairs.landmarks=pairs",
    ),
    (
        "Where a thing is",
        'geomammut heatmap --model model mosaic.tif --text "boats in a marina" -o marina.tif',
    ),
    (
        "Masks by words",
        'geomammut segment --model model mosaic.tif --classes "building, road, water"'
        " -o mask.tif --geojson mask.geojson",
    ),
)


def write_report(out: Path, seconds: dict[str, float]) -> None:
    """Write `out/metrics.json` and `out/report.html` from what the demo left in `out`.

    The page is one file that needs no other. A part of it whose files are missing is left out.

    Args:
        out: The demo's folder.
        seconds: How long each step took, by its name.
    """
    metrics = gather_metrics(out, seconds)
    write_json(out / "metrics.json", metrics)
    model = load_model(str(out / "model")) if (out / "model" / "model.safetensors").is_file() else None
    sections = [
        map_section(out, metrics),
        samples_section(out),
        funnels_section(out),
        losses_section(out),
        recalls_section(metrics),
        search_section(out, model),
        classes_section(out, metrics),
        heatmaps_section(out),
        masks_section(out, model),
        round_section(out, metrics),
        _times(seconds),
        _commands(),
    ]
    page = Template((HERE / "report_page.html").read_text(encoding="utf-8")).substitute(
        style=(HERE / "report_page.css").read_text(encoding="utf-8"),
        headline=_headline(metrics),
        sections="\n".join(part for part in sections if part),
        version=escape(__version__),
        settings=escape(_settings(metrics["settings"])),
    )
    with whole_file(out / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")


def _settings(settings: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in (settings or {}).items())


def _headline(metrics: dict[str, Any]) -> Html:
    """Return the few figures that sum the demo up."""
    cards = []
    trained, chance = metrics["retrieval"].get("mix"), metrics["chance"]
    for way, title in (("t2i", "Text → image, recall@10"), ("i2t", "Image → text, recall@10")):
        if trained and chance.get(f"{way}_r10"):
            value, by_chance = trained[f"{way}_r10"], chance[f"{way}_r10"]
            told = f"{value / by_chance:.1f} times chance, which is {by_chance:.1f} %"
            cards.append(_card(title, f"{value:.1f} %", told))
    mious = {name: some["miou"] for name, some in metrics["segmentation"].items()}
    if "sao" in mious:
        before = f"raw attention {mious['attention']:.1f} % → " if "attention" in mious else ""
        after = f" → after the round {mious['round']:.1f} %" if "round" in mious else ""
        value = mious["round" if "round" in mious else "sao"]
        cards.append(
            _card(
                "Masks by words, mIoU",
                f"{value:.1f} %",
                f"{before}smooth attention {mious['sao']:.1f} %{after}",
            )
        )
    if metrics["classification"]:
        value, by_chance = metrics["classification"]["top1"], chance["top1"]
        classes = metrics["counts"]["scene_classes"]
        told = f"chance {by_chance:.1f} % ({classes} classes)"
        cards.append(_card("Scenes named right, top-1", f"{value:.1f} %", told))
    return tag("div", *cards, class_="headline") if cards else Html()


def _card(title: str, value: str, told: str) -> Html:
    return tag("div", tag("h3", title), tag("p", value, class_="figure"), tag("p", told), class_="card")


def _times(seconds: dict[str, float]) -> Html | None:
    if not seconds:
        return None
    groups: dict[str, float] = {}
    for name, value in seconds.items():
        group = {"heatmap": "heatmaps", "segment": "masks"}.get(name.split()[0], name)
        groups[group] = groups.get(group, 0.0) + value
    rows = [(name, value, f"{value:,.1f} s") for name, value in groups.items()]
    total = sum(groups.values())
    lead = f"{total / 60:.1f} minutes in all, the drawing of this page not counted."
    return section("times", "How long it took", lead, bars(rows, max(groups.values())))


def _commands() -> Html:
    steps = [tag("li", told, tag("pre", tag("code", command))) for told, command in COMMANDS]
    lead = (
        "The demo ran the same commands that you would. An OpenStreetMap extract and a georeferenced RGB "
        "mosaic of the same ground are enough to begin."
    )
    return section("yours", "Your own map and imagery", lead, tag("ol", *steps, class_="commands"))
