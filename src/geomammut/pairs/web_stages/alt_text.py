"""Stage 2: an alt-text becomes a caption, or turns out to say nothing (`cleaning` in `web_keywords.toml`)."""

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.text import rules

MAX_CHARACTERS = 2000
MIN_WORDS = 3
MIN_LETTERS = 6  # of a script written without spaces
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")  # kana and Han
PARTS = re.compile(r"(?:\s*[|·»•])+\s*|\s+[–—/:-]{1,2}\s+")
WORD = r"[^\W\d_a-z][\w.'’-]*"  # with a capital
AGENCY = r"(?:,? ?(?:Getty Images|AP|AFP|EPA|Reuters|Alamy|Shutterstock|Flickr)\b)?"
NAME = rf"(?:{WORD}(?:[ /]+(?:(?:de|van|von|der|la|el|bin|al|and|&) )*{WORD}){{0,3}}{AGENCY})"

LANGUAGES = "ar cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sv th tr uk vi zh".split()
CERTAIN = 0.7  # probability from which a language is told
CERTAIN_ENGLISH = 0.2  # most of the web's alt-texts are


@dataclass(frozen=True)
class CleaningPatterns:
    """What is taken out anywhere, what condemns a part of the text, what is cut off its end."""

    remove: tuple[re.Pattern[str], ...]
    boilerplate: re.Pattern[str]
    tails: tuple[re.Pattern[str], ...]


@cache
def cleaning_patterns() -> CleaningPatterns:
    """Compile the rules."""
    read = rules()["cleaning"]
    names = (re.compile(pattern.replace("NAME", NAME)) for pattern in read["names"])
    return CleaningPatterns(
        remove=(*(re.compile(pattern, re.IGNORECASE) for pattern in read["remove"]), *names),
        boilerplate=re.compile("|".join(read["boilerplate"]), re.IGNORECASE),
        tails=tuple(re.compile(pattern, re.IGNORECASE) for pattern in read["tails"]),
    )


def clean_alt_text(alt_text: str) -> str:
    """Return the caption that an alt-text holds: no markup, file names, prices, credits, or words about the website.

    E-mail addresses, accounts, telephone numbers and web addresses are taken out. Of persons' names only those
    that a credit gives are ("photo by Jane Doe", "© Jane Doe", "(AP Photo/Jane Doe)"): a place may be called
    like a person, and no list of names is asked. Cleaning a caption again changes nothing.

    Raises:
        Dropped: Fewer than three words (six letters in Chinese or Japanese) are left.
    """
    caption = alt_text[:MAX_CHARACTERS]
    while (cleaner := _clean_once(caption)) != caption:
        caption = cleaner
    words = re.findall(r"\w*[^\W\d_]\w*", caption)
    if len(words) < MIN_WORDS and len(UNSPACED.findall(caption)) < MIN_LETTERS:
        raise Dropped("alt-text says too little", caption)
    return caption


def language_of(caption: str) -> str | None:
    """Return the ISO 639-1 code of a caption's language, one of LANGUAGES, or None where that is not certain."""
    language, probability = _identifier().classify(caption)
    return str(language) if probability >= (CERTAIN_ENGLISH if language == "en" else CERTAIN) else None


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    return identifier


def _clean_once(text: str) -> str:
    patterns = cleaning_patterns()
    text = html.unescape(unicodedata.normalize("NFC", text))
    text = "".join(" " if unicodedata.category(letter) in ("Cc", "Co", "Cn") else letter for letter in text)
    for pattern in patterns.remove:
        text = pattern.sub(" ", text)
    text = _without_boilerplate(text, patterns.boilerplate)
    for pattern in patterns.tails:
        text = pattern.sub("", text)
    text = re.sub(r"\(\s*\)|\[\s*\]", " ", text)
    text = re.sub(r'"{2,}', '"', text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    return text.strip(" \t\"“”'|·•»«_,;:/–—-").rstrip(" ([")


def _without_boilerplate(text: str, boilerplate: re.Pattern[str]) -> str:
    """Drop the parts of `text` that speak of the website, unless there are no others."""
    kept = ""
    start, mark = 0, ""
    for found in [*PARTS.finditer(text), None]:
        end = found.start() if found else len(text)
        part = text[start:end]
        if part.strip() and not boilerplate.search(part):
            kept += (mark if kept else "") + part
        if found:
            start, mark = found.end(), found.group()
    return kept or text
