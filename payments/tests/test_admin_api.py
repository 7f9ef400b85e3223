"""The admin API of money: journal, refunds, pools, payouts, coupons, webhooks, review, revenue."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from audit.models import AuditEntry
from payments.books import figures, reports
from payments.gateways.sandbox import SandboxGateway, charging, events
from payments.models import (
    Coupon,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Order,
    Payment,
    Payout,
    Plan,
    Pool,
    Refund,
    WatchDaily,
    WebhookEvent,
)
from payments.periods import Month
from payments.services.buying import checkout
from payments.services.gateway_news import reconciliation
from payments.services.payouts import payouts
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.services.sharing import recognition
from payments.tests.kit import VISA, assert_books_balance, code, nothing_changes
from payments.tests.kit import statements as asked_for

pytestmark = pytest.mark.django_db

BASE = "/api/v1/payments/admin"


@pytest.fixture
def office(client_for, admin):
    """An API client that is signed in as an administrator."""
    return client_for(admin)


@pytest.fixture
def no_hold(settings):
    settings.PAYOUT_HOLD_DAYS = 0


@pytest.fixture
def order(buy, viewer, make_video, creator):
    return buy(viewer, make_video(creator=creator, price=1999))


@pytest.fixture
def payout(no_hold, order, creator):
    (made,) = payouts.request(creator)
    return made


def trail(action: str) -> list[tuple]:
    """Return the actor and the target of each audit entry of an action, oldest first."""
    entries = AuditEntry.objects.filter(action=action).order_by("id")
    return list(entries.values_list("actor_id", "target_id"))


def dispute(order: Order, amount: int | None = None):
    """Open a dispute about an order, by default over its whole amount, and sync the payment."""
    payment = order.payments.get()
    row = charging.open_dispute(payment.external_id, amount=amount or payment.captured)
    events.deliver_due()
    sync_payment(gateway="sandbox", external_id=payment.external_id)
    return row


def test_the_journal_shows_every_entry_with_its_transfers(office, order):
    (entry,) = office.get(f"{BASE}/ledger/entries").data["results"]

    assert (entry["kind"], entry["payment_id"]) == ("capture", order.payments.get().pk)
    shown = [(t["debit"], t["credit"], t["amount"]) for t in entry["transfers"]]
    assert shown == [
        ("clearing:sandbox:USD", f"creator:{order.creator_id}:USD", "16.00"),
        ("clearing:sandbox:USD", "platform:USD", "3.99"),
    ]


def test_the_journal_is_filtered(office, admin, order, make_user, make_video, buy):
    refunds.refund_order(order_id=order.pk, amount=500, reason="", actor=admin)
    other = buy(make_user(), make_video(price=300))
    account = f"creator:{other.creator_id}:USD"
    now = timezone.now()

    def kinds(**query):
        rows = office.get(f"{BASE}/ledger/entries", query).data["results"]
        return sorted(row["kind"] for row in rows)

    assert kinds() == ["capture", "capture", "refund"]
    assert kinds(kind="refund") == ["refund"]
    assert kinds(kind="write_off") == []
    assert kinds(account=account) == ["capture"]
    assert kinds(role="creator") == ["capture", "capture", "refund"]
    assert kinds(role="pool") == []
    assert kinds(payment=order.payments.get().pk) == ["capture", "refund"]
    assert kinds(**{"from": (now + timedelta(hours=1)).isoformat()}) == []
    assert kinds(**{"from": (now - timedelta(hours=1)).isoformat()}) == kinds()
    assert kinds(to=(now - timedelta(hours=1)).isoformat()) == []


@pytest.mark.parametrize(
    "query",
    [
        "ledger/entries?kind=nothing", "ledger/entries?account=nobody", "ledger/entries?role=king",
        "ledger/entries?payment=x", "ledger/entries?payment=00000000-0000-0000-0000-000000000000",
        "ledger/entries?from=yesterday", "ledger/entries?ordering=key", "disputes?status=maybe",
        "payouts?status=lost", "payouts?creator=me", "webhook-events?status=maybe",
        "webhook-events?gateway=paypal", "coupons?is_active=maybe", "coupons?funded_by=nobody",
        "revenue?group_by=video", "revenue?group_by=weather", "payouts?currency=XXX",
        "payouts?currency=usd", "pools?currency=XXX", "pools?period=2026-13", "pools?period=May",
    ],
)  # fmt: skip
def test_an_unknown_filter_is_refused(office, query):
    assert office.get(f"{BASE}/{query}").status_code == 400


def test_the_filters_know_every_entry_kind_and_account_role(
    office, admin, payout, order, make_user, subscribe
):
    """Every entry kind and account role that the services write is a choice of the filters."""
    payouts.approve(payout_id=payout.pk, actor=admin)
    payouts.mark_failed(payout_id=payout.pk, reason="no account", actor=admin)
    dispute(order)
    subscribe(make_user())
    now = timezone.now()
    recognition.recognise(Month.of((now + timedelta(days=40)).date()), "USD")

    assert set(JournalEntry.objects.values_list("kind", flat=True)) <= set(JournalEntry.Kind)
    assert set(LedgerAccount.objects.values_list("role", flat=True)) <= set(LedgerAccount.Role)


def test_disputes_are_listed(office, order):
    dispute(order)

    (row,) = office.get(f"{BASE}/disputes").data["results"]

    assert (row["withdrawn"], row["reinstated"], row["currency"]) == ("19.99", "0.00", "USD")
    assert row["order_id"] == str(order.pk)
    assert office.get(f"{BASE}/disputes?status={row['status']}").data["results"] == [row]
    assert office.get(f"{BASE}/disputes?status=won").data["results"] == []


def test_an_invoice_is_refunded_in_part_and_then_in_full(office, admin, subscribe, viewer):
    invoice = subscribe(viewer).invoices.get()
    url = f"{BASE}/invoices/{invoice.pk}/refund"

    first = office.post(url, {"amount": "2.00"}, HTTP_IDEMPOTENCY_KEY="a")
    replay = office.post(url, {"amount": "2.00"}, HTTP_IDEMPOTENCY_KEY="a")
    rest = office.post(url, {})

    assert (first.status_code, replay.status_code, rest.status_code) == (200, 200, 200)
    assert replay["Idempotent-Replayed"] == "true"
    assert list(Refund.objects.order_by("pk").values_list("amount", "by")) == [
        (200, admin.pk),
        (799, admin.pk),
    ]
    assert_books_balance()


@pytest.mark.promise("disputed-order-not-refunded")
def test_an_impossible_refund_moves_nothing(office, order, subscribe, make_user):
    """A refund of a disputed order, of too much or of an invalid amount is refused and moves nothing."""
    invoice = subscribe(make_user()).invoices.get()
    dispute(order)
    url = f"{BASE}/invoices/{invoice.pk}/refund"
    with nothing_changes():
        disputed = office.post(f"{BASE}/orders/{order.pk}/refund", {})
        assert (disputed.status_code, code(disputed)) == (409, "disputed")
        large = office.post(url, {"amount": "10.00"})
        assert (large.status_code, code(large)) == (422, "refund_too_large")
        for amount in ("0", "-1", "1.999", "x"):
            assert office.post(url, {"amount": amount}).status_code == 400
        assert office.post(f"{BASE}/invoices/{uuid.uuid4()}/refund", {}).status_code == 404


# --- pools ------------------------------------------------------------------------------------


@pytest.fixture
def watched(subscribe, viewer, make_video, creator):
    """Last month, when a subscriber paid and watched 600 seconds of the creator's video."""
    invoice = subscribe(viewer).invoices.get()
    month = Month.of(timezone.now().date())
    last = Month.of(month.first_day - timedelta(days=1))
    start = datetime(last.year, last.month, 1, tzinfo=UTC)
    type(invoice).objects.update(
        period_start=start, period_end=start + timedelta(days=28), paid_at=start
    )
    video = make_video(creator=creator)
    WatchDaily.objects.create(
        user=viewer, video=video, creator=creator, day=last.first_day, seconds=600, plan_seconds=600
    )
    return last


