"""What is known of the field's benchmarks, and what is told where one on the disk is not whole."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fake_model import NAMED, ColourModel
from geomammut import cli
from geomammut.errors import UserError
from geomammut.evaluation import retrieval
from geomammut.evaluation.benchmarks import check_counts, find_benchmark, known_benchmarks
from geomammut.evaluation.captioned import read_captioned
from geomammut.evaluation.datasets import captioned_images
from geomammut.evaluation.labelled import read_boxes, read_class_folders, read_class_table, with_context
from geomammut.evaluation.masked import read_mask_folders, read_mask_tree, read_masked
from geomammut.evaluation.masks import mask_classes
from geomammut.evaluation.retrieval import eval_retrieval

NAMES = (
    "rsicd rsitmd ucm-captions nwpu-captions resisc45 ucm aid eurosat patternnet fmow skyscript-cls loveda potsdam "
    "vaihingen isaid openearthmap uavid udd5 vdd"
).split()


def test_every_benchmark_says_where_it_is_and_what_it_must_look_like() -> None:
    assert list(known_benchmarks()) == NAMES
    for known in known_benchmarks().values():
        assert known.home.startswith("http")
        assert known.about and known.licence and known.expects
        layouts = {
            "retrieval": ["karpathy"],
            "classification": ["folders", "table", "boxes"],
            "segmentation": ["masks"],
        }
        assert known.layout in layouts[known.task]
        assert known.images or known.name in ("udd5", "skyscript-cls")
        for split, members in known.members.items():
            assert isinstance(members, str) or len(set(members)) == known.images[split]
        if known.task == "segmentation":
            assert known.find and known.mask
            classes = mask_classes({"classes": known.classes, "ignore": list(known.ignore)}, known.name)
            assert len(classes.names) >= 5
        if known.per_class:
            assert isinstance(known.classes, int)
            assert known.per_class * known.classes == sum(known.images.values())


def test_the_counts_of_the_captioned_ones_are_those_published() -> None:
    tests = {name: known_benchmarks()[name].images["test"] for name in NAMES[:4]}
    assert tests == {"rsicd": 1093, "rsitmd": 452, "ucm-captions": 210, "nwpu-captions": 3150}
    assert all(known_benchmarks()[name].captions["test"] == 5 * count for name, count in tests.items())


def test_the_list_tells_owner_licence_and_layout(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["benchmarks", "list"]) == 0
    text = capsys.readouterr().out
    for known in known_benchmarks().values():
        assert f"\n{known.name} — {known.title}" in text
        assert known.home in text
        assert known.licence in text
    assert "train 8,734, val 1,094, test 1,093" in text


def test_what_differs_from_the_published_counts_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ucm = find_benchmark("ucm", "classification")
    even = {f"class {number}": 100 for number in range(21)}
    whole = {"name": "ucm", "split": "all", "images": 2100, "whole": True, "differences": []}
    assert check_counts(ucm, 2100, classes=even) == whole
    with pytest.raises(UserError, match=r"2,099 images of 2,100, 1 missing; first 'class 3' holds 99 images, not 100"):
        check_counts(ucm, 2099, classes=even | {"class 3": 99})
    with pytest.raises(UserError, match=r"2,101 images of 2,100, 1 too many"):
        check_counts(ucm, 2101, classes=even | {"class 3": 101})
    with pytest.raises(UserError, match=r"22 class folders of 21, 1 too many"):
        check_counts(ucm, 2100, classes=even | {"extra": 100})
    assert not check_counts(ucm, 840, subset=True)["whole"]
    assert "840 images of 2,100, 1,260 missing" in capsys.readouterr().err

    rsicd = find_benchmark("rsicd", "retrieval")
    assert check_counts(rsicd, 1093, captions=5465)["split"] == "test"
    with pytest.raises(UserError, match="rsicd has no split 'tset'; its splits are: train, val, test"):
        check_counts(rsicd, 1093, split="tset")
    with pytest.raises(UserError, match=r"5,464 captions of 5,465, 1 missing"):
        check_counts(rsicd, 1093, split="test", captions=5464)
    with pytest.raises(UserError, match=r"506 images are those of no split \(train 8,734, val 1,094, test 1,093\)"):
        check_counts(rsicd, 506)
    assert check_counts(replace(rsicd, images={}), 506)["whole"]


def test_captioned_images_are_checked_and_read_from_datasets_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "load_model", lambda name: ColourModel())
    (tmp_path / "images").mkdir()
    entries = []
    items = []
    for word, colour in NAMED.items():
        image = Image.new("RGB", (32, 32), f"#{colour}")
        image.save(tmp_path / "images" / f"{word}.png")
        entries.append({"filename": f"{word}.png", "split": "test", "sentences": [{"raw": f"all {word}"}]})
        items.append({"image": image, "captions": f"all {word}"})
    annotations = tmp_path / "dataset.json"
    annotations.write_text(json.dumps({"images": entries}))
    given = {"annotations": annotations, "images": tmp_path / "images", "split": "test"}
    out = tmp_path / "out.json"
    in_memory = eval_retrieval("m", out, pairs=captioned_images(items, title="colours"))
    assert in_memory["metrics"] == eval_retrieval("m", out, **given)["metrics"]
    assert in_memory["metrics"]["mR"] == 100
    (tmp_path / "images" / "spare.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"6 images of 1,093, 1,087 missing; .* 1 images too many .*, first spare.png"):
        eval_retrieval("m", out, **given, benchmark="rsicd")
    assert eval_retrieval("m", out, **given, benchmark="rsicd", subset=True)["published"]["whole"] is False


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no benchmark 'eurosta' is known; did you mean eurosat\?"):
        find_benchmark("eurosta", "classification")
    with pytest.raises(UserError, match="loveda is a benchmark of segmentation; those of classification: resisc45"):
        find_benchmark("loveda", "classification")


def test_a_folder_that_is_not_right_ends_in_one_line(tmp_path: Path) -> None:
    for name in ("beach", "harbour"):
        (tmp_path / "classes" / name / "deep").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "classes" / "beach" / "deep" / "1.png")
    with pytest.raises(UserError, match=r"the class folder .*harbour holds no image; fill it or remove it"):
        read_class_folders(tmp_path / "classes")
    Image.new("RGB", (9, 9)).save(tmp_path / "classes" / "harbour" / "2.png")
    assert read_class_folders(tmp_path / "classes").truth == [0, 1]

    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.new("L", (9, 9)).save(tmp_path / name / "a.png")
    assert read_mask_folders(tmp_path / "images", tmp_path / "masks").title == tmp_path.name
    Image.new("L", (9, 9)).save(tmp_path / "images" / "b.png")
    with pytest.raises(UserError, match=r"1 of 2 images in .* have no mask of the same name in .*, first b.png"):
        read_mask_folders(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "images" / "b.png").rename(tmp_path / "masks" / "c.png")
    with pytest.raises(UserError, match=r"1 masks in .* have no image, first c.png"):
        read_mask_folders(tmp_path / "images", tmp_path / "masks")
    with pytest.raises(UserError, match=r"holds no image \*\*/src/\*"):
        read_mask_tree(tmp_path, "**/src/*", {"src": "gt"})


@pytest.mark.parametrize("name", ["potsdam", "isaid", "uavid", "vdd", "openearthmap", "vaihingen"])
def test_images_find_their_masks_in_each_owners_tree(name: str, tmp_path: Path) -> None:
    image, mask = {
        "potsdam": ("2_Ortho_RGB/top_potsdam_2_13_RGB.tif", "5_Labels_all/top_potsdam_2_13_label.tif"),
        "isaid": ("val/images/P0003.png", "val/images/P0003_instance_color_RGB.png"),
        "uavid": ("seq16/Images/000000.png", "seq16/Labels/000000.png"),
        "vdd": ("test/src/7.JPG", "test/gt/7.png"),
        "openearthmap": ("koeln/images/koeln_50.tif", "koeln/labels/koeln_50.tif"),
        "vaihingen": ("top/top_mosaic_09cm_area1.tif", "gts/top_mosaic_09cm_area1.tif"),
    }[name]
    for path in (image, mask):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / path, "PNG" if path.endswith("png") else None)
    known = known_benchmarks()[name]
    found = read_mask_tree(tmp_path, known.find, known.mask)
    assert found.names == [str(tmp_path / image)]
    assert found.mask(0) == tmp_path / mask


def test_a_split_is_told_by_its_list_where_no_folder_tells_it(tmp_path: Path) -> None:
    """OpenEarthMap's regions hold images of all splits; those of the test split have no mask."""
    for name in ("a_1", "a_2", "a_3"):
        for kind in ("images", "labels"):
            (tmp_path / "a" / kind).mkdir(parents=True, exist_ok=True)
            if (name, kind) != ("a_3", "labels"):
                Image.new("L", (9, 9)).save(tmp_path / "a" / kind / f"{name}.tif")
    known = replace(known_benchmarks()["openearthmap"], images={"train": 1, "val": 1})
    (tmp_path / "val.txt").write_text("a_2.tif\n")
    found, published = read_masked(tmp_path, None, known, "val", False)
    assert found.names == [str(tmp_path / "a/images/a_2.tif")]
    assert published is not None and published["whole"]
    with pytest.raises(UserError, match=r"1 of 3 images in .* have no mask, first a/images/a_3.tif"):
        read_masked(tmp_path, None, known, None, False)
    with pytest.raises(UserError, match=r"train.txt, which lists the images of the split train, cannot be read"):
        read_masked(tmp_path, None, known, "train", False)
    (tmp_path / "val.txt").write_text("b_1.tif")
    with pytest.raises(UserError, match=r"none of the 3 images in .* is of this split"):
        read_masked(tmp_path, None, known, "val", False)

    for number in (2, 13):
        for folder, end in (("2_Ortho_RGB", "RGB"), ("5_Labels_all", "label")):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.new("RGB", (9, 9)).save(tmp_path / folder / f"top_potsdam_3_{number}_{end}.tif")
    found, _ = read_masked(tmp_path, None, known_benchmarks()["potsdam"], "test", True)
    assert found.names == [str(tmp_path / "2_Ortho_RGB/top_potsdam_3_13_RGB.tif")]


