"""The study: what each part of the recipe brings, at the size that a machine can train.

    make study                                                                   # two hours of a CPU core
    make study ARGS="--data DATA"                             # and the row `rsicd`, and four real benchmarks
    make study ARGS="--size small --samples 2000000 --side 15360 --places 8"     # a GPU

Places are made, each in a style of its own; the last is never trained on. Every row of recipes/study is trained with
the same number of samples, for each seed, and measured; tables and a figure go into docs/results.md and
docs/images/study.svg. Whatever stands under --out is not made again, so that a study that was killed goes on, and
seeds, rows and benchmarks can be added to one that ended. Another budget, writer or other places want another --out.
"""

import argparse
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "recipes" / "study"
LADDER = ("web", "landmarks", "curriculum", "mix")  # told first; the other rows are the curriculum but for one thing
ADDABLE = ("out", "rows", "results", "seeds", "data")  # to a study that was made
# Gamma and gain of red, green and blue: as it is, dry, hazy; and dusk, which is the unseen place's alone.
STYLES = (
    ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0)),
    ((0.85, 1.1), (0.95, 1.0), (1.1, 0.85)),
    ((0.7, 0.85), (0.7, 0.85), (0.7, 0.85)),
    ((1.5, 0.9), (1.4, 0.9), (1.2, 1.0)),
)


