"""Payments, refunds and disputes in the sandbox."""

from collections.abc import Mapping
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from config import money, related
from config.durability import asynchronous_commit
from config.ids import uuid7
from config.prepared import new
from config.rows import insert_together
from payments.gateways.base import (
    Declined,
    DisputeSnapshot,
    EvidenceNotTaken,
    PaymentSnapshot,
    RefundRefused,
    RefundSnapshot,
)
from payments.gateways.sandbox import events, rows
from payments.gateways.sandbox.cards import CARDS, card
from payments.gateways.sandbox.locks import lock_payment
from payments.models import (
    Dispute,
    Payment,
    Refund,
    SandboxDispute,
    SandboxInvoice,
    SandboxPayment,
    SandboxRefund,
)

EVIDENCE_DAYS = 14  # that a merchant has for the answer to a dispute


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
    """Charge a card and return the payment; its status tells the bank's answer.

    The payment is one of ``invoice``, or of the order with the id ``reference``. Repeating a key returns
    the payment of the first call. Raises MethodUnknown.
    """
    charged = card(payment_method)
    decline_code = charged.decline_code
    if is_renewal and charged.fails_on_renewal:
        decline_code = "generic_decline"
    if decline_code:
        status = "failed"
    elif charged.needs_authentication and not is_renewal:
        status = "requires_action"
    else:
        status = "captured"
    try:
        payment = new(
            SandboxPayment,
            id=f"sbx_{uuid7().hex}",
            idempotency_key=key,
            reference=reference,
            invoice_id=invoice.pk if invoice is not None else None,
            amount=amount,
            currency=currency,
            payment_method=payment_method,
            status=status,
            decline_code=decline_code,
            captured=amount if status == "captured" else 0,
        )
        with asynchronous_commit():  # the commit that books the payment makes it last
            insert_together(payment, events.made(f"payment.{status}", "payment", payment.pk))
    except IntegrityError:
        return SandboxPayment.objects.get(idempotency_key=key)
    related.note_none(payment, "refunds", "disputes")
    return payment


def raise_if_declined(payment: SandboxPayment) -> SandboxPayment:
    """Return the payment. Raises Declined for one that has failed."""
    if payment.status == "failed":
        raise Declined(payment.decline_code)
    return payment


@transaction.atomic
def authenticate(payment_id: str, *, succeeds: bool) -> SandboxPayment:
    """Finish an authentication: capture the payment, or let it fail. Return the payment.

    A payment that does not wait for authentication stays as it is. Raises NotThere.
    """
    payment = lock_payment(payment_id)
    if payment.status != "requires_action":
        return payment
    payment.status = "captured" if succeeds else "failed"
    payment.captured = payment.amount if succeeds else 0
    payment.decline_code = "" if succeeds else "authentication_required"
    _save(payment, f"payment.{payment.status}")
    return payment


@transaction.atomic
def cancel(payment_id: str) -> SandboxPayment:
    """Cancel a payment that waits for authentication, and return it. Raises NotThere."""
    payment = lock_payment(payment_id)
    if payment.status == "requires_action":
        payment.status = "canceled"
        _save(payment, "payment.canceled")
    return payment


def _save(payment: SandboxPayment, event_type: str) -> None:
    """Save a payment, or a change of its refunds and disputes, and record the event."""
    payment.changed_at = timezone.now()
    payment.save()
    events.record(event_type, "payment", payment.pk)


@transaction.atomic
def refund(*, payment_id: str, amount: int, key: str) -> SandboxRefund:
    """Refund a payment in part or in full and return the refund.

    Repeating a key returns the refund of the first call. Raises NotThere and RefundRefused.
    """
    payment = lock_payment(payment_id)
    known = SandboxRefund.objects.filter(idempotency_key=key).first()
    if known is not None:
        return known
    refunded = payment.refunds.exclude(status="failed").aggregate(total=Sum("amount"))["total"] or 0
    left = payment.captured - refunded
    if amount > left:
        raise RefundRefused(
            f"only {money.to_text(left, payment.currency)} {payment.currency} are left"
        )
    created = SandboxRefund.objects.create(
        id=f"sbr_{uuid7().hex}",
        idempotency_key=key,
        payment=payment,
        amount=amount,
        status=CARDS[payment.payment_method].refund_status,
    )
    _save(payment, "refund.created")
    return created


@transaction.atomic
def resolve_refund(refund_id: str, *, succeeds: bool) -> SandboxRefund:
    """Set the bank's late answer to a refund and return the refund. Raises NotThere.

    A refund that had succeeded can still fail, days later.
    """
    resolved = rows.get(SandboxRefund.objects.all(), refund_id)
    payment = lock_payment(resolved.payment_id)
    resolved.status = "succeeded" if succeeds else "failed"
    resolved.save(update_fields=["status"])
    _save(payment, "refund.updated" if succeeds else "refund.failed")
    return resolved


