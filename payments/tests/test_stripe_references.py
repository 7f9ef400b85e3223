"""Customers and prices that are gone at Stripe, over HTTP: made anew, once, and the request succeeds."""

import pytest

from payments.books.verification import verify_ledger
from payments.models import GatewayCustomer, Order, Payment, Plan, Subscription
from payments.services.offers import plans
from payments.tests.kit import VISA, balances, code, together

BUY, SUBSCRIBE = "/api/v1/payments/purchase/{}", "/api/v1/payments/subscribe"


class Account:
    """A user whom Stripe knows as a customer, and the stand-in."""

    def __init__(self, service, client):
        self.service, self.stripe, self.client = service, service.account, client

    def post(self, url: str, **body):
        return self.client.post(url, body)

    def subscribe(self, **body):
        return self.post(SUBSCRIBE, plan="monthly", **body)

    def customers(self) -> list[str]:
        return [row["id"] for row in self.stripe.listing("customer", limit=100)["data"]]

    def delete_customer(self) -> None:
        self.stripe.delete_customer(GatewayCustomer.objects.get().external_id)
        self.service.deliver()


@pytest.fixture
def account(stripe_service, client_for, viewer):
    """A subscriber whose customer was deleted at Stripe, which has ended the subscription."""
    account = Account(stripe_service, client_for(viewer))
    assert account.subscribe(payment_method=VISA).status_code == 201
    account.delete_customer()
    assert Subscription.objects.get().status == "canceled"
    return account


@pytest.mark.django_db
class TestCustomers:
    def test_a_video_is_bought_with_a_card(self, account, make_video):
        answer = account.post(BUY.format(make_video(price=1999).pk), payment_method=VISA)

        assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
        assert len(account.customers()) == 2
        assert GatewayCustomer.objects.get().external_id == account.customers()[0]
        assert verify_ledger().discrepancies == 0

    def test_a_video_is_bought_on_the_hosted_page(self, account, make_video):
        answer = account.post(BUY.format(make_video(price=1999).pk))
        assert (answer.status_code, answer.data["next_action"]["type"]) == (201, "redirect")
        account.stripe.complete_checkout(Order.objects.get().checkout_id)
        account.service.deliver()
        assert Order.objects.get().status == "paid"

    @pytest.mark.parametrize("card", [VISA, ""])
    def test_a_subscription_begins_anew(self, account, card):
        answer = account.subscribe(**({"payment_method": card} if card else {}))
        assert answer.status_code == 201, answer.content
        if not card:
            page = Subscription.objects.get(status="incomplete").checkout_id
            account.stripe.complete_checkout(page)
            account.service.deliver()

        assert Subscription.objects.filter(status="active").count() == 1
        assert len(account.customers()) == 2
        assert balances()["deferred:USD"] == 1998
        # The next call uses the new record as it is.
        assert code(account.subscribe(payment_method=VISA)) == "already_subscribed"
        assert len(account.customers()) == 2

    def test_another_deletion_needs_another_record(self, account):
        for number in (2, 3):
            assert account.subscribe(payment_method=VISA).status_code == 201
            assert len(account.customers()) == number
            account.delete_customer()

    def test_a_lost_answer_to_the_repeated_call_charges_once(self, account, make_video):
        # The card, the refused charge, the new customer, the card, and the charge without an answer.
        account.stripe.trouble = [None, None, None, None, "silence", "silence", "silence"]
        account.client.raise_request_exception = False
        url = BUY.format(make_video(price=1999).pk)
        assert account.post(url, payment_method=VISA).status_code == 503
        answer = account.post(url, payment_method=VISA)

        assert (answer.status_code, answer.data["order"]["status"]) == (200, "paid")
        charges = account.stripe.listing("payment_intent", amount=1999, limit=100)["data"]
        assert len(charges) == 1
        assert Payment.objects.filter(order__isnull=False).count() == 1

    def test_a_declined_card_after_a_renewal_is_declined(self, account, make_video):
        url = BUY.format(make_video(price=1999).pk)
        answer = account.post(url, payment_method="pm_card_chargeDeclined")
        assert (answer.status_code, code(answer)) == (402, "card_declined")
        assert account.post(url, payment_method=VISA).data["order"]["status"] == "paid"

    def test_a_card_for_a_subscription_whose_customer_is_gone_is_refused(
        self, stripe_service, client_for, viewer
    ):
        account = Account(stripe_service, client_for(viewer))
        assert account.subscribe(payment_method=VISA).status_code == 201
        account.stripe.delete_customer(GatewayCustomer.objects.get().external_id)
        answer = account.post("/api/v1/payments/subscription/payment-method", payment_method=VISA)
        assert (answer.status_code, code(answer)) == (409, "subscription_not_running")
        assert Subscription.objects.get().status == "canceled"


