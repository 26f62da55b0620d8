"""Zero-shot classification of a folder per class (DESIGN §5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_images
from geomammut.evaluation.images import image_files
from geomammut.evaluation.prompts import class_embeddings, read_classnames, templates, words
from geomammut.evaluation.results import write_results
from geomammut.model.load import load_model


def eval_classification(
    model: str,
    images: Path,
    out: Path,
    *,
    prompts: str = "recipe",
    classnames: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot classification on a folder of one folder per class, and write the results.

    Args:
        model: What `load_model` takes.
        images: The folder.
        out: The results' JSON file.
        prompts: `recipe`, `skyscript`, `remoteclip`, or a file of one template a line.
        classnames: JSON, folder name → class name or list of names; by default the words in folder names.
        seed: Recorded; nothing here is random.

    Returns:
        The results, as written: `metrics` top1 and top5 in percent, `per_class` top1 by folder,
        `confusion` with truth in rows and prediction in columns, in the order of `classes`.

    Raises:
        UserError: Something given is missing or broken; an empty class folder or a broken image, too.
    """
    folders, files, truth = _read_folders(Path(images))
    names = read_classnames(Path(classnames), folders) if classnames else [[words(name)] for name in folders]
    sentences = templates(prompts)
    loaded = load_model(model)
    classes = class_embeddings(loaded, names, sentences)
    embeddings = encode_images(loaded, lambda index: files[index].read_bytes(), [str(file) for file in files])
    metrics, per_class, confusion = classification_metrics(embeddings @ classes.T, truth)
    return write_results(
        Path(out),
        model=model,
        benchmark=Path(images).resolve().name,
        protocol=f"zero-shot, prompts {prompts}",
        counts={"images": len(files), "classes": len(folders), "templates": len(sentences)},
        metrics=metrics,
        per_class={folder: round(value, 4) for folder, value in zip(folders, per_class, strict=True)},
        classes={folder: some for folder, some in zip(folders, names, strict=True)},
        confusion=confusion.tolist(),
        seed=seed,
    )


def classification_metrics(
    scores: Tensor, truth: Sequence[int]
) -> tuple[dict[str, float], list[float], NDArray[np.int64]]:
    """Count how often the true class ranks first and among the first five.

    A wrong class whose score equals the true one's ranks before it, so that a constant model scores 0.

    Args:
        scores: [N, C].
        truth: The true class of each image, N integers; every class has an image.

    Returns:
        top1 and top5 in percent; top1 per class, C; confusion [C, C], truth in rows.

    Raises:
        ValueError: Scores that are not finite.
    """
    if not scores.isfinite().all():
        raise ValueError("scores must be finite")
    true = torch.as_tensor(truth)
    wrong = scores.clone()
    wrong.scatter_(1, true[:, None], -torch.inf)
    true_scores = scores.gather(1, true[:, None])
    rank = (wrong >= true_scores).sum(1)
    predicted = torch.where(rank == 0, true, wrong.argmax(1))
    classes = scores.shape[1]
    confusion = torch.bincount(true * classes + predicted, minlength=classes**2).view(classes, classes)
    per_class = 100 * confusion.diagonal() / confusion.sum(1)
    metrics = {f"top{k}": 100 * (rank < k).double().mean().item() for k in (1, 5)}
    return metrics, per_class.tolist(), confusion.numpy()


def _read_folders(images: Path) -> tuple[list[str], list[Path], list[int]]:
    """Return class folders, all image files, and each file's class."""
    if not images.is_dir():
        raise UserError(f"no folder at {images}; --images takes a folder that holds one folder per class")
    folders = sorted(path for path in images.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise UserError(f"{images} holds {len(folders)} class folders; it needs one folder of images per class")
    files: list[Path] = []
    truth: list[int] = []
    for index, folder in enumerate(folders):
        found = image_files(folder)
        if not found:
            raise UserError(f"the class folder {folder} holds no image; fill it or remove it")
        files += found
        truth += [index] * len(found)
    return [folder.name for folder in folders], files, truth