@pytest.fixture
def closable(settings):
    settings.POOL_CLOSE_AFTER_HOURS = 0


def test_a_dry_run_says_what_closing_would_share_and_writes_nothing(office, creator, watched):
    with nothing_changes():
        answer = office.post(f"{BASE}/pools/{watched}/close?dry_run=1")

    assert (answer.status_code, answer.data["dry_run"]) == (200, True)
    (pool,) = answer.data["pools"]
    assert (pool["currency"], pool["amount"], pool["total_seconds"]) == ("USD", "8.00", 600)
    assert pool["shares"] == [{"creator_id": str(creator.pk), "seconds": 600, "amount": "8.00"}]


@pytest.mark.promise("month-closed-once")
def test_closing_a_month_shares_it_once(office, admin, creator, watched, closable):
    """Closing a month twice over the API shares its pool once and gives the same answer."""
    url = f"{BASE}/pools/{watched}/close"
    first = office.post(url)
    with nothing_changes():
        again = office.post(url)

    assert (first.status_code, first.data["dry_run"]) == (200, False)
    assert again.json() == first.json()
    pool = Pool.objects.get()
    assert (pool.amount, pool.closed_by_id) == (800, admin.pk)
    assert trail("pool.closed") == [(admin.pk, str(pool.pk))]
    (row,) = office.get(f"{BASE}/pools", {"period": str(watched)}).data["results"]
    assert (row["amount"], row["creators"], row["currency"]) == ("8.00", 1, "USD")
    assert office.get(f"{BASE}/pools", {"period": "2020-01"}).data["results"] == []


