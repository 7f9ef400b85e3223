"""The entitlements that orders and subscriptions give: granted, prolonged and revoked here."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import ordered, rows
from config.prepared import new
from payments import locks
from payments.models import Dispute, Entitlement, Invoice, Order, Payment, Refund, Subscription
from payments.signals import entitlement_granted, entitlement_revoked

# A renewal is often paid a little after the period's end. Playback must not stop meanwhile.
PERIOD_GRACE = timedelta(hours=1)
EXPIRED_AT_ONCE = 500
Status = Subscription.Status


def update_for_order(order: Order) -> None:
    """Grant the order's entitlement while the order is paid, and revoke it otherwise.

    A rental must be started within RENTAL_START_DAYS of its payment. Its hours run from the first
    play, see `begin_rental`. Safe to repeat.
    """
    rental = order.kind == Order.Kind.RENT
    start_by = (order.paid_at or timezone.now()) + timedelta(days=settings.RENTAL_START_DAYS)
    _update_entitlement(
        is_due=order.status == Order.Status.PAID,
        source_type=Entitlement.Source.ORDER,
        source_id=order.pk,
        user_id=order.buyer_id,
        video_id=order.video_id,
        ends_at=start_by if rental else None,
        rental_hours=order.rental_hours,
    )


def update_for_subscription(subscription: Subscription) -> None:
    """Grant the subscription's entitlement until `access_until`, or revoke it. Safe to repeat.

    It is due while the subscription runs, is the user's own (no duplicate), and the money on which its
    period rests has not gone back.
    """
    running = subscription.status in {Status.TRIALING, Status.ACTIVE, Status.PAST_DUE}
    is_own = subscription.disposition == Subscription.Disposition.PRIMARY
    _update_entitlement(
        is_due=running and is_own and not is_taken_back(subscription),
        source_type=Entitlement.Source.SUBSCRIPTION,
        source_id=subscription.pk,
        user_id=subscription.user_id,
        video_id=None,
        ends_at=access_until(subscription),
    )


def access_until(subscription: Subscription) -> datetime | None:
    """Return the moment at which the subscription's access ends; None before its first period.

    The grace period is for renewals. A trial whose first payment fails ends its access: the grace
    period would be another trial.
    """
    if subscription.status == Status.PAST_DUE:
        was_paid = subscription.invoices.filter(status=Invoice.Status.PAID).exists()
        return subscription.grace_until if was_paid else subscription.past_due_since
    end = subscription.period_end
    return end + PERIOD_GRACE if end else None


def is_taken_back(subscription: Subscription, *, for_good: bool = False) -> bool:
    """Return whether money on which the current period rests has gone back.

    The period rests on the payments of its own invoice, and on those of earlier periods whose unused
    value an upgrade has deducted from its price. What had gone back of those before the upgrade was not
    deducted, so that the period does not rest on it.

    The money of an invoice has gone back when it was refunded in full, or when a bank holds any of it.
    ``for_good`` leaves out what may still come back: refunds under way, and payments with a dispute
    that the bank has not decided.
    """
    periods = paid_periods(subscription)
    return any(
        _has_gone_back(
            payments, since=periods[0][0].created_at if number else None, for_good=for_good
        )
        for number, (_, payments) in enumerate(periods)  # the current one is the first
        if payments
    )


def _has_gone_back(payments: list[Payment], *, since: datetime | None, for_good: bool) -> bool:
    """Return whether an invoice's payments were refunded in full, or are disputed, since a moment."""
    if not any(payment.refunds.all() or payment.disputes.all() for payment in payments):
        return False  # nearly always, and known without another question to the database
    statuses = [Refund.Status.SUCCEEDED] if for_good else Refund.COUNTS
    refunds = Refund.objects.filter(payment__in=payments, status__in=statuses)
    disputes = Dispute.objects.filter(payment__in=payments)
    refunded = sum(refunds.values_list("amount", flat=True))
    if since is not None:
        refunds = refunds.filter(counted_at__gte=since)
        disputes = disputes.filter(withdrawn_at__gte=since)
    if refunded >= sum(payment.captured for payment in payments) > 0 and refunds.exists():
        return True
    if disputes.undecided().exists():
        return not for_good
    return disputes.lost().exists()


