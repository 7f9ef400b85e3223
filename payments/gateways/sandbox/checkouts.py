"""Hosted pages inside the sandbox: one thing to pay, once."""

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from payments.gateways.base import CheckoutSnapshot, Declined, Item, NotThere, PlanTerms
from payments.gateways.sandbox import charging, subscriptions
from payments.gateways.sandbox.events import tell
from payments.gateways.sandbox.locks import lock_checkout, lock_checkout_of
from payments.models import SandboxCheckout, SandboxPayment


def create(item: Item, *, key: str, return_url: str, expires_at: datetime) -> SandboxCheckout:
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
    if not checkout_id.isprintable():  # PostgreSQL cannot even be asked for a NUL
        raise NotThere(checkout_id)
    checkout = SandboxCheckout.objects.filter(pk=checkout_id).first()
    if checkout is None:
        raise NotThere(checkout_id)
    return checkout


def pay(checkout_id: str, payment_method: str) -> SandboxPayment | None:
    """The buyer pays on the page. Raises Declined; the page stays open for another card.

    Returns a payment that waits for the buyer's bank, if it does.
    """
    with transaction.atomic():
        checkout = lock_checkout(checkout_id)
        if checkout.status == "open" and checkout.expires_at <= timezone.now():
            checkout.status = "expired"
            checkout.save()
            tell("checkout.expired", "checkout", checkout.pk)
        if checkout.status != "open":
            return None
        key = f"{checkout.pk}:{checkout.attempts}"
        try:
            payment = _pay(checkout, payment_method, key)
        except Declined as error:
            declined = error
        else:
            if payment is not None and payment.status == "requires_action":
                checkout.payment = payment
                checkout.save()
                return payment
            _complete(checkout, payment)
            return None
        # The next try is another one: this one's answer is final.
        checkout.attempts += 1
        checkout.save()
    raise declined


def _pay(checkout: SandboxCheckout, payment_method: str, key: str) -> SandboxPayment | None:
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
    tell("checkout.completed", "checkout", checkout.pk)


@transaction.atomic
def authenticate(payment_id: str, *, succeeds: bool) -> SandboxPayment:
    """The buyer's answer to their bank, and what it completes."""
    payment = charging.authenticate(payment_id, succeeds=succeeds)
    if payment.invoice is not None:
        subscriptions.first_payment_changed(payment.invoice.subscription_id)
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
    checkout = lock_checkout(checkout_id)
    if checkout.status == "open":
        checkout.status = "expired"
        checkout.save()
        tell("checkout.expired", "checkout", checkout.pk)
    return checkout


def snapshot(checkout: SandboxCheckout) -> CheckoutSnapshot:
    return CheckoutSnapshot(
        external_id=checkout.pk,
        url=reverse("sandbox-checkout", args=[checkout.pk]),
        status=checkout.status,
        payment_id=checkout.payment_id or "",
        subscription_id=checkout.subscription_id or "",
    )
