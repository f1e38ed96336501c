"""Who may still ask when all places are taken."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from pipeline.web.middleware.busy import ALL_TAKEN, is_loopback, network_of
from pipeline.web.middleware.guard import SecurityMiddleware


@pytest.mark.parametrize(
    ("address", "network", "loopback"),
    [
        ("2001:db8::1", "2001:db8::/64", False),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64", False),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64", False),
        ("fe80::1%eth0", "fe80::/64", False),
        ("::ffff:192.0.2.7", "192.0.2.7", False),
        ("192.0.2.7", "192.0.2.7", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("-", "-", False),
        ("", "", False),
    ],
)
def test_an_ipv6_network_is_one_client_and_loopback_is_itself(
    address: str, network: str, loopback: bool
) -> None:
    assert (network_of(address), is_loopback(address)) == (network, loopback)


@pytest.mark.parametrize(("peer", "place"), [("127.0.0.1", True), ("::1", True), ("192.0.2.66", False)])
def test_a_spare_place_is_for_the_health_checks_of_this_machine_alone(peer: str, place: bool) -> None:
    scope = {"type": "http", "path": "/healthz", "headers": [], "client": (peer, 1), ALL_TAKEN: True}
    assert SecurityMiddleware._has_connection(Request(scope)) is place
