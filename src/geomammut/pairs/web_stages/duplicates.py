"""Near-duplicates among pictures, and between them and known ones, as Daft programs.

Pictures meet in the buckets of their bands (`bands`, and `embedding_bands` where a model embedded them): a join on
equal keys, no comparison of all with all. In a bucket, each is compared with the NEIGHBOURS next to it in the order
of sketches, so that a bucket of a million blank skies costs no more for each than a small one. Those that meet are
compared for good by `likeness`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import daft
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from daft import DataType, col, lit
from numpy.typing import NDArray

from geomammut.pairs.web_stages.bands import BANDS, Bands, bands
from geomammut.pairs.web_stages.embeddings import EMBEDDING_BANDS, Embeddings, centre, embedding_bands, unpacked
from geomammut.pairs.web_stages.fingerprints import fingerprint, thumbnails
from geomammut.pairs.web_stages.likeness import likeness

__all__ = ["Search", "fingerprint", "near_duplicates", "near_known"]

NEIGHBOURS = 16  # on either side, in a bucket
ROWS_A_PASS = 2**18  # all of whose bands are in memory at a time; of more rows, fewer bands

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """How wide a search is: the wider, the fewer copies are missed, and the more strangers are taken for copies.

    Attributes:
        likeness: Least that is enough, 0 to 1.
        bands: In how many of them pictures may meet.
        sketches_apart: Bits in which the sketches of those that meet may differ.
        probing: Pictures may meet in the bands next to theirs, too; see `bands`.
        thorough: See `likeness`.
    """

    likeness: float = 0.8
    bands: int = BANDS
    sketches_apart: int = 13
    probing: bool = False
    thorough: bool = False


DUPLICATES = Search()
# Runways of one airfield look the same to a model and nearly the same in detail: what only a model brought together
# must be more alike.
EMBEDDED = Search(likeness=0.95, bands=EMBEDDING_BANDS, sketches_apart=9)

_ENTRY = pa.struct([("key", pa.int64()), ("sketch", pa.int64())])
_PAIR = pa.struct([("first", pa.int64()), ("second", pa.int64())])


def near_duplicates(pictures: daft.DataFrame) -> daft.DataFrame:
    """Return the rows that repeat a better one.

    Rows are taken from the best to the worst; a row goes if it is like one that was kept before.

    Args:
        pictures: `row`, `fingerprint`, and `preference`: smaller is better; of equals, the smaller row; and if a
            model embedded them, `embedding` (see `packed`), null where it did not.

    Returns:
        `row` and `duplicate_of`, the best row it repeats among those kept, in the order of the rows.
    """
    middle = centre(pictures) if "embedding" in pictures.column_names else None
    row, duplicate_of, crowd = _repeats(pictures, middle)
    # Of a crowd of copies, more than are compared with each other, several are kept: these are compared again.
    while len(crowd) > 1:
        again, of, _ = _repeats(pictures.where(col("row").is_in(crowd.tolist())), middle)
        row, duplicate_of = np.concatenate([row, again]), np.concatenate([duplicate_of, of])
        crowd = np.setdiff1d(crowd, again) if len(again) else again
    found = pa.table({"row": row, "duplicate_of": _followed(row, duplicate_of)})
    return daft.from_arrow(found.sort_by("row"))


def near_known(pictures: daft.DataFrame, known: daft.DataFrame, search: Search = DUPLICATES) -> daft.DataFrame:
    """Return the rows that are near-duplicates of known pictures.

    Args:
        pictures: `row` and `fingerprint`; where both have `embedding`, of one model, these are compared too.
        known: `number`, int64, and `fingerprint`.
        search: How wide.

    Returns:
        `row`, `number` of the known picture that it is most like (of equals, the smallest), and `likeness`; in the
        order of the rows.
    """
    numbered = known.with_column("row", col("number"))
    met = [
        _across(_entries(pictures, numbers), _entries(numbered, numbers, search.probing), search)
        for numbers in _passes(pictures, search.bands)
    ]
    embedded = all("embedding" in each.column_names for each in (pictures, known))
    if embedded and (middle := centre(numbered)) is not None:
        asked, told = (each.where(col("embedding").not_null()) for each in (pictures, numbered))
        for numbers in _passes(asked, EMBEDDED.bands):
            entries = [_embedding_entries(each, numbers, middle) for each in (asked, told)]
            met.append(_across(entries[0], entries[1], EMBEDDED))
    pairs = _together(met).join(pictures.select(col("row").alias("first"), "fingerprint"), on="first")
    others = known.select(col("number").alias("second"), col("fingerprint").alias("other"))
    alike = _alike(pairs.join(others, on="second"), search).to_arrow().combine_chunks()
    order = [("first", "ascending"), ("likeness", "descending"), ("second", "ascending")]
    alike = alike.select(["first", "second", "likeness"]).sort_by(order)
    rows = alike["first"].to_numpy()
    best = alike.filter(pa.array(np.diff(rows, prepend=rows[:1] - 1) != 0))
    return daft.from_arrow(best.rename_columns(["row", "number", "likeness"]))


def _repeats(pictures: daft.DataFrame, middle: Embeddings | None) -> tuple[Integers, Integers, Integers]:
    """Return the rows that repeat a better one, and which; and those kept that are like as many as are compared."""
    met = [_within(_entries(pictures, numbers), DUPLICATES) for numbers in _passes(pictures, DUPLICATES.bands)]
    if middle is not None:
        embedded = pictures.where(col("embedding").not_null())
        for numbers in _passes(embedded, EMBEDDED.bands):
            met.append(_within(_embedding_entries(embedded, numbers, middle), EMBEDDED))
    firsts, seconds = (
        pictures.select(
            col("row").alias(place), col("fingerprint").alias(f"{place}_print"), col("preference").alias(f"{place}_is")
        )
        for place in ("first", "second")
    )
    both = _together(met).join(firsts, on="first").join(seconds, on="second")
    both = both.with_columns({"fingerprint": col("first_print"), "other": col("second_print")})
    alike = _alike(both, DUPLICATES).select("first", "second", "first_is", "second_is").to_arrow()
    first, second, first_is, second_is = (alike[name].to_numpy() for name in alike.column_names)
    row, duplicate_of = _kept_best(first, second, first_is, second_is)
    rows, copies = np.unique(np.concatenate([first, second]), return_counts=True)
    return row, duplicate_of, np.setdiff1d(rows[copies >= NEIGHBOURS], row)


def _passes(pictures: daft.DataFrame, count: int) -> Iterator[range]:
    """Yield the numbers of the bands that are worked on at a time."""
    rows = pictures.select("row").count_rows()
    at_a_time = max(1, BANDS * ROWS_A_PASS // max(rows, ROWS_A_PASS))
    for start in range(0, count, at_a_time):
        yield range(start, min(start + at_a_time, count))


def _entries(pictures: daft.DataFrame, numbers: range, probing: bool = False) -> daft.DataFrame:
    """Return `row`, `key` and `sketch` of all bands of these numbers."""

    def of(prints: Sequence[bytes]) -> Bands:
        return bands(thumbnails(prints)[0], numbers, probing=probing)

    return _keyed(pictures, "fingerprint", of)


def _embedding_entries(pictures: daft.DataFrame, numbers: range, middle: Embeddings) -> daft.DataFrame:
    """Return the same of the embeddings, none of which may be null."""

    def of(embeddings: Sequence[bytes]) -> Bands:
        return embedding_bands(unpacked(embeddings), middle, numbers)

    return _keyed(pictures, "embedding", of)


def _keyed(pictures: daft.DataFrame, column: str, of: Callable[[Sequence[bytes]], Bands]) -> daft.DataFrame:
    @daft.func.batch(return_dtype=DataType.list(DataType.from_arrow_type(_ENTRY)), use_process=False, batch_size=1024)
    def keys(values: daft.Series) -> pa.ListArray:
        found = of(values.to_arrow().to_pylist())
        entries = pa.StructArray.from_arrays([pa.array(found.key), pa.array(found.sketch)], fields=list(_ENTRY))
        return _listed(found.picture, entries, len(values))

    entries = pictures.select("row", keys(col(column)).alias("band")).explode("band")
    return entries.select("row", col("band")["key"].alias("key"), col("band")["sketch"].alias("sketch"))


def _listed(place: Integers, values: pa.Array, count: int) -> pa.ListArray:
    """Return `count` lists: of the values with each place, which ascends."""
    offsets = np.searchsorted(place, np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _within(entries: daft.DataFrame, search: Search) -> daft.DataFrame:
    """Return the pairs of rows that meet: `first`, the smaller, `second`, and how alike they must be: `least`."""

    @daft.func.batch(return_dtype=DataType.list(DataType.from_arrow_type(_PAIR)), use_process=False, batch_size=4096)
    def meet(rows: daft.Series, sketches: daft.Series) -> pa.ListArray:
        bucket, row = _flat(rows)
        _, sketch = _flat(sketches)
        order = np.lexsort((row, sketch, bucket))
        bucket, row, sketch = bucket[order], row[order], sketch[order]
        met = []
        for step in range(1, NEIGHBOURS + 1):
            near = (bucket[step:] == bucket[:-step]) & (row[step:] != row[:-step])
            near &= np.bitwise_count(sketch[step:] ^ sketch[:-step]) <= search.sketches_apart
            left, right = row[:-step][near], row[step:][near]
            met.append(np.stack([bucket[:-step][near], np.minimum(left, right), np.maximum(left, right)]))
        return _pairs(np.concatenate(met, axis=1), len(rows))

    buckets = entries.groupby("key").agg(col("row").list_agg(), col("sketch").list_agg(), col("key").count().alias("n"))
    pairs = buckets.where(col("n") > lit(1)).select(meet(col("row"), col("sketch")).alias("pair"))
    return _exploded(pairs).with_column("least", lit(search.likeness))


def _across(entries: daft.DataFrame, known: daft.DataFrame, search: Search) -> daft.DataFrame:
    """Return the pairs that meet of a row, `first`, and of a known one, `second`; and `least`, as `_within` does."""

    @daft.func.batch(return_dtype=DataType.list(DataType.from_arrow_type(_PAIR)), use_process=False, batch_size=4096)
    def meet(rows: daft.Series, sketches: daft.Series, sides: daft.Series) -> pa.ListArray:
        bucket, row = _flat(rows)
        sketch, side = _flat(sketches)[1], _flat(sides)[1]
        order = np.lexsort((row, side, sketch, bucket))
        bucket, row, sketch, side = bucket[order], row[order], sketch[order], side[order]
        asked, told = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
        place = np.searchsorted(told, asked)  # the next known one in the order of sketches
        met = []
        for step in range(-NEIGHBOURS, NEIGHBOURS):
            other = told[(place + step).clip(0, len(told) - 1)]
            near = (place + step >= 0) & (place + step < len(told)) & (bucket[other] == bucket[asked])
            near &= np.bitwise_count(sketch[other] ^ sketch[asked]) <= search.sketches_apart
            met.append(np.stack([bucket[asked][near], row[asked][near], row[other][near]]))
        return _pairs(np.concatenate(met, axis=1), len(rows))

    entries = entries.join(known.select("key").distinct(), on="key", how="semi")
    both = entries.with_column("side", lit(0)).concat(known.with_column("side", lit(1)))
    lists = [col(name).cast(DataType.int64()).list_agg().alias(name) for name in ("row", "sketch", "side")]
    buckets = both.groupby("key").agg(*lists, col("side").min().alias("low"), col("side").max().alias("high"))
    shared = buckets.where((col("low") == lit(0)) & (col("high") == lit(1)))
    pairs = shared.select(meet(col("row"), col("sketch"), col("side")).alias("pair"))
    return _exploded(pairs).with_column("least", lit(search.likeness))


def _flat(lists: daft.Series) -> tuple[Integers, Integers]:
    """Return, of the values in lists, the number of the list and the value."""
    arrow = lists.to_arrow()
    lengths = pc.list_value_length(arrow).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(arrow)), lengths), arrow.flatten().to_numpy(zero_copy_only=False)


def _pairs(met: Integers, buckets: int) -> pa.ListArray:
    """Return the different pairs of each bucket; `met` [3, n]: bucket, first, second."""
    bucket, first, second = np.unique(met, axis=1)
    pairs = pa.StructArray.from_arrays([pa.array(first), pa.array(second)], fields=list(_PAIR))
    return _listed(bucket, pairs, buckets)


def _exploded(buckets: daft.DataFrame) -> daft.DataFrame:
    pairs = buckets.where(col("pair").list_count() > lit(0)).explode("pair")
    return pairs.select(col("pair")["first"].alias("first"), col("pair")["second"].alias("second")).distinct()


def _together(met: list[daft.DataFrame]) -> daft.DataFrame:
    """Run the passes one after the other, and return their different pairs, each with the `least` it met with."""
    pairs = met[0].collect()
    for each in met[1:]:
        pairs = pairs.concat(each.collect())
    return pairs.groupby("first", "second").agg(col("least").min())


def _alike(pairs: daft.DataFrame, search: Search) -> daft.DataFrame:
    """Add `likeness` of `fingerprint` and `other`, and keep the pairs that have the `least` that is enough."""

    @daft.func.batch(return_dtype=DataType.float32(), use_process=False, batch_size=2048)
    def compare(prints: daft.Series, others: daft.Series) -> pa.Array:
        first, second = (thumbnails(each.to_arrow().to_pylist()) for each in (prints, others))
        return pa.array(likeness(first, second, thorough=search.thorough))

    compared = pairs.with_column("likeness", compare(col("fingerprint"), col("other")))
    return compared.where(col("likeness") >= col("least"))


def _kept_best(first: Integers, second: Integers, first_is: Integers, second_is: Integers) -> tuple[Integers, Integers]:
    """Return the rows that go, given all pairs that are alike, and for each the best kept row that it is like.

    The same as taking rows from the best to the worst, but all at once that no undecided better one is like.
    """
    rows, at = np.unique(np.concatenate([first, second]), return_index=True)
    order = np.lexsort((rows, np.concatenate([first_is, second_is])[at]))
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows))
    ranks = np.stack([rank[np.searchsorted(rows, each)] for each in (first, second)])
    better, worse = ranks.min(axis=0), ranks.max(axis=0)
    decided, repeated = np.zeros(len(rows), bool), np.full(len(rows), len(rows))
    while len(better):
        kept = ~decided
        kept[worse] = False
        of_kept = kept[better]
        np.minimum.at(repeated, worse[of_kept], better[of_kept])
        decided |= kept | (repeated < len(rows))
        open_still = ~decided[better] & ~decided[worse]
        better, worse = better[open_still], worse[open_still]
    gone = np.flatnonzero(repeated < len(rows))
    return rows[order][gone], rows[order][repeated[gone]]


def _followed(row: Integers, duplicate_of: Integers) -> Integers:
    """Return what each row repeats in the end, where what it repeats is gone too."""
    order = np.argsort(row)
    while len(row):
        place = np.searchsorted(row, duplicate_of, sorter=order).clip(0, len(row) - 1)
        gone = row[order[place]] == duplicate_of
        if not gone.any():
            return duplicate_of
        duplicate_of = np.where(gone, duplicate_of[order[place]], duplicate_of)
    return duplicate_of
