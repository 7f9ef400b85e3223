"""Subscriptions over time: renewal, unpaid renewals, endings, plan changes, trials, late answers."""

import itertools
from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from payments.gateways.sandbox import SandboxGateway, charging, checkouts, events
from payments.gateways.sandbox import subscriptions as sandbox
from payments.models import (
    Entitlement,
    Invoice,
    Notice,
    Payment,
    Plan,
    Refund,
    SandboxClock,
    SandboxEvent,
    SandboxPayment,
    SandboxRefund,
    SandboxSubscription,
    Subscription,
)
from payments.periods import next_renewal
from payments.services.gateway_news import followups
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.subscribing import follow_gateway, lapsing, proration
from payments.tests.kit import (
    VISA,
    assert_books_balance,
    balances,
    checkout_of,
    code,
    nothing_changes,
    period_of,
    together,
)

URL = "/api/v1/payments/subscribe"
MINE = "/api/v1/payments/subscription"
WEBHOOKS = "/api/v1/payments/webhooks/sandbox"
FAILS_LATER = "pm_card_chargeCustomerFail"


def run_time() -> None:
    """Do the work of a worker's minute, and check that the books balance."""
    sandbox.run_due()
    events.deliver_due()
    lapsing.end_lapsed()
    followups.run()
    assert_books_balance()


def mine() -> Subscription:
    return Subscription.objects.get()


def period_end() -> datetime:
    """Return the end of the current period of the only subscription."""
    return period_of(mine())[1]


def may_watch(user) -> bool:
    return Entitlement.objects.live().filter(user=user).exists()


@pytest.fixture
def yearly(db):
    return Plan.objects.create(
        code="yearly", name="Yearly", amount=9900, currency="USD", interval="year"
    )


@pytest.fixture
def clock():
    with time_machine.travel(datetime(2027, 1, 10, 12, tzinfo=UTC), tick=False) as moved:
        yield moved


def nine(day: tuple[int, int, int]) -> datetime:
    """Return nine o'clock in UTC on a day: year, month, number."""
    return datetime.combine(date(*day), time(9), UTC)


@pytest.mark.promise("renewal-dates")
@pytest.mark.parametrize(
    ("anchor", "after", "expected"),
    [
        ((2027, 1, 31), (2027, 1, 31), (2027, 2, 28)),
        ((2027, 1, 31), (2027, 2, 28), (2027, 3, 31)),
        ((2028, 1, 31), (2028, 1, 31), (2028, 2, 29)),
        ((2027, 3, 27), (2027, 3, 27), (2027, 4, 27)),  # over a change of summer time
        ((2027, 12, 31), (2028, 2, 29), (2028, 3, 31)),
    ],
)
def test_renewals_keep_the_day_of_the_month(anchor, after, expected):
    """A subscription renews on its day of the month, or on the last day where that day is missing."""
    renewal = next_renewal(nine(anchor), nine(after), "month")
    assert renewal == nine(expected)


@pytest.mark.promise("renewal-dates")
def test_a_leap_day_is_kept_for_the_next_leap_year():
    """A yearly subscription of 29 February ends on the 28th, and on the 29th in leap years."""
    anchor = datetime(2028, 2, 29, tzinfo=UTC)
    ends = [anchor]
    for _ in range(4):
        ends.append(next_renewal(anchor, ends[-1], "year"))
    assert [(end.month, end.day) for end in ends] == [(2, 29), (2, 28), (2, 28), (2, 28), (2, 29)]


