"""20,000 × 20,000 px segmented: time, peak memory, and whether a run that was killed ends in the same bytes.

    .venv/bin/python benchmarks/segment.py PLACE/mosaic.tif [--model MODEL]

PLACE is a made-up place, as the folder of `geomammut demo` holds one. Its mosaic is laid side by side, mirrored, until
it fills `--side` pixels at its own GSD. Without `--model` the model is of one layer and random weights, windows of
128 px and patches of 16: what is measured then is all but the model. `geomammut segment` runs in a process of its own,
with polygons: once to its end, watched, and once killed with SIGKILL `--kills` times, each time after so much of the
raster as the seed draws.
"""

import argparse
import filecmp
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rasterio
from rasterio.windows import Window

CLASSES = "building|house roofs, road, water, trees|forest, field|farmland, background"
STRIP = 512


def make_raster(mosaic: Path, out: Path, side: int) -> None:
    """Lay a mosaic side by side, every other one mirrored, strip by strip."""
    import numpy as np

    with rasterio.open(mosaic) as small:
        profile = {
            "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": small.crs,
            "transform": small.transform, "tiled": True, "blockxsize": 512, "blockysize": 512,
            "compress": "jpeg", "photometric": "ycbcr", "BIGTIFF": "IF_SAFER",
        }  # fmt: skip
        across = _mirrored(side, small.width)
        down = _mirrored(side, small.height)
        with rasterio.open(out, "w", **profile) as large:
            for first in range(0, side, STRIP):
                rows = down[first : first + STRIP]
                low, high = int(rows.min()), int(rows.max()) + 1
                pixels = small.read([1, 2, 3], window=Window(0, low, small.width, high - low))
                window = Window(0, first, side, len(rows))
                large.write(np.take(np.take(pixels, rows - low, axis=1), across, axis=2), window=window)


def _mirrored(length: int, period: int):  # type: ignore[no-untyped-def]
    import numpy as np

    place = np.arange(length) % (2 * period)
    return np.where(place < period, place, 2 * period - 1 - place)


def make_model(folder: Path) -> Path:
    """Write a model of random weights that costs next to nothing."""
    import torch

    from geomammut.model.config import MammutConfig, TextConfig, VisionConfig
    from geomammut.model.load import save_model
    from geomammut.model.mammut import Mammut
    from geomammut.model.tokenizer import Tokenizer

    torch.manual_seed(0)
    words = Tokenizer.train([CLASSES] * 9, vocab_size=300, context_length=32)
    vision = VisionConfig(image_size=128, patch_size=16, width=32, layers=1, heads=2)
    text = TextConfig(
        context_length=32, vocab_size=words.vocab_size, width=32, layers=1, heads=2,
        start_token=words.start, end_token=words.end,
    )  # fmt: skip
    save_model(Mammut(MammutConfig(vision=vision, text=text), words), folder)
    return folder


def command(model: str, raster: Path, out: Path, window: str) -> list[str]:
    return [
        *(sys.executable, "-m", "geomammut", "segment", "--model", model, str(raster), "--classes", CLASSES),
        *("-o", str(out), "--geojson", str(out.with_suffix(".geojson")), "--window", window),
    ]


def run(words: list[str]) -> tuple[float, int]:
    """Return a process's seconds and peak of resident memory in bytes."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}")
    return time.perf_counter() - start, peak


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def killed_run(words: list[str], out: Path, side: int, kills: int) -> list[float]:
    """Kill a run after shares of its rows drawn at random, then let it end; return the shares."""
    drawn = random.Random(0)
    shares = sorted(drawn.uniform(0.02, 0.98) for _ in range(kills))
    rows = out.with_name(f".{out.name}.unfinished") / "class-0.rows"
    for share in shares:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (rows.exists() and rows.stat().st_size > share * side * side):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(words)
    return shares


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("mosaic", type=Path)
    arguments.add_argument("--model")
    arguments.add_argument("--side", type=int, default=20_000)
    arguments.add_argument("--kills", type=int, default=3)
    arguments.add_argument("--window", default="1")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raster, whole, killed = (Path(folder) / name for name in ("raster.tif", "whole.tif", "killed.tif"))
        model = asked.model or str(make_model(Path(folder) / "model"))
        make_raster(asked.mosaic, raster, asked.side)
        seconds, peak = run(command(model, raster, whole, asked.window))
        told = {
            "side": asked.side,
            "seconds": round(seconds),
            "megapixels_per_second": round(asked.side**2 / seconds / 1e6, 2),
            "peak_gb": round(peak / 1e9, 2),
        }
        with rasterio.open(raster) as image, rasterio.open(whole) as mask:
            told["same_place"] = (image.crs, image.transform, image.shape) == (mask.crs, mask.transform, mask.shape)
            told["layout"] = mask.tags(ns="IMAGE_STRUCTURE")["LAYOUT"]
        told["mask_mb"] = round(whole.stat().st_size / 1e6, 1)
        text = whole.with_suffix(".geojson").read_text(encoding="utf-8")
        told["polygons"] = len(json.loads(text)["features"])
        print(json.dumps(told), flush=True)
        if asked.kills:
            shares = killed_run(command(model, raster, killed, asked.window), killed, asked.side, asked.kills)
            same = [
                filecmp.cmp(whole.with_suffix(kind), killed.with_suffix(kind), shallow=False)
                for kind in (".tif", ".geojson")
            ]
            print(json.dumps({"killed_at": [round(share, 2) for share in shares], "same_bytes": same}))


if __name__ == "__main__":
    main()
