"""Near-duplicates: what is found of planted copies, what is merged wrongly, and how long it takes. Figures of results.

    .venv/bin/python benchmarks/duplicates.py --data ../shared/data --mosaic demo/place/mosaic.tif
    .venv/bin/python benchmarks/duplicates.py --data ../shared/data --mosaic demo/place/mosaic.tif --classifier aerial
    .venv/bin/python benchmarks/duplicates.py --rows 10000 100000 1000000
    .venv/bin/python benchmarks/duplicates.py --data ../shared/data --leaks

The first takes 20,000 different chips: RSICD, quarters of UC Merced, EuroSAT, photographs, tiles of aerial images, and
the demo's place. Of 2,000 of them changed copies are planted, one kind of change after the other. RSICD and UC Merced
hold copies of their own: `--sheet` draws what is merged among the chips, to be looked at. The second does so with the
embeddings of a classifier beside the fingerprints. The third joins
fingerprints that are blends of two of random scenes, with a tenth of them copied. The last registers the val split of
RSICD, and looks for changed copies of its images among those of train and of others.
"""

import argparse
import io
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import daft
import numpy as np
import pyarrow as pa
import rasterio
from PIL import Image, ImageDraw, ImageEnhance

from geomammut import load_classifier
from geomammut.pairs.benchmark import read_karpathy
from geomammut.pairs.benchmark_register import benchmarks_add
from geomammut.pairs.web_stages.duplicates import near_duplicates
from geomammut.pairs.web_stages.embeddings import packed
from geomammut.pairs.web_stages.fingerprints import FINGERPRINT_BYTES, fingerprint
from geomammut.pairs.web_stages.leakage import leaks

Picture = Image.Image
FLIP, UPSIDE, TURN = (getattr(Image.Transpose, name) for name in ("FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_90"))
CHIP = 128
PLANTED = 2000
SCENES = 20_000

random = np.random.default_rng(0)


def jpeg(image: Picture) -> Picture:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=30)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


def crop(image: Picture, share: float) -> Picture:
    """Keep all but a share of the width and of the height, anywhere."""
    width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
    left, top = random.integers(image.width - width + 1), random.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def resize(image: Picture) -> Picture:
    by = random.choice([0.5, 0.75, 1.5])
    return image.resize((round(image.width * by), round(image.height * by)), Image.Resampling.BICUBIC)


def bright(image: Picture) -> Picture:
    return ImageEnhance.Brightness(image).enhance(random.choice([0.7, 1.3]))


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "resize ×0.5, ×0.75 or ×1.5": resize,
    "JPEG, quality 30": jpeg,
    "crop 5%": lambda image: crop(image, 0.05),
    "crop 10%": lambda image: crop(image, 0.1),
    "brightness ×0.7 or ×1.3": bright,
    "flip left and right": lambda image: image.transpose(FLIP),
    "flip top and bottom": lambda image: image.transpose(UPSIDE),
    "turn by 90°": lambda image: image.transpose(TURN),
    "flip, resize, JPEG 30": lambda image: jpeg(resize(image.transpose(FLIP))),
    "crop 5%, resize, JPEG 30": lambda image: jpeg(resize(crop(image, 0.05))),
    "crop 5%, flip, brightness": lambda image: bright(crop(image, 0.05).transpose(FLIP)),
    "crop 5%, flip, brightness, resize, JPEG 30": lambda image: jpeg(resize(bright(crop(image, 0.05).transpose(FLIP)))),
}


