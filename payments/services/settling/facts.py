"""Taking the facts about payments, refunds and disputes over from the gateway into our rows."""

import logging
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import related, rows
from config.prepared import new
from payments import locks
from payments.gateways.base import (
    ConversionSnapshot,
    DisputeSnapshot,
    PaymentSnapshot,
    RefundSnapshot,
)
from payments.models import (
    Conversion,
    Dispute,
    Invoice,
    JournalEntry,
    Order,
    Payment,
    Refund,
)
from payments.services.settling import dispositions, fetching, split
from payments.services.settling.split import hold_until, hold_until_due
from payments.signals import payment_facts_changed

logger = logging.getLogger(__name__)
Kind = JournalEntry.Kind
# A payment in one of these states may still be captured without another attempt of the buyer.
UNDER_WAY = (Payment.Status.REQUIRES_ACTION, Payment.Status.PROCESSING)
GIVEN_UP = (Payment.Status.FAILED, Payment.Status.CANCELED)
# A payment's status only rises: an answer that is older than the last one changes nothing.
_STATUS_RANK: dict[str, int] = {
    Payment.Status.CREATED: 0,
    Payment.Status.REQUIRES_ACTION: 1,
    Payment.Status.PROCESSING: 2,
    Payment.Status.FAILED: 3,
    Payment.Status.CANCELED: 3,
    Payment.Status.CAPTURED: 4,
}


# The rows of a payment that change only under its lock. They are loaded with the lock and changed where
# they are. A row is added by the related manager's `add`: `prefetch_related_objects` then reads again.
_PARTS = ("refunds", "disputes", "conversions")
# The fields of a payment that `_take_over` sets before any other fact.
_CAPTURE = ("status", "captured", "captured_at", "available_on", "disposition")


def sync_payment(
    *,
    gateway: str,
    external_id: str,
    order: Order | None = None,
    invoice: Invoice | None = None,
    snapshot: PaymentSnapshot | None = None,
) -> Payment:
    """Fetch a payment from its gateway, take its new facts over, and let the receivers act on them.

    The return page, webhook events, polls and the reconciliation all call this function. It is safe to
    repeat and to run any number of times at once: facts only grow, and the receivers of
    ``payment_facts_changed`` write the difference between the rows that the facts require and the rows
    that exist. When all new facts are stored, the signal is sent once for each, with its kind and with
    the money that had gone back by then; without a new fact it is sent once with the kind "adjustment".
    So a refund and a dispute that are learned together are booked as two facts.

    Pass ``order`` or ``invoice`` if the caller knows what the payment is for; otherwise the reference
    that the gateway stores with the payment decides. Pass the ``snapshot`` that the gateway has just
    answered to the caller, and nothing is fetched: the order of two answers does not matter, because an
    older one brings no new fact. Call it outside of any transaction, because it calls the gateway.
    Raises OSError, and NotThere for a payment that was never known here or there; for one that is gone
    see `fetching`.
    """
    if snapshot is None:
        snapshot = fetching.payment(gateway, external_id)
    if order is None and invoice is None:
        order, invoice = _order_or_invoice_of(gateway, snapshot)
    with transaction.atomic(), audit.together():
        payment = _locked_payment(gateway, snapshot, order, invoice)
        orders = _locked_orders(payment, order)
        # One moment for the rows and the books, so that both lie in the same month.
        now = timezone.now()
        # The generator is read to its end first: receivers must see all facts.
        facts = []
        for kind in _take_over(payment, snapshot, orders, now):
            prefetch_related_objects([payment], *_PARTS)  # those to which a row was added
            facts.append((kind, payment.gone_back()))
        for kind, back in facts or [(Kind.ADJUSTMENT, payment.gone_back())]:
            payment_facts_changed.send(
                sender=Payment, payment=payment, orders=orders, kind=kind, at=now, back=back
            )
    return payment


def _locked_payment(
    gateway: str, snapshot: PaymentSnapshot, order: Order | None, invoice: Invoice | None
) -> Payment:
    """Lock the row of a payment, and create it first if it is missing. Its parts are loaded."""
    payment = new(
        Payment,
        gateway=gateway,
        external_id=snapshot.external_id,
        order_id=order.pk if order is not None else None,
        invoice_id=invoice.pk if invoice is not None else None,
        amount=snapshot.amount,
        currency=snapshot.currency,
    )
    if rows.insert(payment, ignore_conflicts=True):
        related.note_none(payment, *_PARTS)  # and no other transaction sees it yet
    else:
        payment = locks.lock_payment(gateway=gateway, external_id=snapshot.external_id)
        prefetch_related_objects([payment], *_PARTS)
    _link(payment, order, invoice)
    if invoice is not None and invoice.pk == payment.invoice_id:
        payment.invoice = invoice
    return payment


