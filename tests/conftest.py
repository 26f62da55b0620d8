"""What several test files share."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

from geomammut.files import content_id
from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set
from geomammut.pairs.web_stages.addresses import ALLOWED_VARIABLE
from small_server import small_server

if TYPE_CHECKING:
    from fake_archive import SquaresArchive

SHARED_DATA = Path(os.environ.get("GEOMAMMUT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

COLOURS = {"red": (200, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 200), "yellow": (220, 200, 40)}
SHAPES = ("field", "roof", "tank")


def pytest_configure() -> None:
    """A busy machine fails no property, and a shell that starts the tests in the background no test of Ctrl-C.

    Properties are tried on other examples each time, but where CI is set, so that a gate judges the change alone.
    """
    settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("house")
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the person who runs the tests has registered changes none of them; Ray's workers wait for no other test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOMAMMUT_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server on this machine, whose one address may be asked."""
    with small_server() as address:
        monkeypatch.setenv(ALLOWED_VARIABLE, address)
        yield f"http://{address}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA}; set GEOMAMMUT_SHARED_DATA to run this test")
    return SHARED_DATA


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> "SquaresArchive":
    """An archive of coloured squares."""
    from fake_archive import SquaresArchive

    return SquaresArchive(tmp_path_factory.mktemp("squares"))


def draw_scene(colour: str, shape: str, generator: np.random.Generator, side: int = 32) -> bytes:
    """Return a JPEG of a coloured shape on noisy ground."""
    ground = generator.integers(90, 130, (side, side, 3), dtype=np.uint8)
    image = Image.fromarray(ground)
    draw = ImageDraw.Draw(image)
    left, top = (int(value) for value in generator.integers(2, side // 2 - 2, 2))
    box = (left, top, left + side // 2 - 2, top + side // 2 - 2)
    if shape == "tank":
        draw.ellipse(box, fill=COLOURS[colour])
    elif shape == "roof":
        draw.polygon([(box[0], box[3]), ((box[0] + box[2]) // 2, box[1]), (box[2], box[3])], fill=COLOURS[colour])
    else:
        draw.rectangle(box, fill=COLOURS[colour])
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92)
    return data.getvalue()


@pytest.fixture(scope="session")
def scene_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair set of 64 scenes of coloured shapes, with captions and landmarks."""
    generator = np.random.default_rng(0)
    pairs = []
    for number in range(64):
        colour = list(COLOURS)[number % 4]
        shape = SHAPES[number % 3]
        jpeg = draw_scene(colour, shape, generator)
        phrase = f"{colour} {shape}"
        pairs.append(
            Pair(
                id=content_id(jpeg),
                captions=(f"An aerial image of a {phrase}.", f"A {phrase} seen from above."),
                jpeg=jpeg,
                width=32,
                height=32,
                source="landmarks",
                landmarks=({"phrase": phrase, "area_share": 0.2, "landmark_id": f"w{number}"},),
            )
        )
    return write_pair_set(
        tmp_path_factory.mktemp("scenes") / "pairs", pairs, funnel=Funnel(), card="Scenes", shard_size=20
    )
