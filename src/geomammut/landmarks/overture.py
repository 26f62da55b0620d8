"""Overture's columns told as OpenStreetMap tags."""

from collections.abc import Collection, Mapping
from typing import Any

from geomammut.landmarks.taxonomy import Taxonomy

# Overture's classes are mostly OpenStreetMap's values; these are the keys they came from, likeliest first.
_KEYS_OF_TYPE = {
    "building": ("building",),
    "segment": ("highway", "railway"),
    "water": ("waterway", "water", "natural"),
    "land": ("natural", "landuse", "place"),
    "land_use": ("landuse", "leisure", "amenity", "golf", "tourism", "natural", "man_made", "aeroway"),
    "land_cover": ("natural", "landuse"),
    "infrastructure": ("man_made", "power", "aeroway", "railway", "barrier", "amenity", "waterway"),
}
_ANY_TYPE = tuple(dict.fromkeys(key for keys in _KEYS_OF_TYPE.values() for key in keys))
# Values that Overture renamed or coined.
_OWN_VALUES = {
    ("segment", "rail"): {"railway": "rail"},
    ("segment", "standard_gauge"): {"railway": "rail"},
    ("segment", "subway"): {"railway": "subway"},
    ("water", "lake"): {"natural": "water", "water": "lake"},
    ("water", "pond"): {"natural": "water", "water": "pond"},
    ("water", "reservoir"): {"natural": "water", "water": "reservoir"},
    ("water", "river"): {"waterway": "river"},
    ("water", "ocean"): {},
    ("land_cover", "crop"): {"landuse": "farmland"},
    ("land_cover", "barren"): {"natural": "bare_rock"},
    ("land_cover", "snow"): {"natural": "glacier"},
    ("land_cover", "grass"): {"landuse": "grass"},
    ("land_cover", "shrub"): {"natural": "scrub"},
    ("land_cover", "urban"): {},
    ("infrastructure", "bridge"): {"man_made": "bridge"},
}


def is_overture(columns: Collection[str]) -> bool:
    """Return whether a table has Overture's columns."""
    return {"id", "names"} <= set(columns) or {"id", "subtype", "sources"} <= set(columns)


def overture_tags(row: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, str]:
    """Return the OpenStreetMap tags that an Overture row stands for; empty if it says nothing known.

    `source_tags`, where Overture kept the original tags, are taken as they are.
    """
    names = row.get("names")
    name = names.get("primary") if isinstance(names, Mapping) else None
    tags = {"name": str(name)} if name else {}
    source_tags = row.get("source_tags")
    if isinstance(source_tags, Mapping):
        source_tags = list(source_tags.items())
    if source_tags is not None and len(source_tags) > 0:
        return tags | {str(key): str(value) for key, value in source_tags if value is not None}
    if "categories" in row or "basic_category" in row:  # the places theme: points inside buildings
        return tags | {"amenity": _primary(row.get("categories")) or "yes"}
    return tags | _coined(str(row.get("type") or _guessed_type(row)), row, taxonomy)


def _coined(kind: str, row: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, str]:
    """Return tags for an Overture `class` or, where that says nothing, `subtype`."""
    for value in (row.get("class"), row.get("subtype")):
        if not isinstance(value, str):
            continue
        if (kind, value) in _OWN_VALUES:
            return _OWN_VALUES[kind, value]
        for key in _KEYS_OF_TYPE.get(kind, _ANY_TYPE):
            if taxonomy.classify({key: value}, ("area", "line", "point")):
                return {key: value}
    return {"building": {"building": "yes"}, "water": {"natural": "water"}}.get(kind, {})


def _primary(categories: Any) -> str | None:
    value = categories.get("primary") if isinstance(categories, Mapping) else None
    return str(value) if value else None


def _guessed_type(row: Mapping[str, Any]) -> str | None:
    """Return the type of a row whose `type` was only in the name of its folder."""
    for column, kind in {
        "num_floors": "building",
        "has_parts": "building",
        "road_surface": "segment",
        "connectors": "segment",
        "is_salt": "water",
        "is_intermittent": "water",
    }.items():
        if column in row:
            return kind
    return None
