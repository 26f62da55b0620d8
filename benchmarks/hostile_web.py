"""Twenty thousand urls of a web server that does everything wrong, through `geomammut pairs web`, twice.

    python benchmarks/hostile_web.py
    python benchmarks/hostile_web.py --rows 2000 --kill

The server is local (tests/hostile_server.py). It redirects to private addresses, hangs, drips, never ends, lies about
type and length, and serves truncated, corrupt and animated pictures, CMYK, 16 bits, PNGs of a megabyte with
50,000 × 50,000 pixels, comments that unpack to a gigabyte, and errors. Told at the end: the peak of resident memory,
what became of each kind, and what the second run asked for. With `--kill` the first run is killed twice on its way.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def run(table: Path, out: Path, words: list[str], kill_after_s: float | None = None) -> tuple[int, float, float]:
    """Return the exit code, the seconds and the peak of resident memory in MB of one run."""
    program = "import sys; from geomammut.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "pairs", "web", str(table), "-o", str(out), *words]
    begin = time.monotonic()
    child = os.posix_spawn(sys.executable, command, os.environ)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, 9)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - begin, usage.ru_maxrss / 1024


def main() -> None:
    import pyarrow.parquet as pq

    from geomammut.pairs.web_stages.addresses import ALLOWED_VARIABLE
    from hostile_server import hostile_server, hostile_table, kind_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--partition", type=int, default=4096)
    parser.add_argument("--kill", action="store_true", help="kill the first run twice, after 10 and after 20 seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hostile_server() as server:
        os.environ[ALLOWED_VARIABLE] = ",".join(server.addresses)
        table, out = Path(folder) / "table.csv", Path(folder) / "pairs"
        rows = hostile_table(server, options.rows)
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("url", "alt"), *rows])
        words = ["--partition", str(options.partition)]
        killed = [run(table, out, words, kill_after_s=10.0 * number) for number in (1, 2) if options.kill]
        code, seconds, peak_mb = run(table, out, words)
        asked = server.asked.copy()
        again = run(table, out, words)
        decisions = pq.read_table(out / "decisions.parquet").to_pylist()
        fates: dict[str, Counter[str]] = {}
        for row in decisions:
            fates.setdefault(kind_of(row["url"]), Counter())[row["reason"] or "kept"] += 1
        report = {
            "rows": options.rows,
            "rows_in_decisions": len(decisions),
            "exit_code": code,
            "seconds": round(seconds, 1),
            "peak_mb": round(peak_mb),
            "killed_after_s": [round(each[1], 1) for each in killed],
            "urls_asked": len(asked),
            "requests": sum(asked.values()),
            "second_run": {
                "exit_code": again[0],
                "seconds": round(again[1], 1),
                "requests": sum((server.asked - asked).values()),
            },
            "funnel": json.loads((out / "funnel.json").read_text(encoding="utf-8"))["steps"],
            "kinds": {kind: dict(counts.most_common()) for kind, counts in sorted(fates.items())},
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
