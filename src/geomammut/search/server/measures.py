"""What the server does, counted and timed in the form that Prometheus reads."""

import time
from collections.abc import Mapping
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geomammut.search.server.lines import Line

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Measured:
    """Count and time the requests of an application.

    Args:
        app: The application.
        lines: Its waiting lines.
        chips: How many chips the archive has.
    """

    def __init__(self, app: ASGIApp, lines: Mapping[str, Line], chips: int) -> None:
        self._app = app
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "geomammut_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "geomammut_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        waiting = Gauge("geomammut_waiting", "Jobs that wait.", ("line",), registry=self._registry)
        for name, line in lines.items():
            waiting.labels(name).set_function(partial(_length, line))
        Gauge("geomammut_chips", "Chips in the archive.", registry=self._registry).set(chips)

    def text(self) -> tuple[bytes, str]:
        """Return all figures and their media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            # The route's pattern, not the address asked for: the number of series is bounded.
            route = getattr(scope.get("route"), "path", "none")
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - began)


def _length(line: Line) -> float:
    return float(line.length)
