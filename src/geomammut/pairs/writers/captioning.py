"""Captions of chips: written, checked, rewritten with the reason, at last replaced by the template's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from geomammut.pairs.grounding import (
    GROUNDING_COUNTS,
    Examination,
    Fault,
    Lexicon,
    examine_caption,
    grounding_counts,
    grounding_report,
)
from geomammut.pairs.template_writer import TemplateWriter
from geomammut.pairs.visible import ChipContents
from geomammut.pairs.writers.answer import Question
from geomammut.pairs.writers.dialogues import Dialogue
from geomammut.pairs.writers.prompt import first_prompt, rewrite_prompt

REWRITES = 2
TEMPLATE = TemplateWriter.name


class ChipToCaption(Protocol):
    """A chip as the writers need it."""

    @property
    def jpeg(self) -> bytes: ...

    @property
    def contents(self) -> ChipContents: ...

    @property
    def phrasing(self) -> str:
        """Picks among the template's phrasings: the chip's id and the run's seed."""
        ...


AnyChip = TypeVar("AnyChip", bound=ChipToCaption)


@dataclass(frozen=True)
class Captions:
    """The captions of a chip that passed the check, in the order in which they were asked for.

    Attributes:
        texts: The captions; none where not even the template's passed.
        writers: Who wrote each.
        counts: What happened on the way, by writer: ("openai", "written"), ("openai", "rewritten"),
            ("openai", "replaced"), ("openai", "no answer"), for captions that failed, ("openai", fault), and
            of its captions before any was rewritten, the counts of `grounding_counts`.
            Those of several chips add up.
    """

    texts: tuple[str, ...]
    writers: tuple[str, ...]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


WRITTEN, PASSED, REWRITTEN, REPLACED, NO_ANSWER = "written", "passed", "rewritten", "replaced", "no answer"
NO_FAULTS = frozenset((WRITTEN, PASSED, REWRITTEN, REPLACED, NO_ANSWER))


def by_writer(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Return the counts of `Captions` as a table: writer → what → how many; PASSED is added."""
    table: dict[str, dict[str, int]] = {}
    for (writer, what), count in sorted(counts.items()):
        if count and what not in GROUNDING_COUNTS:
            table.setdefault(writer, {})[what] = count
    for row in table.values():
        row[PASSED] = row.get(WRITTEN, 0) - sum(count for what, count in row.items() if what not in NO_FAULTS)
    return table


def figures_by_writer(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, float | None]]:
    """Return the figures of `grounding_report` for each writer, from the counts of `Captions`."""
    table: dict[str, Counter[str]] = {}
    for (writer, what), count in sorted(counts.items()):
        if what in GROUNDING_COUNTS:
            table.setdefault(writer, Counter())[what] = count
    return {writer: grounding_report(row) for writer, row in table.items()}


def template_captions(chip: ChipToCaption, lexicon: Lexicon) -> Captions:
    """Return the template's captions that pass the check."""
    written = TemplateWriter().write(chip.jpeg, chip.contents, chip.phrasing)
    counts = Counter({(TEMPLATE, WRITTEN): len(written)})
    texts = []
    examined = [examine_caption(text, chip.contents, lexicon) for text in written]
    for text, seen in zip(written, examined, strict=True):
        if seen.faults:
            counts[TEMPLATE, seen.faults[0].kind] += 1
        else:
            texts.append(text)
    counts.update(_measured(TEMPLATE, examined, chip.contents))
    return Captions(tuple(texts), (TEMPLATE,) * len(texts), counts)


def _measured(writer: str, examined: Sequence[Examination], contents: ChipContents) -> dict[tuple[str, str], int]:
    return {(writer, what): count for what, count in grounding_counts(examined, contents).items()}


def caption_dialogue(chip: ChipToCaption, lexicon: Lexicon, writer: str, model: str) -> Dialogue[Captions]:
    """Ask for captions, then for others in the place of those that fail the check; see `Captions`."""
    contents = chip.contents

    def question(prompt: str) -> Question:
        return Question(chip.jpeg, (contents.width, contents.height), prompt, writer, model)

    counts: Counter[tuple[str, str]] = Counter()
    texts: list[str] = list((yield question(first_prompt(contents))) or ())
    failed: dict[int, tuple[Fault, ...]] = {}

    def check(place: int) -> Examination:
        counts[writer, WRITTEN] += 1
        seen = examine_caption(texts[place], contents, lexicon)
        if seen.faults:
            counts[writer, seen.faults[0].kind] += 1
            failed[place] = seen.faults
        return seen

    examined = [check(place) for place in range(len(texts))]
    if examined:
        counts.update(_measured(writer, examined, contents))
    for _ in range(REWRITES):
        if not failed:
            break
        places = sorted(failed)
        wrong = [(texts[place], failed[place]) for place in places]
        better = yield question(rewrite_prompt(contents, wrong))
        for place, text in zip(places, better or (), strict=False):
            if text in texts:
                continue
            texts[place] = text
            if not check(place).faults:
                counts[writer, REWRITTEN] += 1
                del failed[place]
    if not texts:
        counts[writer, NO_ANSWER] += 1
    return _with_the_templates(chip, lexicon, texts, sorted(failed), writer, counts)


def _with_the_templates(
    chip: ChipToCaption,
    lexicon: Lexicon,
    texts: list[str],
    failed: Sequence[int],
    writer: str,
    counts: Counter[tuple[str, str]],
) -> Captions:
    """Put the template's captions in the places of those that failed, or of all if there are none."""
    writers = [writer] * len(texts)
    if failed or not texts:
        spare = [text for text in template_captions(chip, lexicon).texts if text not in texts]
        if not texts:
            texts, writers = spare, [TEMPLATE] * len(spare)
            counts[TEMPLATE, WRITTEN] += len(spare)
        for place in failed:
            # Where the template has no more, the set has one caption less.
            texts[place], writers[place] = (spare.pop(0), TEMPLATE) if spare else ("", TEMPLATE)
            counts[TEMPLATE, WRITTEN] += bool(texts[place])
            counts[writer, REPLACED] += bool(texts[place])
    kept = [(text, by) for text, by in zip(texts, writers, strict=True) if text]
    return Captions(tuple(text for text, _ in kept), tuple(by for _, by in kept), counts)
