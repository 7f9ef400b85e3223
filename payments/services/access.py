"""Rights to watch, as they follow from orders and subscriptions."""

from datetime import datetime, timedelta

from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments.models import Entitlement, Order, Subscription
from payments.signals import entitlement_granted, entitlement_revoked

# A renewal that is a little late must not black out a film.
PERIOD_GRACE = timedelta(hours=1)


def follow_order(order: Order) -> None:
    """The buyer may watch while the order is paid, and not a moment longer."""
    _set(
        holds=order.status == Order.Status.PAID,
        source_type=Entitlement.Source.ORDER,
        source_id=order.pk,
        user=order.buyer,
        video=order.video,
        ends_at=None,
    )


def follow_subscription(subscription: Subscription) -> None:
    """The subscriber may watch everything until the paid period ends, by the clock alone."""
    end = subscription.period_end
    _set(
        holds=subscription.status == Subscription.Status.ACTIVE,
        source_type=Entitlement.Source.SUBSCRIPTION,
        source_id=subscription.pk,
        user=subscription.user,
        video=None,
        ends_at=end + PERIOD_GRACE if end else None,
    )


def _set(*, holds: bool, source_type, source_id, user, video, ends_at: datetime | None) -> None:
    found = Entitlement.objects.filter(source_type=source_type, source_id=source_id).first()
    if found is None:
        if not holds:
            return
        found = Entitlement.objects.create(
            user=user, video=video, source_type=source_type, source_id=source_id, ends_at=ends_at
        )
        _announce(found, granted=True)
        return
    before = found.revoked_at is None
    found.ends_at = ends_at
    found.revoked_at = None if holds else found.revoked_at or timezone.now()
    found.save(update_fields=["ends_at", "revoked_at"])
    if before != holds:
        _announce(found, granted=holds)


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