@pytest.mark.django_db
class TestRenewing:
    @pytest.mark.promise("period-billed-once")
    def test_three_periods_are_billed_once_each(self, subscribe, viewer, clock):
        """Three renewals are billed once each, although the job runs twice for each."""
        subscribe(viewer)
        for number in range(2, 5):
            clock.move_to(period_end() + timedelta(minutes=1))
            for _ in range(2):
                run_time()
            assert (mine().status, may_watch(viewer)) == ("active", True)
            assert Invoice.objects.filter(status="paid").count() == number
            assert SandboxPayment.objects.count() == number
        assert balances() == {"clearing:USD": -4 * 999, "deferred:USD": 4 * 999}
        starts = list(
            Invoice.objects.order_by("period_start").values_list("period_start", flat=True)
        )
        ends = list(Invoice.objects.order_by("period_start").values_list("period_end", flat=True))
        assert starts[1:] == ends[:-1]
        with nothing_changes():
            run_time()

    def test_every_month_that_the_job_missed_is_billed(self, subscribe, viewer, clock):
        subscribe(viewer)
        clock.shift(timedelta(days=95))
        run_time()
        assert Invoice.objects.filter(status="paid").count() == 4
        assert period_end() > timezone.now()

    def test_the_clock_is_moved_over_http(self, client_for, subscribe, viewer, admin):
        subscribe(viewer)
        url = "/api/v1/payments/sandbox/clock"
        assert client_for(viewer).post(url, {"days": 31}).status_code == 403
        assert client_for(admin).post(url, {}).status_code == 400
        assert client_for(admin).post(url, {"days": -1}).status_code == 400
        assert not SandboxClock.objects.exists()
        assert client_for(admin).post(url, {"days": 31}).status_code == 200
        assert Invoice.objects.filter(status="paid").count() == 2
        assert mine().status == "active"


@pytest.mark.django_db
class TestUnpaid:
    @pytest.fixture
    def failing(self, client_for, viewer, clock):
        client_for(viewer).post(URL, {"payment_method": FAILS_LATER})
        clock.move_to(period_end() + timedelta(minutes=1))
        run_time()
        return mine()

    @pytest.mark.promise("failed-renewal-has-grace")
    def test_access_lasts_until_the_grace_period_ends(self, failing, viewer, clock):
        """A declined renewal is past due; the access lasts until grace_until, without a gap."""
        assert failing.status == "past_due"
        assert failing.grace_until == failing.past_due_since + timedelta(days=7)
        assert Entitlement.objects.get().ends_at == failing.grace_until
        assert may_watch(viewer)
        assert Notice.objects.filter(subject="Your card was declined").count() == 1
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    @pytest.mark.promise("failed-renewal-has-grace")
    def test_another_card_pays_an_unpaid_renewal_at_once(self, failing, client_for, viewer, clock):
        """Another card pays a declined renewal at once: the subscription is active again."""
        clock.shift(timedelta(days=2))
        answer = client_for(viewer).post(f"{MINE}/payment-method", {"payment_method": VISA})
        assert (answer.status_code, answer.data["status"]) == (200, "active")
        assert (may_watch(viewer), mine().grace_until) == (True, None)
        assert balances() == {"clearing:USD": -2 * 999, "deferred:USD": 2 * 999}
        clock.move_to(period_end() + timedelta(minutes=1))
        run_time()
        assert mine().status == "active"

    def test_an_unpaid_renewal_is_charged_again_by_itself(self, failing, viewer, clock):
        SandboxSubscription.objects.update(payment_method=VISA)
        clock.shift(timedelta(days=1, minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer)) == ("active", True)

    @pytest.mark.promise("failed-renewal-has-grace")
    def test_an_unpaid_subscription_ends_with_its_grace_period(self, failing, viewer, clock):
        """A renewal that is never paid ends the access at grace_until; the job then expires it for
        good."""
        clock.move_to(failing.grace_until + timedelta(seconds=1))
        assert not may_watch(viewer)
        run_time()
        assert mine().status == "expired"
        assert AuditEntry.objects.filter(action="subscription.ended").count() == 1
        assert SandboxSubscription.objects.get().ended_at is not None
        assert Notice.objects.filter(subject="Your subscription has ended").count() == 1
        tried = SandboxPayment.objects.count()
        clock.shift(timedelta(days=60))
        run_time()
        assert SandboxPayment.objects.count() == tried

    def test_a_declined_new_card_changes_nothing(self, failing, client_for, viewer):
        declined = {"payment_method": "pm_card_chargeDeclined"}
        with nothing_changes():
            answer = client_for(viewer).post(f"{MINE}/payment-method", declined)
        assert (answer.status_code, code(answer)) == (402, "card_declined")

    def test_an_unpaid_subscription_cannot_change_its_plan(
        self, failing, client_for, viewer, yearly
    ):
        with nothing_changes():
            answer = client_for(viewer).post(f"{MINE}/change", {"plan": "yearly"})
        assert (answer.status_code, code(answer)) == (409, "subscription_not_running")


@pytest.mark.django_db
class TestEnding:
    @pytest.mark.promise("cancel-and-resume")
    def test_a_resumed_subscription_renews(self, client_for, subscribe, viewer, clock):
        """A subscription that is resumed after its cancellation renews at the end of its period."""
        subscribe(viewer)
        client_for(viewer).post(f"{MINE}/cancel", {})
        answer = client_for(viewer).post(f"{MINE}/resume")
        assert (answer.status_code, answer.data["cancel_at_period_end"]) == (200, False)
        with nothing_changes():
            assert code(client_for(viewer).post(f"{MINE}/resume")) == "not_canceled"
        clock.move_to(period_end() + timedelta(minutes=1))
        run_time()
        assert (mine().status, Invoice.objects.count()) == ("active", 2)

    @pytest.mark.promise("cancel-and-resume")
    def test_a_subscription_canceled_at_period_end_is_not_billed_again(
        self, client_for, subscribe, viewer, clock
    ):
        """A subscription canceled for its end gives access until then and is not billed again."""
        subscribe(viewer)
        client_for(viewer).post(f"{MINE}/cancel", {})
        clock.move_to(period_end() - timedelta(minutes=1))
        run_time()
        assert may_watch(viewer)
        clock.move_to(period_end() + timedelta(minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer), Invoice.objects.count()) == ("canceled", False, 1)

    @pytest.mark.promise("invoice-refund-and-recognition")
    def test_refunding_the_invoice_ends_the_subscription_at_the_gateway_too(
        self, subscribe, viewer, admin, clock
    ):
        """An invoice refunded before recognition ends the subscription here and at the gateway."""
        subscribe(viewer)
        refunds.refund_invoice(
            invoice_id=Invoice.objects.get().pk, amount=None, reason="", actor=admin
        )
        assert (mine().status, may_watch(viewer), balances()) == ("canceled", False, {})
        run_time()
        assert SandboxSubscription.objects.get().ended_at is not None
        assert mine().closed_at_gateway

    def test_a_pending_refund_that_fails_gives_the_access_back(self, client_for, viewer, admin):
        client_for(viewer).post(URL, {"payment_method": "pm_card_pendingRefund"})
        invoice = Invoice.objects.get()
        refunds.refund_invoice(invoice_id=invoice.pk, amount=None, reason="", actor=admin)
        assert (mine().status, may_watch(viewer), balances()) == ("active", False, {})
        charging.resolve_refund(SandboxRefund.objects.get().pk, succeeds=False)
        sync_payment(gateway="sandbox", external_id=Payment.objects.get().external_id)
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert proration.period_value(mine()) == invoice.amount  # none of it has gone back

    def test_subscriptions_end_with_their_grace_and_are_counted(self, subscribe, make_user):
        for _ in range(3):
            subscribe(make_user())
        rows = Subscription.objects.order_by("pk")
        over = timezone.now() - timedelta(seconds=1)
        rows.update(status="past_due", grace_until=over)
        later = Subscription.objects.latest("pk")
        rows.filter(pk=later.pk).update(grace_until=over + timedelta(hours=1))

        assert lapsing.end_lapsed() == 2
        assert [row.status for row in rows] == ["expired", "expired", "past_due"]

    def test_a_partial_refund_of_an_invoice_ends_nothing(self, subscribe, viewer, admin):
        subscribe(viewer)
        for _ in range(2):  # the second call, with the same key, continues the first one
            refunds.refund_invoice(
                invoice_id=Invoice.objects.get().pk, amount=500, reason="", actor=admin, key="k"
            )
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert balances() == {"clearing:USD": -499, "deferred:USD": 499}

    def test_a_disputed_invoice_suspends_access_until_it_is_won(self, subscribe, viewer):
        subscribe(viewer)
        payment = Payment.objects.get()
        dispute = charging.open_dispute(payment.external_id)
        sync_payment(gateway="sandbox", external_id=payment.external_id)
        assert (may_watch(viewer), balances()) == (False, {})
        charging.close_dispute(dispute.pk, reinstated=999)
        sync_payment(gateway="sandbox", external_id=payment.external_id)
        assert may_watch(viewer)


