"""The sandbox's hosted page, on which a buyer pays in a browser."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.models import Order, SandboxCheckout, SandboxEvent, SandboxPayment, Subscription
from payments.services.gateway_news import followups
from payments.tests.kit import VISA, balances, nothing_changes
from videos.services import catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def video(make_video):
    return make_video(price=1999, title="<b>The harbour</b>")


@pytest.fixture
def page(client_for, viewer, video):
    answer = client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    return answer.data["next_action"]["url"].removeprefix("http://testserver")


def test_the_page_shows_title_and_price(client, page):
    answer = client.get(page)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    text = answer.content.decode()
    assert "19.99 USD" in text
    assert "&lt;b&gt;The harbour" in text
    assert 'value="pay"' in text


def test_looking_at_the_page_pays_nothing(client, page):
    with nothing_changes():
        client.get(page)
        client.head(page)
        client.post(page)
        client.post(page, {"button": "steal"})


def test_the_pay_button_pays_the_order(client, page):
    text = client.post(page, {"button": "pay"}).content.decode()
    assert "Paid." in text
    assert 'value="pay"' not in text
    assert Order.objects.get().status == "paid"
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    with nothing_changes():
        again = client.post(page, {"button": "pay"})
    assert (again.status_code, "Paid." in again.content.decode()) == (200, True)


def test_a_declined_card_leaves_the_order_open(client, page):
    text = client.post(page, {"button": "decline"}).content.decode()
    assert "The card was declined" in text
    assert 'value="pay"' in text
    assert (Order.objects.get().status, balances()) == ("pending", {})
    assert "Paid." in client.post(page, {"button": "pay"}).content.decode()


def test_the_page_of_a_subscription_pays_it(client, client_for, viewer):
    url = client_for(viewer).post("/api/v1/payments/subscribe").data["next_action"]["url"]
    page = url.removeprefix("http://testserver")
    assert "9.99 USD" in client.get(page).content.decode()
    client.post(page, {"button": "pay"})
    assert Subscription.objects.get().status == "active"


@pytest.mark.parametrize("state", ["expired", "canceled", "late", "deleted video"])
def test_a_closed_order_or_deleted_video_is_not_charged(client, page, video, state):
    if state == "late":
        SandboxCheckout.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif state == "deleted video":
        catalogue.delete_video(video=video, actor=video.creator)
    else:
        Order.objects.update(status=state)
    followups.run()
    text = client.post(page, {"button": "pay"}).content.decode()
    assert "expired" in text
    assert 'value="pay"' not in text
    assert not SandboxPayment.objects.exists()
    assert balances() == {}


def test_abandoning_closes_the_page_and_charges_nothing(client, page):
    assert "expired" in client.post(page, {"button": "abandon"}).content.decode()
    assert "expired" in client.post(page, {"button": "pay"}).content.decode()
    assert (balances(), Order.objects.get().status) == ({}, "pending")


@pytest.mark.promise("bank-authentication")
def test_the_buyer_authenticates_on_the_page(client, page):
    """A refused authentication leaves the page and the order open; a confirmed one pays the order."""
    asked = client.post(page, {"button": "authenticate"}).content.decode()
    assert 'value="confirm"' in asked
    assert 'value="pay"' not in asked
    assert balances() == {}
    refused = client.post(page, {"button": "refuse"}).content.decode()
    assert "did not recognise you" in refused
    assert (balances(), Order.objects.get().status) == ({}, "pending")
    client.post(page, {"button": "authenticate"})
    assert "Paid." in client.post(page, {"button": "confirm"}).content.decode()
    assert Order.objects.get().status == "paid"
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_the_page_tells_the_merchant_by_a_signed_webhook(client, page, monkeypatch):
    monkeypatch.setattr("payments.services.gateway_news.changes.sync_checkout", lambda **_: None)
    monkeypatch.setattr(
        "payments.services.gateway_news.changes._sync_payment_with_subscription", lambda *_: None
    )
    client.post(page, {"button": "pay"})
    assert Order.objects.get().status == "pending"  # nothing but the webhook brings it in
    assert not SandboxEvent.objects.filter(delivered_at=None).exists()


@pytest.mark.promise("open-page-keeps-its-price")
def test_an_old_page_is_paid_at_the_old_price(client, page, video, client_for, viewer):
    """A page opened before the price changed captures and splits the old price, and gives access."""
    catalogue.change_video(video=video, actor=video.creator, price=5000)
    assert "Paid." in client.post(page, {"button": "pay"}).content.decode()
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    assert client_for(viewer).get(f"/api/v1/stream/{video.pk}").status_code == 200


def test_a_changed_link_is_answered_404(client, page, viewer, video):
    token = page.rsplit("/", 1)[1]
    for broken in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[1:], "x", "a:b:c", "ü"):
        with nothing_changes():
            answer = client.post(page.replace(token, broken), {"button": "pay"})
        assert answer.status_code == 404


def test_the_page_of_an_order_paid_by_card_is_closed(client, page, client_for, viewer, video):
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    followups.run()
    with nothing_changes():
        text = client.post(page, {"button": "pay"}).content.decode()
    assert "expired" in text


@pytest.mark.promise("duplicate-payment-goes-back")
def test_a_second_payment_on_the_page_goes_back(client, page, client_for, viewer, video):
    """An order that is paid by card and on its page keeps one payment; the other goes back."""
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    assert "Paid." in client.post(page, {"button": "pay"}).content.decode()
    assert balances()["customer_refund:USD"] == 1999
    followups.run()
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    assert Order.objects.get().status == "paid"
