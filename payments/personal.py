"""What exports and erasures do with the rows of this app (`config.personal`). Books are kept."""

from django.db.models import Q, Value
from django.db.models.functions import Replace

from config import emails, personal
from config.personal import Fate, Person, Rows
from payments.models import (
    Coupon,
    CouponRedemption,
    Dispute,
    DisputeEvidence,
    Entitlement,
    GatewayCustomer,
    IdempotencyRecord,
    Invoice,
    LedgerAccount,
    Notice,
    Order,
    Payment,
    Payout,
    Pool,
    PoolShare,
    Refund,
    SandboxDispute,
    Statement,
    Subscription,
    WatchDaily,
)  # fmt: skip

_BOOKS = (
    "Books must be kept, and each entry must follow from what was paid. They hold the id alone."
)
_BY = "Who did it; the id alone."
NAME_MIN = 3  # letters of a name that is looked for in mails to others


def _erase_evidence(person: Person) -> None:
    """Empty what was sent to banks about the person's payments: it names them."""
    of_person = Q(payment__order__buyer=person.user_id) | Q(
        payment__invoice__subscription__user=person.user_id
    )
    disputes = Dispute.objects.filter(of_person)
    personal.emptied(DisputeEvidence.objects.filter(dispute__in=disputes), texts={}, files={})
    sandbox = SandboxDispute.objects.filter(pk__in=disputes.values("external_id"))
    personal.emptied(sandbox, evidence={})


def _erase_mails(person: Person) -> None:
    """Delete the person's mails, and put the pseudonym into mails to others that name them."""
    Notice.objects.filter(user=person.user_id).delete()
    if person.email:
        Notice.objects.filter(address__iexact=person.email).delete()
    names = {person.email, emails.readable(person.email) if person.email else ""}
    names |= {person.name} if len(person.name) >= NAME_MIN else set()
    for name in filter(None, names):
        for field in ("subject", "body"):
            Notice.objects.filter(**{f"{field}__contains": name}).update(
                **{field: Replace(field, Value(name), Value(person.pseudonym))}
            )


def _end_coupons(person: Person) -> None:
    personal.emptied(Coupon.objects.filter(creator=person.user_id), is_active=False)


_ORDER = (
    "id", "video_id", "kind", "status", "list_amount", "discount", "amount", "currency", "created_at",
    "paid_at",
)  # fmt: skip

personal.register(
    Rows(Order, "buyer", "orders", Fate.KEPT, _BOOKS, "orders", _ORDER, _erase_evidence),
    Rows(Order, "creator", "sales", Fate.KEPT, _BOOKS, "sales", (*_ORDER, "fee_bps")),
    Rows(
        Payment, "order__buyer", "payments", Fate.KEPT, _BOOKS, "payments",
        ("id", "gateway", "order_id", "amount", "currency", "status", "captured", "captured_at",
         "created_at"),
    ),
    Rows(
        Subscription, "user", "subscriptions", Fate.KEPT,
        _BOOKS + " The gateway ends them and charges no more.", "subscriptions",
        ("id", "plan__code", "status", "period_start", "period_end", "cancel_at_period_end",
         "created_at", "ended_at"),
    ),
    Rows(
        Invoice, "subscription__user", "invoices", Fate.KEPT, _BOOKS, "invoices",
        ("id", "subscription_id", "period_start", "period_end", "amount", "currency", "status",
         "paid_at", "created_at"),
    ),
    Rows(
        Entitlement, "user", "what may be watched", Fate.KEPT, _BOOKS, "entitlements",
        ("id", "video_id", "source_type", "starts_at", "ends_at", "revoked_at", "begun_at"),
    ),
    Rows(
        CouponRedemption, "user", "coupons that were used", Fate.KEPT, _BOOKS, "coupon_uses",
        ("coupon__code", "order_id", "state", "created_at"),
    ),
    Rows(
        Coupon, "creator", "coupons for the person's videos", Fate.KEPT,
        _BOOKS + " They end.", "coupons",
        ("code", "percent_bps", "amount", "currency", "starts_at", "ends_at", "redeemed"), _end_coupons,
    ),
    Rows(
        Payout, "creator", "payouts", Fate.KEPT, _BOOKS, "payouts",
        ("id", "amount", "currency", "status", "external_ref", "created_at", "settled_at"),
    ),
    Rows(
        Statement, "creator", "monthly statements", Fate.KEPT, _BOOKS, "statements",
        ("period", "currency", "body", "created_at"),
    ),
    Rows(
        PoolShare, "creator", "shares of subscriptions", Fate.KEPT, _BOOKS, "pool_shares",
        ("pool__period", "pool__currency", "seconds", "amount"),
    ),
    Rows(
        LedgerAccount, "owner", "ledger accounts", Fate.KEPT, _BOOKS, "ledger_accounts",
        ("code", "currency"),
    ),
    Rows(
        WatchDaily, "user", "watch time by day", Fate.KEPT,
        "Months are shared among creators by it, and are computed again to prove the books. It holds"
        " the id alone.", "watch_time", ("video_id", "day", "seconds", "plan_seconds"),
    ),
    Rows(WatchDaily, "creator", "watch time of the person's videos", Fate.KEPT, _BOOKS),
    Rows(
        Notice, "user", "mails", Fate.REMOVED,
        "With those that wait. In mails to others a pseudonym stands in place of name and address.",
        "mails", ("subject", "body", "address", "created_at", "sent_at"), _erase_mails,
    ),
    Rows(
        GatewayCustomer, "user", "the number of the gateway's customer", Fate.KEPT,
        "Until the worker has had the gateway delete its own record, with the cards. While a"
        " subscription runs there, the record stays.",
        "gateway_customers", ("gateway", "external_id"),
    ),
    Rows(IdempotencyRecord, "user", "answers that are repeated for a day", Fate.REMOVED, ""),
    Rows(Refund, "by", "refunds that the person gave", Fate.KEPT, _BY),
    Rows(DisputeEvidence, "submitted_by", "evidence that the person sent", Fate.KEPT, _BY),
    Rows(Payout, "requested_by", "payouts that the person asked for", Fate.KEPT, _BY),
    Rows(Payout, "approved_by", "payouts that the person approved", Fate.KEPT, _BY),
    Rows(Pool, "closed_by", "months that the person closed", Fate.KEPT, _BY),
    Rows(Subscription, "changing_by", "changes of subscriptions", Fate.KEPT, _BY),
)  # fmt: skip
