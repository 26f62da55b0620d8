"""What `pairs web` reads: tables, shards, Common Crawl and folders of images, whole, broken, here and far away."""

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geomammut.errors import UserError
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.inputs import ROWS_A_FILE, place_of, read_input_image, read_sources, sources
from range_server import range_server

JPEG = b"\xff\xd8\xff\xe0 one picture"


def read(*inputs: str | Path, **columns: str) -> list[dict[str, Any]]:
    found = sources(inputs, **columns)
    return read_sources(found, range(len(found)), **columns).sort("row").to_pylist()


def pairs_of(rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    return [(row["url"], row["alt_text"]) for row in rows]


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("url", "alt")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t" if ".tsv" in path.name else ",").writerows([header, *rows])
    return path


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def sample(number: int, text: str | None, **about: object) -> list[tuple[str, bytes]]:
    """Return a sample as img2dataset writes it."""
    key = f"{number:09d}"
    members = [(f"{key}.jpg", JPEG + bytes([number])), (f"{key}.json", json.dumps(about).encode())]
    return members if text is None else [*members, (f"{key}.txt", text.encode())]


def warc_record(address: str, body: bytes, kind: str = "text/html; charset=utf-8", of: str = "response") -> bytes:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + body
    held, its_type = (answer, "application/http; msgtype=response") if of == "response" else (body, kind)
    return (
        (
            f"WARC/1.0\r\nWARC-Type: {of}\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{len(body):012d}>\r\n"
            f"WARC-Target-URI: {address}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: {its_type}\r\n"
            f"Content-Length: {len(held)}\r\n\r\n"
        ).encode()
        + held
        + b"\r\n\r\n"
    )


def page(number: int) -> bytes:
    return warc_record(f"http://e.org/{number}/", f'<img src="a.jpg" alt="field {number}">'.encode())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address under which a server on this machine gives out `tmp_path`."""
    with range_server(tmp_path) as address:
        yield address


# Tables


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("t.csv", ("URL", "TEXT")),
        ("t.tsv", ("image_url", "caption")),
        ("t.jsonl", ("file", "alt_text")),
        ("t.csv.gz", ("url", "alt")),
        ("t.jsonl.gz", ("src", "title")),
        ("t.parquet", ("url", "Caption")),
    ],
)
def test_tables_of_any_usual_kind_are_read(tmp_path: Path, name: str, columns: tuple[str, str]) -> None:
    rows = [("1", "an aerial view"), ("b.jpg", 'with "quotes", commas\nand lines'), ("c.jpg", "ü")]
    path = tmp_path / name
    if ".jsonl" in name:
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    elif name.endswith(".parquet"):
        pq.write_table(pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))), path)
    else:
        write_csv(path, rows, columns)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    read_rows = read(path)
    assert [row["row"] for row in read_rows] == [0, 1, 2]
    assert pairs_of(read_rows) == rows
    assert [row["unreadable"] for row in read_rows] == [None] * 3


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("url,alt,pic,said\na,b,http://e.org/c.jpg,d\n")
    assert pairs_of(read(path, url_column="pic", text_column="said")) == [("http://e.org/c.jpg", "d")]
    with pytest.raises(UserError, match=r"t\.csv has no column 'picture' among url, alt, pic, said"):
        read(path, url_column="picture")


def test_table_with_star_in_its_name_is_that_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a[1]*.csv", [("x.jpg", "one")])
    write_csv(tmp_path / "a1b.csv", [("y.jpg", "two")])
    assert pairs_of(read(tmp_path / "a[1]*.csv")) == [("x.jpg", "one")]


def test_bad_lines_of_csv_are_rows_that_say_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"\xef\xbb\xbfurl,alt\na.jpg,one\nb.jpg\nc.jpg,three,more\n\nd.jpg,\xff four\n"
        + b'e.jpg,"'
        + b"x" * 200_000
        + b"\nf.jpg,six\n"
    )
    rows = read(path)
    assert [row["row"] for row in rows] == list(range(len(rows)))
    assert pairs_of(rows)[:4] == [("a.jpg", "one"), (None, None), (None, None), ("d.jpg", "\ufffd four")]
    assert rows[1]["unreadable"] == "1 fields where the header has 2"
    assert rows[-2]["unreadable"].startswith("no line of CSV: field larger than")
    assert pairs_of(rows)[-1] == ("f.jpg", "six")


def test_bad_lines_of_jsonl_are_rows_that_say_so(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    good = '{"url": "a.jpg", "alt": "one"}\n'
    path.write_text(
        "not json\n" + good + "[1]\n" + "[" * 100_000 + '\n\n{"url": {}, "alt": "x"}\n{"alt": "\\ud800 two"}\n' + good
    )
    rows = read(path)
    said = [(row["unreadable"] or "").partition(":")[0] for row in rows]
    assert said == ["no JSON", "", "no JSON object", "no JSON", "url or alt-text is no string", "", ""]
    assert pairs_of(rows)[5:] == [(None, "? two"), ("a.jpg", "one")]


def test_lines_without_end_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from geomammut.pairs.web_stages import input_files

    monkeypatch.setattr(input_files, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "t.jsonl"
    path.write_text('{"url": "a.jpg", "alt": "one"}\n' + "x" * 5000 + '\n{"url": "b.jpg", "alt": "two"}\n')
    assert [row["unreadable"] for row in read(path)] == [None, "too long a line", None]


def test_parquet_that_claims_utf_8_for_other_bytes(tmp_path: Path) -> None:
    words = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0\7\0\0\0"), pa.py_buffer(b"ab\xff\xfeone")]
    )
    pq.write_table(pa.table({"url": [1, None], "alt": words}), tmp_path / "t.parquet")
    assert pairs_of(read(tmp_path / "t.parquet")) == [("1", "ab\ufffd\ufffd"), (None, "one")]


def test_paths_are_told_from_urls(tmp_path: Path) -> None:
    urls = ["a.jpg", "http://e.org/a.jpg", "", "ftp://e.org/a.jpg", "//e.org/a.jpg", "data:,a", "../up.jpg"]
    rows = read(write_csv(tmp_path / "t.csv", [(url, "one") for url in urls]))
    files = [row["image"] and row["image"]["file"] for row in rows]
    assert files == ["a.jpg", None, None, None, None, None, "../up.jpg"]
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert read_input_image(rows[0]["image"]) == JPEG
    with pytest.raises(Dropped, match="path leaves"):
        read_input_image(rows[-1]["image"])


def test_unusable_inputs_end_in_one_line(tmp_path: Path) -> None:
    def complaint(*inputs: str | Path) -> str:
        with pytest.raises(UserError) as caught:
            sources(inputs)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (tmp_path / "t.xlsx").write_bytes(b"PK")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 this is not one")
    (tmp_path / "t.tar").write_bytes(b"x" * 4096)
    (tmp_path / "t.warc").write_bytes(b"x" * 4096)
    (tmp_path / "t.json").write_text('[\n{"url": 1}\n]')
    (tmp_path / "none").mkdir()
    assert "no inputs" in complaint()
    assert "t.csv has no alt-text column among address, url; name one 'alt', or tell it by --text-column" in complaint(
        write_csv(tmp_path / "t.csv", [("a", "b")], ("address", "url"))
    )
    assert "no input at" in complaint(tmp_path / "absent.csv")
    assert "no input at" in complaint(tmp_path / "none")
    assert "no input at" in complaint(str(tmp_path / "*.tsv"))
    assert "no rows" in complaint(write_csv(tmp_path / "empty.csv", []))
    assert "unknown format" in complaint(tmp_path / "t.xlsx")
    for name in ("t.parquet", "t.tar", "t.warc", "t.json"):
        assert f"{name} " in complaint(tmp_path / name)


# Several inputs


def test_several_inputs_keep_their_order_and_are_named_once(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("b", "a", "more/c"):
        write_csv(tmp_path / f"{name}.csv", [(f"http://e.org/{name}/{n}.jpg", name) for n in range(2)])
    given = [tmp_path / "b.csv", str(tmp_path / "**" / "*.csv"), tmp_path / "more"]
    rows = read(*given)
    assert [row["alt_text"] for row in rows] == ["b", "b", "a", "a", "more/c", "more/c"]
    assert [row["row"] for row in rows] == [n * ROWS_A_FILE + place for n in range(3) for place in range(2)]
    assert place_of(rows[-1]["row"], sources(given)) == (str(tmp_path / "more" / "c.csv"), 1)


def test_file_found_broken_later_is_one_bad_record(tmp_path: Path) -> None:
    write_csv(tmp_path / "1.csv", [("a.jpg", "one")])
    (tmp_path / "2.parquet").write_bytes(b"PAR1")
    (tmp_path / "3.csv").write_text("what,else\n1,2\n")
    write_csv(tmp_path / "4.csv.gz", [("b.jpg", "x" * n) for n in range(500)])
    (tmp_path / "4.csv.gz").write_bytes(gzip.compress((tmp_path / "4.csv.gz").read_bytes())[:-100])
    rows = read(str(tmp_path / "*"))
    assert [row["unreadable"] is not None for row in rows[:3]] == [False, True, True]
    assert "no url column among what, else" in rows[2]["unreadable"]
    assert rows[-1]["unreadable"] is not None


# Shards


def test_shard_of_img2dataset(tmp_path: Path) -> None:
    about = {"url": "http://e.org/0.jpg", "caption": "one", "status": "success", "width": 2}
    members = sample(0, "one", **about) + sample(1, None, url="http://e.org/1.jpg", caption="two")
    path = write_tar(tmp_path / "00000.tar", members)
    pq.write_table(pa.table({"url": ["http://e.org/0.jpg"], "caption": ["one"]}), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")
    for given in (path, tmp_path):
        rows = read(given)
        assert pairs_of(rows) == [("http://e.org/0.jpg", "one"), ("http://e.org/1.jpg", "two")]
        assert [read_input_image(row["image"]) for row in rows] == [JPEG + b"\0", JPEG + b"\1"]
    assert pairs_of(read(path, text_column="status"))[0][1] == "success"


def test_own_pair_set_is_an_input(scene_pairs: Path) -> None:
    rows = read(scene_pairs)
    assert len(rows) == 64
    assert all(row["alt_text"].startswith("An aerial image of a ") for row in rows)
    assert all(read_input_image(row["image"])[:2] == b"\xff\xd8" for row in rows)


def test_hostile_members_of_a_shard_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            for name, data in sample(number, f"text {number}", url=f"http://e.org/{number}.jpg"):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        for name, kind in (("../up.jpg", tarfile.SYMTYPE), ("dev.jpg", tarfile.CHRTYPE), ("dir.jpg", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, data in [("4.json", b"{"), ("5.jpg", JPEG), ("5.json", b"[" * 9999), ("5.txt", b"\xff five")]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    data = bytearray(path.read_bytes())
    second = data.index(b"000000001.jpg")
    data[second : second + 512] = b"?" * 512
    path.write_bytes(data)
    rows = read(path)
    assert [row["alt_text"] for row in rows] == ["text 0", None, "text 1", "text 2", None, "\ufffd five"]
    assert rows[1]["unreadable"] == "no tar header where one should stand"
    assert rows[2]["image"] is None  # its picture is what was broken; it has its url
    assert rows[4]["unreadable"] == "sample '4' has neither image nor url"


def test_shard_cut_short_ends_with_a_bad_record(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", [*sample(0, "one"), ("1.jpg", bytes(5000))])
    path.write_bytes(path.read_bytes()[: 512 * 9])
    rows = read(path)
    assert [row["alt_text"] for row in rows] == ["one", None]
    assert rows[1]["unreadable"] is not None


# Common Crawl


def test_images_of_pages_are_made_absolute(tmp_path: Path) -> None:
    body = """<html><head><base href="/pictures/"></head><body>
        <img src="a.jpg" alt="  Aerial
        view "><img src="no-alt.jpg"><img alt="nothing"><img src="b.jpg" alt="">
        <img src="data:image/gif;base64,R0" data-src="//other.org/c.jpg?x=1&amp;y=2" alt="caf&eacute;">
        <!-- <img src="d.jpg" alt="commented out"> --><script>"<img src='e.jpg' alt='a script'>"</script>
        <IMG SRC=http://[::1/f.jpg ALT=odd><picture><img src="g.jpg" alt="unclosed"""
    records = [
        warc_record("https://e.org/page.html", body.encode()),
        warc_record("https://e.org/latin", '<img src=h.jpg alt="é">'.encode("latin-1"), "text/html; charset=latin-1"),
        warc_record("https://e.org/meta", '<meta charset=cp1251><img src=i.jpg alt="Ж">'.encode("cp1251"), "text/html"),
        warc_record("https://e.org/odd", b'<img src=j.jpg alt="k">', "text/html; charset=base64"),
        warc_record("https://e.org/picture.jpg", JPEG, "image/jpeg"),
        warc_record("https://e.org/", b"<img src=l.jpg alt=request>", "text/html", "request"),
    ]
    expected = [
        ("https://e.org/pictures/a.jpg", "Aerial view"),
        ("https://other.org/c.jpg?x=1&y=2", "café"),
        ("http://[::1/f.jpg", "odd"),
        ("https://e.org/h.jpg", "é"),
        ("https://e.org/i.jpg", "Ж"),
        ("https://e.org/j.jpg", "k"),
    ]
    (tmp_path / "t.warc").write_bytes(b"".join(records))
    (tmp_path / "t.warc.gz").write_bytes(b"".join(map(gzip.compress, records)))
    assert pairs_of(read(tmp_path / "t.warc")) == expected
    assert pairs_of(read(tmp_path / "t.warc.gz")) == expected


def test_broken_records_of_an_archive_are_passed_over(tmp_path: Path) -> None:
    pages = [page(number) for number in range(5)]
    packed = [gzip.compress(each) for each in pages]
    broken = bytearray(packed[1])
    broken[60:90] = b"\0" * 30
    (tmp_path / "t.warc.gz").write_bytes(packed[0] + bytes(broken) + packed[2] + packed[3][:90] + packed[4])
    (tmp_path / "t.warc").write_bytes(
        pages[0] + b"not a record\r\n" * 3 + pages[2] + b"\0" * 99 + b"\r\n\r\n" + pages[4]
    )
    for name in ("t.warc.gz", "t.warc"):
        rows = read(tmp_path / name)
        assert [row["alt_text"] for row in rows if row["alt_text"]] == ["field 0", "field 2", "field 4"], name
        assert sum(row["unreadable"] is not None for row in rows) == 2, name


def test_wat_files_list_images(tmp_path: Path) -> None:
    def listed(*links: object) -> bytes:
        page = {"Head": {"Base": "/b/"}, "Links": list(links)}
        envelope = {
            "WARC-Header-Metadata": {"WARC-Target-URI": "http://e.org/"},
            "Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": page}},
        }
        return warc_record("http://e.org/", json.dumps({"Envelope": envelope}).encode(), "application/json", "metadata")

    image = {"path": "IMG@/src", "url": "a.jpg", "alt": "from above"}
    link = {"path": "A@/href", "url": "b.html", "alt": "a link"}
    bad = warc_record("http://e.org/", b"{", "application/json", "metadata")
    (tmp_path / "t.warc.wat.gz").write_bytes(b"".join(map(gzip.compress, [listed(link, image, {}), bad, listed(1)])))
    rows = read(tmp_path / "t.warc.wat.gz")
    assert pairs_of(rows) == [("http://e.org/b/a.jpg", "from above"), (None, None), (None, None)]
    assert all("no WAT record" in row["unreadable"] for row in rows[1:])


