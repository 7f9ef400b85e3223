"""Subscribing, and what subscribers may do with it."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.errors import (
    AlreadySubscribed,
    GatewayUnavailable,
    NoSubscription,
    NotCanceled,
    PlanNotFound,
    PlanUnchanged,
    SubscriptionNotRunning,
)
from payments.gateways.base import Gateway, Item, NotThere, PlanTerms, SubscriptionSnapshot
from payments.gateways.translation import translate_errors
from payments.models import Payment, Plan, Subscription
from payments.services import access
from payments.services.settling import customers, payable
from payments.services.settling.payable import CheckoutRequest, NextAction
from payments.services.subscribing import follow_gateway
from payments.services.subscribing.follow_gateway import sync_subscription

Status = Subscription.Status
ABANDONED_AFTER = timedelta(hours=24)


def subscribe(
    *, user, plan_code: str, payment_method: str = "", return_url: str = ""
) -> tuple[Subscription, bool]:
    """The user's subscription, active at once when a payment method is given and accepted.

    A plan with free days begins without a card, once for each user. Returns the subscription and
    whether this call made it. Raises PlanNotFound, AlreadySubscribed, CardDeclined.
    """
    plan = Plan.objects.filter(code=plan_code, is_active=True).first()
    if plan is None:
        raise PlanNotFound()
    subscription, created = _get_or_create(user, plan)
    if payment_method or _trial_days(subscription):
        subscription = start(subscription=subscription, payment_method=payment_method)
    return subscription, created


def start(*, subscription: Subscription, payment_method: str) -> Subscription:
    """Start an incomplete subscription at its gateway. Raises CardDeclined: another card may do."""
    gateway = gateways.by_name(subscription.gateway)
    with payable.charging(subscription):
        snapshot = gateway.start_subscription(
            _terms(subscription, gateway),
            reference=str(subscription.pk),
            customer=customers.ensure(subscription.user, gateway),
            payment_method=payment_method,
            key=subscription.charge_key,
        )
    return _sync(subscription, snapshot)


def next_action(subscription: Subscription, *, return_url: str = "") -> NextAction | None:
    """Return the subscriber's next step, or None. See `settling.payable.next_action`."""
    return payable.next_action(
        subscription,
        payments=Payment.objects.filter(invoice__subscription=subscription),
        request=lambda gateway: _checkout_request(subscription, gateway),
        return_url=return_url,
    )


def _checkout_request(subscription: Subscription, gateway: Gateway) -> CheckoutRequest:
    terms = _terms(subscription, gateway)
    return CheckoutRequest(
        Item(str(subscription.pk), terms.name, terms.amount, terms.currency, terms),
        customer=customers.ensure(subscription.user, gateway),
        expires_at=timezone.now() + ABANDONED_AFTER,
    )


def cancel(*, user, at_period_end: bool, actor=None) -> Subscription:
    """End the user's subscription now, or with its paid period. Safe to repeat.

    ``actor`` is whoever does it in the subscriber's place.
    """
    subscription = current(user)
    if subscription.external_id is None:  # nothing at the gateway but perhaps an open page
        with transaction.atomic():
            locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
            follow_gateway.end_subscription(locked, Status.CANCELED)
        return _reload(subscription)
    gateway = gateways.by_name(subscription.gateway)
    with translate_errors():
        snapshot = gateway.cancel_subscription(
            subscription.external_id, at_period_end=at_period_end
        )
    # The end itself is recorded when it comes.
    if actor is not None or (at_period_end and not subscription.cancel_at_period_end):
        audit.record(
            actor=actor or user,
            action=AuditAction.SUBSCRIPTION_CANCELED,
            target=subscription,
            at_period_end=at_period_end,
        )
    return _sync(subscription, snapshot)


def resume(*, user) -> Subscription:
    """Take a cancellation for the period's end back. Raises NotCanceled."""
    subscription = current(user)
    if not subscription.cancel_at_period_end or subscription.external_id is None:
        raise NotCanceled()
    gateway = gateways.by_name(subscription.gateway)
    with translate_errors():
        snapshot = gateway.resume_subscription(subscription.external_id)
    audit.record(actor=user, action=AuditAction.SUBSCRIPTION_RESUMED, target=subscription)
    return _sync(subscription, snapshot)


def change(*, user, plan_code: str) -> Subscription:
    """Another plan: a dearer one at once, what is left of the old period taken off its price; a
    cheaper one from the next period on.

    Raises PlanNotFound, PlanUnchanged, SubscriptionNotRunning, CardDeclined: nothing changed then.
    """
    subscription = current(user)
    plan = Plan.objects.filter(code=plan_code, is_active=True).first()
    if plan is None or plan.currency != subscription.plan.currency:
        raise PlanNotFound()
    external_id = subscription.external_id
    if subscription.status not in {Status.TRIALING, Status.ACTIVE} or external_id is None:
        raise SubscriptionNotRunning()
    stays = plan.pk == subscription.plan_id
    if stays and subscription.next_plan_id is None:
        raise PlanUnchanged()
    later = plan.amount <= subscription.plan.amount
    gateway = gateways.by_name(subscription.gateway)
    # The key says which change of which state: repeating the call changes nothing more.
    key = f"change:{subscription.pk}:{plan.pk}:{subscription.applied_ticket}"
    with payable.charging(subscription):
        snapshot = gateway.change_plan(
            external_id, _terms_of(plan, gateway, trial_days=0), at_period_end=later, key=key
        )
    audit.record(
        actor=user,
        action=AuditAction.SUBSCRIPTION_CHANGED,
        target=subscription,
        plan=plan.code,
        at_period_end=later,
    )
    return _sync(subscription, snapshot)


