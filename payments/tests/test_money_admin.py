"""The admin site's pages about money: content, actions, charts and permissions."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.backends import forget_role_permissions
from accounts.roles import Role
from audit.models import AuditEntry
from config.tests import desk as desk_kit
from payments import models
from payments.books import charts, figures
from payments.books.reports import RevenueDay
from payments.gateways.sandbox import charging
from payments.periods import Month
from payments.services.payouts import payouts, statements
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests import rows
from payments.tests.kit import assert_books_balance, nothing_changes
from payments.tests.kit import statements as asked_for

pytestmark = pytest.mark.django_db

SHOWN = [
    models.Order, models.Payment, models.Refund, models.Dispute, models.Subscription,
    models.Invoice, models.Payout, models.Pool, models.Statement, models.WatchDaily,
    models.Coupon, models.CouponRedemption, models.WebhookEvent, models.LedgerAccount,
    models.JournalEntry, models.LedgerCheck, models.Notice, models.Plan, models.Entitlement,
]  # fmt: skip
REVENUE, REVIEW = "/admin/payments/journalentry/revenue/", "/admin/payments/journalentry/review/"


def page(model, name: str = "changelist", *args) -> str:
    return reverse(f"admin:payments_{model._meta.model_name}_{name}", args=args)


def act(client, row, action: str, **answers):
    return desk_kit.act(client, action, row, **answers)


def trail(action: str) -> list[tuple]:
    """Return the actor and the target of each audit entry of an action, oldest first."""
    entries = AuditEntry.objects.filter(action=action).order_by("id")
    return list(entries.values_list("actor_id", "target_id"))


@pytest.fixture
def desk(client, admin):
    """A browser on the admin site, signed in as an administrator."""
    client.force_login(admin)
    return client


@pytest.fixture
def order(settings, buy, viewer, make_video, creator):
    settings.PAYOUT_HOLD_DAYS = 0
    return buy(viewer, make_video(creator=creator, price=1999, title="<b>Bold</b>"))


@pytest.fixture
def payout(order, creator):
    (made,) = payouts.request(creator)
    return made


@pytest.fixture
def coupon(db):
    return models.Coupon.objects.create(code="SPRING", percent_bps=2500)


@pytest.fixture
def event(order):
    return models.WebhookEvent.objects.create(
        gateway="sandbox", external_id="evt_1", type="payment.captured", kind="payment",
        object_id=order.payments.get().external_id, status="failed", error="KeyError",
    )  # fmt: skip


@pytest.fixture
def world(
    admin, viewer, order, payout, coupon, event, subscribe, creator, make_user, make_video, buy
):
    """At least one row of every model, among them a dispute, a refund and a failed ledger check."""
    subscribe(viewer)
    other = buy(make_user(), make_video(price=500))
    refunds.refund_order(order_id=other.pk, amount=100, reason="", actor=admin)
    payment = other.payments.get()
    charging.open_dispute(payment.external_id, amount=200)
    sync_payment(gateway="sandbox", external_id=payment.external_id)
    statements.write(Month.of(timezone.now().date()), "USD")
    rows.make_admin_rows(order, viewer)
    return models


def test_every_list_and_detail_page_loads(desk, world):
    for model in SHOWN:
        row = model._default_manager.all()[0]

        listed, shown = desk.get(page(model)), desk.get(page(model, "change", row.pk))

        assert (listed.status_code, shown.status_code) == (200, 200), model
        assert b"<b>Bold</b>" not in listed.content + shown.content
        assert REVENUE.encode() in listed.content
        assert desk.get(f"{page(model)}?q=x").status_code == 200


def test_the_start_page_links_to_the_overview_and_the_review_queue(desk, world):
    for path in ("/admin/", "/admin/payments/"):
        content = desk.get(path).content.decode()
        assert REVENUE in content
        assert REVIEW in content


def test_an_order_is_refunded(desk, admin, order):
    act(desk, order, "refund_in_full")

    order.refresh_from_db()
    assert order.status == "refunded"
    assert models.Refund.objects.get().by_id == admin.pk
    assert [actor for actor, _ in trail("refund.succeeded")] == [admin.pk]
    with nothing_changes():
        again = act(desk, order, "refund_in_full")
    assert b"No money is left to refund" in again.content


def test_an_invoice_is_refunded(desk, admin, subscribe, viewer):
    invoice = subscribe(viewer).invoices.get()

    act(desk, invoice, "refund_in_full")

    assert models.Refund.objects.get().amount == invoice.amount
    assert [actor for actor, _ in trail("refund.succeeded")] == [admin.pk]
    assert_books_balance()


def test_a_subscription_is_canceled_now(desk, admin, subscribe, viewer):
    subscription = subscribe(viewer)

    act(desk, subscription, "cancel_now")

    subscription.refresh_from_db()
    assert subscription.status == "canceled"
    assert (admin.pk, str(subscription.pk)) in trail("subscription.canceled")
    with nothing_changes():
        again = act(desk, subscription, "cancel_now")
    assert b"no subscription" in again.content


def test_canceling_an_ended_subscription_leaves_the_running_one(desk, subscribe, viewer):
    old = subscribe(viewer)
    act(desk, old, "cancel_now")
    subscribe(viewer)

    with nothing_changes():
        answer = act(desk, old, "cancel_now")

    assert b"not running" in answer.content


def test_a_payout_is_approved_sent_and_marked_paid(desk, admin, payout):
    act(desk, payout, "approve")
    act(desk, payout, "processing")
    asked = desk_kit.choose(desk, "mark_paid", payout)
    assert b"The bank&#x27;s reference" in asked.content
    assert b"<strong>16.00 USD</strong>" in asked.content
    payout.refresh_from_db()
    assert payout.status == "processing"

    act(desk, payout, "mark_paid", **{"same-reference": "SEPA-1"})

    payout.refresh_from_db()
    assert (payout.status, payout.external_ref) == ("paid", "SEPA-1")
    assert trail("payout.approved") == trail("payout.settled") == [(admin.pk, str(payout.pk))]
    assert_books_balance()


def test_a_hundred_payouts_are_marked_paid_at_once(desk, make_user, settings):
    settings.PAYOUT_HOLD_DAYS = 0
    made = [
        models.Payout.objects.create(
            creator=make_user(Role.CREATOR), currency="USD", amount=1000 + number, status="processing",
            cutoff=timezone.now(),
        )
        for number in range(100)
    ]  # fmt: skip
    asked = desk_kit.choose(desk, "mark_paid", *made)
    assert b"<strong>100 payouts</strong>, <strong>1049.50 USD</strong>" in asked.content
    last = {f"{made[-1].pk}-reference": "OWN"}

    with nothing_changes():
        again = desk_kit.confirm(desk, asked, **last)
    assert again.content.count(b"Answer this, or answer for all above.") == 99

    answer = desk_kit.confirm(desk, asked, **{"same-reference": "BATCH-7", **last})
    assert b"Paid: 100, 1049.50 USD." in answer.content
    paid = models.Payout.objects.filter(status="paid")
    assert paid.filter(external_ref="BATCH-7").count() == 99
    assert paid.get(external_ref="OWN") == made[-1]


def test_marking_a_payout_paid_needs_the_banks_reference(desk, admin, payout):
    payouts.approve(payout_id=payout.pk, actor=admin)
    with nothing_changes():
        answer = act(desk, payout, "mark_paid", **{"same-reference": " "})
    assert b"This field is required" in answer.content


@pytest.mark.parametrize("how", ["mark_failed", "cancel"])
def test_a_failed_or_canceled_payout_returns_to_the_balance(desk, admin, creator, payout, how):
    payouts.approve(payout_id=payout.pk, actor=admin)

    act(desk, payout, how, **{"same-why": "no such account"})

    payout.refresh_from_db()
    assert payout.status == {"mark_failed": "failed", "cancel": "canceled"}[how]
    assert payouts.available(creator.pk)["USD"]["available"] == 1600
    assert trail("payout.settled") == [(admin.pk, str(payout.pk))]


@pytest.mark.promise("payout-needs-second-person")
def test_the_requester_of_a_payout_cannot_approve_it(desk, admin, order):
    """The administrator who requested a payout cannot approve it in the admin site."""
    (payout,) = payouts.run(actor=admin)

    with nothing_changes():
        answer = act(desk, payout, "approve")

    assert b"Ask another administrator." in answer.content
    assert trail("payout.approved") == []


def test_one_refusal_does_not_stop_the_others(desk, admin, order, make_user, make_video, buy):
    (own,) = payouts.run(actor=admin)
    creator = make_user(Role.CREATOR)
    buy(make_user(), make_video(creator=creator, price=5000))
    (other,) = payouts.request(creator)

    answer = desk_kit.act(desk, "approve", own, other)

    statuses = dict(models.Payout.objects.values_list("pk", "status"))
    assert statuses == {own.pk: "draft", other.pk: "approved"}
    assert b"Approved: 1, 40.00 USD." in answer.content


def test_a_payout_step_out_of_order_is_explained(desk, payout):
    with nothing_changes():
        answer = act(desk, payout, "processing")
    assert b"does not allow this step" in answer.content


def test_a_debt_is_written_off(desk, admin, creator, order, payout):
    payouts.approve(payout_id=payout.pk, actor=admin)
    payouts.mark_paid(payout_id=payout.pk, external_ref="B", actor=admin)
    refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
    account = models.LedgerAccount.objects.get(owner=creator)
    assert b"-16.00 USD" in desk.get(page(models.LedgerAccount, "change", account.pk)).content

    act(desk, account, "write_off")

    assert payouts.available(creator.pk)["USD"]["negative"] == 0
    assert [actor for actor, _ in trail("debt.written_off")] == [admin.pk]
    with nothing_changes():
        platform = models.LedgerAccount.objects.get(role="platform")
        assert b"Only the debt of a creator" in act(desk, platform, "write_off").content


def test_a_failed_webhook_event_is_replayed(desk, admin, event):
    act(desk, event, "take_in_again")

    event.refresh_from_db()
    assert (event.status, event.attempts) == ("processed", 1)
    assert trail("webhook.replayed") == [(admin.pk, str(event.pk))]


def coupon_form(**changes) -> dict:
    now = timezone.now()
    return {
        "code": "SPRING", "percent_bps": "2500", "amount": "", "currency": "", "creator": "",
        "funded_by": "platform", "max_redemptions": "", "per_user": "1", "is_active": "on",
        "starts_at_0": f"{now:%Y-%m-%d}", "starts_at_1": "00:00:00", "ends_at_0": "",
        "ends_at_1": "", **changes,
    }  # fmt: skip


def test_making_and_changing_a_coupon_is_audited(desk, admin):
    made = desk.post(page(models.Coupon, "add"), coupon_form())
    coupon = models.Coupon.objects.get()
    changed = desk.post(page(models.Coupon, "change", coupon.pk), coupon_form(percent_bps="1000"))

    assert (made.status_code, changed.status_code) == (302, 302)
    coupon.refresh_from_db()
    assert coupon.percent_bps == 1000
    assert trail("coupon.changed") == [(admin.pk, str(coupon.pk))] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "spring"}, {"percent_bps": "0"}, {"percent_bps": ""}, {"amount": "500"},
        {"percent_bps": "", "amount": "500", "currency": "XXX"}, {"funded_by": "creator"},
        {"percent_bps": "", "amount": "-1", "currency": "USD"}, {"ends_at_0": "2020-01-01",
        "ends_at_1": "00:00:00"},
    ],
)  # fmt: skip
def test_an_invalid_coupon_is_not_made(desk, coupon, changes):
    with nothing_changes():
        answer = desk.post(
            page(models.Coupon, "add"), coupon_form(**{"code": "OTHER", **changes}), follow=True
        )
    assert answer.status_code == 200
    assert trail("coupon.changed") == []


def test_the_discount_of_a_used_coupon_cannot_be_changed(desk, coupon, order, viewer):
    models.CouponRedemption.objects.create(coupon=coupon, order=order, user=viewer)
    models.Coupon.objects.update(redeemed=1)

    desk.post(page(models.Coupon, "change", coupon.pk), coupon_form(percent_bps="1", is_active=""))

    coupon.refresh_from_db()
    assert (coupon.percent_bps, coupon.is_active) == (2500, False)


def test_making_and_renaming_a_plan_is_audited(desk, admin):
    form = {
        "code": "yearly", "name": "Yearly", "amount": "9900", "currency": "USD",
        "interval": "year", "trial_days": "0", "is_active": "on",
    }  # fmt: skip
    desk.post(page(models.Plan, "add"), form)
    plan = models.Plan.objects.get(code="yearly")
    desk.post(page(models.Plan, "change", plan.pk), {**form, "name": "A year", "amount": "1"})

    plan.refresh_from_db()
    assert (plan.name, plan.amount) == ("A year", 9900)
    assert trail("plan.changed") == [(admin.pk, str(plan.pk))] * 2
    assert desk.post(page(models.Plan, "add"), {**form, "amount": "0"}).status_code == 200
    assert models.Plan.objects.count() == 2


@pytest.mark.usefixtures("clock")  # no month ends between the sale and its statement
def test_a_statement_is_readable(desk, order, creator):
    statements.write(Month.of(timezone.now().date()), "USD")
    statement = models.Statement.objects.get()

    content = desk.get(page(models.Statement, "change", statement.pk)).content.decode()

    assert f"<td>{order.video_id}</td><td>1</td><td>19.99</td>" in content
    assert f"{statement.sha256} (of this text)" in content


# --- the two pages ----------------------------------------------------------------------------


@pytest.mark.promise("revenue-identity")
@pytest.mark.parametrize("query", ["", "?days=7", "?days=90", "?days=365", "?days=x", "?days=-1"])
def test_the_revenue_overview_shows_the_identity_and_its_amounts(desk, world, query):
    """The overview writes the revenue identity out with its amounts, and says that it holds."""
    content = desk.get(f"{REVENUE}{query}").content.decode()

    told = content.replace("\N{MINUS SIGN}", "-")
    assert "34.98 gross - 1.00 refunds - 2.00 disputes = <strong>31.98</strong>" in told
    assert "✓" in content
    assert "✗" not in content
    assert "USD: off by &lt;1&gt;" in content
    assert "<script>" not in re.sub(r"<head>.*?</head>", "", content, flags=re.S)
    assert content.count('class="creators"') == 2  # today's bar, and the legend
    assert re.search(r'<svg[^>]*role="img" aria-labelledby="title-USD desc-USD"', content)
    assert "creators earned" in content


@pytest.mark.promise("revenue-identity")
def test_the_overview_says_when_an_identity_does_not_hold(desk, world, monkeypatch):
    honest = figures.identity
    monkeypatch.setattr(
        figures,
        "identity",
        lambda row: honest(replace(row, platform_share=row.platform_share + 1)),
    )
    content = desk.get(REVENUE).content.decode()
    assert "✗ the right side is 31.99" in " ".join(content.split())


def test_the_overview_without_any_entries_loads(desk):
    content = desk.get(REVENUE).content.decode()
    assert "Nothing was booked in this time." in content
    assert "has not been checked yet" in content


def test_the_review_queue_shows_every_case_that_needs_a_decision(desk, admin, world, order, payout):
    payouts.approve(payout_id=payout.pk, actor=admin)
    payouts.mark_paid(payout_id=payout.pk, external_ref="B", actor=admin)
    refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
    models.Payment.objects.create(
        gateway="sandbox", external_id="px_1", amount=700, captured=700, currency="USD",
        status="captured", captured_at=timezone.now(), disposition="unmatched",
    )  # fmt: skip

    content = desk.get(REVIEW).content.decode()

    for text in ("px_1", "7.00 USD", "-16.00 USD", "KeyError", "USD: off by &lt;1&gt;"):
        assert text in content, text
    assert "There is nothing to look at." not in content


def test_an_empty_review_queue_says_so(desk, order):
    models.LedgerCheck.objects.create()
    content = desk.get(REVIEW).content.decode()
    assert "There is nothing to look at." in content
    assert "found no discrepancy" in content


@pytest.mark.parametrize("number", [1, 12])
def test_the_pages_cost_the_same_queries_for_any_number_of_rows(
    desk, buy, make_user, make_video, number
):
    for index in range(number):
        sold = buy(make_user(), make_video(price=500 + index))
        models.Order.objects.filter(pk=sold.pk).update(status="superseded")
    desk.get(REVENUE)
    counts = {REVENUE: 13, REVIEW: 13, page(models.Order): 9, page(models.LedgerAccount): 8}
    for path, most in counts.items():
        with asked_for(at_most=most):
            desk.get(path)


# --- the drawing ------------------------------------------------------------------------------


def days(*rows: tuple[int, int, int, int]) -> list[RevenueDay]:
    begin = datetime(2026, 9, 1, tzinfo=UTC)
    return [
        RevenueDay(begin + timedelta(days=number), "USD", gross, back, 0, creators, platform)
        for number, (gross, back, creators, platform) in enumerate(rows)
    ]


def test_bars_are_stacked_and_negative_ones_hang_below_the_axis():
    chart = charts.revenue(days((1000, 0, 800, 200), (0, 500, -400, -100)), "USD")

    up, down = chart.bars
    (_, creators_top, creators_height), (_, platform_top, platform_height) = up.parts
    assert creators_top + creators_height == pytest.approx(chart.zero, abs=0.2)
    assert platform_top + platform_height == pytest.approx(creators_top, abs=0.2)
    assert creators_height == pytest.approx(4 * platform_height, abs=0.4)
    assert down.parts[0][1] == pytest.approx(chart.zero, abs=0.2)
    assert down.parts[1][1] > down.parts[0][1]
    assert up.text == (
        "2026-09-01: gross 10.00, refunds 0.00, disputes 0.00, creators 8.00, platform 2.00 USD"
    )


@pytest.mark.parametrize(
    ("currency", "rows", "labels"),
    [
        ("USD", [(1999, 0, 1600, 399)], ["0", "5", "10", "15", "20"]),
        ("JPY", [(1999, 0, 1600, 399)], ["0", "500", "1,000", "1,500", "2,000"]),
        ("USD", [(0, 0, 0, 0)], ["0", "0.20"]),
        ("USD", [(0, 150, -120, -30)], ["-2", "-1", "0", "1", "2"]),
    ],
)
def test_the_axis_has_round_numbers(currency, rows, labels):
    chart = charts.revenue(days(*rows), currency)
    assert [label for _, label in chart.values] == labels


@pytest.mark.parametrize("number", [1, 7, 30, 90, 365])
def test_everything_lies_within_the_drawing(number):
    rows = [
        (index * 7 % 500, index % 3 * 100, index * 5 % 400 - 50, index % 90)
        for index in range(number)
    ]
    chart = charts.revenue(days(*rows), "EUR")

    for bar in chart.bars:
        assert chart.left <= bar.x <= bar.x + bar.width <= chart.right
        for _, top, height in bar.parts:
            assert 0 <= top <= top + height <= chart.bottom + 0.5
    for line in (chart.gross, chart.refunds):
        points = [tuple(map(float, point.split(","))) for point in line.split()]
        assert len(points) == number
        assert all(chart.left <= x <= chart.right and 0 <= y <= chart.bottom for x, y in points)
    assert len(chart.dates) <= charts.DATES_MAX


# --- permissions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["moderator", "creator", "viewer", "nobody"])
def test_other_roles_see_and_change_nothing(
    client, make_user, world, payout, order, event, coupon, who
):
    if who == "moderator":
        user = services.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
    else:
        user = {"creator": payout.creator, "viewer": order.buyer, "nobody": None}[who]
    if user:
        client.force_login(user)
    refused = 403 if who == "moderator" else 302  # to the sign-in
    before = AuditEntry.objects.count()
    with nothing_changes():
        for path in (REVENUE, REVIEW, *map(page, SHOWN), page(models.Coupon, "add")):
            assert client.get(path).status_code == refused, path
        for row, action in (
            (order, "refund_in_full"), (payout, "approve"), (payout, "mark_paid"),
            (payout, "mark_failed"), (payout, "mark_returned"), (payout, "cancel"),
            (event, "take_in_again"),
            (models.Invoice.objects.earliest("pk"), "refund_in_full"),
            (models.Subscription.objects.earliest("pk"), "cancel_now"),
            (models.LedgerAccount.objects.earliest("pk"), "write_off"),
        ):  # fmt: skip
            form = {"action": action, "_selected_action": [str(row.pk)], "words": "yes"}
            assert client.post(page(type(row)), form).status_code == refused, action
        change = page(models.Coupon, "change", coupon.pk)
        assert client.post(change, coupon_form(percent_bps="1")).status_code == refused
    assert AuditEntry.objects.count() == before


def test_an_administrator_without_the_permission_changes_nothing(desk, admin, world, payout, order):
    """Every action checks its own permission; being an administrator is not enough."""
    group = Group.objects.get(name="ADMIN")
    for codename in ("manage_payouts", "refund_order", "view_revenue", "replay_webhookevent"):
        group.permissions.remove(group.permissions.get(codename=codename))
    forget_role_permissions()
    with nothing_changes():
        for row, action in ((payout, "approve"), (order, "refund_in_full")):
            assert act(desk, row, action).status_code == 200
        assert desk.get(REVENUE).status_code == 403
