"""The scopes of API keys, and the one scope that each operation of the API belongs to.

Operations are named by their route, because this app must not import the apps above it. An operation
that is in no list is closed to API keys; a test goes over every route.
"""

from django.db import models


class Scope(models.TextChoices):
    """A thing that an API key may do, as far as its user may do it."""

    READ = "read", "Everything that scopes ending in :read allow"
    ACCOUNT_READ = "account:read", "See my name, address and role"
    VIDEOS_READ = "videos:read", "See videos, captions, chapters and pictures"
    VIDEOS_WRITE = (
        "videos:write",
        "Change, delete and restore videos, captions, chapters and prices",
    )
    UPLOADS = "uploads", "Send video files, and see how far they are"
    PLAYBACK = "playback", "Play videos, report what was watched, like and report them"
    PAYMENTS_READ = "payments:read", "See orders, subscriptions, invoices, earnings and payouts"
    PAYMENTS_WRITE = "payments:write", "Buy, subscribe, ask for refunds and payouts"
    ANALYTICS_READ = "analytics:read", "See what was watched and earned"
    WEBHOOKS = "webhooks", "See and change webhook endpoints, and send deliveries again"
    ADMIN_READ = "admin:read", "See users, the audit log and the books, as an administrator"
    ADMIN_WRITE = (
        "admin:write",
        "Refund, pay out, and change coupons and plans, as an administrator",
    )


_S = Scope
_ADMIN = {"GET": _S.ADMIN_READ, "POST": _S.ADMIN_WRITE, "PATCH": _S.ADMIN_WRITE}
_MY_MONEY = {"GET": _S.PAYMENTS_READ, "POST": _S.PAYMENTS_WRITE}
_VIDEO = {
    "GET": _S.VIDEOS_READ, "POST": _S.VIDEOS_WRITE, "PUT": _S.VIDEOS_WRITE, "PATCH": _S.VIDEOS_WRITE,
    "DELETE": _S.VIDEOS_WRITE,
}  # fmt: skip
_UPLOAD = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"), _S.UPLOADS)
_PLAYBACK = dict.fromkeys(("GET", "POST", "PUT", "DELETE"), _S.PLAYBACK)
_WEBHOOKS = dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), _S.WEBHOOKS)

