"""The page that tells how to ask the server from a program, made from its own OpenAPI description."""

import json
from typing import Any

from geomammut.markup import Html, markup, tag


def api_page(description: dict[str, Any]) -> str:
    """Return the page of an OpenAPI description: each address, what it takes, and a command to try it."""
    schemas = description.get("components", {}).get("schemas", {})
    parts = [
        _address(path, method, one, schemas)
        for path, methods in description["paths"].items()
        for method, one in methods.items()
    ]
    title = description["info"]["title"]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"{title}: the API"),
        Html('<link rel="stylesheet" href="/page/page.css">'),
    )
    lead = tag(
        "p",
        "JSON in, JSON or files out; a problem is told as ",
        tag("code", '{"error": "…"}'),
        ". The description that programs read: ",
        tag("a", "openapi.json", href="/openapi.json"),
        ". Where a token is asked for, send ",
        tag("code", "Authorization: Bearer TOKEN"),
        ".",
    )
    back = tag("p", tag("a", "← Search", href="/"))
    body = tag("body", tag("main", back, tag("h1", title), lead, *parts, class_="prose"), class_="docs")
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _address(path: str, method: str, one: dict[str, Any], schemas: dict[str, Any]) -> Html:
    asked = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    options = [_resolved(option, schemas) for option in asked.get("anyOf", [asked])] if asked else []
    rows = [
        tag(
            "tr",
            tag("td", tag("code", name)),
            tag("td", _kind(field, schemas)),
            tag("td", field.get("description", "")),
        )
        for option in options
        for name, field in option.get("properties", {}).items()
    ]
    table = tag(
        "table", tag("thead", tag("tr", tag("th", "field"), tag("th", "is"), tag("th", ""))), tag("tbody", *rows)
    )
    return tag(
        "section",
        tag("h2", tag("code", f"{method.upper()} {path}")),
        tag("p", one.get("description") or one.get("summary", "")),
        table if rows else None,
        tag("pre", tag("code", _command(path, method, options, schemas))),
    )


def _command(path: str, method: str, options: list[dict[str, Any]], schemas: dict[str, Any]) -> str:
    if method == "get":
        return f"curl 'http://127.0.0.1:8080{path}'"
    first = options[0]
    body = {
        name: _example(field, schemas)
        for name, field in first.get("properties", {}).items()
        if name in first.get("required", ["text"])
    }
    if "text" in first.get("properties", {}):
        body = {"text": "storage tanks", **body}
    return f"curl -H 'Content-Type: application/json' -d '{json.dumps(body)}' 'http://127.0.0.1:8080{path}'"


def _example(field: dict[str, Any], schemas: dict[str, Any]) -> Any:
    field = _resolved(field, schemas)
    return (field.get("examples") or ["…"])[0]


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _kind(field: dict[str, Any], schemas: dict[str, Any]) -> Html:
    kinds = [_resolved(option, schemas) for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    words = []
    for kind in kinds:
        word = kind.get("format") or " or ".join(kind.get("enum", [])) or kind.get("type", "")
        if kind.get("type") == "integer" and "maximum" in kind:
            word = f"{kind['minimum']} … {kind['maximum']}"
        words.append(str(word))
    if "default" in field and field["default"] not in (None, []):
        words.append(f"({field['default']} if not said)")
    return markup(" ".join(words))