def set_payment_method(*, user, payment_method: str) -> Subscription:
    """Pay with another card; a renewal that is due is tried with it at once."""
    subscription = current(user)
    external_id = subscription.external_id
    if subscription.status not in Subscription.RUNNING or external_id is None:
        raise SubscriptionNotRunning()
    gateway = gateways.by_name(subscription.gateway)
    with payable.charging(subscription):
        snapshot = gateway.set_payment_method(
            external_id, payment_method, customer=customers.ensure(subscription.user, gateway)
        )
    audit.record(actor=user, action=AuditAction.PAYMENT_METHOD_CHANGED, target=subscription)
    return _sync(subscription, snapshot)


def current(user) -> Subscription:
    """The live subscription of a user. Raises NoSubscription."""
    subscription = _live(user)
    if subscription is None:
        raise NoSubscription()
    return subscription


def _live(user) -> Subscription | None:
    return (
        Subscription.objects.select_related("plan", "next_plan", "user")
        .filter(
            user=user,
            disposition=Subscription.Disposition.PRIMARY,
            status__in=Subscription.LIVE,
        )
        .first()
    )


def end_lapsed() -> int:
    """Put the status of subscriptions right whose time is over. Their access ended by the clock."""
    now = timezone.now()
    graceless = Subscription.objects.filter(status=Status.PAST_DUE, grace_until__lte=now)
    abandoned = Subscription.objects.filter(
        status=Status.INCOMPLETE, created_at__lte=now - ABANDONED_AFTER
    )
    ended = 0
    for rows, status in ((graceless, Status.EXPIRED), (abandoned, Status.INCOMPLETE_EXPIRED)):
        for pk in list(rows.values_list("pk", flat=True)):
            with transaction.atomic():
                row = rows.model.objects.select_for_update().get(pk=pk)
                if rows.filter(pk=pk).exists():
                    follow_gateway.end_subscription(row, status)
                    ended += 1
    over = Subscription.objects.filter(
        status__in=[Status.TRIALING, Status.ACTIVE],
        period_end__lte=now - access.PERIOD_GRACE,
        external_id__isnull=False,
    )
    for row in over[:100]:  # renewed, or ended, and nobody told us
        try:
            sync_subscription(gateway=row.gateway, external_id=row.external_id)
        except NotThere:
            continue
        except OSError:
            break  # the next minute is soon enough
    return ended


def _get_or_create(user, plan: Plan) -> tuple[Subscription, bool]:
    for _ in range(3):
        subscription = _live(user)
        if subscription is not None and subscription.status != Status.INCOMPLETE:
            if not _has_lapsed(subscription):
                raise AlreadySubscribed()
            continue
        if subscription is not None and subscription.plan_id == plan.pk:
            return subscription, False
        if subscription is not None:  # changed their mind before paying
            with transaction.atomic():
                locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
                if locked.status == Status.INCOMPLETE:
                    follow_gateway.end_subscription(locked, Status.CANCELED)
        try:
            with translate_errors(), transaction.atomic():
                gateway = gateways.current()
                gateway.validate_amount(plan.amount, plan.currency)
                return (
                    Subscription.objects.create(user=user, plan=plan, gateway=gateway.name),
                    True,
                )
        except IntegrityError:
            continue  # another tab was faster
    raise GatewayUnavailable()


def _has_lapsed(subscription: Subscription) -> bool:
    """Is its time over, whatever its status still says? Then it is ended, so that another begins."""
    until = access.access_until(subscription)
    if until is None or until > timezone.now():
        return False
    with translate_errors():
        sync_subscription(gateway=subscription.gateway, external_id=subscription.external_id)
    with transaction.atomic():
        locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
        until = access.access_until(locked)
        if until is not None and until <= timezone.now():
            follow_gateway.end_subscription(locked, Status.EXPIRED)
        return locked.status not in Subscription.LIVE


def _trial_days(subscription: Subscription) -> int:
    """The plan's free days, for those who have not had any subscription yet."""
    if not subscription.plan.trial_days or subscription.status != Status.INCOMPLETE:
        return 0
    had = Subscription.objects.filter(user_id=subscription.user_id, period_start__isnull=False)
    return 0 if had.exists() else subscription.plan.trial_days


def _terms(subscription: Subscription, gateway) -> PlanTerms:
    return _terms_of(subscription.plan, gateway, trial_days=_trial_days(subscription))


def _terms_of(plan: Plan, gateway, *, trial_days: int) -> PlanTerms:
    """What the gateway must know of a plan; its own name for it is asked for once, and kept."""
    terms = {
        "code": plan.code,
        "name": plan.name,
        "amount": plan.amount,
        "currency": plan.currency,
        "interval": plan.interval,
        "trial_days": trial_days,
    }
    ref = plan.gateway_refs.get(gateway.name)
    if not ref:
        ref = gateway.ensure_plan(PlanTerms(**terms))
        plan.gateway_refs = {**plan.gateway_refs, gateway.name: ref}
        plan.save(update_fields=["gateway_refs"])
    return PlanTerms(**terms, ref=ref)


def _sync(subscription: Subscription, snapshot: SubscriptionSnapshot) -> Subscription:
    with translate_errors():
        sync_subscription(
            gateway=subscription.gateway,
            external_id=snapshot.external_id,
            subscription=subscription,
        )
    return _reload(subscription)


def _reload(subscription: Subscription) -> Subscription:
    rows = Subscription.objects.select_related("plan", "next_plan", "user")
    return rows.get(pk=subscription.pk)