# Folders of images


def test_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "sub/c.webp", "d.jpg", ".hidden.jpg"):
        (folder / name).write_bytes(JPEG)
    (folder / "a.txt").write_text("a field\n")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "d.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "sub/c.webp", "text": "a roof"}\n{"file_name": "../secret.txt", "text": "no"}\n'
    )
    rows = read(folder)
    assert pairs_of(rows) == [("a.PNG", "a field"), ("b.jpg", None), ("d.jpg", None), ("sub/c.webp", "a roof")]
    assert read_input_image(rows[3]["image"]) == JPEG
    assert [row["alt_text"] for row in read(str(folder / "*.PNG"))] == ["a field"]


# Far away


def test_inputs_at_an_address(served: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [("http://e.org/a.jpg", "one")])
    pq.write_table(pa.table({"url": ["http://e.org/b.jpg"], "alt": ["two"]}), tmp_path / "t.parquet")
    write_tar(tmp_path / "t.tar", sample(0, "three", url="http://e.org/c.jpg"))
    (tmp_path / "t.warc.gz").write_bytes(gzip.compress(page(4)))
    rows = read(*(f"{served}/t.{suffix}" for suffix in ("csv", "parquet", "tar", "warc.gz")))
    assert [row["alt_text"] for row in rows] == ["one", "two", "three", "field 4"]
    assert read_input_image(rows[2]["image"]) == JPEG + b"\0"
    with pytest.raises(UserError, match="cannot be read"):
        read(f"{served}/absent.csv")


def test_inputs_on_an_object_store(served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What S3 is for reading: keys as paths below the bucket, ranges, signed requests (not checked here)."""
    told = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1", "ENDPOINT_URL": served}
    for name, value in told.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    (tmp_path / "bucket").mkdir()
    write_csv(tmp_path / "bucket" / "t.csv", [("http://e.org/a.jpg", "one")])
    write_tar(tmp_path / "bucket" / "t.tar", sample(0, "two", url="http://e.org/b.jpg"))
    rows = read("s3://bucket/t.csv", "s3://bucket/t.tar")
    assert pairs_of(rows) == [("http://e.org/a.jpg", "one"), ("http://e.org/b.jpg", "two")]
    assert read_input_image(rows[1]["image"]) == JPEG + b"\0"
    with pytest.raises(UserError, match="cannot be read"):
        read("s3://bucket/absent.csv")
