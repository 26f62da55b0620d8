"""Near-duplicates and leaks: copies are found however they were changed, and strangers are left alone."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import daft
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from conftest import draw_scene
from geomammut.errors import UserError
from geomammut.files import content_id, write_json
from geomammut.pairs.benchmark_register import benchmarks_add, benchmarks_list, benchmarks_remove
from geomammut.pairs.known_pictures import Embedder
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.web_stages import duplicates
from geomammut.pairs.web_stages.bands import bands
from geomammut.pairs.web_stages.duplicates import _kept_best, near_duplicates, near_known
from geomammut.pairs.web_stages.embeddings import packed, unpacked
from geomammut.pairs.web_stages.fingerprints import FINGERPRINT_BYTES, fingerprint, thumbnails
from geomammut.pairs.web_stages.leakage import copies_of, leaks
from geomammut.pairs.web_stages.likeness import likeness

FLIP, TURN = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90


def scene(seed: int, side: int = 160) -> Image.Image:
    """Return fields, roads and roofs, no two seeds alike."""
    random = np.random.default_rng(seed)
    fields = Image.fromarray(random.integers(60, 180, (5, 5, 3), dtype=np.uint8)).resize((side, side), 0)
    roofs = Image.fromarray(random.integers(20, 240, (20, 20, 3), dtype=np.uint8)).resize((side, side), 0)
    mask = Image.fromarray((random.random((20, 20)) < 0.2).astype(np.uint8) * 255).resize((side, side), 0)
    return Image.composite(roofs, fields.rotate(float(random.uniform(0, 90))), mask)


def jpeg(image: Image.Image, quality: int = 30) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, quality))).convert("RGB")


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def cropped(image: Image.Image, share: float = 0.05) -> Image.Image:
    """Cut a share off the left and the top."""
    return image.crop((round(share * image.width), round(share * image.height), *image.size))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((71, 90)),
    "larger": lambda image: image.resize((400, 400), Image.Resampling.BICUBIC),
    "compressed": jpeg,
    "cropped": cropped,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "mirrored": lambda image: image.transpose(FLIP),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned": lambda image: image.transpose(TURN),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cropped, mirrored, smaller, compressed": lambda image: jpeg(cropped(image).transpose(FLIP).resize((100, 100))),
    "turned, cropped, darker": lambda image: ImageEnhance.Brightness(cropped(image.transpose(TURN))).enhance(0.8),
}


def pictures(
    prints: list[bytes], preferences: list[int] | None = None, embeddings: Sequence[bytes | None] = ()
) -> daft.DataFrame:
    columns = {
        "row": pa.array(range(len(prints)), pa.int64()),
        "fingerprint": pa.array(prints, pa.binary()),
        "preference": pa.array(preferences or [0] * len(prints), pa.int64()),
        "embedding": pa.array(embeddings or [None] * len(prints), pa.binary()),
    }
    return daft.from_arrow(pa.table(columns))


def repeats(prints: list[bytes], preferences: list[int] | None = None) -> dict[int, int]:
    found = near_duplicates(pictures(prints, preferences)).to_pydict()
    return dict(zip(found["row"], found["duplicate_of"], strict=True))


@pytest.fixture(scope="module")
def originals() -> list[Image.Image]:
    return [scene(seed) for seed in range(24)]


@pytest.fixture(scope="module")
def prints(originals: list[Image.Image]) -> list[bytes]:
    return [fingerprint(image) for image in originals]


def test_copies_are_found_however_they_were_changed(originals: list[Image.Image], prints: list[bytes]) -> None:
    originals, prints = originals[:12], prints[:12]
    copies = [fingerprint(change(image)) for change in CHANGES.values() for image in originals]
    found = repeats([*prints, *copies], [*[0] * len(prints), *[1] * len(copies)])
    assert [row for row in found if row < len(prints)] == []  # strangers are left alone
    missed = {}
    for number, name in enumerate(CHANGES):
        rows = range(len(prints) * (number + 1), len(prints) * (number + 2))
        missed[name] = sum(found.get(row) != row % len(prints) for row in rows)
    assert {name: count for name, count in missed.items() if count > 1} == {}


def test_the_best_of_copies_is_kept_then_the_first(prints: list[bytes]) -> None:
    one, other = prints[:2]
    assert repeats([one, one, other, one], [5, 3, 9, 3]) == {0: 1, 3: 1}


def test_a_picture_like_two_that_are_unlike_is_no_bridge_between_them() -> None:
    """Of a row of overlapping pictures, each like the next only, every other one is kept."""
    pairs = np.array([[10, 20], [20, 30], [30, 40], [40, 50]]).T
    preference = pairs // 10
    gone, of = _kept_best(pairs[0], pairs[1], preference[0], preference[1])
    assert dict(zip(gone.tolist(), of.tolist(), strict=True)) == {20: 10, 40: 30}


@settings(max_examples=50)
@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])), st.data())
def test_what_is_kept_is_what_going_from_the_best_to_the_worst_keeps(
    pairs: set[tuple[int, int]], data: st.DataObject
) -> None:
    preference = data.draw(st.lists(st.integers(0, 4), min_size=13, max_size=13))
    first, second = (np.array([pair[side] for pair in sorted(pairs)], np.int64) for side in (0, 1))
    preferences = np.array(preference)
    kept: list[int] = []
    expected: dict[int, int] = {}
    for row in sorted(range(13), key=lambda row: (preference[row], row)):
        alike = [other for other in kept if (min(row, other), max(row, other)) in pairs]
        if alike:
            expected[row] = 1
        else:
            kept.append(row)
    gone, of = _kept_best(first, second, preferences[first], preferences[second])
    assert set(gone.tolist()) == set(expected)
    for row, other in zip(gone.tolist(), of.tolist(), strict=True):
        assert other in kept
        assert (min(row, other), max(row, other)) in pairs


def test_a_crowd_of_blank_skies_costs_little_and_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def counted(
        first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], *, thorough: bool
    ) -> np.ndarray:
        nonlocal compared
        compared += len(first[0])
        return likeness(first, second, thorough=thorough)

    monkeypatch.setattr(duplicates, "likeness", counted)
    sky = bytes([200]) * FINGERPRINT_BYTES
    stranger = fingerprint(scene(1))
    found = repeats([*[sky] * 200, stranger], [*range(200, 0, -1), 0])
    assert found == dict.fromkeys(range(199), 199)
    assert compared < 200 * 40  # of 19,900 pairs


def test_blank_skies_of_two_colours_are_two() -> None:
    blue, grey = (fingerprint(Image.new("RGB", (64, 64), colour)) for colour in ((90, 140, 220), (150, 150, 150)))
    assert repeats([blue, grey, blue]) == {2: 0}


def strongly_cropped(seed: int) -> bytes:
    """Return the fingerprint of a scene with a tenth of its width and an eighth of its height cut off."""
    return fingerprint(scene(seed).crop((16, 6, 160, 147)))


def test_embeddings_find_stronger_crops_and_likeness_has_the_last_word(prints: list[bytes]) -> None:
    """A model takes two strangers for one scene; and it has not seen the last picture."""
    random = np.random.default_rng(0)
    seen = random.normal(0.5, 1, (24, 48))
    seen[1] = seen[0]
    copies = [strongly_cropped(seed) for seed in range(24)]
    embeddings = packed(np.concatenate([seen, seen + random.normal(0, 0.1, seen.shape), [[np.nan] * 48]]))
    asked = [*prints, *copies, strongly_cropped(0)]
    found = near_duplicates(pictures(asked, None, embeddings)).to_pydict()
    by_fingerprint = repeats(asked)
    by_both = dict(zip(found["row"], found["duplicate_of"], strict=True))
    assert len(by_fingerprint) < 12
    assert len(by_both) > 20
    assert all(of == row - 24 or row == 48 for row, of in by_both.items())


def test_what_is_packed_is_of_unit_length_and_finite() -> None:
    one, other, nothing = packed([[3.0, 4.0], [0.0, 0.0], [np.inf, 1.0]])
    assert one is not None and other is not None and nothing is None
    assert unpacked([one, other]) == pytest.approx(np.array([[0.6, 0.8], [0, 0]]), abs=1e-3)


def test_likeness_is_the_same_both_ways_and_complete_for_the_same(prints: list[bytes]) -> None:
    first, second = thumbnails(prints[:-1]), thumbnails(prints[1:])
    assert np.allclose(likeness(first, first), 1, atol=1e-3)
    assert np.array_equal(likeness(first, second), likeness(second, first))
    assert likeness(first, second).max() < 0.5


def test_the_order_and_the_passes_change_nothing(prints: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [fingerprint(jpeg(cropped(scene(seed)))) for seed in range(24)]
    rows = pictures([*prints, *copies])
    expected = near_duplicates(rows).to_pydict()
    assert len(expected["row"]) >= 22
    monkeypatch.setattr(duplicates, "ROWS_A_PASS", 16)
    assert near_duplicates(rows.sort("row", desc=True)).to_pydict() == expected


def test_bands_of_a_picture_do_not_depend_on_the_others(prints: list[bytes]) -> None:
    grey, _ = thumbnails(prints)
    together, alone = bands(grey), bands(grey[3:4])
    chosen = together.picture == 3
    assert set(zip(together.key[chosen], together.sketch[chosen], strict=True)) == set(
        zip(alone.key, alone.sketch, strict=True)
    )


def test_probing_adds_the_keys_next_to_those_of_a_picture(prints: list[bytes]) -> None:
    grey, _ = thumbnails(prints)
    plain, probed = bands(grey), bands(grey, probing=True)
    keys = set(zip(plain.picture.tolist(), plain.key.tolist(), strict=True))
    more = set(zip(probed.picture.tolist(), probed.key.tolist(), strict=True))
    assert keys < more
    assert len(more) > 4 * len(keys)


def test_known_pictures_are_found_with_the_one_they_are_most_like(prints: list[bytes]) -> None:
    known = daft.from_arrow(pa.table({"number": pa.array(range(100, 124)), "fingerprint": pa.array(prints)}))
    asked = [fingerprint(cropped(scene(7))), fingerprint(scene(1000)), prints[9]]
    found = near_known(pictures(asked), known).to_pydict()
    assert (found["row"], found["number"]) == ([0, 2], [107, 109])


# The register of benchmarks, and leaks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOMAMMUT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write_images(folder: Path, seeds: range) -> Path:
    (folder / "deep").mkdir(parents=True)
    for seed in seeds:
        scene(seed, 224).save(folder / "deep" / f"{seed}.png")
    return folder


def test_planted_leaks_are_all_dropped_and_named(home: Path, tmp_path: Path) -> None:
    benchmarks_add(write_images(tmp_path / "rs", range(8)))
    benchmarks_add(write_images(tmp_path / "other", range(100, 110)), name="second")
    leaked = [change(scene(seed, 224)) for change in CHANGES.values() for seed in range(8)]
    rows = pictures([fingerprint(image) for image in [*leaked, scene(103), scene(500), scene(501)]])
    found = leaks(rows).to_pydict()
    assert found["row"] == [*range(len(leaked)), len(leaked)]
    assert found["benchmark"] == [*["rs"] * len(leaked), "second"]
    names = [f"deep/{seed}.png" for _ in CHANGES for seed in range(8)]
    assert found["benchmark_image"] == [*names, "deep/103.png"]
    assert found["detail"][-1] == "second: deep/103.png"


def rails() -> Image.Image:
    """Return a picture that agrees with itself turned round in all but a little."""
    pixels = np.tile((np.arange(160) // 8 % 2 * 120 + 60).astype(np.uint8), (160, 1))
    pixels[20:44, 24:60] = 230
    pixels[100:110, 100:150] = 20
    return Image.fromarray(pixels).convert("RGB")


def test_the_guard_finds_what_turned_round_looks_the_same(home: Path, tmp_path: Path) -> None:
    (tmp_path / "hard").mkdir()
    rails().save(tmp_path / "hard" / "rails.png")
    benchmarks_add(tmp_path / "hard")
    leaked = fingerprint(jpeg(cropped(rails()).transpose(FLIP).resize((75, 75))))
    assert repeats([fingerprint(rails()), leaked]) == {}
    assert leaks(pictures([leaked])).to_pydict()["benchmark_image"] == ["rails.png"]


def test_without_a_benchmark_nothing_leaks(home: Path, prints: list[bytes]) -> None:
    assert leaks(pictures(prints)).to_pydict()["row"] == []


def test_benchmarks_are_listed_replaced_and_removed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "rs", range(3))
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    assert benchmarks_add(folder).is_relative_to(home)
    assert "1 of 4 images of rs cannot be read" in " ".join(capsys.readouterr().err.split())
    (folder / "deep" / "2.png").unlink()
    benchmarks_add(folder)
    assert [(each.name, each.images, each.source) for each in benchmarks_list()] == [("rs", 2, str(folder))]
    with pytest.raises(UserError, match="those that are: rs"):
        benchmarks_remove("sr")
    benchmarks_remove("rs")
    assert benchmarks_list() == []


def test_a_split_of_annotations_is_registered_alone(home: Path, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "rs", range(4))
    entries = [
        {"filename": f"{seed}.png", "filepath": "deep", "split": split, "sentences": [{"raw": "a field"}]}
        for seed, split in enumerate(["train", "test", "test", "val"])
    ]
    entries.append({"filename": "../../outside.png", "split": "test", "sentences": []})
    write_json(tmp_path / "annotations.json", {"images": entries})
    benchmarks_add(folder, annotations=tmp_path / "annotations.json", split="test")
    assert [each.images for each in benchmarks_list()] == [2]
    benchmarks_add(folder, annotations=tmp_path / "annotations.json")
    assert [each.images for each in benchmarks_list()] == [4]


def test_mistakes_in_adding_a_benchmark_are_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no image"):
        benchmarks_add(tmp_path / "empty")
    with pytest.raises(UserError, match="cannot name a benchmark"):
        benchmarks_add(tmp_path / "empty", name="../outside")
    with pytest.raises(UserError, match="--annotations"):
        benchmarks_add(tmp_path / "empty", split="test")
    assert not list(tmp_path.rglob("*.parquet"))


def write_scenes(folder: Path) -> list[str]:
    """Write a pair set of five scenes, and return their ids."""
    images = {content_id(str(seed)): encoded(scene(seed)) for seed in range(5)}
    pairs = [Pair(id, ("a field",), data, 160, 160, "web") for id, data in images.items()]
    write_pair_set(folder, pairs, funnel=Funnel(), card="# Older")
    return list(images)


def test_copies_of_another_pair_set_are_found_and_its_fingerprints_kept(home: Path, tmp_path: Path) -> None:
    ids = write_scenes(tmp_path / "older")
    rows = pictures([fingerprint(jpeg(scene(3))), fingerprint(scene(77))])
    for _ in range(2):
        found = copies_of(rows, [tmp_path / "older"]).to_pydict()
        assert (found["row"], found["pair_set"], found["id"]) == ([0], ["older"], [ids[3]])
        (tmp_path / "older" / "shard-000000.tar").write_bytes(b"")  # not read again
    with pytest.raises(UserError, match="is no pair set"):
        copies_of(rows, [tmp_path])


def test_embeddings_find_stronger_crops_of_another_pair_set(home: Path, tmp_path: Path) -> None:
    ids = write_scenes(tmp_path / "older")
    seen = np.random.default_rng(0).normal(size=(5, 48))
    asked: list[int] = []

    def embed(jpegs: Sequence[bytes]) -> list[bytes | None]:
        asked.append(len(jpegs))
        return packed(seen)

    rows = pictures([strongly_cropped(seed) for seed in range(5)], None, packed(seen))
    by_fingerprint = copies_of(rows, [tmp_path / "older"]).to_pydict()
    for _ in range(2):
        found = copies_of(rows, [tmp_path / "older"], Embedder("model", embed)).to_pydict()
        assert found["id"] == [ids[row] for row in found["row"]]
        assert len(found["row"]) > len(by_fingerprint["row"])
    assert asked == [5]  # kept


def test_a_pair_set_can_be_registered(home: Path, scene_pairs: Path) -> None:
    benchmarks_add(scene_pairs, name="scenes")
    drawn = Image.open(io.BytesIO(draw_scene("red", "field", np.random.default_rng(0))))
    assert leaks(pictures([fingerprint(drawn)])).to_pydict()["benchmark"] == ["scenes"]
