"""Chips centred on landmarks, from the verb to the card."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shapely

from geomammut.errors import UserError
from geomammut.pairs.centres import landmark_centres
from geomammut.pairs.landmarks import pairs_landmarks
from small_place import area, box, write_image, write_map


def test_the_rarest_category_of_a_cell_comes_first(tmp_path: Path) -> None:
    houses = [area(box(x, 40, 12, 12), building="house") for x in (30, 60, 90)]
    table = write_map(tmp_path, [*houses, area(box(60, 70, 20, 20), leisure="pitch", sport="tennis")])
    found = landmark_centres(table, 1.0, seed=0)
    categories = dict(pq.read_table(table, columns=["landmark_id", "category"]).to_pandas().itertuples(index=False))
    rarest = found.keys[int(found.ranks.argmin())]
    assert sorted(found.ranks) == [1, 3, 3, 3] and "tennis" in categories[rarest]
    with pytest.raises(UserError, match="finer --gsd"):
        landmark_centres(table, 1000.0, seed=0)


def test_a_pair_shows_its_landmark_near_the_middle(tmp_path: Path) -> None:
    lake = area(box(230, 260, 40, 40), natural="water", water="lake")
    out = pairs_landmarks(
        [write_image(tmp_path / "a.tif")],
        write_map(tmp_path, [lake]),
        tmp_path / "pairs",
        size=128,
        centred=True,
        jpeg_quality=80,
    )
    (pair,) = pq.read_table(out / "pairs.parquet").to_pylist()
    footprint, landmarks = (json.loads(v) if isinstance(v, str) else v for v in (pair["footprint"], pair["landmarks"]))
    outline = shapely.geometry.shape(landmarks[0]["outline"])
    assert landmarks[0]["share_visible"] > 0.99 and footprint["type"] == "Polygon"
    assert abs(outline.centroid.x - 64) <= 33 and abs(outline.centroid.y - 64) <= 33
    card = " ".join((out / "card.md").read_text().split())
    assert "centred on points to within 32 m" in card and "JPEG, quality 80" in card and "cubic resampling" in card
    assert "bands 1, 2, 3 as red, green, blue" in card
