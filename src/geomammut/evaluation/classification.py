"""Zero-shot classification of a folder per class (DESIGN §5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.confusion_picture import write_confusion_picture
from geomammut.evaluation.embeddings import EmbeddingCache, encode_images, read_both_embeddings
from geomammut.evaluation.intervals import bootstrap_intervals
from geomammut.evaluation.labelled import LabelledImages, read_labelled
from geomammut.evaluation.leaks import leak_report
from geomammut.evaluation.prompts import class_embeddings, read_classnames, templates, words
from geomammut.evaluation.results import write_results
from geomammut.model.load import load_model

_TOP = (1, 5)


def eval_classification(
    model: str,
    images: Path | LabelledImages,
    out: Path,
    *,
    prompts: str = "recipe",
    classnames: Path | None = None,
    holdout: Path | None = None,
    benchmark: str | None = None,
    split: str | None = None,
    subset: bool = False,
    image_embeddings: Path | None = None,
    text_embeddings: Path | None = None,
    cache: Path | None = None,
    leaks: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot classification of images in a folder per class, and write the results.

    Args:
        model: What `load_model` takes; with embeddings given, what to call the system that made them.
        images: The folder; or a CSV table of `filepath` and `label`; or a known benchmark in its owner's layout; or
            a dataset in memory (`labelled_images`).
        out: The results' JSON file; the confusion is drawn beside it, in `…-confusion.png`.
        prompts: `recipe`, `skyscript`, `remoteclip`, `openai80`, or a file of one template a line.
        classnames: JSON, folder name → class name or list of names; by default the words in folder names.
        holdout: A file of class folders, one a line, that the model was trained without: those images and the
            others are also told apart, all classes standing for choice.
        benchmark: Which it is (`benchmarks list`), for the counts to check.
        split: Which of its splits.
        subset: Measure, with a note, though counts are not those published.
        image_embeddings: An .npy file [N, E], a row for each image by folder and name, in place of a model's.
        text_embeddings: An .npy file [C, E], a row for each class by folder.
        cache: Folder where embeddings are kept, found again by the model's weights and the images' bytes.
        leaks: Also report which images are nearly ones of the pair sets that the model's records name.
        seed: Of the bootstrap.

    Returns:
        The results, as written: `metrics` top1 and top5 in percent with their 95% `intervals` over images,
        `per_class` top1 by folder, `confusion` with truth in rows and prediction in columns, in the order of
        `classes`; with a holdout, `holdout` has the metrics of `seen` and `unseen` classes.

    Raises:
        UserError: Something given is missing or broken; an empty class folder or a broken image, too.
    """
    found, title, published = read_labelled(images, benchmark, split, subset)
    folders = found.classes
    unseen = _read_holdout(Path(holdout), folders) if holdout else None
    names = read_classnames(Path(classnames), folders) if classnames else [[words(name)] for name in folders]
    sentences = templates(prompts)
    dumped = read_both_embeddings(
        image_embeddings,
        text_embeddings,
        (len(found.names), len(folders)),
        ("one an image, by folder and name", "one a class, by folder"),
    )
    if dumped:
        of_images, of_classes = dumped
    else:
        loaded = load_model(model)
        of_classes = class_embeddings(loaded, names, sentences)
        kept = EmbeddingCache(Path(cache), loaded) if cache else None
        of_images = encode_images(loaded, found.read, found.names, kept)
    truth = np.array(found.truth)
    hits, confusion = classification_hits(of_images @ of_classes.T, found.truth)
    picture = Path(out).with_name(f"{Path(out).stem}-confusion.png")
    write_confusion_picture(picture, confusion, folders)
    more: dict[str, Any] = {}
    if unseen is not None:
        of_unseen = np.isin(truth, unseen)
        more["holdout"] = {
            "unseen": _measured(hits, of_unseen, truth),
            "seen": _measured(hits, ~of_unseen, truth),
            "unseen_classes": [folders[index] for index in unseen],
        }
    return write_results(
        Path(out),
        model=model,
        benchmark=title,
        protocol=f"zero-shot, prompts {prompts}",
        counts={"images": len(found.names), "classes": len(folders), "templates": len(sentences)},
        metrics=_means(hits),
        intervals=bootstrap_intervals(
            len(truth), lambda drawn: _means({name: hit * drawn for name, hit in hits.items()}), seed=seed
        ),
        published=published,
        leaks=leak_report(model, found.names, found.read) if leaks and not dumped else None,
        per_class={
            folder: round(100 * float(row[index] / row.sum()), 4)
            for index, (folder, row) in enumerate(zip(folders, confusion, strict=True))
        },
        classes={folder: some for folder, some in zip(folders, names, strict=True)},
        confusion=confusion.round(4).tolist() if (confusion % 1).any() else confusion.astype(int).tolist(),
        confusion_picture=picture.name,
        **more,
        seed=seed,
    )


def classification_hits(
    scores: Tensor, truth: Sequence[int]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Tell for each image whether the true class is the first, and among the first five.

    Classes whose scores are equal share what they reach, as if their order were drawn by chance: a constant model
    scores chance.

    Args:
        scores: [N, C].
        truth: The true class of each image, N integers; every class has an image.

    Returns:
        top1 and top5, each [N] in 0..1; confusion [C, C], truth in rows, the sum of a row being its images.

    Raises:
        ValueError: Scores that are not finite.
    """
    if not scores.isfinite().all():
        raise ValueError("scores must be finite")
    true = torch.as_tensor(truth)
    right = scores.gather(1, true[:, None])
    above = (scores > right).sum(1)
    equal = (scores == right).sum(1)  # the true class is one of them
    hits = {f"top{k}": ((k - above) / equal).clamp(0, 1).double().numpy() for k in _TOP}
    best = (scores == scores.max(1, keepdim=True).values).double()
    classes = scores.shape[1]
    confusion = torch.zeros(classes, classes, dtype=torch.double).index_add(0, true, best / best.sum(1, keepdim=True))
    return hits, confusion.numpy()


def _means(hits: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: 100 * float(hit.mean()) for name, hit in hits.items()}


def _measured(
    hits: dict[str, NDArray[np.float64]], chosen: NDArray[np.bool_], truth: NDArray[np.int64]
) -> dict[str, float]:
    """Return the metrics of the chosen images, and how many they are, of how many classes."""
    metrics = _means({name: hit[chosen] for name, hit in hits.items()})
    return {name: round(value, 4) for name, value in metrics.items()} | {
        "images": int(chosen.sum()),
        "classes": len(np.unique(truth[chosen])),
    }


def _read_holdout(path: Path, folders: Sequence[str]) -> list[int]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"no classes at {path} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8") from error
    named = list(dict.fromkeys(line for line in lines if line))
    strange = [name for name in named if name not in folders]
    if strange:
        raise UserError(f"{path} names {len(strange)} classes that are no class folders, first {strange[0]!r}")
    if not 0 < len(named) < len(folders):
        raise UserError(f"{path} names {len(named)} of {len(folders)} classes; some must be held out, and some not")
    return [folders.index(name) for name in named]
