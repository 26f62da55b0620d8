"""JSON documents of catalogs, from files, http(s) and s3."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pystac
from pyarrow import ArrowException, fs
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from geomammut.errors import UserError
from geomammut.imagery.addresses import is_remote

MAX_BYTES = 64 << 20  # of a document from the network


class DocumentReader:
    """Reads JSON documents; patient with servers, and wary of them: no answer above 64 MiB is taken in."""

    def __init__(self) -> None:
        self._web = StacApiIO(timeout=(20, 60), max_retries=4)
        self._web.session.hooks["response"].append(_bounded)

    def read(self, location: str) -> Any:
        """Return the content of a file or of an http(s) or s3 address.

        Raises:
            UserError: It is missing, too large or no JSON.
        """
        try:
            return json.loads(self._text(location))
        except FileNotFoundError as error:
            raise UserError(f"STAC {location} does not exist; give a STAC document") from error
        except (OSError, ValueError, RecursionError, APIError, ArrowException) as error:
            raise UserError(f"STAC {location} cannot be read ({one_line(error)}); give a STAC document") from error

    def follow(self, link: Mapping[str, Any]) -> Any:
        """Return the content that a link leads to; an API's may ask for a POST with a body.

        Raises:
            ValueError: It cannot be read.
        """
        if str(link.get("method", "GET")).upper() not in ("GET", "POST"):
            raise ValueError("a link asks for something else than GET and POST")
        try:
            if is_remote(str(link["href"])) and not str(link["href"]).startswith("http"):
                return self.read(str(link["href"]))
            return json.loads(self._web.read_text(pystac.Link.from_dict(dict(link))))
        except (OSError, RecursionError, TypeError, AttributeError, APIError, UserError) as error:
            raise ValueError(one_line(error)) from error

    def _text(self, location: str) -> str | bytes:
        if location.startswith("s3://"):
            return _object(location)
        if location.startswith("gs://"):
            raise ValueError("documents on gs are read by https://storage.googleapis.com/BUCKET/KEY alone")
        return self._web.read_text(location) if is_remote(location) else Path(location).read_bytes()


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _bounded(response: Any, **_: Any) -> None:
    """Take in a web answer as far as the limit goes, unpacked."""
    body = response.raw.read(MAX_BYTES + 1, decode_content=True)
    _refuse_large(len(body))
    response.raw = io.BytesIO(body)


def _object(address: str) -> bytes:
    """Return an object's content; where and as whom it is asked for is what GDAL is told for `/vsis3/`."""
    path = address.removeprefix("s3://")
    told = os.environ.get
    endpoint = told("AWS_S3_ENDPOINT")
    region = told("AWS_REGION") or told("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(path.split("/", 1)[0])
    store = fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        scheme="http" if _is_no(told("AWS_HTTPS")) else "https",
        anonymous=told("AWS_NO_SIGN_REQUEST", "NO").upper() in ("YES", "TRUE", "ON", "1"),
        force_virtual_addressing=endpoint is not None and not _is_no(told("AWS_VIRTUAL_HOSTING")),
        connect_timeout=20,
        request_timeout=60,
    )
    with store.open_input_file(path) as stream:
        _refuse_large(stream.size())
        content: bytes = stream.read()
        return content


def _is_no(setting: str | None) -> bool:
    return (setting or "").upper() in ("NO", "FALSE", "OFF", "0")


def _refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
