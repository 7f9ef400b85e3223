"""``POST /payments/purchase/{video_id}`` and the orders that it makes."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from payments.errors import VideoNotFound
from payments.models import Entitlement, Order, Payment, SandboxCheckout, SandboxPayment
from payments.services.buying import checkout
from payments.services.settling.facts import sync_payment
from payments.tests.kit import (
    DECLINED,
    VISA,
    DyingGateway,
    ForgetfulGateway,
    Killed,
    SilentGateway,
    balances,
    code,
    nothing_changes,
)
from videos.models import Video
from videos.services import catalogue

pytestmark = pytest.mark.django_db


def url(video) -> str:
    return f"/api/v1/payments/purchase/{video.pk}"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999)


@pytest.mark.promise("purchase-pays-and-splits")
def test_a_video_is_bought_in_one_call(client_for, viewer, video):
    """A purchase with a good card pays the order, books 1600 of 1999 for the creator, gives access."""
    answer = client_for(viewer).post(url(video), {"payment_method": VISA})

    assert answer.status_code == 201
    assert (answer.data["next_action"], answer.data["gateway"]) == (None, "sandbox")
    order = answer.data["order"]
    assert (order["status"], order["amount"], order["currency"]) == ("paid", "19.99", "USD")
    assert (order["video_id"], order["kind"], order["discount"]) == (str(video.pk), "buy", "0.00")
    assert order["paid_at"] is not None
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    entitlement = Entitlement.objects.live().get()
    assert (entitlement.user, entitlement.video, entitlement.source_id) == (
        viewer,
        video,
        uuid.UUID(order["id"]),
    )


@pytest.mark.promise("currency-digits", "smallest-amount-to-creator")
@pytest.mark.parametrize(
    ("currency", "price", "shown", "creator_part", "platform_part"),
    [
        ("JPY", 100, "100", 80, 20),
        ("KWD", 1990, "1.990", 1592, 398),
        ("USD", 1, "0.01", 1, 0),
        ("USD", 4, "0.04", 4, 0),
        ("USD", 5, "0.05", 4, 1),
    ],
)
def test_every_currency_is_split_in_its_own_units(
    client_for, viewer, make_video, currency, price, shown, creator_part, platform_part
):
    video = make_video(price=price, currency=currency)

    answer = client_for(viewer).post(url(video), {"payment_method": VISA, "expected_amount": shown})

    assert (answer.status_code, answer.data["order"]["amount"]) == (201, shown)
    expected = {
        f"clearing:{currency}": -price,
        f"creator:{currency}": creator_part,
        f"platform:{currency}": platform_part,
    }
    assert balances() == {code: part for code, part in expected.items() if part}


def test_an_order_without_a_card_stays_open_and_is_continued(client_for, viewer, video):
    client = client_for(viewer)
    first = client.post(url(video))
    with nothing_changes():
        second = client.post(url(video), {})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.data["order"] == second.data["order"]
    assert first.data["order"]["status"] == "pending"
    assert first.data["next_action"]["type"] == "redirect"
    assert balances() == {}
    paid = client.post(url(video), {"payment_method": VISA})
    assert (paid.status_code, paid.data["order"]["id"]) == (200, first.data["order"]["id"])
    assert paid.data["order"]["status"] == "paid"


@pytest.mark.promise("owned-video-not-sold-again")
def test_an_owned_video_cannot_be_bought_again(client_for, viewer, video, buy):
    """A buyer who owns the video is answered 409 and is charged nothing."""
    buy(viewer, video)
    with nothing_changes():
        answer = client_for(viewer).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (409, "already_owned")


@pytest.mark.promise("own-video-not-sold")
def test_a_creator_cannot_buy_their_own_video(client_for, creator, video):
    """A creator who tries to buy their own video is answered 403 and is charged nothing."""
    with nothing_changes():
        answer = client_for(creator).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (403, "own_video")


def test_an_open_order_of_a_deleted_video_is_not_charged(viewer, video):
    """An order that was begun before its video was deleted is not charged."""
    checkout.purchase(buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions())
    Video.objects.update(deleted_at=timezone.now())
    order = Order.objects.get()

    with nothing_changes(), pytest.raises(VideoNotFound):
        checkout.pay(order=order, payment_method=VISA)
    assert Order.objects.get().status == "pending"


@pytest.mark.promise("invisible-video-not-sold")
@pytest.mark.parametrize("state", ["draft", "private", "deleted", "unknown"])
def test_an_invisible_video_cannot_be_bought(client_for, viewer, make_video, state):
    """A draft, private, deleted or unknown video cannot be bought: the answer is 404."""
    video = make_video(
        price=1999,
        ready=state != "draft",
        visibility="private" if state == "private" else "public",
    )
    if state == "deleted":
        catalogue.delete_video(video=video, actor=video.creator)
    if state == "unknown":
        video.pk = uuid.uuid4()
    with nothing_changes():
        answer = client_for(viewer).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (404, "video_not_found")


@pytest.mark.promise("stale-price-refused")
@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"kind": "rent"}, 422, "not_for_sale"),
        ({"currency": "EUR"}, 422, "currency_unsupported"),
        ({"payment_method": "pm_of_a_stranger"}, 422, "payment_method_unknown"),
        ({"expected_amount": "9.99"}, 409, "price_changed"),
        ({"kind": "steal"}, 400, "invalid_choice"),
        ({"currency": "XXX"}, 400, "invalid_choice"),
        ({"expected_amount": "NaN"}, 400, "invalid"),
        ({"expected_amount": True}, 400, "invalid"),
        ({"payment_method": "x" * 61}, 400, "max_length"),
    ],
)
def test_a_refused_purchase_changes_nothing(client_for, viewer, video, body, status, expected):
    body.setdefault("payment_method", VISA)
    if "currency" not in body and expected == "payment_method_unknown":
        client_for(viewer).post(url(video))  # an unknown card is refused after the order was made
    with nothing_changes():
        answer = client_for(viewer).post(url(video), body)
    assert (answer.status_code, code(answer)) == (status, expected)


@pytest.mark.promise("video-without-price-not-sold")
def test_a_free_video_is_not_for_sale(client_for, viewer, make_video):
    """A video without a price cannot be bought: the answer is 422."""
    video = make_video()
    with nothing_changes():
        answer = client_for(viewer).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (422, "not_for_sale")


@pytest.mark.promise("stale-price-refused")
def test_a_stale_expected_price_is_told_the_current_one(client_for, viewer, video):
    """A buyer with another expected price is told the current price and its currency."""
    answer = client_for(viewer).post(url(video), {"expected_amount": 9.99})
    assert "19.99 USD" in answer.data["errors"][0]["detail"]
    assert answer.data["errors"][0]["attr"] == "expected_amount"


def test_a_price_in_the_request_is_ignored(client_for, viewer, video):
    body = {"price": 0, "amount": "0.01", "fee_bps": 0, "payment_method": VISA}
    answer = client_for(viewer).post(url(video), body)
    assert answer.data["order"]["amount"] == "19.99"
    assert SandboxPayment.objects.get().captured == 1999


def test_anonymous_callers_buy_nothing(client_for, video):
    with nothing_changes():
        answer = client_for().post(url(video), {"payment_method": VISA})
    assert answer.status_code == 401


@pytest.mark.promise("declined-card-keeps-order-open")
def test_after_a_decline_another_card_pays_the_same_order(client_for, viewer, video):
    """A declined card is answered 402 and leaves the order open; a second card pays the same order."""
    client = client_for(viewer)
    declined = client.post(url(video), {"payment_method": DECLINED})

    assert (declined.status_code, code(declined)) == (402, "card_declined")
    assert "generic_decline" in declined.data["errors"][0]["detail"]
    order = Order.objects.get()
    assert (order.status, order.attempt) == ("pending", 1)
    assert balances() == {}
    assert not Entitlement.objects.exists()
    assert not Payment.objects.exists()

    paid = client.post(url(video), {"payment_method": VISA})
    assert (paid.status_code, paid.data["order"]["status"]) == (200, "paid")
    assert paid.data["order"]["id"] == str(order.pk)
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_a_gateway_that_goes_away_after_it_moved_money_is_a_503(
    client_for, viewer, admin, video, gateway_is
):
    """The answer to the first charge settles it; a repeat, and a refund, must ask the gateway."""
    client, admin_client = client_for(viewer), client_for(admin)
    client.raise_request_exception = admin_client.raise_request_exception = False
    with gateway_is(SilentGateway):
        assert client.post(url(video), {"payment_method": VISA}).status_code == 503
    with gateway_is(ForgetfulGateway):
        answer = client.post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (503, "gateway_unavailable")
    assert answer["Retry-After"] == "5"
    assert not Entitlement.objects.exists()

    answer = client.post(url(video), {"payment_method": VISA})
    assert (answer.status_code, answer.data["order"]["status"]) == (200, "paid")
    assert SandboxPayment.objects.count() == 1

    refund = f"/api/v1/payments/admin/orders/{Order.objects.get().pk}/refund"
    with gateway_is(ForgetfulGateway):
        answer = admin_client.post(refund, {"reason": "x"})
    assert (answer.status_code, code(answer)) == (503, "gateway_unavailable")
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


def test_a_decline_in_another_request_leaves_its_key_to_it(client_for, viewer, video):
    """An order that was read before the decline is charged with the next key."""
    client_for(viewer).post(url(video), {})
    order = Order.objects.get()
    Order.objects.update(attempt=1)
    paid = checkout.pay(order=order, payment_method=VISA)
    assert (paid.status, paid.attempt) == ("paid", 1)
    assert SandboxPayment.objects.get().idempotency_key == f"order:{order.pk}:1"


def test_a_first_charge_is_settled_by_its_own_answer(client_for, viewer, video, gateway_is):
    """No second question is asked about it, so that no gateway can leave it open."""
    with gateway_is(ForgetfulGateway):
        answer = client_for(viewer).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.mark.promise("silent-gateway-continues-order")
def test_repeating_after_a_lost_answer_finds_the_charge(client_for, viewer, video, gateway_is):
    client = client_for(viewer)
    client.raise_request_exception = False
    with gateway_is(SilentGateway):
        lost = client.post(url(video), {"payment_method": VISA})
    assert (lost.status_code, code(lost)) == (503, "gateway_unavailable")
    assert lost["Retry-After"] == "5"
    assert Order.objects.get().status == "processing"
    assert not Entitlement.objects.exists()

    again = client.post(url(video), {"payment_method": VISA})
    assert (again.status_code, again.data["order"]["status"]) == (200, "paid")
    assert SandboxPayment.objects.count() == 1
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.mark.promise("dead-process-finds-checkout")
def test_a_process_that_dies_after_the_charge_loses_no_money(
    client_for, viewer, video, gateway_is, run_minute
):
    client = client_for(viewer)
    with gateway_is(DyingGateway), pytest.raises(Killed):
        client.post(url(video), {"payment_method": VISA})
    assert not Payment.objects.exists()

    # An hour later and at another price: still the same order and the same charge.
    Order.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    catalogue.change_video(video=video, actor=video.creator, price=2999)
    run_minute()
    canceled = client.post(f"/api/v1/payments/orders/{Order.objects.get().pk}/cancel")
    assert (canceled.status_code, code(canceled)) == (409, "order_not_open")
    again = client.post(url(video), {"payment_method": VISA})

    assert (again.status_code, again.data["order"]["amount"]) == (200, "19.99")
    assert SandboxPayment.objects.get().captured == 1999
    assert Order.objects.get().status == "paid"


def test_a_new_price_or_an_expired_order_makes_a_new_order(client_for, viewer, video):
    client = client_for(viewer)
    first = client.post(url(video)).data["order"]["id"]
    catalogue.change_video(video=video, actor=video.creator, price=2999)
    second = client.post(url(video))
    assert (second.status_code, second.data["order"]["amount"]) == (201, "29.99")
    Order.objects.filter(pk=second.data["order"]["id"]).update(expires_at=timezone.now())
    third = client.post(url(video))
    assert third.status_code == 201
    statuses = dict(Order.objects.values_list("pk", "status"))
    assert [statuses[uuid.UUID(pk)] for pk in (first, second.data["order"]["id"])] == [
        "expired",
        "expired",
    ]
    assert statuses[uuid.UUID(third.data["order"]["id"])] == "pending"


def test_a_subscription_covers_the_video_unless_the_buyer_insists(
    client_for, viewer, video, subscribe
):
    subscribe(viewer)
    with nothing_changes():
        answer = client_for(viewer).post(url(video), {"payment_method": VISA})
    assert (answer.status_code, code(answer)) == (409, "covered_by_subscription")
    forced = client_for(viewer).post(url(video), {"payment_method": VISA, "force": True})
    assert (forced.status_code, forced.data["order"]["status"]) == (201, "paid")
    assert Entitlement.objects.live().count() == 2


@pytest.mark.promise("others-records-not-found")
def test_orders_are_listed_to_their_buyer_only(client_for, viewer, make_user, video, buy):
    order = buy(viewer, video)
    mine = client_for(viewer).get("/api/v1/payments/orders").data["results"]
    assert [row["id"] for row in mine] == [str(order.pk)]
    assert client_for(viewer).get(f"/api/v1/payments/orders/{order.pk}").status_code == 200
    for role in Role:
        stranger = client_for(make_user(role))
        assert stranger.get("/api/v1/payments/orders").data["results"] == []
        with nothing_changes():
            assert stranger.get(f"/api/v1/payments/orders/{order.pk}").status_code == 404
            assert stranger.post(f"/api/v1/payments/orders/{order.pk}/cancel").status_code == 404
    assert client_for(video.creator).get("/api/v1/payments/entitlements").data["results"] == []
    listed = client_for(viewer).get("/api/v1/payments/entitlements").data["results"]
    assert [(row["video_id"], row["source_type"]) for row in listed] == [(video.pk, "order")]


def test_an_open_order_can_be_canceled_and_a_paid_one_cannot(client_for, viewer, video, buy):
    client = client_for(viewer)
    pending = client.post(url(video)).data["order"]["id"]
    canceled = client.post(f"/api/v1/payments/orders/{pending}/cancel")
    assert (canceled.status_code, canceled.data["status"]) == (200, "canceled")
    paid = buy(viewer, video)
    for pk in (pending, paid.pk):
        with nothing_changes():
            answer = client.post(f"/api/v1/payments/orders/{pk}/cancel")
        assert (answer.status_code, code(answer)) == (409, "order_not_open")


def test_the_payment_configuration_is_public(client_for):
    config = client_for().get("/api/v1/payments/config").data
    assert (config["gateway"], config["sandbox"], config["publishable_key"]) == (
        "sandbox",
        True,
        None,
    )
    assert config["default_currency"] == "USD"
    plans = client_for().get("/api/v1/payments/plans").data["results"]
    assert plans == [
        {
            "code": "monthly",
            "name": "Monthly",
            "amount": "9.99",
            "currency": "USD",
            "interval": "month",
            "trial_days": 0,
            "max_streams": None,
        }
    ]


@pytest.mark.promise("bank-authentication")
class TestAtTheBank:
    """The buyer's bank asks the buyer to authenticate (3-D Secure) before it pays."""

    CARD = "pm_card_authenticationRequired"

    @pytest.fixture
    def asked(self, client_for, viewer, video):
        answer = client_for(viewer).post(url(video), {"payment_method": self.CARD})
        assert answer.status_code == 202
        assert answer.data["order"]["status"] == "processing"
        assert answer.data["next_action"]["type"] == "authenticate"
        assert balances() == {}
        return answer.data["next_action"]["url"].removeprefix("http://testserver")

    def test_a_confirmed_authentication_pays_the_order(self, client, asked):
        client.post(asked, {"button": "confirm"})
        assert Order.objects.get().status == "paid"
        assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}

    def test_a_repeated_purchase_returns_the_same_page(self, client_for, viewer, video, asked):
        with nothing_changes():
            again = client_for(viewer).post(url(video), {"payment_method": self.CARD})
        assert (again.status_code, again.data["next_action"]["url"][-40:]) == (202, asked[-40:])

    def test_after_a_refused_authentication_another_card_pays(
        self, client, client_for, viewer, video, asked
    ):
        client.post(asked, {"button": "refuse"})
        assert Order.objects.get().status == "pending"
        first = client_for(viewer).post(url(video), {"payment_method": VISA})
        assert (first.status_code, first.data["order"]["status"]) == (200, "paid")
        assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}

    def test_after_a_refused_authentication_the_order_expires(
        self, client_for, viewer, video, client, asked, run_minute
    ):
        client.post(asked, {"button": "refuse"})
        Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        run_minute()
        assert (Order.objects.get().status, balances()) == ("expired", {})

    def test_an_order_without_an_answer_expires_and_can_still_be_confirmed(
        self, client_for, viewer, video, client, asked, run_minute
    ):
        """An order that waits for the bank expires; a confirmation after that still pays it."""
        Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        run_minute()
        assert Order.objects.get().status == "expired"
        client.post(asked, {"button": "confirm"})
        assert Order.objects.get().status == "paid"
        assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}

    def test_an_order_that_waits_for_the_bank_can_be_canceled(self, client_for, viewer, asked):
        order = Order.objects.get()
        answer = client_for(viewer).post(f"/api/v1/payments/orders/{order.pk}/cancel")
        assert (answer.status_code, answer.data["status"]) == (200, "canceled")


