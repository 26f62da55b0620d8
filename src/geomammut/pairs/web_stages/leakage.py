"""The leakage guard: pictures that are nearly one of a benchmark's, or one of another pair set's."""

from collections.abc import Sequence
from pathlib import Path

import daft
import pyarrow as pa
import pyarrow.compute as pc
from daft import col

from geomammut.pairs.benchmark_register import benchmarks_list
from geomammut.pairs.known_pictures import Embedder, file_of, of_pair_set, read_known
from geomammut.pairs.web_stages.duplicates import DUPLICATES, Search, near_known

# A leak costs more than a lost picture.
LEAKS = Search(likeness=0.58, bands=16, sketches_apart=18, probing=True, thorough=True)


def leaks(pictures: daft.DataFrame) -> daft.DataFrame:
    """Return the rows that are nearly an image of a registered benchmark (see `benchmarks_add`).

    Args:
        pictures: `row` and `fingerprint`.

    Returns:
        `row`, `benchmark` and `benchmark_image` that it is most like, and `detail`, the two in one text; in the
        order of the rows.
    """
    registered = benchmarks_list()
    names = [each.name for each in registered]
    found = _found(pictures, [each.file for each in registered], names, LEAKS)
    return daft.from_arrow(found.rename_columns(["row", "benchmark", "benchmark_image", "detail"]))


def copies_of(pictures: daft.DataFrame, pair_sets: Sequence[Path], embedder: Embedder | None = None) -> daft.DataFrame:
    """Return the rows that are near-duplicates of images of pair sets.

    Args:
        pictures: `row` and `fingerprint`; with an embedder also `embedding`, of the same model.
        pair_sets: Their folders.
        embedder: Embeds the pair sets' images, so that stronger crops are found too.

    Returns:
        `row`, `pair_set` (its folder's name), `id` of the pair, and `detail`, the two in one text; in the order of
        the rows.

    Raises:
        UserError: One is no pair set.
    """
    names = [Path(folder).resolve().name for folder in pair_sets]
    found = _found(pictures, [of_pair_set(folder, embedder) for folder in pair_sets], names, DUPLICATES)
    return daft.from_arrow(found.rename_columns(["row", "pair_set", "id", "detail"]))


def _found(pictures: daft.DataFrame, files: Sequence[Path], names: list[str], search: Search) -> pa.Table:
    """Return the row, the name of the file and of the image in it, and both."""
    if not files:
        nothing = pa.array([], pa.string())
        return pa.table({"row": pa.array([], pa.int64()), "of": nothing, "image": nothing, "detail": nothing})
    known = read_known(files)
    near = near_known(pictures, known, search)
    named = near.join(known.select("number", "image"), on="number").select("row", col("number"), "image").to_arrow()
    named = named.combine_chunks().sort_by("row")
    of = pa.array([names[file_of(number)] for number in named["number"].to_pylist()], pa.string())
    image = named["image"].combine_chunks().cast(pa.string())
    detail = pc.binary_join_element_wise(of, image, ": ")
    return pa.table({"row": named["row"], "of": of, "image": image, "detail": detail})
