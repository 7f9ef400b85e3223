"""Checkouts in the sandbox. Each one is a hosted page for one order or subscription."""

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from payments.gateways.base import CheckoutSnapshot, CheckoutStatus, Declined, Item, PlanTerms
from payments.gateways.sandbox import charging, events, rows, subscriptions
from payments.gateways.sandbox.locks import lock_checkout, lock_checkout_of
from payments.models import SandboxCheckout, SandboxPayment


def create(item: Item, *, key: str, return_url: str, expires_at: datetime) -> SandboxCheckout:
    """Create a checkout and return it. Repeating a key returns the checkout of the first call."""
    plan = item.plan
    terms = (
        {
            "code": plan.code, "name": plan.name, "interval": plan.interval,
            "trial_days": plan.trial_days,
        }
        if plan
        else None
    )  # fmt: skip
    try:
        with transaction.atomic():
            return SandboxCheckout.objects.create(
                id=f"sbc_{secrets.token_urlsafe(24)}",
                idempotency_key=key,
                reference=item.reference,
                title=item.title[:300],
                amount=item.amount,
                currency=item.currency,
                plan=terms,
                return_url=return_url,
                expires_at=expires_at,
            )
    except IntegrityError:
        return SandboxCheckout.objects.get(idempotency_key=key)


def find(checkout_id: str) -> SandboxCheckout:
    """Return a checkout. Raises NotThere."""
    return rows.get(SandboxCheckout.objects.all(), checkout_id)


def pay(checkout_id: str, payment_method: str) -> SandboxPayment | None:
    """Pay on a checkout with a card.

    Return the payment if it waits for the buyer's authentication, and None otherwise: the checkout is
    complete then, or was closed before. Raises NotThere, MethodUnknown, and Declined: the checkout stays
    open for another card then.
    """
    with transaction.atomic():
        checkout = lock_checkout(checkout_id)
        if checkout.status == "open" and checkout.expires_at <= timezone.now():
            _expire(checkout)
        if checkout.status != "open":
            return None
        key = f"{checkout.pk}:{checkout.attempts}"
        try:
            payment = _charge(checkout, payment_method, key)
        except Declined as error:
            declined = error
        else:
            if payment is not None and payment.status == "requires_action":
                checkout.payment = payment
                checkout.save()
                return payment
            _complete(checkout, payment)
            return None
        # The answer to this key is final, so the buyer's next card needs a new one.
        checkout.attempts += 1
        checkout.save()
    raise declined


def _charge(checkout: SandboxCheckout, payment_method: str, key: str) -> SandboxPayment | None:
    """Charge the order, or start the subscription; return the payment if there is one.

    Raises Declined and MethodUnknown.
    """
    if checkout.plan is None:
        return charging.raise_if_declined(
            charging.charge(
                amount=checkout.amount,
                currency=checkout.currency,
                payment_method=payment_method,
                key=key,
                reference=checkout.reference,
            )
        )
    terms = PlanTerms(amount=checkout.amount, currency=checkout.currency, **checkout.plan)
    checkout.subscription = subscriptions.start(
        terms, reference=checkout.reference, payment_method=payment_method, key=key
    )
    invoice = checkout.subscription.invoices.first()
    return invoice.payments.first() if invoice else None


def _complete(checkout: SandboxCheckout, payment: SandboxPayment | None) -> None:
    checkout.payment, checkout.status = payment, "complete"
    checkout.save()
    events.record("checkout.completed", "checkout", checkout.pk)


def _expire(checkout: SandboxCheckout) -> None:
    checkout.status = "expired"
    checkout.save()
    events.record("checkout.expired", "checkout", checkout.pk)


@transaction.atomic
def authenticate(payment_id: str, *, succeeds: bool) -> SandboxPayment:
    """Finish an authentication, with the subscription and the checkout that wait for it.

    Return the payment. After a failure the checkout is open for another card. Raises NotThere.
    """
    payment = charging.authenticate(payment_id, succeeds=succeeds)
    if payment.invoice is not None:
        subscriptions.follow_first_payment(payment.invoice.subscription_id)
    checkout = lock_checkout_of(payment)
    if checkout is not None and checkout.status == "open":
        if succeeds:
            _complete(checkout, payment)
        else:
            checkout.payment, checkout.attempts = None, checkout.attempts + 1
            checkout.save()
    return payment


@transaction.atomic
def expire(checkout_id: str) -> SandboxCheckout:
    """Close an open checkout and return it. A closed one stays as it is. Raises NotThere."""
    checkout = lock_checkout(checkout_id)
    if checkout.status == "open":
        _expire(checkout)
    return checkout


def snapshot(checkout: SandboxCheckout) -> CheckoutSnapshot:
    """Return the state of a checkout."""
    return CheckoutSnapshot(
        external_id=checkout.pk,
        url=reverse("sandbox-checkout", args=[checkout.pk]),
        status=CheckoutStatus(checkout.status),
        payment_id=checkout.payment_id or "",
        subscription_id=checkout.subscription_id or "",
    )
