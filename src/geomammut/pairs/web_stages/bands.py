"""Keys that the fingerprints of near-duplicates share: the bands by which they meet in a join.

A picture that was cropped agrees best with a part of the one it came from, and a flipped one with its mirror image.
So seven views of each picture are hashed (the whole, two parts in the middle, four in the corners), each turned and
flipped to the one of its eight orientations that its own large shapes single out; where they hardly do, to
several. A view is its lowest frequencies (discrete cosine transform). They are hashed by cross-polytopes (Andoni et
al. 2015, "Practical and Optimal LSH for Angular Distance"): of a random rotation of the frequencies, the axis nearest
to them. Four such hashes make a key, so that few strangers share one; a view has BANDS keys, so that a copy shares at
least one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomammut.pairs.web_stages.fingerprints import GREY_SIDE, Bytes

Spectra = NDArray[np.float64]  # [n, v, u]: by frequency down and across the picture, from 0

BANDS = 5
HASHES = 4  # in a key
FREQUENCIES = 8
# Left, right, top and bottom of the views, as shares of the picture.
VIEWS = (
    (0.0, 1.0, 0.0, 1.0),
    (0.025, 0.975, 0.025, 0.975),
    (0.05, 0.95, 0.05, 0.95),
    (0.0, 0.93, 0.0, 0.93),
    (0.0, 0.93, 0.07, 1.0),
    (0.07, 1.0, 0.0, 0.93),
    (0.07, 1.0, 0.07, 1.0),
)
UNDECIDED = 0.2  # of a balance in -1..1: so near to zero, both orientations are hashed
BRIGHTEST = 2.5  # standard deviations; what is beyond hardly counts, as in a picture brightened till it clips

_V, _U = np.mgrid[:FREQUENCIES, :FREQUENCIES]
_WEIGHT = np.hypot(_V, _U)  # evens out what pictures have in common: ever less of the higher frequencies
_COARSE = (_U + _V > 0) & (_U + _V <= 5)
_HASHED = (_U + _V > 0) & (_U + _V < FREQUENCIES)
# The signs of a sketch, the lowest frequencies first: in a sorted bucket, what looks alike lies together.
_SKETCHED = sorted(range(1, FREQUENCIES**2), key=lambda place: (sum(divmod(place, FREQUENCIES)), place))


@dataclass(frozen=True)
class Bands:
    """Keys of pictures; equal lengths, in the order of `picture`.

    Attributes:
        picture: Place of the picture among those given.
        key: 64 bits, the band's number among them.
        sketch: 63 signs of the view's frequencies: those of a near-duplicate with the same key differ in few.
    """

    picture: NDArray[np.int64]
    key: NDArray[np.int64]
    sketch: NDArray[np.int64]


def bands(grey: Bytes, numbers: range = range(BANDS), *, probing: bool = False) -> Bands:
    """Return the keys of grey thumbnails [n, 32, 32] for the bands of these numbers: about 12 a picture and band.

    With `probing` five times as many: those too that differ by one hash, to which the next nearest axis is taken, as
    a copy's may (multiprobe: Lv et al. 2007; Andoni et al. 2015). One side of a comparison is enough to probe.
    """
    levels = grey.astype(np.float64)
    levels -= levels.mean(axis=(1, 2), keepdims=True)
    levels /= np.maximum(levels.std(axis=(1, 2), keepdims=True), 0.5)
    levels = levels.clip(-BRIGHTEST, BRIGHTEST)
    found = [_of_view(spectra(levels, view) * _WEIGHT, numbers, probing) for view in VIEWS]
    picture, key, sketch = (np.concatenate(each) for each in zip(*found, strict=True))
    rows = np.unique(np.stack([picture, key, sketch], axis=1), axis=0)
    return Bands(rows[:, 0], rows[:, 1], rows[:, 2])


def spectra(levels: NDArray[np.float64], view: tuple[float, float, float, float]) -> Spectra:
    """Return the lowest frequencies of a view of pictures [n, 32, 32]."""
    left, right, top, bottom = view
    return _cosines(top, bottom) @ levels @ _cosines(left, right).T


def _cosines(start: float, end: float) -> NDArray[np.float64]:
    """Return the mean of each frequency's wave over each pixel, as far as it lies between two places in 0..1."""
    edges = np.arange(GREY_SIDE + 1) / GREY_SIDE
    low, high = edges[:-1].clip(start, end) - start, edges[1:].clip(start, end) - start
    waves = [high - low]
    for frequency in range(1, FREQUENCIES):
        k = np.pi * frequency / (end - start)
        waves.append((np.sin(k * high) - np.sin(k * low)) / k)
    return np.stack(waves) / (end - start)


