"""The role-by-route matrix: every operation of the API document, for each kind of caller."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from accounts import api_keys, services, tokens
from accounts.models import User
from accounts.roles import Role
from config.tests import openapi
from payments import models
from payments.periods import Month
from videos.models import Caption, Upload, Video
from webhooks import models as webhooks

pytestmark = [pytest.mark.django_db, pytest.mark.sweep]

CALLERS = ["anonymous", "viewer", "other", "owner", "moderator", "admin"]
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> list[str]:
    """Return every operation of the API document, like "GET videos/{id}"."""
    return sorted(
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, item in openapi.document()["paths"].items()
        for method in METHODS & item.keys()
    )


# For each operation: the body, and the status for anonymous, viewer, other creator, owner, moderator
# and ADMIN. The owner is the creator of the video, or the user of the order or session. A status from
# 400 to 422 other than 401, 403 and 404 means that the caller has the permission.
SUBSCRIPTION = (
    "payments/subscription", "subscription/cancel", "payments/subscribe", "subscription/resume",
    "subscription/change", "subscription/payment-method",
)  # fmt: skip
MATRIX: dict[str, tuple[Any, ...]] = {
    # accounts
    "POST auth/register": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/login": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/refresh": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/logout": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/password": ({}, 401, 400, 400, 400, 400, 400),
    "POST auth/password/forgot": ({"email": "a@example.com"}, 202, 202, 202, 202, 202, 202),
    "POST auth/password/reset": ({}, 400, 400, 400, 400, 400, 400),
    "PUT auth/email": ({}, 401, 400, 400, 400, 400, 400),
    "POST auth/email/verify": ({}, 400, 400, 400, 400, 400, 400),
    "POST auth/email/resend": (None, 401, 202, 202, 202, 202, 202),
    "GET auth/sessions/": (None, 401, 200, 200, 200, 200, 200),
    "DELETE auth/sessions/": (None, 401, 204, 204, 204, 204, 204),
    "DELETE auth/sessions/{id}": (None, 401, 404, 404, 204, 404, 404),
    "GET auth/api-keys/": (None, 401, 200, 200, 200, 200, 200),
    "POST auth/api-keys/": ({}, 401, 400, 400, 400, 400, 400),
    "DELETE auth/api-keys/{id}": (None, 401, 404, 404, 204, 404, 404),
    "POST auth/oidc/token": ({}, 404, 404, 404, 404, 404, 404),  # there is no provider
    "GET auth/me/identities": (None, 401, 200, 200, 200, 200, 200),
    "DELETE auth/me/identities/{id}": ({}, 401, 400, 400, 400, 400, 400),
    "GET auth/totp": (None, 401, 200, 200, 200, 200, 200),
    "POST auth/totp": (None, 401, 200, 200, 200, 200, 200),
    "DELETE auth/totp": ({}, 401, 400, 400, 400, 400, 400),
    "POST auth/totp/confirm": ({}, 401, 400, 400, 400, 400, 400),
    "GET auth/me": (None, 401, 200, 200, 200, 200, 200),
    "PATCH auth/me": ({"display_name": "Me"}, 401, 200, 200, 200, 200, 200),
    "DELETE auth/me": ({}, 401, 400, 400, 400, 400, 400),
    "GET auth/me/export": (None, 401, 200, 200, 200, 200, 200),
    "GET users/": (None, 401, 403, 403, 403, 403, 200),
    "GET users/{id}": (None, 401, 403, 403, 403, 403, 200),
    "PATCH users/{id}/role": ({"role": "CREATOR"}, 401, 403, 403, 403, 403, 200),
    "PATCH users/{id}/moderator": ({"is_moderator": True}, 401, 403, 403, 403, 403, 200),
    "PATCH users/{id}/status": ({"is_active": False}, 401, 403, 403, 403, 403, 200),
    # videos
    "GET videos/": (None, 200, 200, 200, 200, 200, 200),
    "POST videos/": ({"title": "New"}, 401, 403, 201, 201, 403, 201),
    "GET videos/{id}": (None, 200, 200, 200, 200, 200, 200),
    "PATCH videos/{id}": ({"title": "New"}, 401, 403, 403, 200, 403, 200),
    "PUT videos/{id}": ({"title": "New"}, 401, 403, 403, 200, 403, 200),
    "DELETE videos/{id}": (None, 401, 403, 403, 204, 403, 204),
    "PUT videos/{id}/file": ("form", 401, 403, 403, 400, 403, 400),
    # without the header of the protocol
    "POST uploads/": (None, 401, 403, 412, 412, 403, 412),
    "GET uploads/{id}": (None, 401, 403, 404, 200, 403, 404),
    "PATCH uploads/{id}": (None, 401, 403, 412, 412, 403, 412),
    "DELETE uploads/{id}": (None, 401, 403, 412, 412, 403, 412),
    "POST uploads/{id}/parts": ({"numbers": [1]}, 401, 403, 404, 409, 403, 404),
    "POST uploads/{id}/complete": (
        {"parts": [{"number": 1, "etag": "x"}]},
        401,
        403,
        404,
        409,
        403,
        404,
    ),
    "GET videos/{video_id}/poster": (None, 404, 404, 404, 404, 404, 404),  # none on the disk here
    "PUT videos/{video_id}/poster": ({}, 401, 403, 403, 400, 403, 400),
    "DELETE videos/{video_id}/poster": (None, 401, 403, 403, 200, 403, 200),
    "GET videos/{video_id}/chapters": (None, 200, 200, 200, 200, 200, 200),
    "PUT videos/{video_id}/chapters": ([], 401, 403, 403, 200, 403, 200),
    "GET videos/{video_id}/captions/": (None, 200, 200, 200, 200, 200, 200),
    "POST videos/{video_id}/captions/": ({}, 401, 403, 403, 400, 403, 400),
    "GET videos/{video_id}/captions/{id}": (None, 200, 200, 200, 200, 200, 200),
    "PATCH videos/{video_id}/captions/{id}": ({}, 401, 403, 403, 200, 403, 200),
    "DELETE videos/{video_id}/captions/{id}": (None, 401, 403, 403, 204, 403, 204),
    "GET videos/{video_id}/captions/{id}/text": (None, 200, 200, 200, 200, 200, 200),
    "GET videos/{video_id}/captions/search": (None, 400, 400, 400, 400, 400, 400),
    # none on the disk here
    "GET videos/{video_id}/storyboard/index.vtt": (None, 404, 404, 404, 404, 404, 404),
    "GET videos/{video_id}/storyboard/sprite-{number}.jpg": (None, 404, 404, 404, 404, 404, 404),
    "PATCH videos/{id}/restore": (None, 401, 403, 403, 403, 403, 200),
    "POST videos/{id}/retry": (None, 401, 403, 403, 409, 403, 409),
    "POST videos/{id}/import": ({"url": "https://example.com/a.mp4"}, 401, 403, 403, 202, 403, 202),
    "POST videos/{video_id}/reports": ({"reason": "spam"}, 401, 201, 201, 409, 201, 201),
    "POST videos/{video_id}/appeal": ({"detail": "No"}, 401, 403, 403, 409, 403, 403),
    "PUT videos/{video_id}/reaction": ({"value": "like"}, 401, 200, 200, 200, 200, 200),
    "DELETE videos/{video_id}/reaction": (None, 401, 200, 200, 200, 200, 200),
    # streaming
    "GET stream/{video_id}": (None, 200, 200, 200, 200, 200, 200),
    "GET stream/play/{token}": (None, 302, 302, 302, 302, 302, 302),
    "GET stream/sessions/": (None, 401, 200, 200, 200, 200, 200),
    "DELETE stream/sessions/{id}": (None, 401, 404, 404, 204, 404, 404),
    "POST stream/sessions/{id}/heartbeat": (
        {"position_seconds": 1, "state": "playing"},
        *(404, 404, 404, 204, 404, 404),
    ),
    # payments: the order and the subscription belong to the owner
    "GET payments/config": (None, 200, 200, 200, 200, 200, 200),
    "GET payments/plans": (None, 200, 200, 200, 200, 200, 200),
    "POST payments/purchase/{video_id}": ({}, 401, 422, 422, 403, 422, 422),  # a free video
    "GET payments/orders": (None, 401, 200, 200, 200, 200, 200),
    "GET payments/orders/{id}": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/orders/{id}/cancel": (None, 401, 404, 404, 409, 404, 404),  # paid already
    "GET payments/entitlements": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/subscribe": (
        {"payment_method": "pm_card_visa"},
        *(401, 201, 201, 409, 201, 201),
    ),
    "GET payments/subscription": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/subscription/cancel": ({}, 401, 404, 404, 200, 404, 404),
    "GET payments/creator/earnings": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/admin/revenue": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/ledger/trial-balance": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/orders/{id}/refund": (
        {"reason": "requested"},
        *(401, 403, 403, 403, 403, 200),
    ),
    # Only the buyer finds an order here; administrators use the admin API.
    "POST payments/orders/{id}/sync": (None, 401, 404, 404, 200, 404, 404),
    "POST payments/orders/{id}/refund": (None, 401, 404, 404, 200, 404, 404),
    "GET payments/orders/{id}/receipt": (None, 401, 404, 404, 200, 404, 404),
    "GET payments/offers": (None, 400, 400, 400, 400, 400, 400),
    "GET payments/offers/{video_id}": (None, 200, 200, 200, 200, 200, 200),
    "GET payments/entitlements/{video_id}": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/subscription/resume": (None, 401, 404, 404, 409, 404, 404),
    "POST payments/subscription/change": ({"plan": "monthly"}, 401, 404, 404, 409, 404, 404),
    "POST payments/subscription/payment-method": (
        {"payment_method": "pm_card_visa"},
        *(401, 404, 404, 200, 404, 404),
    ),
    "GET payments/invoices": (None, 401, 200, 200, 200, 200, 200),
    "POST payments/sandbox/clock": ({"hours": 1}, 401, 403, 403, 403, 403, 200),
    "POST payments/sandbox/payments/{id}/dispute": ({}, 401, 403, 403, 403, 403, 200),
    "POST payments/sandbox/payments/{id}/reinstate": ({}, 401, 403, 403, 403, 403, 404),
    "POST payments/sandbox/payments/{id}/refund-fail": (None, 401, 403, 403, 403, 403, 404),
    # Creators' money: 404 and 409 mean that there is no such month and no balance.
    "GET payments/creator/balance": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/creator/statements": (None, 401, 403, 200, 200, 403, 200),
    "GET payments/creator/statements/{period}": (None, 401, 403, 404, 404, 403, 404),
    "GET payments/creator/payouts": (None, 401, 403, 200, 200, 403, 200),
    "POST payments/creator/payouts": (None, 401, 403, 409, 409, 403, 409),
    "GET payments/creator/videos/{video_id}/offers": (None, 401, 403, 404, 200, 403, 404),
    "PUT payments/creator/videos/{video_id}/offers": (
        {"price": "1.00"},
        *(401, 403, 404, 200, 403, 404),
    ),
    # the admin API
    "GET payments/admin/ledger/entries": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/disputes": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/disputes/{id}/evidence": (None, 401, 403, 403, 403, 403, 200),
    "PATCH payments/admin/disputes/{id}/evidence": (
        {"customer_name": "A"},
        *(401, 403, 403, 403, 403, 200),
    ),
    "PUT payments/admin/disputes/{id}/evidence/files/{field}": (
        "form",
        *(401, 403, 403, 403, 403, 400),
    ),
    "DELETE payments/admin/disputes/{id}/evidence/files/{field}": (
        None,
        401,
        403,
        403,
        403,
        403,
        200,
    ),
    "POST payments/admin/disputes/{id}/evidence/submit": (None, 401, 403, 403, 403, 403, 422),
    "POST payments/admin/invoices/{id}/refund": ({}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/pools": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/pools/{period}/close": (None, 401, 403, 403, 403, 403, 409),
    "GET payments/admin/payouts": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/run": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/payouts/{id}": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/{id}/approve": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/payouts/{id}/processing": (None, 401, 403, 403, 403, 403, 409),
    "POST payments/admin/payouts/{id}/mark-paid": (
        {"external_ref": "x"},
        *(401, 403, 403, 403, 403, 409),
    ),
    "POST payments/admin/payouts/{id}/mark-failed": (
        {"failure": "x"},
        *(401, 403, 403, 403, 403, 409),
    ),
    "POST payments/admin/payouts/{id}/mark-returned": (
        {"external_ref": "x", "failure": "x"},
        *(401, 403, 403, 403, 403, 409),
    ),
    "POST payments/admin/payouts/{id}/cancel": (None, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/coupons": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/coupons": (
        {"code": "NEW", "percent_bps": 100},
        *(401, 403, 403, 403, 403, 201),
    ),
    "GET payments/admin/coupons/{id}": (None, 401, 403, 403, 403, 403, 200),
    "PATCH payments/admin/coupons/{id}": ({"is_active": False}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/plans": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/plans": ({}, 401, 403, 403, 403, 403, 400),
    "PATCH payments/admin/plans/{id}": ({"name": "New"}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/webhook-events": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/webhook-events/{id}/replay": (None, 401, 403, 403, 403, 403, 200),
    "POST payments/admin/reconcile": ({}, 401, 403, 403, 403, 403, 200),
    "GET payments/admin/review": (None, 401, 403, 403, 403, 403, 200),
    # webhooks: the endpoints and deliveries are the owner's
    "GET webhooks/endpoints/": (None, 401, 403, 200, 200, 403, 200),
    "POST webhooks/endpoints/": (
        {"url": "https://example.com/hook"},
        *(401, 403, 201, 201, 403, 201),
    ),
    "PATCH webhooks/endpoints/{id}": ({"description": "x"}, 401, 403, 404, 200, 403, 200),
    "DELETE webhooks/endpoints/{id}": (None, 401, 403, 404, 204, 403, 204),
    "GET webhooks/deliveries/": (None, 401, 403, 200, 200, 403, 200),
    "POST webhooks/deliveries/{id}/replay": (None, 401, 403, 404, 200, 403, 200),
    # analytics and audit
    "GET analytics/creator": (None, 401, 403, 200, 200, 403, 200),
    "GET analytics/admin": (None, 401, 403, 403, 403, 403, 200),
    "GET analytics/videos/{video_id}": (None, 401, 403, 403, 200, 403, 200),
    "GET audit/": (None, 401, 403, 403, 403, 403, 200),
}

# Permission → the operations that it opens, and nothing else does, to a user who has no other
# permission. The bodies and the statuses are those of MATRIX.
OPENS = {
    "accounts.manage_users": {
        "GET users/", "GET users/{id}", "PATCH users/{id}/role", "PATCH users/{id}/moderator",
        "PATCH users/{id}/status",
    },
    "audit.view_auditentry": {"GET audit/"},
    "videos.add_video": {
        "POST videos/", "GET payments/creator/videos/{video_id}/offers",
        "PUT payments/creator/videos/{video_id}/offers",
        "POST uploads/", "GET uploads/{id}", "PATCH uploads/{id}", "DELETE uploads/{id}",
        "POST uploads/{id}/parts", "POST uploads/{id}/complete",
    },
    "videos.view_any_video": set(),  # see test_seeing_and_watching_any_video_are_two_permissions
    "videos.watch_any_video": set(),
    "videos.change_any_video": {
        "PATCH videos/{id}", "PUT videos/{id}", "PUT videos/{id}/file", "POST videos/{id}/import",
        "PUT videos/{video_id}/poster", "DELETE videos/{video_id}/poster",
        "PUT videos/{video_id}/chapters", "POST videos/{video_id}/captions/",
        "PATCH videos/{video_id}/captions/{id}", "DELETE videos/{video_id}/captions/{id}",
    },
    "videos.delete_any_video": {"DELETE videos/{id}"},
    "videos.retry_any_video": {"POST videos/{id}/retry"},
    "videos.moderate_video": set(),  # the moderators' desk of the admin site
    "videos.restore_video": {"PATCH videos/{id}/restore"},
    "payments.view_own_earnings": {
        "GET payments/creator/earnings", "GET payments/creator/balance",
        "GET payments/creator/statements", "GET payments/creator/statements/{period}",
        "GET payments/creator/payouts",
    },
    "payments.request_payout": {"POST payments/creator/payouts"},
    "payments.view_revenue": {
        "GET payments/admin/revenue", "GET payments/admin/ledger/trial-balance",
        "GET payments/admin/ledger/entries", "GET payments/admin/disputes",
        "GET payments/admin/review",
    },
    "payments.refund_order": {
        "POST payments/admin/orders/{id}/refund", "POST payments/admin/invoices/{id}/refund",
    },
    "payments.answer_dispute": {
        "GET payments/admin/disputes/{id}/evidence", "PATCH payments/admin/disputes/{id}/evidence",
        "PUT payments/admin/disputes/{id}/evidence/files/{field}",
        "DELETE payments/admin/disputes/{id}/evidence/files/{field}",
        "POST payments/admin/disputes/{id}/evidence/submit",
    },
    "payments.cancel_any_subscription": set(),  # an action of the admin site
    "payments.operate_sandbox": {
        "POST payments/sandbox/clock", "POST payments/sandbox/payments/{id}/dispute",
        "POST payments/sandbox/payments/{id}/reinstate",
        "POST payments/sandbox/payments/{id}/refund-fail",
    },
    "payments.close_pool": {
        "GET payments/admin/pools", "POST payments/admin/pools/{period}/close",
    },
    "payments.manage_payouts": {
        "GET payments/admin/payouts", "POST payments/admin/payouts/run",
        "GET payments/admin/payouts/{id}", "POST payments/admin/payouts/{id}/approve",
        "POST payments/admin/payouts/{id}/processing",
        "POST payments/admin/payouts/{id}/mark-paid",
        "POST payments/admin/payouts/{id}/mark-failed",
        "POST payments/admin/payouts/{id}/mark-returned",
        "POST payments/admin/payouts/{id}/cancel",
    },
    "payments.write_off_debt": set(),  # an action of the admin site
    "payments.change_coupon": {
        "GET payments/admin/coupons", "POST payments/admin/coupons",
        "GET payments/admin/coupons/{id}", "PATCH payments/admin/coupons/{id}",
    },
    "payments.change_plan": {
        "GET payments/admin/plans", "POST payments/admin/plans",
        "PATCH payments/admin/plans/{id}",
    },
    "payments.replay_webhookevent": {
        "GET payments/admin/webhook-events", "POST payments/admin/webhook-events/{id}/replay",
        "POST payments/admin/reconcile",
    },
    "webhooks.receive_own_events": {
        "GET webhooks/endpoints/", "POST webhooks/endpoints/", "PATCH webhooks/endpoints/{id}",
        "DELETE webhooks/endpoints/{id}", "GET webhooks/deliveries/",
        "POST webhooks/deliveries/{id}/replay",
    },
    "webhooks.receive_any_event": set(),  # of those lists, all rows instead of one's own
    "webhooks.replay_delivery": set(),  # an action of the admin site
    "analytics.view_own_analytics": {"GET analytics/creator"},
    "analytics.view_platform_analytics": {
        "GET analytics/admin", "GET analytics/videos/{video_id}",
    },
}  # fmt: skip


# No permission opens these to another user than the video's owner.
OWNERS_ALONE = {"POST videos/{video_id}/appeal"}

# Operations on one video. For a video of another creator that is a draft, private or deleted, the
# answer is the same as for an unknown id; 401 comes first where the caller must be signed in.
HIDDEN = {
    # operation: (anonymous, viewer, other, owner, moderator, admin) for a draft
    "GET videos/{id}": (404, 404, 404, 200, 404, 200),
    "PATCH videos/{id}": (401, 404, 404, 200, 404, 200),
    "PUT videos/{id}": (401, 404, 404, 200, 404, 200),
    "DELETE videos/{id}": (401, 404, 404, 204, 404, 204),
    "PUT videos/{id}/file": (401, 404, 404, 400, 404, 400),
    "GET videos/{video_id}/poster": (404, 404, 404, 404, 404, 404),
    "PUT videos/{video_id}/poster": (401, 404, 404, 400, 404, 400),
    "DELETE videos/{video_id}/poster": (401, 404, 404, 200, 404, 200),
    "GET videos/{video_id}/chapters": (404, 404, 404, 200, 404, 200),
    "PUT videos/{video_id}/chapters": (401, 404, 404, 200, 404, 200),
    "GET videos/{video_id}/captions/": (404, 404, 404, 200, 404, 200),
    "POST videos/{video_id}/captions/": (401, 404, 404, 400, 404, 400),
    "GET videos/{video_id}/captions/{id}": (404, 404, 404, 200, 404, 200),
    "PATCH videos/{video_id}/captions/{id}": (401, 404, 404, 200, 404, 200),
    "DELETE videos/{video_id}/captions/{id}": (401, 404, 404, 204, 404, 204),
    "GET videos/{video_id}/captions/{id}/text": (404, 404, 404, 200, 404, 200),
    "GET videos/{video_id}/captions/search": (404, 404, 404, 400, 404, 400),
    "GET videos/{video_id}/storyboard/index.vtt": (404, 404, 404, 404, 404, 404),
    "GET videos/{video_id}/storyboard/sprite-{number}.jpg": (404, 404, 404, 404, 404, 404),
    "POST videos/{id}/retry": (401, 404, 404, 409, 404, 409),
    "POST videos/{id}/import": (401, 404, 404, 202, 404, 202),
    "POST videos/{video_id}/reports": (401, 404, 404, 409, 404, 201),
    "POST videos/{video_id}/appeal": (401, 404, 404, 409, 404, 403),
    "PUT videos/{video_id}/reaction": (401, 404, 404, 200, 404, 200),
    "DELETE videos/{video_id}/reaction": (401, 404, 404, 200, 404, 200),
    "GET stream/{video_id}": (404, 404, 404, 409, 404, 409),
    "POST payments/purchase/{video_id}": (401, 404, 404, 403, 404, 422),
    "GET payments/offers/{video_id}": (404, 404, 404, 200, 404, 200),
    "GET payments/entitlements/{video_id}": (401, 404, 404, 200, 404, 200),
    "GET analytics/videos/{video_id}": (401, 404, 404, 200, 404, 200),
}


class House:
    """One caller of each kind, a video of the owner, and rows of all kinds on demand."""

    def __init__(self, make_user, make_video, buy, subscribe, client_for):
        self.client_for = client_for
        self.people = {
            "anonymous": None,
            "viewer": make_user(),
            "other": make_user(Role.CREATOR),
            "owner": make_user(Role.CREATOR),
            "moderator": make_user(),
            "admin": make_user(Role.ADMIN),
        }
        moderator, self.owner = self.people["moderator"], self.people["owner"]
        services.set_moderator(user_id=moderator.pk, is_moderator=True, actor=None)
        self.make_video, self.buy, self.subscribe = make_video, buy, subscribe
        self.make_user = make_user
        self.video = make_video(creator=self.owner)
        self.bystander, self.subscribed = make_user(), None
        self.rows = {}  # those that no call has changed, by folder

    def session(self):
        token = self.client_for(self.owner).get(f"/api/v1/stream/{self.video.pk}").data
        play = self.client_for().get(token["stream_url"], HTTP_ACCEPT="application/json")
        return play.data["session_id"]

    def upload(self) -> uuid.UUID:
        now = timezone.now()
        fields = {"state": "done", "expires_at": now, "ended_at": now, "video_id": self.video.pk}
        return Upload.objects.create(user=self.owner, length=1, offset=1, **fields).pk

    def caption(self, video) -> uuid.UUID:
        """Return the id of a new caption, or an unknown id for an unknown video."""
        if not isinstance(video, Video):
            return uuid.uuid4()
        fields = {"language": "en", "label": "English", "cues": 1}
        text = "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
        return Caption.objects.create(video=video, text=text, **fields).pk

    def webhook(self, folder: str) -> uuid.UUID:
        """Return the id of a new endpoint of the owner, or of a delivery to it that has ended."""
        endpoint = webhooks.Endpoint.objects.create(owner=self.owner, url="https://example.com/")
        if folder == "endpoints":
            return endpoint.pk
        body = '{"type": "x", "timestamp": "2026-11-27T00:00:00Z", "data": {}}'
        event = webhooks.Event.objects.create(key=uuid.uuid4().hex, type="x", about="x", body=body)
        ended = {"status": "failed", "finished_at": timezone.now()}
        return webhooks.Delivery.objects.create(endpoint=endpoint, event=event, **ended).pk

    def row(self, folder: str):
        """Return a row for an operation under ``payments/…/<folder>/{id}`` that no call has changed."""
        if folder not in self.rows:
            self.rows[folder] = self.new_row(folder)
        return self.rows[folder]

    def new_row(self, folder: str):
        if folder == "orders":
            return self.buy(self.owner, self.make_video(price=500))
        if folder == "payments":  # of the sandbox
            return self.buy(self.bystander, self.make_video(price=500)).payments.get()
        if folder == "invoices":
            return self.subscribe(self.make_user()).invoices.get()
        if folder == "payouts":
            creator = self.make_user(Role.CREATOR)
            payout = {"currency": "USD", "amount": 1, "cutoff": timezone.now()}
            return models.Payout.objects.create(creator=creator, **payout)
        number = uuid.uuid4().hex
        if folder == "disputes":
            payment = self.buy(self.make_user(), self.make_video(price=500)).payments.get()
            fields = {"payment": payment, "external_id": number, "status": "needs_response"}
            return models.Dispute.objects.create(amount=500, **fields)
        if folder == "coupons":
            return models.Coupon.objects.create(code=number, percent_bps=100)
        if folder == "plans":
            return models.Plan.objects.create(code=number, name="X", amount=1, currency="USD")
        event = {"gateway": "sandbox", "external_id": number, "type": "x"}
        return models.WebhookEvent.objects.create(**event)

    def url(self, operation: str, video) -> str:
        path = operation.split(" ")[1].replace("{field}", "receipt").replace("{number}", "1")
        if "captions/{id}" in path:
            path = path.replace("{id}", str(self.caption(video)))
        if path.startswith("videos/{id}") or "{video_id}" in path:
            value = video.pk
        elif path.startswith("uploads/{"):
            value = self.upload()
        elif path.startswith("webhooks/") and "{id}" in path:
            value = self.webhook(path.split("/")[1])
        elif path.startswith("users/"):
            value = self.bystander.pk
        elif path.startswith("stream/play"):
            url = self.client_for().get(f"/api/v1/stream/{video.pk}").data["stream_url"]
            value = url.rsplit("/", 1)[1]
        elif path.startswith("stream/sessions/{"):
            value = self.session()
        elif path.startswith("auth/sessions/{"):
            value = tokens.family_of(tokens.issue(self.owner).refresh)
        elif path.startswith("auth/me/identities/{"):
            value = uuid.uuid4()
        elif path.startswith("auth/api-keys/{"):
            value = api_keys.create(user=self.owner, name="x", scopes=["read"])[0].pk
        elif "orders/{" in path:
            value = self.row("orders").pk
        elif "{period}" in path:
            value = Month.of(timezone.now().date())
        elif path.startswith("payments/") and "{id}" in path:
            value = self.row(path.split("/")[2]).pk
        else:
            value = ""
        if operation.endswith(SUBSCRIPTION) and not self.subscribed:
            self.subscribed = self.subscribe(self.owner)
        start, _, end = path.partition("{")
        return f"/api/v1/{start}{value}{end.partition('}')[2]}"

    def call(self, caller: str, operation: str, body, video=None):
        method = operation.split(" ")[0].lower()
        client = self.client_for(self.people[caller])
        url = self.url(operation, video or self.video)
        if body == "form":
            answer = client.generic(
                "PUT", url, b"--x--\r\n", content_type="multipart/form-data; boundary=x"
            )
        else:
            answer = getattr(client, method)(url, body)
        if answer.status_code not in {401, 403}:
            self.rows.clear()
        return answer


@pytest.fixture
def house(make_user, make_video, buy, subscribe, client_for):
    return House(make_user, make_video, buy, subscribe, client_for)


def test_every_operation_has_a_row():
    assert operations() == sorted(MATRIX)


def test_every_operation_on_one_video_has_a_row_for_hidden_ones():
    on_videos = {
        name
        for name in operations()
        if name.split(" ")[1].startswith(("videos/{", "stream/{"))
        or ("{video_id}" in name and "/creator/" not in name)
    } - {"PATCH videos/{id}/restore"}
    assert on_videos == set(HIDDEN)


@pytest.mark.parametrize("operation", MATRIX)
def test_who_may_do_what(house, operation):
    body, *expected = MATRIX[operation]
    statuses = []
    for caller in CALLERS:
        video = house.make_video(creator=house.owner) if operation in HIDDEN else house.video
        before = type(video).objects.values().get(pk=video.pk)
        answer = house.call(caller, operation, body, video)
        statuses.append(answer.status_code)
        assert_refusal_is_well_formed(answer)
        if answer.status_code in {401, 403, 404}:
            assert type(video).objects.values().get(pk=video.pk) == before, caller
    assert dict(zip(CALLERS, statuses, strict=True)) == dict(zip(CALLERS, expected, strict=True))


def with_permissions(house, *names: str):
    """Return a user who has these permissions and no others."""
    user = house.make_user()
    role = Group.objects.create(name=f"only {uuid.uuid4().hex}")
    for name in names:
        app, codename = name.split(".")
        role.permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    User.objects.filter(pk=user.pk).update(role=role)
    user.refresh_from_db()
    return user


def needs_a_permission(operation: str) -> bool:
    """Tell whether viewers are refused an operation with 403 that others may do."""
    return MATRIX[operation][2] == 403 and operation not in OWNERS_ALONE


def test_every_refused_operation_is_opened_by_one_permission():
    opened = [operation for operations in OPENS.values() for operation in operations]
    assert sorted(opened) == sorted(filter(needs_a_permission, MATRIX))


@pytest.mark.parametrize("permission", OPENS)
def test_a_permission_opens_its_own_operations_and_no_other(house, permission):
    """Alone it opens them, and all others together do not.

    Permissions only add, so that each other one alone does not open them either.
    """
    house.people["this one"] = with_permissions(house, permission)
    house.people["all others"] = with_permissions(house, *OPENS.keys() - {permission})
    opened: dict[str, set[str]] = {"this one": set(), "all others": set()}
    for operation in OPENS[permission]:
        for caller, operations_of in opened.items():
            video = house.make_video(creator=house.owner)
            answer = house.call(caller, operation, MATRIX[operation][0], video)
            assert answer.status_code < 500, operation
            if answer.status_code != 403:
                operations_of.add(operation)
    assert opened == {"this one": OPENS[permission], "all others": set()}


def test_seeing_and_watching_any_video_are_two_permissions(house):
    private = house.make_video(creator=house.owner, visibility="private")
    paid = house.make_video(creator=house.owner, price=500)
    statuses = {}
    for name in ("videos.view_any_video", "videos.watch_any_video"):
        client = house.client_for(with_permissions(house, name))
        statuses[name] = (
            client.get(f"/api/v1/videos/{private.pk}").status_code,
            client.get(f"/api/v1/stream/{paid.pk}").status_code,
        )
    assert statuses == {
        "videos.view_any_video": (200, 403),
        "videos.watch_any_video": (404, 200),
    }


@pytest.mark.parametrize("kind", [pytest.param("draft", marks=pytest.mark.long), "private"])
@pytest.mark.parametrize("operation", HIDDEN)
def test_a_hidden_video_is_not_there_for_others(house, operation, kind):
    body, expected = MATRIX[operation][0], HIDDEN[operation]
    for caller, status in zip(CALLERS, expected, strict=True):
        video = house.make_video(
            creator=house.owner,
            ready=kind != "draft",
            visibility="private" if kind == "private" else "public",
        )
        before = type(video).objects.values().get(pk=video.pk)
        answer = house.call(caller, operation, body, video)
        assert_refusal_is_well_formed(answer)
        if caller in {"owner", "admin"} and kind == "private":
            assert answer.status_code == MATRIX[operation][1 + CALLERS.index(caller)], caller
            continue
        assert answer.status_code == status, (caller, answer.content[:300])
        if status in {401, 403, 404}:
            assert type(video).objects.values().get(pk=video.pk) == before
        if status == 404 and caller not in {"owner", "admin"}:
            assert_same_as_unknown_id(house, caller, operation, body, answer)


@pytest.mark.parametrize("operation", HIDDEN)
def test_a_deleted_video_is_not_there_for_anybody(house, operation):
    body = MATRIX[operation][0]
    video = house.make_video(creator=house.owner)
    house.client_for(house.owner).delete(f"/api/v1/videos/{video.pk}")
    before = type(video).objects.values().get(pk=video.pk)
    for caller, draft in zip(CALLERS, HIDDEN[operation], strict=True):
        answer = house.call(caller, operation, body, video)
        assert answer.status_code == (401 if draft == 401 else 404), (caller, answer.content[:300])
        assert_refusal_is_well_formed(answer)
    assert type(video).objects.values().get(pk=video.pk) == before


def assert_same_as_unknown_id(house, caller, operation, body, answer):
    """Check that status, body and headers are the same as for an unknown id."""

    class Nothing:
        pk = uuid.uuid4()

    nothing = house.call(caller, operation, body, Nothing)
    assert (nothing.status_code, nothing.content) == (answer.status_code, answer.content)
    ignore = {"X-Request-ID"}
    assert {k: v for k, v in nothing.items() if k not in ignore} == {
        k: v for k, v in answer.items() if k not in ignore
    }


def assert_refusal_is_well_formed(answer):
    if answer.status_code < 400:
        return
    assert answer["Content-Type"] == "application/json"
    assert set(answer.json()) == {"type", "errors"}
    if answer.status_code == 401:
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_restored_video_is_visible_to_the_same_callers_as_before(house):
    owner, admin = (house.client_for(house.people[name]) for name in ("owner", "admin"))
    url = f"/api/v1/videos/{house.video.pk}"
    assert owner.delete(url).status_code == 204
    assert owner.patch(f"{url}/restore").status_code == 403
    listed = admin.get("/api/v1/videos/?deleted=true").json()["results"]
    assert [video["id"] for video in listed] == [str(house.video.pk)]
    assert owner.get("/api/v1/videos/?deleted=true").status_code == 403

    first, second = admin.patch(f"{url}/restore"), admin.patch(f"{url}/restore")

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert house.client_for().get(url).status_code == 200


def test_lists_hide_what_single_addresses_hide(house):
    draft = house.make_video(creator=house.owner, ready=False, title="Draft")
    private = house.make_video(creator=house.owner, visibility="private", title="Private")
    unlisted = house.make_video(creator=house.owner, visibility="unlisted", title="Unlisted")
    seen = {}
    for caller, user in house.people.items():
        page = house.client_for(user).get("/api/v1/videos/?page_size=100").json()
        seen[caller] = {video["id"] for video in page["results"]}

    everything = {str(video.pk) for video in (house.video, draft, private, unlisted)}
    for caller in ("anonymous", "viewer", "other", "moderator"):
        assert seen[caller] == {str(house.video.pk)}, caller
    assert seen["owner"] == seen["admin"] == everything


def test_no_filter_brings_a_hidden_video_back(house):
    house.make_video(creator=house.owner, ready=False, title="Draft")
    client = house.client_for(house.people["viewer"])
    for query in (
        f"status=CREATED&creator={house.owner.pk}",
        "search=Draft",
        "deleted=false&status=CREATED",
        "is_deleted=true&status=CREATED",
    ):
        assert client.get(f"/api/v1/videos/?{query}").json()["results"] == [], query


def test_read_only_fields_of_a_video_cannot_be_set(house):
    video, other = house.video, house.people["other"]
    body = {
        "title": "New", "creator": str(other.pk), "creator_id": str(other.pk), "status": "FAILED",
        "views": 10**6, "likes": 5, "deleted_at": "2020-01-01T00:00:00Z", "current_version": "x",
        "created_at": "2000-01-01T00:00:00Z", "published_at": None, "id": str(uuid.uuid4()),
        "renditions": [], "source_path": "/etc/passwd", "duration_seconds": 1,
    }  # fmt: skip
    before = type(video).objects.values().get(pk=video.pk)

    answer = house.client_for(house.owner).patch(f"/api/v1/videos/{video.pk}", body)

    assert answer.status_code == 200
    assert type(video).objects.values().get(pk=video.pk) == {**before, "title": "New"}


def test_creators_see_no_numbers_of_other_creators(house):
    other = house.client_for(house.people["other"])
    mine = other.get("/api/v1/analytics/creator").json()
    asked = other.get(f"/api/v1/analytics/creator?creator={house.owner.pk}")
    assert asked.status_code in {200, 403}
    if asked.status_code == 200:
        assert asked.json()["totals"] == mine["totals"]
        assert asked.json()["videos"] == mine["videos"] == []
    earnings = other.get(f"/api/v1/payments/creator/earnings?creator={house.owner.pk}")
    assert earnings.status_code == 403


def test_a_method_cannot_be_smuggled_in(house):
    for header in ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE"):
        answer = house.client_for(house.owner).post(
            f"/api/v1/videos/{house.video.pk}", {"_method": "DELETE"}, **{header: "DELETE"}
        )
        assert answer.status_code == 405
    house.video.refresh_from_db()
    assert house.video.deleted_at is None


@pytest.mark.long
def test_options_describes_every_address_to_everybody(house):
    described = {200, 204, 401, 403, 404}
    for operation in MATRIX:
        for caller, user in house.people.items():
            answer = house.client_for(user).options(house.url(operation, house.video), [{}])
            assert answer.status_code in described, (operation, caller)
            assert answer.status_code != 200 or "actions" not in answer.json()


def test_tokens_of_a_deactivated_administrator_open_nothing(house):
    admin = house.people["admin"]
    access = tokens.issue(admin).access
    User.objects.filter(pk=admin.pk).update(is_active=False)
    for operation, (_, *expected) in MATRIX.items():
        if operation.startswith("GET") and expected[0] == 401:
            url = house.url(operation, house.video)
            answer = house.client_for().get(url, HTTP_AUTHORIZATION=f"Bearer {access}")
            assert answer.status_code == 401, operation
