"""Refunds: reserved under the payment's lock, requested at the gateway, and taken over as facts."""

import uuid
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import money
from config.errors import NotVisible
from payments import gateways, locks, modes
from payments.errors import (
    Disputed,
    GatewayUnavailable,
    GoneAtGateway,
    NothingToRefund,
    PaymentsClosed,
    RefundInProgress,
    RefundTooLarge,
)
from payments.gateways.base import RefundRefused
from payments.gateways.translation import translate_errors
from payments.idempotency import KEY_LIFETIME
from payments.models import Invoice, Order, Payment, Refund
from payments.services.settling.facts import sync_payment

# A request without an answer for so long was lost, or its process died: it is repeated, with its key.
REPEAT_AFTER = timedelta(minutes=1)
REQUESTS_AT_ONCE = 100

# What `refund_order` and `refund_invoice` can raise beside NotVisible, for the API document.
REFUSALS = (
    NothingToRefund,
    Disputed,
    RefundInProgress,
    RefundTooLarge,
    GatewayUnavailable,
    PaymentsClosed,
)


def refund_order(
    *,
    order_id: uuid.UUID,
    amount: int | None,
    reason: str,
    actor: User | None,
    key: str = "",
    check: Callable[[], None] = lambda: None,
) -> Order:
    """Give back ``amount`` minor units of a paid order; None gives back all that is left of it.

    A full refund reverses the split and revokes the entitlement, playback included, in one transaction.
    Safe to repeat when the answer was lost: a request that the gateway has not answered within a minute
    is repeated first, with its own key, and if it has the same amount nothing more is refunded. The
    repeated request keeps its first reason; ``reason`` is then not stored. A call with the ``key`` of
    an earlier call of the actor, within KEY_LIFETIME, continues that refund and makes no second one.
    ``check`` is called with the payment locked before a new refund is stored, and may refuse it.

    Raises NotVisible, NothingToRefund, Disputed, RefundInProgress, RefundTooLarge: no money has moved
    then. Raises GatewayUnavailable: the follow-ups repeat the request.
    """
    if not Order.objects.filter(pk=order_id).exists():
        raise NotVisible()
    _refund_payment(
        amount=amount,
        reason=reason,
        actor=actor,
        key=key,
        check=check,
        order_id=order_id,
        disposition=Payment.Disposition.APPLIED,
    )
    return Order.objects.get(pk=order_id)


def refund_invoice(
    *, invoice_id: uuid.UUID, amount: int | None, reason: str, actor: User | None, key: str = ""
) -> Invoice:
    """Give back ``amount`` minor units of a paid period of a subscription; None gives back the rest.

    A full refund of money on which the current period rests ends the subscription: of the latest paid
    period, or of one whose unused value an upgrade has deducted. Otherwise as `refund_order`.
    """
    if not Invoice.objects.filter(pk=invoice_id).exists():
        raise NotVisible()
    for payment_id, part in _parts_to_refund(invoice_id, amount, actor=actor, key=key):
        _refund_payment(amount=part, reason=reason, actor=actor, key=key, pk=payment_id)
    return Invoice.objects.get(pk=invoice_id)


def _parts_to_refund(
    invoice_id: uuid.UUID, amount: int | None, *, actor: User | None, key: str
) -> list[tuple[uuid.UUID, int | None]]:
    """Divide a refund among the payments of an invoice, the latest first.

    A part that a call with this key has requested before stays as it was. Raises NothingToRefund,
    Disputed and RefundTooLarge.
    """
    rows = Payment.objects.filter(invoice_id=invoice_id, disposition=Payment.Disposition.APPLIED)
    payments = list(rows.order_by("-captured_at", "-pk"))
    if len(payments) <= 1:  # the payment's own limit holds
        if not payments:
            raise NothingToRefund()
        return [(payments[0].pk, amount)]
    if any(payment.disputed() > 0 for payment in payments):
        raise Disputed()
    left = {payment: payment.refundable() for payment in payments}
    for payment in payments:
        if (repeated := _repeated(payment, actor=actor, key=key)) is not None:
            left[payment] = repeated.amount
    if sum(left.values()) <= 0:
        raise NothingToRefund()
    missing = sum(left.values()) if amount is None else amount
    if missing > sum(left.values()):
        raise _too_large(sum(left.values()), payments[0].currency)
    parts: list[tuple[uuid.UUID, int | None]] = []
    for payment in payments:
        if part := min(left[payment], missing):
            parts.append((payment.pk, part))
            missing -= part
    return parts


def refund_unapplied(*, payment_id: uuid.UUID, actor: User) -> Payment:
    """Give back all of a payment that is unmatched, or a duplicate whose automatic refund failed.

    Raises NotVisible for any other payment, and what `refund_order` raises.
    """
    unapplied = Payment.objects.filter(disposition__in=Payment.PAYS_NOTHING)
    payment = unapplied.filter(pk=payment_id).first()
    if payment is None:
        raise NotVisible()
    audit.record(actor=actor, action=AuditAction.SUSPENSE_SETTLED, target=payment)
    _refund_payment(
        amount=None,
        reason=Refund.PAYS_NOTHING,
        actor=actor,
        pk=payment_id,
        disposition=payment.disposition,
    )
    return Payment.objects.get(pk=payment_id)


