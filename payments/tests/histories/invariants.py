"""What must hold after each step of a history, computed from the facts and not from the books."""

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from payments import entitlements
from payments.books import dashboards, reports, verification
from payments.books.reports import Period
from payments.models import (
    Invoice,
    Order,
    Payment,
    Payout,
    Pool,
    Refund,
    SandboxPayment,
    Statement,
    Subscription,
)
from payments.periods import Month
from payments.services.sharing import pools
from payments.tests.histories.world import START, World
from payments.tests.kit import assert_books_balance, balances
from payments.tests.test_history import assert_revenue_identity

HOUR = timedelta(hours=1)
APPLIED = Payment.Disposition.APPLIED


def check(world: World) -> None:
    """Check everything that must always hold."""
    found = list(verification._all_discrepancies(lambda done: None))
    assert found == [], found
    assert_books_balance()
    payments = list(
        Payment.objects.select_related("order", "invoice__subscription").prefetch_related(
            "refunds", "disputes"
        )
    )
    clearing_is_what_came_in(payments)
    nobody_pays_twice(payments)
    access_follows_facts(world, payments)
    preorders_are_held(payments)
    assert_revenue_identity()
    statements_stay(world)


def check_end(world: World) -> None:
    """Check what must hold once all news has arrived and every month is over."""
    check(world)
    no_promise_is_broken()
    payments = {row.external_id: row for row in Payment.objects.all()}
    for outside in SandboxPayment.objects.prefetch_related("refunds", "disputes"):
        payment = payments.get(outside.pk)
        if outside.captured:
            assert payment is not None, f"{outside.pk} was captured, and has no row"
        if payment is None:
            continue
        back = sum(row.amount for row in outside.refunds.all() if row.status != "failed")
        held = sum(row.withdrawn - row.reinstated for row in outside.disputes.all())
        facts = (payment.captured, payment.refunded(), payment.disputed())
        assert facts == (outside.captured, back, held), outside.pk
    reports_agree(world)
    for period in set(Pool.objects.values_list("period", flat=True)):
        assert pools.verify_month(Month.named(period)) == []


def preorders_are_held(payments: list[Payment]) -> None:
    """No creator is paid from a pre-order before the hold that begins with its video."""
    hold = timedelta(days=settings.PAYOUT_HOLD_DAYS)
    for payment in payments:
        order = payment.order
        if order is not None and order.available_from is not None and payment.captured:
            assert payment.available_on is not None
            assert payment.available_on >= order.available_from + hold, payment.external_id


def no_promise_is_broken() -> None:
    """No paid pre-order still waits for a video whose day was put off, unless its refund was refused."""
    waiting = Order.objects.filter(status="paid", fulfilled_at=None, returning_at=None)
    assert not waiting.filter(video__publish_at__gt=F("available_from")).exists()


def refunded_of(payment: Payment) -> int:
    return sum(row.amount for row in payment.refunds.all() if row.status in Refund.COUNTS)


def disputed_of(payment: Payment) -> int:
    return sum(row.withdrawn - row.reinstated for row in payment.disputes.all())


def clearing_is_what_came_in(payments: list[Payment]) -> None:
    """Clearing = captured - refunded - disputed - fees - paid out, and transit = payouts under way."""
    came_in = sum(
        payment.captured
        - refunded_of(payment)
        - disputed_of(payment)
        - payment.fee
        - sum(row.fee for row in payment.disputes.all())
        for payment in payments
    )
    payouts: defaultdict[str, int] = defaultdict(int)
    for status, amount in Payout.objects.values_list("status", "amount"):
        payouts[status] += amount
    booked = balances()
    assert -booked.get("clearing:USD", 0) == came_in - payouts["paid"]
    under_way = sum(payouts[status] for status in Payout.IN_FLIGHT)
    assert booked.get("payout_transit:USD", 0) == under_way


def nobody_pays_twice(payments: list[Payment]) -> None:
    """One purchase of a video and one invoice of a time keep their money; the others give it back."""
    kept: defaultdict[tuple, int] = defaultdict(int)
    periods: defaultdict[object, list[tuple[datetime, datetime]]] = defaultdict(list)
    for payment in payments:
        left = payment.captured - refunded_of(payment) - disputed_of(payment)
        if payment.disposition == Payment.Disposition.DUPLICATE:
            asked = any(row.is_automatic for row in payment.refunds.all())
            assert left <= 0 or asked, f"{payment} is a duplicate and stays"
        if payment.disposition != APPLIED or left <= 0:
            continue
        order, invoice = payment.order, payment.invoice
        if order is not None and order.kind == Order.Kind.BUY and order.status in Order.BOUGHT:
            kept[order.buyer_id, order.video_id] += 1
        elif invoice is not None:
            end = min(invoice.period_end, invoice.ended_early_at or invoice.period_end)
            periods[invoice.subscription.user_id].append((invoice.period_start, end))
    assert all(number == 1 for number in kept.values()), kept
    for times in periods.values():
        times.sort()
        for (_, end), (start, _) in pairwise(times):
            assert end <= start, f"a time is paid twice: until {end}, and from {start}"


def access_follows_facts(world: World, payments: list[Payment]) -> None:
    """Who has paid and not taken the money back can watch; nobody else can."""
    now = timezone.now()
    bought = {
        (payment.order.buyer_id, payment.order.video_id)
        for payment in payments
        if payment.order is not None
        and payment.disposition == APPLIED
        and payment.order.status != Order.Status.SUPERSEDED
        and _counts(payment)
        and _lasts(payment.order, now)
    }
    free = Order.objects.filter(amount=0, status=Order.Status.PAID)
    bought |= {(order.buyer_id, order.video_id) for order in free if _lasts(order, now)}
    for viewer in world.viewers:
        subscribed = _is_subscribed(viewer, payments, now)
        answers = entitlements.can_watch_each(viewer, world.videos)
        for video in world.videos:
            due = subscribed or (viewer.pk, video.pk) in bought
            assert (answers[video.pk] is not None) == due, (
                f"{viewer} {'may not' if due else 'may'} watch {video.pk}, "
                f"{'paid' if due else 'not paid'}"
            )


