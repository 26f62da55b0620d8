"""The page's files, read once: no path of a request is ever opened."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
MAP = "maplibre/maplibre-gl.mjs"


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent."""

    media_type: str
    content: bytes
    packed: bytes
    tag: str

    def answer(self, request: Request) -> Response:
        """Return the file, packed where the browser takes that, or word that it has not changed."""
        headers = {"ETag": self.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, media_type=self.media_type, headers=headers | {"Content-Encoding": "gzip"})
        return Response(self.content, media_type=self.media_type, headers=headers)


def page_files() -> dict[str, PageFile]:
    """Return the page's files by name, those of MapLibre under `maplibre/` if it is there."""
    found: dict[str, PageFile] = {}
    folder = files("geomammut.search.server") / "page"
    for prefix, place in (("", folder), ("maplibre/", folder / "maplibre")):
        for file in place.iterdir() if place.is_dir() else ():
            suffix = "." + file.name.rpartition(".")[2]
            if file.is_file() and suffix in TYPES:
                found[prefix + file.name] = _read(file, TYPES[suffix])
    return found


def _read(file: Traversable, media_type: str) -> PageFile:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return PageFile(media_type, content, gzip.compress(content, 6, mtime=0), tag)
