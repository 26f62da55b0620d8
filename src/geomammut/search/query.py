"""`geomammut search`: an archive asked in words, by a picture, and by chips that a user liked or not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.evaluation.prompts import TEMPLATES
from geomammut.model.interface import VisionLanguageModel
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import console
from geomammut.search.archive import Archive, Filter
from geomammut.search.hits import KINDS, write_hits

MOST_HITS = 10_000
# Rocchio's weights for what is wanted no less, and for what is not wanted (Manning et al. 2008, §9.1.1).
_LIKED, _UNWANTED = 0.75, 0.5
_NOTHING = 1e-6  # the length of a query under which it says nothing


def search(
    index: Path,
    text: str | None = None,
    *,
    out: Path,
    image: Path | None = None,
    without: Sequence[str] = (),
    bbox: tuple[float, float, float, float] | None = None,
    since: str | None = None,
    until: str | None = None,
    source: Sequence[str] = (),
    k: int = 50,
    model: str | None = None,
    seed: int = 0,
) -> Path:
    """Find the places in an archive that fit words, a picture, or both.

    Args:
        index: What `geomammut index` made.
        text: What to look for.
        out: `.geojson` for the footprints with scores, or `.html` for a sheet of pictures.
        image: A picture of what to look for.
        without: What not to look for.
        bbox: West, south, east, north in degrees: only places that touch it.
        since: Only what was acquired then or later (ISO 8601).
        until: Only what was acquired then, on that day, or earlier.
        source: Only what comes from these rasters, by name.
        k: How many places at most.
        model: Where the archive's model is now, if it has moved.
        seed: There because every verb has it; nothing here is random.

    Returns:
        `out`.

    Raises:
        UserError: No such archive, nothing to look for, a filter that makes no sense, another model than the
            archive's, or another kind of output.
    """
    out = Path(out)
    if out.suffix.lower() not in KINDS:
        raise UserError(f"{out} is of an unknown kind; give a name that ends in {' or '.join(KINDS)}")
    if not 1 <= k <= MOST_HITS:
        raise UserError(f"-k {k} is out of range; give 1 to {MOST_HITS}")
    texts = [] if text is None else [text]
    if any(not each.strip() for each in (*texts, *without)):
        raise UserError("the text is empty; say what to look for, such as 'storage tanks'")
    if not texts and image is None:
        raise UserError("nothing to look for; give a text, or a picture with --image")
    pictures = [] if image is None else [_picture(Path(image))]
    where = Filter(bbox, since, until, tuple(source))
    where.condition()  # a mistake in it is told before the model is loaded
    archive = Archive.open(Path(index))
    loaded = archive.load_model(model)
    query = query_embedding(loaded, texts=texts, images=pictures, without=without, centre=archive.centre)
    hits = archive.search(query, k, where)
    asked = [*texts, *([f"like {Path(image).name}"] if image else []), *(f"not {each}" for each in without)]
    write_hits(hits, archive, ", ".join(asked), out)
    if not hits:
        dated = any(each.acquired for each in archive.info.sources)
        why = "" if dated or not (since or until) else ": no raster of this index says when it was acquired"
        console.print(f"nothing lies within these limits{why}", soft_wrap=True)
    return out


@torch.inference_mode()
def query_embedding(
    model: VisionLanguageModel,
    *,
    texts: Sequence[str] = (),
    images: Sequence[Image.Image] = (),
    without: Sequence[str] = (),
    liked: NDArray[np.float32] | None = None,
    disliked: NDArray[np.float32] | None = None,
    centre: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return one embedding [E], of length 1, for all that is wanted and not wanted (Rocchio 1971).

    A text is asked for as "An aerial image of …", as captions say it. The mean of texts and the mean of images count
    alike; then 0.75 of the mean of what was liked is added, and 0.5 of the mean of what is not wanted is subtracted,
    texts from texts and chips from chips.

    Args:
        model: The archive's.
        texts: Wanted, in words.
        images: Wanted, as pictures.
        without: Not wanted, in words.
        liked: float32 [n, E], embeddings of chips like those that are wanted.
        disliked: float32 [m, E], embeddings of chips like those that are not.
        centre: float32 [E], the mean of the archive's embeddings (`Archive.centre`): what all its chips share tells
            nothing of what is wanted, so it is taken off pictures and chips where they meet words, or each other.

    Raises:
        UserError: Nothing is wanted, or what is wanted and what is not are the same.
    """
    shared = np.zeros(model.embed_dim, np.float32) if centre is None else centre
    seen = _embedded(model, images)
    if not len(texts) and not len(seen) and liked is None and disliked is None:
        raise UserError("nothing to look for; give a text or a picture")
    alone = not len(texts) and not without and liked is None and disliked is None
    query = np.zeros(model.embed_dim, np.float32)
    if len(texts):
        query += _of_texts(model, texts)
    if len(seen):
        query += seen.mean(axis=0) if alone else _mean_unit(seen - shared)
    if liked is not None and len(liked):
        query += _LIKED * _mean_unit(liked - shared)
    if len(without):
        query -= _UNWANTED * _of_texts(model, without)
    if disliked is not None and len(disliked):
        query -= _UNWANTED * _mean_unit(disliked - shared)
    length = float(np.linalg.norm(query))
    if not np.isfinite(length) or length < _NOTHING:
        raise UserError("what is wanted and what is not are the same; ask for something else")
    return np.asarray(query / length, np.float32)


def _of_texts(model: VisionLanguageModel, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the mean embedding [E] of texts, each put as captions of aerial images are."""
    prompts = [template.replace("{}", text.strip()) for text in texts for template in TEMPLATES["recipe"]]
    return np.asarray(encode_texts(model, prompts).numpy().mean(axis=0))


def _embedded(model: VisionLanguageModel, images: Sequence[Image.Image]) -> NDArray[np.float32]:
    if not images:
        return np.empty((0, model.embed_dim), np.float32)
    batch = torch.stack([model.preprocess(image) for image in images])
    return np.asarray(model.encode_image(batch.to(model.device)).float().cpu().numpy())


def _mean_unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of vectors [n, E] that are first brought to length 1."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _NOTHING)
    return np.asarray((vectors / lengths).mean(axis=0))


def _picture(path: Path) -> Image.Image:
    try:
        return open_picture(path)
    except FileNotFoundError as error:
        raise UserError(f"--image {path} does not exist") from error
    except UNREADABLE as error:
        raise UserError(f"--image {path} cannot be read as a picture ({error}); give a JPEG or PNG") from error
