"""Searching an archive: the vector index beside FAISS and brute force, and places found by category.

    .venv/bin/pip install faiss-cpu
    .venv/bin/python benchmarks/search.py vectors /tmp/vectors --rows 2000000
    .venv/bin/python benchmarks/search.py places town.index landmarks.parquet

`vectors` draws vectors as a model gives them, in clusters: 200 themes, 20,000 kinds of very different frequency, in
each some dozens of directions of falling spread, and one direction that all share. Half of the queries are drawn like
them (as a picture asks), half lie off to the side, near a kind (as a text asks). Every system works on the same
vectors in a process of its own, on two cores; a query is for the best 10, one at a time, warm: what is timed is the
second pass over all queries. "ours" is the LanceDB table of `geomammut index` with its index and parameters.

`places` asks an archive of the demo's place for each of its classes in words, and looks in the map whether one of
the first 10 hits shows such a thing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIMENSIONS, THEMES, KINDS, SPREAD = 512, 200, 20_000, 48
QUERIES = 200  # of either kind
SYSTEMS = ("ours", "faiss", "brute")
ROWS = 50_000  # drawn, or compared, at a time
# Class of the demo's held-out scenes → the categories of landmarks that show it.
CLASSES = {
    "airport apron with airplanes": "apron",
    "apartment blocks": "apartment_building",
    "baseball diamond": "baseball_field",
    "beach": "beach",
    "bridge": "bridge",
    "cemetery": "cemetery",
    "construction site": "construction_site",
    "farmland": "farmland",
    "forest": "forest",
    "golf course": "golf_course",
    "greenhouses": "greenhouse",
    "industrial halls": "industrial_building",
    "lake": "lake",
    "marina with boats": "marina",
    "meadow": "meadow",
    "motorway": "motorway",
    "park": "park",
    "parking lot": "parking_lot",
    "quarry": "quarry",
    "railway": "railway",
    "residential houses": "residential_area",
    "river": "river",
    "roundabout": "roundabout",
    "running track": "running_track",
    "runway": "runway",
    "school": "school_grounds",
    "shopping centre": "retail_area",
    "soccer field": "soccer_field",
    "solar farm": "solar_farm",
    "stadium": "stadium",
    "storage tanks": "storage_tank",
    "swimming pool": "swimming_pool",
    "tennis courts": "tennis_court",
    "vineyard": "vineyard",
    "wastewater plant": "wastewater_plant",
}


def draw(folder: Path, rows: int) -> None:
    """Write `vectors.npy` (float16 [rows, E], of length 1), `queries.npy`, and `nearest.npy`, the best 10 of each."""
    import numpy as np

    def unit(values: Any) -> Any:
        return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)

    random = np.random.default_rng(0)
    shared = unit(random.normal(size=DIMENSIONS))
    themes = unit(random.normal(size=(THEMES, DIMENSIONS)))
    kinds = 0.7 * themes[np.arange(KINDS) % THEMES] + 0.6 * unit(random.normal(size=(KINDS, DIMENSIONS)))
    kinds = kinds.astype(np.float32)
    directions = (random.normal(size=(THEMES, SPREAD, DIMENSIONS)) * 0.6 / np.sqrt(DIMENSIONS)).astype(np.float32)
    often = np.cumsum(1 / np.arange(1, KINDS + 1) ** 0.5)
    often /= often[-1]

    def some(seed: list[int], count: int) -> Any:
        random = np.random.default_rng(seed)
        kind = np.searchsorted(often, random.random(count))
        offsets = random.standard_normal((count, SPREAD), np.float32) / np.sqrt(np.arange(1, SPREAD + 1)) / 2.1
        found = random.standard_normal((count, DIMENSIONS), np.float32) * (0.12 / np.sqrt(DIMENSIONS))
        found += kinds[kind] + shared
        for theme in range(THEMES):
            here = np.flatnonzero(kind % THEMES == theme)
            found[here] += offsets[here].astype(np.float32) @ directions[theme]
        return unit(found)

    folder.mkdir(parents=True, exist_ok=True)
    aside = unit(random.normal(size=DIMENSIONS)) * 1.5 - 0.5 * shared
    texts = unit(
        kinds[random.integers(0, KINDS, QUERIES)] + 0.3 * unit(random.normal(size=(QUERIES, DIMENSIONS))) + aside
    )
    queries = np.concatenate([some([2], QUERIES), texts])
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (rows, DIMENSIONS))
    best = np.full((len(queries), 10), -9, np.float32)
    nearest = np.zeros((len(queries), 10), np.int64)
    for first in range(0, rows, ROWS):
        part = some([1, first], min(ROWS, rows - first)).astype(np.float16)
        vectors[first : first + len(part)] = part
        scores = np.concatenate([best, queries @ part.astype(np.float32).T], axis=1)
        places = np.concatenate([nearest, np.tile(np.arange(first, first + len(part)), (len(queries), 1))], axis=1)
        top = np.argpartition(-scores, 10, axis=1)[:, :10]
        best, nearest = np.take_along_axis(scores, top, 1), np.take_along_axis(places, top, 1)
    vectors.flush()
    np.save(folder / "queries.npy", queries)
    np.save(folder / "nearest.npy", nearest)


def measured(folder: Path, name: str, ask: Callable[[Any], Any], figures: dict[str, Any]) -> dict[str, Any]:
    """Return recall@10 and milliseconds of one system, which answers a query with the places of 10 vectors."""
    import numpy as np

    queries, nearest = np.load(folder / "queries.npy"), np.load(folder / "nearest.npy")
    for _ in range(2):
        seconds, found = [], []
        for query in queries:
            began = time.perf_counter()
            places = ask(query)
            seconds.append(time.perf_counter() - began)
            found.append(places)
    right = [len(set(places) & set(truth.tolist())) / 10 for places, truth in zip(found, nearest, strict=True)]
    return {
        "system": name,
        **figures,
        "recall@10 pictures": round(float(np.mean(right[:QUERIES])), 3),
        "recall@10 texts": round(float(np.mean(right[QUERIES:])), 3),
        "p50 ms": round(float(np.percentile(seconds, 50)) * 1e3, 1),
        "p95 ms": round(float(np.percentile(seconds, 95)) * 1e3, 1),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def ours(folder: Path) -> dict[str, Any]:
    """The table in one process: written, indexed, asked."""
    import lancedb
    import numpy as np
    import pyarrow as pa

    from geomammut.search.vectors import index_vectors, nearest

    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    schema = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float16(), DIMENSIONS))])

    def batches() -> Any:
        for first in range(0, len(vectors), ROWS):
            part = np.array(vectors[first : first + ROWS])
            values = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), DIMENSIONS)
            yield pa.record_batch([pa.array(np.arange(first, first + len(part))), values], schema=schema)

    database = lancedb.connect(folder / "lance")
    began = time.perf_counter()
    table = database.create_table("chips", batches(), schema=schema, mode="overwrite")
    index_vectors(table)
    figures = {"build s": round(time.perf_counter() - began, 1), "disk MB": megabytes(folder / "lance")}
    figures["build peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return measured(folder, "ours", lambda query: nearest(table, query, 10, ["id"])["id"].to_pylist(), figures)


def faiss(folder: Path) -> dict[str, Any]:
    """FAISS in memory: IVF with as many lists as ours and 8-bit numbers."""
    import faiss as peer
    import numpy as np

    from geomammut.search.vectors import partitions_of, probed

    peer.omp_set_num_threads(2)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    lists = partitions_of(len(vectors))
    began = time.perf_counter()
    index = peer.index_factory(DIMENSIONS, f"IVF{lists},SQ8", peer.METRIC_INNER_PRODUCT)
    step = max(1, len(vectors) // (64 * lists))
    index.train(np.array(vectors[::step], np.float32))
    for first in range(0, len(vectors), ROWS):
        index.add(np.array(vectors[first : first + ROWS], np.float32))
    index.nprobe = probed(lists)
    seconds = time.perf_counter() - began
    peer.write_index(index, str(folder / "faiss.index"))
    figures = {"build s": round(seconds, 1), "disk MB": megabytes(folder / "faiss.index")}
    return measured(folder, "faiss", lambda query: index.search(query[None], 10)[1][0].tolist(), figures)


def brute(folder: Path) -> dict[str, Any]:
    """Every vector compared, float16 in memory (FAISS's own scan)."""
    import faiss as peer
    import numpy as np

    peer.omp_set_num_threads(2)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    began = time.perf_counter()
    index = peer.IndexScalarQuantizer(DIMENSIONS, peer.ScalarQuantizer.QT_fp16, peer.METRIC_INNER_PRODUCT)
    index.train(np.array(vectors[:1000], np.float32))
    for first in range(0, len(vectors), ROWS):
        index.add(np.array(vectors[first : first + ROWS], np.float32))
    figures = {"build s": round(time.perf_counter() - began, 1), "disk MB": megabytes(folder / "vectors.npy")}
    return measured(folder, "brute", lambda query: index.search(query[None], 10)[1][0].tolist(), figures)


def megabytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) >> 20


