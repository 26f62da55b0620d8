"""What `--imagery` and catalogs name: paths of this machine, and addresses on the network."""

import re
from urllib.parse import urljoin

VSI_PREFIXES = {"http": "/vsicurl/", "https": "/vsicurl/", "s3": "/vsis3/", "gs": "/vsigs/"}
_JSON = (".json", ".geojson")
_OF_AN_API = re.compile(r"/(search|items|items/[^/.]+|collections/[^/.]+)$")


def is_address(text: str) -> bool:
    """Return whether this names something that is not looked for among this machine's files."""
    return bool(_scheme(text)) or text.startswith("/vsi")


def is_remote(text: str) -> bool:
    """Return whether this is an http(s), s3 or gs address."""
    return _scheme(text) in VSI_PREFIXES


def plain_address(text: str) -> str:
    """Return `/vsis3/…`, `/vsigs/…` and `/vsicurl/…` as the addresses that they stand for; others as they are."""
    for scheme in ("s3", "gs"):
        if text.startswith(VSI_PREFIXES[scheme]):
            return f"{scheme}://" + text.removeprefix(VSI_PREFIXES[scheme])
    return text.removeprefix("/vsicurl/")


def gdal_address(address: str) -> str:
    """Return an http(s), s3 or gs address as GDAL's virtual file systems name it; others as they are."""
    scheme = _scheme(address)
    if scheme in ("http", "https"):
        return "/vsicurl/" + address
    return VSI_PREFIXES[scheme] + address.split("://", 1)[1] if scheme in VSI_PREFIXES else address


def path_of(text: str) -> str:
    """Return `text` without the query and fragment of an http(s) address: where a signed link's file is named."""
    return re.split(r"[?#]", text, maxsplit=1)[0] if _scheme(text) in ("http", "https") else text


def is_stac(location: str) -> bool:
    """Return whether this names a STAC document: a path that ends in `.json` or `.geojson`, or a STAC API's
    `…/search?…`, `…/collections/ID`, `…/items` or `…/items/ID`."""
    path = path_of(location).rstrip("/")
    of_an_api = _scheme(location) in ("http", "https") and _OF_AN_API.search(path)
    return path.lower().endswith(_JSON) or bool(of_an_api)


def joined(base: str, href: str) -> str:
    """Return what `href` means in a document at the http(s), s3 or gs address `base`."""
    if _scheme(href):
        return href
    scheme, rest = base.split("://", 1)
    if scheme in ("http", "https"):
        return urljoin(base, href)
    # urljoin knows web addresses alone.
    return f"{scheme}://" + urljoin("http://" + rest, href).removeprefix("http://")


def _scheme(text: str) -> str:
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(?://|$)", text)
    return found[1].lower() if found else ""
