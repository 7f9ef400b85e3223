"""Subscriptions inside the sandbox: periods, renewals and what happens when a card fails."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from config.ids import uuid7
from payments.gateways.base import (
    Declined,
    InvoiceSnapshot,
    NotThere,
    PlanTerms,
    SubscriptionSnapshot,
)
from payments.gateways.sandbox import charging
from payments.gateways.sandbox.cards import card
from payments.gateways.sandbox.events import now, tell
from payments.gateways.sandbox.locks import lock_subscription
from payments.models import SandboxInvoice, SandboxSubscription
from payments.periods import next_renewal

RETRY_DAYS = (1, 3, 5)  # after the first failed attempt; then the subscription ends
FIRST_PAYMENT_WITHIN = timedelta(hours=23)


def start(plan: PlanTerms, *, reference: str, payment_method: str, key: str) -> SandboxSubscription:
    """Begin a subscription; free days need no card. Raises Declined: nothing was begun then."""
    if payment_method or not plan.trial_days:
        card(payment_method)
    try:
        return _start(plan, reference, payment_method, key)
    except IntegrityError:  # asked for at the same moment: one of them began it
        return SandboxSubscription.objects.get(idempotency_key=key)


def _start(plan: PlanTerms, reference: str, payment_method: str, key: str) -> SandboxSubscription:
    with transaction.atomic():
        known = SandboxSubscription.objects.filter(idempotency_key=key).first()
        if known is not None:
            return known
        begun = now()
        trial_end = begun + timedelta(days=plan.trial_days)
        subscription = SandboxSubscription(
            id=f"sbs_{uuid7().hex}",
            idempotency_key=key,
            reference=reference,
            plan_code=plan.code,
            amount=plan.amount,
            currency=plan.currency,
            interval=plan.interval,
            payment_method=payment_method,
            anchor=trial_end,
            period_start=begun,
            period_end=trial_end,
            status="trialing",
        )
        if plan.trial_days:
            _save(subscription, "subscription.created")
            return subscription
        subscription.period_end = next_renewal(begun, begun, plan.interval)
        subscription.status = "incomplete"
        subscription.save(force_insert=True)
        invoice = _invoice(subscription, plan.amount)
        payment = _charge(invoice, key=key, is_renewal=False)
        if payment.status != "failed":
            paid = payment.status == "captured"
            subscription.status = "active" if paid else "incomplete"
            _save(subscription, "subscription.created")
            return subscription
        transaction.set_rollback(True)
    raise Declined(payment.decline_code)


def run_due() -> int:
    """Renew, try again and end what the sandbox's clock says; returns how many were touched.

    Safe to run any number of times at once: each period is billed once.
    """
    moment = now()
    touched = 0
    over = SandboxSubscription.objects.filter(ended_at=None, period_end__lte=moment)
    for pk in list(over.values_list("pk", flat=True)):
        while _renew(pk, moment):
            touched += 1
    failed = SandboxInvoice.objects.filter(next_attempt_at__lte=moment)
    for pk in list(failed.values_list("subscription_id", flat=True)):
        touched += retry(pk, moment)
    unpaid = SandboxSubscription.objects.filter(
        status="incomplete", created_at__lte=moment - FIRST_PAYMENT_WITHIN
    )
    for pk in list(unpaid.values_list("pk", flat=True)):
        touched += _give_up(pk, moment)
    return touched


@transaction.atomic
def _renew(pk: str, moment: datetime) -> bool:
    """Bill the next period, once; false when there is nothing to do (any more)."""
    subscription = lock_subscription(pk)
    if subscription.ended_at is not None or subscription.period_end > moment:
        return False
    if subscription.status == "incomplete":
        return False
    if subscription.cancel_at_period_end or subscription.status == "past_due":
        _end(subscription, subscription.period_end)
        return True
    if subscription.next_plan:
        _take_plan(subscription, subscription.next_plan)
    start_ = subscription.period_end
    subscription.period_start = start_
    subscription.period_end = next_renewal(subscription.anchor, start_, subscription.interval)
    _collect(subscription, _invoice(subscription, subscription.amount), moment)
    _save(subscription, "subscription.renewed")
    return True


@transaction.atomic
def retry(pk: str, moment: datetime) -> bool:
    """Try the card of an unpaid renewal again."""
    subscription = lock_subscription(pk)
    invoice = subscription.invoices.filter(status="open", next_attempt_at__lte=moment).first()
    if invoice is None or subscription.ended_at is not None:
        return False
    _collect(subscription, invoice, moment)
    _save(subscription, "subscription.updated")
    return True


def _collect(subscription: SandboxSubscription, invoice: SandboxInvoice, moment: datetime) -> None:
    """Charge an invoice of a running subscription, and say what follows from the answer."""
    if subscription.payment_method:
        number = invoice.attempts
        payment = _charge(invoice, key=f"{invoice.pk}:{number}", is_renewal=True)
        paid = payment.status == "captured"
    else:
        paid = False
    if paid:
        subscription.status = "active"
        return
    if invoice.attempts >= len(RETRY_DAYS):
        invoice.next_attempt_at, invoice.status = None, "uncollectible"
        _end(subscription, moment, "expired")
    else:
        invoice.next_attempt_at = moment + timedelta(days=RETRY_DAYS[invoice.attempts])
        subscription.status = "past_due"
    invoice.attempts += 1
    invoice.save()


def _charge(invoice: SandboxInvoice, *, key: str, is_renewal: bool):
    payment = charging.charge(
        amount=invoice.amount,
        currency=invoice.currency,
        payment_method=invoice.subscription.payment_method,
        key=f"invoice:{key}",
        reference=invoice.subscription.reference,
        invoice=invoice,
        is_renewal=is_renewal,
    )
    if payment.status == "captured":
        invoice.status, invoice.next_attempt_at = "paid", None
        invoice.save()
    return payment


@transaction.atomic
def _give_up(pk: str, moment: datetime) -> bool:
    subscription = lock_subscription(pk)
    if subscription.status != "incomplete":
        return False
    subscription.invoices.filter(status="open").update(status="void")
    _end(subscription, moment, "incomplete_expired")
    return True


@transaction.atomic
def first_payment_changed(subscription_id: str) -> None:
    """The buyer has answered their bank about the first period."""
    subscription = lock_subscription(subscription_id)
    invoice = subscription.invoices.order_by("period_start").first()
    if subscription.status != "incomplete" or invoice is None:
        return
    if invoice.payments.filter(status="captured").exists():
        invoice.status = "paid"
        invoice.save()
        subscription.status = "active"
        _save(subscription, "subscription.updated")
    elif not invoice.payments.exclude(status="failed").exists():
        # The bank did not know them: the next try begins anew.
        subscription.invoices.filter(status="open").update(status="void")
        _end(subscription, now(), "incomplete_expired")


@transaction.atomic
def cancel(pk: str, *, at_period_end: bool) -> SandboxSubscription:
    subscription = lock_subscription(pk)
    if subscription.ended_at is None:
        if at_period_end and subscription.status != "incomplete":
            subscription.cancel_at_period_end = True
            _save(subscription, "subscription.updated")
        else:
            subscription.invoices.filter(status="open").update(status="void", next_attempt_at=None)
            _end(subscription, now())
    return subscription


@transaction.atomic
def resume(pk: str) -> SandboxSubscription:
    subscription = lock_subscription(pk)
    if subscription.ended_at is None and subscription.cancel_at_period_end:
        subscription.cancel_at_period_end = False
        _save(subscription, "subscription.updated")
    return subscription


def change_plan(pk: str, plan: PlanTerms, *, at_period_end: bool, key: str) -> SandboxSubscription:
    """At once: a new period, less what is left of the old one. Raises Declined."""
    terms = {
        "code": plan.code, "amount": plan.amount, "currency": plan.currency,
        "interval": plan.interval,
    }  # fmt: skip
    with transaction.atomic():
        subscription = lock_subscription(pk)
        if at_period_end or subscription.status == "trialing":
            if at_period_end:
                subscription.next_plan = None if plan.code == subscription.plan_code else terms
            else:
                _take_plan(subscription, terms)
            _save(subscription, "subscription.updated")
            return subscription
        if subscription.plan_code == plan.code:  # asked before: the key's own change is done
            return subscription
        moment = now()
        credit = _unused(subscription, moment)
        _take_plan(subscription, terms)
        subscription.anchor = subscription.period_start = moment
        subscription.period_end = next_renewal(moment, moment, plan.interval)
        invoice = _invoice(subscription, max(1, plan.amount - credit))
        payment = _charge(invoice, key=key, is_renewal=True)
        if payment.status == "captured":
            subscription.status = "active"
            _save(subscription, "subscription.updated")
            return subscription
        transaction.set_rollback(True)
    raise Declined(payment.decline_code)


def _unused(subscription: SandboxSubscription, moment: datetime) -> int:
    """What is left of the period that was paid, by its seconds."""
    paid = subscription.invoices.filter(
        status="paid", period_start=subscription.period_start
    ).first()
    if paid is None:
        return 0
    whole = (paid.period_end - paid.period_start).total_seconds()
    left = max(0.0, (paid.period_end - moment).total_seconds())
    return paid.amount * int(left) // max(1, int(whole))


def set_payment_method(pk: str, payment_method: str) -> SandboxSubscription:
    """Pay with another card; an unpaid renewal at once. Raises Declined."""
    declined = ""
    with transaction.atomic():
        subscription = lock_subscription(pk)
        if card(payment_method).decline_code:
            declined = card(payment_method).decline_code
        else:
            subscription.payment_method = payment_method
            for invoice in subscription.invoices.filter(status="open"):
                invoice.subscription = subscription
                _collect(subscription, invoice, now())
            _save(subscription, "subscription.updated")
    if declined:
        raise Declined(declined)
    return subscription


def _take_plan(subscription: SandboxSubscription, terms: dict) -> None:
    subscription.plan_code, subscription.amount = terms["code"], terms["amount"]
    if terms["interval"] != subscription.interval:
        subscription.anchor = subscription.period_end
    subscription.currency, subscription.interval = terms["currency"], terms["interval"]
    subscription.next_plan = None


def _invoice(subscription: SandboxSubscription, amount: int) -> SandboxInvoice:
    return SandboxInvoice.objects.create(
        id=f"sbi_{uuid7().hex}",
        subscription=subscription,
        period_start=subscription.period_start,
        period_end=subscription.period_end,
        amount=amount,
        currency=subscription.currency,
    )


def _end(subscription: SandboxSubscription, moment: datetime, status: str = "canceled") -> None:
    subscription.status, subscription.ended_at = status, moment
    _save(subscription, "subscription.deleted")


def _save(subscription: SandboxSubscription, event_type: str) -> None:
    subscription.changed_at = timezone.now()
    subscription.save()
    tell(event_type, "subscription", subscription.pk)


def snapshot(pk: str) -> SubscriptionSnapshot:
    found = SandboxSubscription.objects.filter(pk=pk).first()
    if found is None:
        raise NotThere(pk)
    invoices = found.invoices.order_by("period_start").prefetch_related("payments")
    return SubscriptionSnapshot(
        external_id=found.pk,
        reference=found.reference,
        plan_code=found.plan_code,
        status=found.status,
        period_start=found.period_start,
        period_end=found.period_end,
        cancel_at_period_end=found.cancel_at_period_end,
        next_plan_code=found.next_plan["code"] if found.next_plan else "",
        ended_at=found.ended_at,
        invoices=tuple(
            InvoiceSnapshot(
                external_id=invoice.pk,
                period_start=invoice.period_start,
                period_end=invoice.period_end,
                amount=invoice.amount,
                currency=invoice.currency,
                status=invoice.status,
                payment_ids=tuple(payment.pk for payment in invoice.payments.all()),
            )
            for invoice in invoices
        ),
    )