@transaction.atomic
def open_dispute(
    payment_id: str, *, amount: int | None = None, inquiry: bool = False, fee: int = 0
) -> SandboxDispute:
    """Open a dispute and withdraw its amount; an inquiry withdraws nothing. Raises NotThere.

    Without an amount, the whole captured amount is disputed.
    """
    payment = lock_payment(payment_id)
    amount = amount or payment.captured
    dispute = SandboxDispute.objects.create(
        id=f"sbd_{uuid7().hex}",
        payment=payment,
        amount=amount,
        withdrawn=0 if inquiry else amount,
        fee=0 if inquiry else fee,
        status="warning" if inquiry else "needs_response",
        evidence_due=events.now() + timedelta(days=EVIDENCE_DAYS),
    )
    _save(payment, "dispute.created")
    return dispute


@transaction.atomic
def close_dispute(dispute_id: str, *, reinstated: int) -> SandboxDispute:
    """Close a dispute and give this amount back, at most the amount that was withdrawn.

    The dispute is won if all of it comes back, and lost otherwise. Raises NotThere.
    """
    dispute = rows.get(SandboxDispute.objects.all(), dispute_id)
    payment = lock_payment(dispute.payment_id)
    dispute.reinstated = min(reinstated, dispute.withdrawn)
    dispute.status = "won" if dispute.reinstated == dispute.withdrawn else "lost"
    dispute.save(update_fields=["reinstated", "status"])
    _save(payment, "dispute.closed")
    return dispute


@transaction.atomic
def submit_evidence(dispute_id: str, fields: Mapping[str, str]) -> None:
    """Keep the evidence of an open dispute, which the bank reviews from now on. Safe to repeat.

    Raises NotThere, and EvidenceNotTaken for a dispute that is closed, answered or past due.
    """
    dispute = rows.get(SandboxDispute.objects.all(), dispute_id)
    payment = lock_payment(dispute.payment_id)
    dispute.refresh_from_db()
    if dispute.evidence == dict(fields):
        return
    if dispute.evidence is not None or dispute.status in {"won", "lost"}:
        raise EvidenceNotTaken("This dispute is closed or answered.")
    if dispute.evidence_due is not None and dispute.evidence_due <= events.now():
        raise EvidenceNotTaken("The time to answer this dispute is over.")
    dispute.evidence = dict(fields)
    if dispute.status == "needs_response":
        dispute.status = "under_review"
    dispute.save(update_fields=["evidence", "status"])
    _save(payment, "dispute.updated")


def snapshot(payment_id: str) -> PaymentSnapshot:
    """Return the current state of a payment. Raises NotThere."""
    payment = rows.get(
        SandboxPayment.objects.select_related("invoice").prefetch_related("refunds", "disputes"),
        payment_id,
    )
    return snapshot_of(payment)


def snapshot_of(payment: SandboxPayment) -> PaymentSnapshot:
    """Return the state of a payment that was read or made just now."""
    waits = payment.status == "requires_action"
    return PaymentSnapshot(
        external_id=payment.pk,
        amount=payment.amount,
        currency=payment.currency,
        captured=payment.captured,
        status=Payment.Status(payment.status),
        refunds=tuple(map(refund_snapshot, payment.refunds.all())),
        disputes=tuple(map(_dispute_snapshot, payment.disputes.all())),
        fee=payment.fee,
        order_id="" if payment.invoice_id else payment.reference,
        invoice_id=payment.invoice_id or "",
        subscription_id=payment.invoice.subscription_id if payment.invoice else "",
        action_url=reverse("sandbox-authenticate", args=[payment.pk]) if waits else "",
        decline_code=payment.decline_code,
    )


def refund_snapshot(row: SandboxRefund) -> RefundSnapshot:
    """Return the state of a refund."""
    return RefundSnapshot(
        external_id=row.pk,
        amount=row.amount,
        status=Refund.Status(row.status),
        key=row.idempotency_key,
    )


def _dispute_snapshot(dispute: SandboxDispute) -> DisputeSnapshot:
    return DisputeSnapshot(
        external_id=dispute.pk,
        amount=dispute.amount,
        withdrawn=dispute.withdrawn,
        reinstated=dispute.reinstated,
        status=Dispute.Status(dispute.status),
        fee=dispute.fee,
        reason=dispute.reason,
        evidence_due=dispute.evidence_due,
        submissions=0 if dispute.evidence is None else 1,
    )
