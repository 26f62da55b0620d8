"""What tells one picture from all others, though it be resized, compressed, brightened, cropped a little or flipped."""

import numpy as np
from PIL import Image

GREY_SIDE = 32
COLOUR_SIDE = 4
FINGERPRINT_BYTES = GREY_SIDE**2 + 3 * COLOUR_SIDE**2


def fingerprint(image: Image.Image) -> bytes:
    """Return two thumbnails: grey, 32 × 32, and RGB, 4 × 4; each a byte a value, rows from the top (1,072 bytes).

    It holds no decision: what counts as a near-duplicate can change, and fingerprints made before stay of use.
    """
    grey = image.convert("L").resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)
    colour = image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return np.asarray(grey).tobytes() + np.asarray(colour).tobytes()
