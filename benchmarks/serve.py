"""Many people at once at one `geomammut serve`: errors, answers a second, and the time that they wait.

    .venv/bin/python benchmarks/serve.py INDEX [--clients 200] [--seconds 60]

Each client is a connection of its own that asks, waits for the answer and asks again, as pages do: of ten requests six
are map tiles, two are chips, one is a search in words that were asked before and one in words that are new to the
server until then, of 2,432. Server and clients share the machine.
"""

import argparse
import asyncio
import json
import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import product
from typing import Any

import aiohttp
import numpy as np

LOOKS = "red green blue white grey brown dark bright pale small large round square long old new empty full dry".split()
THINGS = "roofs tanks courts fields roads boats trees pools cars planes tracks ponds yards houses halls lots".split()
PLACES = (
    "by water",
    "near a road",
    "in a town",
    "in a forest",
    "beside a railway",
    "on a hill",
    "in a row",
    "at a shore",
)
WORDS = [" ".join(words).strip() for words in product(LOOKS, THINGS, PLACES)]
JSON = {"Content-Type": "application/json"}


def tiles_of(about: dict[str, Any]) -> list[str]:
    """Return the addresses of the tiles that show an archive, at its four finest zooms."""
    west, south, east, north = about["bounds"]
    found = []
    for zoom in range(max(0, about["tiles"][1] - 3), about["tiles"][1] + 1):
        columns = [int((lon + 180) / 360 * 2**zoom) for lon in (west, east)]
        rows = [int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom) for lat in (north, south)]
        inside = product(range(columns[0], columns[1] + 1), range(rows[0], rows[1] + 1))
        found += [f"/api/tiles/{zoom}/{column}/{row}" for column, row in inside]
    return found


async def measure(server: str, clients: int, seconds: float) -> dict[str, Any]:
    """Let `clients` ask for so long, and tell what came of it."""
    times: dict[str, list[float]] = defaultdict(list)
    problems: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server, connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
        about = await (await session.get("/api/archive")).json()
        tiles = tiles_of(about)
        first = await (await session.post("/api/search", json={"text": "roofs", "k": 200})).json()
        chips = [f"/api/chips/{hit['id']}" for hit in first["hits"]]
        end = time.monotonic() + seconds

        async def client(number: int) -> None:
            draw = random.Random(number)
            await asyncio.sleep(draw.random())
            while time.monotonic() < end:
                kind = draw.choice(["tile"] * 6 + ["chip"] * 2 + ["search", "new search"])
                words = WORDS[draw.randrange(50)] if kind == "search" else draw.choice(WORDS)
                began = time.perf_counter()
                try:
                    if "search" in kind:
                        body = json.dumps({"text": words})
                        answer = await session.post("/api/search", data=body, headers=JSON)
                    else:
                        answer = await session.get(draw.choice(tiles if kind == "tile" else chips))
                    await answer.read()
                    if answer.status != 200:
                        problems[str(answer.status)] += 1
                except (aiohttp.ClientError, TimeoutError) as error:
                    problems[type(error).__name__] += 1
                times[kind].append(time.perf_counter() - began)

        began = time.monotonic()
        await asyncio.gather(*(client(number) for number in range(clients)))
        took = time.monotonic() - began
    count = sum(map(len, times.values()))
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "requests": count,
        "a second": round(count / took, 1),
        "errors": dict(problems),
        "milliseconds": {
            kind: {f"p{q}": round(1000 * float(np.percentile(some, q))) for q in (50, 95, 99)} | {"count": len(some)}
            for kind, some in {**times, "all": [one for some in times.values() for one in some]}.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="what `geomammut index` made")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--port", type=int, default=8765)
    args = parser.parse_args()
    command = [sys.executable, "-m", "geomammut", "serve", args.index, "--port", str(args.port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = ""
            while "Ctrl-C" not in line:
                line = server.stderr.readline()
                if not line:
                    raise SystemExit("the server did not start")
            print(
                json.dumps(asyncio.run(measure(f"http://127.0.0.1:{args.port}", args.clients, args.seconds)), indent=2)
            )
        finally:
            server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
