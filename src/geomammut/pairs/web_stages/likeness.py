"""How alike two pictures are, by their fingerprints, once one is laid over the other as well as it goes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomammut.pairs.web_stages.bands import VIEWS, spectra
from geomammut.pairs.web_stages.fingerprints import Bytes

Levels = NDArray[np.float32]  # [n, s, s]
Thumbnails = tuple[Bytes, Bytes]  # grey and RGB
Fit = NDArray[np.float32]  # [n, 4]: scale and shift down, scale and shift across

AT_A_TIME = 256  # pairs: what fits the cache
COLOURS_APART = 0.08  # of the mean brightness; 99% of changed copies are nearer (benchmarks/duplicates.py)
COLOURLESS = 0.01
ORIENTED = 0.3  # least agreement of the lowest frequencies
COARSE = 0.4  # least likeness at half the resolution
STEPS = 8
LARGEST_SCALE = 1.2
LARGEST_SHIFT = 0.12
CONSTANT = 0.3  # standard deviation of grey levels
CONSTANTS_APART = 8  # levels, of the pictures' red, green or blue


@dataclass(frozen=True)
class _Look:
    """How patiently two pictures are laid over each other; see the constants."""

    orientations: int = 1  # tried, in the order of their agreement
    colours_apart: float = COLOURS_APART
    oriented: float = ORIENTED
    coarse: float = COARSE
    steps: int = STEPS  # of the fit at full resolution; those at half of it are STEPS always


# A desert brightened till it clips turns white, rails agree with themselves turned round, and in a meadow with one tree
# the fit comes to the tree by small steps.
_THOROUGH = _Look(orientations=3, colours_apart=0.16, oriented=0.25, coarse=0.25, steps=24)
_BRIEF = _Look()

_AS_IT_IS = np.array([1, 0, 1, 0], np.float32)


def likeness(first: Thumbnails, second: Thumbnails, *, thorough: bool = False) -> NDArray[np.float32]:
    """Return how alike pictures are, pair by pair, from 0 to 1.

    It is the correlation of their details (what is finer than a fifth of the picture) where they overlap, after the
    second was turned or flipped to agree best, and the first stretched and shifted a little (Lucas and Kanade 1981;
    Baker and Matthews 2004, inverse compositional); of this and the same the other way round, the less. Broad shapes
    do not count: half of all beaches look alike in them.

    Args:
        first: Grey and RGB thumbnails of the pairs' first pictures; see `fingerprints.thumbnails`.
        second: Likewise, as many.
        thorough: Try several orientations, allow colours farther apart, and of the two ways count the better: more
            copies are found, and more pictures that are none.
    """
    alike = np.zeros(len(first[0]), np.float32)
    for start in range(0, len(alike), AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        one, other = ((grey[part], colour[part]) for grey, colour in (first, second))
        if thorough:
            alike[part] = np.maximum(_likeness(one, other, _THOROUGH), _likeness(other, one, _THOROUGH))
            continue
        alike[part] = _likeness(one, other, _BRIEF)
        near = start + np.flatnonzero(alike[part] >= COARSE)
        one, other = ((grey[near], colour[near]) for grey, colour in (first, second))
        alike[near] = np.minimum(alike[near], _likeness(other, one, _BRIEF))
    return alike


def _likeness(one: Thumbnails, other: Thumbnails, look: _Look) -> Levels:
    (grey, colour), (other_grey, other_colour) = one, other
    alike = np.zeros(len(grey), np.float32)
    same_colours = _same_colours(grey, colour, other_grey, other_colour, look.colours_apart)
    constant, other_constant = (each.std(axis=(1, 2)) < CONSTANT for each in (grey, other_grey))
    mean, other_mean = (each.mean(axis=(1, 2)) for each in (colour, other_colour))
    equal = np.abs(mean - other_mean).max(axis=1) <= CONSTANTS_APART
    alike[equal & constant & other_constant] = 1
    left = np.flatnonzero(same_colours & ~constant & ~other_constant)
    levels, others = _standardized(grey[left]), _standardized(other_grey[left])
    for turned, agreement in _oriented(levels, others, look.orientations):
        near = agreement >= look.oriented
        alike[left[near]] = np.maximum(alike[left[near]], _laid_over(levels[near], turned[near], look))
    return alike


def _laid_over(levels: Levels, others: Levels, look: _Look) -> Levels:
    """Return how alike grey levels are once they are stretched and shifted to lie on the others."""
    small, small_others = _halved(levels), _halved(others)
    fit = _fit(_smooth(small, 1), _smooth(small_others, 1), np.tile(_AS_IT_IS, (len(levels), 1)), steps=STEPS)
    near = _correlation(small, small_others, fit, smoothing=3) >= look.coarse
    levels, others = levels[near], others[near]
    fit = _fit(_smooth(levels, 1), _smooth(others, 1), fit[near], steps=look.steps)
    alike = np.zeros(len(near), np.float32)
    alike[near] = _correlation(levels, others, fit, smoothing=6)
    return alike.clip(0, 1)


def _same_colours(
    grey: Bytes, colour: Bytes, other_grey: Bytes, other_colour: Bytes, most_apart: float
) -> NDArray[np.bool_]:
    """Tell pairs whose colours, brightness aside, are the same in any orientation; grey pictures have no say."""

    def tints(grey: Bytes, colour: Bytes) -> NDArray[np.float32]:
        levels = colour.astype(np.float32)
        brightness = np.maximum(grey.mean(axis=(1, 2), dtype=np.float32), 8)
        return np.asarray((levels - levels.mean(axis=3, keepdims=True)) / brightness[:, None, None, None], np.float32)

    tint, other = tints(grey, colour), tints(other_grey, other_colour)
    apart = np.min([np.square(tint - turned).mean(axis=(1, 2, 3)) for turned in _orientations(other)], axis=0)
    colourless = np.minimum(np.square(tint).mean(axis=(1, 2, 3)), np.square(other).mean(axis=(1, 2, 3)))
    return np.asarray((apart <= most_apart**2) | (colourless <= COLOURLESS**2))


def _orientations(pictures: Levels) -> list[Levels]:
    """Return the eight ways to lay down pictures [n, s, s, ...]."""
    turned = [pictures, pictures.swapaxes(1, 2)]
    turned += [each[:, ::-1] for each in turned]
    return turned + [each[:, :, ::-1] for each in turned]


def _standardized(grey: Bytes) -> Levels:
    levels = grey.astype(np.float32)
    levels -= levels.mean(axis=(1, 2), keepdims=True)
    levels /= np.maximum(levels.std(axis=(1, 2), keepdims=True), 0.5)
    return levels.clip(-4, 4)


def _oriented(levels: Levels, others: Levels, count: int) -> Iterator[tuple[Levels, NDArray[np.float64]]]:
    """Yield the others as they agree best in the lowest frequencies, next to best, …; and how well, in -1..1."""
    waves, other_waves = (_lowest(each) for each in (levels, others))
    agreements = np.stack([(waves * each).sum(axis=(1, 2)) for each in _turned_waves(other_waves)])
    turned, picture = np.stack(_orientations(others)), np.arange(len(others))
    for best in np.argsort(-agreements, axis=0, kind="stable")[:count]:
        yield turned[best, picture], agreements[best, picture]


def _lowest(levels: Levels) -> NDArray[np.float64]:
    v, u = np.mgrid[:8, :8]
    waves = spectra(levels.astype(np.float64), VIEWS[0]) * np.where(u + v <= 7, np.hypot(u, v), 0)
    return np.asarray(waves / np.maximum(np.linalg.norm(waves, axis=(1, 2), keepdims=True), 1e-12))


def _turned_waves(waves: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the frequencies of `_orientations`, in its order: a flip turns the odd ones' signs."""
    odd = np.where(np.arange(waves.shape[1]) % 2, -1, 1)
    turned = [waves, waves.swapaxes(1, 2)]
    turned += [each * odd[:, None] for each in turned]
    return turned + [each * odd for each in turned]


