"""What is known of the field's benchmarks, and what is told where one on the disk is not whole."""

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
from geomammut.evaluation.datasets import captioned_images, read_class_folders, read_mask_folders, read_mask_tree
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
        assert (
            known.layout == {"retrieval": "karpathy", "classification": "folders", "segmentation": "masks"}[known.task]
        )
        assert known.images or known.name == "udd5"
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
        "isaid": ("val/images/P0003.png", "val/Semantic_masks/P0003_instance_color_RGB.png"),
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
