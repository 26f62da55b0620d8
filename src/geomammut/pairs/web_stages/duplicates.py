"""Stage 5: near-duplicates, by perceptual hash."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from PIL import Image

from geomammut.pairs.web_stages.fingerprints import fingerprint

__all__ = ["duplicates_of", "fingerprint", "perceptual_hash"]

MAX_DISTANCE = 6  # differing bits
BLOCKS = 8
BLOCK_BITS = 8
HASH_SIDE = 32
# The 64 lowest frequencies (column, row) beside the mean, from coarse to fine.
FREQUENCIES = sorted(
    ((u, v) for u in range(11) for v in range(11) if u + v > 0), key=lambda pair: (pair[0] + pair[1], pair)
)[:64]
COSINES = np.cos(np.pi * np.outer(np.arange(11), np.arange(HASH_SIDE) + 0.5) / HASH_SIDE)


def perceptual_hash(image: Image.Image) -> int:
    """Return 64 bits that hardly change when an image is resized, compressed or brightened.

    The signs of the 64 lowest frequencies (discrete cosine transform) of its 32 × 32 grey thumbnail.
    """
    thumbnail = image.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX)
    spectrum = COSINES @ np.asarray(thumbnail, dtype=np.float64) @ COSINES.T
    bits = 0
    for u, v in FREQUENCIES:
        bits = bits << 1 | int(spectrum[v, u] > 0)
    return bits


def duplicates_of(hashes: Sequence[int]) -> list[int | None]:
    """For each hash, say which earlier one it repeats.

    An item repeats the nearest (then the earliest) kept item within MAX_DISTANCE bits, or is kept itself.
    So the order is the preference: sort the best first.

    Two hashes that differ in at most 6 bits agree in at least 2 of 8 blocks, so it is enough to compare items
    that share a pair of blocks: no comparison of all with all.

    Args:
        hashes: 64-bit unsigned integers, best item first.

    Returns:
        For each item, the index of the kept item that it repeats, or None where it is kept.
    """
    kept: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    repeats: list[int | None] = []
    for item, bits in enumerate(hashes):
        keys = list(_block_pairs(bits))
        near = {other for key in keys for other in kept.get(key, ())}
        distance, nearest = min(
            (((bits ^ hashes[other]).bit_count(), other) for other in near), default=(MAX_DISTANCE + 1, -1)
        )
        if distance <= MAX_DISTANCE:
            repeats.append(nearest)
            continue
        repeats.append(None)
        for key in keys:
            kept[key].append(item)
    return repeats


def _block_pairs(bits: int) -> Iterator[tuple[int, int, int]]:
    blocks = [bits >> (BLOCK_BITS * index) & (2**BLOCK_BITS - 1) for index in range(BLOCKS)]
    for first, second in combinations(range(BLOCKS), 2):
        yield first * BLOCKS + second, blocks[first], blocks[second]