def _of_view(
    spectrum: Spectra, numbers: range, probing: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    turned, picture = _turned(spectrum)
    flat = turned.reshape(len(turned), FREQUENCIES**2)  # there may be none
    sketch = np.zeros(len(flat), np.int64)
    for place in _SKETCHED:
        sketch = sketch << 1 | (flat[:, place] > 0)
    waves = turned[:, _HASHED]
    waves = np.sign(waves) * np.sqrt(np.abs(waves))  # else one strong edge is all that counts
    keys = []
    for number in numbers:
        hashes = [nearest_axes(waves @ rotation) for rotation in _rotations(number, waves.shape[1])]
        # Of each hash the nearest axis; when probing, of one of them the next.
        for changed in range(-1, HASHES if probing else 0):
            key = np.full(len(waves), number, np.int64)
            for place, axes in enumerate(hashes):
                key = key * 2 * waves.shape[1] + axes[int(place == changed)]
            keys.append(key)
    return np.tile(picture, len(keys)), np.concatenate(keys), np.tile(sketch, len(keys))


def nearest_axes(waves: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return [2, n]: the axis nearest to each of the waves [n, axes], and the next; a number for each of its ends."""
    picture, length = np.arange(len(waves)), np.abs(waves)
    nearest = length.argmax(axis=1)
    length[picture, nearest] = -1
    both = np.stack([nearest, length.argmax(axis=1)])
    return np.asarray(both * 2 + (waves[picture, both] > 0))


def _rotations(number: int, axes: int) -> list[NDArray[np.float64]]:
    generator = np.random.default_rng((20150909, number))
    return [np.linalg.qr(generator.standard_normal((axes, axes)))[0] for _ in range(HASHES)]


def _turned(spectrum: Spectra) -> tuple[Spectra, NDArray[np.int64]]:
    """Return spectra turned and flipped to the orientation they single out, or several, and whose they are."""
    picture = np.arange(len(spectrum))
    across, down = np.where(_U % 2, -1, 1), np.where(_V % 2, -1, 1)
    for turn in range(3):
        if turn == 0:  # about the diagonal
            balance = _share((_U - _V) * spectrum**2, np.abs(_U - _V) * spectrum**2)
            other = spectrum.transpose(0, 2, 1)
        else:  # left and right, then top and bottom
            flipped, kept = (across, down) if turn == 1 else (down, across)
            odd = np.where((flipped < 0) & (kept > 0), spectrum, 0)
            balance = _share(odd * np.abs(odd), odd**2)
            other = spectrum * flipped
        right = np.where((balance >= 0)[:, None, None], spectrum, other)
        wrong = np.where((balance >= 0)[:, None, None], other, spectrum)
        both = np.abs(balance) < UNDECIDED
        spectrum = np.concatenate([right, wrong[both]])
        picture = np.concatenate([picture, picture[both]])
    return spectrum, picture


def _share(part: Spectra, whole: Spectra) -> NDArray[np.float64]:
    parts, wholes = (each[:, _COARSE].sum(axis=1) for each in (part, whole))
    return np.asarray(parts / np.maximum(wholes, 1e-12))
