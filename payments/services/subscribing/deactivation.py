"""The subscriptions of deactivated users: none renews, and one that is paid ends with its period."""

from contextlib import suppress

from django.db import transaction

from accounts.models import User
from payments import gateways, locks
from payments.gateways.base import NotThere
from payments.models import Invoice, Subscription
from payments.services.subscribing.follow_gateway import end_subscription, sync_subscription

Status = Subscription.Status
AT_ONCE = 100


def stop_renewals(user: User, *, by: User | None) -> None:
    """Note that the user's subscription must not renew, in the transaction that deactivates the user.

    `gateway_news.followups` ends it within seconds. The note stays if the user is active again before
    the gateway answers: only the user resumes the subscription. ``by`` is named in the audit entry.
    """
    for row in locks.lock_subscriptions_of(user.pk).values():
        if row.status in Subscription.LIVE and not row.cancel_at_period_end:
            row.must_not_renew, row.changing_by = True, by
            row.save(update_fields=["must_not_renew", "changing_by"])


def note_deactivated() -> int:
    """Note the subscriptions of users who were deactivated past the service, such as by SQL.

    Also one that an inactive user has paid for on a checkout in the last moment. Return their number.
    Safe to repeat.
    """
    renewing = Subscription.objects.filter(status__in=Subscription.LIVE, cancel_at_period_end=False)
    unnoted = renewing.filter(must_not_renew=False, user__is_active=False).order_by("pk")
    return sum(
        renewing.filter(pk=pk).update(must_not_renew=True)
        for pk in list(unnoted.values_list("pk", flat=True)[:AT_ONCE])
    )


def due() -> list[Subscription]:
    """Return up to 100 subscriptions that must not renew and still would."""
    rows = Subscription.objects.filter(
        status__in=Subscription.LIVE, must_not_renew=True, cancel_at_period_end=False
    )
    return list(rows.order_by("pk")[:AT_ONCE])


def end_renewals_of(row: Subscription) -> None:
    """End a subscription with its period at its gateway; at once if its period is not paid.

    The gateway may have begun the next period and not charged it yet: Stripe holds the invoice of a
    renewal back for about an hour. Safe to repeat. Raises OSError when the gateway does not answer.
    """
    if row.status in {Status.TRIALING, Status.ACTIVE} and row.external_id is not None:
        gateway = gateways.by_name(row.gateway)
        with suppress(NotThere):
            gateway.cancel_subscription(row.external_id, at_period_end=True)
        row = sync_subscription(gateway=row.gateway, external_id=row.external_id) or row
        if _is_paid(row):
            return
    with transaction.atomic():
        locked = locks.lock_subscription(row.pk)
        if locked.status == row.status:
            end_subscription(locked, Status.CANCELED)


def _is_paid(row: Subscription) -> bool:
    """Return whether the current period of a subscription costs nothing more."""
    if row.status != Status.ACTIVE:
        return row.status != Status.PAST_DUE
    paid = row.invoices.filter(status=Invoice.Status.PAID, ended_early_at=None)
    return paid.filter(period_end__gt=row.period_start).exists()