def vectors(folder: Path, rows: int, systems: list[str]) -> None:
    """Draw what is not there yet, and let each system work in a process of its own."""
    import numpy as np

    if not (folder / "nearest.npy").exists() or len(np.load(folder / "vectors.npy", mmap_mode="r")) != rows:
        draw(folder, rows)
    for system in systems:
        words = [sys.executable, __file__, "one", str(folder), system]
        environment = {**os.environ, "RUST_LOG": "error", "OMP_NUM_THREADS": "2"}
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        print(done.stdout.strip().splitlines()[-1], flush=True)


def places(index: Path, landmarks: Path) -> None:
    """Print for each class how many of the first 10 hits show it, and the class's share of all chips."""
    import numpy as np
    import shapely

    from geomammut.landmarks.table import read_landmarks
    from geomammut.search.archive import Archive, Filter
    from geomammut.search.query import query_embedding

    archive = Archive.open(index)
    model = archive.load_model()
    table = read_landmarks(landmarks)
    footprints = archive.table.search().select(["footprint"]).limit(None).to_arrow()["footprint"].to_pylist()
    chips = shapely.from_wkb(footprints)
    found = []
    for text, category in CLASSES.items():
        shapes = shapely.STRtree(table[table["category"] == category].geometry.to_numpy())
        hits = archive.search(query_embedding(model, texts=[text]), 10, Filter())
        right = [len(shapes.query(shapely.geometry.shape(dict(hit.footprint)), "intersects")) > 0 for hit in hits]
        share = len(np.unique(shapes.query(chips, "intersects")[0])) / len(chips)
        found.append((share, text, sum(right)))
        print(f"{text:30} {100 * share:5.1f}% of the chips, {sum(right):2} of the first {len(hits)}")
    rarest = sorted(found)[:20]
    for name, some in (("all", found), ("the rarest", rarest)):
        print(f"{name}: {sum(right > 0 for *_, right in some)} of {len(some)} classes in the first 10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("vectors")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--rows", type=int, default=2_000_000)
    verb.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    verb = verbs.add_parser("one")
    verb.add_argument("folder", type=Path)
    verb.add_argument("system", choices=SYSTEMS)
    verb = verbs.add_parser("places")
    verb.add_argument("index", type=Path)
    verb.add_argument("landmarks", type=Path)
    options = parser.parse_args()
    if options.verb == "vectors":
        vectors(options.folder, options.rows, options.systems)
    elif options.verb == "one":
        print(json.dumps({"ours": ours, "faiss": faiss, "brute": brute}[options.system](options.folder)))
    else:
        places(options.index, options.landmarks)


if __name__ == "__main__":
    main()
