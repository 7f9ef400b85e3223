"""Giving money back."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import money
from config.errors import NotVisible
from payments import gateways, locks
from payments.errors import (
    Disputed,
    NothingToRefund,
    RefundInProgress,
    RefundTooLarge,
)
from payments.gateways.base import RefundRefused
from payments.gateways.translation import translate_errors
from payments.models import Invoice, Order, Payment, Refund
from payments.services.settling.facts import sync_payment

UNHEARD_AFTER = timedelta(minutes=1)


def refund_order(*, order_id: uuid.UUID, amount: int | None, reason: str, actor) -> Order:
    """Give back ``amount`` minor units of a paid order, or all that is left of it.

    A full refund takes the split back and ends the right to watch, playback included, in one
    transaction. Raises NothingToRefund, RefundTooLarge, Disputed; no money has moved then. A refund
    whose outcome nobody heard is asked for again first, with its own key; when it is what this call
    wants too, that is all: repeating a call whose answer was lost gives the money back once.
    """
    if not Order.objects.filter(pk=order_id).exists():
        raise NotVisible()
    _refund(amount, reason, actor, order_id=order_id)
    return Order.objects.get(pk=order_id)


def refund_invoice(*, invoice_id: uuid.UUID, amount: int | None, reason: str, actor) -> Invoice:
    """The same for a paid period of a subscription; the current one in full ends it."""
    if not Invoice.objects.filter(pk=invoice_id).exists():
        raise NotVisible()
    _refund(amount, reason, actor, invoice_id=invoice_id)
    return Invoice.objects.get(pk=invoice_id)


def send_back_stray(*, payment_id: uuid.UUID, actor) -> Payment:
    """Give all of a payment back that pays nothing, or paid twice and could not go back by itself."""
    astray = (Payment.Disposition.UNMATCHED, Payment.Disposition.DUPLICATE)
    stray = Payment.objects.filter(pk=payment_id, disposition__in=astray)
    if not stray.exists():
        raise NotVisible()
    audit.record(actor=actor, action=AuditAction.SUSPENSE_SETTLED, target=stray.get())
    disposition = stray.get().disposition
    _refund(None, "pays nothing", actor, pk=payment_id, disposition=disposition)
    return Payment.objects.get(pk=payment_id)


def _refund(amount: int | None, reason: str, actor, **of) -> None:
    while True:
        refund, is_wanted = _reserve(amount, reason, actor, of)
        carry_out(refund)
        if is_wanted:
            return


def carry_out(refund: Refund) -> None:
    """Ask the gateway for a reserved refund, and take in what it says. Never in a transaction."""
    payment = refund.payment
    gateway = gateways.by_name(payment.gateway)
    try:
        with translate_errors():
            gateway.refund(external_id=payment.external_id, amount=refund.amount, key=refund.key)
    except RefundRefused as error:
        Refund.objects.filter(pk=refund.pk, status=Refund.Status.REQUESTED).update(
            status=Refund.Status.CANCELED
        )
        # It knows of refunds that we have not heard of.
        sync_payment(gateway=payment.gateway, external_id=payment.external_id)
        raise RefundTooLarge(f"The gateway refuses this refund: {error}.") from None
    sync_payment(gateway=payment.gateway, external_id=payment.external_id)


def unheard() -> list[Refund]:
    """Refunds to ask for (again): those nobody asks for by hand, and those without an answer."""
    requested = Refund.objects.filter(status=Refund.Status.REQUESTED).select_related("payment")
    old = timezone.now() - UNHEARD_AFTER
    return [r for r in requested[:100] if r.is_automatic or r.created_at < old]


@transaction.atomic
def _reserve(amount: int | None, reason: str, actor, of: dict) -> tuple[Refund, bool]:
    """A refund to ask for, under the payment's lock: two at once never exceed the capture.

    The last value tells whether it is the one that the caller wants.
    """
    try:
        payment = locks.lock_payment(**{"disposition": Payment.Disposition.APPLIED, **of})
    except Payment.DoesNotExist:
        raise NothingToRefund() from None
    if payment.disputed() > 0:
        raise Disputed()
    # A process died between asking the gateway and hearing its answer: ask again, with the same key.
    unheard = payment.refunds.filter(
        status=Refund.Status.REQUESTED, created_at__lt=timezone.now() - UNHEARD_AFTER
    ).first()
    if unheard is not None:
        return unheard, amount in (None, unheard.amount)
    asked = sum(
        payment.refunds.filter(status=Refund.Status.REQUESTED).values_list("amount", flat=True)
    )
    left = payment.captured - payment.refunded() - asked
    if left <= 0 and asked:
        raise RefundInProgress()
    if left <= 0:
        raise NothingToRefund()
    wanted = left if amount is None else amount
    if wanted > left:
        shown = money.to_text(left, payment.currency)
        raise RefundTooLarge(f"Only {shown} {payment.currency} are left of this payment.")
    refund = Refund.objects.create(payment=payment, amount=wanted, reason=reason, by=actor)
    return refund, True
