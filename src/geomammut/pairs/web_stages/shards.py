"""WebDataset shards, as img2dataset and this package write them, read without unpacking anything."""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from geomammut.pairs.remote_files import open_file
from geomammut.pairs.web_stages.records import ALT_TEXT_COLUMNS, URL_COLUMNS, NoColumnError, Record, column

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp")
SUFFIXES = (".tar",)  # a compressed one cannot be read at the places that are wanted
_MAX_TEXT_BYTES = 2**20
_MAX_HEADER_BYTES = 2**24
_BREAK = "no tar header where one should stand"
_MEMBER = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)  # WebDataset's own division into key and field


def read_shard(path: str, url_column: str | None, text_column: str | None) -> Iterator[Record]:
    """Yield the samples of a tar file: neighbours with the same key, up to the first dot of the name.

    The url is of `.json`; the alt-text is that of `.txt`, or of `.json` if there is none or if its key is named.
    The image stays where it is, and the record says where. What is broken is a record of its own, `unreadable`,
    and what follows it is read.

    Raises:
        READ_ERRORS: The file is broken from some place on.
    """
    with open_file(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        sample = _Sample(path, url_column, text_column)
        for found in _members(file, size):
            if sample.fields and (isinstance(found, str) or not sample.takes(*found[:2])):
                yield sample.record(file)
                sample = _Sample(path, url_column, text_column)
            if isinstance(found, str):
                yield Record(unreadable=found)
            else:
                sample.add(*found)
        if sample.fields:
            yield sample.record(file)


def _members(file: BinaryIO, size: int) -> Iterator[tuple[str, str, tarfile.TarInfo] | str]:
    """Yield the key, field and place of each member, or what is wrong where one should stand."""
    breaks = 0
    try:
        with _Tar(fileobj=cast(BinaryIO, _Cautious(file)), mode="r", tarinfo=_Header, ignore_zeros=True) as tar:
            for member in tar:
                tar.members = []  # it would keep them all
                if tar.breaks > breaks:
                    breaks = tar.breaks
                    yield _BREAK
                named = _MEMBER.fullmatch(member.name)
                if not member.isfile() or named is None:
                    continue
                if member.offset_data + member.size > size:
                    yield f"the file ends within {member.name[:100]!r}"
                    return
                if member.issparse():
                    yield f"sparse member {member.name[:100]!r}"
                else:
                    yield named[1], named[2].lower(), member
            if tar.breaks > breaks:
                yield _BREAK
    except tarfile.TarError as error:
        yield f"{_BREAK} ({error})"


class _Tar(tarfile.TarFile):
    """A tar file that counts the breaks that `tarfile` passes over in silence."""

    breaks = 0
    in_break = False
    members: list[tarfile.TarInfo]


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tarfile: Any) -> "_Header":
        try:
            header = super().fromtarfile(tarfile)
        except _END:
            raise
        except _BROKEN:
            tarfile.breaks += not tarfile.in_break
            tarfile.in_break = True
            raise
        tarfile.in_break = False
        return header


_BROKEN: type[Exception] = tarfile.HeaderError
_END: tuple[type[Exception], ...] = (tarfile.EmptyHeaderError, tarfile.EOFHeaderError)  # type: ignore[attr-defined]


class _Cautious:
    """A file of which no long header can be read into memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


class _Sample:
    def __init__(self, path: str, url_column: str | None, text_column: str | None) -> None:
        self.key: str | None = None
        self.fields: dict[str, tarfile.TarInfo] = {}
        self._path, self._url_column, self._text_column = path, url_column, text_column

    def takes(self, key: str, field: str) -> bool:
        return self.key == key and field not in self.fields

    def add(self, key: str, field: str, member: tarfile.TarInfo) -> None:
        self.key = key
        self.fields[field] = member

    def record(self, file: BinaryIO) -> Record:
        """Return the sample as a record; its small members are read."""
        about = self._about(file)
        url = _value(about, "url", URL_COLUMNS[:4], self._url_column)
        text = self._text(file, "txt")
        if text is None or self._text_column is not None:
            text = _value(about, "alt-text", ALT_TEXT_COLUMNS, self._text_column)
        member = next((self.fields[suffix] for suffix in IMAGE_SUFFIXES if suffix in self.fields), None)
        if member is None and url is None:
            return Record(unreadable=f"sample {str(self.key)[:100]!r} has neither image nor url")
        if member is None:
            return Record(url, text)
        image = {"folder": None, "file": self._path, "offset": member.offset_data, "size": member.size}
        return Record(url, text, image)

    def _about(self, file: BinaryIO) -> Mapping[str, Any]:
        try:
            read = json.loads(self._text(file, "json") or "{}")
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}

    def _text(self, file: BinaryIO, field: str) -> str | None:
        if field not in self.fields:
            return None
        file.seek(self.fields[field].offset_data)
        data = file.read(min(self.fields[field].size, _MAX_TEXT_BYTES))
        return data.decode(errors="replace").strip() or None


def _value(about: Mapping[str, Any], what: str, usual: tuple[str, ...], given: str | None) -> str | None:
    try:
        value = about[column(list(about), what, usual, given)]
    except NoColumnError:
        return None
    return value if isinstance(value, str) else None
