"""Score maps, heatmaps and masks: right pixels, right places, nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin
from rasterio.windows import Window

from fake_model import ColourModel
from geomammut.errors import UserError
from geomammut.evaluation.masks import BACKGROUND_PROMPTS
from geomammut.evaluation.prompts import name_embeddings
from geomammut.localization import heatmaps, polygons, rasters, scoring, segments
from geomammut.localization.heatmaps import heatmap, overlay
from geomammut.localization.legend import class_colours, parse_classes
from geomammut.localization.segments import segment
from geomammut.model.score_maps import attention_scorer, sao_scorer, score_maps, score_strips

UTM = "EPSG:32633"


@pytest.fixture(autouse=True)
def colour_model(monkeypatch: pytest.MonkeyPatch) -> ColourModel:
    model = ColourModel()
    for verb in (heatmaps, segments):
        monkeypatch.setattr(verb, "load_model", lambda name: model)
    return model


def striped(height: int = 96, width: int = 160) -> np.ndarray:
    """Left half red, right half blue, a green block in the middle of the lower right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (255, 0, 0)
    pixels[:, width // 2 :] = (0, 0, 255)
    pixels[height // 2 : height - 16, width - 48 : width - 16] = (0, 255, 0)
    return pixels


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    """The stripes as a GeoTIFF of 2 m in UTM, with four bands, its first rows without data."""
    pixels = striped()
    pixels[:8] = 0
    path = tmp_path / "mosaic.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "nodata": 0, "height": 96, "width": 160, "count": 4}
    with rasterio.open(path, "w", crs=UTM, transform=from_origin(500_000, 5_300_000, 2, 2), **profile) as file:
        file.write(pixels.transpose(2, 0, 1), [1, 2, 3])
        file.write(np.where(pixels.any(2), 9, 0).astype(np.uint8), 4)
    return path


def test_score_maps_tell_colours_apart_at_full_resolution() -> None:
    model, pixels = ColourModel(), striped()
    scores = score_maps(model, pixels, model.encode_text(["red", "blue", "green"]), window=0)
    assert scores.shape == (3, 96, 160)
    assert scores.dtype == np.float32
    truth = np.where(pixels[..., 0] > 0, 0, np.where(pixels[..., 2] > 0, 1, 2))
    assert (scores.argmax(0) == truth).mean() > 0.97
    # away from edges between colours, the score is that of the patch itself
    assert scores[0, 50, 20] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 31), (32, 32), (200, 7)])
def test_score_maps_of_any_size(shape: tuple[int, int]) -> None:
    model = ColourModel()
    pixels = np.full((*shape, 3), (0, 255, 0), np.uint8)
    scores = score_maps(model, pixels, model.encode_text(["green"]), window=0, stride=9)
    assert scores.shape == (1, *shape)
    np.testing.assert_allclose(scores, 1, atol=1e-3)


def test_overlapping_windows_leave_no_border() -> None:
    """A model that scores each window by a constant of its own gives steps only where windows blend."""
    model, answers = ColourModel(), iter(range(1000))

    def score(images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([float(next(answers) % 2) for _ in images]).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)

    blank = np.zeros((64, 160, 3), np.uint8)
    strips = score_strips(model, score, lambda first, count: blank[first : first + count], 64, 160)
    scores = np.concatenate([strip for _, strip in strips], axis=1)[0]
    assert np.abs(np.diff(scores, axis=1)).max() < 0.15
    assert scores.min() < 0.1
    assert scores.max() > 0.9


def test_strips_read_each_row_when_it_is_needed() -> None:
    model, pixels, reads = ColourModel(), np.tile(striped(), (6, 1, 1)), []

    def read_rows(first: int, count: int) -> np.ndarray:
        reads.append((first, count))
        return pixels[first : first + count]

    texts = model.encode_text(["red"])
    strips = list(score_strips(model, sao_scorer(model, texts, 0), read_rows, *pixels.shape[:2]))
    assert max(count for _, count in reads) == model.image_size
    assert [first for first, _ in strips] == [0, *np.cumsum([s.shape[1] for _, s in strips])[:-1]]
    whole = score_maps(model, pixels, texts, window=0)
    np.testing.assert_array_equal(np.concatenate([strip for _, strip in strips], axis=1), whole)


def test_attention_needs_a_model_that_has_it() -> None:
    model = ColourModel()
    window = torch.from_numpy(striped()[32:64, 64:96]).permute(2, 0, 1)[None] / 127.5 - 1
    red, blue = attention_scorer(model, [["green", "red"], ["blue"]])(window)[0]
    assert (red > blue).tolist() == [[True, True, False, False]] * 4
    model.attention_maps = None  # type: ignore[assignment,method-assign]
    with pytest.raises(UserError, match="no cross-attention"):
        attention_scorer(model, [["red"]])


