"""Where things are, told by words: attention, values, self-attention, Smooth-Attention and rounds, in one table.

    .venv/bin/python benchmarks/localization.py --out runs/localization                          # from nothing
    .venv/bin/python benchmarks/localization.py --out runs/localization --demos runs/demo-0 runs/demo-1 runs/demo-2
    .venv/bin/python benchmarks/localization.py --out runs/localization --data DATA --rsicd-model runs/rsicd_small

The demo's places, one a seed: exact masks of held-out windows. `--demos` takes runs of `geomammut demo`, of which the
model before the rounds is used; without it three are made. With `--data` (a folder that holds `dubai` and
`rsicd`), MBRSC's images of Dubai, too, by a model trained on RSICD alone (`recipes/rsicd_small.toml`), whose rounds
run on RSICD's training captions. What stands in `--out` is not computed again.

No mask takes part in any choice: rounds are kept or dropped by held-out agreement and retrieval.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from localization_baselines import BASELINES
from numpy.typing import NDArray
from PIL import Image

from geomammut.demo.demo import demo
from geomammut.evaluation.intervals import bootstrap_intervals
from geomammut.evaluation.masked import read_mask_folders
from geomammut.evaluation.masks import MaskClasses, read_mask, read_mask_classes
from geomammut.evaluation.prompts import name_embeddings
from geomammut.evaluation.retrieval import eval_retrieval
from geomammut.evaluation.segmentation import class_scorer, count_confusion, segmentation_metrics
from geomammut.files import write_json
from geomammut.localization.rounds import localize
from geomammut.model.load import load_mammut
from geomammut.model.mammut import Mammut
from geomammut.model.score_maps import PatchScorer, score_strips
from geomammut.pairs.benchmark import pairs_import
from geomammut.progress import track
from geomammut.training.trainer import train

HERE = Path(__file__).resolve().parent.parent
SEEDS = (0, 1, 2)
ROUNDS = 2  # at most, on the demo's places
WINDOWS: tuple[int | tuple[int, ...], ...] = (0, 1, 2, 3, (0, 1, 2))
SHOWN_WINDOW = 1  # of which the rounds' teachers make their maps

Confusions = NDArray[np.int64]  # [N images, C, C]
Scales = tuple[float, ...]


@dataclass(frozen=True)
class Masked:
    """Images with their masks, and where results about them are kept."""

    folder: Path
    images: Path
    masks: Path
    classes: MaskClasses

    def confusions(self, name: str, make: Callable[[], PatchScorer], model: Mammut, scales: Scales) -> Confusions:
        """Return each image's confusion of pixels [N, C, C] by the method `name`, measured once."""
        kept = self.folder / f"{name}.json"
        if not kept.exists():
            found, score = read_mask_folders(self.images, self.masks), make()
            counted = []
            for index in track(range(len(found.names)), name):
                truth, pixels = read_mask(Path(str(found.mask(index))), self.classes), found.pixels(index)
                counted.append(
                    count_confusion(truth, classified(model, score, pixels, scales), len(self.classes.names))
                )
            write_json(kept, {"method": name, "confusions": np.stack(counted).tolist()})
        return np.array(json.loads(kept.read_text())["confusions"], np.int64)


@torch.inference_mode()
def classified(model: Mammut, score: PatchScorer, pixels: NDArray[np.uint8], scales: Scales) -> NDArray[np.int64]:
    """Return the class of each pixel [H, W]: the highest of the scores, which are averaged over scales of the image."""
    height, width = pixels.shape[:2]
    total = torch.zeros(())
    for scale in scales:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)) if scale < 1 else pixels
        strips = score_strips(model, score, lambda first, rows, of=shown: of[first : first + rows], *shown.shape[:2])
        scores = torch.from_numpy(np.concatenate([strip for _, strip in strips], axis=1))
        total = total + F.interpolate(scores[None], (height, width), mode="bilinear", align_corners=False)[0]
    found: NDArray[np.int64] = total.argmax(0).numpy()
    return found