@pytest.mark.django_db
class TestPrices:
    @pytest.fixture(params=["archived", "gone"])
    def account(self, request, stripe_service, client_for, viewer, make_user):
        """A user, and a plan whose price was archived at Stripe, or is of the other mode."""
        other = Account(stripe_service, client_for(make_user()))
        assert other.subscribe(payment_method=VISA).status_code == 201
        (price,) = stripe_service.account.listing("price")["data"]
        if request.param == "archived":
            price["active"] = False
        else:
            Plan.objects.update(gateway_refs={"stripe": "price_of_the_other_mode"})
            del stripe_service.account.objects[price["id"]]
        return Account(stripe_service, client_for(viewer))

    @pytest.mark.parametrize("card", [VISA, ""])
    def test_a_subscription_begins(self, account, card):
        answer = account.subscribe(**({"payment_method": card} if card else {}))
        assert answer.status_code == 201, answer.content
        prices = account.stripe.listing("price", active=True)["data"]
        assert Plan.objects.get().gateway_refs == {"stripe": prices[0]["id"], "stripe:renewals": 1}
        assert len(prices) == 1
        if card:
            assert answer.data["subscription"]["status"] == "active"
            assert balances()["deferred:USD"] == 1998

    def test_the_plan_of_a_change_is_made_anew(self, account):
        yearly = Plan.objects.create(
            code="yearly", name="Yearly", amount=9900, currency="USD", interval="year",
            gateway_refs={"stripe": "price_never"},
        )  # fmt: skip
        assert account.subscribe(payment_method=VISA).status_code == 201
        answer = account.post("/api/v1/payments/subscription/change", plan="yearly")
        assert (answer.status_code, answer.data["plan"]) == (200, "yearly")
        yearly.refresh_from_db()
        assert yearly.gateway_refs["stripe:renewals"] == 1


@pytest.fixture
def seeded_plan(transactional_db) -> Plan:
    plans.seed_first_plan()
    return Plan.objects.get()


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_make_one_price_anew(
    stripe_service, client_for, make_user, seeded_plan
):
    seeded_plan.gateway_refs = {"stripe": "price_of_the_other_mode"}
    seeded_plan.save()
    clients = [client_for(make_user()) for _ in range(4)]

    answers = together(
        [
            lambda client=client: client.post(
                SUBSCRIBE, {"plan": "monthly", "payment_method": VISA}
            )
            for client in clients
        ]
    )

    assert [answer.status_code for answer in answers] == [201] * 4
    assert len(stripe_service.account.listing("price")["data"]) == 1
    assert Subscription.objects.filter(status="active").count() == 4


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_make_one_customer_anew(
    stripe_service, client_for, viewer, make_video, seeded_plan
):
    GatewayCustomer.objects.create(user=viewer, gateway="stripe", external_id="cus_gone")
    videos = [make_video(price=1999) for _ in range(4)]

    answers = together(
        [
            lambda video=video: client_for(viewer).post(
                BUY.format(video.pk), {"payment_method": VISA}
            )
            for video in videos
        ]
    )

    assert [answer.status_code for answer in answers] == [201] * 4
    assert len(stripe_service.account.listing("customer")["data"]) == 1
    assert Order.objects.filter(status="paid").count() == 4
