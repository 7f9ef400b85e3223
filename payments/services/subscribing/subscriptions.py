"""Subscribing to a plan, and the changes that subscribers make to their subscription."""

from contextlib import suppress

from django.db import IntegrityError, transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from payments import gateways, idempotency, locks, modes
from payments.errors import (
    AlreadySubscribed,
    ChangeInProgress,
    GatewayUnavailable,
    NoSubscription,
    NotCanceled,
    NotResumed,
    PaymentsClosed,
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
from payments.services.notices import writing
from payments.services.offers import gateway_plans
from payments.services.settling import customers, payable
from payments.services.settling.payable import NextAction
from payments.services.subscribing import follow_gateway, lapsing
from payments.services.subscribing.changing import changing
from payments.services.subscribing.follow_gateway import sync_subscription
from payments.services.subscribing.proration import period_value
from payments.services.subscribing.references import with_references

Status = Subscription.Status
ONE_CHANGE = "§change of plan"

# What the functions below can raise, for the API document.
REFUSALS_OF_SUBSCRIBE = (PlanNotFound, AlreadySubscribed, *translation.REFUSALS)
REFUSALS_OF_CANCEL = (NoSubscription, GatewayUnavailable, PaymentsClosed)
REFUSALS_OF_RESUME = (*REFUSALS_OF_CANCEL, NotCanceled, NotResumed)
REFUSALS_OF_PAYMENT_METHOD = (NoSubscription, SubscriptionNotRunning, *translation.REFUSALS)
REFUSALS_OF_CHANGE = (*REFUSALS_OF_PAYMENT_METHOD, PlanNotFound, PlanUnchanged, ChangeInProgress)


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
                expires_at=timezone.now() + lapsing.ABANDONED_AFTER,
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
    with changing(subscription, by=actor or user):
        with translate_errors(), suppress(NotThere):  # the gateway may have it no more
            gateway.cancel_subscription(subscription.external_id, at_period_end=at_period_end)
        canceled = _synced(subscription)
        if not at_period_end and canceled.status in Subscription.LIVE:
            with transaction.atomic():
                locked = locks.lock_subscription(subscription.pk)
                follow_gateway.end_subscription(locked, Status.CANCELED)
        return _reload(subscription)


def resume(*, user: User) -> Subscription:
    """Undo a cancellation at the period's end, also one that was made on the gateway's own pages.

    Raises NoSubscription, NotCanceled, GatewayUnavailable, and NotResumed if it still does not renew.
    """
    subscription = current(user)
    if not subscription.cancel_at_period_end or subscription.external_id is None:
        raise NotCanceled()
    gateway = gateways.by_name(subscription.gateway)
    with changing(subscription, by=user):
        with translate_errors(), suppress(NotThere):
            gateway.resume_subscription(subscription.external_id)
        resumed = _synced(subscription)
        if resumed.closed_at_gateway:
            raise NotResumed(_why_not_running(resumed))
        if resumed.cancel_at_period_end or resumed.status not in Subscription.RUNNING:
            raise NotResumed()
        return resumed


def change(*, user: User, plan_code: str) -> Subscription:
    """Change the plan of the user's subscription.

    A dearer plan begins at once. The unused part of what was paid for the current period, and not given
    back, is deducted from its price. Another plan begins with the next period; choosing the present
    plan again takes that change back.

    Raises NoSubscription, PlanNotFound (also for a plan in another currency), SubscriptionNotRunning,
    PlanUnchanged, ChangeInProgress, CardDeclined and GatewayUnavailable. No plan has changed then.
    """
    plan = _offered_plan(plan_code)
    # What a change costs depends on the period in which it is made, and a change begins a new one.
    with idempotency.one_at_a_time(user, ONE_CHANGE, ChangeInProgress()):
        return _change(user, plan)


def _change(user: User, plan: Plan) -> Subscription:
    subscription, external_id = _changeable(user, plan)
    if plan.amount > subscription.plan.amount:
        with translate_errors():
            # There may be refunds and disputes of which only the gateway knows yet.
            follow_gateway.resync(subscription)
        subscription, external_id = _changeable(user, plan)
    later = plan.amount <= subscription.plan.amount
    gateway = gateways.by_name(subscription.gateway)
    # A repeated call has the same key. The ticket rises with each new state, and each upgrade begins a
    # new period; a decline is final for its key, so that the next attempt has another one.
    state = subscription.applied_ticket if later else _attempt_in_period(subscription)
    key = f"change:{subscription.pk}:{plan.pk}:{state}"
    value = 0 if later else period_value(subscription)
    with changing(subscription, by=user):
        with payable.charging(subscription), suppress(NotThere):
            gateway_plans.with_plan(
                plan,
                gateway,
                lambda terms: gateway.change_plan(
                    external_id,
                    terms,
                    key=terms.key(key),
                    at_period_end=later,
                    period_value=value,
                ),
                trial_days=0,
            )
        changed = _synced(subscription)
        if changed.closed_at_gateway:
            raise SubscriptionNotRunning(_why_not_running(changed))
    if not later and changed.plan_id != plan.pk and changed.hosted_invoice_url:
        writing.write_upgrade_to_confirm(changed, plan)
    return changed


def _changeable(user: User, plan: Plan) -> tuple[Subscription, str]:
    """Return the subscription that may change to a plan, and its id at the gateway.

    Raises NoSubscription, PlanNotFound, SubscriptionNotRunning and PlanUnchanged.
    """
    subscription = current(user)
    if plan.currency != subscription.plan.currency:
        raise PlanNotFound()
    external_id = subscription.external_id
    if subscription.closed_at_gateway:
        raise SubscriptionNotRunning(_why_not_running(subscription))
    if subscription.status not in {Status.TRIALING, Status.ACTIVE} or external_id is None:
        raise SubscriptionNotRunning()
    if plan.pk == subscription.plan_id and subscription.next_plan_id is None:
        raise PlanUnchanged()
    return subscription, external_id


def _attempt_in_period(subscription: Subscription) -> str:
    start = subscription.period_start
    return f"{start:%Y%m%dT%H%M%S}:{subscription.attempt}"


def set_payment_method(*, user: User, payment_method: str) -> Subscription:
    """Pay the subscription with another card from now on, including a renewal that is due.

    Raises NoSubscription, SubscriptionNotRunning, CardDeclined, PaymentMethodUnknown and
    GatewayUnavailable.
    """
    subscription = current(user)
    external_id = subscription.external_id
    if subscription.closed_at_gateway:
        raise SubscriptionNotRunning(_why_not_running(subscription))
    if subscription.status not in Subscription.RUNNING or external_id is None:
        raise SubscriptionNotRunning()
    gateway = gateways.by_name(subscription.gateway)
    with payable.charging(subscription):
        try:
            gateway.set_payment_method(
                external_id, payment_method, customer=customers.ensure(subscription.user, gateway)
            )
        except (NotThere, ReferenceGone):  # with a customer, a gateway deletes the subscriptions
            gone = _synced(subscription)
            raise SubscriptionNotRunning(_why_not_running(gone)) from None
    audit.record(actor=user, action=AuditAction.PAYMENT_METHOD_CHANGED, target=subscription)
    return _synced(subscription)


def current(user: User) -> Subscription:
    """Return the user's live subscription. Raises NoSubscription."""
    subscription = _live(user)
    if subscription is None:
        raise NoSubscription()
    return subscription


def _get_or_create(user: User, plan: Plan) -> tuple[Subscription, bool]:
    """Return the user's incomplete subscription to the plan, and whether this call created it.

    An incomplete subscription to another plan is canceled first. Raises AlreadySubscribed,
    AmountBelowMinimum and GatewayUnavailable.
    """
    for _ in range(3):
        subscription = _live(user)
        if subscription is not None and subscription.status != Status.INCOMPLETE:
            if not lapsing.end_if_lapsed(subscription):
                raise AlreadySubscribed()
            continue
        if subscription is not None and subscription.plan_id == plan.pk:
            if subscription.is_at_gateway and _synced(subscription).status != Status.INCOMPLETE:
                continue  # it was paid, or is gone at the gateway
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
    had = Subscription.objects.filter(
        modes.of_present("created_at"), user_id=subscription.user_id, period_start__isnull=False
    )
    return 0 if had.exists() else subscription.plan.trial_days


def _synced(subscription: Subscription) -> Subscription:
    """Return a subscription that the gateway knows, or has known, as it is there now."""
    with translate_errors():
        follow_gateway.resync(subscription)
    return _reload(subscription)


def _why_not_running(subscription: Subscription) -> str:
    """Return why a subscription that the gateway bills no more cannot change, and what to do."""
    if subscription.status in Subscription.LIVE and subscription.period_end is not None:
        return (
            "The payment gateway does not have your subscription any more. It ends on"
            f" {subscription.period_end:%d %B %Y}, and you can subscribe anew at any time."
        )
    return "Your subscription has ended at the payment gateway. Subscribe again to go on."


def _sync(subscription: Subscription, snapshot: SubscriptionSnapshot) -> Subscription:
    """Apply the gateway's state of the subscription after a call that has changed it there."""
    with translate_errors():
        synced = sync_subscription(
            gateway=subscription.gateway,
            external_id=snapshot.external_id,
            subscription=subscription,
        )
    if synced is not None and synced.pk == subscription.pk:
        return synced
    return _reload(subscription)


def _reload(subscription: Subscription) -> Subscription:
    rows = Subscription.objects.select_related("plan", "next_plan", "user")
    return rows.get(pk=subscription.pk)
