"""Common Crawl: the images with an alt-text of the pages in WARC files, or as WAT files list them."""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import urljoin

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from geomammut.pairs.remote_files import open_file
from geomammut.pairs.web_stages.records import Record

SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".wat", ".wat.gz")
_MAX_PAGE_BYTES = 2**24
_SOURCES = ("src", "data-src", "data-original", "data-lazy-src")  # the later ones of pages that load images late
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w-]{1,40})", re.IGNORECASE)
_STARTS = re.compile(rb"\x1f\x8b\x08|\nWARC/1\.[01]\r\n|\x28\xb5\x2f\xfd")


def read_warc(path: str) -> Iterator[Record]:
    """Yield, of each HTML page, the images that have an alt-text, their urls made absolute.

    Pages are the `response` records of WARC files, or `metadata` records of WAT files. A broken
    archive record is a record of its own, `unreadable`, and what follows it is read.

    Raises:
        READ_ERRORS: The file is gone or cannot be read.
    """
    with open_file(path) as file:
        start: int | None = 0
        broken = False
        while start is not None:
            file.seek(start)
            last = start
            try:
                for record in ArchiveIterator(file, record_types=WarcRecordType.response | WarcRecordType.metadata):
                    last = int(record.stream_pos)
                    broken = False
                    yield from _images(record)
                return
            except (OSError, ValueError) as error:
                if not broken:
                    yield Record(unreadable=f"broken WARC record: {error}")
                    broken = True
            start = _next_start(file, last + 1)


def _next_start(file: BinaryIO, after: int) -> int | None:
    """Return the first place, from `after` on, at which a record may start."""
    held = b""
    file.seek(after)
    while data := file.read(2**20):
        held += data
        if found := _STARTS.search(held):
            return after + found.start() + (held[found.start()] == 10)
        after += max(0, len(held) - 16)
        held = held[-16:]
    return None


def _images(record: WarcRecord) -> Iterator[Record]:
    address = record.headers.get("WARC-Target-URI") or ""
    if record.record_type == WarcRecordType.metadata:
        if "json" in (record.headers.get("Content-Type") or ""):
            yield from _listed(record.reader.read(_MAX_PAGE_BYTES), address)
    elif record.is_http and record.http_headers is None:
        yield Record(unreadable="no whole answer in the WARC record")
    elif "html" in (record.http_content_type or ""):
        body = record.reader.read(_MAX_PAGE_BYTES)
        yield from _in_page(_decoded(body, record.http_charset), address)


def _in_page(page: str, address: str) -> Iterator[Record]:
    tree = LexborHTMLParser(page)
    base = tree.css_first("base[href]")
    if base is not None:
        address = _absolute(address, base.attributes.get("href") or "")
    for image in tree.css("img[alt]"):
        attributes = image.attributes
        sources = (attributes.get(name) for name in _SOURCES)
        source = next((each for each in sources if each and not each.startswith("data:")), None)
        yield from _image(address, source, attributes.get("alt"))


def _listed(body: bytes, address: str) -> Iterator[Record]:
    try:
        envelope: Any = json.loads(body)["Envelope"]
        address = envelope["WARC-Header-Metadata"].get("WARC-Target-URI", address)
        page = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
        links = [link for link in page.get("Links", []) if str(link.get("path")).startswith("IMG@/src")]
        base = page.get("Head", {}).get("Base")
        address = _absolute(address, base) if isinstance(base, str) else address
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        yield Record(unreadable=f"no WAT record: {type(error).__name__}: {error}")
        return
    for link in links:
        yield from _image(address, link.get("url"), link.get("alt"))


def _image(address: str, source: object, alt_text: object) -> Iterator[Record]:
    if isinstance(source, str) and isinstance(alt_text, str) and alt_text.strip() and not source.startswith("data:"):
        yield Record(_absolute(address, source.strip()), " ".join(alt_text.split()))


def _absolute(address: str, reference: str) -> str:
    try:
        return urljoin(address, reference)
    except ValueError:
        return reference  # the fetch stage will say what is wrong with it


def _decoded(page: bytes, charset: str | None) -> str:
    found = _CHARSET.search(page[:4096])
    for name in (charset, found[1].decode("ascii") if found else None, "utf-8"):
        try:
            if name:
                return page.decode(name, errors="replace")
        except (LookupError, ValueError):  # no such charset, or one that is not for text
            continue
    return ""
