"""Which addresses may be asked: those of the public internet, and those that the user allows."""

import ipaddress
import os
import socket
from typing import Any

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.fetched import Unanswered

# Addresses that may be asked though they are not public: ADDRESS:PORT, separated by commas, each in full. For
# a mirror inside one's own network, and for tests. Every other private address stays refused, after redirects
# too.
ALLOWED_VARIABLE = "GEOMAMMUT_ALLOWED_ADDRESSES"

NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether `address` (IPv4 or IPv6) belongs to the public internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour or ip.teredo:
            return False  # tunnels that may end anywhere; no image of the web needs them
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
    return ip.is_global and not ip.is_multicast


def check_address(host: str, address: str, port: int) -> None:
    """Raise Dropped if `address`, which `host` stands for, must not be asked."""
    if not (is_public(address) or f"{address}:{port}" in _allowed(os.environ.get(ALLOWED_VARIABLE, ""))):
        raise Unanswered("private address", f"{host} is {address}")


def _allowed(listed: str) -> set[str]:
    return {entry.strip() for entry in listed.split(",") if entry.strip()}


class CheckedResolver(ThreadedResolver):
    """The system's resolver; a name that has any address that must not be asked is refused."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await super().resolve(host, port, family)
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            raise (Unanswered if passing else Dropped)("host not found", f"{host}: {error}") from error
        for entry in found:
            check_address(host, entry["host"], port)
        return found


def checked_socket(entry: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make the socket for a connection: here every address passes, names resolved and addresses given as such."""
    family, kind, protocol, _, address = entry
    check_address(str(address[0]), str(address[0]), int(address[1]))
    return socket.socket(family, kind, protocol)
