"""Orders and payments, subscriptions, access, the ledger, sharing, and the plumbing of all."""

from payments.models.access import Entitlement
from payments.models.buying import Dispute, GatewayCustomer, Order, Payment, Refund
from payments.models.coupons import Coupon, CouponRedemption
from payments.models.ledger import JournalEntry, LedgerAccount, Transfer
from payments.models.plumbing import IdempotencyRecord, LedgerCheck, Notice, WebhookEvent
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
from payments.models.sharing import Payout, Pool, PoolShare, Statement, WatchDaily
from payments.models.subscribing import Invoice, Plan, Subscription

__all__ = [
    "Coupon",
    "CouponRedemption",
    "Dispute",
    "Entitlement",
    "GatewayCustomer",
    "IdempotencyRecord",
    "Invoice",
    "JournalEntry",
    "LedgerAccount",
    "LedgerCheck",
    "Notice",
    "Order",
    "Payment",
    "Payout",
    "Plan",
    "Pool",
    "PoolShare",
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