@pytest.mark.usefixtures("clock")  # so that it does not end meanwhile
def test_a_month_that_is_not_over_is_not_closed(office, watched):
    with nothing_changes():
        answer = office.post(f"{BASE}/pools/{Month.of(timezone.now().date())}/close")
        assert (answer.status_code, code(answer)) == (409, "period_not_over")
        assert office.post(f"{BASE}/pools/2026-13/close").status_code == 404
        assert office.post(f"{BASE}/pools/{watched}/close?dry_run=yes").status_code == 400


# --- payouts ----------------------------------------------------------------------------------


def step(office, payout, name: str, body=None):
    return office.post(f"{BASE}/payouts/{payout.pk}/{name}", body or {})


def test_a_payout_is_approved_sent_and_paid(office, admin, payout):
    assert step(office, payout, "approve").data["status"] == "approved"
    assert step(office, payout, "processing").data["status"] == "processing"
    paid = step(office, payout, "mark-paid", {"external_ref": "SEPA-1"})

    assert (paid.status_code, paid.data["status"], paid.data["external_ref"]) == (
        200,
        "paid",
        "SEPA-1",
    )
    assert paid.data["approved_by_id"] == admin.pk
    assert trail("payout.approved") == trail("payout.settled") == [(admin.pk, str(payout.pk))]
    assert_books_balance()
    assert office.get(f"{BASE}/payouts/{payout.pk}").data == paid.data
    assert office.get(f"{BASE}/payouts?status=paid").data["results"] == [paid.data]
    assert office.get(f"{BASE}/payouts?status=draft").data["results"] == []
    assert office.get(f"{BASE}/payouts?creator={payout.creator_id}").data["results"] == [paid.data]


def test_a_payout_that_fails_or_is_canceled_is_in_the_balance_again(office, creator, payout):
    step(office, payout, "approve")
    failed = step(office, payout, "mark-failed", {"failure": "no such account"})
    assert (failed.data["status"], failed.data["failure"]) == ("failed", "no such account")
    assert payouts.available(creator.pk)["USD"]["available"] == 1600

    (second,) = payouts.request(creator)
    assert step(office, second, "cancel").data["status"] == "canceled"
    assert payouts.available(creator.pk)["USD"]["available"] == 1600


@pytest.mark.promise("payout-needs-second-person")
def test_the_requester_of_a_payout_cannot_approve_it(office, client_for, make_user, no_hold, order):
    """The administrator who requested a payout gets 403 when approving it; another one may approve."""
    (made,) = office.post(f"{BASE}/payouts/run").data["payouts"]
    payout = Payout.objects.get(pk=made["id"])

    with nothing_changes():
        own = step(office, payout, "approve")
    assert (own.status_code, code(own)) == (403, "same_person")
    assert trail("payout.approved") == []

    other = client_for(make_user(Role.ADMIN))
    assert step(other, payout, "approve").data["status"] == "approved"


def test_a_payout_run_makes_no_second_payout(office, payout):
    with nothing_changes():
        assert office.post(f"{BASE}/payouts/run").data["payouts"] == []


def test_a_payout_step_out_of_order_changes_nothing(office, payout):
    with nothing_changes():
        for name, body in (
            ("processing", {}),
            ("mark-paid", {"external_ref": "x"}),
            ("mark-failed", {"failure": "x"}),
        ):
            answer = step(office, payout, name, body)
            assert (answer.status_code, code(answer)) == (409, "payout_state"), name
        assert step(office, payout, "mark-paid").status_code == 400
        assert step(office, payout, "mark-failed").status_code == 400
        payout.pk = uuid.uuid4()
        for name in ("approve", "processing", "cancel"):
            assert step(office, payout, name).status_code == 404


