"""Whether money of a user still moves, or is owed: then the account cannot be erased."""

from django.db.models import Q

from accounts.errors import MoneyMoving, MoneyOwed
from accounts.models import User
from config.money import to_text
from payments.models import Dispute, Order, Payout, Pool, Refund, WatchDaily
from payments.services.payouts import payouts


def refuse_erasure(user: User) -> None:
    """Raise MoneyMoving or MoneyOwed with the reason why the user cannot be erased now."""
    _refuse_moving(user)
    for currency, owed in payouts.available(user.pk).items():
        amount = f"{to_text(abs(owed['balance']), currency)} {currency}"
        if owed["balance"] > 0:
            raise MoneyOwed(f"{amount} of earnings are not paid out yet. Have them paid out first.")
        if owed["balance"] < 0:
            raise MoneyOwed(
                f"The account owes {amount}, after refunds. Ask the operator to settle it first."
            )
    closed = Pool.objects.filter(status=Pool.Status.CLOSED).values_list("period", flat=True)
    watched = WatchDaily.objects.filter(creator=user, plan_seconds__gt=0).order_by("day")
    months = {f"{day:%Y-%m}" for day in watched.values_list("day", flat=True).distinct()}
    if opened := sorted(months - set(closed)):
        raise MoneyOwed(
            f"The subscriptions of {opened[0]} are not shared yet. Delete your videos, and come back"
            " when that month is closed and paid out."
        )


def _refuse_moving(user: User) -> None:
    if Payout.objects.filter(creator=user, status__in=Payout.IN_FLIGHT).exists():
        raise MoneyMoving("A payout is under way. Try again when it has arrived.")
    own = Q(payment__order__buyer=user) | Q(payment__order__creator=user)
    own |= Q(payment__invoice__subscription__user=user)
    if Dispute.objects.filter(own, status__in=Dispute.OPEN).exists():
        raise MoneyMoving("A bank has not decided a dispute yet. Try again after its decision.")
    running = (Refund.Status.REQUESTED, Refund.Status.PENDING)
    if Refund.objects.filter(own, status__in=running).exists():
        raise MoneyMoving("A refund is under way. Try again when it has arrived.")
    processing = Order.objects.filter(status=Order.Status.PROCESSING)
    if processing.filter(Q(buyer=user) | Q(creator=user)).exists():
        raise MoneyMoving("A payment is under way. Try again when it has ended.")
