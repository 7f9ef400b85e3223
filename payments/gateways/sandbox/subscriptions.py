"""Subscriptions in the sandbox: their periods, invoices and renewals, and retries of failed renewals."""

import time
from datetime import datetime, timedelta
from typing import TypedDict

from django.db import IntegrityError, transaction
from django.utils import timezone

from config.ids import uuid7
from payments.gateways.base import Declined, InvoiceSnapshot, PlanTerms, SubscriptionSnapshot
from payments.gateways.sandbox import charging, events, rows
from payments.gateways.sandbox.cards import card
from payments.gateways.sandbox.locks import lock_subscription
from payments.models import (
    Invoice,
    SandboxInvoice,
    SandboxPayment,
    SandboxSubscription,
    Subscription,
)
from payments.periods import next_renewal, unused_part

# The days from each failed attempt to renew to the next one. The attempt after the last of them ends
# the subscription if it fails too.
RETRY_DAYS = (1, 3, 5)
FIRST_PAYMENT_WITHIN = timedelta(hours=23)


class StoredPlan(TypedDict):
    """The terms of a plan as `SandboxSubscription.next_plan` keeps them."""

    code: str
    amount: int
    currency: str
    interval: str


def start(plan: PlanTerms, *, reference: str, payment_method: str, key: str) -> SandboxSubscription:
    """Start a subscription, charge its first period, and return it.

    A plan with trial days is not charged yet and needs no card. Repeating a key returns the subscription
    of the first call. Raises MethodUnknown and Declined: nothing was started then.
    """
    if payment_method or not plan.trial_days:
        card(payment_method)
    try:
        return _start(plan, reference, payment_method, key)
    except IntegrityError:  # another call with this key was faster
        return SandboxSubscription.objects.get(idempotency_key=key)


def _start(plan: PlanTerms, reference: str, payment_method: str, key: str) -> SandboxSubscription:
    with transaction.atomic():
        known = SandboxSubscription.objects.filter(idempotency_key=key).first()
        if known is not None:
            return known
        started_at = events.now()
        trial_end = started_at + timedelta(days=plan.trial_days)
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
            period_start=started_at,
            period_end=trial_end,
            status="trialing",
        )
        if plan.trial_days:
            _save(subscription, "subscription.created")
            return subscription
        subscription.period_end = next_renewal(started_at, started_at, plan.interval)
        subscription.status = "incomplete"
        subscription.save(force_insert=True)
        invoice = _create_invoice(subscription, plan.amount)
        payment = _charge(invoice, key=key, is_renewal=False)
        if payment.status != "failed":
            is_paid = payment.status == "captured"
            subscription.status = "active" if is_paid else "incomplete"
            _save(subscription, "subscription.created")
            return subscription
        transaction.set_rollback(True)
    raise Declined(payment.decline_code)


def run_due() -> int:
    """Renew, retry or end each subscription that is due by the sandbox's clock.

    Return the number of steps: a subscription may take several, one for each period that has passed.
    Safe to repeat and to run in several processes at once: each period is billed once. Stops after
    `events.AT_ONCE_SECONDS`; the next call goes on.
    """
    give_up_at = time.monotonic() + events.AT_ONCE_SECONDS
    moment = events.now()
    steps = 0
    period_over = SandboxSubscription.objects.filter(ended_at=None, period_end__lte=moment)
    for pk in list(period_over.values_list("pk", flat=True)):
        while time.monotonic() < give_up_at and _renew(pk, moment):  # several periods may be over
            steps += 1
    unpaid = SandboxInvoice.objects.filter(next_attempt_at__lte=moment)
    for pk in list(unpaid.values_list("subscription_id", flat=True)):
        steps += time.monotonic() < give_up_at and _retry(pk, moment)
    never_paid = SandboxSubscription.objects.filter(
        status="incomplete", created_at__lte=moment - FIRST_PAYMENT_WITHIN
    )
    for pk in list(never_paid.values_list("pk", flat=True)):
        steps += time.monotonic() < give_up_at and _give_up(pk, moment)
    return steps