# --- coupons and plans ------------------------------------------------------------------------


def test_a_coupon_is_made_changed_and_ended(office, admin):
    made = office.post(f"{BASE}/coupons", {"code": "SPRING", "percent_bps": 2500})
    assert (made.status_code, made.data["code"], made.data["percent_bps"]) == (201, "SPRING", 2500)
    url = f"{BASE}/coupons/{made.data['id']}"

    changed = office.patch(url, {"percent_bps": None, "amount": "5.00", "currency": "USD"})
    assert (changed.status_code, changed.data["amount"]) == (200, "5.00")
    ended = office.patch(url, {"is_active": False})
    assert ended.data["is_active"] is False

    assert office.get(url).data == ended.data
    assert office.get(f"{BASE}/coupons?is_active=false").data["results"] == [ended.data]
    assert office.get(f"{BASE}/coupons?is_active=true").data["results"] == []
    assert trail("coupon.changed") == [(admin.pk, made.data["id"])] * 3
    last = AuditEntry.objects.filter(action="coupon.changed").latest("id")
    assert (last.data["fields"], last.data["amount"]) == (["is_active"], 500)
    with nothing_changes():
        office.patch(url, {"is_active": False})
    assert len(trail("coupon.changed")) == 3
    assert office.delete(url).status_code == 405


def test_the_discount_of_a_used_coupon_cannot_be_changed(office, client_for, make_user, make_video):
    made = office.post(f"{BASE}/coupons", {"code": "HALF", "percent_bps": 5000})
    video = make_video(price=1000)
    body = {"payment_method": VISA, "coupon": "half"}
    client_for(make_user()).post(f"/api/v1/payments/purchase/{video.pk}", body)
    url = f"{BASE}/coupons/{made.data['id']}"

    with nothing_changes():
        for change in ({"percent_bps": 100}, {"funded_by": "creator"}, {"code": "OTHER"}):
            answer = office.patch(url, change)
            assert (answer.status_code, code(answer)) == (409, "coupon_used"), change
            assert answer.data["errors"][0]["attr"] == next(iter(change))
        assert office.patch(url, {"max_redemptions": 0}).status_code == 400
    assert office.patch(url, {"max_redemptions": 1}).status_code == 200
    assert Coupon.objects.get().redeemed == 1


def test_a_coupon_cannot_be_limited_to_fewer_uses_than_it_has_had(office):
    made = office.post(f"{BASE}/coupons", {"code": "HALF", "percent_bps": 5000})
    Coupon.objects.update(redeemed=2)
    url = f"{BASE}/coupons/{made.data['id']}"

    with nothing_changes():
        answer = office.patch(url, {"max_redemptions": 1})

    assert (answer.status_code, answer.data["errors"][0]["attr"]) == (400, "max_redemptions")
    assert "at least 2" in answer.data["errors"][0]["detail"]
    assert office.patch(url, {"max_redemptions": 2}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"percent_bps": 100}, "code"),
        ({"code": "a b", "percent_bps": 100}, "code"),
        ({"code": "spring", "percent_bps": 100}, "code"),  # there is SPRING
        ({"code": "X1"}, "percent_bps"),
        ({"code": "X1", "percent_bps": 0}, "percent_bps"),
        ({"code": "X1", "percent_bps": 10_001}, "percent_bps"),
        ({"code": "X1", "percent_bps": 100, "amount": "5.00", "currency": "USD"}, "percent_bps"),
        ({"code": "X1", "amount": "0", "currency": "USD"}, "amount"),
        ({"code": "X1", "amount": "5.00"}, "amount"),
        ({"code": "X1", "amount": "5.001", "currency": "USD"}, "amount"),
        ({"code": "X1", "percent_bps": 100, "funded_by": "creator"}, "creator"),
        ({"code": "X1", "percent_bps": 100, "creator": str(uuid.uuid4())}, "creator"),
        ({"code": "X1", "percent_bps": 100, "ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"code": "X1", "percent_bps": 100, "per_user": 0}, "per_user"),
    ],
)
def test_an_invalid_coupon_is_not_made(office, body, field):
    office.post(f"{BASE}/coupons", {"code": "SPRING", "percent_bps": 2500})
    with nothing_changes():
        answer = office.post(f"{BASE}/coupons", body)
    assert (answer.status_code, answer.data["errors"][0]["attr"]) == (400, field), answer.data