def main() -> None:
    options = parsed()
    settings = {k: str(v) for k, v in vars(options).items() if k not in ADDABLE}
    kept = options.out / "study.json"
    if kept.exists() and json.loads(kept.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"error: {options.out} holds a study of other settings ({kept}); choose another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    from geomammut.files import write_json

    write_json(kept, settings)
    make_places(options)
    make_pairs(options)
    for seed in options.seeds:
        for row in options.rows:
            train_row(options, row, seed)
    from study_tables import write_tables  # beside this file

    write_tables(options.out, options.results, settings)


def parsed() -> argparse.Namespace:
    rows = [path.stem for path in sorted(ROWS.glob("*.toml"))]
    rows = [*LADDER, *(row for row in rows if row not in (*LADDER, "rounds")), "rounds"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("study"))
    parser.add_argument("--samples", type=int, default=8_000, help="the budget of each row")
    parser.add_argument("--size", help="a named size of `geomammut.model.sizes`, instead of the recipes' own small one")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--places", type=int, default=2, help="to train on; one more is only measured on")
    parser.add_argument("--side", type=int, default=5760, help="of a place, metres")
    parser.add_argument("--data", type=Path, help="folder of real data, as in recipes/suite_small.toml")
    parser.add_argument("--writer", choices=["google", "openai"], help="who writes the captions of the row `written`")
    parser.add_argument("--writer-model")
    parser.add_argument("--rows", nargs="+", choices=rows, metavar="ROW", help=f"only these: {', '.join(rows)}")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args()
    from geomammut.demo.place.make import LEAST, MOST
    from geomammut.demo.place.plan import DISTRICT_M

    if options.side not in (sides := range(LEAST * DISTRICT_M, MOST * DISTRICT_M + 1, DISTRICT_M)):
        parser.error(f"--side {options.side}: give a multiple of {DISTRICT_M} from {sides[0]} to {sides[-1]}")
    needed = {"rsicd": ("--data", options.data), "written": ("--writer", options.writer)}
    for row in options.rows or []:
        if row in needed and not needed[row][1]:
            parser.error(f"the row {row} needs {needed[row][0]}")
    options.rows = options.rows or [row for row in rows if row not in needed or needed[row][1]]
    return options


def once(made: Path, work: Callable[[], Any]) -> None:
    """Do the work whose whole result is `made`, unless it is there."""
    if not made.exists():
        print(f"— {made}", flush=True)
        work()


def make_places(options: argparse.Namespace) -> None:
    from geomammut.demo.place import make_place

    for number in range(options.places + 1):
        place = options.out / "places" / str(number)
        style = STYLES[-1 if number == options.places else number % (len(STYLES) - 1)]

        def work(place: Path = place, style: Any = style, number: int = number) -> None:
            raw = place.with_name(f".{number}.raw")
            shutil.rmtree(raw, ignore_errors=True)
            restyle(make_place(raw, seed=1000 + number, side_m=options.side), style)
            raw.rename(place)

        once(place, work)


def restyle(place: Path, style: Any) -> None:
    """Give all of a place's pictures other tones."""
    import numpy as np
    import rasterio
    from PIL import Image

    tones = [np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 1, 255).astype(np.uint8) for gamma, gain in style]
    for path in (place / "mosaic.tif", *sorted((place / "heldout" / "images").glob("*.tif"))):
        with rasterio.open(path) as raster:
            profile, pixels = raster.profile, raster.read()
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(np.stack([tone[band] for tone, band in zip(tones, pixels, strict=True)]))
    for path in sorted((place / "heldout" / "scenes").rglob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        Image.fromarray(np.stack([tone[pixels[..., k]] for k, tone in enumerate(tones)], axis=-1)).save(path)


def make_pairs(options: argparse.Namespace) -> None:
    from geomammut.landmarks.table import landmarks
    from geomammut.pairs.benchmark import pairs_import
    from geomammut.pairs.landmarks import pairs_landmarks
    from geomammut.pairs.web import pairs_web

    pairs = options.out / "pairs"
    for number in range(options.places + 1):
        place, table = options.out / "places" / str(number), options.out / "places" / f"{number}.parquet"
        once(table, lambda place=place, table=table: landmarks(place / "map.osm.pbf", table))

        def cut(name: str, area: str, place: Path = place, table: Path = table, **writing: Any) -> None:
            out = pairs / name
            once(
                out,
                lambda: pairs_landmarks(
                    [place / "mosaic.tif"], table, out, size=96, gsd=1.0, area=place / f"{area}.geojson", **writing
                ),
            )

        cut(f"heldout-{number}", "heldout")
        if number < options.places:
            cut(f"landmarks-{number}", "train")
            if options.writer:
                cut(f"written-{number}", "train", writer=options.writer, model=options.writer_model)
            web = pairs / f"web-{number}"
            once(web, lambda place=place, web=web: pairs_web([place / "web" / "table.csv"], web, leakage_guard=False))
            derive(pairs, number, holdout(options))
    if options.data:
        source = options.data / "rsicd"
        once(
            pairs / "rsicd",
            lambda: pairs_import(source / "dataset_rsicd.json", source / "images", "train", pairs / "rsicd"),
        )


def holdout(options: argparse.Namespace) -> list[str]:
    """Every fifth class of the unseen place's scenes, by name; also written as the file of `eval classification`."""
    scenes = options.out / "places" / str(options.places) / "heldout" / "scenes"
    classes = sorted(folder.name for folder in scenes.iterdir())[2::5]
    (options.out / "holdout.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return classes


def derive(pairs: Path, number: int, classes: list[str]) -> None:
    """Make of the landmark pairs those with one caption each, and those that name none of `classes`."""
    from geomammut.pairs.pair_set import Funnel, Pair, PairSet, write_pair_set

    source = pairs / f"landmarks-{number}"
    words = {name.rstrip("s") for name in classes}

    def read() -> Iterator[Pair]:
        table = PairSet(source)
        for index, row in enumerate(table.table.to_pylist()):
            own = {key: row[key] for key in ("id", "width", "height", "source", "crs", "gsd_m", "acquired")}
            noted = {key: json.loads(row[key]) for key in ("provenance", "footprint")}
            yield Pair(
                **own,
                **noted,
                captions=tuple(row["captions"]),
                landmarks=tuple(json.loads(row["landmarks"])),
                jpeg=table.read_jpegs([index])[0],
            )

    def write(name: str, kept: Iterator[Pair]) -> None:
        write_pair_set(pairs / f"{name}-{number}", kept, funnel=Funnel(), card=f"# Of {source.name}: {name}\n")

    from dataclasses import replace

    once(
        pairs / f"plain-{number}",
        lambda: write("plain", (replace(pair, captions=pair.captions[:1]) for pair in read())),
    )
    once(
        pairs / f"unseen-{number}",
        lambda: write("unseen", (p for p in read() if not any(w in c.lower() for w in words for c in p.captions))),
    )


def train_row(options: argparse.Namespace, row: str, seed: int) -> None:
    """Train a row, if it is not, and measure it."""
    from geomammut.files import write_json
    from geomammut.localization.rounds import localize
    from geomammut.training.trainer import train

    run = options.out / "runs" / f"{row}-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    recipe = run / "row.json"
    values = tomllib.loads((ROWS / f"{row}.toml").read_text(encoding="utf-8"))
    if row == "rounds":
        values |= {
            "start_from": str(options.out / "runs" / f"curriculum-{seed}" / "model"),
            "pairs": str(options.out / "pairs" / "landmarks-0"),
            "heldout": str(options.out / "pairs" / "heldout-0"),
            "samples": max(options.batch, options.samples // 5),
            "batch_size": options.batch,
        }
        write_json(recipe, values)
        once(run / "model" / "model.safetensors", lambda: localize(recipe, run / "model", resume=True, seed=seed))
        for number in range(1, values["rounds"] + 1):
            if (run / "model" / f"round-{number}" / "model.safetensors").exists():
                measure(options, run / "model" / f"round-{number}", run / f"round {number}")
        return
    write_json(recipe, with_budget(options, values))
    once(run / "model" / "model.safetensors", lambda: train(recipe, run / "model", resume=True, seed=seed))
    measure(options, run / "model", run / row)
    if row == "curriculum":
        measure(options, run / "model" / "stages" / "start", run / "none")


def with_budget(options: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with the budget's samples, and every pair set as it is found in each place."""
    whole = sum(stage["samples"] for stage in values["stages"])
    homes = {}
    for name in values["pairs"]:
        numbers = [""] if name == "rsicd" else [f"-{number}" for number in range(options.places)]
        homes[name] = [f"{name}{number}" for number in numbers]
    stages = [
        stage
        | {
            "samples": max(options.batch, round(options.samples * stage["samples"] / whole)),
            "mix": {each: w / len(homes[name]) for name, w in stage["mix"].items() for each in homes[name]},
        }
        for stage in values["stages"]
    ]
    pairs = {each: str(options.out / "pairs" / each) for found in homes.values() for each in found}
    values |= {"stages": stages, "pairs": pairs, "batch_size": options.batch}
    if options.size:
        model = {"size": options.size, "vocab_size": values["model"]["vocab_size"]}
        if values["model"]["text"].get("causal_embedding"):
            from geomammut.model.sizes import text_of_size, vision_of_size

            text = text_of_size(options.size).model_dump() | {"causal_embedding": True}
            model = {
                "vision": vision_of_size(options.size).model_dump(),
                "text": text,
                "vocab_size": model["vocab_size"],
            }
        values["model"] = model
    return values


def measure(options: argparse.Namespace, model: Path, results: Path) -> None:
    """Write the results of a model into the folder `results`."""
    from geomammut.evaluation.classification import eval_classification
    from geomammut.evaluation.retrieval import eval_retrieval
    from geomammut.evaluation.segmentation import eval_segmentation

    name, last = str(model), options.places
    unseen = options.out / "places" / str(last)
    scenes, windows = unseen / "heldout" / "scenes", unseen / "heldout"

    def result(file: str, work: Callable[[Path], Any]) -> None:
        once(results / f"{file}.json", lambda: work(results / f"{file}.json"))

    heldout = options.out / "pairs"
    result("own", lambda out: eval_retrieval(name, out, pairs=heldout / "heldout-0"))
    result("unseen", lambda out: eval_retrieval(name, out, pairs=heldout / f"heldout-{last}"))
    result("scenes", lambda out: eval_classification(name, scenes, out, holdout=options.out / "holdout.txt"))
    result(
        "masks",
        lambda out: eval_segmentation(
            name, windows / "images", out, masks=windows / "masks", classes=unseen / "classes.json"
        ),
    )
    if options.data:
        rsicd = options.data / "rsicd"
        result(
            "rsicd",
            lambda out: eval_retrieval(
                name, out, annotations=rsicd / "dataset_rsicd.json", images=rsicd / "images", split="val"
            ),
        )
        for pack in ("ucm", "eurosat"):
            result(pack, lambda out, pack=pack: eval_classification(name, options.data / pack, out))
        dubai, classes = options.data / "dubai", ROOT / "recipes" / "dubai_classes.json"
        result(
            "dubai",
            lambda out: eval_segmentation(name, dubai / "images", out, masks=dubai / "masks", classes=classes),
        )


if __name__ == "__main__":
    from geomammut.errors import UserError

    try:
        main()
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