@transaction.atomic
def _renew(pk: str, moment: datetime) -> bool:
    """Bill the next period of a subscription, or end it; return whether there was something to do."""
    subscription = lock_subscription(pk)
    if subscription.ended_at is not None or subscription.period_end > moment:
        return False
    if subscription.status == "incomplete":
        return False
    ends_with_trial = subscription.status == "trialing" and not subscription.payment_method
    if subscription.cancel_at_period_end or subscription.status == "past_due" or ends_with_trial:
        _end_and_void(subscription, subscription.period_end, "canceled")
        return True
    if subscription.next_plan:
        _replace_plan(subscription, subscription.next_plan)
    subscription.period_start = subscription.period_end
    subscription.period_end = next_renewal(
        subscription.anchor, subscription.period_start, subscription.interval
    )
    _collect(subscription, _create_invoice(subscription, subscription.amount), moment)
    _save(subscription, "subscription.renewed")
    return True


@transaction.atomic
def _retry(pk: str, moment: datetime) -> bool:
    """Charge the card for an unpaid renewal again; return whether an attempt was due."""
    subscription = lock_subscription(pk)
    invoice = subscription.invoices.filter(status="open", next_attempt_at__lte=moment).first()
    if invoice is None or subscription.ended_at is not None:
        return False
    _collect(subscription, invoice, moment)
    _save(subscription, "subscription.updated")
    return True


def _collect(subscription: SandboxSubscription, invoice: SandboxInvoice, moment: datetime) -> None:
    """Charge an invoice of a running subscription and set the subscription's status by the result.

    A failure sets the time of the next attempt, or ends the subscription after the last attempt. The
    caller saves the subscription.
    """
    is_paid = False
    if subscription.payment_method:
        payment = _charge(invoice, key=f"{invoice.pk}:{invoice.attempts}", is_renewal=True)
        is_paid = payment.status == "captured"
    if is_paid:
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


def _charge(invoice: SandboxInvoice, *, key: str, is_renewal: bool) -> SandboxPayment:
    """Charge the subscription's card for an invoice; mark the invoice paid if the card is accepted."""
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
    """End a subscription if it still waits for its first payment; return whether it was ended."""
    subscription = lock_subscription(pk)
    if subscription.status != "incomplete":
        return False
    _end_and_void(subscription, moment, "incomplete_expired")
    return True


@transaction.atomic
def follow_first_payment(subscription_id: str) -> None:
    """Start the subscription whose first payment was authenticated, or end it if that has failed.

    A subscription that does not wait for its first payment stays as it is. Raises NotThere.
    """
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
        # The buyer's next try starts another subscription.
        _end_and_void(subscription, events.now(), "incomplete_expired")


@transaction.atomic
def cancel(pk: str, *, at_period_end: bool) -> SandboxSubscription:
    """Cancel a subscription: see `Gateway.cancel_subscription`."""
    subscription = lock_subscription(pk)
    if subscription.ended_at is None:
        if at_period_end and subscription.status != "incomplete":
            subscription.cancel_at_period_end = True
            _save(subscription, "subscription.updated")
        else:
            _end_and_void(subscription, events.now(), "canceled")
    return subscription


@transaction.atomic
def resume(pk: str) -> SandboxSubscription:
    """Undo a cancellation: see `Gateway.resume_subscription`."""
    subscription = lock_subscription(pk)
    if subscription.ended_at is None and subscription.cancel_at_period_end:
        subscription.cancel_at_period_end = False
        _save(subscription, "subscription.updated")
    return subscription


