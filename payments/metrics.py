"""The figures of money: sales, refunds, payouts, what waits for a person, the books, events, mails."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min, Model, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client.core import Metric

from config.metrics import figures, gauge, gauges, id_after
from payments import gateways
from payments.books import review
from payments.models import Notice, Order, Payout, Refund, WebhookEvent
from payments.services.payouts import waiting

DAY = timedelta(days=1)
# What waits for a person to decide, by kind; counted up to review.AT_MOST each.
REVIEWED = {
    "suspense": review.suspense,
    "failed_refund": review.duplicates_not_refunded,
    "superseded_order": review.superseded_with_money,
    "ended_subscription": review.ended_with_money,
    "creator_debt": review.negative_creators,
    "overdue_payout": waiting.overdue,
    "failed_event": review.failed_events,
}


@figures("sales", every=15.0)
def sales() -> Iterator[Metric]:
    """Three statements: two over the primary key, one over all payouts, of which there are few."""
    for name, model in (("orders", Order), ("refunds", Refund)):
        rows = model.objects.filter(pk__gte=id_after(DAY))
        text = f"The {name} that were begun within a day, by status."
        yield gauges(f"{name}_last_day", text, ["status"], _by_status(rows, model))
    text = "All payouts, by status."
    yield gauges("payouts", text, ["status"], _by_status(Payout.objects.all(), Payout))


def _by_status(rows: QuerySet[Model], model: type[Model]) -> dict[tuple[str, ...], float]:
    found = {(str(status),): 0.0 for status in model.Status.values}  # type: ignore[attr-defined]  # each has it
    counted = rows.order_by().values_list("status").annotate(Count("pk"))
    return found | {(status,): float(number) for status, number in counted}


@figures("review", every=300.0)
def reviewed() -> Iterator[Metric]:
    """One statement for each kind. Some read all payments, hence only every five minutes."""
    found = {(kind,): float(rows()[: review.AT_MOST].count()) for kind, rows in REVIEWED.items()}
    text = f"Money, payouts and events that wait for a person, up to {review.AT_MOST} of each kind."
    yield gauges("money_to_review", text, ["kind"], found)


@figures("books")
def books() -> Iterator[Metric]:
    latest = review.latest_check()
    text = "Discrepancies that the latest check of the books found; no value before the first."
    yield gauge("ledger_discrepancies", text, latest.discrepancies if latest else None)
    text = "When the books were last checked (Unix time)."
    yield gauge(
        "ledger_checked_time_seconds", text, latest.started_at.timestamp() if latest else None
    )
    text = "1 if payments are open, 0 while the gateway has another mode than the database."
    yield gauge("payments_open", text, float(gateways.are_open()))


@figures("events")
def events() -> Iterator[Metric]:
    """Two statements, over the indexes of the events and the mails that wait; failures once a minute."""
    rows = WebhookEvent.objects.filter(status=WebhookEvent.Status.RECEIVED)
    yield from _waiting(rows, "received_at", "webhook_events", "Webhook events that wait.")
    due = Notice.objects.filter(sent_at=None, failed_at=None, not_before__lte=Now())
    yield from _waiting(due, "not_before", "mails", "Mails that are due and not sent.")


def _waiting(rows: QuerySet[Model], since: str, name: str, text: str) -> Iterator[Metric]:
    found = rows.aggregate(number=Count("pk"), oldest=Min(since))
    age = (timezone.now() - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    yield gauge(f"{name}_waiting", text, found["number"])
    yield gauge(
        f"{name}_waiting_seconds", f"{text} Age of the oldest; 0 without one.", max(0.0, age)
    )


@figures("failures", every=60.0)
def failures() -> Iterator[Metric]:
    since = timezone.now() - DAY
    events = WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED, received_at__gte=since)
    text = "Webhook events of the last day that could not be processed."
    yield gauge("webhook_events_failed", text, events.count())
    mails = Notice.objects.filter(failed_at__gte=since).count()
    yield gauge("mails_failed", "Mails that were given up within a day.", mails)