@pytest.mark.parametrize("window", [0, (0, 1)])
def test_a_class_scores_as_its_best_name_does(window: int | tuple[int, ...]) -> None:
    """Of "red or green" the red half and the green block have the full score, which the mean of both has nowhere."""
    model, pixels = ColourModel(), striped()
    names = [["red", "green"], ["blue"]]
    either, blue = score_maps(model, pixels, name_embeddings(model, names, ["all {}"]), window=window)
    assert either[20, 20] == pytest.approx(1, abs=1e-3)
    assert either[60, 128] == pytest.approx(1, abs=1e-3)
    assert blue[20, 140] == pytest.approx(1, abs=1e-3)
    turned = score_maps(model, pixels, name_embeddings(model, [["green", "red"], ["blue"]], ["all {}"]), window=window)
    np.testing.assert_array_equal(turned, [either, blue])
    flat = score_maps(model, pixels, model.encode_text(["all red", "all green", "all blue"]), window=window)
    assert (either <= flat[:2].max(0) + 1e-6).all()  # the best is taken of a patch, before pixels are interpolated


def test_heatmap_tif_keeps_place_and_nodata(raster: Path, tmp_path: Path) -> None:
    out = heatmap("m", raster, "green", tmp_path / "heat.tif", window=0)
    with rasterio.open(out) as heat, rasterio.open(raster) as image:
        assert heat.crs == image.crs
        assert heat.transform == image.transform
        assert heat.dtypes == ("float32",)
        scores = heat.read(1)
    assert np.isnan(scores[:8]).all()
    assert np.isfinite(scores[8:]).all()
    assert scores[50:78, 116:140].mean() > scores[20:40].mean() + 0.5


def test_heatmap_png_is_hot_where_the_text_fits(tmp_path: Path) -> None:
    Image.fromarray(striped()).save(tmp_path / "picture.png")
    out = heatmap("m", tmp_path / "picture.png", "red", tmp_path / "heat.png", window=0)
    shown = np.array(Image.open(out)).astype(int)
    assert shown.shape == (96, 160, 3)
    assert shown[:, :60].sum(2).mean() > shown[:20, 100:].sum(2).mean() + 200


def test_heatmap_tif_of_a_picture_has_no_crs(tmp_path: Path) -> None:
    Image.fromarray(striped()).save(tmp_path / "picture.jpg", quality=95)
    out = heatmap("m", tmp_path / "picture.jpg", "red", tmp_path / "heat.tif")
    with rasterio.open(out) as heat:
        assert heat.crs is None
        assert heat.shape == (96, 160)


def test_a_large_overlay_is_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasters, "_PICTURE_SIDE", 50)
    Image.fromarray(striped()).save(tmp_path / "picture.png")
    out = heatmap("m", tmp_path / "picture.png", "red", tmp_path / "heat.png", window=0)
    assert Image.open(out).size == (50, 30)


def test_overlay_without_contrast_or_data() -> None:
    pixels = np.full((2, 3, 3), 100, np.uint8)
    assert overlay(pixels, np.full((2, 3), np.nan)).tolist() == pixels.tolist()
    assert overlay(pixels, np.zeros((2, 3))).shape == (2, 3, 3)


def test_segment_writes_classes_in_place(raster: Path, tmp_path: Path) -> None:
    out = segment("m", raster, "roof|red, blue, green", tmp_path / "mask.tif", window=0)
    with rasterio.open(out) as mask:
        classes = mask.read(1)
        assert mask.crs == UTM
        assert mask.transform == from_origin(500_000, 5_300_000, 2, 2)
        assert mask.nodata == 0
        names = [mask.tags()[f"CLASS_{index}"] for index in (1, 2, 3)]
        colours = [mask.colormap(1)[index] for index in (1, 2, 3)]
    assert names == ["roof", "blue", "green"]
    assert len(set(colours)) == 3
    assert (classes[:8] == 0).all()
    truth = np.where(striped()[..., 0] > 0, 1, np.where(striped()[..., 2] > 0, 2, 3))
    assert (classes == truth)[8:].mean() > 0.95


