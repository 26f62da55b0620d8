"""What is kept of a picture so that copies of it are found: two thumbnails."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY_SIDE = 32
COLOUR_SIDE = 4
FINGERPRINT_BYTES = GREY_SIDE**2 + 3 * COLOUR_SIDE**2

Bytes = NDArray[np.uint8]


def fingerprint(image: Image.Image) -> bytes:
    """Return two thumbnails: grey, 32 × 32, and RGB, 4 × 4; each a byte a value, rows from the top (1,072 bytes).

    It holds no decision: what counts as a near-duplicate can change, and fingerprints made before stay of use.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    small = rgb.resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)
    colour = small.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return np.asarray(small.convert("L")).tobytes() + np.asarray(colour).tobytes()


def thumbnails(fingerprints: Sequence[bytes]) -> tuple[Bytes, Bytes]:
    """Return the grey [n, 32, 32] and the RGB [n, 4, 4, 3] thumbnails of fingerprints.

    Raises:
        ValueError: One has another length than FINGERPRINT_BYTES.
    """
    if any(len(each) != FINGERPRINT_BYTES for each in fingerprints):
        raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes")
    values = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), FINGERPRINT_BYTES)
    grey, colour = np.split(values, [GREY_SIDE**2], axis=1)
    return grey.reshape(-1, GREY_SIDE, GREY_SIDE), colour.reshape(-1, COLOUR_SIDE, COLOUR_SIDE, 3)
