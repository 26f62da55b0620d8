"""Hits written down: GeoJSON for a map, or an HTML sheet of pictures."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import shapely

from geomammut.files import whole_file
from geomammut.markup import Html, markup, tag
from geomammut.search.archive import Archive, Hit

KINDS = (".geojson", ".json", ".html")
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { margin: .2rem 0 1.2rem; opacity: .75; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 1.1rem; padding: 0; }
li { list-style: none; }
img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 6px; display: block; }
b { display: block; margin-top: .35rem; }
small { display: block; opacity: .75; overflow-wrap: anywhere; }
"""


def write_hits(hits: Sequence[Hit], archive: Archive, asked: str, out: Path) -> None:
    """Write hits, best first, as the suffix of `out` says.

    Args:
        hits: Of `Archive.search`.
        archive: Theirs, which has the pictures.
        asked: What was looked for, in words.
        out: `.geojson` or `.json`, or `.html`.
    """
    text = _sheet(hits, archive, asked) if out.suffix.lower() == ".html" else _geojson(hits, asked)
    with whole_file(out) as partial:
        partial.write_text(text, encoding="utf-8")


def in_words(unusual: float) -> str:
    """Return how unusual a score is: "1 chip in 1,200 scores as high"."""
    most = "over 1,000,000" if unusual > 1e6 else f"{float(f'{unusual:.2g}'):,.0f}"
    return f"1 chip in {most} scores as high" if unusual >= 2 else "as most chips"


def _geojson(hits: Sequence[Hit], asked: str) -> str:
    features = [
        {
            "type": "Feature",
            "id": hit.id,
            "geometry": hit.footprint,
            "properties": {
                "rank": rank,
                "score": round(hit.score, 5),
                "unusual": float(f"{hit.unusual:.3g}"),
                "source": hit.source,
                "acquired": hit.acquired,
                "gsd_m": hit.gsd_m,
                "merged": hit.merged,
            },
        }
        for rank, hit in enumerate(hits, start=1)
    ]
    return json.dumps({"type": "FeatureCollection", "asked": asked, "features": features}, ensure_ascii=False) + "\n"


def _sheet(hits: Sequence[Hit], archive: Archive, asked: str) -> str:
    cards = [_card(rank, hit, archive.chip(hit.id)) for rank, hit in enumerate(hits, start=1)]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", asked),
        tag("style", Html(_STYLE)),
    )
    found = f"{len(hits):,} places of {len(archive):,} chips, best first" if hits else "nothing found"
    body = tag("body", tag("h1", asked), tag("p", found), tag("ol", *cards))
    return markup(Html("<!doctype html>\n"), tag("html", head, body, lang="en"), "\n")


def _card(rank: int, hit: Hit, jpeg: bytes) -> Html:
    middle = shapely.centroid(shapely.geometry.shape(dict(hit.footprint)))
    where = f"{middle.y:.5f}, {middle.x:.5f}"
    merged = f", with {hit.merged} that overlap" if hit.merged else ""
    return tag(
        "li",
        tag("img", src=f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}", alt=f"hit {rank}"),
        tag("b", f"{rank}. {in_words(hit.unusual)}"),
        tag("small", f"cosine {hit.score:.3f}{merged}"),
        tag("small", where),
        tag("small", hit.source, f", {hit.acquired}" if hit.acquired else ""),
        id=hit.id,
    )
