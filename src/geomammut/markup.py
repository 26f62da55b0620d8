"""HTML by function calls: every text is escaped, so that a name on a map cannot become markup on the page."""

from collections.abc import Iterable, Sequence
from html import escape

_VOID = frozenset({"br", "hr", "img", "meta"})


class Html(str):
    """Text that is HTML already."""


def markup(*parts: object) -> Html:
    """Join parts: Html as it is, lists part by part, None as nothing, all else as escaped text."""
    return Html("".join(_one(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return an HTML or SVG element.

    Args:
        name: Of the element.
        children: What `markup` takes.
        attributes: By name, with `_` for `-` and without a final `_`; one that is None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{markup(*children)}</{name}>")


def section(anchor: str, title: str, lead: object, *body: object) -> Html:
    """Return a section of the page: a heading, a paragraph, and what follows."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), *body, id=anchor)


def figure(picture: Html, *caption: object, class_: str | None = None) -> Html:
    """Return a picture with its caption under it."""
    return tag("figure", picture, tag("figcaption", *caption) if caption else None, class_=class_)


def picture(uri: str, alt: str, width: int, height: int, class_: str | None = None) -> Html:
    """Return an image whose bytes are in its data URI."""
    return tag("img", src=uri, alt=alt, width=width, height=height, class_=class_)


def grid(items: Iterable[Html], class_: str) -> Html:
    """Return items side by side, as many in a row as fit."""
    return tag("div", *items, class_=f"grid {class_}")


def table(
    headings: Sequence[object], rows: Iterable[Sequence[object]], *, words: int = 1, caption: object = None
) -> Html:
    """Return a table; the first `words` columns are text, the others numbers, aligned to the right."""

    def cells(kind: str, row: Sequence[object]) -> list[Html]:
        return [tag(kind, cell, class_=None if column < words else "number") for column, cell in enumerate(row)]

    body = [tag("tr", *cells("td", row)) for row in rows]
    inner = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", *cells("th", headings))),
        tag("tbody", *body),
    )
    return tag("div", inner, class_="scroll")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a percentage without its sign, or a dash for one that was not measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def _one(part: object) -> str:
    if part is None:
        return ""
    if isinstance(part, Html):
        return part
    if isinstance(part, list):
        return markup(*part)
    return escape(str(part))
