"""`pairs preview`: outlines lie where the landmarks are; the sheet is the seed's."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.preview import pairs_preview


def a_pair(number: int) -> Pair:
    """A grey picture of 60 pixels with a pond from 15 to 45."""
    jpeg = io.BytesIO()
    Image.new("RGB", (60, 60), (90, 90, 90 + number)).save(jpeg, "JPEG")
    corners = [[15, 15], [45, 15], [45, 45], [15, 45], [15, 15]]
    pond = {"phrase": "pond", "position": "in the centre", "outline": {"type": "Polygon", "coordinates": [corners]}}
    return Pair(
        id=content_id(str(number)),
        captions=(f"A pond in the centre, picture {number}.",),
        jpeg=jpeg.getvalue(),
        width=60,
        height=60,
        source="landmarks",
        landmarks=(pond,),
    )


@pytest.fixture(scope="module")
def ponds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ponds") / "pairs"
    return write_pair_set(folder, map(a_pair, range(9)), funnel=Funnel(), card="# Ponds")


def test_an_outline_lies_where_its_landmark_is(ponds: Path, tmp_path: Path) -> None:
    sheet = np.asarray(Image.open(pairs_preview(ponds, tmp_path / "sheet.png", count=1)).convert("RGB")).astype(int)
    red = (sheet[..., 0] > 200) & (sheet[..., 1:].max(axis=-1) < 110)
    picture = red[16 : 16 + 360, 16 : 16 + 360]  # 60 pixels drawn as 360, in a frame of 16
    rows, columns = np.nonzero(picture)
    assert (rows.min(), columns.min()) == pytest.approx((90, 90), abs=3)
    assert (rows.max(), columns.max()) == pytest.approx((270, 270), abs=3)
    assert not picture[120:240, 120:240].any()
    assert red[16 + 360 :].any(), "the legend has the outline's colour"


def test_the_sheet_is_the_seeds(ponds: Path, tmp_path: Path) -> None:
    sheets = [
        pairs_preview(ponds, tmp_path / f"{number}.png", count=4, seed=seed).read_bytes()
        for number, seed in enumerate((0, 0, 1))
    ]
    assert sheets[0] == sheets[1] != sheets[2]


def test_mistakes_end_in_one_line(ponds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sheet\.pdf is of an unknown kind"):
        pairs_preview(ponds, tmp_path / "sheet.pdf")
    with pytest.raises(UserError, match="out of range"):
        pairs_preview(ponds, tmp_path / "sheet.png", count=0)
    with pytest.raises(UserError, match="no pair set"):
        pairs_preview(tmp_path, tmp_path / "sheet.png")
