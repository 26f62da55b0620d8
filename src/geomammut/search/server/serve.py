"""`geomammut serve`: an archive searched in the browser, and by programs."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import h11
import rasterio
import uvicorn
from rio_tiler.errors import NoOverviewWarning
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from geomammut.errors import UserError
from geomammut.imagery.addresses import is_address
from geomammut.imagery.datasets import is_virtual
from geomammut.imagery.sources import ImagerySource
from geomammut.localization.rasters import BLOCK_CACHE
from geomammut.progress import console
from geomammut.search.archive import Archive
from geomammut.search.server.api import create_app
from geomammut.search.server.page_files import MAP, page_files

_CONNECTIONS = 1000
_REQUEST_SECONDS = 15  # that the head of a request may take to arrive
_LAST_SECONDS = 10  # for answers that are under way when the server is asked to end
_MIN_TOKEN = 12
_GONE = "note: {} of {} rasters are no longer where they were indexed, such as {}: they have no tiles, heat or classes"
_NO_MAP = "note: the page has no map, for MapLibre is not here; install GeoMaMMUT again where npm can be asked"


def serve(
    index: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    model: str | None = None,
    seed: int = 0,
) -> None:
    """Serve an archive: a page with a map, and an API, until it is interrupted.

    Args:
        index: What `geomammut index` made.
        host: Address of this machine to answer at; any but a loopback address asks for a token.
        port: To answer at; 0 for any that is free.
        token: What everyone who asks must know.
        model: Where the archive's model is now, if it has moved.
        seed: There because every verb has it; nothing here is random.

    Raises:
        UserError: No such archive or model, others could ask without a token, or the port is taken.
    """
    check_token(host, token)
    with console.status("opening the archive and its model"):
        archive = Archive.open(Path(index))
        app = create_app(archive, archive.load_model(model), token)
    gone = [source for source in archive.info.sources if not is_there(source)]
    if gone:
        console.print(_GONE.format(len(gone), len(archive.info.sources), gone[0].name), soft_wrap=True)
    if MAP not in page_files():
        console.print(_NO_MAP, soft_wrap=True)
    with listening(host, port) as listener:
        address = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
        asks = " (asks for the token)" if token else ""
        console.print(f"{len(archive):,} chips at {address}{asks}; Ctrl-C ends", soft_wrap=True, highlight=False)
        run(app, listener)


def is_there(source: ImagerySource) -> bool:
    """Return whether a raster's file is where it was indexed; of one on the network, or made of several, True."""
    return is_address(source.dataset) or is_virtual(source.dataset) or Path(source.dataset).exists()


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Answer at a listening socket until SIGINT or SIGTERM, and then finish what is under way."""
    if threading.current_thread() is threading.main_thread():
        # uvicorn passes on the signal that ended it; both end the command quietly.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE), quietly(), contextlib.suppress(KeyboardInterrupt):
        new_server(app).run(sockets=[listener])


class _Impatient(H11Protocol):
    """HTTP by h11, which bounds the size of headers, and here their time: no one holds a connection by them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(_REQUEST_SECONDS, self._look, self.cycle)

    def _look(self, latest: RequestResponseCycle | None) -> None:
        """Close the connection if no request arrived since `latest`, and none is being answered."""
        if self.transport.is_closing():
            return
        if self.cycle is latest and self.conn.their_state is h11.IDLE:
            self.transport.close()
        else:
            self.loop.call_later(_REQUEST_SECONDS, self._look, self.cycle)


def new_server(app: ASGIApp) -> uvicorn.Server:
    """Return what answers with an application: bounded headers and connections, no log of addresses asked for."""
    config = uvicorn.Config(
        app,
        http=_Impatient,
        h11_max_incomplete_event_size=16 << 10,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the progress of single answers, and what rasters without overviews cost, off stderr."""
    before, console.quiet = console.quiet, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoOverviewWarning)
            yield
    finally:
        console.quiet = before


def check_token(host: str, token: str | None) -> None:
    """Refuse to let others ask without a token.

    Raises:
        UserError: `host` is not a loopback address and there is no token, or the token is short.
    """
    if token is not None:
        if len(token) < _MIN_TOKEN or not token.isascii() or not token.isprintable():
            raise UserError(
                f"the token is to have at least {_MIN_TOKEN} plain characters, such as {secrets.token_urlsafe(16)}"
            )
        return
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UserError(f"--host {host} is no address of this machine; 127.0.0.1 is this machine alone") from error
    if not all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found):
        raise UserError(
            f"others could ask at {host}, so a token is needed: GEOMAMMUT_TOKEN={secrets.token_urlsafe(16)} or --token"
        )


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: The port is taken, or the address is not this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UserError(f"cannot answer at {host} port {port} ({reason}); give another --port or --host") from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
