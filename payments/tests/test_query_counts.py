"""The number of SQL statements of requests that move money, without a request's activity entry.

Each event that other systems may be told of costs one: which endpoints ask for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.gateways.sandbox import charging, events
from payments.models import SandboxEvent
from payments.tests.kit import VISA, assert_books_balance

PAYMENTS = "/api/v1/payments"
FRAME = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
pytestmark = pytest.mark.django_db


@pytest.fixture
def costs(settings):
    """Return a context manager that fails unless its block sends exactly this many statements."""
    settings.AUDIT_READS, settings.AUDIT_ACTIVITY_DAYS = False, 0

    @contextmanager
    def count(expected: int) -> Iterator[None]:
        with CaptureQueriesContext(connection) as captured:
            yield
        sent = [query["sql"] for query in captured if not query["sql"].startswith(FRAME)]
        assert len(sent) == expected, "\n".join([f"{len(sent)} statements:", *sent])

    return count


@pytest.fixture
def known(client_for, viewer, creator, make_video, buy):
    """Return a client of a buyer who has bought another video of the creator before."""
    buy(viewer, make_video(creator=creator, price=1999))
    yield client_for(viewer)
    assert_books_balance()


def purchase(client, video):
    answer = client.post(f"{PAYMENTS}/purchase/{video.pk}", {"payment_method": VISA})
    assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid"), answer.data
    return answer.data["order"]["id"]


def test_a_purchase(known, make_video, creator, costs):
    video = make_video(creator=creator, price=1999)
    with costs(22):
        purchase(known, video)


def test_a_return(known, make_video, creator, costs):
    order_id = purchase(known, make_video(creator=creator, price=1999))
    with costs(56):
        answer = known.post(f"{PAYMENTS}/orders/{order_id}/refund")
    assert (answer.status_code, answer.data["status"]) == (200, "refunded")


def test_a_subscription(known, client_for, make_user, subscribe, costs):
    subscribe(make_user(role="VIEWER"))
    with costs(75):
        answer = known.post(f"{PAYMENTS}/subscribe", {"plan": "monthly", "payment_method": VISA})
    assert (answer.status_code, answer.data["subscription"]["status"]) == (201, "active")


def webhook(client, event):
    body, headers = events.message(event)
    return client.post(
        f"{PAYMENTS}/webhooks/sandbox", data=body, content_type="application/json", headers=headers
    )


def test_a_webhook_without_news(known, client, make_video, creator, costs):
    purchase(known, make_video(creator=creator, price=1999))
    event = SandboxEvent.objects.latest("pk")
    with costs(17):
        answer = webhook(client, event)
    assert answer.json() == {"status": "processed"}


def test_a_webhook_with_a_refund(known, client, make_video, creator, costs):
    purchase(known, make_video(creator=creator, price=1999))
    payment = SandboxEvent.objects.latest("pk").object_id
    charging.refund(payment_id=payment, amount=1999, key="r")
    event = SandboxEvent.objects.latest("pk")
    with costs(30):
        answer = webhook(client, event)
    assert answer.json() == {"status": "processed"}


def test_a_registration(client, costs):
    account = {"email": "new@example.com", "password": "a-long-word-of-nobody", "display_name": "N"}
    with costs(6):
        answer = client.post("/api/v1/auth/register", account, content_type="application/json")
    assert answer.status_code == 201, answer.content