def test_a_plan_is_made_renamed_and_no_longer_offered(office, admin, client_for):
    body = {
        "code": "yearly",
        "name": "Yearly",
        "amount": "99.00",
        "currency": "USD",
        "interval": "year",
    }
    made = office.post(f"{BASE}/plans", body)
    assert (made.status_code, made.data["amount"]) == (201, "99.00")
    url = f"{BASE}/plans/{made.data['id']}"

    changed = office.patch(url, {"name": "A year", "is_active": False, "amount": "1.00"})

    assert (changed.data["name"], changed.data["is_active"], changed.data["amount"]) == (
        "A year",
        False,
        "99.00",
    )
    assert trail("plan.changed") == [(admin.pk, made.data["id"])] * 2
    first, last = AuditEntry.objects.filter(action="plan.changed").order_by("id")
    assert (first.data["amount"], first.data["currency"]) == (9900, "USD")
    assert (last.data["fields"], last.data["is_active"]) == (["is_active", "name"], False)
    assert len(office.get(f"{BASE}/plans").data["results"]) == 2
    offered = client_for().get("/api/v1/payments/plans").data["results"]
    assert [plan["code"] for plan in offered] == ["monthly"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "monthly"}, "code"), ({"amount": "0"}, "amount"), ({"amount": "-1"}, "amount"),
        ({"amount": "1.001"}, "amount"), ({"currency": "XXX"}, "currency"),
        ({"interval": "week"}, "interval"), ({"trial_days": -1}, "trial_days"),
    ],
)  # fmt: skip
def test_an_invalid_plan_is_not_made(office, change, field):
    body = {"code": "x", "name": "X", "amount": "9.00", "currency": "USD", "interval": "month"}
    answer = office.post(f"{BASE}/plans", {**body, **change})
    assert (answer.status_code, answer.data["errors"][0]["attr"]) == (400, field)
    assert Plan.objects.count() == 1


# --- webhook events, reconciliation, review ----------------------------------------------------


class AwayGateway(SandboxGateway):
    def fetch_payment(self, external_id):
        raise TimeoutError


class BrokenGateway(SandboxGateway):
    def fetch_payment(self, external_id):
        raise KeyError("a shape we do not know")


@pytest.fixture
def event(order):
    payment = order.payments.get()
    return WebhookEvent.objects.create(
        gateway="sandbox", external_id="evt_1", type="payment.captured", kind="payment",
        object_id=payment.external_id, status="failed", error="KeyError",
    )  # fmt: skip


def test_a_failed_webhook_event_is_replayed(office, admin, event):
    listed = office.get(f"{BASE}/webhook-events?status=failed&gateway=sandbox").data["results"]
    assert [row["external_id"] for row in listed] == ["evt_1"]

    answer = office.post(f"{BASE}/webhook-events/{event.pk}/replay")

    assert (answer.status_code, answer.data["status"], answer.data["attempts"]) == (
        200,
        "processed",
        1,
    )
    assert trail("webhook.replayed") == [(admin.pk, str(event.pk))]
    assert office.post(f"{BASE}/webhook-events/{uuid.uuid4()}/replay").status_code == 404


@pytest.mark.parametrize(
    ("gateway", "status", "word"),
    [(AwayGateway, 503, "gateway_unavailable"), (BrokenGateway, 409, "news_failed")],
)
def test_a_replay_that_fails_again_names_its_cause(
    office, event, gateway_is, gateway, status, word
):
    office.raise_request_exception = False
    with gateway_is(gateway), nothing_changes():
        answer = office.post(f"{BASE}/webhook-events/{event.pk}/replay")

    assert (answer.status_code, code(answer)) == (status, word)
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("failed", 1)


@pytest.mark.promise("reconciliation-finds-lost-webhook")
def test_reconciling_finds_a_missed_refund_once(office, admin, order):
    payment = order.payments.get()
    SandboxGateway().refund(external_id=payment.external_id, amount=500, key="elsewhere")

    first = office.post(f"{BASE}/reconcile", {"hours": 3})
    assert (first.status_code, first.data["failed"]) == (200, [])
    assert first.data["looked_at"] >= 1
    assert first.data["changed"] == [f"payment {payment.external_id}"]

    with nothing_changes():
        again = office.post(f"{BASE}/reconcile", {})
    assert again.data["changed"] == []
    for hours in (0, -1, 10**9, "x"):
        assert office.post(f"{BASE}/reconcile", {"hours": hours}).status_code == 400


