"""The register of benchmarks: the fingerprints of their images, which no pair of the web may repeat."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from geomammut.errors import UserError
from geomammut.files import data_folder
from geomammut.pairs.benchmark import find_image, read_karpathy
from geomammut.pairs.known_pictures import Picture, pictures_of_pair_set, write_known
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"})


@dataclass(frozen=True)
class RegisteredBenchmark:
    """A benchmark whose images no pair of the web may repeat.

    Attributes:
        name: By which it was registered.
        images: How many.
        source: Where they were when it was registered.
        file: With their fingerprints.
    """

    name: str
    images: int
    source: str
    file: Path


def benchmarks_add(
    folder: Path,
    *,
    name: str | None = None,
    annotations: Path | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Path:
    """Register the images of a benchmark, so that `pairs web` drops what is nearly one of them.

    Only their fingerprints are kept, in the user's data folder (GEOMAMMUT_HOME sets another).

    Args:
        folder: A pair set, or a folder of images, however deep.
        name: By which to know it; that of the folder, if none is given. One of the same name is replaced.
        annotations: JSON in the Karpathy layout; only the images it names are registered.
        split: Only those of this split of the annotations.
        seed: Every verb takes one; nothing here is drawn by chance.

    Returns:
        The file with the fingerprints.

    Raises:
        UserError: There is no image, none can be read, or the name cannot be one of a file.
    """
    folder = Path(folder)
    if split is not None and annotations is None:
        raise UserError(f"--split {split} is of a benchmark's JSON file; give it with --annotations")
    name = name if name is not None else folder.resolve().name
    file = _file(name)
    pictures = _pictures(folder, annotations, split)
    try:
        written, broken = write_known(file, pictures, len(pictures), {"source": str(folder.resolve())})
    except UserError as error:
        raise UserError(f"{folder}: {error}; give a folder of images or a pair set") from error
    if broken:
        console.print(f"note: {broken} of {written + broken} images of {name} cannot be read; they are not registered")
    return file


def benchmarks_list(*, seed: int = 0) -> list[RegisteredBenchmark]:
    """Return the registered benchmarks, by name.

    Args:
        seed: Every verb takes one; nothing here is drawn by chance.
    """
    return [_registered(file) for file in sorted((data_folder() / "benchmarks").glob("*.parquet"))]


def benchmarks_remove(name: str, *, seed: int = 0) -> Path:
    """Forget a registered benchmark, and return the file that held its fingerprints.

    Raises:
        UserError: None has this name.
    """
    file = _file(name)
    if not file.is_file():
        names = ", ".join(each.name for each in benchmarks_list()) or "none"
        raise UserError(f"no benchmark {name!r} is registered; those that are: {names}")
    file.unlink()
    return file


def _file(name: str) -> Path:
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise UserError(f"{name!r} cannot name a benchmark; give --name of letters, digits, '-', '_' and '.'")
    return data_folder() / "benchmarks" / f"{name}.parquet"


def _registered(file: Path) -> RegisteredBenchmark:
    try:
        metadata = pq.read_metadata(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); remove it, and add the benchmark again") from error
    source = (metadata.metadata or {}).get(b"source", b"").decode("utf-8", "replace")
    return RegisteredBenchmark(file.stem, metadata.num_rows, source, file)


def _pictures(folder: Path, annotations: Path | None, split: str | None) -> list[Picture]:
    if annotations is not None:
        entries = read_karpathy(annotations, split)
        found = [(entry.filename, find_image(folder, entry)) for entry in entries if entry.filename]
        return [(name, path.read_bytes) for name, path in found if path is not None]
    if (folder / "pairs.parquet").is_file():
        return list(pictures_of_pair_set(PairSet(folder)))
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    return [(str(path.relative_to(folder)), partial(path.read_bytes)) for path in paths]
