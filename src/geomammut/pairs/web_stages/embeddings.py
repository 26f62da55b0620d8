"""Image embeddings as a second way for near-duplicates to meet, where a model judges the pictures anyhow.

What a picture shows stays much the same to a model when more is cut off it than the bands of the fingerprints can
follow. Embeddings are hashed by cross-polytopes as those are, and sketched by the signs on random hyperplanes
(Charikar 2002): two unit vectors at an angle of θ differ in θ/π of their signs.
"""

from collections.abc import Sequence
from functools import cache

import daft
import numpy as np
from daft import col
from numpy.typing import ArrayLike, NDArray

from geomammut.pairs.web_stages.bands import Bands, nearest_axes

EMBEDDING_BANDS = 5
AXES = 256  # twice as many keys in a band
SKETCHED = 63
CENTRED_ON = 4096  # pictures

Embeddings = NDArray[np.float64]  # [n, E], of unit length


def packed(embeddings: ArrayLike) -> list[bytes | None]:
    """Return embeddings [n, E] as they are stored: of unit length, float16; None for one that is not finite."""
    exact: Embeddings = np.asarray(embeddings, np.float64)
    finite = np.asarray(np.isfinite(exact).all(axis=1))
    exact = np.where(finite[:, None], exact, 0)
    unit = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return [each.tobytes() if good else None for each, good in zip(unit.astype("<f2"), finite, strict=True)]


def unpacked(embeddings: Sequence[bytes]) -> Embeddings:
    """Return the embeddings [n, E] that `packed` stored."""
    return np.frombuffer(b"".join(embeddings), "<f2").reshape(len(embeddings), -1).astype(np.float64)


def centre(pictures: daft.DataFrame) -> Embeddings | None:
    """Return the mean embedding [E] of the first pictures that have one; None if none has.

    Embeddings of one kind of pictures lie in a narrow cone; the hashes tell them apart only seen from its middle.

    Args:
        pictures: `row` and `embedding`.
    """
    known = pictures.where(col("embedding").not_null()).select("row", "embedding").sort("row").limit(CENTRED_ON)
    first = known.to_pydict()["embedding"]
    return unpacked(first).mean(axis=0) if first else None


def embedding_bands(embeddings: Embeddings, middle: Embeddings, numbers: range) -> Bands:
    """Return the keys of embeddings [n, E], seen from their middle [E]: one for each band of these numbers."""
    away = embeddings - middle
    keys, sketches = [], []
    for number in numbers:
        seen = away @ _hyperplanes(number, away.shape[1])
        keys.append(number * 2 * AXES + nearest_axes(seen[:, :AXES])[0])
        sketches.append((seen[:, AXES:] > 0) @ (1 << np.arange(SKETCHED, dtype=np.int64)))
    picture = np.tile(np.arange(len(away)), len(numbers))
    order = np.argsort(picture, kind="stable")
    return Bands(picture[order], np.concatenate(keys)[order], np.concatenate(sketches)[order])


@cache
def _hyperplanes(number: int, size: int) -> NDArray[np.float64]:
    return np.random.default_rng((20020519, number)).standard_normal((size, AXES + SKETCHED))
