"""New captions for pictures of the web: by a language model that sees the picture, with the alt-text as a hint."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from geomammut.pairs.pair_set import Pair
from geomammut.pairs.web_stages.alt_text import clean_alt_text
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.writers.answer import Question
from geomammut.pairs.writers.dialogues import Dialogue
from geomammut.pairs.writers.prompt import WEB_PROMPT_VERSION, web_prompt
from geomammut.pairs.writers.writer import ModelWriter

WRITTEN, KEPT = "captions written", "pairs that keep their alt-text"


def recaptioned(pairs: Iterable[Pair], writer: ModelWriter, counts: Counter[str]) -> Iterator[Pair]:
    """Yield each pair with the language model's captions, or as it was where the model has none, in order.

    What it wrote is cleaned as alt-texts are. The id stays: it is that of the picture and its alt-text.

    Args:
        pairs: With one caption, the alt-text's.
        writer: The language model, with its limits and its store.
        counts: Counts WRITTEN and KEPT.
    """

    def dialogue(pair: Pair) -> Dialogue[tuple[str, ...]]:
        size, prompt = (pair.width, pair.height), web_prompt(pair.captions[0])
        answer = yield Question(pair.jpeg, size, prompt, writer.name, writer.model, WEB_PROMPT_VERSION)
        return tuple(caption for text in answer or () if (caption := _clean(text)))

    for pair, captions in writer.lead(pairs, dialogue):
        counts[WRITTEN] += len(captions)
        if not captions:
            counts[KEPT] += 1
            yield pair
            continue
        by = {"writer": writer.name, "model": writer.model, "prompt_version": WEB_PROMPT_VERSION}
        yield replace(pair, captions=captions, provenance=pair.provenance | by | {"hint": pair.captions[0]})


def _clean(text: str) -> str:
    try:
        return clean_alt_text(text)
    except Dropped:
        return ""
