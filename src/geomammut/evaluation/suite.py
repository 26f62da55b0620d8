"""The verb `eval suite`: models on benchmarks, one JSON each, and a table of all beside published figures."""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from rich.markup import escape

import geomammut
from geomammut.errors import UserError
from geomammut.evaluation.anchors import anchored_benchmarks
from geomammut.evaluation.captioning import eval_captioning
from geomammut.evaluation.classification import eval_classification
from geomammut.evaluation.retrieval import eval_retrieval
from geomammut.evaluation.segmentation import eval_segmentation
from geomammut.evaluation.suite_table import Measured, write_tables
from geomammut.files import content_id, write_json
from geomammut.progress import console
from geomammut.training.recipe import read_recipe

Verb = Callable[..., dict[str, Any]]

VERBS: dict[str, Verb] = {
    "retrieval": eval_retrieval,
    "classification": eval_classification,
    "segmentation": eval_segmentation,
    "captioning": eval_captioning,
}
_COMMON = frozenset({"model", "out", "seed", "leaks", "cache"})  # arguments that the suite gives, not an entry
_OWN = frozenset({"name", "published"})  # what an entry has beside the arguments


class _Entry(BaseModel):
    """What every entry has beside the arguments of its verb."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    published: str | None = None


def _entry_model(kind: str, verb: Verb) -> type[_Entry]:
    """Return the shape of a kind's entries: the verb's own arguments, by their names, types and defaults."""
    arguments: dict[str, Any] = {
        argument.name: (_of_toml(argument.annotation), ... if argument.default is argument.empty else argument.default)
        for argument in inspect.signature(verb).parameters.values()
        if argument.name not in _COMMON
    }
    return create_model(kind.capitalize(), __base__=_Entry, **arguments)


def _of_toml(kind: Any) -> Any:
    """Return what of a type can be written in TOML; Python may hand a verb objects, too."""
    if get_origin(kind) is not UnionType:
        return kind
    return reduce(or_, (each for each in get_args(kind) if each in (Path, str, int, float, bool, NoneType)))


_ENTRIES = {kind: _entry_model(kind, verb) for kind, verb in VERBS.items()}
_FIELDS: dict[str, Any] = {kind: (tuple[entry, ...], ()) for kind, entry in _ENTRIES.items()}  # type: ignore[valid-type]
_Suite = create_model(
    "_Suite", __config__=ConfigDict(frozen=True, extra="forbid"), seed=(int, 0), leaks=(bool, True), **_FIELDS
)


@dataclass(frozen=True)
class Entry:
    """One evaluation of a suite.

    Attributes:
        kind: Which verb: "retrieval", …
        name: Of the benchmark in the suite, and of the result files.
        published: Benchmark of `anchors.toml` whose published figures stand beside ours.
        arguments: Of the verb, but for the model and the output.
        inputs: A hash of the arguments and the files they name.
    """

    kind: str
    name: str
    published: str | None
    arguments: dict[str, Any]
    inputs: str


def eval_suite(
    suite: Path, models: Sequence[str], out: Path, *, data: Path = Path(), seed: int | None = None
) -> dict[str, Any]:
    """Measure models on all benchmarks of a suite, and write the results and a table of them.

    `out/MODEL/NAME.json` is what the verb of the entry writes, with a leak report. A result stays as it is while the
    entry, the seed, and the model's and the benchmark's files (by name, size and time of change) do; `out/embeddings`
    keeps embeddings by content. `out/table.md` and `out/table.html` show all results beside published figures. A model
    or a benchmark that cannot be measured is told in the table, and the others are measured.

    Args:
        suite: A TOML file: lists [[retrieval]], [[classification]], [[segmentation]], [[captioning]], whose entries
            have a `name`, the arguments of the verb, and maybe `published`, a benchmark with published figures (else
            that of the argument `benchmark`); before them `seed` and `leaks` (false: no leak report).
        models: What `load_model` takes.
        out: Folder of the results.
        data: The folder that paths in the suite start from; where nothing is there, it is the suite's own.
        seed: Replaces the suite's seed.

    Returns:
        `results`, label of the model → name of the entry → the results as written; `table`, the Markdown file.

    Raises:
        UserError: The suite is wrong or names a file that is not there; or something could not be measured.
    """
    out = Path(out)
    labels = _labels(models)
    plan = read_recipe(Path(suite), _Suite, seed=seed)
    entries = list(_entries(plan, Path(suite), Path(data)))
    common = {name: getattr(plan, name) for name in ("seed", "leaks")}
    cache = out / "embeddings"
    measured = [
        Measured(entry.kind, entry.name, entry.published, label, *_measure(entry, model, out / label, common, cache))
        for label, model in zip(labels, models, strict=True)
        for entry in entries
    ]
    table = write_tables(out, Path(suite).stem, measured)
    failed = [each for each in measured if each.failure]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(measured)} evaluations failed, first {failed[0].name} of {failed[0].model}: "
            f"{failed[0].failure}; the others are in {table}"
        )
    results: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for each in measured:
        results[each.model][each.name] = each.results
    return {"results": results, "table": table}


def _entries(plan: BaseModel, suite: Path, data: Path) -> Iterator[Entry]:
    """Yield the suite's entries, their paths resolved; all must be there before the first is measured."""
    names: set[str] = set()
    anchored = anchored_benchmarks()
    for kind in VERBS:
        for entry in getattr(plan, kind):
            where = f"{suite}: {entry.name}"
            if entry.name in names:
                raise UserError(f"{where}: two entries have this name; give each its own")
            names.add(entry.name)
            if entry.published not in (None, *anchored):
                raise UserError(
                    f"{where}: no published figures of {entry.published!r}; there are some of {', '.join(anchored)}"
                )
            arguments = {name: getattr(entry, name) for name in _ENTRIES[kind].model_fields if name not in _OWN}
            for name, value in arguments.items():
                if isinstance(value, Path):
                    arguments[name] = _found(value, (data, suite.parent), f"{where}: {name}")
            known = arguments.get("benchmark")
            published = entry.published or (known if known in anchored else None)
            yield Entry(kind, entry.name, published, arguments, _inputs(arguments))
    if not names:
        raise UserError(f"{suite} has no entry; write some, such as [[{'], [['.join(VERBS)}]]")


