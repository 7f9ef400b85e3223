"""Switching the database to another mode: closing everything that rests on the present one.

Nothing is deleted and no gateway is called: the objects at the old gateway can do nothing here any more,
because its messages are refused. The balances are brought to zero by journal entries of their own.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from payments import locks
from payments.gateways.sandbox import closing as sandbox
from payments.ledger import posting
from payments.models import (
    DisputeEvidence,
    GatewayCustomer,
    IdempotencyRecord,
    Invoice,
    JournalEntry,
    LedgerAccount,
    MoneyMode,
    Notice,
    Order,
    Payment,
    Payout,
    Plan,
    Refund,
    Subscription,
    Transfer,
    WatchDaily,
    WebhookEvent,
)
from payments.periods import Month
from payments.services import access
from payments.services.modes import survey
from payments.services.offers import coupons
from payments.services.payouts import payouts
from payments.services.sharing import pools

WHY = "made before the switch of mode"
_ORDER_ENDED = {
    Order.Status.EXPIRED: AuditAction.ORDER_EXPIRED,
    Order.Status.VOID: AuditAction.ORDER_VOIDED,
}
AN_INSTANT = timedelta(microseconds=1)


@transaction.atomic
def switch(mode: MoneyMode.Mode, *, actor: User | None = None) -> bool:
    """Close the present mode of the database and begin another one; return False if it has it already.

    All or nothing. Afterwards no order, subscription or entitlement of the earlier mode gives access,
    no balance of it can be paid out, and no report, pool or statement counts it. Nobody gets a mail.
    Stop the web processes and the workers first. Safe to repeat, and to run twice at once.
    """
    present = locks.lock_mode()
    if present is None:
        MoneyMode.objects.create(number=1, mode=mode)
        return True
    if present.mode == mode:
        return False
    pools.finish_closes()  # later nothing may be booked in a month of this mode
    held = {holding.what: holding.number for holding in survey.holdings()}
    _close_payables()
    _close_payments()
    _cancel_payouts()
    _forget_gateway()
    sandbox.close_everything()
    _silence()
    now = timezone.now()
    _close_balances(present.number, now)
    WatchDaily.objects.filter(day__gte=Month.of(now.date()).first_day).update(plan_seconds=0)
    MoneyMode.objects.create(number=present.number + 1, mode=mode, began_at=now + AN_INSTANT)
    audit.record(
        actor=actor, action=AuditAction.MODE_CHANGED, before=present.mode, after=mode, closed=held
    )
    return True


def _close_payables() -> None:
    """End the orders and subscriptions, and revoke the entitlements that they give."""
    Order.objects.update(checkout_closed=True)
    open_orders = list(Order.objects.filter(status__in=Order.OPEN).order_by("pk"))
    _end_orders(open_orders, Order.Status.EXPIRED)
    bought = list(Order.objects.filter(status__in=Order.BOUGHT).order_by("pk"))
    _end_orders(bought, Order.Status.VOID)
    Subscription.objects.update(checkout_closed=True, closed_at_gateway=True)
    Invoice.objects.filter(status=Invoice.Status.OPEN).update(status=Invoice.Status.VOID)
    for row in Subscription.objects.filter(status__in=Subscription.LIVE).order_by("pk"):
        row.status, row.ended_at = Subscription.Status.CANCELED, timezone.now()
        row.next_plan = row.changing_by = row.past_due_since = row.grace_until = None
        row.save()
        access.update_for_subscription(row)
        audit.record(
            actor=None,
            action=AuditAction.SUBSCRIPTION_ENDED,
            target=row,
            status=row.status,
            reason=WHY,
        )


def _end_orders(orders: list[Order], status: Order.Status) -> None:
    for order in orders:
        order.status = status
        order.save(update_fields=["status"])
        access.update_for_order(order)
    action = _ORDER_ENDED[status]
    audit.record_each(actor=None, action=action, targets=orders, reason=WHY)
    coupons.update_redemptions(*orders)


def _close_payments() -> None:
    """End what still waits for the gateway. The books of each payment stay as its facts are."""
    finished = [Payment.Status.CAPTURED, Payment.Status.FAILED, Payment.Status.CANCELED]
    waiting = list(Payment.objects.exclude(status__in=finished).order_by("pk"))
    Payment.objects.exclude(status__in=finished).update(status=Payment.Status.CANCELED)
    audit.record_each(actor=None, action=AuditAction.PAYMENT_CANCELED, targets=waiting, reason=WHY)
    requested = Refund.objects.filter(status=Refund.Status.REQUESTED)
    unsent = list(requested.order_by("pk"))
    requested.update(status=Refund.Status.CANCELED)
    audit.record_each(actor=None, action=AuditAction.REFUND_CANCELED, targets=unsent, reason=WHY)
    evidence = DisputeEvidence.objects.filter(status=DisputeEvidence.Status.SUBMITTING)
    evidence.update(status=DisputeEvidence.Status.DRAFT)


def _cancel_payouts() -> None:
    for payout in Payout.objects.filter(status__in=Payout.IN_FLIGHT).order_by("pk"):
        payouts.cancel(payout_id=payout.pk, actor=None, reason=WHY, expected=Payout.IN_FLIGHT)


def _forget_gateway() -> None:
    """Forget the ids of the old gateway: it has none of them in the new mode."""
    GatewayCustomer.objects.all().delete()
    Plan.objects.update(gateway_refs={})
    IdempotencyRecord.objects.all().delete()  # a repeat must not answer with an order that is void


def _silence() -> None:
    """Process no event and send no mail that waits. Also the mails that this switch has written."""
    now = timezone.now()
    WebhookEvent.objects.filter(status__in=["received", "failed"]).update(
        status=WebhookEvent.Status.IGNORED, error=WHY, processed_at=now
    )
    Notice.objects.filter(sent_at=None, failed_at=None).update(failed_at=now, failure=WHY)


def _close_balances(number: int, at: datetime) -> None:
    """Bring every ledger account to zero, by one journal entry for each currency."""
    by_currency: defaultdict[str, dict[LedgerAccount, int]] = defaultdict(dict)
    for account in LedgerAccount.objects.with_balance().order_by("code"):
        if account.balance:
            by_currency[account.currency][account] = -account.balance
    for currency, changes in sorted(by_currency.items()):
        counter, _ = (
            changes.popitem()
        )  # all balances together are zero, so it is closed by the others
        posting.post(
            key=f"mode:{number}:{currency}",
            kind=JournalEntry.Kind.MODE_CLOSED,
            currency=currency,
            transfers=posting.transfers_for(changes, counter),
            at=at,
        )


def money_out_of_place() -> list[str]:
    """Return a line of text for each amount of an earlier mode that is not closed."""
    switched = MoneyMode.objects.exclude(began_at=None).order_by("-number").first()
    if switched is None or switched.began_at is None:
        return []
    began = switched.began_at
    closed = Transfer.objects.filter(entry__effective_at__lt=began).net_by(account=("code",))
    lines = [f"{code} has {net} left of an earlier mode" for (code,), net in closed.items() if net]
    late = Transfer.objects.filter(entry__effective_at__gte=began)
    for subject in ("payment", "order", "payout"):
        rows = late.filter(**{f"entry__{subject}__created_at__lt": began})
        keys = rows.order_by().values_list("entry__key", flat=True).distinct()
        lines += [f"entry {key} books a {subject} of an earlier mode" for key in keys]
    return lines
