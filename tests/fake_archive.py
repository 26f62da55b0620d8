"""A small archive in memory of a raster of coloured squares, and a server of it."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin
from starlette.types import ASGIApp

from fake_model import NAMED, ColourModel
from geomammut.files import content_id
from geomammut.imagery.sources import open_sources
from geomammut.search.archive import Archive, Filter, Hit, IndexInfo
from geomammut.search.identity import ModelIdentity
from geomammut.search.server.api import create_app
from geomammut.search.server.serve import listening, new_server, quietly

SIDE = 32  # pixels of a chip, a metre each
COLOURS = ("red", "green", "blue", "yellow")


class SquaresArchive(Archive):
    """A square kilometre and less, each of its 8 × 8 chips of one colour: red, green, blue, yellow in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        generator = np.random.default_rng(0)
        chips = [[COLOURS[(row * 3 + column) % 4] for column in range(8)] for row in range(8)]
        pixels = np.zeros((8 * SIDE, 8 * SIDE, 3), np.uint8)
        for row, column in np.ndindex(8, 8):
            colour = np.frombuffer(bytes.fromhex(NAMED[chips[row][column]]), np.uint8).astype(int)
            square = np.clip(colour * 0.8 + 20 + generator.integers(-12, 12, (SIDE, SIDE, 1)), 0, 255)
            pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = square
        left, top = 500_000.0, 5_600_000.0
        path = folder / "squares.tif"
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 8 * SIDE, "height": 8 * SIDE}
        with rasterio.open(path, "w", **profile, crs="EPSG:32632", transform=from_origin(left, top, 1, 1)) as written:
            written.write(pixels.transpose(2, 0, 1))
        to_degrees = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
        model = ColourModel()
        self._hits: dict[str, tuple[Hit, bytes, NDArray[np.float32]]] = {}
        for row, column in np.ndindex(8, 8):
            chip = Image.fromarray(pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE])
            data = io.BytesIO()
            chip.save(data, "JPEG", quality=95)
            x, y = left + column * SIDE, top - row * SIDE
            ring = [(x, y), (x, y - SIDE), (x + SIDE, y - SIDE), (x + SIDE, y), (x, y)]
            footprint = {"type": "Polygon", "coordinates": [[to_degrees.transform(*corner) for corner in ring]]}
            embedding = model.encode_image(model.preprocess(chip)[None])[0].numpy()
            id = content_id(data.getvalue(), f"{row} {column}")
            self._hits[id] = (Hit(id, 0, 1, footprint, "squares.tif", "2024-05-01", 1.0), data.getvalue(), embedding)
        corners = [corner for hit, _, _ in self._hits.values() for corner in hit.footprint["coordinates"][0]]
        (west, south), (east, north) = np.min(corners, 0).tolist(), np.max(corners, 0).tolist()
        self.centre = np.mean([embedding for _, _, embedding in self._hits.values()], 0)
        self.info = IndexInfo(
            geomammut="0",
            model=str(folder / "secret" / "model"),
            identity=ModelIdentity(weights="0", preprocess={}, answers=()),
            embed_dim=3,
            size=SIDE,
            gsd_m=1.0,
            stride=SIDE,
            chips=64,
            bounds=(west, south, east, north),
            sources=tuple(open_sources([path])),
            version=1,
        )

    def search(self, embedding: NDArray[np.float32], k: int, where: Filter) -> list[Hit]:
        found = []
        for hit, _, own in self._hits.values():
            ring = np.array(hit.footprint["coordinates"][0])
            west, south, east, north = where.bbox or (-180, -90, 180, 90)
            if ring[:, 0].min() > east or ring[:, 0].max() < west or ring[:, 1].min() > north:
                continue
            if ring[:, 1].max() < south or (where.since or "") > "2024-05-01" or (where.until or "9") < "2024-05-01":
                continue
            found.append(Hit(**{**vars(hit), "score": float(own @ embedding)}))
        return sorted(found, key=lambda hit: -hit.score)[:k]

    def chip(self, id: str) -> bytes:
        return self._hits[id][1]

    def embedding(self, id: str) -> NDArray[np.float32]:
        return self._hits[id][2]


@contextmanager
def served(archive: Archive, model: ColourModel | None = None, token: str | None = None) -> Iterator[str]:
    """Yield the address of a server of an archive."""
    torch.set_num_threads(1)
    with running(create_app(archive, model or ColourModel(), token)) as address:
        yield address


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Yield the address of a server of an application, which runs as `geomammut serve` runs its own."""
    with listening("127.0.0.1", 0) as listener, quietly():
        server = new_server(app)
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@dataclass
class Answered:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The one line in which a request was refused."""
        told = self.json
        assert list(told) == ["error"]
        assert "\n" not in told["error"]
        assert "Traceback" not in told["error"]
        return str(told["error"])


def ask(server: str, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answered:
    """Ask a server; a body that is not bytes goes as JSON."""
    connection = HTTPConnection(urlsplit(server).netloc, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | sent
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        answer = connection.getresponse()
        return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()
