"""A receiver, endpoints that lead to it, and the passing of time."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F

from webhooks import sending, services
from webhooks.models import Delivery, Endpoint
from webhooks.tests.receiving import Receiver


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    """A receiver on this machine, to which endpoints may lead in this test."""
    settings.WEBHOOK_ALLOW_LOCAL = True
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def make_endpoint(db, receiver):
    """A function that makes a user's endpoint that leads to the receiver."""

    def make(owner, *event_types: str, url: str = "") -> Endpoint:
        return services.create_endpoint(
            owner=owner, url=url or receiver.url, event_types=list(event_types)
        )

    return make


def pass_time(by: timedelta) -> None:
    """Let all that waits have waited longer. The database's own clock cannot be moved."""
    Delivery.objects.waiting().update(
        not_before=F("not_before") - by, due_since=F("due_since") - by
    )
    Endpoint.objects.update(not_before=F("not_before") - by, failing_since=F("failing_since") - by)


def send_all(*, rounds: int = 20) -> int:
    """Send until nothing is due any more; return how many were delivered."""
    total = 0
    for _ in range(rounds):
        sent = sending.send_due()
        total += sent
        if not sent:
            break
    return total
