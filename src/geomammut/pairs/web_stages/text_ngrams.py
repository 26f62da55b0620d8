"""Texts as hashed words and pairs of neighbouring words, a whole column at a time."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geomammut.pairs.web_stages.folding import folded

BUCKETS = 1 << 18
_BUCKET_SHIFT = np.uint64(64 - 18)
_MULTIPLIER, _MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SPAN = 64  # a longer word's letters start again
_POWERS = np.power(np.uint64(0x100000001B3), np.arange(_SPAN, dtype=np.uint64))
# Bytes of words: letters and digits, and every byte of another script.
_IN_WORD = np.array([byte > 127 or chr(byte).isalnum() for byte in range(256)])


@dataclass(frozen=True)
class NGrams:
    """The n-grams of some texts, as often as they stand there.

    Attributes:
        buckets: [M] in 0 … BUCKETS - 1.
        texts: [M] the text of each.
        weights: [M] 1/√(number of n-grams of that text), so that long texts do not weigh more.
        count: Number of texts, those without words counted.
    """

    buckets: NDArray[np.int64]
    texts: NDArray[np.int64]
    weights: NDArray[np.float32]
    count: int


def hashed_ngrams(texts: pa.Array) -> NGrams:
    """Hash the words and the pairs of neighbouring words of `texts` ([N] strings or nulls), folded."""
    column = folded(texts.cast(pa.large_string()).fill_null(""))
    ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    letters = np.frombuffer(column.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    starts = _word_starts(letters, ends)
    hashes = _word_hashes(letters, starts)
    owners = np.searchsorted(ends, starts, "right") - 1
    together = owners[1:] == owners[:-1]
    pairs = _mix(hashes[:-1] * _MULTIPLIER + hashes[1:])[together]
    buckets = (np.concatenate([hashes, pairs]) >> _BUCKET_SHIFT).astype(np.int64)
    of_text = np.concatenate([owners, owners[1:][together]])
    sizes = np.bincount(of_text, minlength=len(column))
    weights = (1 / np.sqrt(np.maximum(sizes, 1))).astype(np.float32)
    return NGrams(buckets, of_text, weights[of_text], len(column))


def _word_starts(letters: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    in_word = _IN_WORD[letters]
    before = np.zeros_like(in_word)
    before[1:] = in_word[:-1]
    before[ends[ends < len(letters)]] = False  # one text's last word is not the next one's
    return np.flatnonzero(in_word & ~before)


def _word_hashes(letters: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    if not len(starts):
        return np.empty(0, np.uint64)
    letters = letters[starts[0] :]
    starts = starts - starts[0]
    position = np.arange(len(letters)) - np.repeat(starts, np.diff(np.append(starts, len(letters))))
    terms = np.where(_IN_WORD[letters], letters * _POWERS[position % _SPAN], np.uint64(0))
    return _mix(np.add.reduceat(terms, starts))


def _mix(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _MIXER
    return hashes ^ (hashes >> np.uint64(29))
