"""The one module that knows the shapes of Stripe's JSON, and turns it into ours.

Stripe moved several fields in its Basil release; their old places are looked at as well. Fields that
are not known here are never an obstacle.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from payments.gateways.base import (
    Change,
    CheckoutSnapshot,
    DisputeSnapshot,
    InvoiceSnapshot,
    PaymentSnapshot,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.stripe.amounts import fee_from_gateway, from_gateway

Json = Mapping[str, Any]

# The names of our references in Stripe's metadata.
ORDER, SUBSCRIPTION, PLAN, NEXT_PLAN, KEY = (
    "order_id", "subscription_id", "plan_code", "next_plan_code", "key",
)  # fmt: skip

PAYMENT_STATUS = {
    "requires_payment_method": "created",
    "requires_confirmation": "created",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "processing",
    "succeeded": "captured",
    "canceled": "canceled",
}
REFUND_STATUS = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
DISPUTE_STATUS = {
    "warning_needs_response": "warning",
    "warning_under_review": "warning",
    "warning_closed": "warning",
    "prevented": "warning",
    "needs_response": "needs_response",
    "appeal_needs_response": "needs_response",
    "under_review": "under_review",
    "appeal_under_review": "under_review",
    "won": "won",
    "lost": "lost",
}
SUBSCRIPTION_STATUS = {
    "incomplete": "incomplete",
    "incomplete_expired": "incomplete_expired",
    "trialing": "trialing",
    "active": "active",
    "past_due": "past_due",
    "unpaid": "past_due",  # Stripe has given up collecting; whether it ends is ours to say
    "canceled": "canceled",
    "paused": "paused",
}
INVOICE_STATUS = {"open": "open", "paid": "paid", "void": "void", "uncollectible": "uncollectible"}


def reference(value: object) -> str:
    """The id of another object, which Stripe gives alone or with the whole object."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def child(parent: Json | None, *path: str) -> Json:
    """The object at a path; empty when there is none, or only its id."""
    found: object = parent
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def currency_of(thing: Json) -> str:
    return str(thing.get("currency") or "").upper()


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if isinstance(seconds, int | float) else None


