"""The leak report: which images of a benchmark are nearly ones that the model was trained on."""

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import daft
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.pairs.known_pictures import file_of, of_pair_set, read_known
from geomammut.pairs.pair_set import PairSet
from geomammut.pairs.web_stages.duplicates import near_known
from geomammut.pairs.web_stages.fingerprints import fingerprint
from geomammut.pairs.web_stages.leakage import LEAKS
from geomammut.pictures import open_picture
from geomammut.progress import track

Picture = bytes | NDArray[np.uint8]

SHOWN = 10  # leaks that a report names, the likest first


def leak_report(model: str, names: Sequence[str], read: Callable[[int], Picture]) -> dict[str, Any] | None:
    """Compare a benchmark's images with those of all pair sets that the model's own records name.

    Those are the sets of its recipe's stages, and of the recipes of the models that it started from. Images are
    compared as `pairs web` compares its own with registered benchmarks.

    Args:
        model: What `load_model` takes.
        names: What each of the benchmark's N images is called.
        read: Index → the bytes of the image's file, or its pixels, uint8 [H, W, 3].

    Returns:
        None where the model's records name no pair set, so that nothing can be said. Else `pair_sets`, name →
        images; `not_found`, those named that are not where they were; `images`, how many of the benchmark's are
        nearly one of a pair set's; `percent` of the benchmark; `likest`, some of them, each with the `pair` it is
        like and the `likeness`. Where no set was found, `images` and `percent` are None.

    Raises:
        UserError: The model's records are broken, or a pair set is.
    """
    folders = trained_on(model)
    if not folders:
        return None
    sets = {name: folder for name, folder in folders.items() if _is_pair_set(folder)}
    report: dict[str, Any] = {
        "pair_sets": {name: len(PairSet(folder)) for name, folder in sets.items()},
        "not_found": sorted(set(folders) - set(sets)),
        "images": None,
        "percent": None,
    }
    if not sets:
        return report
    found = _near([of_pair_set(folder) for folder in sets.values()], names, read)
    found.sort(key=lambda leak: (-leak["likeness"], leak["row"]))
    likest = [
        {
            "image": leak["name"],
            "pair_set": list(sets)[file_of(leak["number"])],
            "pair": leak["image"],
            "likeness": round(leak["likeness"], 4),
        }
        for leak in found[:SHOWN]
    ]
    return report | {"images": len(found), "percent": round(100 * len(found) / len(names), 4), "likest": likest}


def trained_on(model: str) -> dict[str, Path]:
    """Return the pair sets that a model learnt from, by name, as far as the records in its folder say.

    A name that stands for several folders gets a number for each but the first.
    """
    found: dict[str, Path] = {}
    for name, folder in _named(Path(model), set()):
        if folder not in found.values():
            taken = sum(each == name or each.rpartition("-")[0] == name for each in found)
            found[name if not taken else f"{name}-{taken + 1}"] = folder
    return found


def _named(model: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    if model in seen or not model.is_dir():
        return
    seen.add(model)
    # `localize` keeps each round's recipe with the round.
    for file in (model / "recipe.json", *sorted(model.glob("round-*/recipe.json"))):
        recipe = _recipe(file)
        mixed = {name for stage in recipe.get("stages", []) for name in stage["mix"]}
        yield from ((name, Path(folder)) for name, folder in recipe.get("pairs", {}).items() if name in mixed)
        for origin in ("start_from", "vision_from", "text_from"):
            if before := recipe.get("model", {}).get(origin):
                yield from _named(Path(before), seen)


def _recipe(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
        assert all(isinstance(folder, str) for folder in recipe.get("pairs", {}).values())
        assert all(isinstance(stage["mix"], dict) for stage in recipe.get("stages", []))
        assert isinstance(recipe.get("model", {}), dict)
    except (OSError, ValueError, AssertionError, AttributeError, TypeError, KeyError) as error:
        raise UserError(f"{file} is no recipe as training leaves it; restore or remove it") from error
    return recipe  # type: ignore[no-any-return]


def _is_pair_set(folder: Path) -> bool:
    return (folder / "pairs.parquet").is_file()


def _near(known_files: Sequence[Path], names: Sequence[str], read: Callable[[int], Picture]) -> list[dict[str, Any]]:
    """Return `row`, `name`, `number`, `image` and `likeness` of the images that are nearly known ones."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = pool.map(lambda index: fingerprint(_opened(read(index))), range(len(names)))
        prints = list(track(made, "looking for leaks", len(names)))
    pictures = daft.from_pydict({"row": list(range(len(names))), "fingerprint": prints})
    known = read_known(known_files)
    near = near_known(pictures, known.select("number", "fingerprint"), LEAKS)
    found = near.join(known.select("number", "image"), on="number").to_pylist()
    return [{**leak, "name": names[leak["row"]]} for leak in found]


def _opened(picture: Picture) -> Image.Image:
    return open_picture(io.BytesIO(picture)) if isinstance(picture, bytes) else Image.fromarray(picture)
