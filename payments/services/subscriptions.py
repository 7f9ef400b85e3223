"""Subscribing, and ending it."""

import calendar
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.errors import (
    AlreadySubscribed,
    CardDeclined,
    GatewayUnavailable,
    NoSubscription,
    PaymentMethodUnknown,
    PlanNotFound,
)
from payments.gateways.base import Declined, MethodUnknown
from payments.models import Invoice, Payment, Plan, Subscription
from payments.services import access
from payments.services.settlement import refunded, sync_payment

Status = Subscription.Status


def subscribe(*, user, plan_code: str, payment_method: str = "") -> tuple[Subscription, bool]:
    """The user's subscription, active at once when a payment method is given and accepted.

    Returns it and whether this call made it. Raises PlanNotFound, AlreadySubscribed, CardDeclined.
    """
    plan = Plan.objects.filter(code=plan_code, is_active=True).first()
    if plan is None:
        raise PlanNotFound()
    subscription, created = _open(user, plan)
    if payment_method:
        subscription = pay(subscription=subscription, payment_method=payment_method)
    return subscription, created


def pay(*, subscription: Subscription, payment_method: str) -> Subscription:
    """Charge the open invoice of an incomplete subscription; it is active from then on."""
    invoice = _invoice(subscription)
    gateway = gateways.by_name(subscription.gateway)
    try:
        charge = gateway.charge(
            amount=invoice.amount,
            currency=invoice.currency,
            payment_method=payment_method,
            key=f"sub:{subscription.pk}:{subscription.attempt}",
        )
    except Declined as declined:
        with transaction.atomic():
            Subscription.objects.filter(
                pk=subscription.pk, attempt=subscription.attempt, status=Status.INCOMPLETE
            ).update(attempt=F("attempt") + 1)
            audit.record(
                actor=subscription.user,
                action=AuditAction.PAYMENT_DECLINED,
                target=subscription,
                decline_code=declined.decline_code,
            )
        raise CardDeclined(declined.decline_code) from None
    except MethodUnknown:
        raise PaymentMethodUnknown() from None
    except OSError as error:
        raise GatewayUnavailable() from error
    sync_payment(gateway=gateway.name, external_id=charge.external_id, invoice=invoice)
    return Subscription.objects.select_related("plan").get(pk=subscription.pk)


def follow_payment(payment: Payment) -> None:
    """A paid invoice makes its subscription active; one given back in full ends it."""
    if payment.invoice_id is None or payment.disposition != Payment.Disposition.APPLIED:
        return
    invoice = Invoice.objects.select_for_update().get(pk=payment.invoice_id)
    subscription = Subscription.objects.select_for_update().get(pk=invoice.subscription_id)
    if refunded(payment) >= payment.captured:
        _end(subscription, Status.CANCELED, actor=None)
        return
    if invoice.status == Invoice.Status.PAID:
        return
    # The first period begins when it is paid, however long the buyer looked for a good card.
    start = payment.captured_at
    end = add_months(start, _months(subscription.plan))
    Invoice.objects.filter(pk=invoice.pk).update(
        status=Invoice.Status.PAID, period_start=start, period_end=end
    )
    _give_way(subscription)
    subscription.status, subscription.ended_at = Status.ACTIVE, None
    subscription.period_start, subscription.period_end = start, end
    subscription.save(update_fields=["status", "ended_at", "period_start", "period_end"])
    access.follow_subscription(subscription)
    audit.record(
        actor=subscription.user, action=AuditAction.SUBSCRIPTION_STARTED, target=subscription
    )


def _give_way(paid: Subscription) -> None:
    """Money that came late is real: what the user began in the meantime, and did not pay, ends."""
    rivals = Subscription.objects.select_for_update().filter(
        user_id=paid.user_id, status=Status.INCOMPLETE
    )
    for rival in rivals.exclude(pk=paid.pk):
        _end(rival, Status.CANCELED, actor=None)


