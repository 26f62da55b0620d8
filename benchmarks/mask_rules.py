"""Rules for what is none of the classes asked for, and refined borders, measured where every pixel's class is known.

    .venv/bin/pip install scikit-image    # for the refined borders
    .venv/bin/python benchmarks/mask_rules.py MODEL IMAGES MASKS classes.json

Of the C classes of the masks, `--asked` are asked for and all others are background, in `--draws` ways drawn by the
seed; the figure is the mean mIoU over the draws, of the asked classes and the background. The rules know neither
image nor masks:

  none        no background: the best class takes the pixel
  two words   the best of "background" and "something else"
  mean of ten the mean of ten general words ("the ground", "an area", …)
  best of ten the best of them, as evaluation asks
  things q    a class must score above the share q of the phrases of the taxonomy at the same pixel
  deviation k a class must score k deviations above the mean of those phrases at the same pixel
  all         everything is background: what a rule must beat

Refined borders: scores of all classes are averaged over superpixels (SLIC) before the best is taken.
"""

import argparse
import json
import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.masked import read_mask_folders
from geomammut.evaluation.masks import BACKGROUND_PROMPTS, IGNORED, read_mask, read_mask_classes
from geomammut.evaluation.prompts import class_embeddings, name_embeddings
from geomammut.evaluation.segmentation import count_confusion, segmentation_metrics
from geomammut.landmarks.taxonomy import load_taxonomy
from geomammut.model.load import load_model
from geomammut.model.score_maps import sao_scorer, score_strips

THIN = 4  # every so many pixels are measured
WORDS = ("two words", "mean of ten", "best of ten")
Scores = NDArray[np.float32]
# Scores of asked classes, background words as in `WORDS`, things, each [n, pixels] → which pixels are background
Rule = Callable[[Scores, Scores, Scores], NDArray[np.bool_]]

RULES: dict[str, Rule] = {
    "none": lambda asked, words, things: np.zeros(asked.shape[1], bool),
    **{
        name: lambda asked, words, things, number=number: words[number] > asked.max(0)
        for number, name in enumerate(WORDS)
    },
    **{
        f"things {q}": lambda asked, words, things, q=q: np.quantile(things, q, axis=0) > asked.max(0)
        for q in (0.8, 0.9, 0.95)
    },
    **{
        f"deviation {k}": lambda asked, words, things, k=k: things.mean(0) + k * things.std(0) > asked.max(0)
        for k in (0.5, 1.0, 1.5)
    },
    "all": lambda asked, words, things: np.ones(asked.shape[1], bool),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "images", "masks", "classes"):
        arguments.add_argument(name)
    arguments.add_argument("--asked", type=int, default=2)
    arguments.add_argument("--draws", type=int, default=40)
    arguments.add_argument("--window", type=int, default=1)
    arguments.add_argument("--segments", type=int, default=400, help="pixels of a superpixel")
    arguments.add_argument("--most", type=int, default=20, help="images at most")
    asked = arguments.parse_args()
    model, classes = load_model(asked.model), read_mask_classes(Path(asked.classes))
    template = [classes.template]
    phrases = sorted({category.phrase for category in load_taxonomy().categories.values()})
    texts = [
        *name_embeddings(model, [*classes.prompts, ("background", "something else")], template),
        *class_embeddings(model, [BACKGROUND_PROMPTS], template),
        *name_embeddings(model, [BACKGROUND_PROMPTS], template),
        *encode_texts(model, [classes.template.replace("{}", phrase) for phrase in phrases]),
    ]
    found = read_mask_folders(Path(asked.images), Path(asked.masks))
    size = len(classes.names)
    scored, truths = [], []
    plain, refined = np.zeros((size, size), np.int64), np.zeros((size, size), np.int64)
    for index in range(min(asked.most, len(found.names))):
        pixels, mask = found.pixels(index), found.mask(index)
        assert isinstance(mask, Path)
        truth = read_mask(mask, classes)
        strips = score_strips(
            model,
            sao_scorer(model, texts, asked.window),
            lambda first, count, pixels=pixels: pixels[first : first + count],
            *truth.shape,
        )
        kept, best = [], []
        for first, strip in strips:
            kept.append(strip[:, -first % THIN :: THIN, ::THIN])
            best.append(strip[:size])
        thinned = np.concatenate(kept, axis=1)
        whole = np.concatenate(best, axis=1)
        plain += count_confusion(truth, whole.argmax(0), size)
        refined += count_confusion(truth, averaged(whole, pixels, asked.segments).argmax(0), size)
        valid = truth[::THIN, ::THIN] != IGNORED
        scored.append(thinned[:, valid])
        truths.append(truth[::THIN, ::THIN][valid])
    scores, truth = np.concatenate(scored, axis=1), np.concatenate(truths)
    every = list(combinations(np.flatnonzero(np.bincount(truth, minlength=size)), asked.asked))
    drawn = every if len(every) <= asked.draws else random.Random(0).sample(every, asked.draws)
    words, things = scores[size : size + len(WORDS)], scores[size + len(WORDS) :]
    told = {}
    for name, rule in RULES.items():
        mious = []
        for chosen in drawn:
            some = scores[list(chosen)]
            answer = np.where(rule(some, words, things), asked.asked, some.argmax(0))
            meant = np.full(size, asked.asked)
            meant[list(chosen)] = range(asked.asked)
            mious.append(segmentation_metrics(count_confusion(meant[truth], answer, asked.asked + 1))[0]["miou"])
        told[name] = round(float(np.mean(mious)), 2)
    borders = {
        "as scored": round(segmentation_metrics(plain)[0]["miou"], 2),
        "over superpixels": round(segmentation_metrics(refined)[0]["miou"], 2),
    }
    print(json.dumps({"model": asked.model, "draws": len(drawn), "rules": told, "borders": borders}, indent=2))


def averaged(scores: Scores, pixels: NDArray[np.uint8], room: int) -> Scores:
    """Return scores [C, H, W], each the mean over its superpixel of about `room` pixels."""
    from skimage.segmentation import slic

    segments = slic(pixels, n_segments=max(1, pixels.shape[0] * pixels.shape[1] // room), compactness=10, start_label=0)
    flat = segments.ravel()
    counts = np.bincount(flat).clip(min=1)
    means = np.stack([np.bincount(flat, weights=one.ravel()) / counts for one in scores])
    averages: Scores = means[:, segments].astype(np.float32)
    return averages


if __name__ == "__main__":
    main()
