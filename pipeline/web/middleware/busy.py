"""How requests are marked and refused while all connections are taken, and which addresses count as one."""

from __future__ import annotations

import ipaddress

ALL_TAKEN = "pawsort.all_connections_taken"
"""Key of an ASGI scope whose request arrived while all connections were taken."""

HAS_ENDED = "pawsort.client_has_ended"
"""Key of an ASGI scope: a function that returns whether the client sends no more, as one that has left."""

RETRY_AFTER = {"Retry-After": "5", "Connection": "close"}
BUSY = "All connections of the server are taken.", "Try again in a few seconds."


def is_loopback(address: str) -> bool:
    """Return whether an address belongs to this machine."""
    ip = address_in(address)
    return ip is not None and ip.is_loopback


def network_of(address: str) -> str:
    """Return the key of a client: for IPv6 its /64 network, which one subscriber owns; else its address."""
    ip = address_in(address)
    if isinstance(ip, ipaddress.IPv6Address) and not ip.is_loopback:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return address if ip is None else str(ip)


def address_in(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in a text, without its zone, or the IPv4 address in it; None if there is none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip
