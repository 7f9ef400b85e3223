"""Subscribing to a plan, and the changes that subscribers make to their subscription."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import DomainError
from payments import gateways, locks
from payments.errors import (
    AlreadySubscribed,
    GatewayUnavailable,
    NoSubscription,
    NotCanceled,
    PlanNotFound,
    PlanUnchanged,
    SubscriptionNotRunning,
)
from payments.gateways import translation
from payments.gateways.base import (
    CheckoutSnapshot,
    Gateway,
    Item,
    NotThere,
    ReferenceGone,
    SubscriptionSnapshot,
)
from payments.gateways.translation import translate_errors
from payments.models import Payment, Plan, Subscription
from payments.services import access
from payments.services.offers import gateway_plans
from payments.services.settling import customers, payable
from payments.services.settling.payable import NextAction
from payments.services.subscribing import follow_gateway
from payments.services.subscribing.follow_gateway import sync_subscription
from payments.services.subscribing.references import with_references

Status = Subscription.Status
# A subscription that is still incomplete after this time is given up. Its checkout expires then too.
ABANDONED_AFTER = timedelta(hours=24)
RESYNCS_AT_ONCE = 100

# What the functions below can raise, for the API document.
REFUSALS_OF_SUBSCRIBE = (PlanNotFound, AlreadySubscribed, *translation.REFUSALS)
REFUSALS_OF_CANCEL = (NoSubscription, GatewayUnavailable)
REFUSALS_OF_RESUME = (*REFUSALS_OF_CANCEL, NotCanceled)
REFUSALS_OF_PAYMENT_METHOD = (NoSubscription, SubscriptionNotRunning, *translation.REFUSALS)
REFUSALS_OF_CHANGE = (*REFUSALS_OF_PAYMENT_METHOD, PlanNotFound, PlanUnchanged)


def subscribe(*, user: User, plan_code: str, payment_method: str = "") -> tuple[Subscription, bool]:
    """Subscribe a user to a plan. Return the subscription, and whether this call created it.

    With a payment method the first period is charged at once. A plan with free days starts without
    one, once for each user. Otherwise the subscription stays incomplete until it is paid on its
    checkout, see `next_action`. Repeating the call continues with the incomplete subscription.

    Raises PlanNotFound, AlreadySubscribed, CardDeclined, PaymentMethodUnknown, AmountBelowMinimum and
    GatewayUnavailable.
    """
    plan = _offered_plan(plan_code)
    subscription, created = _get_or_create(user, plan)
    if payment_method or _trial_days(subscription):
        subscription = start(subscription=subscription, payment_method=payment_method)
    return subscription, created


def start(*, subscription: Subscription, payment_method: str) -> Subscription:
    """Start an incomplete subscription at its gateway, and charge its first period unless it is free.

    Raises CardDeclined, PaymentMethodUnknown, AmountBelowMinimum: another card can be tried then. After
    GatewayUnavailable the same call finds out whether the subscription was started.
    """
    gateway = gateways.by_name(subscription.gateway)
    with payable.charging(subscription):
        snapshot = with_references(
            subscription,
            gateway,
            lambda terms, customer, key: gateway.start_subscription(
                terms,
                reference=str(subscription.pk),
                customer=customer,
                payment_method=payment_method,
                key=key,
            ),
            trial_days=_trial_days(subscription),
            key=subscription.charge_key,
        )
    return _sync(subscription, snapshot)


def next_action(subscription: Subscription, *, return_url: str = "") -> NextAction | None:
    """Return the subscriber's next step, or None. See `payable.next_action`."""

    def create_checkout(gateway: Gateway) -> CheckoutSnapshot:
        return with_references(
            subscription,
            gateway,
            lambda terms, customer, key: gateway.create_checkout(
                Item(str(subscription.pk), terms.name, terms.amount, terms.currency, terms),
                customer=customer,
                key=key,
                return_url=return_url,
                expires_at=timezone.now() + ABANDONED_AFTER,
            ),
            trial_days=_trial_days(subscription),
            key=subscription.checkout_key,
        )

    payments = Payment.objects.filter(invoice__subscription=subscription)
    return payable.next_action(subscription, payments=payments, create_checkout=create_checkout)


def cancel(*, user: User, at_period_end: bool, actor: User | None = None) -> Subscription:
    """End the user's subscription at once, or at the end of its paid period. Safe to repeat.

    ``actor`` is the administrator who cancels it for the user. Raises NoSubscription and
    GatewayUnavailable.
    """
    subscription = current(user)
    if subscription.external_id is None:  # the gateway has at most an open checkout
        with transaction.atomic():
            locked = locks.lock_subscription(subscription.pk)
            follow_gateway.end_subscription(locked, Status.CANCELED)
        return _reload(subscription)
    gateway = gateways.by_name(subscription.gateway)
    with _changing(subscription, by=actor or user):
        with translate_errors():
            snapshot = gateway.cancel_subscription(
                subscription.external_id, at_period_end=at_period_end
            )
        return _sync(subscription, snapshot)


