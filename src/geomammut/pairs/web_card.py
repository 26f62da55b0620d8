"""What a set of web pairs says of itself: its funnel and its card."""

from collections import Counter
from collections.abc import Mapping, Sequence

from geomammut import __version__
from geomammut.files import content_id
from geomammut.pairs.pair_set import Funnel
from geomammut.pairs.web_decisions import DECISIONS, Reasons
from geomammut.pairs.web_stages.image import STORED_SIDE
from geomammut.pairs.web_stages.text import RULES
from geomammut.pairs.writers.prompt import WEB_PROMPT_VERSION
from geomammut.pairs.writers.writer import ModelWriter


def record(funnel: Funnel, stages: Sequence[str], rows: int, reasons: Reasons) -> None:
    """Add the `stages`, in their order, from all rows to those kept; every row is accounted for."""
    for stage in stages:
        dropped = {reason: count for (at, reason), count in sorted(reasons.items()) if at == stage}
        left = rows - sum(dropped.values())
        funnel.step(stage, rows, left, dropped)
        rows = left


def record_captions(funnel: Funnel, writer: ModelWriter, counts: Counter[str]) -> None:
    """Add the step in which a language model wrote new captions; it drops nothing."""
    left = funnel.steps[-1]["out"]
    funnel.step("captions", left, left)
    funnel.steps[-1]["by_writer"] = {writer.name: dict(sorted(counts.items()))}
    funnel.steps[-1]["spent"] = writer.spent()


def nothing_left(inputs: Sequence[str], funnel: Funnel) -> str:
    """Return the one line that says where the last row was lost."""
    losses = [
        f"{step['step']} kept {step['out']} of {step['in']}"
        + "".join(f", {count} {reason}" for reason, count in step["dropped"].items())
        for step in funnel.steps
        if step["in"]
    ]
    emptied = next(step["step"] for step in funnel.steps if not step["out"])
    advice = {
        "text": "its alt-texts must speak of images from above",
        "fetch": "check the network, and that local paths are relative to the table's folder",
    }.get(emptied, f"look at what the {emptied} stage refuses")
    return f"no pair is left of {', '.join(inputs)}: {'; '.join(losses)}; {advice}"


def card(
    inputs: Sequence[str],
    judges: Mapping[str, str],
    funnel: Funnel,
    guarded: Sequence[str],
    writer: ModelWriter | None = None,
) -> str:
    """Return the text of `card.md`.

    Args:
        inputs: What was read.
        judges: Who judged besides the rules, such as {"classifier": "aerial"}.
        funnel: The steps, all of them.
        guarded: Names of the benchmarks whose images are not in the set.
        writer: Who wrote new captions, if anybody did.
    """
    steps = "\n".join(
        f"| {step['step']} | {step['in']:,} | {step['out']:,} | "
        + ", ".join(f"{count:,} {reason}" for reason, count in step["dropped"].items())
        + " |"
        for step in funnel.steps
    )
    listed = "\n".join(f"- {name}" for name in inputs)
    judged = "".join(f" and the {what} `{name}`" for what, name in judges.items()) or " and no classifier"
    captions = "their cleaned alt-texts as captions"
    if writer is not None:
        captions = f"captions by the model {writer.model} ({WEB_PROMPT_VERSION}), to which their alt-texts were a hint"
    return f"""# Web pairs

Images that the web's own words say were taken from above, with {captions}, from:

{listed}

Made by `geomammut pairs web` {__version__} with the text rules {content_id(RULES.read_bytes())}{judged}.
Images are JPEG, at most {STORED_SIDE} pixels a side. What became of every row is in `{DECISIONS}`;
`geomammut pairs web --explain ID -o` with this folder tells it for one of them.

| stage | in | out | dropped |
|---|---|---|---|
{steps}

**Benchmarks.** {_guard(guarded)}

**Licence.** Images and texts belong to those who published them; each pair's `url` says where. This set
grants no right to them.
"""


def _guard(guarded: Sequence[str]) -> str:
    if not guarded:
        return "No benchmark was held against this set: it may hold images that models are measured on."
    return f"No image here is a near-duplicate of one of {', '.join(guarded)}."
