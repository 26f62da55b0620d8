"""Brings MapLibre GL, which draws the map of `geomammut serve`, from npm into the package when that is built.

We commit only what we wrote; whoever installs a wheel finds MapLibre in it.
"""

import base64
import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VERSION = "6.17.0"
SHA512 = "2chIZwpLGenoUQOcnm9Pk4SLbA8ppNFq8jlpXiq9vcYm3Y1wJ3fc82FL0GLwBaPYJCLzPv/mC46KEupVov75rQ=="
FILES = {
    "package/dist/maplibre-gl.mjs": "maplibre-gl.mjs",
    "package/dist/maplibre-gl-worker.mjs": "maplibre-gl-worker.mjs",
    "package/dist/maplibre-gl.css": "maplibre-gl.css",
    "package/LICENSE.txt": "LICENSE.txt",
}
FOLDER = Path("src", "geomammut", "search", "server", "page", "maplibre")
_SECONDS = 60


class MapLibreHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts MapLibre's files in place; where npm cannot be asked, an editable install goes on without them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root) / FOLDER
        try:
            bring(folder)
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            if version != "editable":
                raise
            print(f"warning: no map for `geomammut serve`: {error}", file=sys.stderr)


def bring(folder: Path) -> None:
    """Put MapLibre's files into `folder`, unless these very ones are there.

    Raises:
        OSError: The registry does not answer.
        ValueError: What it gives is not what was asked for.
    """
    marker = folder / "version.txt"
    if marker.is_file() and marker.read_text(encoding="utf-8") == VERSION:
        return
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or "https://registry.npmjs.org"
    address = f"{registry.rstrip('/')}/maplibre-gl/-/maplibre-gl-{VERSION}.tgz"
    with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
        packed = answer.read()
    if base64.b64encode(hashlib.sha512(packed).digest()).decode() != SHA512:
        raise ValueError(f"{address} is not MapLibre GL {VERSION}: its SHA-512 differs")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member, name in FILES.items():
            content = archive.extractfile(member)
            if content is None:
                raise ValueError(f"{address} has no {member}")
            # The maps of its sources, which a browser's tools would ask for, are left out.
            lines = content.read().split(b"\n//# sourceMappingURL=")
            (folder / name).write_bytes(lines[0] + b"\n")
    marker.write_text(VERSION, encoding="utf-8")


if __name__ == "__main__":
    bring(Path(__file__).parent / FOLDER)