def chips(data: Path, mosaic: Path) -> Iterator[tuple[str, Picture]]:
    def squares(name: str, image: Picture, side: int) -> Iterator[tuple[str, Picture]]:
        for top in range(0, image.height - side + 1, side):
            for left in range(0, image.width - side + 1, side):
                yield f"{name} {left},{top}", image.crop((left, top, left + side, top + side))

    for pattern in ("rsicd/images/*.jpg", "eurosat/*/*", "natural/*.jpg"):
        for path in sorted(data.glob(pattern)):
            yield path.name, Image.open(path).convert("RGB")
    for pattern in ("ucm/*/*", "dubai/images/*", "uganda/tiles/*.png", "sintra/*.jpg"):
        for path in sorted(data.glob(pattern)):
            yield from squares(path.name, Image.open(path).convert("RGB"), CHIP)
    for path, side in [(data / "geotiff" / "oem_koeln_50.tif", 64), (mosaic, 112)]:
        with rasterio.open(path) as raster:
            yield from squares(path.stem, Image.fromarray(raster.read([1, 2, 3]).transpose(1, 2, 0)), side)


def repeats(prints: list[bytes], originals: int, embeddings: list[bytes | None]) -> dict[int, int]:
    """Return what each picture repeats; of the first `originals`, all are better than the others."""
    row = np.arange(len(prints))
    binary = {"fingerprint": pa.array(prints, pa.binary()), "embedding": pa.array(embeddings, pa.binary())}
    table = pa.table({"row": row, **binary, "preference": (row >= originals) * 1})
    found = near_duplicates(daft.from_arrow(table)).to_pydict()
    return dict(zip(found["row"], found["duplicate_of"], strict=True))


def planted(data: Path, mosaic: Path, sheet: Path | None, classifier: Path | None) -> None:
    def embedded(pictures: Sequence[Picture]) -> list[bytes | None]:
        return [None] * len(pictures) if judge is None else packed(judge.embed(pictures))

    judge = None if classifier is None else load_classifier(classifier)
    names, images = zip(*chips(data, mosaic), strict=True)
    clock = time.perf_counter()
    prints = [fingerprint(image) for image in images]
    print(f"{len(prints)} chips; {len(prints) / (time.perf_counter() - clock):.0f} fingerprints/s")
    embeddings = embedded(images)
    clock = time.process_time()
    merged = repeats(prints, len(prints), embeddings)
    print(f"{time.process_time() - clock:.0f} s of processor time to compare them")
    print(f"merged among them: {len(merged)} ({len(merged) / len(prints):.2%}); look at them: some are copies")
    if sheet is not None:
        draw(sheet, [(names[a], images[a], names[b], images[b]) for a, b in merged.items()])
    picked = np.sort(random.choice(len(prints), PLANTED, replace=False)).tolist()
    for change in CHANGES.values():
        changed = [change(images[index]) for index in picked]
        prints += map(fingerprint, changed)
        embeddings += embedded(changed)
    found = repeats(prints, len(images), embeddings)
    for number, name in enumerate(CHANGES):
        first = len(images) + number * len(picked)
        gone = sum(first + place in found for place in range(len(picked)))
        right = sum(
            first + place in found and found[first + place] in (index, merged.get(index))
            for place, index in enumerate(picked)
        )
        print(f"{name:45} {gone / len(picked):.1%} found, {right / len(picked):.1%} with their own original")