@pytest.mark.django_db
class TestChanging:
    @pytest.mark.promise("plan-change")
    def test_an_upgrade_begins_at_once(self, client_for, subscribe, viewer, yearly, clock):
        """An upgrade begins at once; the unused half of the old period is taken off its price."""
        subscribe(viewer)
        start, end = period_of(mine())
        clock.shift((end - start) / 2)
        answer = client_for(viewer).post(f"{MINE}/change", {"plan": "yearly"})
        assert (answer.status_code, answer.data["plan"]) == (200, "yearly")
        old, new = Invoice.objects.order_by("period_start")
        assert new.amount == 9900 - 499
        assert (old.ended_early_at, new.status) == (new.period_start, "paid")
        assert mine().period_end == datetime(2028, 1, 26, 0, tzinfo=UTC)
        assert balances()["deferred:USD"] == 999 + new.amount
        with nothing_changes():
            again = client_for(viewer).post(f"{MINE}/change", {"plan": "yearly"})
        assert (again.status_code, code(again)) == (409, "plan_unchanged")

    @pytest.mark.promise("plan-change")
    def test_a_downgrade_waits_for_the_period_end(self, client_for, viewer, yearly, clock):
        """A downgrade, with its lower price, begins when the paid period ends."""
        client_for(viewer).post(URL, {"plan": "yearly", "payment_method": VISA})
        answer = client_for(viewer).post(f"{MINE}/change", {"plan": "monthly"})
        assert (answer.data["plan"], answer.data["next_plan"]) == ("yearly", "monthly")
        clock.move_to(period_end() + timedelta(minutes=1))
        run_time()
        assert (mine().plan.code, mine().next_plan) == ("monthly", None)
        assert Invoice.objects.latest("period_start").amount == 999
        assert mine().period_end == datetime(2028, 2, 10, 12, tzinfo=UTC)

    def test_a_waiting_downgrade_can_be_withdrawn(self, client_for, viewer, yearly):
        client_for(viewer).post(URL, {"plan": "yearly", "payment_method": VISA})
        client_for(viewer).post(f"{MINE}/change", {"plan": "monthly"})
        answer = client_for(viewer).post(f"{MINE}/change", {"plan": "yearly"})
        assert (answer.status_code, answer.data["next_plan"]) == (200, None)

    def test_a_declined_upgrade_changes_nothing(self, client_for, viewer, yearly):
        client_for(viewer).post(URL, {"payment_method": FAILS_LATER})
        with nothing_changes():
            answer = client_for(viewer).post(f"{MINE}/change", {"plan": "yearly"})
        assert (answer.status_code, code(answer)) == (402, "card_declined")

    def test_an_unknown_plan_is_answered_404(self, client_for, subscribe, viewer):
        subscribe(viewer)
        with nothing_changes():
            answer = client_for(viewer).post(f"{MINE}/change", {"plan": "weekly"})
        assert (answer.status_code, code(answer)) == (404, "plan_not_found")