def _locked_orders(payment: Payment, order: Order | None) -> dict[uuid.UUID, Order]:
    """Lock the order of a payment with all orders of its buyer for its video; return them by id.

    The payment's order is then the locked row. ``order`` is the caller's, whose video stays loaded.
    """
    known = order if order is not None and order.pk == payment.order_id else payment.order
    if known is None:
        return {}
    orders = locks.lock_orders_of(buyer_id=known.buyer_id, video_id=known.video_id)
    payment.order = locked = orders[known.pk]
    if Order.video.is_cached(known):
        locked.video = known.video
    return orders


def _order_or_invoice_of(
    gateway: str, snapshot: PaymentSnapshot
) -> tuple[Order | None, Invoice | None]:
    """Return the order or the invoice that the gateway's reference names; (None, None) if not ours."""
    try:
        order_id = uuid.UUID(snapshot.order_id) if snapshot.order_id else None
    except ValueError:
        order_id = None
    if order_id is not None:
        return Order.objects.filter(pk=order_id, gateway=gateway).first(), None
    if snapshot.invoice_id:
        invoices = Invoice.objects.filter(
            external_id=snapshot.invoice_id, subscription__gateway=gateway
        )
        return None, invoices.first()
    return None, None


def _link(payment: Payment, order: Order | None, invoice: Invoice | None) -> None:
    """Set what a payment is for, if it was stored before that was known."""
    if (order or invoice) is None or payment.order_id or payment.invoice_id:
        return
    payment.order, payment.invoice = order, invoice
    if payment.disposition == Payment.Disposition.UNMATCHED:
        payment.disposition = Payment.Disposition.NONE
    payment.save(update_fields=["order", "invoice", "disposition"])


def _take_over(
    payment: Payment,
    snapshot: PaymentSnapshot,
    orders: Mapping[uuid.UUID, Order],
    now: datetime,
) -> Iterator[str]:
    """Store each fact of the snapshot that is new; yield the kind of journal entry that it makes."""
    status_before = payment.status
    before = [getattr(payment, name) for name in _CAPTURE]
    if _STATUS_RANK[snapshot.status] > _STATUS_RANK[payment.status]:
        payment.status = snapshot.status
    is_captured = _take_over_capture(payment, snapshot, now)
    # Also money that was captured before its order or invoice was known.
    is_placed = payment.captured > 0 and payment.disposition == Payment.Disposition.NONE
    if is_placed:
        payment.disposition = dispositions.of(payment, orders)
        # Only here is the order known for certain: a pre-order holds its earning for longer.
        due = hold_until_due(payment.captured_at or now, payment.order)
        payment.available_on = max(due, payment.available_on or due)
    else:
        payment.disposition = dispositions.decided_again(payment)
    if [getattr(payment, name) for name in _CAPTURE] != before:
        rows.save(payment, *_CAPTURE)
    if is_captured or is_placed:
        yield Kind.CAPTURE
    if status_before in UNDER_WAY and payment.status in GIVEN_UP:
        yield "failed"
    if snapshot.fee > payment.fee:
        payment.fee = snapshot.fee
        payment.save(update_fields=["fee"])
        yield Kind.FEE
    for refund in snapshot.refunds:
        if kind := _take_over_refund(payment, refund, now):
            yield kind
    for dispute in snapshot.disputes:
        if kind := _take_over_dispute(payment, dispute, now):
            yield kind
    for conversion in snapshot.conversions:
        if _take_over_conversion(payment, conversion):
            yield Kind.CONVERSION
    if payment.disposition == Payment.Disposition.DUPLICATE:
        _request_automatic_refund(payment)


def _take_over_capture(payment: Payment, snapshot: PaymentSnapshot, now: datetime) -> bool:
    """Raise the captured amount to the snapshot's; return whether it rose. Does not save the row."""
    if snapshot.captured <= payment.captured:
        return False
    payment.captured = snapshot.captured
    payment.captured_at = payment.captured_at or now
    payment.available_on = payment.available_on or hold_until(payment.captured_at)
    audit.record(
        actor=split.payer_id(payment),
        action=AuditAction.PAYMENT_CAPTURED,
        target=payment,
        amount=payment.captured,
        currency=payment.currency,
    )
    return True


