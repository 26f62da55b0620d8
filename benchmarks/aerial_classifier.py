"""`web train-classifier` on images and photographs that it never saw.

    .venv/bin/python benchmarks/aerial_classifier.py DATA
    .venv/bin/python benchmarks/aerial_classifier.py DATA --seeds 0 1 2
    .venv/bin/python benchmarks/aerial_classifier.py DATA --negatives 60 125 250    # what more photographs are worth
    .venv/bin/python benchmarks/aerial_classifier.py DATA --photographs FOLDER    # and others than these besides

DATA holds `rsicd/dataset_rsicd.json`, `rsicd/images`, `natural` (photographs), `eurosat` and `ucm`. Trained on the
images of RSICD's train split against every second photograph, by name; measured on the others, as the negatives of
EuroSAT, UC Merced and RSICD's val split, none of which the training sees. With fewer negatives, they are drawn
from the same half. FOLDER is of `benchmarks/open_photographs.py`, or any other.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from geomammut import load_classifier, web_train_classifier
from geomammut.model.aerial_classifier import AerialClassifier
from geomammut.training.probe import auc


def linked(pictures: Iterable[Path], folder: Path) -> Path:
    """Return a folder of links to pictures."""
    folder.mkdir()
    for picture in pictures:
        (folder / picture.name).symlink_to(picture.resolve())
    return folder


def pictures_of(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png", ".tif"})
    if not found:
        raise SystemExit(f"no picture in {folder}")
    return found


def rsicd(data: Path, split: str) -> list[Path]:
    images = json.loads((data / "rsicd" / "dataset_rsicd.json").read_text(encoding="utf-8"))["images"]
    return [data / "rsicd" / "images" / image["filename"] for image in images if image["split"] == split]


def logits(classifier: AerialClassifier, pictures: list[Path]) -> torch.Tensor:
    return torch.tensor(classifier.score(pictures)).double().logit()


def measure(
    data: Path, negatives: int, more: list[Path], samples: int | None, seed: int, out: Path | None
) -> dict[str, Any]:
    """Train once, and return the AUCs against the photographs that were not trained on."""
    photographs = pictures_of(data / "natural")
    learnt = random.Random(seed).sample(photographs[0::2], min(negatives, len(photographs[0::2])))
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        started = time.perf_counter()
        web_train_classifier(
            [linked(rsicd(data, "train"), here / "above")],
            [linked(learnt, here / "others"), *more],
            out or here / "classifier",
            seed=seed,
            **({} if samples is None else {"samples": samples}),
        )
        seconds = time.perf_counter() - started
        classifier = load_classifier(out or here / "classifier")
    others = logits(classifier, photographs[1::2])
    sets = {
        "EuroSAT": logits(classifier, pictures_of(data / "eurosat")),
        "UC Merced": logits(classifier, pictures_of(data / "ucm")),
    }
    sets["both"] = torch.cat(list(sets.values()))
    sets["RSICD val"] = logits(classifier, rsicd(data, "val"))
    threshold = torch.tensor(classifier.threshold).logit()
    return {
        "negatives": len(learnt),
        "more": [str(folder) for folder in more],
        "seed": seed,
        "seconds": round(seconds),
        "auc": {name: round(auc(scores, others), 4) for name, scores in sets.items()},
        "kept": {
            name: round(float((scores >= threshold).double().mean()), 4)
            for name, scores in [*sets.items(), ("photographs", others)]
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--negatives", type=int, nargs="+", default=[250])
    parser.add_argument("--photographs", type=Path, nargs="+", default=[], help="folders of more negatives")
    parser.add_argument("--samples", type=int, help="as `web train-classifier` takes it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="keep the classifier here (of the last run)")
    arguments = parser.parse_args()
    for negatives in arguments.negatives:
        for seed in arguments.seeds:
            result = measure(arguments.data, negatives, arguments.photographs, arguments.samples, seed, arguments.out)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
