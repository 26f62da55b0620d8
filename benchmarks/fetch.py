"""Images fetched, read and resized to disk, beside img2dataset, from the same web server on this machine.

    .venv/bin/python benchmarks/fetch.py --img2dataset i2d/bin/img2dataset

nginx gives out photographs of 400 to 1,600 pixels, drawn here, under 254 addresses of this machine (each a host of
its own: our limits per host, robots.txt and headers stay as they are by default). Both shrink what is larger to
512 pixels a side and keep the rest byte for byte: img2dataset into its WebDataset shards, with a process a core
and 64 threads in each (its one process of 256 threads was slower here); "ours, whole" as `pairs web` does it, into
its store of answers and the parts of its run, with all that its image stage asks of each picture; "ours, fetch"
the fetch stage alone, from the first request until each answer is in the store. Every run is a process of its own,
and they take turns. Rates are of the work alone (img2dataset's as its shards tell when they began and ended),
seconds of the whole process.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOSTS = 254
SIZES = ((400, 300), (500, 500), (640, 480), (800, 600), (1024, 768), (1600, 1200))
PARTITION = 4096
PORT = 8973


def draw_photographs(folder: Path, count: int) -> None:
    """Write JPEGs with detail at every scale, as photographs have it."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        pixels = np.zeros((height, width, 3))
        for grid, strength in ((4, 60), (16, 40), (64, 25), (256, 12)):
            patches = Image.fromarray(random.integers(0, 256, (grid * 3 // 4, grid, 3), dtype=np.uint8))
            pixels += (np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC)) - 128.0) * strength / 128
        pixels += random.normal(0, 4, pixels.shape)
        Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=85)


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    """Give out `folder` on PORT of every address of this machine."""
    conf = folder / "nginx.conf"
    conf.write_text(
        f"""pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; daemon off;
        {"user root;" if os.getuid() == 0 else ""} events {{ worker_connections 4096; }}
        http {{ access_log off; sendfile on; default_type image/jpeg; client_body_temp_path {folder}/t;
        proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t; uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
        server {{ listen {PORT} backlog=4096; root {folder}; }} }}"""
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with subprocess.Popen([program, "-p", str(folder), "-c", str(conf)]) as running:
        time.sleep(1)
        try:
            yield
        finally:
            running.terminate()


def write_candidates(path: Path, images: int, pictures: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from geomammut.pairs.web_run import CANDIDATE_SCHEMA

    urls = [f"http://127.0.0.{1 + n % HOSTS}:{PORT}/{n % pictures}.jpg?{n}" for n in range(images)]
    rows = [{"row": n, "url": url, "caption": f"An aerial view of place {n}"} for n, url in enumerate(urls)]
    pq.write_table(pa.Table.from_pylist(rows, schema=CANDIDATE_SCHEMA), path)


def fetch_alone(candidates: Path, out: Path) -> None:
    """Fetch to the store; print what came of it."""
    import pyarrow.parquet as pq

    from geomammut.pairs.web_stages.fetch import Fetcher
    from geomammut.pairs.web_stages.fetched import FetchedStore

    urls = pq.read_table(candidates)["url"].to_pylist()
    started = time.perf_counter()
    with Fetcher(FetchedStore(out / "answers")) as fetcher:
        kept = sum(isinstance(answer, bytes) for _, answer in fetcher.fetch_all(urls))
    print(json.dumps({"images": kept, "rate": kept / (time.perf_counter() - started), "mb": peak_mb()}))


def whole(candidates: Path, out: Path) -> None:
    """Fetch, read and write the parts; print what came of it."""
    import daft
    from daft import col

    from geomammut.pairs.web_programs import close_fetcher, looked_at

    rows = daft.read_parquet(str(candidates))
    count = rows.count_rows()
    started = time.perf_counter()
    for first in range(0, count, PARTITION):
        partition = rows.where((col("row") >= first) & (col("row") < first + PARTITION))
        looked_at(partition, out / "answers").write_parquet(str(out / f"part-{first}"), compression="zstd")
    seconds = time.perf_counter() - started
    close_fetcher(out / "answers")
    kept = daft.read_parquet(str(out / "part-*" / "*.parquet")).where(col("stage").is_null()).count_rows()
    print(json.dumps({"images": kept, "rate": kept / seconds, "mb": peak_mb()}))


def img2dataset(program: Path, candidates: Path, out: Path, processes: int, threads: int) -> dict[str, float]:
    """Run it and return what its shards tell."""
    options = {
        "url_list": candidates,
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": out,
        "processes_count": processes,
        "thread_count": threads,
        "image_size": 512,
        "resize_mode": "keep_ratio_largest",
        "resize_only_if_bigger": True,
        "skip_reencode": True,
        "encode_quality": 90,
        "number_sample_per_shard": 1000,
        "enable_wandb": False,
    }
    subprocess.run([program, *(f"--{k}={v}" for k, v in options.items())], check=True, capture_output=True)
    shards = [json.loads(path.read_text()) for path in out.glob("*_stats.json")]
    images = sum(shard["successes"] for shard in shards)
    seconds = max(shard["end_time"] for shard in shards) - min(shard["start_time"] for shard in shards)
    return {"images": images, "rate": images / seconds}


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img2dataset", type=Path, required=True, help="its program, in an environment of its own")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--pictures", type=int, default=60, help="that differ")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ours", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        what, candidates, out = arguments.ours
        os.environ["GEOMAMMUT_ALLOWED_ADDRESSES"] = ",".join(f"127.0.0.{1 + n}:{PORT}" for n in range(HOSTS))
        {"fetch": fetch_alone, "whole": whole}[what](Path(candidates), Path(out))
        return
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        draw_photographs(folder, arguments.pictures)
        candidates = folder / "candidates.parquet"
        write_candidates(candidates, arguments.images, arguments.pictures)
        with nginx(folder):
            for round_ in range(arguments.rounds):
                for what, setting in (("fetch", None), ("img2dataset", (cores, 64)), ("whole", None)):
                    out = folder / "out"
                    started = time.perf_counter()
                    if setting is None:
                        command = [
                            sys.executable,
                            __file__,
                            "--img2dataset",
                            "-",
                            "--ours",
                            what,
                            str(candidates),
                            str(out),
                        ]
                        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                        found = json.loads(told.splitlines()[-1])
                    else:
                        found = img2dataset(arguments.img2dataset, candidates, out, *setting)
                    seconds = time.perf_counter() - started
                    print(
                        round_,
                        what if setting else f"ours, {what}",
                        setting or "",
                        f"{seconds:.1f} s",
                        found,
                        flush=True,
                    )
                    shutil.rmtree(out)


if __name__ == "__main__":
    main()
