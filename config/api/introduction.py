"""The introduction of the OpenAPI document, and its groups of operations in the order of first use."""

API_DESCRIPTION = """\
Upload, transcode, sell and stream videos.

* **Sign in** with `POST /api/v1/auth/login` and send `Authorization: Bearer <access token>`. Anyone may
  read the public catalogue and play free videos, unless the operator has turned that off.
* **Servers and scripts** send an API key of `POST /api/v1/auth/api-keys/` in place of the access token.
  Each operation says which scope the key needs, also as `x-api-key-scope`; without it the answer is 403
  `insufficient_scope`.
* **Errors** have one body, with a `code` for programs and a `detail` for people. Each operation lists
  its codes, also as `x-error-codes`.
* **Ids** are UUIDs. **Times** are ISO 8601 in UTC. **Money** is a decimal string with a `currency`.
* **Lists** are pages with `next` and `previous`; follow these addresses as they are. `page_size` is at
  most 100.
* **Repeat safely**: send an `Idempotency-Key` with each POST that moves money. The same key gets the
  stored answer, with `Idempotent-Replayed: true`.
* Every answer has an `X-Request-ID`, which the service's log knows too.
"""

API_TAGS = [
    {"name": "auth", "description": "Create an account, sign in, renew and revoke tokens."},
    {"name": "videos", "description": "The catalogue, uploads, processing, and likes."},
    {"name": "uploads", "description": "Uploads that go on after a cut (tus 1.0.0)."},
    {"name": "stream", "description": "Start playback, report it, and end it."},
    {
        "name": "payments",
        "description": "Buy, rent and subscribe; one's orders, invoices and access.",
    },
    {"name": "creators", "description": "A creator's prices, earnings, statements and payouts."},
    {"name": "analytics", "description": "What was watched and earned."},
    {
        "name": "webhooks",
        "description": "Have other systems told of events, and see what was sent.",
    },
    {"name": "users", "description": "All users, for administrators."},
    {
        "name": "money administration",
        "description": "Refunds, coupons, plans, payouts and the books, for administrators.",
    },
    {"name": "sandbox", "description": "The clock and the bank of the sandbox gateway, for tests."},
    {"name": "audit", "description": "Who did what, for administrators."},
]

# The group of an operation by the beginning of its path after /api/v1/; the first that fits counts.
TAG_OF_PATH = {
    "payments/admin/": "money administration",
    "payments/creator/": "creators",
    "payments/sandbox/": "sandbox",
}


def tag_of(path: str) -> str:
    """Return the name of the group of an operation, by its path."""
    path = path.removeprefix("/api/v1/")
    for prefix, tag in TAG_OF_PATH.items():
        if path.startswith(prefix):
            return tag
    return path.split("/")[0]


# The name of each list of values in the document, and where the list is.
ENUM_NAMES = {
    "VideoStatusEnum": "videos.models.Video.Status",
    "StateEnum": "streaming.serializers.STATES",
    "UploadStateEnum": "videos.models.Upload.State",
    "UploadKindEnum": "videos.models.Upload.Kind",
    "AppealStatusEnum": "videos.moderation.models.Appeal.Status",
    "ReportReasonEnum": "videos.moderation.models.Reason",
    "CaptionKindEnum": "videos.models.Caption.Kind",
    "CaptionOriginEnum": "videos.models.Caption.Origin",
    "OrderKindEnum": "payments.models.Order.Kind",
    "OrderStatusEnum": "payments.models.Order.Status",
    "SubscriptionStatusEnum": "payments.models.Subscription.Status",
    "InvoiceStatusEnum": "payments.models.Invoice.Status",
    "ReactionEnum": "analytics.models.Reaction.Value",
    "PlanIntervalEnum": "payments.models.Plan.Interval",
    "BucketIntervalEnum": "analytics.serializers.INTERVALS",
    "AccessEnum": "payments.entitlements.KINDS",
    "CouponFundingEnum": "payments.models.Coupon.Funding",
    "DisputeStatusEnum": "payments.models.Dispute.Status",
    "EvidenceStatusEnum": "payments.models.DisputeEvidence.Status",
    "EarningsGroupingEnum": "payments.serializers.books.GROUPINGS",
    "EntitlementSourceEnum": "payments.models.Entitlement.Source",
    "EntryKindEnum": "payments.models.JournalEntry.Kind",
    "NextActionEnum": "payments.serializers.settling.NEXT_ACTIONS",
    "PayoutStatusEnum": "payments.models.Payout.Status",
    "PoolAlgorithmEnum": "payments.models.Pool.Algorithm",
    "RefundStatusEnum": "payments.models.Refund.Status",
    "DeliveryStatusEnum": "webhooks.models.Delivery.Status",
    "EventTypeEnum": "webhooks.catalogue.EventType",
    "WebhookEventStatusEnum": "payments.models.WebhookEvent.Status",
}