def test_news_of_a_failed_payment_leaves_the_next_charge_alone(
    client_for, client, viewer, video, gateway_is
):
    """The old failure must not change the idempotency key of the running charge.

    With another key, repeating the purchase would charge the buyer twice.
    """
    asked = client_for(viewer).post(url(video), {"payment_method": TestAtTheBank.CARD})
    page = asked.data["next_action"]["url"].removeprefix("http://testserver")
    client.post(page, {"button": "refuse"})
    failed = Payment.objects.get()
    buyer = client_for(viewer)
    buyer.raise_request_exception = False
    with gateway_is(SilentGateway):
        assert buyer.post(url(video), {"payment_method": VISA}).status_code == 503
    order = Order.objects.get()
    sync_payment(gateway="sandbox", external_id=failed.external_id)
    buyer.post(f"/api/v1/payments/orders/{order.pk}/sync")
    assert Order.objects.get().status == "processing"
    assert buyer.post(url(video), {"payment_method": VISA}).data["order"]["status"] == "paid"
    assert SandboxPayment.objects.filter(captured__gt=0).count() == 1


class TestTheHostedPage:
    @pytest.mark.promise("silent-gateway-continues-order")
    def test_a_checkout_without_an_answer_is_continued(self, client_for, viewer, video, gateway_is):
        """A checkout without the gateway's answer is a 503; the next call continues the same order
        and page."""
        client = client_for(viewer)
        client.raise_request_exception = False
        with gateway_is(SilentGateway):
            answer = client.post(url(video))
        assert (answer.status_code, code(answer)) == (503, "gateway_unavailable")
        assert answer["Retry-After"]
        order = Order.objects.get()
        again = client_for(viewer).post(url(video))
        assert (again.status_code, again.data["order"]["id"]) == (200, str(order.pk))
        assert SandboxCheckout.objects.count() == 1

    @pytest.mark.promise("dead-process-finds-checkout")
    def test_a_checkout_whose_process_died_is_found_again(
        self, client_for, viewer, video, gateway_is
    ):
        """The call after a process died before saving the checkout returns the one page that was
        made."""
        with gateway_is(DyingGateway), pytest.raises(Killed):
            client_for(viewer).post(url(video))
        answer = client_for(viewer).post(url(video))
        page = SandboxCheckout.objects.get()
        assert answer.data["next_action"]["url"].endswith(page.pk)

    def test_repeated_purchases_open_one_page(self, client_for, viewer, video):
        urls = {client_for(viewer).post(url(video)).data["next_action"]["url"] for _ in range(3)}
        assert len(urls) == SandboxCheckout.objects.count() == 1

    @pytest.mark.promise("return-url-allow-list")
    @pytest.mark.parametrize(
        ("back", "status"),
        [
            ("http://testserver/thanks", 201),
            ("https://videos.example.com/thanks?order=1", 201),
            ("https://evil.example.com/", 400),
            ("https://videos.example.com.evil.example/", 400),
            ("https://videos.example.com@evil.example/", 400),
            ("http://videos.example.com/", 400),
            ("javascript:alert(1)", 400),
            ("http://[", 400),
        ],
    )
    def test_a_return_url_must_be_on_an_allowed_origin(
        self, client_for, viewer, video, settings, back, status
    ):
        """A return_url is accepted only on this site's origin or one of CHECKOUT_RETURN_ORIGINS."""
        settings.CHECKOUT_RETURN_ORIGINS = ["https://videos.example.com"]
        answer = client_for(viewer).post(url(video), {"return_url": back})
        assert answer.status_code == status
        if status == 400:
            assert answer.data["errors"][0]["attr"] == "return_url"
            assert not Order.objects.exists()
        else:
            assert SandboxCheckout.objects.get().return_url == back


@pytest.mark.promise("fee-fixed-at-sale")
def test_a_refund_uses_the_fee_of_its_sale(client_for, viewer, admin, video, settings, buy):
    """A refund is split at the fee of its sale, not at a fee that was set later."""
    order = buy(viewer, video)
    settings.PLATFORM_FEE_BPS = 5000
    client_for(admin).post(f"/api/v1/payments/admin/orders/{order.pk}/refund", {"amount": "10.00"})
    assert balances() == {"clearing:USD": -999, "creator:USD": 800, "platform:USD": 199}


@pytest.mark.promise("others-records-not-found")
def test_another_users_order_is_answered_404(client_for, make_user, viewer, video, buy):
    """Another user's order, its receipt and every action on it are answered 404."""
    order = buy(viewer, video)
    for path in ("", "/receipt"):
        answer = client_for(make_user()).get(f"/api/v1/payments/orders/{order.pk}{path}")
        assert answer.status_code == 404
    for path in ("/sync", "/cancel", "/refund"):
        with nothing_changes():
            answer = client_for(make_user()).post(f"/api/v1/payments/orders/{order.pk}{path}")
        assert answer.status_code == 404