def _counts(payment: Payment) -> bool:
    """Return whether a payment gives access: some of it is left, and no bank holds any of it."""
    return refunded_of(payment) < payment.captured and disputed_of(payment) <= 0


def _lasts(order: Order, now: datetime) -> bool:
    """Return whether a purchase gives access now: a rental that nobody has begun ends by itself."""
    if order.kind == Order.Kind.BUY:
        return True
    assert order.paid_at is not None
    return now < order.paid_at + timedelta(days=settings.RENTAL_START_DAYS)


def _is_subscribed(viewer: User, payments: list[Payment], now: datetime) -> bool:
    running = Subscription.objects.filter(
        user=viewer,
        disposition=Subscription.Disposition.PRIMARY,
        status__in=["trialing", "active", "past_due"],
    ).first()
    if running is None or running.period_end is None:
        return False
    until = running.grace_until if running.status == "past_due" else running.period_end + HOUR
    if until is None or now >= until:
        return False
    return _pays_for_now(running, payments)


def _pays_for_now(running: Subscription, payments: list[Payment]) -> bool:
    """Return whether the money on which the current period rests has stayed; True in free days.

    An upgrade deducts what earlier periods have left then. What goes back of that later was deducted.
    """
    invoices = running.invoices.filter(status=Invoice.Status.PAID).order_by("-period_start")
    deducted_at, period_start = None, None
    for invoice in invoices:
        if period_start is not None and invoice.ended_early_at != period_start:
            break
        for payment in payments:
            is_its_own = payment.invoice_id == invoice.pk and payment.disposition == APPLIED
            if is_its_own and not _counts(payment) and _went_back_since(payment, deducted_at):
                return False
        deducted_at, period_start = deducted_at or invoice.created_at, invoice.period_start
    return True


def _went_back_since(payment: Payment, moment: datetime | None) -> bool:
    held = [row.withdrawn_at for row in payment.disputes.all() if row.withdrawn > row.reinstated]
    refunds = [row.counted_at for row in payment.refunds.all() if row.status in Refund.COUNTS]
    back = held if refunded_of(payment) < payment.captured else held + refunds
    return moment is None or any(at >= moment for at in back if at is not None)


def reports_agree(world: World) -> None:
    """The parts of each report make the whole: days, creators and videos."""
    names = ("gross", "refunds", "disputes", "creator_share", "platform_share")
    (whole,) = reports.platform_totals(Period()) or [reports.RevenueRow("USD")]
    days = reports.series(Period())
    for name in names:
        assert getattr(whole, name) == sum(getattr(day, name) for day in days), name
    earned = sum(
        reports.creator_earned(creator.pk, Period()).get("USD", 0) for creator in world.creators
    )
    assert earned == whole.creator_share
    by_video = [
        row for video in world.videos for row in reports.platform_totals(Period(), video.pk)
    ]
    (sold,) = reports.purchases(Period()) or [reports.RevenueRow("USD")]
    ours = map(asdict, by_video)
    assert sold.creator_share == sum(row["creator_share"] for row in ours)
    dashboards_agree(world)


def dashboards_agree(world: World) -> None:
    """The money of dashboards, read for two periods at once, is that of the reports on each of them."""
    now = timezone.now()
    start = now - timedelta(seconds=(now - START).total_seconds() / 2)
    periods = Period(start), Period(None, start)

    def money(row: reports.RevenueRow) -> dict:
        uncounted = ("sales", "mrr", "active_subscriptions", "churned_subscriptions")
        return {name: value for name, value in asdict(row).items() if name not in uncounted}

    for video in (None, world.videos[0].pk):
        booked = dashboards.of_platform(Period(), start, video_id=video)
        for one, period in zip(booked, periods, strict=True):
            totals = reports.platform_totals(period, video)
            known = {row.currency: row for row in one.revenue}
            zeros = money(reports.RevenueRow("USD"))
            for row in totals:
                assert money(known.get(row.currency) or row) == money(row)
                if row.currency not in known:  # a sale or a subscription alone
                    assert money(row) == {**zeros, "currency": row.currency}
                assert one.earned.get(row.currency, 0) == row.platform_share
            for each in one.by_video:
                expected = reports.purchases(period, video_id=each)
                assert [money(row) for row in one.by_video[each]] == list(map(money, expected))
            by_source = sum(one.earned_by_source.values())
            assert by_source == sum(row.platform_share for row in totals)
    for creator in world.creators:
        booked = dashboards.of_creator(creator.pk, Period(), start, creator_id=creator.pk)
        for one, period in zip(booked, periods, strict=True):
            expected = reports.purchases(period, creator_id=creator.pk)
            assert list(map(money, one.revenue)) == list(map(money, expected))
            assert one.earned == reports.creator_earned(creator.pk, period)
            sources = reports.creator_series(creator.pk, period, "source")
            assert one.earned_by_source == {
                (str(row.bucket), row.currency): row.earnings for row in sources
            }


def statements_stay(world: World) -> None:
    """A statement that was written once is never changed and never gone."""
    now = {row.pk: (row.body, row.sha256) for row in Statement.objects.all()}
    for pk, text in world.statements.items():
        assert now.get(pk) == text, f"statement {pk} has changed"
    world.statements = now
