"""The translation of Stripe's JSON objects into the snapshots of all gateways.

Only this module and the modules that send requests know where Stripe keeps which value. Stripe moved
several fields in its API version Basil (2025-03-31); their old places are read too, because events keep
the shape of the version that they were created with. https://docs.stripe.com/changelog/basil
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from payments.gateways.base import (
    Change,
    CheckoutSnapshot,
    CheckoutStatus,
    DisputeSnapshot,
    ObjectKind,
    PaymentSnapshot,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.json_fields import (
    Json,
    currency_of,
    id_of,
    integer,
    listed,
    moment,
    nested,
    objects,
    required_integer,
    required_text,
    text,
)
from payments.gateways.stripe import conversions, invoices
from payments.gateways.stripe.amounts import fee_from_gateway, from_gateway
from payments.models import Dispute, Payment, Refund, Subscription

# The fields of Stripe's metadata in which our ids and idempotency keys are kept.
ORDER, SUBSCRIPTION, PLAN, NEXT_PLAN, KEY = (
    "order_id", "subscription_id", "plan_code", "next_plan_code", "key",
)  # fmt: skip

PAYMENT_STATUS = {
    "requires_payment_method": Payment.Status.CREATED,
    "requires_confirmation": Payment.Status.CREATED,
    "requires_action": Payment.Status.REQUIRES_ACTION,
    "processing": Payment.Status.PROCESSING,
    "requires_capture": Payment.Status.PROCESSING,
    "succeeded": Payment.Status.CAPTURED,
    "canceled": Payment.Status.CANCELED,
}
REFUND_STATUS = {
    "pending": Refund.Status.PENDING,
    "requires_action": Refund.Status.PENDING,
    "succeeded": Refund.Status.SUCCEEDED,
    "failed": Refund.Status.FAILED,
    "canceled": Refund.Status.CANCELED,
}
DISPUTE_STATUS = {
    "warning_needs_response": Dispute.Status.WARNING,
    "warning_under_review": Dispute.Status.WARNING,
    "warning_closed": Dispute.Status.CLOSED,
    "prevented": Dispute.Status.CLOSED,
    "needs_response": Dispute.Status.NEEDS_RESPONSE,
    "appeal_needs_response": Dispute.Status.NEEDS_RESPONSE,
    "under_review": Dispute.Status.UNDER_REVIEW,
    "appeal_under_review": Dispute.Status.UNDER_REVIEW,
    "won": Dispute.Status.WON,
    "lost": Dispute.Status.LOST,
}
SUBSCRIPTION_STATUS = {
    "incomplete": Subscription.Status.INCOMPLETE,
    "incomplete_expired": Subscription.Status.INCOMPLETE_EXPIRED,
    "trialing": Subscription.Status.TRIALING,
    "active": Subscription.Status.ACTIVE,
    "past_due": Subscription.Status.PAST_DUE,
    # Stripe has stopped collecting. The service's own grace period decides when access ends.
    "unpaid": Subscription.Status.PAST_DUE,
    "canceled": Subscription.Status.CANCELED,
    "paused": Subscription.Status.PAUSED,
}
# Drafts are missing: they can still change.
CHECKOUT_STATUS = {
    "open": CheckoutStatus.OPEN,
    "complete": CheckoutStatus.COMPLETE,
    "expired": CheckoutStatus.EXPIRED,
}
# Statuses of the payment or subscription of a completed checkout whose bank debit has failed.
DEBIT_FAILED = {"requires_payment_method", "canceled", "incomplete_expired"}


# --- payments ---


def payment(
    intent: Json,
    refunds: Sequence[Json] = (),
    disputes: Sequence[Json] = (),
    invoice: Json | None = None,
) -> PaymentSnapshot:
    """Return the snapshot of a PaymentIntent, its refunds, its disputes and the invoice that it pays.

    An unknown status counts as processing.
    """
    currency = currency_of(intent)
    amount = from_gateway(required_integer(intent, "amount"), currency)
    status = PAYMENT_STATUS.get(text(intent, "status"), Payment.Status.PROCESSING)
    error = nested(intent, "last_payment_error")
    if status == Payment.Status.CREATED and error:
        status = Payment.Status.FAILED
    captured = 0
    if status == Payment.Status.CAPTURED:
        captured = amount
        if intent.get("amount_received") is not None:
            captured = from_gateway(required_integer(intent, "amount_received"), currency)
    failed = status == Payment.Status.FAILED
    waits = status == Payment.Status.REQUIRES_ACTION
    return PaymentSnapshot(
        external_id=required_text(intent, "id"),
        amount=amount,
        currency=currency,
        captured=captured,
        status=status,
        refunds=tuple(refund(row) for row in refunds),
        disputes=tuple(dispute(row, intent) for row in disputes),
        conversions=tuple(
            conversions.of_payment(intent, captured=captured, refunds=refunds, disputes=disputes)
        ),
        fee=_payment_fee(intent, currency),
        order_id=text(nested(intent, "metadata"), ORDER),
        invoice_id=id_of(invoice),
        subscription_id=invoices.subscription_of(invoice),
        action_url=_action_url(intent, invoice) if waits else "",
        decline_code=(text(error, "decline_code") or text(error, "code")) if failed else "",
    )


def _payment_fee(intent: Json, currency: str) -> int:
    """Return Stripe's fee in our minor units.

    It is 0 before the charge is on the balance. If the balance is kept in another currency, the fee is
    in the charge's conversion.
    """
    movement = nested(intent, "latest_charge", "balance_transaction")
    if currency_of(movement) != currency:
        return 0
    return max(0, fee_from_gateway(integer(movement, "fee"), currency))


def _action_url(intent: Json, invoice: Json | None) -> str:
    """Return the address where the buyer authenticates: the bank's page, else the invoice's page."""
    redirect = nested(intent, "next_action", "redirect_to_url")
    return text(redirect, "url") or text(nested(invoice), "hosted_invoice_url")


def refund(row: Json) -> RefundSnapshot:
    """Return the snapshot of a Refund. An unknown status counts as pending."""
    return RefundSnapshot(
        external_id=required_text(row, "id"),
        amount=from_gateway(required_integer(row, "amount"), currency_of(row)),
        status=REFUND_STATUS.get(text(row, "status"), Refund.Status.PENDING),
        key=text(nested(row, "metadata"), KEY),
    )


def dispute(row: Json, intent: Json) -> DisputeSnapshot:
    """Return the snapshot of a Dispute of the payment with this PaymentIntent.

    The amounts come from the movements on Stripe's balance and never from the status, which changes
    before the money moves. An unknown status counts as under review.
    """
    currency = currency_of(intent)
    moved = conversions.of_dispute(row, intent)
    withdrawn = -sum(presented for _, presented in moved if presented < 0)
    reinstated = sum(presented for _, presented in moved if presented > 0)
    own = [movement for movement, _ in moved if currency_of(movement) == currency]
    fee = fee_from_gateway(sum(integer(movement, "fee") for movement in own), currency)
    return DisputeSnapshot(
        external_id=required_text(row, "id"),
        amount=conversions.disputed_amount(row, intent),
        withdrawn=withdrawn,
        reinstated=min(reinstated, withdrawn),
        status=DISPUTE_STATUS.get(text(row, "status"), Dispute.Status.UNDER_REVIEW),
        fee=max(0, fee),
        reason=text(row, "reason"),
        evidence_due=moment(nested(row, "evidence_details"), "due_by"),
        submissions=integer(nested(row, "evidence_details"), "submission_count"),
    )


# --- checkouts ---


def checkout(session: Json) -> CheckoutSnapshot:
    """Return the snapshot of a Checkout Session. An unknown status counts as open.

    A completed session that is still unpaid counts as open too: its bank debit may yet fail. When it
    has failed, nothing can be paid there any more, so that the session counts as expired.
    """
    status = CHECKOUT_STATUS.get(text(session, "status"), CheckoutStatus.OPEN)
    if status == CheckoutStatus.COMPLETE and session.get("payment_status") == "unpaid":
        paid_with = nested(session, "payment_intent") or nested(session, "subscription")
        has_failed = paid_with.get("status") in DEBIT_FAILED
        status = CheckoutStatus.EXPIRED if has_failed else CheckoutStatus.OPEN
    return CheckoutSnapshot(
        external_id=required_text(session, "id"),
        url=text(session, "url"),
        status=status,
        payment_id=id_of(session.get("payment_intent")),
        subscription_id=id_of(session.get("subscription")),
    )


# --- subscriptions ---


def first_item(subscription: Json) -> Json:
    """Return a Subscription's only item, which holds its price and period; empty if it has none."""
    return next(iter(listed(subscription, "items")), {})