@pytest.mark.django_db
class TestTrying:
    @pytest.fixture
    def trial(self, db):
        return Plan.objects.create(
            code="trial", name="Trial", amount=999, currency="USD", trial_days=7
        )

    def test_a_trial_needs_no_card_and_costs_nothing(self, client_for, viewer, trial):
        answer = client_for(viewer).post(URL, {"plan": "trial"})
        assert (answer.status_code, answer.data["subscription"]["status"]) == (201, "trialing")
        assert answer.data["next_action"] is None
        assert (may_watch(viewer), balances(), Invoice.objects.count()) == (True, {}, 0)

    def test_a_trial_with_a_card_continues_as_a_paid_subscription(
        self, client_for, viewer, trial, clock
    ):
        client_for(viewer).post(URL, {"plan": "trial", "payment_method": VISA})
        clock.shift(timedelta(days=7, minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    def test_a_trial_without_a_card_ends_after_its_days(self, client_for, viewer, trial, clock):
        client_for(viewer).post(URL, {"plan": "trial"})
        clock.shift(timedelta(days=7, minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer), balances()) == ("canceled", False, {})
        assert not Invoice.objects.exists()
        assert not SandboxPayment.objects.exists()
        with nothing_changes():
            clock.shift(timedelta(days=30))
            run_time()

    def test_a_card_that_is_given_in_the_trial_continues_it(self, client_for, viewer, trial, clock):
        client_for(viewer).post(URL, {"plan": "trial"})
        client_for(viewer).post(f"{MINE}/payment-method", {"payment_method": VISA})
        clock.shift(timedelta(days=7, minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    def test_a_trial_whose_payment_fails_is_not_prolonged_by_the_grace_period(
        self, client_for, viewer, trial, clock
    ):
        client_for(viewer).post(URL, {"plan": "trial", "payment_method": FAILS_LATER})
        clock.shift(timedelta(days=7, minutes=1))
        run_time()
        assert (mine().status, may_watch(viewer), balances()) == ("past_due", False, {})
        assert "Your free days of Trial are over" in Notice.objects.get().body
        client_for(viewer).post(f"{MINE}/payment-method", {"payment_method": VISA})
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    @pytest.mark.parametrize("other", [False, True])
    @pytest.mark.parametrize("ends", ["now", "after its days"])
    def test_a_user_gets_one_trial(self, client_for, viewer, trial, clock, ends, other):
        client_for(viewer).post(URL, {"plan": "trial"})
        if ends == "now":
            client_for(viewer).post(f"{MINE}/cancel", {"at_period_end": False})
        else:
            clock.shift(timedelta(days=8))
            run_time()
        plan = "trial"
        if other:
            plan = "another"
            Plan.objects.create(code=plan, name="x", amount=99, currency="EUR", trial_days=30)
        answer = client_for(viewer).post(URL, {"plan": plan})
        assert answer.data["subscription"]["status"] == "incomplete"
        assert answer.data["next_action"]["type"] == "redirect"
        assert not may_watch(viewer)
        paid = client_for(viewer).post(URL, {"plan": plan, "payment_method": VISA})
        assert paid.data["subscription"]["status"] == "active"

    def test_a_plan_with_a_trial_gives_none_to_a_former_subscriber(
        self, client_for, viewer, subscribe, trial
    ):
        subscribe(viewer)
        client_for(viewer).post(f"{MINE}/cancel", {"at_period_end": False})
        answer = client_for(viewer).post(URL, {"plan": "trial"})
        assert answer.data["subscription"]["status"] == "incomplete"


@pytest.mark.django_db
class TestAuthentication:
    @pytest.mark.promise("bank-authentication")
    def test_a_subscription_waits_for_the_banks_authentication(self, client_for, client, viewer):
        """A subscription with a card that needs authentication is incomplete until the bank confirms."""
        answer = client_for(viewer).post(URL, {"payment_method": "pm_card_authenticationRequired"})
        assert (answer.status_code, answer.data["next_action"]["type"]) == (202, "authenticate")
        assert (mine().status, may_watch(viewer)) == ("incomplete", False)
        page = answer.data["next_action"]["url"].removeprefix("http://testserver")
        assert 'value="confirm"' in client.get(page).content.decode()
        client.post(page, {"button": "confirm"})
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    @pytest.fixture
    def asked(self, client_for, viewer):
        answer = client_for(viewer).post(URL, {"payment_method": "pm_card_authenticationRequired"})
        return answer.data["next_action"]["url"].removeprefix("http://testserver")

    def test_a_confirmation_after_the_cancellation_is_refunded(
        self, client_for, client, viewer, asked
    ):
        client_for(viewer).post(f"{MINE}/cancel", {"at_period_end": False})
        client.post(asked, {"button": "confirm"})
        run_time()
        assert (mine().status, may_watch(viewer), balances()) == ("canceled", False, {})
        assert Refund.objects.get().status == "succeeded"

    def test_after_a_refused_authentication_another_card_subscribes(
        self, client_for, client, viewer, asked
    ):
        client.post(asked, {"button": "refuse"})
        answer = client_for(viewer).post(URL, {"payment_method": VISA})
        assert answer.data["subscription"]["status"] == "active"
        assert (may_watch(viewer), balances()) == (
            True,
            {"clearing:USD": -999, "deferred:USD": 999},
        )

    def test_after_a_refused_authentication_the_page_takes_another_card(
        self, client_for, client, viewer
    ):
        answer = client_for(viewer).post(URL, {})
        page = answer.data["next_action"]["url"].removeprefix("http://testserver")
        client.post(page, {"button": "authenticate"})
        client.post(page, {"button": "refuse"})
        assert "Paid." in client.post(page, {"button": "pay"}).content.decode()
        run_time()
        live = Subscription.objects.get(status="active")
        assert (live.disposition, may_watch(viewer)) == ("primary", True)
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}


@pytest.mark.django_db
class TestAnswersOutOfOrder:
    @pytest.mark.promise("subscription-news-in-any-order")
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_events_in_any_order_make_the_subscription_active(
        self, client_for, client, viewer, order
    ):
        client_for(viewer).post(URL)
        checkouts.pay(checkout_of(mine()), VISA)
        told = list(SandboxEvent.objects.order_by("pk"))
        assert {event.kind for event in told} == {"payment", "subscription", "checkout"}
        for index in order:
            body, headers = events.message(told[index])
            answer = client.post(WEBHOOKS, body, content_type="application/json", headers=headers)
            assert answer.json() == {"status": "processed"}
        assert (mine().status, may_watch(viewer)) == ("active", True)
        assert Invoice.objects.get().status == "paid"
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    @pytest.mark.promise("subscription-news-in-any-order")
    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_a_stale_answer_of_the_gateway_is_ignored(
        self, subscribe, viewer, monkeypatch, at_period_end
    ):
        """An answer that arrives after the answer to a later question is ignored."""
        row = subscribe(viewer)
        stale = SandboxGateway().fetch_subscription(row.external_id)
        sandbox.cancel(row.external_id, at_period_end=at_period_end)
        fetch = SandboxGateway.fetch_subscription
        asked = []

        def slow(self, external_id):
            asked.append(external_id)
            if len(asked) == 1:  # while this answer is on its way, another process asks
                follow_gateway.sync_subscription(gateway="sandbox", external_id=external_id)
                return stale
            return fetch(self, external_id)

        monkeypatch.setattr(SandboxGateway, "fetch_subscription", slow)
        follow_gateway.sync_subscription(gateway="sandbox", external_id=row.external_id)
        assert len(asked) == 2
        ended = not at_period_end
        assert (mine().status, may_watch(viewer)) == (
            "canceled" if ended else "active",
            not ended,
        )
        assert mine().cancel_at_period_end is at_period_end


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.promise("period-billed-once")
    def test_eight_workers_bill_a_period_once(self, subscribe, viewer):
        """Eight workers at the same moment bill a due period once."""
        external_id = subscribe(viewer).external_id
        SandboxClock.objects.create(ahead=timedelta(days=31))

        def work():
            sandbox.run_due()
            follow_gateway.sync_subscription(gateway="sandbox", external_id=external_id)

        together([work] * 8)
        assert Invoice.objects.filter(status="paid").count() == 2
        assert SandboxPayment.objects.count() == 2
        assert balances() == {"clearing:USD": -2 * 999, "deferred:USD": 2 * 999}

    def test_simultaneous_syncs_of_one_subscription_agree(self, subscribe, viewer):
        row = subscribe(viewer)
        sandbox.cancel(row.external_id, at_period_end=True)
        sync = lambda: follow_gateway.sync_subscription(  # noqa: E731
            gateway="sandbox", external_id=row.external_id
        )
        together([sync] * 12)
        assert (mine().status, mine().cancel_at_period_end) == ("active", True)
        assert Invoice.objects.count() == 1
