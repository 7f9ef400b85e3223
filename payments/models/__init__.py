"""The tables of payments, one file a flow."""

from payments.models.access import Entitlement
from payments.models.books import JournalEntry, LedgerAccount, LedgerCheck, Transfer
from payments.models.buying import Order
from payments.models.gateway_news import Reconciliation, WebhookEvent
from payments.models.idempotency import IdempotencyRecord
from payments.models.modes import MoneyMode
from payments.models.notices import Notice
from payments.models.offers import Coupon, CouponRedemption, Plan
from payments.models.payouts import Payout, Statement
from payments.models.sandbox import (
    SandboxCheckout,
    SandboxClock,
    SandboxDispute,
    SandboxEvent,
    SandboxInvoice,
    SandboxPayment,
    SandboxRefund,
    SandboxSubscription,
)
from payments.models.settling import (
    Conversion,
    Dispute,
    DisputeEvidence,
    GatewayCustomer,
    Payment,
    Refund,
)
from payments.models.sharing import Pool, PoolShare, WatchDaily
from payments.models.subscribing import Invoice, Subscription

__all__ = [
    "Conversion",
    "Coupon",
    "CouponRedemption",
    "Dispute",
    "DisputeEvidence",
    "Entitlement",
    "GatewayCustomer",
    "IdempotencyRecord",
    "Invoice",
    "JournalEntry",
    "LedgerAccount",
    "LedgerCheck",
    "MoneyMode",
    "Notice",
    "Order",
    "Payment",
    "Payout",
    "Plan",
    "Pool",
    "PoolShare",
    "Reconciliation",
    "Refund",
    "SandboxCheckout",
    "SandboxClock",
    "SandboxDispute",
    "SandboxEvent",
    "SandboxInvoice",
    "SandboxPayment",
    "SandboxRefund",
    "SandboxSubscription",
    "Statement",
    "Subscription",
    "Transfer",
    "WatchDaily",
    "WebhookEvent",
]