def test_synonyms_of_a_class_need_nothing_in_common(raster: Path, tmp_path: Path) -> None:
    masks = []
    for number, classes in enumerate(["thing|red|green, blue, yellow", "thing|green|red, blue, yellow"]):
        model = ColourModel() if number else "m"  # loaded already, or what to load
        out = segment(model, raster, classes, tmp_path / f"{number}.tif", window=0)
        with rasterio.open(out) as mask:
            masks.append(mask.read(1))
    truth = np.where(striped()[..., 2] > 0, 2, 1)
    assert (masks[0] == truth)[8:].mean() > 0.95
    np.testing.assert_array_equal(*masks)


def test_polygons_lie_where_the_mask_does(raster: Path, tmp_path: Path) -> None:
    out = segment("m", raster, "red, blue, green", tmp_path / "mask.tif", geojson=tmp_path / "p.geojson", window=0)
    collection = json.loads((tmp_path / "p.geojson").read_text())
    with rasterio.open(out) as mask:
        classes = mask.read(1)
    area: dict[str, float] = {}
    for feature in collection["features"]:
        properties = feature["properties"]
        assert set(properties) == {"class", "area_m2", "mean_score"}
        assert -1 <= properties["mean_score"] <= 1
        area[properties["class"]] = area.get(properties["class"], 0) + properties["area_m2"]
        longitude, latitude = feature["geometry"]["coordinates"][0][0]
        assert 14.99 < longitude < 15.01
        assert 47.8 < latitude < 47.9
    for index, name in enumerate(["red", "blue", "green"], start=1):
        on_grid = 4 * (classes == index).sum()
        assert area[name] == pytest.approx(on_grid, rel=2e-3)  # UTM shrinks by 0.9996 here
    greens = [f["properties"] for f in collection["features"] if f["properties"]["class"] == "green"]
    assert max(greens, key=lambda p: p["area_m2"])["mean_score"] > 0.8


def test_mean_scores_are_those_of_each_polygon(raster: Path, tmp_path: Path, monkeypatch) -> None:
    """Read in strips of a few rows, polygons that span strips get the mean over all of their pixels."""
    monkeypatch.setattr(polygons, "_STRIP_ROWS", 7)
    out = segment("m", raster, "red, blue", tmp_path / "mask.tif", geojson=tmp_path / "p.geojson", window=0)
    model = ColourModel()
    with rasterio.open(raster) as image, rasterio.open(out) as mask:
        pixels = image.read([1, 2, 3]).transpose(1, 2, 0)
        classes = mask.read(1)
    pixels[:8] = 128  # where there is no data, the model is shown its mean colour
    embeddings = torch.nn.functional.normalize(model.encode_text(["red", "blue"]), dim=-1)
    best = score_maps(model, pixels, embeddings, window=0).max(0)
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    red = [f["properties"] for f in features if f["properties"]["class"] == "red"]
    pixels_of = np.array([p["area_m2"] for p in red])
    mean = (pixels_of * [p["mean_score"] for p in red]).sum() / pixels_of.sum()
    assert mean == pytest.approx(best[classes == 1].mean(), abs=1e-3)