def test_nwpu_captions_are_read_as_their_owner_packs_them(tmp_path: Path) -> None:
    (tmp_path / "images" / "airport").mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (9, 9)).save(tmp_path / "images" / "airport" / f"airport_{number}.jpg")
    rows = [
        {
            "filename": f"airport_{number}.jpg",
            "imgid": number,
            "split": split,
            "raw": "one",
            "raw_1": "two",
            "raw_2": "one",
        }
        for number, split in ((1, "train"), (2, "test"))
    ]
    (tmp_path / "dataset_nwpu.json").write_text(json.dumps({"airport": rows}))
    given = {"images_needed": True, "benchmark": "nwpu-captions", "subset": True}
    found, title, published = read_captioned(tmp_path / "dataset_nwpu.json", tmp_path / "images", "test", None, **given)
    assert (found.names, found.captions, title) == (["airport_2.jpg"], [["one", "two", "one"]], "nwpu-captions")
    assert found.read(0) == (tmp_path / "images/airport/airport_2.jpg").read_bytes()
    assert published is not None and "1 images of 3,150" in published["differences"][0]


@pytest.fixture
def fmow(tmp_path: Path) -> Path:
    """Two classes, an image each; one image holds two boxes, one box of 2 px and a second picture of the sensor."""
    folder = tmp_path / "val"
    for name, boxes in {
        "zoo": [
            {"ID": 7, "category": "zoo", "box": [20, 30, 40, 10]},
            {"ID": 8, "category": "airport", "box": [0, 0, 90, 50]},
        ],
        "airport": {"ID": 9, "category": "airport", "box": [1, 1, 2, 30]},
    }.items():
        place = folder / name / f"{name}_0"
        place.mkdir(parents=True)
        image = Image.new("RGB", (100, 50), f"#{NAMED['red']}")
        image.paste(Image.new("RGB", (40, 10), f"#{NAMED['blue']}"), (20, 30))
        for kind in ("rgb", "msrgb"):
            image.save(place / f"{name}_0_3_{kind}.jpg", quality=95)
            (place / f"{name}_0_3_{kind}.json").write_text(json.dumps({"gsd": 0.5, "bounding_boxes": boxes}))
    return folder