def resume(*, user: User) -> Subscription:
    """Undo a cancellation at the period's end.

    Raises NoSubscription, NotCanceled and GatewayUnavailable.
    """
    subscription = current(user)
    if not subscription.cancel_at_period_end or subscription.external_id is None:
        raise NotCanceled()
    gateway = gateways.by_name(subscription.gateway)
    with _changing(subscription, by=user):
        with translate_errors():
            snapshot = gateway.resume_subscription(subscription.external_id)
        return _sync(subscription, snapshot)


def change(*, user: User, plan_code: str) -> Subscription:
    """Change the plan of the user's subscription.

    A dearer plan begins at once, and the value of the unused time is deducted from its price. Another
    plan begins with the next period; choosing the present plan again takes that change back.

    Raises NoSubscription, PlanNotFound (also for a plan in another currency), SubscriptionNotRunning,
    PlanUnchanged, CardDeclined and GatewayUnavailable. No plan has changed then.
    """
    subscription = current(user)
    plan = _offered_plan(plan_code)
    if plan.currency != subscription.plan.currency:
        raise PlanNotFound()
    external_id = subscription.external_id
    if subscription.status not in {Status.TRIALING, Status.ACTIVE} or external_id is None:
        raise SubscriptionNotRunning()
    if plan.pk == subscription.plan_id and subscription.next_plan_id is None:
        raise PlanUnchanged()
    later = plan.amount <= subscription.plan.amount
    gateway = gateways.by_name(subscription.gateway)
    # A repeated call has the same key, because the ticket rises with each new state.
    key = f"change:{subscription.pk}:{plan.pk}:{subscription.applied_ticket}"
    with _changing(subscription, by=user):
        with payable.charging(subscription):
            snapshot = gateway_plans.with_plan(
                plan,
                gateway,
                lambda terms: gateway.change_plan(
                    external_id, terms, at_period_end=later, key=terms.key(key)
                ),
                trial_days=0,
            )
        return _sync(subscription, snapshot)


def set_payment_method(*, user: User, payment_method: str) -> Subscription:
    """Pay the subscription with another card from now on, including a renewal that is due.

    Raises NoSubscription, SubscriptionNotRunning, CardDeclined, PaymentMethodUnknown and
    GatewayUnavailable.
    """
    subscription = current(user)
    external_id = subscription.external_id
    if subscription.status not in Subscription.RUNNING or external_id is None:
        raise SubscriptionNotRunning()
    gateway = gateways.by_name(subscription.gateway)
    with payable.charging(subscription):
        try:
            snapshot = gateway.set_payment_method(
                external_id, payment_method, customer=customers.ensure(subscription.user, gateway)
            )
        except ReferenceGone:  # with a customer, a gateway deletes the subscriptions
            _resync(subscription)
            raise SubscriptionNotRunning() from None
    audit.record(actor=user, action=AuditAction.PAYMENT_METHOD_CHANGED, target=subscription)
    return _sync(subscription, snapshot)


def current(user: User) -> Subscription:
    """Return the user's live subscription. Raises NoSubscription."""
    subscription = _live(user)
    if subscription is None:
        raise NoSubscription()
    return subscription


def end_lapsed() -> int:
    """End the subscriptions that were not paid in time. Return how many were ended. Safe to repeat.

    An unpaid renewal ends with its grace period, a paused subscription as many days after its period,
    and an incomplete one after ABANDONED_AFTER. A subscription whose period is over is compared with
    the gateway instead, because its renewal or end may have gone unnoticed; one that the gateway does
    not know ends. Access does not wait for this job: it ends by the clock.
    """
    now = timezone.now()
    graceless = Subscription.objects.filter(status=Status.PAST_DUE, grace_until__lte=now)
    abandoned = Subscription.objects.filter(
        status=Status.INCOMPLETE, created_at__lte=now - ABANDONED_AFTER
    )
    grace = timedelta(days=settings.SUBSCRIPTION_GRACE_DAYS)
    forgotten = Subscription.objects.filter(status=Status.PAUSED, period_end__lte=now - grace)
    ended = 0
    for rows, status in (
        (graceless, Status.EXPIRED),
        (forgotten, Status.EXPIRED),
        (abandoned, Status.INCOMPLETE_EXPIRED),
    ):
        for pk in list(rows.values_list("pk", flat=True)):
            with transaction.atomic():
                row = locks.lock_subscription(pk)
                if rows.filter(pk=pk).exists():
                    follow_gateway.end_subscription(row, status)
                    ended += 1
    over = Subscription.objects.filter(
        status__in=[Status.TRIALING, Status.ACTIVE],
        period_end__lte=now - access.PERIOD_GRACE,
        external_id__isnull=False,
    )
    for row in over.order_by("period_end")[:RESYNCS_AT_ONCE]:
        try:
            _resync(row)
        except NotThere:
            with transaction.atomic():
                locked = locks.lock_subscription(row.pk)
                Subscription.objects.filter(pk=row.pk).update(closed_at_gateway=True)
                follow_gateway.end_subscription(locked, Status.EXPIRED)
            ended += 1
        except OSError:
            break  # the gateway does not answer: the job runs again in a minute
    return ended


