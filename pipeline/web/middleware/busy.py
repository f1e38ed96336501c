"""Mark and refuse requests while all connections are taken."""

from __future__ import annotations

import ipaddress

ALL_TAKEN = "pawsort.all_connections_taken"
"""Key of an ASGI scope whose request arrived while all connections were taken."""

RETRY_AFTER = {"Retry-After": "5", "Connection": "close"}
BUSY = "All connections of the server are taken.", "Try again in a few seconds."


def is_loopback(address: str) -> bool:
    """Return whether an address belongs to this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
