"""What a set of landmark pairs says of itself: its funnel and its card."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from geomammut import __version__
from geomammut.imagery.sources import ImagerySource
from geomammut.pairs import grounding
from geomammut.pairs.pair_set import Funnel
from geomammut.pairs.pairing import UNSEEN
from geomammut.pairs.parts import UNCAPTIONED, Tally
from geomammut.pairs.writers.captioning import (
    NO_ANSWER,
    NO_FAULTS,
    PASSED,
    REPLACED,
    REWRITTEN,
    WRITTEN,
    by_writer,
    figures_by_writer,
)
from geomammut.pairs.writers.writer import CaptionWriter

_COLUMNS = (WRITTEN, PASSED, REWRITTEN, REPLACED, NO_ANSWER)  # of the table of writers


def record(funnel: Funnel, planned: int, tally: Tally, spent: dict[str, Any] | None) -> None:
    """Add the steps from the planned chips to pairs; every chip is accounted for."""
    lost = dict(sorted(tally.lost.items(), key=lambda item: (-item[1], item[0])))
    unseen, uncaptioned = lost.pop(UNSEEN, 0), lost.pop(UNCAPTIONED, 0)
    visible = planned - unseen
    funnel.step("chips with a visible landmark", planned, visible, {UNSEEN: unseen} if unseen else {})
    cut = visible - sum(lost.values())
    funnel.step("chips cut from the imagery", visible, cut, lost)
    table = by_writer(tally.writing)
    faults: Counter[str] = Counter()
    for counts in table.values():
        faults.update({what: count for what, count in counts.items() if what not in NO_FAULTS})
    written = sum(counts.get(WRITTEN, 0) for counts in table.values())
    funnel.step("captions grounded in the landmarks", written, written - faults.total(), dict(faults.most_common()))
    funnel.steps[-1]["by_writer"] = table
    funnel.steps[-1]["grounding_percent"] = figures_by_writer(tally.writing)
    if spent is not None:
        funnel.steps[-1]["spent"] = spent
    funnel.step("pairs with a caption", cut, cut - uncaptioned, {UNCAPTIONED: uncaptioned} if uncaptioned else {})


def card(
    *,
    imagery: Sequence[ImagerySource],
    map_text: str,
    chips_text: str,
    writer: CaptionWriter,
    funnel: Funnel,
    tally: Tally,
    seed: int,
) -> str:
    by = f"the {writer.name} writer" + (f" with the model {writer.model}" if writer.model else "")
    steps = "\n".join(
        f"| {step['step']} | {step['in']:,} | {step['out']:,} | "
        + ", ".join(f"{count:,} {reason}" for reason, count in step["dropped"].items())
        + " |"
        for step in funnel.steps
    )
    writers = "\n".join(
        f"| {name} | " + " | ".join(f"{counts.get(what, 0):,}" for what in _COLUMNS) + " |"
        for name, counts in by_writer(tally.writing).items()
    )
    listed = "\n".join(
        f"- {source.name} ({source.gsd_m:.3g} m per pixel, {source.crs}"
        + (f", acquired {source.acquired}" if source.acquired else "")
        + f"): {source.look}"
        for source in imagery
    )
    return f"""# Landmark pairs

Pictures from above with captions written from the map landmarks that are visible in them.

Made by `geomammut pairs landmarks` {__version__}: chips of {chips_text};
captions by {by} ({writer.prompt_version}), each checked against the chip's landmarks
({grounding.VERSION}); seed {seed}.

The same command on the same imagery, map and seed gives the same set to the byte, but for captions of a language model.

## Use

Meant for training and measuring models that join images from above with words. Not meant as a map: outlines and counts
are the map's, cut at the chips' borders.

## Sources and licences

Imagery:
{listed}

Map: {map_text}.

Before you share this set, see what the imagery's licence allows. If the map is OpenStreetMap's, the set is
derived from it: state "© OpenStreetMap contributors" and keep to the Open Database License (ODbL),
https://www.openstreetmap.org/copyright.

## Counts

| step | in | out | dropped |
|---|---|---|---|
{steps}

{tally.landmarks:,} landmarks are recorded with the pairs. Captions by writer:

| writer | written | passed the check | mended when rewritten | replaced by the template's | chips without an answer |
|---|---|---|---|---|---|
{writers}
{_spending(writer.spent())}
Of the captions as each writer first wrote them, in percent:

| writer | things named that are there as said | salient landmarks named | proper nouns that name no landmark |
|---|---|---|---|
{_figures(tally)}

## Limits

The map may be older or newer than the imagery, and leaves things out: a caption says what the map says is
visible, and its counts are the map's. Positions are of the picture, whose upper edge is north.
"""


def _figures(tally: Tally) -> str:
    return "\n".join(
        f"| {name} | " + " | ".join("none" if figure is None else f"{figure:g}" for figure in figures.values()) + " |"
        for name, figures in figures_by_writer(tally.writing).items()
    )


def _spending(spent: dict[str, Any] | None) -> str:
    if spent is None:
        return ""
    cost = "a cost that is not known" if spent["usd"] is None else f"${spent['usd']:,.4f}"
    unusable = sum(spent["unusable_answers"].values())
    return (
        f"\nThe language model gave {spent['answers']:,} answers ({unusable:,} of them unusable), for "
        f"{spent['tokens_in']:,} tokens in, {spent['tokens_out']:,} tokens out and {cost}.\n"
    )
