"""What one landmark pair takes, step by step, in CPU time; and its bytes and tokens. The figures of docs/scale.md.

    .venv/bin/python benchmarks/pairs_per_chip.py --imagery place/mosaic.tif --landmarks landmarks.parquet

Steps are those of `pairs landmarks`: what is visible is found for each cell of the join, chips are cut and encoded,
captioned by the template writer and checked; then the part is read again and written as shards.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from geomammut.imagery.chips import chips
from geomammut.imagery.sources import open_sources
from geomammut.pairs.grounding import Lexicon
from geomammut.pairs.pair_set import Funnel, write_pair_set
from geomammut.pairs.pairing import FoundCell, cut_chips, joined, seen
from geomammut.pairs.pairing_run import PairingRun
from geomammut.pairs.parts import Tally, part_rows, read_parts, write_rows
from geomammut.pairs.run_folder import RunFolder
from geomammut.pairs.writers.prices import price_of, tokens_in_text
from geomammut.pairs.writers.prompt import first_prompt
from geomammut.pairs.writers.writer import WriterOptions, open_writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imagery", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--gsd", type=float, default=1.0)
    parser.add_argument("--model", default="gemini-2.5-flash-lite")
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    clock = time.process_time()

    def lap(step: str) -> None:
        nonlocal clock
        now = time.process_time()
        seconds[step] = seconds.get(step, 0.0) + now - clock
        clock = now

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut = chips(open_sources([options.imagery]), size=options.size, gsd_m=options.gsd)
        run = PairingRun(cut, options.landmarks, RunFolder(folder / "pairs", {}), partition_chips=4096, seed=0)
        lap("plan the chips, spread the landmarks")
        cells: list[FoundCell] = []
        for part in run.partitions:
            rows = seen(joined(run.plan_file, run.pieces, part), cut.plan, run.summary.rarity).to_pydict()
            lap("join and find what is visible")
            cells += [
                cut_chips(cell, in_cell, cut, 0) for cell, in_cell in zip(rows["cell"], rows["seen"], strict=True)
            ]
            lap("cut and encode")
        found = [chip for cell in cells for chip in cell.chips]
        lexicon = Lexicon(run.summary.phrases)
        with open_writer(WriterOptions(), folder / "pairs") as writer:
            written = [[captions for _, captions in writer.captions(cell.chips, lexicon)] for cell in cells]
            lap("write and check captions (template)")
            parts = [
                row for cell, captions in zip(cells, written, strict=True) for row in part_rows(cell, captions, writer)
            ]
        write_rows(parts, folder / "part")
        lap("write the part")
        out = write_pair_set(folder / "pairs", read_parts([folder / "part"], Tally()), funnel=Funnel(), card="")
        lap("write the shards")
        shards = sum(path.stat().st_size for path in out.glob("*.tar"))
        metadata = (out / "pairs.parquet").stat().st_size
        part_bytes = sum(path.stat().st_size for path in (folder / "part").iterdir())

    pairs = len(found)
    image_tokens = price_of("google", options.model).tokens_in_picture(options.size, options.size)
    prompt_tokens = float(np.mean([tokens_in_text(first_prompt(chip.contents)) for chip in found]))
    print(f"{run.planned:,} chips tried, {pairs:,} pairs, {run.summary.landmarks:,} landmarks")
    for step, spent in seconds.items():
        print(f"| {step} | {1e3 * spent / run.planned:.2f} ms |")
    print(f"| all | {1e3 * sum(seconds.values()) / run.planned:.2f} ms |")
    sizes = {
        "JPEG": sum(len(chip.jpeg) for chip in found),
        "shards": shards,
        "pairs.parquet": metadata,
        "parts": part_bytes,
    }
    print(json.dumps({name: round(size / pairs) for name, size in sizes.items()}), "bytes a pair")
    print(f"{prompt_tokens:.0f} tokens of prompt and {image_tokens} of picture a chip ({options.model})")


if __name__ == "__main__":
    main()