def plan_code(subscription: Json) -> str:
    """Return the code of a Subscription's plan; the id of Stripe's price if no code is noted there.

    The price's metadata come first: those of the subscription may still name an earlier plan.
    """
    item = first_item(subscription)
    price = nested(item, "price") or nested(item, "plan") or nested(subscription, "plan")
    noted = text(nested(price, "metadata"), PLAN) or text(nested(subscription, "metadata"), PLAN)
    return noted or id_of(price)


def subscription(
    row: Json, billed: Iterable[Json], schedule: Json | None = None
) -> SubscriptionSnapshot:
    """Return the snapshot of a Subscription, its Invoices (newest first) and its planned change.

    An unknown status counts as paused. One that Stripe canceled for a failed payment is expired.
    """
    period = _period_holder(row)
    status = SUBSCRIPTION_STATUS.get(text(row, "status"), Subscription.Status.PAUSED)
    reason = nested(row, "cancellation_details").get("reason")
    if status == Subscription.Status.CANCELED and reason == "payment_failed":
        status = Subscription.Status.EXPIRED
    # Reversed, because sorting keeps the order of invoices whose periods start in the same second.
    known = [invoices.snapshot(one) for one in billed if invoices.is_billed(one)][::-1]
    return SubscriptionSnapshot(
        external_id=required_text(row, "id"),
        reference=text(nested(row, "metadata"), SUBSCRIPTION),
        plan_code=plan_code(row),
        status=status,
        period_start=moment(period, "current_period_start"),
        period_end=moment(period, "current_period_end"),
        cancel_at_period_end=ends_with_period(row),
        next_plan_code=next_plan_code(schedule),
        ended_at=moment(row, "ended_at"),
        invoices=tuple(sorted(known, key=lambda one: one.period_start)),
    )


