"""Images to classify: in a folder per class, in a table, or as boxes of larger images."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from geomammut.errors import UserError
from geomammut.evaluation.benchmarks import check_counts, find_benchmark
from geomammut.evaluation.images import SUFFIXES, open_raster, read_rgb

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class LabelledImages:
    """N images, each of one of C classes.

    Attributes:
        title: What the benchmark is called in results.
        names: What each image is called.
        classes: Names of the classes, or of their folders.
        truth: Each image's class, N indices; every class has an image.
        read: Index → the bytes of the image's file.
        files: How many files they come from, which are fewer where several are cut out of one.
    """

    title: str
    names: list[str]
    classes: list[str]
    truth: list[int]
    read: Callable[[int], bytes]
    files: int


def read_labelled(
    images: Path | LabelledImages, benchmark: str | None, split: str | None, subset: bool
) -> tuple[LabelledImages, str, dict[str, Any] | None]:
    """Read a folder per class, a table, or a known benchmark in its own layout; and check its counts.

    Returns:
        The images, what to call the benchmark, and what `check_counts` says of a known one.

    Raises:
        UserError: What is missing or too much.
    """
    if benchmark is None and (split is not None or subset):
        raise UserError("--split and --subset are of a known benchmark; name it with --benchmark")
    known = None if benchmark is None else find_benchmark(benchmark, "classification")
    if isinstance(images, LabelledImages):
        found = images
    elif Path(images).suffix.lower() == ".csv":
        found = read_class_table(Path(images))
    elif known is not None and known.layout == "boxes":
        found = read_boxes(Path(images))
    else:
        found = read_class_folders(Path(images))
    if known is None:
        return found, found.title, None
    sizes = Counter(found.classes[index] for index in found.truth)
    return found, known.name, check_counts(known, found.files, split=split, classes=sizes, subset=subset)


def read_class_folders(folder: Path) -> LabelledImages:
    """Read a folder that holds one folder per class, its images however deep within.

    Raises:
        UserError: There are no class folders, or one holds no image.
    """
    files: list[Path] = []
    truth: list[int] = []
    folders = _class_folders(folder)
    for index, each in enumerate(folders):
        found = sorted(
            path
            for path in each.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            raise UserError(f"the class folder {each} holds no image; fill it or remove it")
        files += found
        truth += [index] * len(found)
    return LabelledImages(
        folder.resolve().name,
        [str(file) for file in files],
        [each.name for each in folders],
        truth,
        lambda index: files[index].read_bytes(),
        len(files),
    )


def read_class_table(table: Path) -> LabelledImages:
    """Read a CSV table with the columns `filepath` and `label`, as SkyScript packs its benchmarks.

    A path starts from the table's folder or the one above it. Labels that are numbers are lines of a
    `classnames.txt` beside the table, from 0.

    Raises:
        UserError: The table is broken, or names a file that is missing or lies elsewhere.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = [(row.get("filepath") or "", row.get("label") or "") for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a table ({error})") from error
    rows = [(path, label) for path, label in rows if label]  # SkyScript leaves out rows without a label, too
    if not rows or not all(path for path, _ in rows):
        raise UserError(f"{table} needs rows with the columns filepath and label")
    root = table.resolve().parent
    files = [next((p for p in (root / path, root.parent / path) if p.is_file()), root / path) for path, _ in rows]
    strange = [path for path in files if not path.is_file() or not path.resolve().is_relative_to(root.parent)]
    if strange:
        raise UserError(f"{len(strange)} of {len(files)} files that {table} names are not there, first {strange[0]}")
    labels = [label for _, label in rows]
    if all(label.isdecimal() for label in labels):
        labels = _named(labels, table.with_name("classnames.txt"))
    classes = sorted(set(labels))
    return LabelledImages(
        root.name,
        [path for path, _ in rows],
        classes,
        [classes.index(label) for label in labels],
        lambda index: files[index].read_bytes(),
        len(files),
    )


def read_boxes(folder: Path) -> LabelledImages:
    """Read images whose classes are those of boxes in a JSON file beside each, as fMoW-rgb has them.

    `folder` holds a folder per class; within are pairs of `…_rgb.jpg` and `…_rgb.json` with `bounding_boxes`, each
    of a `category` and a `box` [left, top, width, height]. Each box is an image, cut out with its surroundings
    (`with_context`); boxes of 2 px or less are left out, as fMoW's own baseline leaves them out.

    Raises:
        UserError: There are no class folders, one has no box, an image has no JSON file, or a box is of no class.
    """
    classes = [each.name for each in _class_folders(folder)]
    files = sorted(folder.rglob("*_rgb.jpg"))
    without = [file for file in files if not file.with_suffix(".json").is_file()]
    if without:
        raise UserError(f"{len(without)} of {len(files)} images in {folder} have no JSON file, first {without[0]}")
    boxes: list[tuple[Path, Box]] = []
    truth: list[int] = []
    names: list[str] = []
    for file in files:
        for number, category, box in _boxes(file.with_suffix(".json")):
            if category not in classes:
                raise UserError(f"{file}: box {number} is of the class {category!r}, which has no folder in {folder}")
            if min(box[2:]) > 2:
                boxes.append((file, box))
                truth.append(classes.index(category))
                names.append(f"{file}#{number}")
    empty = sorted(set(range(len(classes))) - set(truth))
    if empty:
        raise UserError(f"no box in {folder} is of the class {classes[empty[0]]!r}; fill its folder or remove it")
    return LabelledImages(folder.resolve().name, names, classes, truth, lambda index: _cut(*boxes[index]), len(files))


def with_context(box: Box, width: int, height: int) -> Box:
    """Return a box [left, top, width, height] grown by its surroundings and cut at the image's border.

    Each side grows by half of: 2 × the box's length where that is less than a tenth of the image's; 1 × below two
    tenths, 0.5 × below three, 0.3 × below four, 0.2 × below five, 0.15 × else. This is what fMoW's baseline does
    (Christie et al. 2018, github.com/fMoW/baseline), down to its comparing the box's width with the image's height
    and the box's height with the image's width.

    Args:
        box: In pixels.
        width: The image's.
        height: The image's.
    """
    left, top, across, down = box
    beside = int(across * _growth(across / height) / 2)
    above = int(down * _growth(down / width) / 2)
    first, upper = max(0, left - beside), max(0, top - above)
    last, lower = min(width, left + across + beside), min(height, top + down + above)
    return first, upper, last - first, lower - upper


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels, uint8 [H, W, 3], as the bytes of a file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)
    return data.getvalue()


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"no folder at {folder}; --images takes a folder that holds one folder per class")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise UserError(f"{folder} holds {len(folders)} class folders; it needs one folder of images per class")
    return folders


def _named(labels: list[str], classnames: Path) -> list[str]:
    try:
        names = [line.strip() for line in classnames.read_text(encoding="utf-8").splitlines()]
        return [names[int(label)] for label in labels]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise UserError(f"labels are numbers, but {classnames} does not name them ({error})") from error


def _boxes(file: Path) -> list[tuple[Any, str, Box]]:
    """Return the ID, the category and the box of each."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))["bounding_boxes"]
        found = []
        for each in stored if isinstance(stored, list) else [stored]:
            left, top, across, down = (int(number) for number in each["box"])
            found.append((each.get("ID"), str(each["category"]), (left, top, across, down)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} does not hold bounding_boxes, each of a category and a box ({error!r})") from error
    return found


def _growth(share: float) -> float:
    steps = ((0.1, 2.0), (0.2, 1.0), (0.3, 0.5), (0.4, 0.3), (0.5, 0.2))
    return next((growth for below, growth in steps if share < below), 0.15)


def _cut(file: Path, box: Box) -> bytes:
    with open_raster(file) as raster:
        window = with_context(box, raster.width, raster.height)
        if min(window[2:]) <= 0:
            raise UserError(f"{file}: the box {list(box)} lies outside the image")
        return png(read_rgb(raster, Window(*window)))
