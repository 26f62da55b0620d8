"""STAC: the pictures of items, from a file, a static catalog or an API's search."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pystac
from rasterio.errors import RasterioError

from geomammut.errors import UserError
from geomammut.imagery.addresses import gdal_address, is_remote, joined, path_of
from geomammut.imagery.datasets import open_dataset
from geomammut.imagery.documents import DocumentReader, one_line

# What a catalog points at is opened as a picture, never as a file that names other files (VRT and its kin).
PICTURE_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "WEBP")
_RASTER_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg", "image/webp")
_COLOURS = ("red", "green", "blue")
_MAX_ITEMS = 100_000


@dataclass(frozen=True)
class StacPicture:
    """The picture of one item.

    Attributes:
        name: The item's id.
        dataset: What GDAL opens: an address, a path, or a virtual raster of three single-band files.
        drivers: GDAL drivers that may open it.
        bands: The bands (from 1) that the item says are red, green and blue, or None.
        acquired: The item's (start) time, ISO 8601.
    """

    name: str
    dataset: str
    drivers: tuple[str, ...]
    bands: tuple[int, int, int] | None
    acquired: str | None


def stac_pictures(location: str, left_out: Counter[str]) -> Iterator[StacPicture]:
    """Yield the picture of each item of a STAC document.

    The document is an item, an item collection (a search's answer, whose pages are followed) or a catalog
    or collection, whose children and items are. An item's picture is its asset `visual`; else one with the
    role `visual`; else one whose bands are named red, green and blue; else three single-band assets named
    so; else its only raster with the role `data`.

    A document from the network may point to http(s), s3 and gs addresses alone, never to files here.

    Args:
        location: A file or an http(s) or s3 address.
        left_out: Reason → items and links that gave no picture; added to.

    Raises:
        UserError: The document itself is missing or no STAC.
    """
    reader = DocumentReader()
    document = reader.read(location)
    if not isinstance(document, dict) or document.get("type") not in (
        "Feature",
        "FeatureCollection",
        "Catalog",
        "Collection",
    ):
        raise UserError(f"STAC {location} is no item, item collection, catalog or collection; give one of these")
    for count, (href, item) in enumerate(_items(document, location, reader, left_out, set())):
        if count == _MAX_ITEMS:
            raise UserError(f"STAC {location} has more than {_MAX_ITEMS:,} items; narrow the search")
        try:
            yield _picture(item, href)
        except ValueError as error:
            left_out[one_line(error)] += 1
        except (KeyError, TypeError, AttributeError, pystac.STACError, pystac.STACTypeError):
            left_out["an item is no valid STAC item"] += 1


def _items(
    document: Mapping[str, Any], href: str, reader: DocumentReader, left_out: Counter[str], seen: set[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield address and content of each item of a document and of those that it links to."""
    kind = document.get("type")
    if kind == "Feature":
        yield href, document
    elif kind == "FeatureCollection":
        yield from _pages(document, href, reader, left_out)
    elif kind in ("Catalog", "Collection"):
        for link in document.get("links") or ():
            if not isinstance(link, dict) or link.get("rel") not in ("child", "item", "items"):
                continue
            try:
                there = _resolved(str(link.get("href")), href)
                if there in seen:
                    continue
                seen.add(there)
                linked = reader.read(there)
            except (ValueError, UserError) as error:
                left_out[one_line(error)] += 1
                continue
            if isinstance(linked, dict):
                yield from _items(linked, there, reader, left_out, seen)


def _pages(
    page: Mapping[str, Any], href: str, reader: DocumentReader, left_out: Counter[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the items of a search's pages; the API says where the next one is."""
    while True:
        for item in page.get("features") or ():
            if isinstance(item, dict):
                own = [link for link in item.get("links") or () if isinstance(link, dict) and link.get("rel") == "self"]
                where = str(own[0].get("href")) if own and is_remote(href) else href
                yield where if is_remote(where) else href, item
        links = [link for link in page.get("links") or () if isinstance(link, dict) and link.get("rel") == "next"]
        if not links or not page.get("features") or not is_remote(href):
            return
        try:
            page = reader.follow(links[0] | {"href": _resolved(str(links[0].get("href")), href)})
            if not isinstance(page, dict):
                raise ValueError("it is no item collection")
        except ValueError as error:
            left_out[f"the next page of the search cannot be read ({one_line(error)})"] += 1
            return


def _picture(content: Mapping[str, Any], href: str) -> StacPicture:
    item = pystac.Item.from_dict(dict(content), href=href)
    when = content["properties"].get("datetime") or content["properties"].get("start_datetime")
    acquired = str(when)[:19] if when else None

    def address(asset: pystac.Asset) -> str:
        return gdal_address(_resolved(asset.href, href))

    chosen = _picture_asset(item)
    if chosen is not None:
        names = _band_names(chosen)
        bands = None
        if set(_COLOURS) <= set(names):
            bands = (names.index("red") + 1, names.index("green") + 1, names.index("blue") + 1)
        return StacPicture(item.id, address(chosen), PICTURE_DRIVERS, bands, acquired)
    single = {names[0]: asset for asset in item.assets.values() if len(names := _band_names(asset)) == 1}
    if not set(_COLOURS) <= set(single):
        raise ValueError("an item has no RGB asset, nor red, green and blue ones")
    stack = _stacked([address(single[colour]) for colour in _COLOURS])
    return StacPicture(item.id, stack, ("VRT",), (1, 2, 3), acquired)


def _picture_asset(item: pystac.Item) -> pystac.Asset | None:
    rasters = {
        key: asset
        for key, asset in item.assets.items()
        if (asset.media_type or "").split(";")[0].strip().lower() in _RASTER_TYPES
        or re.search(r"\.(tiff?|jp2)$", path_of(asset.href), re.IGNORECASE)
    }
    if "visual" in rasters:
        return rasters["visual"]
    for asset in rasters.values():
        if "visual" in (asset.roles or ()):
            return asset
    for asset in rasters.values():
        if set(_COLOURS) <= set(_band_names(asset)) and "thumbnail" not in (asset.roles or ()):
            return asset
    data = [asset for asset in rasters.values() if not {"thumbnail", "overview", "metadata"} & set(asset.roles or ())]
    return data[0] if len(data) == 1 else None


def _band_names(asset: pystac.Asset) -> list[str]:
    """Return what an asset says its bands show, in both STAC 1.0's and 1.1's words."""
    bands = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or []
    return [
        str(band.get("eo:common_name") or band.get("common_name") or "") if isinstance(band, dict) else ""
        for band in bands
    ]


def _stacked(datasets: list[str]) -> str:
    """Return three single-band rasters of one shape as a virtual raster."""
    looks = []
    for dataset in datasets:
        try:
            with open_dataset(dataset, PICTURE_DRIVERS) as raster:
                if raster.crs is None:
                    raise ValueError("an item's picture has no coordinate system")
                looks.append((raster.width, raster.height, raster.crs.to_wkt(), raster.transform, raster.dtypes[0]))
                nodata = raster.nodata
        except RasterioError as error:
            raise ValueError(f"an asset cannot be read ({type(error).__name__})") from error
    if len(set(looks)) > 1:
        raise ValueError("an item's red, green and blue assets differ in shape or place")
    width, height, wkt, transform, kind = looks[0]
    name = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}.get(kind)
    if name is None:
        raise ValueError(f"an item's assets hold {kind}")
    missing = "" if nodata is None else f"<NoDataValue>{nodata!r}</NoDataValue>"
    xml = "".join(
        f'<VRTRasterBand dataType="{name}" band="{band}">{missing}<ColorInterp>{colour.title()}</ColorInterp>'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(dataset)}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band, (colour, dataset) in enumerate(zip(_COLOURS, datasets, strict=True), start=1)
    )
    place = ", ".join(repr(number) for number in transform.to_gdal())
    return (
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>{escape(wkt)}</SRS>'
        f"<GeoTransform>{place}</GeoTransform>{xml}</VRTDataset>"
    )


def _resolved(href: str, base: str) -> str:
    """Return `href` as seen from the document `base`.

    Raises:
        ValueError: The document came from the network and points elsewhere than there, or to an address
            of a kind that is not read.
    """
    if is_remote(base):
        there = joined(base, href)
        if not is_remote(there) or href.startswith("/vsi"):
            raise ValueError("a link of a remote catalog leads to something else than an http(s), s3 or gs address")
        return there
    if is_remote(href):
        return href
    scheme = urlsplit(href).scheme
    if scheme or href.startswith("/vsi"):
        raise ValueError(f"a link of the kind {scheme or '/vsi'} is not followed")
    return str(Path(base).parent / href)
