"""Prompts: named template sets, class names from folder names, and their embeddings."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.embeddings import encode_texts
from geomammut.model.interface import VisionLanguageModel

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "recipe": ("An aerial image of {}",),
    "skyscript": ("a satellite photo of {}.", "a satellite image of {}"),
    "remoteclip": ("a satellite photo of {}.",),
}
# OpenAI's 80 for ImageNet, which came with CLIP; open_clip holds them.
TEMPLATE_SETS = (*TEMPLATES, "openai80")

# Folder names of public benchmarks that neither capitals nor underscores divide.
_RUN_TOGETHER = {
    "baseballdiamond": "baseball diamond",
    "denseresidential": "dense residential",
    "golfcourse": "golf course",
    "mediumresidential": "medium residential",
    "mobilehomepark": "mobile home park",
    "parkinglot": "parking lot",
    "sealake": "sea or lake",
    "sparseresidential": "sparse residential",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}


def templates(prompts: str) -> tuple[str, ...]:
    """Return a named template set, or the templates of a file: one a line, `{}` for the class.

    Raises:
        UserError: No such set or file, an empty file, or a line without `{}`.
    """
    if prompts in TEMPLATES:
        return TEMPLATES[prompts]
    if prompts == "openai80":
        from open_clip import OPENAI_IMAGENET_TEMPLATES  # noqa: PLC0415 (slow to import)

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    path = Path(prompts)
    if not path.is_file():
        raise UserError(f"no prompts {prompts!r}: choose {', '.join(TEMPLATE_SETS)}, or give a file of templates")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8") from error
    found = tuple(line for line in lines if line)
    if not found:
        raise UserError(f"{path} holds no template; write one a line, with {{}} for the class")
    for line in found:
        check_template(line, str(path))
    return found


def check_template(template: str, where: str) -> None:
    """Raise UserError unless `template` has exactly one `{}`."""
    if template.count("{}") != 1:
        raise UserError(f"{where}: the template {template!r} needs {{}} once, where the class goes")


def words(folder: str) -> str:
    """Return the words in a folder's name: `BaseballField`, `baseball_field` → `baseball field`."""
    if folder.lower() in _RUN_TOGETHER:
        return _RUN_TOGETHER[folder.lower()]
    divided = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", folder)
    return re.sub(r"[\s_\-/]+", " ", divided).strip().lower()


def read_classnames(path: Path, folders: Sequence[str]) -> list[list[str]]:
    """Read a JSON object, folder name → class name or list of names, and return the names of each folder.

    Raises:
        UserError: The file is no such object, or lacks a folder.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"no class names at {path} ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} must be a JSON object: folder name → class name, or a list of names")
    missing = [folder for folder in folders if folder not in stored]
    if missing:
        raise UserError(f"{path} has no name for {len(missing)} of {len(folders)} folders, first {missing[0]!r}")
    found = []
    for folder in folders:
        names = [stored[folder]] if isinstance(stored[folder], str) else stored[folder]
        if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
            raise UserError(f"{path}: the name of {folder!r} must be a text or a list of texts")
        if not names:
            raise UserError(f"{path}: the list of names of {folder!r} is empty")
        found.append(names)
    return found


def class_embeddings(model: VisionLanguageModel, names: Sequence[Sequence[str]], templates: Sequence[str]) -> Tensor:
    """Embed classes of whole images: the mean over a class's names and templates of unit embeddings, of length 1.

    A mean, not the best of several, so that a class gains nothing by having many names.

    Args:
        model: Gives `encode_text`.
        names: The names of each of C classes.
        templates: Sentences with `{}` for the name.

    Returns:
        [C, E], on the CPU.
    """
    return _means(model, [[template.replace("{}", name) for name in some for template in templates] for some in names])


def name_embeddings(
    model: VisionLanguageModel, names: Sequence[Sequence[str]], templates: Sequence[str]
) -> list[Tensor]:
    """Embed each name of classes of patches: the mean over the templates of unit embeddings, of length 1.

    Arguments as of `class_embeddings`.

    Returns:
        For each class [n, E], n its names, on the CPU.
    """
    means = _means(model, [[template.replace("{}", name) for template in templates] for some in names for name in some])
    return list(torch.split(means, [len(some) for some in names]))


def _means(model: VisionLanguageModel, groups: Sequence[Sequence[str]]) -> Tensor:
    flat = encode_texts(model, [text for group in groups for text in group])
    means = torch.stack([own.mean(0) for own in torch.split(flat, [len(group) for group in groups])])
    return torch.nn.functional.normalize(means, dim=-1)