def methods(model: Mammut, classes: MaskClasses) -> Iterator[tuple[str, Callable[[], PatchScorer]]]:
    """Yield the name of every method that needs no round, and what makes its scorer."""
    yield "raw cross-attention", partial(class_scorer, model, classes, "attention")
    texts = name_embeddings(model, classes.prompts, [classes.template])
    for name, make in BASELINES.items():
        yield name, partial(make, model, texts)
    yield "image embedding", partial(class_scorer, model, classes, "sao", model.config.vision.grid)
    for window in WINDOWS:
        yield sao_name(window), partial(class_scorer, model, classes, "sao", window)


def sao_name(window: int | tuple[int, ...]) -> str:
    """Return the name of Smooth-Attention of one radius, or of several."""
    return f"SAO r = {window}" if isinstance(window, int) else f"SAO r = {', '.join(map(str, window))}"


def measure(
    masked: Masked, model: Path, rounds: Path, retrieval: Callable[[str, Path], Any], scales: Sequence[Scales]
) -> tuple[dict[str, Confusions], dict[str, float]]:
    """Measure all methods and rounds; return confusions and mR by name, measured once."""
    found: dict[str, Confusions] = {}
    before = load_mammut(str(model)).eval()
    for name, make in methods(before, masked.classes):
        found[name] = masked.confusions(name, make, before, scales[0])
    students = [(report, rounds / f"round-{report['round']}") for report in told_rounds(rounds) if report["round"]]
    models = {"": (model, before)} | {
        f" + round {report['round']}" + ("" if report["kept"] else " (dropped)"): (path, load_mammut(str(path)).eval())
        for report, path in students
    }
    recalled = {}
    for suffix, (path, loaded) in models.items():
        sao = partial(class_scorer, loaded, masked.classes, "sao", SHOWN_WINDOW)
        for some in scales:
            at = "" if some == scales[0] else f", scales {', '.join(map(str, some))}"
            name = sao_name(SHOWN_WINDOW) + at + suffix
            found[name] = masked.confusions(name, sao, loaded, some)
        kept = masked.folder / f"retrieval{suffix}.json"
        results = json.loads(kept.read_text()) if kept.exists() else retrieval(str(path), kept)
        recalled[sao_name(SHOWN_WINDOW) + suffix] = results["metrics"]["mR"]
    return found, recalled


def told_rounds(rounds: Path) -> list[dict[str, Any]]:
    """Return what each round reported."""
    reports: list[dict[str, Any]] = json.loads((rounds / "rounds.json").read_text())["rounds"]
    return reports


def measure_demo(folder: Path, made: Path, seed: int) -> tuple[dict[str, Confusions], dict[str, float]]:
    """Run the rounds on a demo's place, and measure."""
    if not (made / "model" / "finished.json").exists():
        demo(made, seed=seed)
    rounds = folder / "rounds"
    localize(
        HERE / "src" / "geomammut" / "demo" / "localize.toml",
        rounds,
        resume=True,
        overrides=[
            f"start_from={made}/model",
            f"pairs={made}/pairs/train",
            f"heldout={made}/pairs/heldout",
            f"rounds={ROUNDS}",
        ],
        seed=seed,
    )
    held_out = made / "place" / "heldout"
    classes = read_mask_classes(made / "place" / "classes.json")
    masked = Masked(folder, held_out / "images", held_out / "masks", classes)
    retrieval = partial(eval_retrieval, pairs=made / "pairs" / "heldout")
    return measure(masked, made / "model", rounds, retrieval, [(1.0,)])


def measure_dubai(folder: Path, data: Path, model: Path | None) -> tuple[dict[str, Confusions], dict[str, float]]:
    """Run the rounds on RSICD's captions, and measure on Dubai."""
    annotations, images = data / "rsicd" / "dataset_rsicd.json", data / "rsicd" / "images"
    for split in ("train", "val"):
        if not (folder / f"rsicd-{split}").exists():
            pairs_import(annotations, images, split, folder / f"rsicd-{split}")
    if model is None:
        model = folder / "rsicd_small"
        overrides = [f"pairs.rsicd={folder}/rsicd-train"]
        train(HERE / "recipes" / "rsicd_small.toml", model, resume=True, overrides=overrides)
    rounds = folder / "rounds"
    overrides = [f"start_from={model}", f"pairs={folder}/rsicd-train", f"heldout={folder}/rsicd-val"]
    localize(HERE / "recipes" / "localize_rsicd.toml", rounds, resume=True, overrides=overrides)
    classes = read_mask_classes(HERE / "recipes" / "dubai_classes.json")
    masked = Masked(folder, data / "dubai" / "images", data / "dubai" / "masks", classes)
    retrieval = partial(eval_retrieval, annotations=annotations, images=images, split="val")
    return measure(masked, model, rounds, retrieval, [(1.0,), (0.5,), (1.0, 0.5)])