def draw(path: Path, pairs: list[tuple[str, Picture, str, Picture]]) -> None:
    side, columns = 112, 5
    sheet = Image.new("RGB", (columns * (2 * side + 8), -(-len(pairs) // columns) * (side + 16)), "white")
    for place, (name, image, other_name, other) in enumerate(pairs):
        left, top = place % columns * (2 * side + 8), place // columns * (side + 16)
        ImageDraw.Draw(sheet).text((left, top), f"{name[:16]} | {other_name[:16]}", fill="black")
        sheet.paste(image.resize((side, side)), (left, top + 14))
        sheet.paste(other.resize((side, side)), (left + side, top + 14))
    sheet.save(path)


def scenes() -> np.ndarray:
    """Return SCENES random fields with noise on them [n, 32, 32, 3]."""
    found = []
    for _ in range(SCENES):
        coarse = random.integers(40, 200, (6, 6, 3), dtype=np.uint8)
        fine = np.asarray(Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)).astype(np.int16)
        found.append(np.clip(fine + random.normal(0, 25, (32, 32, 1)), 0, 255).astype(np.uint8))
    return np.stack(found)


def prints_of(pixels: np.ndarray) -> np.ndarray:
    """Return the fingerprints, [n, FINGERPRINT_BYTES], of pictures [n, 32, 32, 3]."""
    grey = np.rint(pixels @ np.array([0.299, 0.587, 0.114], np.float32)).reshape(len(pixels), -1)
    colour = np.rint(pixels.reshape(-1, 4, 8, 4, 8, 3).mean(axis=(2, 4), dtype=np.float32)).reshape(len(pixels), -1)
    return np.concatenate([grey, colour], axis=1).astype(np.uint8)


def joined(rows: int) -> None:
    pool = scenes()
    prints = np.empty((rows, FINGERPRINT_BYTES), np.uint8)
    originals = rows - rows // 10
    for start in range(0, originals, 1000):
        count = min(1000, originals - start)
        first, second = pool[random.integers(len(pool), size=(2, count))]
        prints[start : start + count] = prints_of(first // 2 + second[:, ::-1, ::-1].swapaxes(1, 2) // 2)
    prints[originals:] = prints[: rows // 10]
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(FINGERPRINT_BYTES), rows, [None, pa.py_buffer(prints)])
    table = pa.table(
        {"row": np.arange(rows), "fingerprint": fixed.cast(pa.binary()), "preference": np.zeros(rows, np.int64)}
    )
    del prints, fixed
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    clock, work = time.perf_counter(), time.process_time()
    found = near_duplicates(daft.from_arrow(table)).count_rows()
    seconds, work = time.perf_counter() - clock, time.process_time() - work
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{rows} rows, {rows // 10} copies: {found} found, {seconds:.1f} s, {rows / seconds:.0f} rows/s,"
        f" {work:.1f} s of processor time,"
        f" memory {before:.1f} -> {after:.1f} GB",
        flush=True,
    )


def leaked(data: Path) -> None:
    images, annotations = data / "rsicd" / "images", data / "rsicd" / "dataset_rsicd.json"
    names = {
        split: [entry.filename for entry in read_karpathy(annotations, split) if (images / entry.filename).is_file()]
        for split in ("val", "train")
    }
    val = [Image.open(images / name).convert("RGB") for name in names["val"]]
    asked = [
        (kind, name, change(image))
        for kind, change in CHANGES.items()
        for name, image in zip(names["val"], val, strict=True)
    ]
    strangers = [("RSICD train", images / name) for name in names["train"]]
    strangers += [(pattern, path) for pattern in ("ucm/*/*", "natural/*") for path in sorted(data.glob(pattern))]
    asked += [(kind, path.name, Image.open(path).convert("RGB")) for kind, path in strangers]
    prints = pa.array([fingerprint(image) for _, _, image in asked], pa.binary())
    with tempfile.TemporaryDirectory() as home:
        os.environ["GEOMAMMUT_HOME"] = home
        benchmarks_add(images, name="val", annotations=annotations, split="val")
        found = leaks(daft.from_arrow(pa.table({"row": np.arange(len(asked)), "fingerprint": prints}))).to_pydict()
    benchmark_image = dict(zip(found["row"], found["benchmark_image"], strict=True))
    for kind in dict.fromkeys(kind for kind, _, _ in asked):
        rows = [row for row, (each, _, _) in enumerate(asked) if each == kind]
        right = sum(benchmark_image.get(row) == asked[row][1] for row in rows)
        dropped = sum(row in benchmark_image for row in rows)
        print(f"{kind:45} {len(rows)}: {dropped} dropped, {right} of them for their own original")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mosaic", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--classifier", type=Path, help="a folder of `web train-classifier`")
    parser.add_argument("--leaks", action="store_true")
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.bit_generator.state = np.random.default_rng(options.seed).bit_generator.state
    if options.leaks:
        leaked(options.data)
    elif options.data is not None:
        planted(options.data, options.mosaic, options.sheet, options.classifier)
    for rows in options.rows:
        joined(rows)


if __name__ == "__main__":
    main()
