"""Texts made comparable: lower case, no accents, no apostrophes, single spaces."""

import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

ABSENT = "[\u0300-\u036f'’´`]"  # combining accents and apostrophes
SPACES = r"[\s\pZ_-]+"  # hyphens and underscores count as spaces


def folded(texts: pa.Array) -> pa.Array:
    """Return lower-case texts without accents and apostrophes, their words set apart by single spaces."""
    decomposed = pc.utf8_lower(pc.utf8_normalize(texts, form="NFD"))
    return pc.replace_substring_regex(pc.replace_substring_regex(decomposed, ABSENT, ""), SPACES, " ")


def fold_phrase(phrase: str) -> str:
    """Fold a phrase of the rules as `folded` folds texts."""
    return re.sub(ABSENT, "", unicodedata.normalize("NFD", phrase).lower()).replace("-", " ")
