"""How a host of the web is treated: how many at a time, how often, and what it forbids."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from multidict import CIMultiDictProxy
from protego import Protego

from geomammut.pairs.web_stages.fetched import Unanswered

AGENT = "geomammut"
OPT_OUTS = {"noai", "noimageai", "noindex", "noimageindex", "none"}  # the first two are what img2dataset made usual
MAX_WAIT_S = 600.0  # longest wait for a host's turn
MAX_PAUSE_S = 60.0  # longest pause that a host may ask for and still be asked again


@dataclass(frozen=True)
class Politeness:
    """What one process asks of the web at most.

    Attributes:
        concurrent: Images asked for, or waiting to be used, at a time.
        per_host: Requests to one host at a time.
        per_host_rate: Requests to one host a second; a `Crawl-delay` in its robots.txt makes it fewer.
    """

    concurrent: int = 256
    per_host: int = 8
    per_host_rate: float = 20.0


@dataclass
class Host:
    """The turns of one host."""

    politeness: Politeness
    next_turn: float = 0.0
    delay_s: float = 0.0
    slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.politeness.per_host)
        self.delay_s = 1 / self.politeness.per_host_rate

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the host may be asked, and hold one of its places.

        Raises:
            Unanswered: That would take longer than MAX_WAIT_S.
        """
        async with self.slots:
            now = time.monotonic()
            start = max(now, self.next_turn)
            if start - now > MAX_WAIT_S:
                raise Unanswered("host asks for too long a wait", f"{start - now:.0f} s")
            self.next_turn = start + self.delay_s
            if start > now:
                await asyncio.sleep(start - now)
            yield

    def slow_down(self, rules: Protego) -> None:
        """Ask no more often than a robots.txt allows."""
        rate = rules.request_rate(AGENT)
        delays = [rules.crawl_delay(AGENT), rate.seconds / rate.requests if rate and rate.requests else None]
        self.delay_s = max([self.delay_s, *(float(delay) for delay in delays if delay)])

    def pause(self, seconds: float) -> None:
        """Ask nothing for so long."""
        self.next_turn = max(self.next_turn, time.monotonic() + seconds)


def opted_out(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the header by which whoever owns an image keeps it from being learnt from, if there is one.

    `X-Robots-Tag: noai` and its like (OPT_OUTS), for all or for AGENT; `TDM-Reservation: 1` (W3C TDMRep).
    """
    if headers.get("TDM-Reservation", "").strip() == "1":
        return "TDM-Reservation: 1"
    for value in headers.getall("X-Robots-Tag", ()):
        name, colon, rest = value.partition(":")
        theirs = bool(colon) and "," not in name and " " not in name.strip() and name.strip() != "unavailable_after"
        if theirs and name.strip().lower() != AGENT:
            continue
        directives = {each.strip().lower() for each in (rest if theirs else value).split(",")}
        if directives & OPT_OUTS:
            return f"X-Robots-Tag: {value[:100]}"
    return None