def current_period(subscription: Json) -> tuple[datetime, datetime]:
    """Return the start and end of a Subscription's period. Raises ValueError if it has none."""
    return invoices.period(
        _period_holder(subscription), "current_period_start", "current_period_end"
    )


def _period_holder(subscription: Json) -> Json:
    """Return the object that holds a Subscription's period: its item, and before Basil itself."""
    item = first_item(subscription)
    return item if item.get("current_period_end") else subscription


def ends_with_period(subscription: Json) -> bool:
    """Return whether no period follows the current one, because the Subscription was canceled.

    The Customer Portal sets only the moment ``cancel_at``.
    """
    until = moment(_period_holder(subscription), "current_period_end")
    return bool(subscription.get("cancel_at_period_end")) or (
        until is not None and ends_by(subscription, until)
    )


def ends_by(subscription: Json, at: datetime) -> bool:
    """Return whether a Subscription was canceled to a moment that is not after the given one."""
    cancel_at = moment(subscription, "cancel_at")
    return cancel_at is not None and cancel_at <= at


def is_scheduled(schedule: Json | None) -> bool:
    """Return whether a SubscriptionSchedule will still change its subscription."""
    return nested(schedule).get("status") in {"active", "not_started"}


def next_plan_code(schedule: Json | None) -> str:
    """Return the code of the plan that a schedule changes to; "" once its last phase has begun."""
    phases = objects(nested(schedule).get("phases"))
    running_since = nested(schedule, "current_phase").get("start_date")
    if not is_scheduled(schedule) or not phases or phases[-1].get("start_date") == running_since:
        return ""
    return text(nested(schedule, "metadata"), NEXT_PLAN)


# --- gateway news ---

# The kind of object that may have changed, by the beginning of an event's type.
_KINDS: dict[str, ObjectKind] = {
    "checkout.session.": "checkout",
    "payment_intent.": "payment",
    "charge.refunded": "payment",
    "charge.updated": "payment",
    "charge.refund.": "payment",
    "charge.dispute.": "payment",
    "refund.": "payment",
    "customer.subscription.": "subscription",
    "invoice.": "subscription",
    "invoice_payment.": "payment",
}


def change(event_type: str, reported: Json) -> Change | None:
    """Return the object that may have changed when an event of this type reports an object.

    A refund or dispute stands for its payment, an invoice for its subscription. None if this service
    does not follow the object.
    """
    kind = next((kind for start, kind in _KINDS.items() if event_type.startswith(start)), None)
    if kind is None:
        return None
    object_type = reported.get("object")
    if kind == "subscription" and object_type == "invoice":
        external_id = invoices.subscription_of(reported)
    elif object_type == "invoice_payment":
        external_id = id_of(nested(reported, "payment").get("payment_intent"))
    elif kind == "payment" and object_type != "payment_intent":
        external_id = id_of(reported.get("payment_intent"))
    else:
        external_id = id_of(reported)
    return Change(kind, external_id) if external_id else None
