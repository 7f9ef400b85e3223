"""Payments, refunds and disputes inside the sandbox."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from config.ids import uuid7
from payments.gateways.base import (
    Declined,
    DisputeSnapshot,
    NotThere,
    PaymentSnapshot,
    RefundRefused,
    RefundSnapshot,
)
from payments.gateways.sandbox.cards import METHODS, card
from payments.gateways.sandbox.events import now, tell
from payments.gateways.sandbox.locks import lock_payment
from payments.models import SandboxDispute, SandboxInvoice, SandboxPayment, SandboxRefund

EVIDENCE_DAYS = 14


def charge(
    *,
    amount: int,
    currency: str,
    payment_method: str,
    key: str,
    reference: str = "",
    invoice: SandboxInvoice | None = None,
    is_renewal: bool = False,
) -> SandboxPayment:
    """One payment for a key, whatever happens. Its status says what the bank said."""
    bank = card(payment_method)
    decline_code = bank.decline_code
    if is_renewal and bank.fails_on_renewal:
        decline_code = "generic_decline"
    if decline_code:
        status = "failed"
    elif bank.needs_authentication and not is_renewal:
        status = "requires_action"
    else:
        status = "captured"
    try:
        with transaction.atomic():
            payment = SandboxPayment.objects.create(
                id=f"sbx_{uuid7().hex}",
                idempotency_key=key,
                reference=reference,
                invoice=invoice,
                amount=amount,
                currency=currency,
                payment_method=payment_method,
                status=status,
                decline_code=decline_code,
                captured=amount if status == "captured" else 0,
            )
            tell(f"payment.{status}", "payment", payment.pk)
            return payment
    except IntegrityError:
        return SandboxPayment.objects.get(idempotency_key=key)


def raise_if_declined(payment: SandboxPayment) -> SandboxPayment:
    if payment.status == "failed":
        raise Declined(payment.decline_code)
    return payment


@transaction.atomic
def authenticate(payment_id: str, *, succeeds: bool) -> SandboxPayment:
    """The buyer has answered their bank. Does nothing for a payment that waits for no answer."""
    payment = lock_payment(payment_id)
    if payment.status != "requires_action":
        return payment
    payment.status = "captured" if succeeds else "failed"
    payment.captured = payment.amount if succeeds else 0
    payment.decline_code = "" if succeeds else "authentication_required"
    changed(payment, f"payment.{payment.status}")
    return payment


def changed(payment: SandboxPayment, event_type: str) -> None:
    payment.changed_at = timezone.now()
    payment.save()
    tell(event_type, "payment", payment.pk)


@transaction.atomic
def refund(*, payment_id: str, amount: int, key: str) -> SandboxRefund:
    payment = lock_payment(payment_id)
    found = SandboxRefund.objects.filter(idempotency_key=key).first()
    if found is not None:
        return found
    given = payment.refunds.exclude(status="failed").aggregate(total=Sum("amount"))["total"] or 0
    if given + amount > payment.captured:
        raise RefundRefused(f"only {payment.captured - given} are left")
    found = SandboxRefund.objects.create(
        id=f"sbr_{uuid7().hex}",
        idempotency_key=key,
        payment=payment,
        amount=amount,
        status=METHODS[payment.payment_method].refund_status,
    )
    changed(payment, "refund.created")
    return found


@transaction.atomic
def resolve_refund(refund_id: str, *, succeeds: bool) -> SandboxRefund:
    """The bank's late answer: a refund that seemed to succeed can still fail, days later."""
    found = SandboxRefund.objects.select_related("payment").filter(pk=refund_id).first()
    if found is None:
        raise NotThere(refund_id)
    payment = lock_payment(found.payment_id)
    found.status = "succeeded" if succeeds else "failed"
    found.save(update_fields=["status"])
    changed(payment, "refund.updated" if succeeds else "refund.failed")
    return found


@transaction.atomic
def open_dispute(
    payment_id: str, *, amount: int | None = None, inquiry: bool = False, fee: int = 0
) -> SandboxDispute:
    """The buyer's bank takes money back; an inquiry only asks."""
    payment = lock_payment(payment_id)
    amount = amount or payment.captured
    dispute = SandboxDispute.objects.create(
        id=f"sbd_{uuid7().hex}",
        payment=payment,
        amount=amount,
        withdrawn=0 if inquiry else amount,
        fee=0 if inquiry else fee,
        status="warning" if inquiry else "needs_response",
        evidence_due=now() + timedelta(days=EVIDENCE_DAYS),
    )
    changed(payment, "dispute.created")
    return dispute


@transaction.atomic
def close_dispute(dispute_id: str, *, reinstated: int) -> SandboxDispute:
    """The bank's decision: won in full, in part or (0) lost."""
    dispute = SandboxDispute.objects.filter(pk=dispute_id).first()
    if dispute is None:
        raise NotThere(dispute_id)
    payment = lock_payment(dispute.payment_id)
    dispute.reinstated = min(reinstated, dispute.withdrawn)
    dispute.status = "won" if dispute.reinstated == dispute.withdrawn else "lost"
    dispute.save(update_fields=["reinstated", "status"])
    changed(payment, "dispute.closed")
    return dispute


def snapshot(payment_id: str) -> PaymentSnapshot:
    payment = (
        SandboxPayment.objects.select_related("invoice")
        .prefetch_related("refunds", "disputes")
        .filter(pk=payment_id)
        .first()
    )
    if payment is None:
        raise NotThere(payment_id)
    waits = payment.status == "requires_action"
    return PaymentSnapshot(
        external_id=payment.pk,
        amount=payment.amount,
        currency=payment.currency,
        captured=payment.captured,
        status=payment.status,
        refunds=tuple(map(refund_snapshot, payment.refunds.all())),
        disputes=tuple(map(_dispute_snapshot, payment.disputes.all())),
        fee=payment.fee,
        order_id="" if payment.invoice_id else payment.reference,
        invoice_id=payment.invoice_id or "",
        subscription_id=payment.invoice.subscription_id if payment.invoice else "",
        action_url=reverse("sandbox-authenticate", args=[payment.pk]) if waits else "",
        decline_code=payment.decline_code,
    )


def refund_snapshot(found: SandboxRefund) -> RefundSnapshot:
    return RefundSnapshot(found.pk, found.amount, found.status, found.idempotency_key)


def _dispute_snapshot(dispute: SandboxDispute) -> DisputeSnapshot:
    return DisputeSnapshot(
        external_id=dispute.pk,
        amount=dispute.amount,
        withdrawn=dispute.withdrawn,
        reinstated=dispute.reinstated,
        status=dispute.status,
        fee=dispute.fee,
        reason=dispute.reason,
        evidence_due=dispute.evidence_due,
    )