def change_plan(
    pk: str, plan: PlanTerms, *, at_period_end: bool, period_value: int, key: str
) -> SandboxSubscription:
    """Change the plan of a subscription: see `Gateway.change_plan`."""
    terms: StoredPlan = {
        "code": plan.code, "amount": plan.amount, "currency": plan.currency,
        "interval": plan.interval,
    }  # fmt: skip
    with transaction.atomic():
        subscription = lock_subscription(pk)
        if at_period_end or subscription.status == "trialing":
            if at_period_end:
                subscription.next_plan = None if plan.code == subscription.plan_code else terms
            else:
                _replace_plan(subscription, terms)
            _save(subscription, "subscription.updated")
            return subscription
        if subscription.plan_code == plan.code:  # an earlier call has made this change
            return subscription
        # No two periods begin at the same moment, even if the clock stands still.
        moment = max(events.now(), subscription.period_start + timedelta.resolution)
        unused = unused_part(
            period_value, subscription.period_start, subscription.period_end, moment
        )
        _replace_plan(subscription, terms)
        subscription.anchor = subscription.period_start = moment
        subscription.period_end = next_renewal(moment, moment, plan.interval)
        invoice = _create_invoice(subscription, max(0, plan.amount - unused))
        payment = _charge(invoice, key=key, is_renewal=True) if invoice.amount else None
        if payment is None or payment.status == "captured":
            subscription.status = "active"
            _save(subscription, "subscription.updated")
            return subscription
        transaction.set_rollback(True)
    raise Declined(payment.decline_code)


@transaction.atomic
def set_payment_method(pk: str, payment_method: str) -> SandboxSubscription:
    """Replace a subscription's card, and charge an unpaid renewal to the new one at once.

    Raises NotThere, MethodUnknown and Declined: the old card stays then.
    """
    subscription = lock_subscription(pk)
    if decline_code := card(payment_method).decline_code:
        raise Declined(decline_code)
    subscription.payment_method = payment_method
    for invoice in subscription.invoices.filter(status="open"):
        invoice.subscription = subscription
        _collect(subscription, invoice, events.now())
    _save(subscription, "subscription.updated")
    return subscription


def _replace_plan(subscription: SandboxSubscription, terms: StoredPlan) -> None:
    """Put the terms of another plan into a subscription. The caller saves it."""
    subscription.plan_code, subscription.amount = terms["code"], terms["amount"]
    if terms["interval"] != subscription.interval:
        subscription.anchor = subscription.period_end
    subscription.currency, subscription.interval = terms["currency"], terms["interval"]
    subscription.next_plan = None


def _create_invoice(subscription: SandboxSubscription, amount: int) -> SandboxInvoice:
    """Create the invoice of a subscription's current period. One that costs nothing is paid."""
    return SandboxInvoice.objects.create(
        id=f"sbi_{uuid7().hex}",
        subscription=subscription,
        period_start=subscription.period_start,
        period_end=subscription.period_end,
        amount=amount,
        currency=subscription.currency,
        status="open" if amount else "paid",
    )


def _end_and_void(subscription: SandboxSubscription, moment: datetime, status: str) -> None:
    """End a subscription and void its open invoices."""
    subscription.invoices.filter(status="open").update(status="void", next_attempt_at=None)
    _end(subscription, moment, status)


def _end(subscription: SandboxSubscription, moment: datetime, status: str) -> None:
    subscription.status, subscription.ended_at = status, moment
    _save(subscription, "subscription.deleted")


def _save(subscription: SandboxSubscription, event_type: str) -> None:
    """Save a subscription and record the event about it."""
    subscription.changed_at = timezone.now()
    subscription.save()
    events.record(event_type, "subscription", subscription.pk)


def snapshot(pk: str) -> SubscriptionSnapshot:
    """Return the current state of a subscription, with its invoices. Raises NotThere."""
    subscription = rows.get(SandboxSubscription.objects.all(), pk)
    invoices = subscription.invoices.order_by("period_start").prefetch_related("payments")
    return SubscriptionSnapshot(
        external_id=subscription.pk,
        reference=subscription.reference,
        plan_code=subscription.plan_code,
        status=Subscription.Status(subscription.status),
        period_start=subscription.period_start,
        period_end=subscription.period_end,
        cancel_at_period_end=subscription.cancel_at_period_end,
        next_plan_code=subscription.next_plan["code"] if subscription.next_plan else "",
        ended_at=subscription.ended_at,
        invoices=tuple(map(_invoice_snapshot, invoices)),
    )


def _invoice_snapshot(invoice: SandboxInvoice) -> InvoiceSnapshot:
    return InvoiceSnapshot(
        external_id=invoice.pk,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        amount=invoice.amount,
        currency=invoice.currency,
        status=Invoice.Status(invoice.status),
        payment_ids=tuple(payment.pk for payment in invoice.payments.all()),
    )