def _take_over_refund(payment: Payment, fact: RefundSnapshot, now: datetime) -> str:
    """Create our row of a refund, or raise its status; a status never falls back.

    Returns the kind of journal entry that follows: "refund" when it begins to count, "refund_reversed"
    when it counts no more, "" otherwise.
    """
    known = _known_refund(payment, fact)
    refund = known or Refund(payment=payment, amount=fact.amount)
    counted = refund.status in Refund.COUNTS
    has_risen = known is None or Refund.RANK[fact.status] > Refund.RANK[refund.status]
    if not has_risen and refund.external_id is not None:
        return ""
    refund.external_id = fact.external_id
    if has_risen:
        refund.status = fact.status
    counts = refund.status in Refund.COUNTS
    if counts:
        refund.counted_at = refund.counted_at or now
    if known is None:
        payment.refunds.add(refund, bulk=False)
    else:
        refund.save()
    if has_risen and refund.status in {Refund.Status.SUCCEEDED, Refund.Status.FAILED}:
        succeeded = refund.status == Refund.Status.SUCCEEDED
        audit.record(
            actor=refund.by_id,
            action=AuditAction.REFUND_SUCCEEDED if succeeded else AuditAction.REFUND_FAILED,
            target=refund,
            amount=refund.amount,
            currency=payment.currency,
        )
    if counts == counted:
        return ""
    return Kind.REFUND if counts else Kind.REFUND_REVERSED


def _known_refund(payment: Payment, fact: RefundSnapshot) -> Refund | None:
    """Return our row of a refund, or None.

    It is found by the gateway's id. A refund that we requested and that has no id yet is found by the
    idempotency key of the request.
    """
    for refund in payment.refunds.all():
        if fact.external_id == refund.external_id:
            return refund
        if refund.external_id is None and fact.key == refund.key:
            return refund
    return None


def _take_over_dispute(payment: Payment, fact: DisputeSnapshot, now: datetime) -> str:
    """Create our row of a dispute, or raise its amounts and fee; they never fall.

    Returns the kind of journal entry that follows from the amounts: "dispute", "dispute_reinstated", or
    "" when they are unchanged. The status is for people to read and moves no money; once it is WON or
    LOST it stays final.
    """
    known = next((d for d in payment.disputes.all() if d.external_id == fact.external_id), None)
    dispute = known or Dispute(payment=payment, external_id=fact.external_id, amount=fact.amount)
    status_before = dispute.status
    before = dispute.withdrawn, dispute.reinstated, dispute.fee
    dispute.withdrawn = max(dispute.withdrawn, fact.withdrawn)
    dispute.reinstated = min(max(dispute.reinstated, fact.reinstated), dispute.withdrawn)
    dispute.fee = max(dispute.fee, fact.fee)
    after = dispute.withdrawn, dispute.reinstated, dispute.fee
    final = {Dispute.Status.WON, Dispute.Status.LOST}
    if dispute.status not in final or fact.status in final:
        dispute.status = fact.status
    is_decided = dispute.status not in Dispute.OPEN and dispute.status != status_before
    dispute.reason = fact.reason or dispute.reason
    dispute.evidence_due = fact.evidence_due or dispute.evidence_due
    dispute.submissions = max(dispute.submissions, fact.submissions)
    if dispute.withdrawn:
        dispute.withdrawn_at = dispute.withdrawn_at or now
    if known is None:
        payment.disputes.add(dispute, bulk=False)
    else:
        dispute.save()
    if known is None:
        audit.record(
            actor=None,
            action=AuditAction.DISPUTE_OPENED,
            target=dispute,
            amount=dispute.amount,
            currency=payment.currency,
        )
    if is_decided:
        audit.record(
            actor=None,
            action=AuditAction.DISPUTE_CLOSED,
            target=dispute,
            status=dispute.status,
            kept=dispute.withdrawn - dispute.reinstated,
            currency=payment.currency,
        )
    if after == before:
        return ""
    return Kind.DISPUTE_REINSTATED if dispute.reinstated > before[1] else Kind.DISPUTE


def _take_over_conversion(payment: Payment, fact: ConversionSnapshot) -> bool:
    """Create our row of a conversion, and return whether it is new: a conversion never changes."""
    if any(row.external_id == fact.external_id for row in payment.conversions.all()):
        return False
    conversion = Conversion(
        external_id=fact.external_id,
        currency=fact.currency,
        amount=fact.amount,
        fee=fact.fee,
        presented=fact.presented,
    )
    payment.conversions.add(conversion, bulk=False)
    return True


def _request_automatic_refund(payment: Payment) -> None:
    """Request the refund of all that is left of a duplicate payment, unless that was tried before.

    `gateway_news.followups` sends the request to the gateway after the commit. A refund that failed or
    that the gateway refused is not requested again: a person must decide then.
    """
    has_failed = payment.refunds.filter(
        is_automatic=True, status__in=[Refund.Status.FAILED, Refund.Status.CANCELED]
    ).exists()
    left = payment.refundable()
    if left > 0 and not has_failed:
        refund = Refund(amount=left, reason=Refund.PAID_TWICE, is_automatic=True)
        payment.refunds.add(refund, bulk=False)
