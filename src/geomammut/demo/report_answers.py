"""What the demo's model answers on held-out ground: pictures found by words, and masks of windows."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.evaluation.embeddings import encode_images, encode_texts
from geomammut.evaluation.images import image_files, read_pixels
from geomammut.evaluation.masks import IGNORED, MaskClasses, read_mask, read_mask_classes
from geomammut.evaluation.prompts import templates
from geomammut.evaluation.segmentation import pixel_classifier
from geomammut.model.interface import VisionLanguageModel
from geomammut.pairs.pair_set import PairSet

SHOWN_WINDOWS = 4
# What to look for, and a word that the map would say of a chip that shows it.
QUERIES = (
    ("storage tanks", "tank"),
    ("a runway", "runway"),
    ("a solar farm", "solar"),
    ("a stadium", "stadium"),
    ("a golf course", "golf"),
    ("boats in a marina", "marina"),
    ("a river with a bridge", "river"),
    ("rows of houses", "house"),
)


class Found(NamedTuple):
    """A chip that a query found; `stated` if its own captions or landmarks have the query's word."""

    jpeg: bytes
    caption: str
    score: float
    stated: bool


class Search(NamedTuple):
    """A query, its best chips, and how many chips of the set state it."""

    query: str
    found: list[Found]
    stating: int


class MaskRow(NamedTuple):
    """A held-out window and its classes, [H, W] each: the truth, and the methods' answers."""

    stem: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.int64]
    answers: dict[str, NDArray[np.int64]]


def search(
    model: VisionLanguageModel, pairs: PairSet, queries: Sequence[tuple[str, str]] = QUERIES, best: int = 5
) -> list[Search]:
    """Find the chips of a pair set that fit each query best, by the cosine of their embeddings.

    Args:
        model: Gives both embeddings.
        pairs: Where to look.
        queries: What to look for, with the word that a chip showing it would be captioned with.
        best: How many chips to return for each.
    """

    images = encode_images(model, lambda index: pairs.read_jpegs([index])[0], pairs.ids)
    template = templates("recipe")[0]
    texts = encode_texts(model, [template.replace("{}", query) for query, _ in queries])
    captions = pairs.captions
    said = [
        " ".join([*own, *(str(landmark.get("phrase", "")) for landmark in landmarks)]).lower()
        for own, landmarks in zip(captions, pairs.landmarks, strict=True)
    ]
    answers = []
    for (query, word), scores in zip(queries, texts @ images.T, strict=True):
        chosen = scores.argsort(descending=True, stable=True)[:best].tolist()
        found = [
            Found(jpeg, captions[index][0], float(scores[index]), word in said[index])
            for index, jpeg in zip(chosen, pairs.read_jpegs(chosen), strict=True)
        ]
        answers.append(Search(query, found, sum(word in words for words in said)))
    return answers


def mask_rows(out: Path, model: VisionLanguageModel | None) -> tuple[list[MaskRow], MaskClasses | None]:
    """Return the held-out windows that were segmented, beside their truth, and what their classes are.

    Args:
        out: The demo's folder.
        model: For the raw attention, which is not among the demo's files; None leaves it out.
    """
    classes_file, heldout = out / "place" / "classes.json", out / "place" / "heldout"
    stems = [path.name.removesuffix("-sao.tif") for path in sorted((out / "masks").glob("*-sao.tif"))]
    if not stems or not classes_file.is_file() or not (heldout / "masks").is_dir():
        return [], None
    classes = read_mask_classes(classes_file)
    images = {path.stem: path for path in image_files(heldout / "images")}
    masks = {path.stem: path for path in image_files(heldout / "masks")}
    attention = None
    if model is not None and hasattr(model, "attention_maps"):
        attention = pixel_classifier(model, classes, "attention")
    rows = []
    for stem in [stem for stem in stems if stem in images and stem in masks][:SHOWN_WINDOWS]:
        pixels = read_pixels(images[stem])
        answers = {} if attention is None else {"attention": attention(pixels)}
        for name in ("sao", "round"):
            path = out / "masks" / f"{stem}-{name}.tif"
            if path.is_file():
                answers[name] = read_class_raster(path)
        rows.append(MaskRow(stem, pixels, read_mask(masks[stem], classes), answers))
    return rows, classes


def read_class_raster(path: Path) -> NDArray[np.int64]:
    """Return what `segment` wrote as class indices [H, W], IGNORED where it has no data."""
    with Image.open(path) as image:
        stored = np.array(image).astype(np.int64)
    return np.where(stored == 0, IGNORED, stored - 1)
