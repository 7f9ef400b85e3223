"""The states of rows: which ones wait for somebody or something, and by which moment each must end.

`docs/invariants.md` has the same table in words, with the query that ends each state.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Model, Q

from accounts import erasing
from accounts.forgetting import LINKS_KEPT
from accounts.models import ApiKey, Erasure, MailedLink, RefreshFamily, SignInCode, Totp
from analytics.models import Reaction, Rollup, RollupMonth
from audit.models import AuditCheckpoint, AuditEntry
from payments import models as money
from payments.models import (
    CouponRedemption,
    Dispute,
    DisputeEvidence,
    IdempotencyRecord,
    Invoice,
    Notice,
    Order,
    Payment,
    Payout,
    Refund,
    SandboxCheckout,
    SandboxEvent,
    SandboxInvoice,
    SandboxPayment,
    SandboxSubscription,
    Subscription,
    WebhookEvent,
)  # fmt: skip
from payments.services.gateway_news import followups, webhooks
from payments.services.subscribing import lapsing
from streaming.models import PlaybackSession
from videos.models import Caption, Chunk, ProcessingJob, Upload, Video
from videos.moderation.models import Appeal, ModerationCase, Report, Suspension
from videos.services import resuming
from webhooks import sending
from webhooks.models import Delivery, Endpoint

State = tuple[type[Model], str, str]  # model, field, value; the value "NULL" is an empty field
Overdue = Callable[[datetime], Q]  # the rows whose clock has run out at a moment
HOUR, TICK = timedelta(hours=1), timedelta(minutes=5)

# Fields with choices that hold no state: they never change, or people set them at will.
NO_STATE = {
    (AuditEntry, "action"), (AuditCheckpoint, "reason"), (Reaction, "value"), (Video, "visibility"),
    (ProcessingJob, "kind"), (ProcessingJob, "stage"), (Upload, "kind"),
    (Caption, "kind"), (Caption, "origin"),
    (Order, "kind"), (money.JournalEntry, "kind"), (money.LedgerAccount, "kind"),
    (money.LedgerAccount, "role"), (money.Coupon, "funded_by"), (money.Plan, "interval"),
    (money.Entitlement, "source_type"), (money.Pool, "algorithm"), (money.Pool, "payers"),
    (PlaybackSession, "end_reason"), (Subscription, "disposition"),
    (money.MoneyMode, "mode"), (MailedLink, "purpose"),
    (ModerationCase, "reason"), (Report, "reason"), (Suspension, "reason"), (Rollup, "kind"),
    (RollupMonth, "kind"),
}  # fmt: skip

# States that wait for nothing.
FINAL: dict[tuple[type[Model], str], set[str]] = {
    (Order, "status"): {
        "paid", "refunded", "disputed", "dispute_lost", "canceled", "expired", "superseded", "void",
    },
    (Payment, "status"): {"captured", "failed", "canceled"},
    # An unmatched payment waits for a person: /payments/admin/review shows it.
    (Payment, "disposition"): {"none", "applied", "duplicate", "unmatched"},
    (Refund, "status"): {"succeeded", "failed", "canceled"},
    (Dispute, "status"): {"won", "lost", "closed"},
    (DisputeEvidence, "status"): {"submitted"},
    (Subscription, "status"): {"canceled", "expired", "incomplete_expired"},
    (Invoice, "status"): {"paid", "void", "uncollectible"},
    (Payout, "status"): {"paid", "failed", "canceled", "returned"},
    (money.Pool, "status"): {"closed"},
    (WebhookEvent, "status"): {"processed", "ignored"},
    (CouponRedemption, "state"): {"used", "released"},
    (ProcessingJob, "state"): {"done", "failed", "canceled"},
    (Chunk, "state"): {"done", "refused"},
    (Upload, "state"): {"done", "failed", "expired"},
    (Video, "status"): {"READY", "FAILED"},
    (ModerationCase, "status"): {"dismissed", "warned", "restored", "moot"},
    (Appeal, "status"): {"granted", "rejected", "moot"},
    (Video, "completeness"): {"full"},
    (Delivery, "status"): {"delivered", "failed"},
}  # fmt: skip


def _order_open(now: datetime) -> Q:
    return Q(expires_at__lte=now - TICK)


def _charging(now: datetime) -> Q:
    # Money that is on its way at the gateway keeps its order open.
    moving = Payment.objects.filter(status__in=["created", "processing"])
    return _order_open(now) & ~Q(payments__in=moving)


def _of_open_order(now: datetime) -> Q:
    return ~Q(order__status__in=Order.OPEN)


def _lapsed(now: datetime) -> Q:
    # The sandbox renews or ends it by its own clock; ours asks an hour after the period.
    return Q(period_end__lte=now - HOUR - TICK)


def _event(now: datetime) -> Q:
    return Q(attempts__gte=webhooks.MAX_ATTEMPTS, status="received")


# The states that wait. None: only the person or the bank that the table names can end it.
WAITS: dict[State, Overdue | None] = {
    (Order, "status", "pending"): _order_open,
    (Order, "status", "processing"): _charging,
    (Order, "fulfilled_at", "NULL"): lambda now: Q(
        status="paid", available_from__lte=now - TICK, returning_at=None
    ),
    (CouponRedemption, "state", "reserved"): _of_open_order,
    (Payment, "status", "created"): None,
    (Payment, "status", "requires_action"): (
        lambda now: (
            Q(order__expires_at__lte=now - followups.CONFIRM_WITHIN - TICK)
            & ~Q(order__status__in=Order.OPEN)
        )
    ),
    (Payment, "status", "processing"): None,
    (Refund, "status", "requested"): lambda now: Q(created_at__lte=now - TICK),
    (Refund, "status", "pending"): None,
    (Dispute, "status", "warning"): None,
    (Dispute, "status", "needs_response"): None,
    (Dispute, "status", "under_review"): None,
    # A person writes it, until the bank's date; then it can neither be changed nor submitted.
    (DisputeEvidence, "status", "draft"): None,
    (DisputeEvidence, "status", "submitting"): lambda now: Q(changed_at__lte=now - TICK),
    (Subscription, "status", "incomplete"): (
        lambda now: Q(created_at__lte=now - lapsing.ABANDONED_AFTER - TICK)
    ),
    (Subscription, "status", "trialing"): _lapsed,
    (Subscription, "status", "active"): _lapsed,
    (Subscription, "status", "past_due"): lambda now: Q(grace_until__lte=now - TICK),
    (Subscription, "status", "paused"): (
        lambda now: Q(period_end__lte=now - timedelta(days=settings.SUBSCRIPTION_GRACE_DAYS) - TICK)
    ),
    (Subscription, "closed_at_gateway", "False"): (
        lambda now: Q(external_id__isnull=False) & ~Q(status__in=Subscription.LIVE)
    ),
    (Subscription, "must_not_renew", "True"): (
        lambda now: Q(status__in=Subscription.LIVE, cancel_at_period_end=False)
    ),
    (Invoice, "status", "open"): (
        lambda now: Q(subscription__closed_at_gateway=True) & ~Q(subscription__external_id=None)
    ),
    (money.Pool, "status", "closing"): lambda now: Q(closed_at__lte=now - HOUR - TICK),
    (Payout, "status", "draft"): lambda now: Q(created_at__lte=now - timedelta(days=30) - HOUR),
    (Payout, "status", "approved"): None,
    (Payout, "status", "processing"): None,
    (WebhookEvent, "status", "received"): _event,
    (WebhookEvent, "status", "failed"): None,
    (IdempotencyRecord, "response_status", "NULL"): (
        lambda now: Q(started_at__lte=now - timedelta(hours=24) - TICK)
    ),
    (Notice, "sent_at", "NULL"): lambda now: Q(created_at__lte=now - HOUR, attempts__lt=1),
    (Delivery, "status", "waiting"): lambda now: Q(due_since__lte=now - sending.PATIENCE - TICK),
    (Endpoint, "deleted_at", "set"): lambda now: Q(deleted_at__lte=now - 2 * HOUR - TICK),
    (Endpoint, "previous_until", "set"): lambda now: Q(previous_until__lte=now - HOUR - TICK),
    (ProcessingJob, "state", "queued"): None,
    (ProcessingJob, "state", "running"): (
        lambda now: Q(lease_until__lte=now - TICK, video__deleted_at=None)
    ),
    (Chunk, "state", "open"): lambda now: ~Q(job__state__in=["queued", "running"]),
    (Upload, "state", "open"): (
        lambda now: Q(expires_at__lte=now - resuming.KEPT - TICK, joined=None)
    ),
    # Only a person can decide: `videos.moderation.waiting` reminds the moderators each day.
    (ModerationCase, "status", "open"): lambda now: Q(video__deleted_at__isnull=False),
    (Appeal, "status", "open"): lambda now: (
        Q(case__video__deleted_at__isnull=False) | ~Q(case__status="taken_down")
    ),
    # Until a moderator restores the video, or its appeal is granted.
    (ModerationCase, "status", "taken_down"): lambda now: Q(video__taken_down_at=None),
    (Video, "status", "CREATED"): None,
    (Video, "completeness", "growing"): lambda now: Q(deleted_at=None) & ~_has_open_job(),
    (Video, "completeness", "early"): (
        lambda now: Q(deleted_at=None, status="PROCESSING") & ~_has_open_job()
    ),
    (Video, "status", "UPLOADED"): lambda now: Q(deleted_at=None) & ~_has_open_job(),
    (Video, "status", "PROCESSING"): lambda now: Q(deleted_at=None) & ~_has_open_job(),
    (PlaybackSession, "ended_at", "NULL"): (
        lambda now: Q(
            last_seen_at__lte=now - timedelta(seconds=settings.SESSION_IDLE_SECONDS) - TICK
        )
    ),
    (RefreshFamily, "revoked_at", "NULL"): None,
    (MailedLink, "mailed_at", "NULL"): (
        lambda now: Q(created_at__lte=now - TICK, ended_at=None, expires_at__gt=now)
    ),
    (MailedLink, "ended_at", "NULL"): lambda now: Q(expires_at__lte=now - LINKS_KEPT - HOUR - TICK),
    (ApiKey, "revoked_at", "NULL"): None,
    (Erasure, "finished_at", "NULL"): (
        lambda now: Q(finished_at=None, not_before__lte=now - erasing.AGAIN_AFTER - TICK)
    ),
    (SignInCode, "used_at", "NULL"): lambda now: Q(expires_at__lte=now - 2 * HOUR - TICK),
    (Totp, "confirmed_at", "NULL"): lambda now: Q(begun_at__lte=now - 2 * HOUR - TICK),
    (Totp, "locked_until", "set"): None,
    (AuditEntry, "position", "NULL"): lambda now: Q(at__lte=now - TICK),
    (SandboxCheckout, "status", "open"): None,
    (SandboxPayment, "status", "requires_action"): None,
    (SandboxSubscription, "status", "incomplete"): (
        lambda now: Q(created_at__lte=now - timedelta(hours=23) - TICK)
    ),
    (SandboxInvoice, "next_attempt_at", "set"): lambda now: Q(next_attempt_at__lte=now - TICK),
    (SandboxEvent, "next_attempt_at", "set"): lambda now: Q(next_attempt_at__lte=now - TICK),
}


def _has_open_job() -> Q:
    return Q(job__state__in=["queued", "running"])


def overdue(now: datetime) -> list[str]:
    """Return a line of text for each row that waits although its clock has run out."""
    lines = []
    for (model, field, value), condition in WAITS.items():
        if condition is None:
            continue
        state = {
            "NULL": Q(**{f"{field}__isnull": True}),
            "set": Q(**{f"{field}__isnull": False}),
        }.get(value, Q(**{field: value}))
        for row in model._default_manager.filter(state).filter(condition(now)):
            lines.append(f"{model.__name__}.{field} = {value}: {row}")
    return lines
