"""What a language model is asked: the versioned prompts, with what is in a chip as quoted data."""

import json
import string
from collections.abc import Sequence
from functools import cache
from importlib import resources

from geomammut.pairs.grounding import Fault
from geomammut.pairs.visible import ChipContents

# A change of the words under `prompts/` is a new version, and new files there.
PROMPT_VERSION = "landmark_captions_2"
WEB_PROMPT_VERSION = "web_captions_1"
CAPTIONS = 4  # asked for, a picture
_KINDS = 12


def first_prompt(contents: ChipContents) -> str:
    """Return the prompt that asks for the captions of a chip."""
    return _prompt(PROMPT_VERSION).substitute(landmarks=_landmarks(contents), count=CAPTIONS)


def rewrite_prompt(contents: ChipContents, failed: Sequence[tuple[str, Sequence[Fault]]]) -> str:
    """Return the prompt that asks for captions in the place of those that `failed` the check."""
    listed = [{"caption": text, "wrong": [fault.reason for fault in faults]} for text, faults in failed]
    return _prompt(f"{PROMPT_VERSION}_rewrite").substitute(
        landmarks=_landmarks(contents), failed=json.dumps(listed), count=len(failed)
    )


def web_prompt(hint: str) -> str:
    """Return the prompt that asks for the captions of a picture of the web, which had the words `hint` for it."""
    # One line of ASCII, as the landmarks are.
    return _prompt(WEB_PROMPT_VERSION).substitute(hint=json.dumps(hint), count=CAPTIONS)


@cache
def _prompt(name: str) -> string.Template:
    path = resources.files("geomammut.pairs").joinpath("prompts", f"{name}.md")
    return string.Template(path.read_text(encoding="utf-8"))


def _landmarks(contents: ChipContents) -> str:
    """List what is in a chip. The names stay here: none can be seen, and strangers typed them in."""
    kinds = [
        {
            "what": kind.phrase,
            "count": kind.count if kind.countable else "some",
            "position": kind.position,
            "area_percent": round(100 * kind.area_share, 1),
        }
        for kind in contents.kinds[:_KINDS]
    ]
    relations = [
        [contents.kinds[relation.subject].phrase, relation.word, contents.kinds[relation.object].phrase]
        for relation in contents.relations
    ]
    # One line each, so that no word can feign the line that ends the data; ASCII, so that none can hide.
    return json.dumps(kinds) + "\n" + json.dumps(relations)
