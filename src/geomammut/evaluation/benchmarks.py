"""The benchmarks of the field (`benchmarks.toml`), and whether what lies on a disk is one of them, whole."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from geomammut.errors import UserError
from geomammut.progress import console

Task = Literal["retrieval", "classification", "segmentation"]


@dataclass(frozen=True)
class Benchmark:
    """What is known of a benchmark without having it.

    Attributes:
        name: By which verbs know it.
        title: What its owner calls it.
        task: What it measures.
        about: What its images show.
        home: Where its owner publishes it.
        licence: As its owner states it.
        layout: `karpathy`; `folders`, `table` or `boxes` (classification); `masks`.
        expects: The files as they come.
        images: How many were published, by split; `all` where it has none.
        captions: Likewise.
        classes: How many class folders, or the classes of its masks as in a classes.json.
        per_class: Images of each class, where all have the same number.
        find: Glob of the images in a tree of images and masks.
        mask: What in an image's path to replace by what to get its mask's.
        ignore: Mask values that do not count.
        members: Split → the names of its images, or the file in the tree that lists them, where no folder tells.
    """

    name: str
    title: str
    task: Task
    about: str
    home: str
    licence: str
    layout: Literal["karpathy", "folders", "table", "boxes", "masks"]
    expects: str
    images: Mapping[str, int]
    captions: Mapping[str, int] = field(default_factory=dict)
    classes: int | list[dict[str, Any]] = 0
    per_class: int | None = None
    find: str = ""
    mask: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[int | str, ...] = ()
    members: Mapping[str, str | list[str]] = field(default_factory=dict)


@cache
def known_benchmarks() -> Mapping[str, Benchmark]:
    """Return the benchmarks that come with the package, by name."""
    text = files("geomammut.evaluation").joinpath("benchmarks.toml").read_text(encoding="utf-8")
    return {
        name: Benchmark(name=name, **{**entry, "ignore": tuple(entry.get("ignore", ()))})
        for name, entry in tomllib.loads(text).items()
    }


def find_benchmark(name: str, task: Task) -> Benchmark:
    """Return a known benchmark of a task.

    Raises:
        UserError: None of that name, or it measures something else.
    """
    known = known_benchmarks()
    fitting = [each.name for each in known.values() if each.task == task]
    if name not in known:
        near = difflib.get_close_matches(name, fitting, 1)
        hint = f"did you mean {near[0]}?" if near else f"those of {task}: {', '.join(fitting)}"
        raise UserError(f"no benchmark {name!r} is known; {hint}")
    if known[name].task != task:
        raise UserError(f"{name} is a benchmark of {known[name].task}; those of {task}: {', '.join(fitting)}")
    return known[name]


def describe(benchmark: Benchmark) -> str:
    """Say in some lines what a benchmark is, where it comes from, and how it must lie on the disk."""
    counts = ", ".join(f"{split} {count:,}" for split, count in benchmark.images.items()) or "not known"
    classes = benchmark.classes if isinstance(benchmark.classes, int) else len(benchmark.classes)
    return "\n".join(
        (
            f"{benchmark.name} — {benchmark.title}, {benchmark.task}: {benchmark.about}",
            f"  images   {counts}" + (f"; {classes} classes" if classes else ""),
            f"  from     {benchmark.home}",
            f"  licence  {benchmark.licence}",
            f"  layout   {benchmark.layout}: {benchmark.expects}",
        )
    )


def check_counts(
    benchmark: Benchmark,
    images: int,
    *,
    split: str | None = None,
    captions: int | None = None,
    classes: Mapping[str, int] | None = None,
    extra: Sequence[str] = (),
    subset: bool = False,
) -> dict[str, Any]:
    """Compare what was found with what was published.

    Args:
        benchmark: Which it should be.
        images: How many were found.
        split: Of which; without one, any published split may be it.
        captions: How many were found, if any.
        classes: Images found by class folder, if there are such.
        extra: Files that are there and belong to no split.
        subset: Differences are meant: they become a note on stderr.

    Returns:
        What results keep of it: the benchmark's name, the split, published counts, and whether it is whole.

    Raises:
        UserError: The split is unknown, or, unless `subset`, something is missing or too much.
    """
    published = benchmark.images
    if split is not None and split not in published and published:
        raise UserError(f"{benchmark.name} has no split {split!r}; its splits are: {', '.join(published)}")
    if split is None:
        split = next((name for name, count in published.items() if count == images), None)
        split = split if split is not None or len(published) != 1 else next(iter(published))
    faults = []
    if split is not None and published.get(split, images) != images:
        faults.append(_difference(images, published[split], "images"))
    elif split is None and published:
        known = ", ".join(f"{name} {count:,}" for name, count in published.items())
        faults.append(f"{images:,} images are those of no split ({known})")
    written = benchmark.captions.get(split or "")
    if captions is not None and written is not None and captions != written:
        faults.append(_difference(captions, written, "captions"))
    if classes is not None and isinstance(benchmark.classes, int):
        if benchmark.classes and len(classes) != benchmark.classes:
            faults.append(_difference(len(classes), benchmark.classes, "class folders"))
        uneven = [name for name, count in classes.items() if benchmark.per_class not in (None, count)]
        if uneven:
            faults.append(f"first {uneven[0]!r} holds {classes[uneven[0]]} images, not {benchmark.per_class}")
    if extra:
        faults.append(f"{len(extra)} images too many that its annotations do not name, first {extra[0]}")
    if faults:
        told = f"this is not the whole of {benchmark.title} as it was published: {'; '.join(faults)}"
        if not subset:
            raise UserError(f"{told}; mend the folder, or give --subset to measure on what is there")
        console.print(f"note: {told}", highlight=False, markup=False, soft_wrap=True)
    return {
        "name": benchmark.name,
        "split": split,
        "images": published.get(split or ""),
        "whole": not faults,
        "differences": faults,
    }


def _difference(found: int, published: int, what: str) -> str:
    apart = abs(found - published)
    return f"{found:,} {what} of {published:,}, {apart:,} {'missing' if found < published else 'too many'}"