def test_an_image_without_data_gives_an_empty_mask(raster: Path, tmp_path: Path) -> None:
    with rasterio.open(raster, "r+") as file:
        file.write(np.zeros((4, 96, 160), np.uint8))
    out = segment("m", raster, "red, blue", tmp_path / "mask.tif", geojson=tmp_path / "p.geojson")
    with rasterio.open(out) as mask:
        assert not mask.read(1).any()
    assert json.loads((tmp_path / "p.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_outputs_are_cloud_optimized(raster: Path, tmp_path: Path) -> None:
    mask, likely = tmp_path / "mask.tif", tmp_path / "likely.tif"
    segment("m", raster, "red, blue, green", mask, probabilities=likely, window=0)
    heat = heatmap("m", raster, "red", tmp_path / "heat.tif", window=0)
    for path in (mask, likely, heat):
        with rasterio.open(path) as written:
            assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (written.crs, written.transform) == (UTM, from_origin(500_000, 5_300_000, 2, 2))
    with rasterio.open(likely) as written, rasterio.open(mask) as classes:
        assert written.descriptions == ("red", "blue", "green")
        stored = written.read()
        assert (stored[:, :8] == 255).all()
        assert written.nodata == 255
        shares = stored[:, 8:] * written.scales[0]
        np.testing.assert_allclose(shares.sum(0), 1, atol=0.01)
        best = shares.argmax(0) + 1
        assert (best == classes.read(1)[8:]).mean() > 0.99
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heat.tif", "likely.tif", "mask.tif", "mosaic.tif"]


def test_a_large_heat_has_overviews(tmp_path: Path) -> None:
    Image.fromarray(striped(96, 1100)).save(tmp_path / "wide.png")
    with rasterio.open(heatmap("m", tmp_path / "wide.png", "red", tmp_path / "heat.tif", window=0)) as heat:
        assert heat.overviews(1)


def test_the_picture_of_a_mask_shows_its_colours(raster: Path, tmp_path: Path) -> None:
    segment("m", raster, "red, blue", tmp_path / "mask.tif", picture=tmp_path / "mask.png", window=0)
    shown = np.array(Image.open(tmp_path / "mask.png"))
    colours = class_colours(["red", "blue"])
    assert (shown[:8] == 0).all()  # no data
    assert np.abs(shown[60, 20].astype(int) - (np.array([255, 0, 0]) + colours[0][:3]) / 2).max() <= 1
    assert np.abs(shown[20, 140].astype(int) - (np.array([0, 0, 255]) + colours[1][:3]) / 2).max() <= 1


def test_land_cover_has_the_colours_of_maps() -> None:
    one, other = class_colours(["building", "Water", "roads"]), class_colours(["river", "shed", "bare land"])
    assert one[1] == other[0] and one[1][2] == max(one[1][:3]), "water is blue wherever it stands"
    for names in (["water", "river", "lake"], [f"thing {number}" for number in range(20)], ["shed", "forest", "water"]):
        assert len(set(class_colours(names))) == len(names)
    assert len(class_colours([f"thing {number}" for number in range(255)])) == 255


def scene(height: int, width: int) -> np.ndarray:
    """Blobs of the three colours and their mixtures, at no multiple of anything."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / random.uniform(9, 23) + a) * np.sin(y / random.uniform(9, 23) - a) for a in (0.3, 1.7, 4.1)]
    return np.stack([np.clip(140 + 115 * wave, 1, 255) for wave in waves], axis=2).astype(np.uint8)


def georeferenced(path: Path, pixels: np.ndarray) -> Path:
    profile = {"driver": "GTiff", "dtype": "uint8", "height": pixels.shape[0], "width": pixels.shape[1], "count": 3}
    with rasterio.open(path, "w", crs=UTM, transform=from_origin(500_000, 5_300_000, 2, 2), **profile) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = georeferenced(tmp_path / "image.tif", scene(230, 410))
    monkeypatch.setattr(scoring, "_SCORES_AT_ONCE", 3 * 32 * 150)  # several blocks of columns
    options = {"window": (0, 1)}

    def outputs(name: str) -> dict[str, Path]:
        return {"geojson": tmp_path / f"{name}.geojson", "probabilities": tmp_path / f"{name}_p.tif"}

    scored: list[int] = []
    dense = ColourModel.dense_image_embeddings

    def counted(model: ColourModel, images: torch.Tensor, window: object) -> torch.Tensor:
        scored.append(len(images))
        if len(scored) in kills:
            raise KeyboardInterrupt
        return dense(model, images, 0)

    monkeypatch.setattr(ColourModel, "dense_image_embeddings", counted)
    kills: set[int] = set()
    whole = segment("m", image, "red, blue, green", tmp_path / "whole.tif", **outputs("whole"), **options)
    once = sum(scored)
    scored.clear()
    kills = {9, 24, 40}
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            segment("m", image, "red, blue, green", tmp_path / "killed.tif", **outputs("killed"), **options)
        assert not (tmp_path / "killed.tif").exists()
    with (tmp_path / ".killed.tif.unfinished" / "class-0.rows").open("ab") as torn:
        torn.write(b"half a row")
    kills = set()
    killed = segment("m", image, "red, blue, green", tmp_path / "killed.tif", **outputs("killed"), **options)
    assert killed.read_bytes() == whole.read_bytes()
    for one, other in zip(outputs("killed").values(), outputs("whole").values(), strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert sum(scored) < 1.8 * once  # not begun anew each time
    assert not list(tmp_path.glob(".*"))


def test_what_is_unfinished_of_another_call_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = georeferenced(tmp_path / "image.tif", scene(200, 64))
    dense, calls = ColourModel.dense_image_embeddings, []

    def broken(model: ColourModel, images: torch.Tensor, window: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return dense(model, images, 0)

    with monkeypatch.context() as patched:
        patched.setattr(ColourModel, "dense_image_embeddings", broken)
        with pytest.raises(KeyboardInterrupt):
            segment("m", image, "red, blue|green", tmp_path / "mask.tif")
    # the same words in the same order, grouped otherwise
    after = segment("m", image, "red|blue, green", tmp_path / "mask.tif")
    assert after.read_bytes() == segment("m", image, "red|blue, green", tmp_path / "fresh.tif").read_bytes()


def test_blocks_of_columns_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = georeferenced(tmp_path / "image.tif", scene(150, 500))
    one = heatmap("m", image, "red", tmp_path / "one.tif")
    monkeypatch.setattr(scoring, "_SCORES_AT_ONCE", 1)
    assert len(scoring._column_blocks(500, 1, 32, 16)) == 4
    many = heatmap("m", image, "red", tmp_path / "many.tif")
    assert one.read_bytes() == many.read_bytes()


def test_shifted_windows_see_the_same(tmp_path: Path) -> None:
    """Where window borders fall, the mask is no other than where they do not."""
    pixels = scene(230, 410)
    masks = []
    for down, right in ((0, 0), (5, 7)):
        image = georeferenced(tmp_path / f"{down}.tif", pixels[down:, right:])
        with rasterio.open(segment("m", image, "red, blue, green", tmp_path / f"mask{down}.tif", window=0)) as mask:
            masks.append(mask.read(1)[5 - down :, 7 - right :])
    differs = masks[0] != masks[1]
    assert differs.mean() < 0.06
    by_phase = [differs[:, phase::16].mean() for phase in range(16)]  # of the windows' stride
    assert max(by_phase) < 2 * differs.mean()


def test_classes_are_parsed() -> None:
    assert parse_classes("road, background")["background"] == list(BACKGROUND_PROMPTS)
    assert parse_classes("road, background|sand")["background"] == ["background", "sand"]
    assert parse_classes("building|house roofs, road,water") == {
        "building": ["building", "house roofs"],
        "road": ["road"],
        "water": ["water"],
    }
    for wrong in ("", "road", "road, ", "road, a||b", "road, road"):
        with pytest.raises(UserError):
            parse_classes(wrong)


def test_mistakes_end_in_one_line(raster: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(striped()).save(picture)
    deep = tmp_path / "deep.tif"
    with rasterio.open(deep, "w", driver="GTiff", dtype="uint16", width=9, height=9, count=3) as file:
        file.write(np.zeros((3, 9, 9), np.uint16))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(raster.read_bytes()[: raster.stat().st_size // 2])
    geojson = tmp_path / "p.geojson"
    for message, call in {
        "text is empty": lambda: heatmap("m", raster, " ", tmp_path / "o.png"),
        "no image at": lambda: heatmap("m", tmp_path / "none.tif", "red", tmp_path / "o.png"),
        "must end in .png or .tif": lambda: heatmap("m", raster, "red", tmp_path / "o.jpeg"),
        "must end in .tif": lambda: segment("m", raster, "red, blue", tmp_path / "o.png"),
        "radius is -1": lambda: segment("m", raster, "red, blue", tmp_path / "o.tif", window=-1),
        r"radius is \(\)": lambda: segment("m", raster, "red, blue", tmp_path / "o.tif", window=()),
        "o.jpg: its name must end in .png": lambda: segment(
            "m", raster, "red, blue", tmp_path / "o.tif", picture=tmp_path / "o.jpg"
        ),
        "needs 2 to 255": lambda: segment("m", raster, "red", tmp_path / "o.tif"),
        "has no CRS": lambda: segment("m", picture, "red, blue", tmp_path / "o.tif", geojson=geojson),
        "uint16, not 8-bit": lambda: heatmap("m", deep, "red", tmp_path / "o.tif"),
        "cannot be read": lambda: heatmap("m", cut, "red", tmp_path / "o.tif"),
    }.items():
        with pytest.raises(UserError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("o.*")) + list(tmp_path.glob(".*")) + list(tmp_path.glob("p.*"))


def test_real_rasters(shared_data: Path, tmp_path: Path) -> None:
    """NAIP (four bands, nodata) and Köln (row-wise tiles): the mask covers the same ground."""
    for name in ("naip_north_dakota_2020.tif", "oem_koeln_50.tif"):
        source = shared_data / "geotiff" / name
        out = segment("m", source, "green, white, black", tmp_path / name, geojson=tmp_path / "p.geojson")
        with rasterio.open(out) as mask, rasterio.open(source) as image:
            assert (mask.crs, mask.transform, mask.shape) == (image.crs, image.transform, image.shape)
            whole = Window(0, 0, image.width, image.height)
            np.testing.assert_array_equal(mask.read(1) > 0, image.dataset_mask(window=whole) > 0)
        assert json.loads((tmp_path / "p.geojson").read_text())["features"]
