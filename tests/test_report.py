"""The demo's report: what it says, that it stands alone, and that the map's names cannot harm it."""

import html.parser
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer
from shapely.geometry import box, mapping

from geomammut.demo.report import write_report
from geomammut.demo.report_charts import round_ticks, smoothed
from geomammut.demo.report_made import telling_pairs
from geomammut.demo.report_metrics import miou_chance, recall_chance
from geomammut.demo.report_pictures import class_palette, mask_picture, svg_path
from geomammut.evaluation.classification import eval_classification
from geomammut.evaluation.retrieval import eval_retrieval
from geomammut.evaluation.segmentation import IGNORED, eval_segmentation
from geomammut.files import content_id, write_json
from geomammut.localization.heatmaps import heatmap
from geomammut.localization.segments import segment
from geomammut.markup import Html, markup, tag
from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
from geomammut.model.load import save_model
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import Tokenizer
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set

SIDE, CHIP = 256, 32
HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/x.png>\"'&"
KINDS = {
    "storage tank": (236, 236, 244),
    "golf course": (160, 220, 90),
    "river": (40, 110, 200),
    "house": (178, 34, 52),
}
CLASSES = {"water": (40, 110, 200), "building": (178, 34, 52), "grass": (132, 196, 92)}


def paint(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    ground = rng.normal((110, 130, 80), 10, (SIDE, SIDE, 3))
    return ground.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves behind, in small: a real model with random weights, measured by the real verbs."""
    return make_demo_folder(tmp_path_factory.mktemp("report") / "demo")


def make_demo_folder(out: Path) -> Path:
    rng = np.random.default_rng(0)
    place = out / "place"
    (place / "heldout" / "images").mkdir(parents=True)
    pixels = paint(rng)
    transform = rasterio.transform.from_origin(500_000, 5_300_000, 1, 1)
    to_earth = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)

    def on_earth(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
        placed = shapely.transform(
            box(500_000 + left, 5_300_000 - bottom, 500_000 + right, 5_300_000 - top),
            lambda xy: np.column_stack(to_earth.transform(xy[:, 0], xy[:, 1])),
        )
        return dict(mapping(placed))

    captions = []
    for name, left, right in (("train", 0, 160), ("heldout", 160, SIDE)):
        area = {"type": "Feature", "properties": {}, "geometry": on_earth(left, 0, right, SIDE)}
        write_json(place / f"{name}.geojson", {"type": "FeatureCollection", "features": [area]})
        pairs = []
        for number, (x, y) in enumerate(
            (x, y) for y in range(0, SIDE, CHIP) for x in range(left, right - CHIP + 1, CHIP)
        ):
            kind = list(KINDS)[number % len(KINDS)]
            spot = (x + 8 + number % 5, y + 6, x + 24, y + 22)
            pixels[spot[1] : spot[3], spot[0] : spot[2]] = KINDS[kind]
            jpeg = encoded(pixels[y : y + CHIP, x : x + CHIP])
            outline = mapping(box(spot[0] - x, 6, 24, 22))
            landmark = {"landmark_id": f"w{number}", "category": kind, "phrase": kind, "name": HOSTILE}
            own = (f"A {kind} in the centre, number {number}.", f"An aerial image of a {kind}.")
            captions += own
            pairs.append(
                Pair(
                    id=content_id(jpeg, str(number)),
                    captions=own if number else (f"A {kind} {HOSTILE}",),
                    jpeg=jpeg,
                    width=CHIP,
                    height=CHIP,
                    source="landmarks",
                    landmarks=({**landmark, "area_share": 0.2, "outline": outline},),
                    footprint=on_earth(x, y, x + CHIP, y + CHIP),
                )
            )
        funnel = Funnel()
        funnel.step("chips", 80, len(pairs), {HOSTILE: 80 - len(pairs)})
        write_pair_set(out / "pairs" / name, pairs, funnel=funnel, card="Chips")
    web = [
        Pair(
            id=content_id(str(n)),
            captions=(f"{HOSTILE} {n}",),
            jpeg=encoded(pixels[:64, :96]),
            width=96,
            height=64,
            source="web",
        )
        for n in range(3)
    ]
    write_pair_set(out / "pairs" / "web", web, funnel=Funnel(), card="Web")
    decisions = {"alt_text": [HOSTILE, "a cat"], "stage": ["text", None], "reason": ["not aerial", None]}
    pq.write_table(pa.table(decisions), out / "pairs" / "web" / "decisions.parquet")
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    with rasterio.open(place / "mosaic.tif", "w", crs="EPSG:32633", transform=transform, **profile) as raster:
        raster.write(np.moveaxis(pixels, 2, 0))
    make_heldout(place, pixels, rng)
    write_landmarks(out / "landmarks.parquet")
    model = tiny_model(captions)
    save_model(model, out / "model")
    measure(out)
    write_logs(out)
    write_json(out / "demo.json", {"minutes": 0.1, "seed": 0})
    return out


def encoded(pixels: np.ndarray[Any, Any]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=90)
    return data.getvalue()


def make_heldout(place: Path, pixels: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    (place / "heldout" / "masks").mkdir()
    colours = np.array([(0, 0, 0), *CLASSES.values()], np.uint8)
    for number in range(4):
        truth = np.full((64, 64), 3, np.uint8)
        truth[:4], truth[10:40, 10:30], truth[20:60, 36:60] = 0, 1, 2
        seen = (colours[truth] * 0.7 + rng.integers(0, 60, (64, 64, 3))).astype(np.uint8)
        Image.fromarray(seen).save(place / "heldout" / "images" / f"w{number}.tif")
        Image.fromarray(truth).save(place / "heldout" / "masks" / f"w{number}.tif")
    entries = [
        {"name": name, "mask": value, "prompts": [name, f"some {name}"]} for value, name in enumerate(CLASSES, 1)
    ]
    write_json(place / "classes.json", {"classes": entries, "ignore": [0]})
    for kind in ("golf_course", "river", HOSTILE.replace("/", "")):
        folder = place / "heldout" / "scenes" / kind
        folder.mkdir(parents=True)
        for number in range(4):
            Image.fromarray(pixels[number * 32 : number * 32 + 32, :32]).save(folder / f"{number}.png")


def write_landmarks(path: Path) -> None:
    record = {"source": "map.osm.pbf", "seen": 900, "kept": 3, "dropped": {HOSTILE: 897}, "notes": []}
    table = pa.table({"landmark_id": ["w1", "w2", "w3"], "category": ["river", "river", HOSTILE]})
    pq.write_table(table.replace_schema_metadata({"geomammut": json.dumps(record)}), path)


def tiny_model(captions: list[str]) -> Mammut:
    torch.manual_seed(0)
    tokenizer = Tokenizer.train(captions, 280, 16)
    text = TextConfig(
        context_length=16,
        vocab_size=tokenizer.vocab_size,
        width=32,
        layers=2,
        heads=4,
        start_token=tokenizer.start,
        end_token=tokenizer.end,
    )
    vision = VisionConfig(image_size=32, patch_size=8, width=32, layers=1, heads=4)
    return Mammut(MammutConfig(vision=vision, text=text, tokenizer="tokenizer.json"), tokenizer).eval()


def measure(out: Path) -> None:
    model, results, heldout = str(out / "model"), out / "results", out / "place" / "heldout"
    for stage in ("start", "web", "landmarks", "mix", "round"):
        eval_retrieval(model, results / f"retrieval-{stage}.json", pairs=out / "pairs" / "heldout")
    eval_classification(model, heldout / "scenes", results / "classification.json")
    for name, method in (("attention", "attention"), ("sao", "sao"), ("round", "sao")):
        where = results / f"segmentation-{name}.json"
        classes = out / "place" / "classes.json"
        given = {"masks": heldout / "masks", "classes": classes, "method": method}
        eval_segmentation(model, heldout / "images", where, **given)  # type: ignore[arg-type]
    for stem in ("w0", "w2"):
        for name in ("sao", "round"):
            image = heldout / "images" / f"{stem}.tif"
            segment(model, image, ", ".join(CLASSES), out / "masks" / f"{stem}-{name}.tif")
    heatmap(model, heldout / "images" / "w0.tif", "a river", out / "heatmaps" / "w0-a-river.png")


def write_logs(out: Path) -> None:
    lines = []
    for stage, name in enumerate(("web", "landmarks", "mix")):
        for step in range(20):
            value = 4 - stage - step / 30 + 0.2 * math.sin(step * 7)
            lines.append(
                {
                    "stage": stage,
                    "name": name,
                    "step": step,
                    "samples": 64,
                    "contrastive": value,
                    "caption": 2 * value,
                }
            )
    (out / "model" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rounds = out / "localized" / "round-1"
    rounds.mkdir(parents=True)
    steps = [
        {
            "stage": 0,
            "name": "round-1",
            "step": n,
            "samples": 64,
            "contrastive": 1.0,
            "caption": 2.0,
            "extra": 3 / (n + 1),
        }
        for n in range(9)
    ]
    (rounds / "log.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    reports = [
        {"round": 0, "kept": True, "agreement": 40.0, "coverage": 30.0, "mR": 20.0},
        {"round": 1, "kept": True, "agreement": 48.5, "coverage": 31.0, "mR": 21.0},
    ]
    write_json(out / "localized" / "rounds.json", {"phrases": ["river", HOSTILE], "rounds": reports})


class Page(html.parser.HTMLParser):
    """Collects a page's elements and text, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in ("meta", "img", "br", "hr"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(demo_folder: Path) -> Page:
    write_report(demo_folder, {"place": 12.0, "train": 200.0, "segment w0, sao": 1.0, "segment w2, sao": 2.0})
    return Page((demo_folder / "report.html").read_text())


def test_the_page_shows_every_part(page: Page) -> None:
    anchors = [attributes["id"] for name, attributes in page.elements if name == "section"]
    assert anchors == "map pairs funnels training recall search classes heatmaps masks round times yours".split()
    assert page.open == []
    images = [attributes for name, attributes in page.elements if name in ("img", "image")]
    masks_and_windows = 2 * 5
    assert len(images) == 1 + 8 + 3 + 8 * 5 + 2 + masks_and_windows
    assert all(attributes.get("alt") for name, attributes in page.elements if name == "img")
    for words in (
        "Agreement rose",
        "48.5",
        "After the pseudo-label round",
        "geomammut landmarks map.osm.pbf",
        "3.6 minutes",
    ):
        assert words in page.text


def test_the_page_needs_no_other_file_and_runs_nothing(page: Page, demo_folder: Path) -> None:
    for name, attributes in page.elements:
        assert name not in ("script", "link", "iframe", "object", "base")
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            assert (attributes.get(key) or "data:image/").startswith("data:image/")
    assert "url(" not in (demo_folder / "report.html").read_text()


def test_hostile_names_stay_text(page: Page) -> None:
    assert page.text.count(HOSTILE) >= 5  # captions, alt-texts, reasons, phrases


def test_metrics_hold_what_was_measured(page: Page, demo_folder: Path) -> None:
    metrics = json.loads((demo_folder / "metrics.json").read_text())
    measured = json.loads((demo_folder / "results" / "retrieval-mix.json").read_text())
    assert metrics["retrieval"]["mix"] == measured["metrics"]
    images, texts = measured["counts"]["images"], measured["counts"]["texts"]
    assert (images, texts) == (metrics["counts"]["heldout_pairs"], metrics["counts"]["heldout_captions"])
    assert metrics["chance"]["t2i_r10"] == pytest.approx(100 * 10 / images, abs=1e-3)
    ratio = measured["metrics"]["t2i_r10"] / metrics["chance"]["t2i_r10"]
    assert metrics["r10_over_chance"]["t2i"] == pytest.approx(ratio, abs=1e-3)
    assert metrics["chance"]["top1"] == pytest.approx(100 / 3, abs=1e-3)
    mious = {name: some["miou"] for name, some in metrics["segmentation"].items()}
    assert metrics["sao_over_attention"] == pytest.approx(mious["sao"] / mious["attention"], abs=1e-3)
    assert metrics["rounds"][1]["agreement"] == 48.5
    assert metrics["settings"] == {"minutes": 0.1, "seed": 0}


def test_an_empty_folder_still_gives_a_page(tmp_path: Path) -> None:
    write_report(tmp_path, {})
    page = Page((tmp_path / "report.html").read_text())
    assert [attributes["id"] for name, attributes in page.elements if name == "section"] == ["yours"]
    assert json.loads((tmp_path / "metrics.json").read_text())["sao_over_attention"] is None


def test_a_round_that_did_not_help_is_called_so(tmp_path: Path) -> None:
    reports = [
        {"round": 0, "kept": True, "agreement": 40.0, "coverage": 3.0, "mR": 2.0},
        {"round": 1, "kept": False, "agreement": 39.0, "coverage": 3.0, "mR": 2.0},
    ]
    write_json(tmp_path / "localized" / "rounds.json", {"phrases": [], "rounds": reports})
    write_report(tmp_path, {})
    assert "was not kept" in Page((tmp_path / "report.html").read_text()).text


@given(st.lists(st.integers(1, 6), min_size=1, max_size=40), st.integers(0, 99))
def test_chance_of_a_random_ranking(captions: list[int], seed: int) -> None:
    chance = recall_chance(captions)
    assert all(0 < value <= 100 + 1e-9 for value in chance.values())
    texts = sum(captions)
    for k in (1, 5, 10):
        drawn = [
            1 - math.prod((max(0, texts - own - i) / (texts - i)) for i in range(min(k, texts))) for own in captions
        ]
        assert chance[f"i2t_r{k}"] == pytest.approx(100 * sum(drawn) / len(captions))
        assert chance[f"t2i_r{k}"] == pytest.approx(min(100, 100 * k / len(captions)))


def test_chance_of_throwing_dice_for_pixels() -> None:
    assert miou_chance([[5, 5], [0, 10]]) == pytest.approx(100 / 3)
    assert miou_chance([[10, 0], [0, 0]]) == pytest.approx(50)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_reach_around(low: float, span: float) -> None:
    high = low + span
    ticks = round_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step and ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= 8


def test_the_running_mean_of_a_constant_is_the_constant() -> None:
    assert smoothed([3.0] * 30) == pytest.approx([3.0] * 30)
    assert smoothed([0.0, 1.0])[1] == pytest.approx(1 / 1.9)


@settings(max_examples=40)
@given(st.text(), st.text())
def test_markup_shows_any_text_as_it_is(text: str, value: str) -> None:
    seen = Page(f"<!doctype html>{tag('p', text, title=value)}")
    assert seen.elements == [("p", {"title": value})]
    assert seen.text == text
    assert markup(Html("<b></b>"), [None, "<"]) == "<b></b>&lt;"


def test_outlines_of_every_kind_can_be_drawn() -> None:
    shapes = shapely.from_wkt(
        [
            "POINT (1 2)",
            "LINESTRING (0 0, 3 4)",
            "POLYGON ((0 0, 9 0, 9 9, 0 0), (1 1, 2 1, 2 2, 1 1))",
            "GEOMETRYCOLLECTION (POINT (1 1), MULTILINESTRING ((0 0, 1 1), (2 2, 3 3)))",
            "POLYGON EMPTY",
            "LINESTRING EMPTY",
        ]
    )
    paths = [svg_path(each) for each in shapes]
    assert paths[1] == "M0.0 0.0L3.0 4.0"
    assert paths[2].count("M") == paths[2].count("Z") == 2
    assert paths[3].count("M") == 3
    assert paths[4] == paths[5] == ""


def test_masks_have_their_classes_colours() -> None:
    palette = class_palette(["water", "something else"])
    drawn = np.array(mask_picture(np.array([[0, 1, IGNORED]]), palette).convert("RGB"))
    assert tuple(drawn[0, 0]) == palette[0] == CLASSES["water"]
    assert tuple(drawn[0, 1]) == palette[1]
    assert drawn[0, 2].tolist() == [128, 128, 128]


def test_samples_show_many_kinds() -> None:
    landmarks = [[{"category": "house", "area_share": 0.3}]] * 5 + [[{"category": "river", "area_share": 0.1}]]
    assert telling_pairs(landmarks, 2) == [0, 5]
    assert len(telling_pairs(landmarks, 99)) == 6