def kinds_of(review: dict) -> set[str]:
    return {name for name, rows in review.items() if rows}


def test_there_is_nothing_to_review_at_first(office, order):
    LedgerCheck.objects.create()
    assert kinds_of(office.get(f"{BASE}/review").data) == set()


@pytest.mark.promise("unknown-payment-in-suspense", "failed-refund-after-rebuying")
def test_the_review_queue_shows_every_case_that_needs_a_decision(
    office, admin, creator, payout, order, event, make_user, make_video, buy
):
    def kept(disposition, number, **fields):
        return Payment.objects.create(
            gateway="sandbox", external_id=f"px_{number}", amount=700, captured=700,
            currency="USD", status="captured", captured_at=timezone.now(),
            disposition=disposition, **fields,
        )  # fmt: skip

    unknown = kept("unmatched", 1)
    twice = kept("duplicate", 2, order=order)
    Refund.objects.create(payment=twice, amount=700, status="failed", is_automatic=True)
    on_its_way = kept("duplicate", 3, order=order)
    Refund.objects.create(payment=on_its_way, amount=700, is_automatic=True)
    back = kept("unmatched", 4)
    Refund.objects.create(payment=back, amount=700, status="succeeded", external_id="re_x")
    replaced = buy(make_user(), make_video(price=900))
    Order.objects.filter(pk=replaced.pk).update(status="superseded")
    payouts.approve(payout_id=payout.pk, actor=admin)
    payouts.mark_paid(payout_id=payout.pk, external_ref="B", actor=admin)
    refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
    LedgerCheck.objects.create(discrepancies=1, first="USD: off by 1")

    review = office.get(f"{BASE}/review").json()

    def ids(name):
        return [row["payment_id"] for row in review[name]]

    assert ids("suspense") == [str(unknown.pk)]
    assert ids("failed_refunds") == [str(twice.pk)]
    assert ids("superseded") == [str(replaced.payments.get().pk)]
    assert (review["suspense"][0]["kept"], review["suspense"][0]["currency"]) == ("7.00", "USD")
    assert review["negative_creators"] == [
        {"creator_id": str(creator.pk), "currency": "USD", "balance": "-16.00"}
    ]
    assert [row["external_id"] for row in review["failed_events"]] == ["evt_1"]
    assert [row["first"] for row in review["ledger_checks"]] == ["USD: off by 1"]


def test_the_review_queue_drops_a_failed_check_after_a_good_one(office):
    LedgerCheck.objects.create(
        discrepancies=1, first="x", started_at=timezone.now() - timedelta(days=1)
    )
    LedgerCheck.objects.create()
    assert office.get(f"{BASE}/review").json()["ledger_checks"] == []


@pytest.mark.parametrize(
    ("discrepancies", "state", "reason"), [(0, "ok", None), (2, "check failed", "verify_ledger")]
)
def test_readiness_reports_a_failed_ledger_check_and_stays_ready(
    client, db, discrepancies, state, reason
):
    LedgerCheck.objects.create(discrepancies=discrepancies, first="x")

    answer = client.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json()["parts"]["ledger"] == state
    assert (reason or "None") in str(answer.json()["reasons"].get("ledger"))


# --- revenue ----------------------------------------------------------------------------------


