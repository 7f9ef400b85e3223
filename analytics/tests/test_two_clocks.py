"""Two web servers whose clocks differ by eight seconds: what one stores counts at once on the other."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from payments.models import Order
from payments.tests.kit import VISA, assert_books_are_right
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver

pytestmark = pytest.mark.django_db

API = "/api/v1"
APART = timedelta(seconds=8)


@contextmanager
def server_behind():
    """Requests inside reach the web server whose clock is behind."""
    with time_machine.travel(datetime.now(UTC) - APART):
        yield


@pytest.fixture
def person(client_for):
    """A client that has signed in at the server whose clock is ahead."""
    client = client_for()
    form = {"email": "pat@example.com", "password": "a long enough password"}
    assert client.post(f"{API}/auth/register", form).status_code == 201
    pair = client.post(f"{API}/auth/login", form).json()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access_token']}")
    client.pair = pair
    return client


def answer(call, status=200):
    assert call.status_code == status, call.data
    return call.json() if call.content else None


def test_a_sign_in_counts_at_once(person):
    with server_behind():
        answer(person.get(f"{API}/auth/me"))
        old = {"refresh_token": person.pair["refresh_token"]}
        pair = answer(person.post(f"{API}/auth/refresh", old))
    answer(person.post(f"{API}/auth/refresh", {"refresh_token": pair["refresh_token"]}))


def test_two_tabs_that_refresh_at_two_servers_stay_signed_in(person, client_for):
    old = {"refresh_token": person.pair["refresh_token"]}
    with server_behind():
        first = answer(client_for().post(f"{API}/auth/refresh", old))
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=4)):
        assert answer(client_for().post(f"{API}/auth/refresh", old)) == first
    answer(client_for().post(f"{API}/auth/refresh", {"refresh_token": first["refresh_token"]}))


def test_an_api_key_counts_at_once(person, client_for):
    key = answer(person.post(f"{API}/auth/api-keys/", {"name": "x", "scopes": ["read"]}), 201)
    with server_behind():
        client = client_for()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {key['key']}")
        answer(client.get(f"{API}/auth/me"))


@pytest.mark.parametrize("kind", ["buy", "rent"])
def test_what_was_bought_is_played_at_once(person, client_for, make_video, kind):
    video = make_video(price=1999, rental_price=499, rental_hours=48)
    body = {"payment_method": VISA, "kind": kind}
    answer(person.post(f"{API}/payments/purchase/{video.pk}", body), 201)
    with server_behind():
        asked = answer(person.get(f"{API}/payments/entitlements/{video.pk}"))
        assert asked["allowed"]
        again = person.post(f"{API}/payments/purchase/{video.pk}", body)
        assert again.status_code == 409
        token = answer(person.get(f"{API}/stream/{video.pk}"))
        owned = answer(person.get(f"{API}/payments/entitlements/"))
        assert [each["video_id"] for each in owned["results"]] == [str(video.pk)]
    played = answer(client_for().get(token["stream_url"], HTTP_ACCEPT="application/json"))
    assert played["grant"]
    token = answer(person.get(f"{API}/stream/{video.pk}"))
    with server_behind():
        assert answer(client_for().get(token["stream_url"], HTTP_ACCEPT="application/json"))[
            "grant"
        ]


def test_a_session_of_one_server_is_reported_to_the_other(person, client_for, make_video):
    video = make_video(price=1999)
    answer(person.post(f"{API}/payments/purchase/{video.pk}", {"payment_method": VISA}), 201)
    token = answer(person.get(f"{API}/stream/{video.pk}"))
    played = answer(client_for().get(token["stream_url"], HTTP_ACCEPT="application/json"))
    url = f"{API}/stream/sessions/{played['session_id']}/heartbeat"
    deliver(played["session_id"])

    def beat(position):
        body = {"position_seconds": position, "state": "playing", "watched": [[0, position]]}
        answer(person.post(url, body, format="json"), 204)

    with server_behind():
        beat(1)
    beat(2)
    with server_behind():
        beat(3)
    session = PlaybackSession.objects.get()
    assert session.watched == [[0, 2]]  # nothing is lost for good: the next report has it
    beat(3)
    session.refresh_from_db()
    assert session.watched == [[0, 3]]


def test_a_coupon_counts_at_once(person, client_for, admin, make_video):
    video = make_video(price=1999)
    coupon = {"code": "NOW", "percent_bps": 5000, "funded_by": "platform"}
    answer(client_for(admin).post(f"{API}/payments/admin/coupons/", coupon), 201)
    with server_behind():
        body = {"payment_method": VISA, "coupon": "NOW"}
        order = answer(person.post(f"{API}/payments/purchase/{video.pk}", body), 201)["order"]
    assert order["amount"] == "10.00"


def test_a_subscription_counts_at_once_and_ends(person, make_video):
    video = make_video(price=1999)
    body = {"plan": "monthly", "payment_method": VISA}
    answer(person.post(f"{API}/payments/subscribe", body), 201)
    with server_behind():
        answer(person.get(f"{API}/stream/{video.pk}"))
        answer(person.post(f"{API}/payments/subscription/cancel", {"at_period_end": False}))
    assert person.get(f"{API}/stream/{video.pk}").status_code == 403
    assert_books_are_right()


def test_a_purchase_is_refunded_at_once(person, client_for, admin, make_video):
    video = make_video(price=1999)
    body = {"payment_method": VISA}
    order = answer(person.post(f"{API}/payments/purchase/{video.pk}", body), 201)["order"]
    with server_behind():
        url = f"{API}/payments/admin/orders/{order['id']}/refund"
        answer(client_for(admin).post(url, {"reason": "x"}))
    assert person.get(f"{API}/stream/{video.pk}").status_code == 403
    assert Order.objects.get().status == "refunded"
    assert_books_are_right()
