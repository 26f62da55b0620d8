"""Chips cut from a COG and encoded as JPEG, ours beside torchgeo's GridGeoSampler and Pillow.

    .venv/bin/pip install --target torchgeo_here torchgeo    # a folder of its own, so that nothing here changes
    .venv/bin/python benchmarks/chips.py --torchgeo torchgeo_here

The COG is made once: 10,000 × 10,000 px (`--side`), RGB, 0.5 m, in UTM, 512-pixel blocks, deflate (and JPEG with
`--compress jpeg`). Chips have 224 px and quality 90, on a grid without overlap; at the COG's own 0.5 m, and
at 1.2 m, for which pixels are resampled. torchgeo reads chip after chip, as its sampler gives them, in one
process; ours uses the machine's cores. Each runs in a process of its own, in turn, `--rounds` times; the best
round of each counts. A round reads `--chips` chips at most.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

OWN_GSD, SIZE, QUALITY = 0.5, 224, 90
GSDS = (OWN_GSD, 1.2)


def make_cog(path: Path, compress: str, side: int) -> None:
    """Write a COG with structure at all scales, as land has, and the noise of a camera."""
    import rasterio
    from affine import Affine
    from rasterio.shutil import copy

    rng = np.random.default_rng(0)
    land = np.zeros((side, side), np.float32)
    for step, contrast in ((250, 40), (50, 25), (10, 15), (2, 8)):
        coarse = rng.normal(0, contrast, (side // step, side // step)).astype(np.float32)
        land += coarse.repeat(step, axis=0).repeat(step, axis=1)
    place = Affine(OWN_GSD, 0, 500_037, 0, -OWN_GSD, 5_400_011.5)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / "plain.tif"
        with rasterio.open(plain, "w", **profile, transform=place, tiled=True, photometric="RGB") as raster:
            for band in range(3):
                noise = rng.normal(0, 3, land.shape).astype(np.float32)
                raster.write(np.clip(land * (1 - band / 10) + 115 + noise, 1, 255).astype(np.uint8), band + 1)
        copy(plain, Path(folder) / "cog.tif", driver="COG", compress=compress, num_threads="ALL_CPUS")
        (Path(folder) / "cog.tif").replace(path)


def our_jpegs(cog: Path, gsd_m: float) -> Iterator[bytes]:
    from geomammut.imagery.chips import chips
    from geomammut.imagery.sources import open_sources

    for chip in chips(open_sources([cog]), size=SIZE, gsd_m=gsd_m, jpeg_quality=QUALITY):
        yield chip.jpeg


def torchgeo_jpegs(cog: Path, gsd_m: float) -> Iterator[bytes]:
    import io

    from PIL import Image
    from torchgeo.datasets import RasterDataset  # type: ignore[import-not-found, unused-ignore]
    from torchgeo.samplers import GridGeoSampler  # type: ignore[import-not-found, unused-ignore]

    class Cog(RasterDataset):  # type: ignore[misc, unused-ignore]
        filename_glob = cog.name
        is_image = True

    dataset = Cog(cog.parent, res=None if gsd_m == OWN_GSD else gsd_m)
    for place in GridGeoSampler(dataset, size=SIZE, stride=SIZE):
        pixels = dataset[place]["image"].byte().permute(1, 2, 0).numpy()
        jpeg = io.BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG", quality=QUALITY)
        yield jpeg.getvalue()


def measure(kind: str, cog: Path, gsd_m: float, chips: int) -> None:
    """Time one kind in this process, from the open imports to the last chip, and print a line of JSON."""
    import resource

    make = {"ours": our_jpegs, "torchgeo": torchgeo_jpegs}[kind]
    next(make(cog, gsd_m))  # imports, and the file in the page cache for both
    started = time.perf_counter()
    sizes = [len(jpeg) for jpeg in islice(make(cog, gsd_m), chips)]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "chips": len(sizes),
                "chips_per_s": len(sizes) / seconds,
                "kb_a_chip": sum(sizes) / len(sizes) / 1000,
                "peak_mb": peak,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--torchgeo", type=Path, help="folder that torchgeo was installed to")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "geomammut-chips")
    parser.add_argument("--compress", choices=["deflate", "jpeg"], default="deflate")
    parser.add_argument("--side", type=int, default=10_000, help="of the COG, in pixels; a multiple of 250")
    parser.add_argument("--chips", type=int, default=2025)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--make-cog", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "GSD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cog = arguments.work / f"{arguments.compress}-{arguments.side}" / "cog.tif"
    if arguments.measure:
        measure(arguments.measure[0], cog, float(arguments.measure[1]), arguments.chips)
        return
    if arguments.make_cog:
        make_cog(cog, arguments.compress, arguments.side)
        return
    this = [sys.executable, "-W", "ignore", __file__, "--work", str(arguments.work), "--compress", arguments.compress]
    this += ["--side", str(arguments.side)]
    cog.parent.mkdir(parents=True, exist_ok=True)
    if not cog.exists():
        # Not in this process: the peak memory of a process begins at what its parent had.
        subprocess.run([*this, "--make-cog"], check=True)
    kinds = ["ours", "torchgeo"] if arguments.torchgeo else ["ours"]
    for gsd in GSDS:
        best: dict[str, float] = {}
        for _ in range(arguments.rounds):
            for kind in kinds:
                path = str(arguments.torchgeo) if kind == "torchgeo" else ""
                command = [*this, "--chips", str(arguments.chips), "--measure", kind, str(gsd)]
                told = subprocess.run(
                    command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True
                ).stdout
                figures = json.loads(told.splitlines()[-1])
                print(f"{gsd} m", kind, {name: round(value, 1) for name, value in figures.items()}, flush=True)
                best[kind] = max(best.get(kind, 0.0), figures["chips_per_s"])
        if len(best) == 2:
            print(f"{gsd} m: ratio ours / torchgeo: {best['ours'] / best['torchgeo']:.2f} x the chips/s", flush=True)


if __name__ == "__main__":
    main()
