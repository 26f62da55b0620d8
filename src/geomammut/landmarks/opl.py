"""OSM entities to Arrow columns, through osmium's OPL text: no Python object per tag or node."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import osmium
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from osmium.osm import Way
from osmium.osm.types import OSMEntity

_FORMAT = "opl,add_metadata=none,locations_on_ways=true"
_NODE_FIELDS = ("id", "tags", "x", "y")
_WAY_FIELDS = ("id", "tags", "nodes")
_LONGEST_LINE = 1 << 26  # bytes
_ESCAPED = re.compile(r"%([0-9a-fA-F]+)%")
# `Nn1x2y3,n4x5y6` becomes lines of `1;2;3` and `4;5;6`; a node without a location leaves its numbers out.
_TO_LINES = bytes.maketrans(b"nxy", b"\n;;")


class Columns(NamedTuple):
    """Nodes or ways, N of them, with M positions among them.

    Attributes:
        ids: Strings [N], such as `w17`.
        tags: Maps of strings [N].
        starts: Integers [N + 1]: the positions of entity i are `starts[i]:starts[i + 1]`.
        nodes: Ids of nodes [M]; empty for nodes themselves.
        positions: Longitude and latitude [M, 2]; NaN where the file does not know them.
    """

    ids: pa.Array
    tags: pa.MapArray
    starts: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]

    @property
    def is_ways(self) -> bool:
        return len(self.nodes) > 0


def columns(entities: Iterable[OSMEntity], size: int) -> Iterator[Columns]:
    """Yield tagged nodes and ways, whose locations are known, in runs of one type and at most `size`."""
    # The loop runs for every feature of a country, so it does nothing but hand entities over.
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "run.opl"
        writer, kind, count = None, None, 0
        for entity in entities:
            if type(entity) is not kind or count == size:
                if writer is not None:
                    writer.close()
                    yield _read(text, kind is Way)
                writer, kind, count = (
                    osmium.SimpleWriter(osmium.io.File(str(text), _FORMAT), overwrite=True),
                    type(entity),
                    0,
                )
                add = writer.add_way if kind is Way else writer.add_node
            add(entity)
            count += 1
        if writer is not None:
            writer.close()
            yield _read(text, kind is Way)


def _read(text: Path, is_ways: bool) -> Columns:
    ids, tags, *where = _cells(
        pa.OSFile(str(text)), " ", dict.fromkeys(_WAY_FIELDS if is_ways else _NODE_FIELDS, pa.string())
    )
    if not is_ways:
        positions = np.column_stack([_coordinates(column) for column in where])
        return Columns(ids, _tags(tags), np.arange(len(ids) + 1), np.empty(0, np.int64), positions)
    starts = np.concatenate([[0], np.cumsum(pc.count_substring(where[0], "n").to_numpy(), dtype=np.int64)])
    lines = "".join(where[0].to_pylist()).encode().translate(_TO_LINES, b"N,")
    nodes, lon, lat = _cells(pa.BufferReader(lines), ";", {"n": pa.int64(), "x": pa.float64(), "y": pa.float64()})
    positions = np.column_stack([column.to_numpy(zero_copy_only=False) for column in (lon, lat)])
    return Columns(ids, _tags(tags), starts, nodes.to_numpy(), positions)


def _cells(source: pa.NativeFile, delimiter: str, types: dict[str, pa.DataType]) -> list[pa.Array]:
    """Return the columns of delimited text without a header."""
    if source.size() == 0:
        return [pa.array([], kind) for kind in types.values()]
    table = pa.csv.read_csv(
        source,
        pa.csv.ReadOptions(column_names=list(types), use_threads=False, block_size=_LONGEST_LINE),
        pa.csv.ParseOptions(delimiter=delimiter, quote_char=False),
        pa.csv.ConvertOptions(column_types=types),
    )
    return [table[name].combine_chunks() for name in types]


def _coordinates(column: pa.Array) -> npt.NDArray[np.float64]:
    """Return the numbers of `x24.5`, NaN for `x`."""
    digits = pc.utf8_slice_codeunits(column, 1)
    known = pc.if_else(pc.equal(digits, ""), None, digits)
    return np.asarray(known.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _tags(column: pa.Array) -> pa.MapArray:
    """Return the tags of `Tkey=value,key=value`."""
    pairs = pc.split_pattern(pc.utf8_slice_codeunits(column, 1), ",")
    words = pc.list_flatten(pc.split_pattern(pairs.values, "=")).dictionary_encode()
    plain = [_unescaped(word) if "%" in word else word for word in words.dictionary.to_pylist()]
    words = pa.array(plain, pa.string()).take(words.indices)
    of_keys = pa.array(np.arange(0, len(words), 2))
    return pa.MapArray.from_arrays(pairs.offsets, words.take(of_keys), words.take(pc.add(of_keys, 1)))


def _unescaped(word: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), word)