@transaction.atomic
def cancel(*, user, at_period_end: bool) -> Subscription:
    """End the user's subscription now, or with its paid period. Safe to repeat."""
    subscription = current(user, lock=True)
    if not at_period_end or subscription.status == Status.INCOMPLETE:
        _end(subscription, Status.CANCELED, actor=user)
    elif not subscription.cancel_at_period_end:
        subscription.cancel_at_period_end = True
        subscription.save(update_fields=["cancel_at_period_end"])
        audit.record(
            actor=user,
            action=AuditAction.SUBSCRIPTION_CANCELED,
            target=subscription,
            at_period_end=True,
        )
    return subscription


def current(user, *, lock: bool = False) -> Subscription:
    """The live subscription of a user. Raises NoSubscription."""
    found = Subscription.objects.select_related("plan").filter(
        user=user, status__in=Subscription.LIVE
    )
    if lock:
        found = found.select_for_update(of=("self",))
    subscription = found.first()
    if subscription is None:
        raise NoSubscription()
    return subscription


def end_lapsed(**whose) -> int:
    """Put the status of subscriptions right whose time is over. Their access ended by the clock."""
    over = timezone.now() - access.PERIOD_GRACE
    lapsed = Subscription.objects.filter(status=Status.ACTIVE, period_end__lte=over, **whose)
    ended = 0
    for pk in list(lapsed.values_list("pk", flat=True)):
        with transaction.atomic():
            subscription = Subscription.objects.select_for_update().get(pk=pk)
            if subscription.status == Status.ACTIVE and subscription.period_end <= over:
                _end(subscription, Status.EXPIRED, actor=None)
                ended += 1
    return ended


def add_months(start: datetime, months: int) -> datetime:
    """The same day ``months`` later, or the last day of a month that is too short.

    >>> add_months(datetime(2028, 1, 31), 1)
    datetime.datetime(2028, 2, 29, 0, 0)
    """
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    return start.replace(
        year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1])
    )


def _open(user, plan: Plan) -> tuple[Subscription, bool]:
    end_lapsed(user=user)
    for _ in range(3):
        found = (
            Subscription.objects.select_related("plan")
            .filter(user=user, status__in=Subscription.LIVE)
            .first()
        )
        if found is not None and found.status == Status.ACTIVE:
            raise AlreadySubscribed()
        if found is not None and found.plan_id == plan.pk:
            return found, False
        if found is not None:  # changed their mind before paying
            with transaction.atomic():
                _end(
                    Subscription.objects.select_for_update().get(pk=found.pk),
                    Status.CANCELED,
                    actor=user,
                )
        try:
            with transaction.atomic():
                return (
                    Subscription.objects.create(
                        user=user, plan=plan, gateway=gateways.current().name
                    ),
                    True,
                )
        except IntegrityError:
            continue  # another tab was faster
    raise GatewayUnavailable()


@transaction.atomic
def _invoice(subscription: Subscription) -> Invoice:
    """The open invoice of the first period, made once; the period moves to the day of payment."""
    locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
    if locked.status not in Subscription.LIVE:
        raise NoSubscription()
    subscription.attempt = locked.attempt
    found = subscription.invoices.order_by("period_start").first()
    if found is not None:
        return found
    plan, start = subscription.plan, timezone.now()
    return Invoice.objects.create(
        subscription=subscription,
        period_start=start,
        period_end=add_months(start, _months(plan)),
        amount=plan.amount,
        currency=plan.currency,
        fee_bps=settings.PLATFORM_FEE_BPS,
    )


def _months(plan: Plan) -> int:
    return 12 if plan.interval == Plan.Interval.YEAR else 1


def _end(subscription: Subscription, status: str, *, actor) -> None:
    if subscription.status not in Subscription.LIVE:
        return
    subscription.status, subscription.ended_at = status, timezone.now()
    subscription.save(update_fields=["status", "ended_at"])
    access.follow_subscription(subscription)
    action = (
        AuditAction.SUBSCRIPTION_CANCELED
        if status == Status.CANCELED
        else AuditAction.SUBSCRIPTION_ENDED
    )
    audit.record(actor=actor, action=action, target=subscription)