# The scope of each method of a route below /api/v1/; parameters are "*". Only the methods that a route
# has can be reached.
SCOPES: dict[str, dict[str, Scope]] = {
    "auth/me": {"GET": _S.ACCOUNT_READ},
    "users/": {"GET": _S.ADMIN_READ},
    "users/*": {"GET": _S.ADMIN_READ},
    "audit/": {"GET": _S.ADMIN_READ},
    # videos
    "videos/": {"GET": _S.VIDEOS_READ, "POST": _S.UPLOADS},
    "videos/*": _VIDEO,
    "videos/*/import": _UPLOAD,
    "videos/*/restore": _VIDEO,
    "videos/*/retry": _VIDEO,
    "videos/*/file": _UPLOAD,
    "videos/*/appeal": _VIDEO,
    "videos/*/chapters": _VIDEO,
    "videos/*/poster": _VIDEO,
    "videos/*/captions/": _VIDEO,
    "videos/*/captions/*": _VIDEO,
    "videos/*/captions/*/text": _VIDEO,
    "videos/*/captions/search": _VIDEO,
    "videos/*/storyboard/index.vtt": _VIDEO,
    "videos/*/storyboard/sprite-*.jpg": _VIDEO,
    "uploads/": _UPLOAD,
    "uploads/*": _UPLOAD,
    "uploads/*/complete": _UPLOAD,
    "uploads/*/parts": _UPLOAD,
    # playback
    "videos/*/reports": _PLAYBACK,
    "videos/*/reaction": _PLAYBACK,
    "stream/*": _PLAYBACK,
    "stream/sessions/": _PLAYBACK,
    "stream/sessions/*": _PLAYBACK,
    "stream/sessions/*/heartbeat": _PLAYBACK,
    # payments
    "payments/config": _MY_MONEY,
    "payments/plans": _MY_MONEY,
    "payments/offers": _MY_MONEY,
    "payments/offers/*": _MY_MONEY,
    "payments/purchase/*": _MY_MONEY,
    "payments/subscribe": _MY_MONEY,
    "payments/subscription": _MY_MONEY,
    "payments/subscription/cancel": _MY_MONEY,
    "payments/subscription/change": _MY_MONEY,
    "payments/subscription/payment-method": _MY_MONEY,
    "payments/subscription/resume": _MY_MONEY,
    "payments/orders": _MY_MONEY,
    "payments/orders/*": _MY_MONEY,
    "payments/orders/*/cancel": _MY_MONEY,
    "payments/orders/*/receipt": _MY_MONEY,
    "payments/orders/*/refund": _MY_MONEY,
    "payments/orders/*/sync": _MY_MONEY,
    "payments/entitlements": _MY_MONEY,
    "payments/entitlements/*": _MY_MONEY,
    "payments/invoices": _MY_MONEY,
    "payments/creator/earnings": _MY_MONEY,
    "payments/creator/balance": _MY_MONEY,
    "payments/creator/statements": _MY_MONEY,
    "payments/creator/statements/*": _MY_MONEY,
    "payments/creator/statements/*.csv": _MY_MONEY,
    "payments/creator/payouts": _MY_MONEY,
    "payments/creator/videos/*/offers": _VIDEO,
    # administration of money
    "payments/admin/revenue": _ADMIN,
    "payments/admin/ledger/trial-balance": _ADMIN,
    "payments/admin/ledger/entries": _ADMIN,
    "payments/admin/review": _ADMIN,
    "payments/admin/orders/*/refund": _ADMIN,
    "payments/admin/invoices/*/refund": _ADMIN,
    "payments/admin/reconcile": _ADMIN,
    "payments/admin/payouts": _ADMIN,
    "payments/admin/payouts/run": _ADMIN,
    "payments/admin/payouts/*": _ADMIN,
    "payments/admin/payouts/*/approve": _ADMIN,
    "payments/admin/payouts/*/cancel": _ADMIN,
    "payments/admin/payouts/*/mark-failed": _ADMIN,
    "payments/admin/payouts/*/mark-paid": _ADMIN,
    "payments/admin/payouts/*/mark-returned": _ADMIN,
    "payments/admin/payouts/*/processing": _ADMIN,
    "payments/admin/pools": _ADMIN,
    "payments/admin/pools/*/close": _ADMIN,
    "payments/admin/disputes": _ADMIN,
    "payments/admin/disputes/*/evidence": _ADMIN,
    "payments/admin/disputes/*/evidence/submit": _ADMIN,
    "payments/admin/disputes/*/evidence/files/*": {"PUT": _S.ADMIN_WRITE, "DELETE": _S.ADMIN_WRITE},
    "payments/admin/coupons": _ADMIN,
    "payments/admin/coupons/*": _ADMIN,
    "payments/admin/plans": _ADMIN,
    "payments/admin/plans/*": _ADMIN,
    "payments/admin/webhook-events": _ADMIN,
    "payments/admin/webhook-events/*/replay": _ADMIN,
    "payments/sandbox/clock": _ADMIN,
    "payments/sandbox/payments/*/dispute": _ADMIN,
    "payments/sandbox/payments/*/reinstate": _ADMIN,
    "payments/sandbox/payments/*/refund-fail": _ADMIN,
    # webhooks and analytics
    "webhooks/endpoints/": _WEBHOOKS,
    "webhooks/endpoints/*": _WEBHOOKS,
    "webhooks/deliveries/": _WEBHOOKS,
    "webhooks/deliveries/*/replay": _WEBHOOKS,
    "analytics/creator": {"GET": _S.ANALYTICS_READ},
    "analytics/admin": {"GET": _S.ANALYTICS_READ},
    "analytics/videos/*": {"GET": _S.ANALYTICS_READ},
}

# What no key may do: change how one signs in, make keys, end accounts, and give rights to others.
CLOSED: set[tuple[str, str]] = {
    ("POST", "auth/password"), ("PUT", "auth/email"), ("POST", "auth/email/resend"),
    ("GET", "auth/sessions/"), ("DELETE", "auth/sessions/"), ("DELETE", "auth/sessions/*"),
    ("PATCH", "auth/me"), ("DELETE", "auth/me"), ("GET", "auth/me/export"),
    ("GET", "auth/api-keys/"), ("POST", "auth/api-keys/"), ("DELETE", "auth/api-keys/*"),
    ("GET", "auth/totp"), ("POST", "auth/totp"), ("DELETE", "auth/totp"),
    ("POST", "auth/totp/confirm"), ("GET", "auth/me/identities"), ("DELETE", "auth/me/identities/*"),
    ("PATCH", "users/*/role"), ("PATCH", "users/*/moderator"), ("PATCH", "users/*/status"),
}  # fmt: skip


def scope_of(method: str, route: str) -> Scope | None:
    """Return the scope that an API key needs for a route below /api/v1/; None if no key may call it.

    ``route`` has "*" for its parameters. HEAD is allowed where GET is.
    """
    methods = SCOPES.get(route, {})
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def allows(granted: list[str], needed: Scope | None) -> bool:
    """Return whether a key with these scopes may call an operation that needs this scope."""
    if needed is None:
        return False
    return needed in granted or (Scope.READ in granted and needed.endswith(":read"))
