"""The verb `model card`: what a model is, learnt from and can do, from the records in its folder and its results."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.evaluation.leaks import trained_on
from geomammut.files import whole_file
from geomammut.model.load import model_info
from geomammut.pairs.pair_set import PairSet

CARD = "README.md"  # where the hub looks for it
# Metrics to show, by what a result has.
_SHOWN = ("mR", "i2t_r1", "t2i_r1", "top1", "top5", "miou", "pixel_accuracy", "bleu4", "cider")


def model_card(model: Path, *, results: Sequence[Path] = (), seed: int = 0) -> Path:
    """Write the card of a model directory, `README.md` in it, and return its path.

    The model's sizes come from its configuration, its data and their licences from the cards of the pair sets that
    `recipe.json` names, its figures and leaks from `results`. What is not known is said to be unknown.

    Args:
        model: A model directory that `geomammut train` or `localize` wrote.
        results: JSON files of the evaluation verbs.
        seed: Every verb takes one; nothing here is random.

    Raises:
        UserError: `model` is no model directory, or a result is none.
    """
    info = model_info(str(model))
    measured = [_result(path) for path in results]
    recipe = json.loads((model / "recipe.json").read_text("utf-8")) if (model / "recipe.json").is_file() else None
    text = "\n".join(
        part
        for part in (
            _head(model, info),
            _data(trained_on(str(model))),
            _recipe(model, recipe),
            _figures(measured),
            _leaks(measured),
            _LIMITS,
        )
        if part
    )
    with whole_file(model / CARD) as partial:
        Path(partial).write_text(text, encoding="utf-8")
    return model / CARD


def _result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        values = {key: result[key] for key in ("benchmark", "protocol", "counts", "metrics", "seed")}
        assert isinstance(values["metrics"], dict) and isinstance(values["counts"], dict)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path} is no result of an evaluation; give what a verb of `eval` wrote") from error
    return dict(result)


def _head(model: Path, info: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {count:,}" for name, count in info["parameters_by_part"].items() if count > 1)
    return f"""---
library_name: geomammut
pipeline_tag: zero-shot-image-classification
tags: [remote-sensing, vision-language, mammut]
---

# {model.resolve().name}

A MaMMUT of {info["parameters"]:,} parameters ({parts}) for images from above of {info["image_size"]} × \
{info["image_size"]} px, with embeddings of {info["embed_dim"]} numbers. Made by GeoMaMMUT {__version__}.

## Use

Meant for: finding images from above by words, classifying scenes and outlining land cover without training for it, and
as a start for further training. Read it with `geomammut.load_model("{model.name}")`.

Not meant for: decisions about persons or property without a person who looks at the image; military targeting;
counting or measuring; other sensors than optical, in colour. Nobody has examined it for such uses.
"""


def _data(sets: Mapping[str, Path]) -> str:
    if not sets:
        return "## Data\n\nUnknown: the model's folder names no pair set.\n"
    lines = ["## Data", "", "| pair set | pairs | captions | sources |", "|---|---|---|---|"]
    licences = []
    for name, folder in sets.items():
        if not (folder / "pairs.parquet").is_file():
            lines.append(f"| {name} | not found where it was | | |")
            continue
        pairs = PairSet(folder)
        sources = ", ".join(sorted(set(pairs.table["source"].to_pylist())))
        captions = sum(len(own) for own in pairs.captions)
        lines.append(f"| {name} | {len(pairs):,} | {captions:,} | {sources} |")
        licences += [f"\n**Of {name}**, its card says:\n", *_quoted(folder / "card.md")]
    return "\n".join([*lines, *licences, ""])


def _quoted(card: Path) -> Iterator[str]:
    """Yield, as a quotation, what a pair set's card says of sources and licences."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = re.search(r"^## [^\n]*[Ll]icence[^\n]*\n(.*?)(?=^## |\Z)|^(\*\*Licence.*?)(?=\n\n|\Z)", text, re.M | re.S)
    words = (found.group(1) or found.group(2)).strip() if found else "nothing of its licence."
    yield from (f"> {line}".rstrip() for line in words.splitlines())


def _recipe(model: Path, recipe: Mapping[str, Any] | None) -> str:
    if recipe is None:
        return "## Recipe\n\nUnknown: there is no `recipe.json` in the model's folder.\n"
    loss, optimizer = recipe["loss"], recipe["optimizer"]
    stages = "\n".join(
        f"| {stage['name']} | {stage['samples']:,} | "
        + ", ".join(f"{name} {weight:g}" for name, weight in stage["mix"].items())
        + f" | {optimizer['lr'] * stage['lr_scale']:g} |"
        for stage in recipe["stages"]
    )
    origin = recipe["model"].get("start_from")
    return f"""## Recipe

Begun {f"from `{origin}`" if origin else "anew"}; batches of {recipe["batch_size"]}, seed {recipe["seed"]}; \
{loss["contrastive"]} × {loss["contrastive_weight"]:g} + captions × {loss["caption_weight"]:g}.

| stage | samples | mix | rate |
|---|---|---|---|
{stages}

All of it stands in `recipe.json`, and once the pair sets are where it says, this makes the model again:

    geomammut train {model.name}/recipe.json -o {model.name}-again
"""


def _figures(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "## Figures\n\nNot measured yet.\n"
    lines = ["## Figures", "", "In percent, with 95% intervals over images.", ""]
    lines += ["| benchmark | protocol | images | metric | value |", "|---|---|---|---|---|"]
    for result in results:
        where = f"{result['benchmark']} | {result['protocol']} | {result['counts'].get('images', '')}"
        for name in _SHOWN:
            if name in result["metrics"]:
                low_high = (result.get("intervals") or {}).get(name)
                interval = f" ({low_high[0]:.1f}–{low_high[1]:.1f})" if low_high else ""
                lines.append(f"| {where} | {name} | {result['metrics'][name]:.2f}{interval} |")
    return "\n".join([*lines, ""])


def _leaks(results: Sequence[Mapping[str, Any]]) -> str:
    lines = ["## Leaks", "", "Images of a benchmark that are nearly ones of the pair sets above:", ""]
    for result in results:
        report = result.get("leaks")
        if report is None or report["images"] is None:
            lines.append(f"- {result['benchmark']}: not looked for (`--leaks`)")
        else:
            missing = f"; not at hand: {', '.join(report['not_found'])}" if report["not_found"] else ""
            lines.append(f"- {result['benchmark']}: {report['images']} ({report['percent']:g}%){missing}")
    return "\n".join([*lines, ""]) if results else ""


_LIMITS = """## Limits

The model knows what its pairs showed: their regions, ground sample distances and seasons, and things that a map or an
alt-text names, in English. It may be wrong with confidence elsewhere. Scores are cosines that rank; they are no
probabilities.
"""
