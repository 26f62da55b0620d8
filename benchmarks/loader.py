"""Batches of images from the same shards, ours beside open_clip's WebDataset pipeline.

    .venv/bin/pip install --target webdataset_here --no-deps webdataset braceexpand   # a folder of its own
    .venv/bin/python benchmarks/loader.py --webdataset webdataset_here

The shards are made once: 2,000 pairs with JPEGs of 512 × 512 px (as `pairs web` stores them at most) and of
256 × 256 px (chips), quality 90. Both give normalized float batches of 64 images at 224 px after a random crop, and
the captions' tokens, with two workers (threads in ours, processes in theirs), from the page cache. Theirs is the
pipeline of open_clip's training: shards shuffled, decoded by Pillow, RandomResizedCrop (0.9 to 1.0 of the area,
bicubic), CLIP's tokenizer, torch's DataLoader. Each runs in a process of its own, in turn; the best round counts.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

PAIRS, BATCH, SIZE, WORKERS = 2000, 64, 224, 2
SIDES = (512, 256)
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def make_shards(folder: Path, side: int) -> None:
    """Write a pair set whose pictures have structure at all scales, as land has."""
    from PIL import Image

    from geomammut.pairs.pair_set import Funnel, Pair, write_pair_set

    def pairs() -> Iterator[Pair]:
        rng = np.random.default_rng(0)
        for number in range(PAIRS):
            land = np.full((side, side, 3), 120.0)
            for cells, contrast in ((4, 30), (16, 20), (64, 15), (side, 6)):
                coarse = rng.normal(0, contrast, (cells, cells, 3))
                land += coarse.repeat(-(-side // cells), 0).repeat(-(-side // cells), 1)[:side, :side]
            jpeg = io.BytesIO()
            Image.fromarray(land.clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=90)
            caption = f"an aerial image of field {number} beside a road and a few houses"
            yield Pair(f"{number:06d}", (caption,), jpeg.getvalue(), side, side, "web")

    write_pair_set(folder, pairs(), funnel=Funnel(), card="# Pictures for a benchmark", shard_size=250)


def our_batches(folder: Path) -> Iterator[int]:
    from geomammut.model.tokenizer import ClipTokenizer
    from geomammut.pairs.pair_set import PairSet
    from geomammut.training.augment import Augment
    from geomammut.training.data import BatchLoader, sample_order
    from geomammut.training.recipe import AugmentPart

    pairs = PairSet(folder)
    tokenizer = ClipTokenizer(77)
    loader = BatchLoader(
        {"pairs": pairs},
        sample_order({"pairs": len(pairs)}, {"pairs": 1.0}, 100 * PAIRS, 0),
        batch_size=BATCH,
        seed=0,
        augment=Augment(AugmentPart(crop=0.9, symmetries=False), SIZE, MEAN, STD),
        workers=WORKERS,
    )
    for batch in loader.batches(0):
        tokenizer(batch.captions)
        yield len(batch.images)


def open_clip_batches(folder: Path) -> Iterator[int]:
    import webdataset as wds  # type: ignore[import-not-found, unused-ignore]
    from open_clip import get_tokenizer
    from open_clip.transform import image_transform

    preprocess = image_transform(SIZE, is_train=True, mean=MEAN, std=STD)
    tokenize = get_tokenizer("ViT-B-32")
    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    dataset = wds.DataPipeline(
        wds.ResampledShards(shards),
        wds.tarfile_to_samples(),
        wds.shuffle(1000, initial=500),
        wds.decode("pilrgb"),
        wds.rename(image="jpg;png;jpeg;webp", text="txt"),
        wds.map_dict(image=preprocess, text=lambda text: tokenize(text)[0]),
        wds.to_tuple("image", "text"),
        wds.batched(BATCH, partial=False),
    )
    loader = wds.WebLoader(dataset, batch_size=None, shuffle=False, num_workers=WORKERS, persistent_workers=True)
    for images, _ in loader:
        yield len(images)


def measure(kind: str, folder: Path, seconds: float) -> None:
    """Count the images that come in so many seconds after the first batches, and print a line of JSON."""
    torch.set_num_threads(1)
    batches = {"ours": our_batches, "open_clip": open_clip_batches}[kind](folder)
    for _ in range(8):
        next(batches)
    started, images = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        images += next(batches)
    print(json.dumps({"images_per_s": images / (time.perf_counter() - started)}), flush=True)
    os._exit(0)  # workers are left where they stand


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--webdataset", type=Path, help="folder that webdataset was installed to")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "geomammut-loader")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, side = arguments.measure
        measure(kind, arguments.work / side, arguments.seconds)
    for side in SIDES:
        if not (arguments.work / str(side)).exists():
            make_shards(arguments.work / str(side), side)
    for side in SIDES:
        best: dict[str, float] = {}
        for _ in range(arguments.rounds):
            for kind in ["ours", "open_clip"] if arguments.webdataset else ["ours"]:
                path = str(arguments.webdataset) if kind == "open_clip" else ""
                command = [sys.executable, "-W", "ignore", __file__, "--measure", kind, str(side)]
                command += ["--work", str(arguments.work), "--seconds", str(arguments.seconds)]
                told = subprocess.run(
                    command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True
                ).stdout
                rate = json.loads(told.splitlines()[-1])["images_per_s"]
                print(f"{side} px", kind, f"{rate:.0f} images/s", flush=True)
                best[kind] = max(best.get(kind, 0.0), rate)
        if len(best) == 2:
            print(
                f"{side} px: ratio ours / open_clip: {best['ours'] / best['open_clip']:.2f} x the images/s", flush=True
            )


if __name__ == "__main__":
    main()
