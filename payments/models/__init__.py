"""Orders and payments, access, the ledger, and the plumbing of all three."""

from payments.models.access import Entitlement
from payments.models.buying import Order, Payment, Refund
from payments.models.ledger import JournalEntry, LedgerAccount, Transfer
from payments.models.plumbing import IdempotencyRecord, SandboxPayment, SandboxRefund
from payments.models.subscribing import Invoice, Plan, Subscription

__all__ = [
    "Entitlement",
    "IdempotencyRecord",
    "Invoice",
    "JournalEntry",
    "LedgerAccount",
    "Order",
    "Payment",
    "Plan",
    "Refund",
    "SandboxPayment",
    "SandboxRefund",
    "Subscription",
    "Transfer",
]