def test_boxes_are_cut_out_with_their_surroundings(fmow: Path) -> None:
    found = read_boxes(fmow)
    assert found.classes == ["airport", "zoo"]
    assert [name.rpartition("#")[2] for name in found.names] == ["7", "8"]
    assert (found.truth, found.files) == ([1, 0], 2)
    # 40 px beside an image 50 px high: 15% more in all; 10 px beside 100 px in width: as much again
    with Image.open(io.BytesIO(found.read(0))) as cut:
        assert cut.size == (46, 20)
        assert [cut.getpixel(at)[2] > 128 for at in ((23, 10), (23, 1), (1, 10), (44, 10))] == [
            True,
            False,
            False,
            False,
        ]
    with Image.open(io.BytesIO(found.read(1))) as cut:
        assert cut.size == (96, 50)  # cut at the image's border


@pytest.mark.parametrize(
    ("size", "grown"), [(9, 27), (10, 20), (19, 37), (20, 30), (30, 38), (40, 48), (50, 56), (100, 100)]
)
def test_small_boxes_get_more_of_their_surroundings(size: int, grown: int) -> None:
    left, top, width, height = with_context((50 - size // 2, 50 - size // 2, size, size), 100, 100)
    assert (width, height) == (grown, grown)
    assert left == top


def test_what_is_wrong_with_boxes_is_one_line(fmow: Path) -> None:
    file = fmow / "zoo/zoo_0/zoo_0_3_rgb.json"
    stored = json.loads(file.read_text())
    stored["bounding_boxes"][0]["category"] = "false_detection"
    file.write_text(json.dumps(stored))
    with pytest.raises(
        UserError, match=r"zoo_0_3_rgb.jpg: box 7 is of the class 'false_detection', which has no folder"
    ):
        read_boxes(fmow)
    stored["bounding_boxes"][0] |= {"category": "airport", "box": [200, 0, 5, 5]}
    file.write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"no box in .* is of the class 'zoo'"):
        read_boxes(fmow)
    for broken in ("{", "[]", '{"bounding_boxes": [{"box": [1, 2, 3], "category": "zoo"}]}', '{"bounding_boxes": 3}'):
        file.write_text(broken)
        with pytest.raises(UserError, match=r"zoo_0_3_rgb.json does not hold bounding_boxes"):
            read_boxes(fmow)
    file.unlink()
    with pytest.raises(UserError, match=r"1 of 2 images in .* have no JSON file, first .*zoo_0_3_rgb.jpg"):
        read_boxes(fmow)


def test_a_table_names_images_and_classes(tmp_path: Path) -> None:
    """As SkyScript packs its benchmarks: paths from the folder above, labels as words or as lines of a file."""
    root = tmp_path / "SkyScript_cls"
    (root / "images").mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.new("RGB", (9, 9)).save(root / "images" / f"{name}.jpg")
    table = root / "img_txt_pairs_val.csv"
    rows = ["SkyScript_cls/images/a.jpg,silo", "images/b.jpg,dam", "images/c.jpg,silo", "images/none.jpg,"]
    table.write_text("\n".join(["filepath,label", *rows]))
    found = read_class_table(table)
    assert (found.title, found.classes, found.truth) == ("SkyScript_cls", ["dam", "silo"], [1, 0, 1])
    assert found.read(2) == (root / "images/c.jpg").read_bytes()
    table.write_text("filepath,label\nimages/a.jpg,1\nimages/b.jpg,0")
    with pytest.raises(UserError, match=r"labels are numbers, but .*classnames.txt does not name them"):
        read_class_table(table)
    (root / "classnames.txt").write_text("dam\nsilo\n")
    assert read_class_table(table).classes == ["dam", "silo"]
    table.write_text("filepath,label\nimages/a.jpg,silo\nimages/z.jpg,dam")
    with pytest.raises(UserError, match=r"1 of 2 files that .* names are not there, first .*z.jpg"):
        read_class_table(table)
    (tmp_path.parent / f"{tmp_path.name}.jpg").write_bytes(b"secret")
    table.write_text(f"filepath,label\n../../{tmp_path.name}.jpg,silo\nimages/a.jpg,dam")
    with pytest.raises(UserError, match="1 of 2 files"):
        read_class_table(table)
    table.write_text("path,class\na,b")
    with pytest.raises(UserError, match="needs rows with the columns filepath and label"):
        read_class_table(table)
