"""`pairs check`: a whole set passes, and each way to break one is told in one line."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.check import pairs_check
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set


def jpeg_of(seed: int, size: tuple[int, int] = (20, 16)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG")
    return data.getvalue()


def pair(seed: int, **changes: object) -> Pair:
    jpeg = jpeg_of(seed)
    name = f"{seed}.jpg"
    values: dict = {
        "id": content_id(jpeg, name),
        "captions": (f"caption {seed}", "another"),
        "jpeg": jpeg,
        "width": 20,
        "height": 16,
        "source": "benchmark",
        "provenance": {"writer": "benchmark", "filename": name},
    }
    return Pair(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pair_set(tmp_path / "pairs", map(pair, range(5)), funnel=Funnel(), card="# Test", shard_size=2)


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]


def rewrite(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in entries:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def change_rows(folder: Path, change) -> None:
    table = pq.read_table(folder / "pairs.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "pairs.parquet")


def test_a_whole_set_passes_and_is_summed_up(folder: Path) -> None:
    report = pairs_check(folder)
    assert (report["pairs"], report["captions"], report["shards"]) == (5, 10, 3)
    assert report["sizes"] == {"20×16": 5}
    assert report["distinct_captions"] == 6


def test_a_set_is_readable_as_webdataset_reads_it(folder: Path) -> None:
    keys = [member.name.split(".") for member, _ in members(folder / "shard-000000.tar")]
    assert [suffix for _, suffix in keys] == ["jpg", "txt", "json"] * 2
    assert keys[0][0] == keys[1][0] == keys[2][0] != keys[3][0]


@pytest.mark.parametrize("name", ["../escape.jpg", "/etc/x.jpg", "a/b.jpg", "notes.txt"])
def test_a_strange_member_is_refused_and_nothing_is_unpacked(folder: Path, name: str) -> None:
    shard = folder / "shard-000000.tar"
    rewrite(shard, [*members(shard), (tarfile.TarInfo(name), b"x")])
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UserError, match="no part of a pair set"):
        pairs_check(folder)
    assert sorted(folder.parent.rglob("*")) == before


def test_a_link_in_a_tar_is_refused(folder: Path) -> None:
    shard = folder / "shard-000000.tar"
    link = tarfile.TarInfo("0" * 20 + ".jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    rewrite(shard, [(link, b""), *members(shard)])
    with pytest.raises(UserError, match="no part of a pair set"):
        pairs_check(folder)


def test_a_shard_cut_short_is_found(folder: Path) -> None:
    shard = folder / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"shard-000001\.tar"):
        pairs_check(folder)


def test_a_shard_gone_is_found(folder: Path) -> None:
    (folder / "shard-000002.tar").unlink()
    with pytest.raises(UserError, match="file is missing"):
        pairs_check(folder)


def test_pixels_that_are_not_those_of_the_id_are_found(tmp_path: Path) -> None:
    bad = pair(1, jpeg=jpeg_of(99))
    with pytest.raises(UserError, match="id is not that of its content"):
        pairs_check(write_pair_set(tmp_path / "pairs", [bad], funnel=Funnel(), card="x"))


def test_an_image_that_cannot_be_decoded_is_found(tmp_path: Path) -> None:
    broken = jpeg_of(1)[:200]
    bad = pair(1, jpeg=broken, id=content_id(broken, "1.jpg"))
    with pytest.raises(UserError, match="cannot be decoded"):
        pairs_check(write_pair_set(tmp_path / "pairs", [bad], funnel=Funnel(), card="x"))


def test_an_image_of_another_size_than_stated_is_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="20 × 16 pixels, not 21 × 16"):
        pairs_check(write_pair_set(tmp_path / "pairs", [pair(1, width=21)], funnel=Funnel(), card="x"))


def test_an_empty_caption_is_found(tmp_path: Path) -> None:
    bad = pair(1, captions=("fine", " "))
    with pytest.raises(UserError, match="empty caption"):
        pairs_check(write_pair_set(tmp_path / "pairs", [pair(2), bad], funnel=Funnel(), card="x"))


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("jpeg_offset", 3, "wrong place"),
        ("captions", ["other"], "differ in captions"),
        ("provenance", "{}", "differ in provenance"),
        ("shard", "../../shard-000000.tar", "names a shard"),
    ],
)
def test_a_table_that_disagrees_is_found(folder: Path, column: str, value: object, told: str) -> None:
    change_rows(folder, lambda rows: rows[0].update({column: value}))
    with pytest.raises(UserError, match=told) as error:
        pairs_check(folder)
    assert "\n" not in str(error.value)


def test_a_funnel_that_does_not_add_up_is_found(folder: Path) -> None:
    steps = [{"step": "chips", "in": 5, "out": 3, "dropped": {"blank": 1}}]
    (folder / "funnel.json").write_text(json.dumps({"steps": steps}))
    with pytest.raises(UserError, match="'chips'"):
        pairs_check(folder)


def test_a_folder_that_is_no_pair_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pair set"):
        pairs_check(tmp_path)
