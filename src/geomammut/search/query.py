"""What is asked of an archive: words, pictures, and chips that a user liked or not, as one embedding."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.model.interface import VisionLanguageModel


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
    """Return one embedding [E], of length 1, for all that is wanted and not wanted.

    Args:
        model: The archive's.
        texts: Wanted, in words.
        images: Wanted, as pictures.
        without: Not wanted, in words.
        liked: float32 [n, E], embeddings of chips like those that are wanted.
        disliked: float32 [m, E], embeddings of chips like those that are not.
        centre: float32 [E], the mean of the archive's embeddings (`Archive.centre`): what all its chips share tells
            nothing of what is wanted.

    Raises:
        UserError: Nothing is wanted, or what is wanted and what is not are the same.
    """
    raise NotImplementedError
