"""Addresses of clients: one reading for all that count or record them."""

import pytest
import time_machine
from django.utils import timezone

from config import addresses


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", "unknown"),
        ("_hidden", "unknown"),
        ("192.0.2.7:8080", "unknown"),
        ("192.0.2.300", "unknown"),
    ],
)
def test_clients_are_counted_by_network(text, network):
    assert addresses.network(text) == network


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["unknown", "", "_x", "::ffff:192.0.2.7", "fe80::1%lo"])
@pytest.mark.parametrize(
    "path", ["/api/v1/videos/", "/api/v1/auth/me", "/api/v1/nothing", "/admin/"]
)
def test_no_address_breaks_a_route(client, settings, path, address):
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 1000)
    client.raise_request_exception = False

    assert client.get(path, REMOTE_ADDR=address).status_code < 500


@pytest.mark.django_db
def test_unknown_routes_are_limited(client, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "default": 3}
    with time_machine.travel(timezone.now(), tick=False):  # across two minutes it would count twice
        answers = [client.get(f"/api/v1/nothing-{number}") for number in range(5)]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert answers[-1]["Retry-After"]
