"""Rights to watch, as they follow from orders and subscriptions."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments.models import Entitlement, Invoice, Order, Payment, Subscription
from payments.signals import entitlement_granted, entitlement_revoked

# A renewal that is a little late must not black out a video.
PERIOD_GRACE = timedelta(hours=1)
Status = Subscription.Status


def update_for_order(order: Order) -> None:
    """The buyer may watch while the order is paid, and not a moment longer.

    A rental must be begun within RENTAL_START_DAYS; its hours run from the first play.
    """
    rental = order.kind == Order.Kind.RENT
    begin_by = (order.paid_at or timezone.now()) + timedelta(days=settings.RENTAL_START_DAYS)
    _update_entitlement(
        holds=order.status == Order.Status.PAID,
        source_type=Entitlement.Source.ORDER,
        source_id=order.pk,
        user_id=order.buyer_id,
        video_id=order.video_id,
        ends_at=begin_by if rental else None,
        rental_hours=order.rental_hours,
    )


def update_for_subscription(subscription: Subscription) -> None:
    """The subscriber may watch everything until the paid period ends, by the clock alone."""
    _update_entitlement(
        holds=_grants_access(subscription),
        source_type=Entitlement.Source.SUBSCRIPTION,
        source_id=subscription.pk,
        user_id=subscription.user_id,
        video_id=None,
        ends_at=access_until(subscription),
    )


def access_until(subscription: Subscription) -> datetime | None:
    if subscription.status == Status.PAST_DUE:
        return subscription.grace_until
    end = subscription.period_end
    return end + PERIOD_GRACE if end else None


def _grants_access(subscription: Subscription) -> bool:
    if subscription.disposition != Subscription.Disposition.PRIMARY:
        return False
    if subscription.status not in {Status.TRIALING, Status.ACTIVE, Status.PAST_DUE}:
        return False
    return not is_taken_back(subscription)


def is_taken_back(subscription: Subscription) -> bool:
    """Has the money of the latest paid period gone back, to the buyer or to their bank?"""
    invoice = (
        subscription.invoices.filter(status=Invoice.Status.PAID).order_by("-period_start").first()
    )
    if invoice is None:
        return False
    payment = invoice.payments.filter(disposition=Payment.Disposition.APPLIED).first()
    if payment is None:
        return False
    return payment.disputed() > 0 or payment.refunded() >= payment.captured > 0


def begin_rental(entitlement: Entitlement, now: datetime) -> Entitlement:
    """The first play of a rental starts its hours. Does nothing for every other entitlement.

    Call it with the row locked.
    """
    if entitlement.rental_hours is not None and entitlement.begun_at is None:
        entitlement.begun_at = now
        entitlement.ends_at = now + timedelta(hours=entitlement.rental_hours)
        entitlement.save(update_fields=["begun_at", "ends_at"])
    return entitlement


def _update_entitlement(
    *, holds: bool, source_type, source_id, user_id, video_id, ends_at, rental_hours=None
) -> None:
    entitlement = (
        Entitlement.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(source_type=source_type, source_id=source_id)
        .first()
    )
    if entitlement is None:
        if not holds:
            return
        entitlement = Entitlement.objects.create(
            user_id=user_id,
            video_id=video_id,
            source_type=source_type,
            source_id=source_id,
            ends_at=ends_at,
            rental_hours=rental_hours,
        )
        _announce(entitlement, granted=True)
        return
    before = entitlement.revoked_at is None
    if entitlement.begun_at is None:  # a rental that has begun keeps its hours
        entitlement.ends_at = ends_at
    entitlement.revoked_at = None if holds else entitlement.revoked_at or timezone.now()
    entitlement.save(update_fields=["ends_at", "revoked_at"])
    if before != holds:
        _announce(entitlement, granted=holds)


def _announce(entitlement: Entitlement, *, granted: bool) -> None:
    action = AuditAction.ENTITLEMENT_GRANTED if granted else AuditAction.ENTITLEMENT_REVOKED
    audit.record(
        actor=entitlement.user,
        action=action,
        target=entitlement,
        source=entitlement.source_type,
        video=str(entitlement.video_id) if entitlement.video_id else None,
    )
    signal = entitlement_granted if granted else entitlement_revoked
    signal.send(sender=Entitlement, entitlement=entitlement)