def _get_or_create(user: User, plan: Plan) -> tuple[Subscription, bool]:
    """Return the user's incomplete subscription to the plan, and whether this call created it.

    An incomplete subscription to another plan is canceled first. Raises AlreadySubscribed,
    AmountBelowMinimum and GatewayUnavailable.
    """
    for _ in range(3):
        subscription = _live(user)
        if subscription is not None and subscription.status != Status.INCOMPLETE:
            if not _end_if_lapsed(subscription):
                raise AlreadySubscribed()
            continue
        if subscription is not None and subscription.plan_id == plan.pk:
            return subscription, False
        if subscription is not None:
            with transaction.atomic():
                locked = locks.lock_subscription(subscription.pk)
                if locked.status == Status.INCOMPLETE:
                    follow_gateway.end_subscription(locked, Status.CANCELED)
        gateway = gateways.current()
        with translate_errors():
            gateway.validate_amount(plan.amount, plan.currency)
        try:
            with transaction.atomic():
                row = Subscription.objects.create(user=user, plan=plan, gateway=gateway.name)
            return row, True
        except IntegrityError:
            continue  # another request of the user has just created one
    raise GatewayUnavailable()


def _end_if_lapsed(subscription: Subscription) -> bool:
    """End a subscription whose access is over by the clock, unless the gateway knows of its renewal.

    Return whether it has ended, so that the user can subscribe again. Raises GatewayUnavailable.
    """
    until = access.access_until(subscription)
    if until is None or until > timezone.now():
        return False
    with translate_errors():
        _resync(subscription)
    with transaction.atomic():
        locked = locks.lock_subscription(subscription.pk)
        until = access.access_until(locked)
        if until is not None and until <= timezone.now():
            follow_gateway.end_subscription(locked, Status.EXPIRED)
        return locked.status not in Subscription.LIVE


def _live(user: User) -> Subscription | None:
    """Return the user's own subscription that runs or waits for its first payment, if any."""
    return (
        Subscription.objects.select_related("plan", "next_plan", "user")
        .filter(
            user=user,
            disposition=Subscription.Disposition.PRIMARY,
            status__in=Subscription.LIVE,
        )
        .first()
    )


def _offered_plan(code: str) -> Plan:
    """Return the plan with this code. Raises PlanNotFound if it cannot be subscribed to."""
    plan = Plan.objects.filter(code=code, is_active=True).first()
    if plan is None:
        raise PlanNotFound()
    return plan


def _trial_days(subscription: Subscription) -> int:
    """Return the free days of the plan; 0 for a user who has had a subscription before."""
    if not subscription.plan.trial_days or subscription.status != Status.INCOMPLETE:
        return 0
    had = Subscription.objects.filter(user_id=subscription.user_id, period_start__isnull=False)
    return 0 if had.exists() else subscription.plan.trial_days


@contextmanager
def _changing(subscription: Subscription, *, by: User) -> Iterator[None]:
    """Note who changes the subscription at the gateway, until the change is applied or refused.

    The change may be applied by a webhook event before the gateway answers here, or after this process
    has died. Its audit entry names this user all the same.
    """
    row = Subscription.objects.filter(pk=subscription.pk)
    row.update(changing_by=by)
    try:
        yield
    except GatewayUnavailable:  # it may have been carried out
        raise
    except DomainError:
        row.update(changing_by=None)
        raise
    row.filter(changing_by=by).update(changing_by=None)  # nothing has changed


def _sync(subscription: Subscription, snapshot: SubscriptionSnapshot) -> Subscription:
    """Apply the gateway's state of the subscription after a call that has changed it there."""
    with translate_errors():
        sync_subscription(
            gateway=subscription.gateway,
            external_id=snapshot.external_id,
            subscription=subscription,
        )
    return _reload(subscription)


def _resync(subscription: Subscription) -> None:
    """Apply the gateway's present state of a subscription that it knows. Raises NotThere, OSError."""
    if subscription.external_id is not None:
        sync_subscription(gateway=subscription.gateway, external_id=subscription.external_id)


def _reload(subscription: Subscription) -> Subscription:
    rows = Subscription.objects.select_related("plan", "next_plan", "user")
    return rows.get(pk=subscription.pk)