def _listed(value: object) -> list[Json]:
    rows = value.get("data") if isinstance(value, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


# --- payments ---


def payment(
    intent: Json,
    refunds: Iterable[Json] = (),
    disputes: Iterable[Json] = (),
    invoice: Json | None = None,
) -> PaymentSnapshot:
    currency = currency_of(intent)
    amount = from_gateway(intent["amount"], currency)
    status = PAYMENT_STATUS.get(str(intent.get("status")), "processing")
    error = child(intent, "last_payment_error")
    if status == "created" and error:
        status = "failed"
    received = intent.get("amount_received")
    if status != "captured":
        captured = 0
    else:
        captured = amount if received is None else from_gateway(received, currency)
    failed = status == "failed"
    return PaymentSnapshot(
        external_id=intent["id"],
        amount=amount,
        currency=currency,
        captured=captured,
        status=status,
        refunds=tuple(refund(row) for row in refunds),
        disputes=tuple(dispute(row, currency) for row in disputes),
        fee=_payment_fee(intent, currency),
        order_id=str(child(intent, "metadata").get(ORDER) or ""),
        invoice_id=reference(invoice),
        subscription_id=subscription_of_invoice(invoice),
        action_url=_action_url(intent, invoice) if status == "requires_action" else "",
        decline_code=str(error.get("decline_code") or error.get("code") or "") if failed else "",
    )


def _payment_fee(intent: Json, currency: str) -> int:
    """What Stripe kept; none is known while it settles in a currency of its own."""
    movement = child(intent, "latest_charge", "balance_transaction")
    if currency_of(movement) != currency:
        return 0
    return max(0, fee_from_gateway(movement.get("fee") or 0, currency))


def _action_url(intent: Json, invoice: Json | None) -> str:
    """Where the buyer authenticates; Stripe's page of the invoice does, when there is no other."""
    redirect = child(intent, "next_action", "redirect_to_url")
    return str(redirect.get("url") or child(invoice).get("hosted_invoice_url") or "")


def refund(row: Json) -> RefundSnapshot:
    return RefundSnapshot(
        external_id=row["id"],
        amount=from_gateway(row["amount"], currency_of(row)),
        status=REFUND_STATUS.get(str(row.get("status")), "pending"),
        key=str(child(row, "metadata").get(KEY) or ""),
    )


def dispute(row: Json, currency: str) -> DisputeSnapshot:
    """``currency`` is the payment's. Only what moved on the balance counts, never the status."""
    amount = from_gateway(row["amount"], currency)
    movements = [
        move for move in row.get("balance_transactions") or [] if isinstance(move, Mapping)
    ]
    taken = -sum(move["amount"] for move in movements if move["amount"] < 0)
    back = sum(move["amount"] for move in movements if move["amount"] > 0)
    if all(currency_of(move) == currency for move in movements):
        withdrawn, reinstated = from_gateway(taken, currency), from_gateway(back, currency)
        fee = fee_from_gateway(sum(move.get("fee") or 0 for move in movements), currency)
    else:
        # The balance is kept in another currency: the same part of the amount that was disputed.
        withdrawn, reinstated, fee = (amount, amount * back // taken, 0) if taken else (0, 0, 0)
    return DisputeSnapshot(
        external_id=row["id"],
        amount=amount,
        withdrawn=withdrawn,
        reinstated=min(reinstated, withdrawn),
        status=DISPUTE_STATUS.get(str(row.get("status")), "under_review"),
        fee=max(0, fee),
        reason=str(row.get("reason") or ""),
        evidence_due=_moment(child(row, "evidence_details").get("due_by")),
    )


# --- hosted pages ---


def checkout(session: Json) -> CheckoutSnapshot:
    """Complete only when it is paid: a bank debit that is under way may still bounce."""
    status = str(session.get("status") or "open")
    if status == "complete" and session.get("payment_status") == "unpaid":
        status = "open"
    return CheckoutSnapshot(
        external_id=session["id"],
        url=str(session.get("url") or ""),
        status=status,
        payment_id=reference(session.get("payment_intent")),
        subscription_id=reference(session.get("subscription")),
    )


# --- subscriptions ---


def first_item(subscription: Json) -> Json:
    return next(iter(_listed(subscription.get("items"))), {})


def plan_code(subscription: Json) -> str:
    """The price knows it best: the subscription's own note may be that of an earlier plan."""
    item = first_item(subscription)
    plan = child(item, "price") or child(item, "plan") or child(subscription, "plan")
    for noted in (child(plan, "metadata"), child(subscription, "metadata")):
        if noted.get(PLAN):
            return str(noted[PLAN])
    return reference(plan)


def subscription(
    found: Json, invoices: Iterable[Json], schedule: Json | None = None
) -> SubscriptionSnapshot:
    item = first_item(found)
    period_end = item.get("current_period_end") or found.get("current_period_end")
    status = SUBSCRIPTION_STATUS.get(str(found.get("status")), "paused")
    why = child(found, "cancellation_details").get("reason")
    if status == "canceled" and why == "payment_failed":
        status = "expired"
    ends_with_period = found.get("cancel_at") is not None and found["cancel_at"] == period_end
    # Stripe lists the newest first; of two of the same second the list knows the order.
    rows = [row for row in invoices if row.get("status") in INVOICE_STATUS][::-1]
    snapshots = [invoice(row) for row in rows]
    return SubscriptionSnapshot(
        external_id=found["id"],
        reference=str(child(found, "metadata").get(SUBSCRIPTION) or ""),
        plan_code=plan_code(found),
        status=status,
        period_start=_moment(item.get("current_period_start") or found.get("current_period_start")),
        period_end=_moment(period_end),
        cancel_at_period_end=bool(found.get("cancel_at_period_end")) or ends_with_period,
        next_plan_code=_next_plan_code(schedule),
        ended_at=_moment(found.get("ended_at")),
        invoices=tuple(
            sorted((row for row in snapshots if row.amount > 0), key=lambda row: row.period_start)
        ),
    )


def is_scheduled(schedule: Json | None) -> bool:
    return child(schedule).get("status") in {"active", "not_started"}


def _next_plan_code(schedule: Json | None) -> str:
    """The plan of a phase that has not begun."""
    phases = child(schedule).get("phases") or []
    begun = child(schedule, "current_phase").get("start_date")
    if not is_scheduled(schedule) or not phases or phases[-1].get("start_date") == begun:
        return ""
    return str(child(schedule, "metadata").get(NEXT_PLAN) or "")


def invoice(row: Json) -> InvoiceSnapshot:
    """What is left to pay after a customer's credit; the period is that of its line, for the
    invoice's own is the one before."""
    currency = currency_of(row)
    amount = row["amount_due"] if row.get("amount_due") is not None else row["total"]
    lines = [line for line in _listed(row.get("lines")) if child(line, "period")]
    # A change of plan also has lines of the old period, which give money back.
    bought = [line for line in lines if (line.get("amount") or 0) > 0] or lines
    period = max((child(line, "period") for line in bought), key=_period_order, default=None)
    start, end = (
        (period["start"], period["end"])
        if period
        else (row.get("period_start"), row.get("period_end"))
    )
    return InvoiceSnapshot(
        external_id=row["id"],
        period_start=_moment(start),
        period_end=_moment(end),
        amount=from_gateway(amount, currency),
        currency=currency,
        status=INVOICE_STATUS[row["status"]],
        payment_ids=_payments_of_invoice(row),
    )


def _period_order(period: Json) -> tuple[int, int]:
    return period["end"], period["start"]


def _payments_of_invoice(row: Json) -> tuple[str, ...]:
    found = [
        reference(child(payment, "payment").get("payment_intent"))
        for payment in _listed(row.get("payments"))
    ]
    found.append(reference(row.get("payment_intent")))
    return tuple(dict.fromkeys(name for name in found if name))


def subscription_of_invoice(row: Json | None) -> str:
    now = child(row, "parent", "subscription_details").get("subscription")
    return reference(now or child(row).get("subscription"))


# --- news ---

# What a change of each kind of object is a change of, by the beginning of the event's type.
_KINDS = {
    "checkout.session.": "checkout",
    "payment_intent.": "payment",
    "charge.refunded": "payment",
    "charge.updated": "payment",
    "charge.refund.": "payment",
    "charge.dispute.": "payment",
    "refund.": "payment",
    "customer.subscription.": "subscription",
    "invoice.": "subscription",
}


def change(event_type: str, about: Json) -> Change | None:
    """What an event is about; None for what nobody follows."""
    kind = next((kind for start, kind in _KINDS.items() if event_type.startswith(start)), "")
    what = about.get("object")
    if kind == "subscription":
        name = subscription_of_invoice(about) if what == "invoice" else reference(about)
    elif kind == "payment":
        name = reference(about if what == "payment_intent" else about.get("payment_intent"))
    else:
        name = reference(about)
    return Change(kind, name) if kind and name else None
