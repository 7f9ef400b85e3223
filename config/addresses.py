"""Addresses of clients, read in one place for limits, grants, analytics and the audit log."""

import ipaddress
from functools import lru_cache

LONGEST, REMEMBERED = 200, 1024  # characters of an address with its zone; addresses of a process
UNKNOWN = "unknown"  # every text that is no address; all of them count as one client


def parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address without its zone, as IPv4 where IPv6 only wraps it; None for other texts.

    A reverse proxy may pass on any text in X-Forwarded-For.
    """
    return _parse(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=REMEMBERED)
def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def network(text: str) -> str:
    """Return the text by which requests of one client are counted.

    That is an IPv4 address, or the /64 network of an IPv6 address: one household has such a network.
    """
    address = parse(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