def _halved(levels: Levels) -> Levels:
    count, side, _ = levels.shape
    return np.asarray(levels.reshape(count, side // 2, 2, side // 2, 2).mean(axis=(2, 4)))


def _smooth(levels: Levels, times: int) -> Levels:
    for _ in range(times):
        padded = np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="edge")
        rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
        levels = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
    return levels


def _fit(levels: Levels, others: Levels, fit: Fit, *, steps: int) -> Fit:
    """Return how to stretch and shift `levels` along both axes, from a first guess, so that they lie on `others`."""
    count, side, _ = levels.shape
    place = _places(side)
    down, across = np.gradient(others, axis=1) * side, np.gradient(others, axis=2) * side
    slopes = np.stack([down * place[:, None], down, across * place, across], axis=1).reshape(count, 4, side**2)
    slopes -= slopes.mean(axis=2, keepdims=True)
    # A little is added so that a picture of stripes, which may slide along them, is left where it is.
    stiffness = slopes @ slopes.transpose(0, 2, 1) + side**2 * 0.02 * np.eye(4, dtype=np.float32)
    for _ in range(steps):
        laid, inside = _laid(levels, fit)
        rest = (_centred(laid, inside) - _centred(others, inside)).reshape(count, side**2, 1)
        step = np.linalg.solve(stiffness, slopes @ rest)[:, :, 0].clip(-0.05, 0.05)
        scale = fit[:, ::2] / (1 + step[:, ::2])
        shift = fit[:, 1::2] - scale * step[:, 1::2]
        scale = scale.clip(1 / LARGEST_SCALE, LARGEST_SCALE)
        shift = shift.clip(-LARGEST_SHIFT, LARGEST_SHIFT)
        fit = np.stack([scale, shift], axis=2).reshape(count, 4).astype(np.float32)
    return fit


def _places(side: int) -> NDArray[np.float32]:
    """Return where the pixels of a row are, from -0.5 to 0.5."""
    places: NDArray[np.float32] = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return places


def _laid(levels: Levels, fit: Fit) -> tuple[Levels, Levels]:
    """Return pictures stretched and shifted, and where they are (1) or nothing is (0)."""
    side = levels.shape[1]
    weights, inside = [], []
    for scale, shift in ((fit[:, 0], fit[:, 1]), (fit[:, 2], fit[:, 3])):
        at = (scale[:, None] * _places(side) + shift[:, None] + 0.5) * side - 0.5
        away = np.abs(at[:, :, None] - np.arange(side, dtype=np.float32))
        weights.append(np.maximum(0, 1 - away).astype(np.float32))
        inside.append(((at >= -0.01) & (at <= side - 0.99)).astype(np.float32))
    laid: Levels = weights[0] @ levels @ weights[1].transpose(0, 2, 1)
    return laid, inside[0][:, :, None] * inside[1][:, None]


def _centred(levels: Levels, inside: Levels) -> Levels:
    """Return levels of mean 0 and variance 1 where they are, 0 elsewhere."""
    count = np.maximum(inside.sum(axis=(1, 2), keepdims=True), 1)
    levels = (levels - (levels * inside).sum(axis=(1, 2), keepdims=True) / count) * inside
    spread = np.sqrt(np.square(levels).sum(axis=(1, 2), keepdims=True) / count)
    return np.asarray(levels / np.maximum(spread, 1e-6))


def _correlation(levels: Levels, others: Levels, fit: Fit, *, smoothing: int) -> NDArray[np.float32]:
    """Return the correlation of details where pictures, laid on others, overlap."""
    laid, inside = _laid(levels, fit)
    inside = inside * np.prod([np.roll(inside, by, axis) for by in (-1, 1) for axis in (1, 2)], axis=0)
    details = []
    for each in (laid, others):
        fine = _smooth(each, 1)
        details.append(_centred(fine - _smooth(fine, smoothing), inside))
    count = np.maximum(inside.sum(axis=(1, 2)), 1)
    return np.asarray((details[0] * details[1]).sum(axis=(1, 2)) / count)
