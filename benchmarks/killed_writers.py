"""A thousand chips captioned by a language model whose server stumbles, in a run that is killed three times.

    python benchmarks/killed_writers.py openai
    python benchmarks/killed_writers.py google
    python benchmarks/killed_writers.py openai --at-once

The server is local and speaks both wire formats; it answers with 429s, 500s, 503s, 408s, hangs, cut-off JSON, wrong
schemas, empty text, refusals, broken connections and captions that are not true, and counts what was paid for. With
`--at-once` the process is killed with answers on the wire: those that it had not stored yet are asked for again.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    from geomammut.pairs.pair_set import PairSet
    from killed_runs import run_and_kill, stored
    from model_server import ModelServer, Stumbles

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("writer", choices=("openai", "google"))
    parser.add_argument("--at-once", action="store_true")
    parser.add_argument("--size", type=int, default=16, help="side of a chip; 16 makes 1,024 chips")
    options = parser.parse_args()
    chips = (512 // options.size) ** 2
    stumbles = Stumbles(share=0.2)
    server = ModelServer(stumbles)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        words = f"--writer {options.writer} --model m --concurrency 16 --timeout 2 --price-in 0.1 --price-out 0.4"
        out, kills = run_and_kill(
            server,
            Path(folder),
            *words.split(),
            size=options.size,
            kill_at=[chips // 4, chips // 2, 3 * chips // 4],
            at_once=options.at_once,
        )
        seconds = time.monotonic() - begin
        server.close()
        pairs = PairSet(out)
        steps = json.loads((out / "funnel.json").read_text())["steps"]
        (step,) = [step for step in steps if "spent" in step]
        report = {
            "chips": chips,
            "pairs": len(pairs),
            "pairs_without_a_caption": sum(not captions for captions in pairs.captions),
            "captions": sum(map(len, pairs.captions)),
            "requests": len(server.asked),
            "answers_paid_for": server.answered,
            "answers_stored": stored(out),
            "usable_answers": sum(server.paid.values()),
            "paid_for_twice": sum(count > 1 for count in server.paid.values()),
            "at_each_kill": [{"answered": kill.answered, "stored": kill.stored} for kill in kills],
            "server": dict(sorted(stumbles.happened.items())),
            "by_writer": step["by_writer"],
            "spent": step["spent"],
            "seconds": round(seconds, 1),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