def _found(path: Path, folders: Sequence[Path], where: str) -> Path:
    """Return the first of the folders' paths where something is."""
    for folder in folders:
        if (folder / path).exists():
            return folder / path
    raise UserError(f"{where}: nothing is at {folders[0] / path}; is --data right?")


def _labels(models: Sequence[str]) -> list[str]:
    """Return a name for each model, fit for a folder: that of its own folder, or all of it where two are alike."""
    if not models:
        raise UserError("no model is named; give one or more with --models")
    whole = [re.sub(r"[^\w.@-]+", "-", model).strip("-.") or "model" for model in models]
    short = [
        Path(model).resolve().name if Path(model).is_dir() else label
        for model, label in zip(models, whole, strict=True)
    ]
    labels = [own if short.count(own) == 1 else label for own, label in zip(short, whole, strict=True)]
    if len(set(labels)) < len(labels):
        raise UserError(f"two models would have the same results among {', '.join(models)}; name each once")
    return labels


def _measure(
    entry: Entry, model: str, folder: Path, common: dict[str, Any], cache: Path
) -> tuple[dict[str, Any] | None, str | None]:
    """Return an entry's results for a model, kept or new; or what went wrong."""
    file = folder / f"{entry.name}.json"
    verb = VERBS[entry.kind]
    inputs = content_id(geomammut.__version__, entry.kind, entry.inputs, _inputs({**common, "model": model}))
    kept = _kept(file)
    if kept is not None and kept.get("inputs") == inputs:
        return kept, None
    console.print(f"[bold]{escape(entry.name)}[/] of {escape(model)}")
    try:
        results = verb(model=model, out=file, **entry.arguments, **_taken(verb, {**common, "cache": cache}))
    except UserError as error:
        console.print(f"[yellow]{escape(str(error))}[/]")
        return None, " ".join(str(error).split())
    results = {**results, "inputs": inputs}
    write_json(file, results)
    return results, None


def _taken(verb: Verb, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a verb has; not each keeps embeddings."""
    return {name: value for name, value in arguments.items() if name in inspect.signature(verb).parameters}


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and "metrics" in stored else None


def _inputs(arguments: dict[str, Any]) -> str:
    """Return a hash of arguments and of the files that they name, by name, size and time of change."""
    parts = []
    for name, value in sorted(arguments.items()):
        parts.append(f"{name} = {value}")
        if isinstance(value, Path):
            parts += _stamps([value, *value.rglob("*")])
        elif isinstance(value, str):  # a model's folder, prompts in a file, or open_clip:NAME/FILE
            path = Path(value)
            parts += _stamps([*path.iterdir()] if path.is_dir() else [path, Path(value.partition("/")[2])])
    return content_id(*parts)


def _stamps(paths: list[Path]) -> list[str]:
    found = [(path, path.stat()) for path in sorted(paths) if path.is_file()]
    return [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found]
