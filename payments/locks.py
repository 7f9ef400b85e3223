"""The row locks of payments: the only module that calls `select_for_update` on its tables.

A transaction takes its locks in the order of the functions in this file, and the rows of one table by
their ids: then no two transactions can wait for each other. `docs/locking.md` gives the reasons;
`payments/tests/test_locking.py` checks the order on PostgreSQL, UPDATEs included.

Each function must be called inside a transaction. It returns the rows as they are now, after waiting
for the transaction that holds them, and keeps them locked until the caller's transaction ends. Locking
a row again in the same transaction costs one query and never waits.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from config.rows import Rows
from payments.models import (
    Coupon,
    CouponRedemption,
    Entitlement,
    Invoice,
    LedgerAccount,
    MoneyMode,
    Order,
    Payment,
    Payout,
    Plan,
    Subscription,
)

# The locks of every purchase. The rows of an order's payment and of its entitlement are unique.
_PAYMENT = Rows(
    lambda gateway, external_id: Payment.objects.select_for_update().filter(
        gateway=gateway, external_id=external_id
    ),
    Payment,
    gateway=str,
    external_id=str,
)
_ORDERS = Rows(
    lambda buyer, video: (
        Order.objects.filter(buyer_id=buyer, video_id=video).select_for_update().order_by("pk")
    ),
    Order,
    buyer=uuid.UUID,
    video=uuid.UUID,
)
_ENTITLEMENT = Rows(
    lambda type, id: Entitlement.objects.select_for_update().filter(source_type=type, source_id=id),
    Entitlement,
    type=str,
    id=uuid.UUID,
)


def lock_mode() -> MoneyMode | None:
    """Lock the present mode of the database; None before its first use.

    Only the switch to another mode locks it, before everything else and with the service stopped. The
    lock is that of the first row: a switch that has waited for it then reads the row of the other one.
    """
    if MoneyMode.objects.select_for_update().filter(number=1).first() is None:
        return None
    return MoneyMode.objects.order_by("-number").first()


def lock_payment(**lookup: object) -> Payment:
    """Lock one payment, with its refunds, disputes and journal entries: they have no lock of their own.

    The first lock of every transaction that changes a payment. Raises Payment.DoesNotExist.
    """
    if lookup.keys() == {"gateway", "external_id"}:
        return _PAYMENT.get(**lookup)
    return Payment.objects.select_for_update().get(**lookup)


def lock_payments(**lookup: object) -> list[Payment]:
    """Lock the payments of some invoices, by id; return them. At the same place as `lock_payment`."""
    return list(Payment.objects.filter(**lookup).select_for_update().order_by("pk"))


def lock_orders_of(*, buyer_id: uuid.UUID, video_id: uuid.UUID) -> dict[uuid.UUID, Order]:
    """Lock all orders of a buyer for a video, by id; return them by id.

    After the payment, before everything else. All at once, because an order that is paid makes the
    buyer's other orders of the video give way.
    """
    return {order.pk: order for order in _ORDERS.all(buyer=buyer_id, video=video_id)}


def lock_orders_by(buyer_id: uuid.UUID) -> dict[uuid.UUID, Order]:
    """Lock all orders of a buyer, by id; return them by id. At the same place as `lock_orders_of`.

    A queue for the buyer's own refunds, which are counted over all their orders.
    """
    orders = Order.objects.filter(buyer_id=buyer_id)
    return {order.pk: order for order in orders.select_for_update().order_by("pk")}


def lock_orders(order_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Order]:
    """Lock the orders of these ids, by id; return them by id. At the same place as `lock_orders_of`."""
    orders = Order.objects.filter(pk__in=list(order_ids))
    return {order.pk: order for order in orders.select_for_update().order_by("pk")}


def lock_redemptions_of(order_ids: Iterable[uuid.UUID]) -> list[CouponRedemption]:
    """Lock the coupon redemptions of these orders, by id. After the orders, before the coupons."""
    redemptions = CouponRedemption.objects.filter(order__in=list(order_ids))
    return list(redemptions.select_for_update().order_by("pk"))


def lock_coupon(coupon_id: uuid.UUID) -> Coupon | None:
    """Lock a coupon; None when there is none of this id. After the orders and the redemptions.

    The number of its uses changes by conditional UPDATEs: they lock it at the same place.
    """
    return Coupon.objects.select_for_update().filter(pk=coupon_id).first()


def lock_plan(plan_id: uuid.UUID) -> Plan | None:
    """Lock a plan; None when there is none of this id. The only lock of its transaction."""
    return Plan.objects.select_for_update().filter(pk=plan_id).first()


def lock_subscription(subscription_id: uuid.UUID) -> Subscription:
    """Lock one subscription, where no other one of its user can change in the same transaction.

    At the same place as `lock_subscriptions_of`. Raises Subscription.DoesNotExist.
    """
    return Subscription.objects.select_for_update().get(pk=subscription_id)


def lock_subscriptions_of(user_id: uuid.UUID) -> dict[uuid.UUID, Subscription]:
    """Lock all subscriptions of a user, by id; return them by id.

    After the payment, before the invoices. All at once, because a subscription that begins to run
    ends the unpaid ones of its user.
    """
    subscriptions = Subscription.objects.filter(user_id=user_id)
    return {row.pk: row for row in subscriptions.select_for_update().order_by("pk")}


def lock_invoices_of(subscription_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Invoice]:
    """Lock all invoices of these subscriptions, by id; return them by id.

    After the subscriptions, before the entitlements.
    """
    invoices = Invoice.objects.filter(subscription__in=list(subscription_ids))
    return {row.pk: row for row in invoices.select_for_update().order_by("pk")}


def lock_invoices(invoice_ids: Iterable[uuid.UUID]) -> list[Invoice]:
    """Lock some invoices, by id, to recognise a month. At the same place as `lock_invoices_of`."""
    invoices = Invoice.objects.filter(pk__in=list(invoice_ids))
    return list(invoices.select_for_update().order_by("pk"))


def lock_entitlement_of(source_type: str, source_id: uuid.UUID) -> Entitlement | None:
    """Lock the entitlement of an order or subscription; None when it has none.

    After the order and its coupon, or the subscription and its invoices; before playback sessions.
    """
    return _ENTITLEMENT.first(type=source_type, id=source_id)


def lock_live_entitlement(entitlement_id: uuid.UUID, now: datetime) -> Entitlement | None:
    """Lock an entitlement that holds at ``now``; None when it has ended or been revoked.

    For starting playback: after the user and the video, before the playback session. Foreign keys to
    the row can still be written (FOR NO KEY UPDATE), so that its sessions do not wait for each other.
    """
    live = Entitlement.objects.live(now).select_for_update(no_key=True)
    return live.filter(pk=entitlement_id).first()


def lock_payout(payout_id: uuid.UUID) -> Payout:
    """Lock one payout. The first lock of its transaction. Raises Payout.DoesNotExist."""
    return Payout.objects.select_for_update().get(pk=payout_id)


def lock_ledger_account(account_id: int) -> LedgerAccount:
    """Lock one ledger account. The last lock of a transaction. Raises LedgerAccount.DoesNotExist.

    Posting needs no lock: transfers are only added. The lock is a queue for transactions that read a
    balance and then post an entry that depends on it: payouts, write-offs, the close of a month.
    """
    return LedgerAccount.objects.select_for_update().get(pk=account_id)


def lock_pool_accounts() -> None:
    """Lock the ledger accounts of the pools of all currencies, by id. At the place of one of them.

    For adding watch time to an earlier month, which may be closed at the same moment.
    """
    pools = LedgerAccount.objects.filter(role=LedgerAccount.Role.POOL)
    list(pools.select_for_update().order_by("pk").values_list("pk"))
