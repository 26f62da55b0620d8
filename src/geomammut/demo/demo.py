"""The verb `demo`: the whole recipe in miniature, by the public verbs alone, on a place that it makes."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from geomammut.demo.place import make_place
from geomammut.demo.report import write_report
from geomammut.errors import UserError
from geomammut.evaluation.classification import eval_classification
from geomammut.evaluation.images import image_files
from geomammut.evaluation.masks import read_mask, read_mask_classes
from geomammut.evaluation.retrieval import eval_retrieval
from geomammut.evaluation.segmentation import eval_segmentation
from geomammut.files import write_json
from geomammut.landmarks.table import landmarks
from geomammut.localization.heatmaps import heatmap
from geomammut.localization.rounds import LocalizeRecipe, localize
from geomammut.localization.segments import segment
from geomammut.pairs.landmarks import pairs_landmarks
from geomammut.pairs.web import pairs_web
from geomammut.progress import console
from geomammut.training.recipe import Recipe, read_recipe
from geomammut.training.trainer import train

CHIP_PX, GSD_M = 128, 1.0
WINDOW = 1  # radius, in patches, of the Smooth-Attention maps
SHOWN_WINDOWS = 4  # held-out windows whose masks the report shows
# What heatmaps show, each on the held-out window that has most of its class.
HEATMAPS = {"storage tanks": "storage tank", "a runway": "runway", "a solar farm": "solar panels", "a lake": "water"}
HERE = Path(__file__).parent


def demo(out: Path = Path("demo"), *, minutes: float = 5.0, seed: int = 0) -> Path:
    """Make a place, run every part of the recipe on it, and write `out/report.html` and `out/metrics.json`.

    A step whose output stands in `out` is not run again, so that a demo that was killed goes on.

    Args:
        out: Folder of everything that the demo makes.
        minutes: About how long training may take on two cores. It sets the number of samples, not a
            clock, so that the result is the same on every run.
        seed: Of the place and of the training.

    Raises:
        UserError: `out` was begun with other settings.
    """
    if not minutes > 0:
        raise UserError(f"--minutes {minutes} must be above 0")
    _keep_settings(out, {"minutes": minutes, "seed": seed})
    demonstration = _Demonstration(out, minutes / 5.0, seed)
    demonstration.run()
    console.print(f"report: {out / 'report.html'}")
    return out / "report.html"


def _keep_settings(out: Path, settings: dict[str, Any]) -> None:
    path = out / "demo.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise UserError(f"{out} holds a demo of other settings ({path}); choose another --out or remove it")
    write_json(path, settings)


class _Demonstration:
    """The steps, each a verb and the file or folder that it makes under `out`."""

    def __init__(self, out: Path, scale: float, seed: int) -> None:
        self.out = out
        self.scale = scale
        self.seed = seed
        self.place = out / "place"
        self.model = out / "model"
        self.localized = out / "localized"
        self.worked = False  # whether a step was run
        self.seconds: dict[str, float] = {}
        if (out / "seconds.json").exists():
            self.seconds = json.loads((out / "seconds.json").read_text(encoding="utf-8"))

    def run(self) -> None:
        """Run every step whose output is not there yet."""
        self._step("place", self.place, lambda: make_place(self.place, seed=self.seed))
        self._pairs()
        self._train()
        self._measure()
        self._localize()
        self._draw()
        if self.worked:  # an older report would tell of older files
            (self.out / "report.html").unlink(missing_ok=True)
        self._step("report", self.out / "report.html", lambda: write_report(self.out, self.seconds))

    def _step(self, name: str, made: Path, work: Callable[[], Any]) -> None:
        if made.exists():
            return
        console.rule(name, align="left")
        started = time.perf_counter()
        work()
        self.worked = True
        self.seconds[name] = round(time.perf_counter() - started, 1)
        write_json(self.out / "seconds.json", self.seconds)

    def _pairs(self) -> None:
        table = self.out / "landmarks.parquet"
        self._step("landmarks", table, lambda: landmarks(self.place / "map.osm.pbf", table))
        for name in ("train", "heldout"):
            folder, area = self.out / "pairs" / name, self.place / f"{name}.geojson"
            self._step(
                f"{name} pairs",
                folder,
                partial(
                    pairs_landmarks,
                    [self.place / "mosaic.tif"],
                    table,
                    folder,
                    size=CHIP_PX,
                    gsd=GSD_M,
                    area=area,
                    seed=self.seed,
                ),
            )
        web = self.out / "pairs" / "web"
        self._step("web pairs", web, lambda: pairs_web([self.place / "web" / "table.csv"], web, seed=self.seed))

    def _train(self) -> None:
        stages = read_recipe(HERE / "recipe.toml", Recipe).stages
        overrides = [
            f"pairs.{name}={self.out / 'pairs' / kind}" for name, kind in (("web", "web"), ("landmarks", "train"))
        ]
        for number, stage in enumerate(stages):
            overrides.append(f"stages.{number}.samples={self._samples(stage.samples)}")
        self._step(
            "train",
            self.model / "model.safetensors",
            lambda: train(HERE / "recipe.toml", self.model, resume=True, overrides=overrides, seed=self.seed),
        )

    def _samples(self, samples: int) -> int:
        return max(64, round(samples * self.scale))

    def _measure(self) -> None:
        heldout = self.out / "pairs" / "heldout"
        for stage in ("start", "web", "landmarks", "mix"):
            made = self._result(f"retrieval-{stage}")
            model = str(self.model / "stages" / stage)
            self._step(
                f"retrieval after {stage}",
                made,
                partial(eval_retrieval, model, made, pairs=heldout, seed=self.seed),
            )
        made = self._result("classification")
        scenes = self.place / "heldout" / "scenes"
        self._step(
            "classification",
            made,
            lambda: eval_classification(str(self.model), scenes, made, seed=self.seed),
        )
        self._segmentation("attention", self.model, method="attention")
        self._segmentation("sao", self.model, method="sao")

    def _segmentation(self, name: str, model: Path, method: Any) -> None:
        made = self._result(f"segmentation-{name}")
        heldout = self.place / "heldout"
        self._step(
            f"segmentation, {name}",
            made,
            lambda: eval_segmentation(
                str(model),
                heldout / "images",
                made,
                masks=heldout / "masks",
                classes=self.place / "classes.json",
                window=WINDOW,
                method=method,
                seed=self.seed,
            ),
        )

    def _result(self, name: str) -> Path:
        return self.out / "results" / f"{name}.json"

    def _localize(self) -> None:
        samples = read_recipe(HERE / "localize.toml", LocalizeRecipe).samples
        overrides = [
            f"start_from={self.model}",
            f"pairs={self.out / 'pairs' / 'train'}",
            f"heldout={self.out / 'pairs' / 'heldout'}",
            f"samples={self._samples(samples)}",
        ]
        self._step(
            "localize",
            self.localized / "model.safetensors",
            lambda: localize(HERE / "localize.toml", self.localized, resume=True, overrides=overrides, seed=self.seed),
        )
        made = self._result("retrieval-round")
        heldout = self.out / "pairs" / "heldout"
        self._step(
            "retrieval after the round",
            made,
            lambda: eval_retrieval(str(self.localized), made, pairs=heldout, seed=self.seed),
        )
        self._segmentation("round", self.localized, method="sao")

    def _draw(self) -> None:
        classes = read_mask_classes(self.place / "classes.json")
        words = ", ".join("|".join(prompts) for prompts in classes.prompts)
        images = image_files(self.place / "heldout" / "images")
        for image in images[:: max(1, len(images) // SHOWN_WINDOWS)][:SHOWN_WINDOWS]:
            for name, model in (("sao", self.model), ("round", self.localized)):
                made = self.out / "masks" / f"{image.stem}-{name}.tif"
                polygons = made.with_suffix(".geojson")
                self._step(
                    f"segment {image.stem}, {name}",
                    made,
                    partial(segment, str(model), image, words, made, geojson=polygons, window=WINDOW),
                )
        truths = {image: read_mask(self._mask_of(image), classes) for image in images}
        for text, name in HEATMAPS.items():
            shown = classes.names.index(name)
            image = max(images, key=lambda image: int((truths[image] == shown).sum()))
            made = self.out / "heatmaps" / f"{image.stem}-{text.replace(' ', '-')}.png"
            self._step(
                f"heatmap {text}",
                made,
                partial(heatmap, str(self.localized), image, text, made, window=WINDOW),
            )

    def _mask_of(self, image: Path) -> Path:
        return self.place / "heldout" / "masks" / f"{image.stem}.tif"