def table(places: Sequence[tuple[dict[str, Confusions], dict[str, float]]]) -> dict[str, Any]:
    """Sum up places of the same classes: mIoU by place, its mean with a 95% interval, and the gain over SAO.

    The interval draws each place's windows anew, the same for all methods, so that gains are paired.
    """
    names = [name for name in places[0][0] if all(name in found for found, _ in places)]
    base = sao_name(SHOWN_WINDOW)
    stacked = [np.stack([found[name] for name in names]) for found, _ in places]  # [M, N, C, C] a place
    ends = np.cumsum([0, *(each.shape[1] for each in stacked)])

    def mious(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [drawn[first:last] for first, last in pairwise(ends)]
        return np.array(
            [
                [segmentation_metrics(summed)[0]["miou"] for summed in np.einsum("n,mnij->mij", part, each)]
                for part, each in zip(parts, stacked, strict=True)
            ]
        )

    def statistic(drawn: NDArray[np.int64]) -> dict[str, float]:
        means = dict(zip(names, mious(drawn).mean(0), strict=True))
        return means | {f"gain of {name}": 100 * (means[name] / means[base] - 1) for name in names}

    intervals = place_intervals(ends, statistic)
    by_place = mious(np.ones(ends[-1], np.int64))
    rows = {}
    for number, name in enumerate(names):
        mean, of_base = by_place[:, number].mean(), by_place[:, names.index(base)].mean()
        rows[name] = {
            "miou": by_place[:, number].round(2).tolist(),
            "mean": round(float(mean), 2),
            "interval": intervals[name],
            "gain": round(float(100 * (mean / of_base - 1)), 1),
            "gain_interval": intervals[f"gain of {name}"],
            "mR": [round(recalled[name], 2) for _, recalled in places if name in recalled],
        }
    return rows


def place_intervals(
    ends: NDArray[np.int64], statistic: Callable[[NDArray[np.int64]], dict[str, float]]
) -> dict[str, list[float]]:
    """Return 95% intervals of a statistic of windows drawn anew within each place."""
    random = np.random.default_rng(0)

    def within_places(_: NDArray[np.int64]) -> dict[str, float]:
        sizes = np.diff(ends)
        return statistic(np.concatenate([np.bincount(random.integers(0, n, n), minlength=n) for n in sizes]))

    return bootstrap_intervals(1, within_places, seed=0)


def show(title: str, rows: dict[str, Any]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n\n| method | mIoU, each | mean | 95% | over SAO r = {SHOWN_WINDOW} | 95% | mR |")
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        low, high = row["interval"]
        worst, best = row["gain_interval"]
        each, recalled = ", ".join(map(str, row["miou"])), ", ".join(map(str, row["mR"])) or "–"
        print(
            f"| {name} | {each} | {row['mean']} | {low:.1f} to {high:.1f} "
            f"| {row['gain']:+.1f}% | {worst:+.0f}% to {best:+.0f}% | {recalled} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--demos", type=Path, nargs="*", help="finished runs of the demo, in the order of their seeds")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rsicd-model", type=Path)
    given = parser.parse_args()
    demos = given.demos if given.demos is not None else [given.out / f"demo-{seed}" for seed in SEEDS]
    places = [measure_demo(given.out / f"place-{seed}", made, seed) for seed, made in enumerate(demos)]
    tables = {"the demo's places": table(places)} if places else {}
    if given.data:
        tables["Dubai"] = table([measure_dubai(given.out / "dubai", given.data, given.rsicd_model)])
    write_json(given.out / "localization.json", tables)
    for title, rows in tables.items():
        show(title, rows)


if __name__ == "__main__":
    main()