def _refund_payment(
    *,
    amount: int | None,
    reason: str,
    actor: User | None,
    key: str = "",
    check: Callable[[], None] = lambda: None,
    **lookup: object,
) -> None:
    """Repeat the unanswered requests of the payment that the lookup names, then make the wanted one."""
    while True:
        refund, is_wanted = _reserve(
            amount=amount, reason=reason, actor=actor, key=key, check=check, lookup=lookup
        )
        if refund.status == Refund.Status.REQUESTED:
            request_at_gateway(refund)
        if is_wanted:
            return


def request_at_gateway(refund: Refund) -> None:
    """Request a reserved refund at its gateway, and take the payment's new facts over.

    Safe to repeat: the refund's key makes the gateway give the money back once. Call it outside of any
    transaction. Raises GatewayUnavailable, and RefundTooLarge when the gateway refuses the refund, or
    does not know the payment; the refund is then CANCELED.
    """
    payment = refund.payment
    gateway = gateways.by_name(payment.gateway)
    try:
        with translate_errors():
            gateway.refund(external_id=payment.external_id, amount=refund.amount, key=refund.key)
    except GoneAtGateway:
        _cancel(refund)
        raise RefundTooLarge(
            f"The gateway ({gateway.name}) does not know this payment, so nothing was refunded. The"
            " operator can give the money back outside of the service."
        ) from None
    except RefundRefused as error:
        _cancel(refund)
        # The gateway knows of refunds that were made on its own pages.
        _take_over_facts(payment)
        raise RefundTooLarge(f"The gateway refuses this refund: {error}.") from None
    _take_over_facts(payment)


def _cancel(refund: Refund) -> None:
    Refund.objects.filter(pk=refund.pk, status=Refund.Status.REQUESTED).update(
        status=Refund.Status.CANCELED
    )


def _take_over_facts(payment: Payment) -> None:
    """Fetch the payment's facts from its gateway. Raises GatewayUnavailable."""
    with translate_errors():
        sync_payment(gateway=payment.gateway, external_id=payment.external_id)


def due_requests() -> list[Refund]:
    """Return up to 100 refunds that must be requested at their gateway now.

    These are the automatic refunds, which no person requests, and all that have had no answer for a
    minute.
    """
    requested = Refund.objects.filter(status=Refund.Status.REQUESTED).select_related("payment")
    unanswered = Q(created_at__lt=timezone.now() - REPEAT_AFTER)
    due = requested.filter(Q(is_automatic=True) | unanswered)
    return list(due.order_by("created_at")[:REQUESTS_AT_ONCE])


@transaction.atomic
def _reserve(
    *,
    amount: int | None,
    reason: str,
    actor: User | None,
    key: str,
    check: Callable[[], None],
    lookup: dict[str, object],
) -> tuple[Refund, bool]:
    """Return a refund to request, and whether it is the one that the caller wants.

    It is a new one, an earlier one without an answer, or the one that the key has led to before. The
    payment's lock makes sure that two callers at once never reserve more than what is left of the
    capture.
    """
    try:
        payment = locks.lock_payment(**lookup)
    except Payment.DoesNotExist:
        raise NothingToRefund() from None
    prefetch_related_objects([payment], "refunds", "disputes")
    gateways.require_open()
    if modes.is_over(payment.created_at):
        raise NothingToRefund(
            "This was paid with the money of an earlier mode, which is closed. Nothing is left of it."
        )
    repeated = _repeated(payment, actor=actor, key=key)
    if repeated is not None:
        return repeated, True
    if payment.has_undecided_dispute():
        raise Disputed()
    silent_since = timezone.now() - REPEAT_AFTER
    for unanswered in payment.refunds.all():
        if unanswered.status != Refund.Status.REQUESTED or unanswered.created_at >= silent_since:
            continue
        return unanswered, amount in (None, unanswered.amount)
    left = payment.refundable()
    if left <= 0 and payment.requested_back():
        raise RefundInProgress()
    if left <= 0:
        raise NothingToRefund()
    wanted = left if amount is None else amount
    if wanted > left:
        raise _too_large(left, payment.currency)
    check()
    refund = Refund(amount=wanted, reason=reason, by=actor, request_key=key)
    payment.refunds.add(refund, bulk=False)
    return refund, True


def _repeated(payment: Payment, *, actor: User | None, key: str) -> Refund | None:
    """Return the refund of a payment that an earlier call of the actor with this key has led to."""
    if not key:
        return None
    return payment.refunds.filter(
        request_key=key,
        by=actor,
        created_at__gt=timezone.now() - KEY_LIFETIME,
        status__in=[Refund.Status.REQUESTED, *Refund.COUNTS],
    ).first()


def _too_large(left: int, currency: str) -> RefundTooLarge:
    shown = money.to_text(left, currency)
    return RefundTooLarge(f"Only {shown} {currency} of this payment can still be refunded.")