@pytest.mark.promise("revenue-identity")
def test_the_revenue_identity_holds_for_a_mixed_history(
    office, admin, creator, viewer, make_user, make_video, buy, subscribe, no_hold
):
    """The revenue report's identity holds for sales, coupons, refunds, a dispute and a subscription."""
    videos = [make_video(creator=creator, price=price) for price in (1999, 333, 5000, 7)]
    orders = [buy(make_user(), video) for video in videos]
    office.post(f"{BASE}/coupons", {"code": "GIFT", "percent_bps": 10_000})
    office.post(f"{BASE}/coupons", {"code": "HALF", "percent_bps": 5000})
    half = Coupon.objects.get(code="HALF")
    gift = Coupon.objects.get(code="GIFT")
    for coupon in (half, gift):
        checkout.purchase(
            buyer=make_user(), video_id=videos[0].pk, payment_method=VISA,
            options=checkout.PurchaseOptions(coupon=coupon.code),
        )  # fmt: skip
    refunds.refund_order(order_id=orders[0].pk, amount=777, reason="", actor=admin)
    refunds.refund_order(order_id=orders[1].pk, amount=None, reason="", actor=admin)
    dispute(orders[2])
    for made in payouts.run():
        payouts.approve(payout_id=made.pk, actor=admin)
        payouts.mark_paid(payout_id=made.pk, external_ref="B", actor=admin)
    subscribe(viewer)
    reconciliation.reconcile(timezone.now() - timedelta(hours=3))

    answer = office.get(f"{BASE}/revenue", {"group_by": "day"}).json()

    (row,) = answer["totals"]
    cents = {name: round(float(row[name]) * 100) for name in row if name != "currency"}
    assert cents["disputes"] == 5000
    assert cents["refunds"] == 777 + 333
    assert cents["promotions"] == 1999 + 999
    assert cents["gross"] - cents["refunds"] - cents["disputes"] == (
        cents["creator_share"] + cents["platform_share"] - cents["losses"] - cents["promotions"]
        + cents["deferred"] + cents["pool"] + cents["owed_back"] + cents["suspense"]
    )  # fmt: skip
    (booked,) = reports.platform_totals(reports.Period())
    assert figures.identity(booked).holds
    names = ("gross", "refunds", "disputes", "creator_share", "platform_share")
    (day,) = answer["series"]
    assert {name: day[name] for name in names} == {name: row[name] for name in names}


def test_revenue_without_grouping_has_no_series(office, order):
    assert office.get(f"{BASE}/revenue").json()["series"] == []


# --- permissions ------------------------------------------------------------------------------------

READS = (
    "ledger/entries", "disputes", "pools", "payouts", "payouts/{id}", "coupons", "coupons/{id}",
    "plans", "webhook-events", "review", "revenue",
)  # fmt: skip
POSTS = (
    "invoices/{id}/refund", "pools/2026-01/close", "payouts/run", "payouts/{id}/approve",
    "payouts/{id}/processing", "payouts/{id}/mark-paid", "payouts/{id}/mark-failed",
    "payouts/{id}/mark-returned",
    "payouts/{id}/cancel", "coupons", "plans", "webhook-events/{id}/replay", "reconcile",
)  # fmt: skip


@pytest.mark.promise("creators-cannot-refund")
@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.CREATOR])
def test_the_admin_api_is_closed_to_other_roles(
    client_for, make_user, subscribe, payout, event, office, role
):
    """Anonymous callers, viewers and creators are refused by every address of the admin API."""
    coupon = office.post(f"{BASE}/coupons", {"code": "SPRING", "percent_bps": 2500}).data["id"]
    invoice = subscribe(make_user()).invoices.get()
    ids = {
        "invoices": invoice.pk,
        "payouts": payout.pk,
        "coupons": coupon,
        "webhook-events": event.pk,
    }
    user = payout.creator if role == Role.CREATOR else role and make_user(role)
    client, expected = client_for(user), 403 if role else 401
    before = AuditEntry.objects.exclude(action="api.request").count()
    with nothing_changes():
        for paths, method in ((READS, client.get), (POSTS, client.post)):
            for path in paths:
                url = f"{BASE}/{path.format(id=ids.get(path.split('/')[0]))}"
                assert method(url).status_code == expected, path
        patch = {"is_active": False}
        assert client.patch(f"{BASE}/coupons/{coupon}", patch).status_code == expected
        plan = Plan.objects.get()
        assert client.patch(f"{BASE}/plans/{plan.pk}", patch).status_code == expected
    assert Plan.objects.get().is_active
    assert AuditEntry.objects.exclude(action="api.request").count() == before


@pytest.mark.parametrize("number", [1, 12])
def test_lists_cost_the_same_queries_for_any_length(
    office, make_user, make_video, buy, settings, number
):
    settings.AUDIT_READS = False
    for index in range(number):
        dispute(buy(make_user(), make_video(price=1000 + index)))
    office.get(f"{BASE}/disputes")
    with asked_for(exactly=2):  # the user, disputes with their payments
        assert len(office.get(f"{BASE}/disputes").data["results"]) == number
    with asked_for(exactly=5):  # the user, entries, transfers, accounts of either side
        office.get(f"{BASE}/ledger/entries?page_size=100")
    with asked_for(exactly=9):  # the user, and one for each kind
        office.get(f"{BASE}/review")
