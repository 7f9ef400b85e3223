"""Subscribing, the access that a subscription gives, and canceling."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways.sandbox import subscriptions as sandbox
from payments.models import (
    Entitlement,
    Invoice,
    Payment,
    Plan,
    SandboxPayment,
    SandboxRefund,
    Subscription,
)
from payments.periods import add_months
from payments.services.gateway_news import followups
from payments.services.settling.facts import sync_payment
from payments.tests.kit import (
    DECLINED,
    VISA,
    DyingGateway,
    Killed,
    balances,
    code,
    nothing_changes,
    period_of,
)

URL = "/api/v1/payments/subscribe"
MINE = "/api/v1/payments/subscription"
MAX = datetime(9000, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone


@pytest.mark.promise("renewal-dates")
@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        ((2027, 1, 31), 1, (2027, 2, 28)),
        ((2028, 1, 31), 1, (2028, 2, 29)),
        ((2027, 1, 31), 2, (2027, 3, 31)),
        ((2028, 2, 29), 12, (2029, 2, 28)),
        ((2027, 12, 15), 1, (2028, 1, 15)),
        ((2027, 3, 31), 1, (2027, 4, 30)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last_one(start, months, expected):
    half_past_twelve = time(12, 30)
    later = add_months(datetime.combine(date(*start), half_past_twelve, UTC), months)
    assert later == datetime.combine(date(*expected), half_past_twelve, UTC)


@given(st.datetimes(timezones=st.just(UTC), max_value=MAX), st.integers(1, 36))
def test_adding_months_keeps_the_day_or_takes_the_last_one(start, months):
    later = add_months(start, months)
    assert (later.year - start.year) * 12 + later.month - start.month == months
    assert later.day == start.day or (later.day < start.day and (later + timedelta(1)).day == 1)
    assert later.time() == start.time()


@pytest.fixture
def video(make_video):
    return make_video(price=1999)


@pytest.fixture
def may_watch(client_for, video):
    return lambda user: client_for(user).get(f"/api/v1/stream/{video.pk}").status_code == 200


@pytest.mark.django_db
class TestSubscribing:
    def test_a_subscriber_watches_every_video(self, client_for, viewer, may_watch):
        assert not may_watch(viewer)
        answer = client_for(viewer).post(URL, {"plan": "monthly", "payment_method": VISA})

        assert (answer.status_code, answer.data["next_action"]) == (201, None)
        mine = answer.data["subscription"]
        assert (mine["status"], mine["plan"], mine["amount"]) == ("active", "monthly", "9.99")
        assert may_watch(viewer)
        subscription, invoice = Subscription.objects.get(), Invoice.objects.get()
        assert (invoice.status, invoice.amount, invoice.fee_bps) == ("paid", 999, 2000)
        start, end = period_of(subscription)
        assert end == add_months(start, 1)
        assert (invoice.period_start, invoice.period_end) == (start, end)
        # The money is paid and not yet earned.
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}
        assert client_for(viewer).get(MINE).data == {**mine, "id": str(subscription.pk)}

    def test_a_second_subscription_is_refused(self, client_for, viewer, subscribe):
        subscribe(viewer)
        with nothing_changes():
            answer = client_for(viewer).post(URL, {"payment_method": VISA})
        assert (answer.status_code, code(answer)) == (409, "already_subscribed")

    @pytest.mark.parametrize("plan", ["weekly", "retired"])
    def test_an_unknown_or_retired_plan_is_answered_404(self, client_for, viewer, plan):
        Plan.objects.create(code="retired", name="Old", amount=1, currency="USD", is_active=False)
        with nothing_changes():
            answer = client_for(viewer).post(URL, {"plan": plan, "payment_method": VISA})
        assert (answer.status_code, code(answer)) == (404, "plan_not_found")

    def test_after_a_decline_another_card_activates_the_subscription(
        self, client_for, viewer, may_watch
    ):
        declined = client_for(viewer).post(URL, {"payment_method": DECLINED})
        assert (declined.status_code, code(declined)) == (402, "card_declined")
        assert Subscription.objects.get().status == "incomplete"
        assert not Payment.objects.exists()
        assert not may_watch(viewer)

        paid = client_for(viewer).post(URL, {"payment_method": VISA})
        assert (paid.status_code, paid.data["subscription"]["status"]) == (200, "active")
        subscription = Subscription.objects.get()
        start, end = period_of(subscription)
        assert timezone.now() - start < timedelta(minutes=1)
        assert end == add_months(start, 1)
        assert Invoice.objects.get().period_end == end
        assert may_watch(viewer)

    def test_a_subscription_without_a_card_waits_for_the_hosted_page(self, client_for, viewer):
        first = client_for(viewer).post(URL)
        with nothing_changes():
            again = client_for(viewer).post(URL)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.data["subscription"]["current_period_end"] is None
        assert first.data["next_action"]["type"] == "redirect"

    def test_an_unknown_card_activates_nothing(self, client_for, viewer):
        answer = client_for(viewer).post(URL, {"payment_method": "pm_mine"})
        assert (answer.status_code, code(answer)) == (422, "payment_method_unknown")
        assert Subscription.objects.get().status == "incomplete"
        assert not Entitlement.objects.exists()

    def test_a_process_that_dies_after_the_charge_is_continued(
        self, client_for, viewer, gateway_is
    ):
        with gateway_is(DyingGateway), pytest.raises(Killed):
            client_for(viewer).post(URL, {"payment_method": VISA})
        answer = client_for(viewer).post(URL, {"payment_method": VISA})
        assert (answer.status_code, answer.data["subscription"]["status"]) == (200, "active")
        assert SandboxPayment.objects.count() == 1
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    def test_a_year_is_twelve_months(self, client_for, viewer):
        Plan.objects.create(
            code="yearly", name="Yearly", amount=9900, currency="USD", interval="year"
        )
        client_for(viewer).post(URL, {"plan": "yearly", "payment_method": VISA})
        subscription = Subscription.objects.get()
        start, end = period_of(subscription)
        assert end == add_months(start, 12)

    def test_anonymous_callers_do_not_subscribe(self, client_for, db):
        with nothing_changes():
            assert client_for().post(URL, {"payment_method": VISA}).status_code == 401


@pytest.mark.django_db
class TestEnding:
    @pytest.mark.promise("cancel-and-resume")
    def test_a_cancellation_at_period_end_keeps_the_access(
        self, client_for, viewer, subscribe, may_watch
    ):
        subscribe(viewer)
        answer = client_for(viewer).post(f"{MINE}/cancel", {})
        assert (answer.status_code, answer.data["status"]) == (200, "active")
        assert answer.data["cancel_at_period_end"] is True
        assert may_watch(viewer)
        with nothing_changes():
            assert client_for(viewer).post(f"{MINE}/cancel", {}).status_code == 200

    @pytest.mark.promise("cancel-and-resume")
    def test_a_cancellation_now_ends_the_access(self, client_for, viewer, subscribe, may_watch):
        subscribe(viewer)
        answer = client_for(viewer).post(f"{MINE}/cancel", {"at_period_end": False})
        assert (answer.status_code, answer.data["status"]) == (200, "canceled")
        assert answer.data["ended_at"] is not None
        assert not may_watch(viewer)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}
        gone = client_for(viewer).get(MINE)
        assert (gone.status_code, code(gone)) == (404, "no_subscription")
        with nothing_changes():
            assert client_for(viewer).post(f"{MINE}/cancel", {}).status_code == 404
        assert subscribe(viewer).status == "active"
        assert may_watch(viewer)

    def test_another_users_subscription_cannot_be_canceled(
        self, client_for, viewer, make_user, subscribe
    ):
        subscribe(viewer)
        with nothing_changes():
            answer = client_for(make_user()).post(f"{MINE}/cancel", {"at_period_end": False})
        assert (answer.status_code, code(answer)) == (404, "no_subscription")

    @pytest.mark.promise("access-ends-by-the-clock")
    def test_access_ends_with_the_period_without_any_job(
        self, viewer, subscribe, may_watch, run_minute
    ):
        """Access ends one hour after the period without any job; the renewal brings it back."""
        subscription = subscribe(viewer)
        entitlement = Entitlement.objects.get()
        assert entitlement.ends_at == subscription.period_end + timedelta(hours=1)
        with time_machine.travel(entitlement.ends_at + timedelta(seconds=1)):
            assert not may_watch(viewer)
            run_minute()  # the sandbox renews, and its webhook reports it
            run_minute()
            assert may_watch(viewer)

    def test_a_lapsed_subscriber_subscribes_again_before_any_job_ran(
        self, viewer, subscribe, may_watch
    ):
        first = subscribe(viewer)
        with time_machine.travel(first.period_end + timedelta(hours=2)):
            assert not may_watch(viewer)
            assert subscribe(viewer).status == "active"
            assert may_watch(viewer)
            first.refresh_from_db()
            assert first.status == "expired"
            followups.run()
            sandbox.run_due()
            first.refresh_from_db()
            assert first.closed_at_gateway
        assert SandboxPayment.objects.filter(captured__gt=0).count() == 2

    def test_a_bought_video_outlives_the_subscription(
        self, client_for, viewer, subscribe, video, may_watch
    ):
        subscribe(viewer)
        body = {"payment_method": VISA, "force": True}
        client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}", body)
        client_for(viewer).post(f"{MINE}/cancel", {"at_period_end": False})
        assert may_watch(viewer)

    def test_refunding_the_invoice_ends_the_subscription(self, viewer, subscribe, may_watch):
        subscribe(viewer)
        payment = Payment.objects.get()
        SandboxRefund.objects.create(
            id="sbr_1", idempotency_key="k", payment_id=payment.external_id, amount=999
        )
        sync_payment(gateway="sandbox", external_id=payment.external_id)
        assert Subscription.objects.get().status == "canceled"
        assert not may_watch(viewer)
        assert balances() == {}


def test_options_does_not_show_the_answers_fields_as_a_body(client_for, viewer):
    answer = client_for(viewer).options("/api/v1/payments/subscription/cancel")
    assert answer.status_code == 200
    assert "actions" not in answer.json()
