"""Masks: what their values mean, and how they are read."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geomammut.errors import UserError
from geomammut.evaluation.prompts import check_template
from geomammut.pictures import UNREADABLE, check_size

DEFAULT_TEMPLATE = "An aerial image of {}."
IGNORED = -1
# One rule for the background of every benchmark: it is asked for by these words and wins a pixel where the best of
# them scores highest. No threshold, so none that could be tuned to a benchmark.
BACKGROUND_PROMPTS = (
    "the ground", "an area", "a place", "the land", "a landscape", "scenery", "the surface of the earth",
    "things", "background", "something else",
)  # fmt: skip


@dataclass(frozen=True)
class MaskClasses:
    """What a mask's values mean, and the words for it.

    Attributes:
        names: The names of C classes.
        prompts: What to call each in a prompt, one or more.
        values: Each class's value in the mask; a colour #RRGGBB counts as the integer 0xRRGGBB.
        ignore: Values of pixels that do not count.
        coloured: Values are colours.
        template: Sentence with `{}` for the class.
    """

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    values: tuple[int, ...]
    ignore: tuple[int, ...]
    coloured: bool
    template: str


def read_mask(path: Path, classes: MaskClasses) -> NDArray[np.int64]:
    """Read a mask as class indices [H, W], IGNORED where it does not count.

    Raises:
        UserError: It cannot be read, is of the wrong kind, or holds a value that means nothing.
    """
    try:
        with Image.open(path) as image:
            check_size(image)
            if not classes.coloured and image.mode in ("RGB", "RGBA", "CMYK", "YCbCr"):
                raise UserError(f"{path} holds colours, but its classes are integers; write them as #RRGGBB")
            stored = np.array(image.convert("RGB") if classes.coloured else image)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as a mask ({error})") from error
    return mask_indices(stored, classes, str(path))


def mask_indices(stored: NDArray[Any], classes: MaskClasses, name: str) -> NDArray[np.int64]:
    """Return a mask's values [H, W], or colours [H, W, 3], as class indices [H, W].

    Raises:
        UserError: `name` is of another shape, or holds a value that means nothing.
    """
    if stored.ndim != (3 if classes.coloured else 2) or (classes.coloured and stored.shape[2] != 3):
        wanted = "colours [H, W, 3]" if classes.coloured else "integers [H, W]"
        raise UserError(f"{name} is a mask of shape {list(stored.shape)}; its classes are {wanted}")
    values = stored.astype(np.int64)
    if classes.coloured:
        values = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    indices = [*range(len(classes.values)), *[IGNORED] * len(classes.ignore)]
    meanings = sorted(zip((*classes.values, *classes.ignore), indices, strict=True))
    known = np.array([value for value, _ in meanings])
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    unknown = values[known[place] != values]
    if unknown.size:
        value = f"#{unknown[0]:06X}" if classes.coloured else str(unknown[0])
        count = len(np.unique(unknown))
        raise UserError(
            f"{name} holds {count} value{'s' * (count > 1)} that no class has, first {value} "
            f"({unknown.size} pixels in all); add them to classes or to ignore"
        )
    return np.take(np.array([index for _, index in meanings]), place)


def read_mask_classes(path: Path) -> MaskClasses:
    """Read and check a classes.json; see `eval_segmentation`.

    Raises:
        UserError: What is wrong, and in which entry.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"no classes at {path} ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error
    return mask_classes(stored, str(path))


def mask_classes(stored: Mapping[str, Any], where: str) -> MaskClasses:
    """Check what a classes.json says, which stands at `where`; see `read_mask_classes`."""
    _check_keys(stored, ("classes", "ignore", "template"), where)
    entries, ignore = stored.get("classes"), stored.get("ignore", [])
    if not isinstance(entries, list) or len(entries) < 2 or not isinstance(ignore, list):
        raise UserError(f"{where} needs a list `classes` of two classes or more; `ignore` must be a list, too")
    template = stored.get("template", DEFAULT_TEMPLATE)
    check_template(str(template), where)
    names, prompts, values = [], [], []
    for number, entry in enumerate(entries):
        of_entry = f"{where}: classes[{number}]"
        _check_keys(entry, ("name", "mask", "prompts", "background"), of_entry)
        name = entry.get("name")
        if entry.get("background", False) not in (True, False) or (entry.get("background") and "prompts" in entry):
            raise UserError(f"{of_entry}: `background` is true or false, and takes the place of `prompts`")
        some = list(BACKGROUND_PROMPTS) if entry.get("background") else entry.get("prompts", [name])
        if not isinstance(name, str) or not isinstance(some, list) or not some:
            raise UserError(f"{of_entry} needs a `name`; `prompts` must be a list of texts")
        if not all(isinstance(prompt, str) and prompt.strip() for prompt in some):
            raise UserError(f"{of_entry} has a prompt that is empty or no text")
        names.append(name)
        prompts.append(tuple(some))
        values.append(_mask_value(entry.get("mask"), of_entry))
    ignored = [_mask_value(value, f"{where}: ignore") for value in ignore]
    every = [entry["mask"] for entry in entries] + ignore
    if len({isinstance(value, str) for value in every}) > 1:
        raise UserError(f"{where} mixes colours and integers; a mask has either")
    if len(set(values + ignored)) < len(every) or len(set(names)) < len(names):
        raise UserError(f"{where} gives a name or a mask value twice")
    return MaskClasses(
        tuple(names), tuple(prompts), tuple(values), tuple(ignored), isinstance(every[0], str), str(template)
    )


def _check_keys(entry: object, allowed: Sequence[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{where} must be a JSON object with {', '.join(allowed)}")
    for key in entry:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1) or [" or ".join(allowed)]
            raise UserError(f"{where} has an unknown key {key!r}; did you mean {near[0]}?")


def _mask_value(value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        return int(value[1:], 16)
    raise UserError(f"{where}: the mask value {value!r} is neither #RRGGBB nor an integer")
