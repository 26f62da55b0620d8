"""PBF to landmarks, ours beside quackosm and pyrosm, on a synthetic city: time and peak memory in one run.

    python -m venv peers
    peers/bin/pip install quackosm pyrosm duckdb==1.5.5 duckdb-extensions duckdb-extension-spatial
    peers/bin/python -c 'from duckdb_extensions import import_extension; import_extension("spatial")'
    .venv/bin/python benchmarks/landmarks.py --peer-python peers/bin/python

The city (`--blocks` a side) is written with pyosmium: streets that share nodes at their crossings, buildings
with addresses, multipolygons with holes, trees, shops, and things that cannot be seen; its ids rise with
gaps, as in an extract. Each reader runs in a process of its own, in turn, `--rounds` times, into one GeoParquet
file with geometries and tags; the peers are told to keep features that carry any key of our taxonomy (they
neither judge visibility by whole tags nor measure areas, as ours does). Peak memory is that of the process
with its children. The median of the rounds counts. quackosm 0.19 does not run with DuckDB 2; the extension
of DuckDB that it needs comes from the package index here, so that nothing is downloaded during the run.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

READERS = ("ours", "quackosm", "pyrosm")
BLOCK_DEGREES = 0.0012
PLOTS = 20  # of a block, each with a building
STREETS = "residential residential residential tertiary secondary primary living_street unclassified".split()
BUILDINGS = "yes yes yes house house apartments garage shed retail industrial".split()
NAMES = "Alder Birch Cedar Elm Fir Hazel Juniper Larch Maple Oak Pine Rowan Spruce Willow Yew".split()
POINTS = (
    {"natural": "tree"},
    {"amenity": "cafe", "name": "Corner", "opening_hours": "Mo-Fr 08:00-18:00"},
    {"highway": "crossing", "crossing": "marked"},
    {"highway": "street_lamp"},
    {"natural": "tree", "leaf_type": "broadleaved", "height": "12"},
    {"barrier": "gate"},
)
GROUNDS = (
    {"landuse": "forest"},
    {"landuse": "residential"},
    {"leisure": "park", "name": "Green"},
    {"natural": "water", "water": "pond"},
    {"landuse": "grass"},
    {"amenity": "parking", "parking": "surface", "access": "customers"},
)

Tags = dict[str, str]
Corner = tuple[int, int]


class City:
    """A city of `side` × `side` blocks, as OPL text: all nodes, then all ways, then all relations."""

    def __init__(self, side: int, text: TextIO) -> None:
        self.side = side
        self.text = text
        self.random = random.Random(0)
        self.ways: list[str] = []
        self.relations: list[str] = []
        self.last = {"n": 10_000_000, "w": 5_000_000, "r": 1_000_000}

    def write(self) -> None:
        line = range(self.side + 1)
        corners = {(row, col): self._node(col, row) for row in line for col in line}
        for across in line:
            for along in range(self.side):
                for start, end in (((across, along), (across, along + 1)), ((along, across), (along + 1, across))):
                    self._street(start, end, corners)
        for row in range(self.side):
            for col in range(self.side):
                self._block(row, col)
        self.text.writelines(self.ways)
        self.text.writelines(self.relations)

    def _id(self, letter: str) -> int:
        self.last[letter] += 1 + int(7 * self.random.random())
        return self.last[letter]

    def _node(self, col: float, row: float, tags: Tags | None = None) -> int:
        """Write a node at (col, row) of the grid of blocks, moved by half a metre."""
        number, jitter = self._id("n"), self.random.gauss
        lon, lat = 24 + col * 2 * BLOCK_DEGREES + jitter(0, 5e-6), 60 + row * BLOCK_DEGREES + jitter(0, 5e-6)
        self.text.write(f"n{number} v1 T{_told(tags or {})} x{lon:.7f} y{lat:.7f}\n")
        return number

    def _way(self, nodes: list[int], tags: Tags) -> int:
        number = self._id("w")
        self.ways.append(f"w{number} v1 T{_told(tags)} N{','.join(f'n{node}' for node in nodes)}\n")
        return number

    def _multipolygon(self, members: list[tuple[int, str]], tags: Tags) -> None:
        told = ",".join(f"w{way}@{role}" for way, role in members)
        self.relations.append(f"r{self._id('r')} v1 Ttype=multipolygon,{_told(tags)} M{told}\n")

    def _street(self, start: Corner, end: Corner, corners: dict[Corner, int]) -> None:
        ways = [(start[1] + (end[1] - start[1]) * t / 5, start[0] + (end[0] - start[0]) * t / 5) for t in range(1, 5)]
        middle = [self._node(col, row) for col, row in ways]
        name = f"{self.random.choice(NAMES)} Street {start[0]}"
        tags = {
            "highway": self.random.choice(STREETS),
            "name": name,
            "surface": "asphalt",
            "maxspeed": "30",
            "lit": "yes",
        }
        if self.random.random() < 0.02:
            tags |= {"tunnel": "yes", "layer": "-1"}
        self._way([corners[start], *middle, corners[end]], tags)

    def _outline(self, col: float, row: float, width: float, corners: int) -> list[int]:
        turn = self.random.random()
        angles = [2 * math.pi * corner / corners + turn for corner in range(corners)]
        ring = [self._node(col + width * math.cos(angle) / 2, row + width * math.sin(angle)) for angle in angles]
        return [*ring, ring[0]]

    def _block(self, row: int, col: int) -> None:
        chance, choice = self.random.random, self.random.choice
        for plot in range(PLOTS):
            x, y = col + 0.1 + 0.8 * (plot % 5) / 4, row + 0.15 + 0.7 * (plot // 5) / 3
            tags = {"building": choice(BUILDINGS)}
            if chance() < 0.5:
                street, number = f"{choice(NAMES)} Street {row}", str(plot + 1)
                tags |= {
                    "addr:street": street,
                    "addr:housenumber": number,
                    "addr:postcode": "00100",
                    "addr:city": "Town",
                }
            if chance() < 0.05:
                tags |= {"name": f"{choice(NAMES)} House", "building:levels": "4"}
            self._way(self._outline(x, y, 0.06, choice((4, 4, 4, 6, 8, 12))), tags)
            if chance() < 0.4:
                self._node(x + 0.08, y, choice(POINTS))
            elif chance() < 0.3:
                self._node(x, y, {"addr:housenumber": str(plot + 1), "addr:street": f"{choice(NAMES)} Street"})
        outer, tags = self._outline(col + 0.5, row + 0.5, 0.45, 16), choice(GROUNDS)
        if chance() < 0.75:
            self._way(outer, tags)
        else:  # an outline of two ways, with a hole
            inner = self._outline(col + 0.5, row + 0.5, 0.1, 8)
            parts = ((outer[:8], "outer"), (outer[7:], "outer"), (inner, "inner"))
            self._multipolygon([(self._way(nodes, {}), role) for nodes, role in parts], tags)


def _told(tags: Tags) -> str:
    return ",".join(f"{key}={value}" for key, value in tags.items()).replace(" ", "%20%")


def write_city(path: Path, side: int) -> None:
    import osmium

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, pbf = Path(folder) / "city.opl", Path(folder) / "city.osm.pbf"
        with text.open("w") as file:
            City(side, file).write()
        with osmium.SimpleWriter(str(pbf)) as writer:
            osmium.apply(str(text), writer)
        pbf.rename(path)


def read_ours(source: Path, out: Path) -> None:
    from geomammut.landmarks.table import landmarks

    landmarks(source, out)


def read_quackosm(source: Path, out: Path) -> None:
    import quackosm  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        quackosm.convert_pbf_to_parquet(
            source,
            tags_filter=dict.fromkeys(taxonomy_keys(), True),
            result_file_path=out,
            keep_all_tags=True,
            explode_tags=False,
            sort_result=False,
            ignore_cache=True,
            working_directory=scratch,
            verbosity_mode="silent",
        )


def read_pyrosm(source: Path, out: Path) -> None:
    import pyrosm  # type: ignore[import-not-found, unused-ignore]

    frame = pyrosm.OSM(str(source), keep_metadata=False).get_data_by_custom_criteria(
        custom_filter=dict.fromkeys(taxonomy_keys(), True)
    )
    frame.to_parquet(out, compression="zstd")


def taxonomy_keys() -> list[str]:
    return json.loads(os.environ["TAXONOMY_KEYS"])


def measure(python: str, reader: str, source: Path) -> dict[str, float]:
    """Run one reader in a process of its own; return its seconds, peak memory in MB and rows written."""
    import pyarrow.parquet as pq

    from geomammut.landmarks.taxonomy import load_taxonomy

    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        out, errors = Path(folder) / "out.parquet", Path(folder) / "errors.txt"
        environment = os.environ | {
            "TAXONOMY_KEYS": json.dumps(sorted(load_taxonomy().keys)),
            "TMPDIR": folder,  # what a peer keeps for its next run is gone by then
        }
        command = [python, __file__, "--read", reader, "--source", str(source), "--out", str(out)]
        with errors.open("wb") as told:
            started = time.perf_counter()
            process = subprocess.Popen(command, env=environment, stdout=told, stderr=told)
            together, ended = 0.0, 0
            while not ended:
                together = max(together, resident_mb(process.pid))
                time.sleep(0.05)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.perf_counter() - started
        if status:
            sys.exit(f"{reader} failed:\n{errors.read_text()[-3000:]}")
        return {
            "s": seconds,
            "peak_mb": max(together, usage.ru_maxrss / 1024),
            "rows": pq.read_metadata(out).num_rows,
        }


def resident_mb(process: int) -> float:
    """Return the resident memory of a process and its children, 0 once it has ended."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 + sum(resident_mb(int(child)) for child in children)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter of an environment with quackosm and pyrosm")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "geomammut-city")
    parser.add_argument(
        "--blocks", type=int, default=225, help="blocks a side of the city; 225 give a PBF of over 50 MB"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=READERS)
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        {"ours": read_ours, "quackosm": read_quackosm, "pyrosm": read_pyrosm}[arguments.read](
            arguments.source, arguments.out
        )
        return
    source = arguments.folder / f"city-{arguments.blocks}.osm.pbf"
    if not source.exists():
        arguments.folder.mkdir(parents=True, exist_ok=True)
        write_city(source, arguments.blocks)
    print(f"{source.name}: {source.stat().st_size / 1e6:.1f} MB", flush=True)
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(arguments.rounds):
        for reader in arguments.readers:
            python = sys.executable if reader == "ours" else arguments.peer_python
            if python:
                figures = measure(python, reader, source)
                runs.setdefault(reader, []).append(figures)
                print(reader, {name: round(value, 1) for name, value in figures.items()}, flush=True)
    middle = {
        reader: {name: statistics.median(run[name] for run in rounds) for name in rounds[0]}
        for reader, rounds in runs.items()
    }
    peers = [reader for reader in middle if reader != "ours"]
    for peer in peers if "ours" in middle else []:
        ratios = {name: middle["ours"][name] / middle[peer][name] for name in ("s", "peak_mb")}
        print(f"ours / {peer}: {ratios['s']:.2f} x the time, {ratios['peak_mb']:.2f} x the peak memory")


if __name__ == "__main__":
    main()