def paid_periods(subscription: Subscription) -> list[tuple[Invoice, list[Payment]]]:
    """Return the invoices, with their payments, that have paid for the current period; newest first.

    The first one is the latest paid invoice. The others follow while an upgrade ended their period
    early, because their unused value went into the period after it.
    """
    invoices: list[Invoice] = []
    paid = subscription.invoices.filter(status=Invoice.Status.PAID)
    for invoice in paid.order_by("-period_start"):
        if invoices and invoice.ended_early_at != invoices[-1].period_start:
            break
        invoices.append(invoice)
    payments: dict[uuid.UUID | None, list[Payment]] = {invoice.pk: [] for invoice in invoices}
    applied = Payment.objects.filter(
        invoice__in=invoices, disposition=Payment.Disposition.APPLIED
    ).prefetch_related("refunds", "disputes")
    for payment in applied:
        payments[payment.invoice_id].append(payment)
    return [(invoice, payments[invoice.pk]) for invoice in invoices]


def begin_rental(entitlement: Entitlement, now: datetime) -> Entitlement:
    """Start the hours of a rental at its first play; change no other entitlement. Safe to repeat.

    The caller must hold the lock of the row.
    """
    if entitlement.rental_hours is not None and entitlement.begun_at is None:
        entitlement.begun_at = now
        entitlement.ends_at = now + timedelta(hours=entitlement.rental_hours)
        entitlement.save(update_fields=["begun_at", "ends_at"])
        audit.record(
            actor=entitlement.user_id,
            action=AuditAction.RENTAL_BEGUN,
            target=entitlement,
            until=entitlement.ends_at.isoformat(),
            video=str(entitlement.video_id),
        )
    return entitlement


@transaction.atomic
def record_expired() -> int:
    """Record that the time of entitlements is over, each end once; return their number.

    Access has ended by the clock, with or without this job. A call records at most EXPIRED_AT_ONCE, the
    earliest ends first. Safe to repeat, and to run twice at once.
    """
    now = timezone.now()
    due = Entitlement.objects.filter(revoked_at=None, expired_at=None, ends_at__lte=now)
    some = list(due.order_by("ends_at").values_list("pk", flat=True)[:EXPIRED_AT_ONCE])
    ordered.update(due.filter(pk__in=some), expired_at=now)
    expired = Entitlement.objects.filter(pk__in=some, expired_at=now).order_by("ends_at", "pk")
    for entitlement in expired:
        audit.record(
            actor=None,
            action=AuditAction.ENTITLEMENT_EXPIRED,
            target=entitlement,
            source=entitlement.source_type,
            video=str(entitlement.video_id) if entitlement.video_id else None,
            until=entitlement.ends_at.isoformat() if entitlement.ends_at else None,
        )
    return len(expired)


def _update_entitlement(
    *,
    is_due: bool,
    source_type: Entitlement.Source,
    source_id: uuid.UUID,
    user_id: uuid.UUID,
    video_id: uuid.UUID | None,
    ends_at: datetime | None,
    rental_hours: int | None = None,
) -> None:
    """Create, prolong, revoke or renew the source's entitlement; announce only a real change."""
    entitlement = locks.lock_entitlement_of(source_type, source_id)
    if entitlement is None:
        if not is_due:
            return
        entitlement = new(
            Entitlement,
            user_id=user_id,
            video_id=video_id,
            source_type=source_type,
            source_id=source_id,
            ends_at=ends_at,
            rental_hours=rental_hours,
        )
        rows.insert(entitlement)
        _announce(entitlement, granted=True)
        return
    was_granted = entitlement.revoked_at is None
    # A rental that was started keeps its hours.
    if entitlement.begun_at is None and entitlement.ends_at != ends_at:
        entitlement.ends_at = ends_at
        entitlement.expired_at = None  # a renewal: the next end is another one
    entitlement.revoked_at = None if is_due else entitlement.revoked_at or timezone.now()
    entitlement.save(update_fields=["ends_at", "revoked_at", "expired_at"])
    if was_granted != is_due:
        _announce(entitlement, granted=is_due)


def _announce(entitlement: Entitlement, *, granted: bool) -> None:
    """Write the audit entry and send the signal, in the caller's transaction."""
    action = AuditAction.ENTITLEMENT_GRANTED if granted else AuditAction.ENTITLEMENT_REVOKED
    audit.record(
        actor=entitlement.user_id,
        action=action,
        target=entitlement,
        source=entitlement.source_type,
        video=str(entitlement.video_id) if entitlement.video_id else None,
        until=entitlement.ends_at.isoformat() if granted and entitlement.ends_at else None,
    )
    signal = entitlement_granted if granted else entitlement_revoked
    signal.send(sender=Entitlement, entitlement=entitlement)
