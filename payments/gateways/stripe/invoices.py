"""The translation of Stripe's Invoices: their amounts, periods and payments."""

from datetime import datetime

from payments.gateways.base import InvoiceSnapshot
from payments.gateways.json_fields import (
    Json,
    currency_of,
    id_of,
    integer,
    listed,
    moment,
    nested,
    required_integer,
    required_text,
    text,
)
from payments.gateways.stripe.amounts import from_gateway
from payments.models import Invoice

STATUS = {
    "open": Invoice.Status.OPEN,
    "paid": Invoice.Status.PAID,
    "void": Invoice.Status.VOID,
    "uncollectible": Invoice.Status.UNCOLLECTIBLE,
}


def _is_credited(invoice: Json) -> bool:
    """Return whether unused value of the period before reduces an Invoice, perhaps to nothing."""
    return any(integer(line, "amount") < 0 for line in listed(invoice, "lines"))


def is_billed(row: Json) -> bool:
    """Return whether an Invoice is no draft and bills something.

    Its customer may have credit, or the unused value of the period before may have paid all of it.
    """
    asked = max(integer(row, "total"), integer(row, "amount_due"))
    return row.get("status") in STATUS and (asked > 0 or _is_credited(row))


def snapshot(row: Json) -> InvoiceSnapshot:
    """Return the snapshot of an Invoice that is not a draft.

    The amount is what its payments shall sum up to: ``amount_due`` is the total after credit notes and
    with the customer's balance (credit or debt). Money beyond it, ``amount_overpaid``, becomes the
    customer's credit for later invoices. A credit note on a paid invoice changes neither: its money
    goes back as a refund, or lowers a later invoice. The period is the one of the invoice's lines: the
    invoice's own period is the time before it, in which its lines were collected.
    """
    currency = currency_of(row)
    due = required_integer(row, "total" if row.get("amount_due") is None else "amount_due")
    amount = max(0, due) + integer(row, "amount_overpaid")
    period_start, period_end = _paid_period(row)
    return InvoiceSnapshot(
        external_id=required_text(row, "id"),
        period_start=period_start,
        period_end=period_end,
        amount=from_gateway(amount, currency),
        currency=currency,
        status=STATUS[required_text(row, "status")],
        payment_ids=_payments_of_invoice(row),
        hosted_url=text(row, "hosted_invoice_url"),
    )


def _paid_period(row: Json) -> tuple[datetime, datetime]:
    """Return the period that an invoice pays for. Raises ValueError for an invoice without one."""
    lines = [line for line in listed(row, "lines") if nested(line, "period")]
    # An upgrade's invoice also has a line with a negative amount, which credits the old period.
    charged = [line for line in lines if integer(line, "amount") > 0] or lines
    periods = [period(nested(line, "period"), "start", "end") for line in charged]
    if periods:
        return max(periods, key=lambda span: (span[1], span[0]))
    return period(row, "period_start", "period_end")


def period(row: Json, start_name: str, end_name: str) -> tuple[datetime, datetime]:
    start, end = moment(row, start_name), moment(row, end_name)
    if start is None or end is None:
        raise ValueError("an invoice of Stripe has no period")
    return start, end


def _payments_of_invoice(row: Json) -> tuple[str, ...]:
    """Return the ids of the PaymentIntents of an invoice, each once, the oldest first."""
    newest_first = listed(row, "payments")
    ids = [id_of(nested(paid, "payment").get("payment_intent")) for paid in newest_first[::-1]]
    ids.append(id_of(row.get("payment_intent")))  # the place before Basil
    return tuple(dict.fromkeys(name for name in ids if name))


def subscription_of(row: Json | None) -> str:
    """Return the id of the Subscription that an Invoice bills; "" if there is none."""
    details = nested(row, "parent", "subscription_details")
    before_basil = nested(row).get("subscription")
    return id_of(details.get("subscription") or before_basil)
