"""The examples of the API document: one buyer, one creator, one video, in September 2026."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

Example = dict[str, Any]

VIDEO = "019953f0-8a00-7c41-9d52-6f0b1c2d3e4f"
CREATOR = "019953f0-8a00-7a10-8e21-0a1b2c3d4e5f"
ADMINISTRATOR = "019953f0-8a00-7f02-b133-5c6d7e8f9a0b"
PAYMENT = "0199541a-2c10-7b64-a3f5-8d9eafb0c1d2"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

ORDER: Example = {
    "id": "0199541a-2b00-7d13-8f64-1a2b3c4d5e6f",
    "video_id": VIDEO,
    "kind": "buy",
    "rental_hours": None,
    "status": "paid",
    "amount": "20.00",
    "list_amount": "20.00",
    "discount": "0.00",
    "currency": "EUR",
    "created_at": "2026-09-14T09:30:00Z",
    "expires_at": "2026-09-14T10:00:00Z",
    "paid_at": "2026-09-14T09:30:01Z",
    "available_from": None,
}
UNPAID: Example = {**ORDER, "status": "pending", "paid_at": None}
CANCELED: Example = {**UNPAID, "status": "canceled"}
REFUNDED: Example = {**ORDER, "status": "refunded"}
RECEIPT: Example = {
    **ORDER,
    "title": "Big Buck Bunny",
    "seller": "Blender Studio",
    "buyer": "vera@example.com",
    "refunded": "0.00",
}
REDIRECT: Example = {
    "type": "redirect",
    "url": "https://vod.example.com/api/v1/payments/sandbox/checkout/sbc_0199541a2b007d13",
    "client_secret": None,
}
AUTHENTICATE: Example = {
    "type": "authenticate",
    "url": "https://vod.example.com/api/v1/payments/sandbox/authenticate/sbx_0199541a2b007d13",
    "client_secret": None,
}
OFFER: Example = {
    "video_id": VIDEO,
    "is_paid": True,
    "owned": False,
    "access": None,
    "offers": [
        {"kind": "buy", "amount": "20.00", "currency": "EUR", "rental_hours": None},
        {"kind": "rent", "amount": "4.00", "currency": "EUR", "rental_hours": 48},
    ],
}
PLAN: Example = {
    "code": "monthly",
    "name": "Monthly",
    "amount": "9.99",
    "currency": "EUR",
    "interval": "month",
    "trial_days": 7,
    "max_streams": 2,
}
ADMIN_PLAN: Example = {
    "id": "019953f1-0000-7a55-9a11-2b3c4d5e6f70",
    **PLAN,
    "is_active": True,
    "created_at": "2026-09-01T00:00:00Z",
}
NEW_COUPON: Example = {
    "code": "AUTUMN25",
    "percent_bps": 2500,
    "funded_by": "platform",
    "max_redemptions": 100,
    "ends_at": "2026-12-01T00:00:00Z",
}
COUPON: Example = {
    "id": "019953f2-1000-7b66-8c22-3c4d5e6f7081",
    **NEW_COUPON,
    "amount": None,
    "currency": "",
    "creator": None,
    "per_user": 1,
    "redeemed": 12,
    "starts_at": "2026-09-01T00:00:00Z",
    "is_active": True,
    "created_at": "2026-09-01T00:00:00Z",
}
PRICES: Example = {
    "price": "20.00",
    "currency": "EUR",
    "rental_price": "4.00",
    "rental_hours": 48,
}
SUBSCRIPTION: Example = {
    "id": "0199541b-3d00-7e24-9075-2b3c4d5e6f70",
    "plan": "monthly",
    "next_plan": None,
    "status": "active",
    "amount": "9.99",
    "currency": "EUR",
    "current_period_end": "2026-10-14T09:40:00Z",
    "cancel_at_period_end": False,
    "grace_until": None,
    "hosted_invoice_url": None,
    "created_at": "2026-09-14T09:40:00Z",
    "ended_at": None,
}
INCOMPLETE: Example = {**SUBSCRIPTION, "status": "incomplete", "current_period_end": None}
ENDING: Example = {**SUBSCRIPTION, "cancel_at_period_end": True}
INVOICE: Example = {
    "id": "0199541b-3e00-7f35-a186-3c4d5e6f7081",
    "subscription_id": SUBSCRIPTION["id"],
    "period_start": "2026-09-14T09:40:00Z",
    "period_end": "2026-10-14T09:40:00Z",
    "amount": "9.99",
    "currency": "EUR",
    "status": "paid",
    "hosted_invoice_url": None,
    "paid_at": "2026-09-14T09:40:01Z",
}
ENTITLEMENT: Example = {
    "id": "0199541a-2f00-7146-b297-4d5e6f708192",
    "video_id": VIDEO,
    "source_type": "order",
    "starts_at": "2026-09-14T09:30:01Z",
    "ends_at": None,
}
PAYOUT: Example = {
    "id": "0199a1c0-4f00-7257-83a8-5e6f708192a3",
    "amount": "240.00",
    "currency": "EUR",
    "status": "draft",
    "cutoff": "2026-09-29T08:00:00Z",
    "external_ref": "",
    "return_ref": "",
    "failure": "",
    "created_at": "2026-09-29T08:00:00Z",
    "settled_at": None,
    "returned_at": None,
}
ADMIN_PAYOUT: Example = {
    **PAYOUT,
    "creator_id": CREATOR,
    "requested_by_id": CREATOR,
    "approved_by_id": None,
    "approved_at": None,
}
BALANCE: Example = {
    "currency": "EUR",
    "balance": "252.00",
    "pending": "12.00",
    "available": "240.00",
    "in_transit": "0.00",
    "negative": "0.00",
}
STATEMENT: Example = {
    "id": "0199c7a0-5000-7368-94b9-6f708192a3b4",
    "period": "2026-09",
    "currency": "EUR",
    "sha256": HASH,
    "created_at": "2026-10-04T02:00:00Z",
}
FULL_STATEMENT: Example = {
    **STATEMENT,
    "canonical": '{"adjustments":[],"closing":"28.00","creator":"…"}',
    "body": {
        "creator": CREATOR,
        "currency": "EUR",
        "period": "2026-09",
        "opening": "0.00",
        "sales": [
            {"video": VIDEO, "count": 1, "gross": "20.00", "returned": "0.00", "share": "16.00"}
        ],
        "pool": {
            "amount": "48.00",
            "total_seconds": 14400,
            "own_seconds": 3600,
            "share": "12.00",
            "algorithm": "prorata-v1",
            "input_sha256": HASH,
        },
        "adjustments": [],
        "payouts": [],
        "closing": "28.00",
    },
}
STATEMENT_AS_CSV = (
    "currency,line,about,count,gross,returned,amount\r\n"
    "EUR,opening,2026-09,,,,0.00\r\n"
    f"EUR,sales,{VIDEO},1,20.00,0.00,16.00\r\n"
    "EUR,pool,3600 of 14400 seconds,,48.00,,12.00\r\n"
    "EUR,closing,2026-09,,,,28.00\r\n"
)
SALES: Example = {
    "currency": "EUR",
    "sales": 1,
    "gross": "20.00",
    "refunds": "0.00",
    "net": "20.00",
    "disputes": "0.00",
}
EARNINGS: Example = {
    "creator_id": CREATOR,
    "totals": [{**SALES, "earnings": "16.00"}],
    "group_by": "day",
    "series": [{"bucket": "2026-09-14T00:00:00Z", "currency": "EUR", "earnings": "16.00"}],
}
REVENUE: Example = {
    "totals": [
        {
            **SALES,
            "creator_share": "16.00",
            "platform_share": "4.00",
            "fees": "0.88",
            "losses": "0.00",
            "deferred": "0.00",
            "pool": "0.00",
            "owed_back": "0.00",
            "promotions": "0.00",
            "suspense": "0.00",
            "mrr": "9.99",
            "active_subscriptions": 1,
            "churned_subscriptions": 0,
        }
    ],
    "series": [
        {
            "day": "2026-09-14T00:00:00Z",
            "currency": "EUR",
            "gross": "20.00",
            "refunds": "0.00",
            "disputes": "0.00",
            "creator_share": "16.00",
            "platform_share": "4.00",
        }
    ],
}
TRIAL_BALANCE: Example = {
    "accounts": [
        {
            "code": "clearing:sandbox:EUR",
            "kind": "asset",
            "currency": "EUR",
            "debit": "20.00",
            "credit": "0.00",
            "balance": "20.00",
        },
    ],
    "totals": [{"currency": "EUR", "debit": "20.00", "credit": "20.00", "balance": "0.00"}],
}
ENTRY: Example = {
    "id": "0199541a-3000-7479-a5ca-708192a3b4c5",
    "key": f"capture:{PAYMENT}",
    "kind": "capture",
    "effective_at": "2026-09-14T09:30:01Z",
    "payment_id": PAYMENT,
    "pool_id": None,
    "payout_id": None,
    "order_id": None,
    "transfers": [
        {
            "debit": "clearing:sandbox:EUR",
            "credit": f"creator:{CREATOR}:EUR",
            "amount": "16.00",
            "currency": "EUR",
            "available_on": "2026-09-28T09:30:01Z",
        }
    ],
}
WEBHOOK_EVENT: Example = {
    "id": "0199541a-3100-758a-b6db-8192a3b4c5d6",
    "gateway": "sandbox",
    "external_id": "sbe_0199541a2b007d13",
    "type": "payment.captured",
    "kind": "payment",
    "object_id": "sbx_0199541a2b007d13",
    "api_version": "1",
    "status": "processed",
    "attempts": 1,
    "error": "",
    "received_at": "2026-09-14T09:30:01Z",
    "processed_at": "2026-09-14T09:30:01Z",
}
REVIEW: Example = {
    "suspense": [
        {
            "payment_id": PAYMENT,
            "order_id": None,
            "gateway": "stripe",
            "external_id": "pi_3PtE2eLkdIwHu7ix",
            "captured": "20.00",
            "kept": "20.00",
            "currency": "EUR",
            "captured_at": "2026-09-14T09:30:01Z",
        }
    ],
    "failed_refunds": [],
    "superseded": [],
    "ended_subscriptions": [],
    "negative_creators": [{"creator_id": CREATOR, "currency": "EUR", "balance": "-4.00"}],
    "payouts": [],
    "failed_events": [],
    "ledger_checks": [],
}
DISPUTE: Example = {
    "id": "01995a40-3200-769b-87ec-92a3b4c5d6e7",
    "payment_id": PAYMENT,
    "order_id": ORDER["id"],
    "gateway": "sandbox",
    "external_id": "sbd_01995a4032007d13",
    "status": "needs_response",
    "reason": "fraudulent",
    "amount": "20.00",
    "withdrawn": "20.00",
    "reinstated": "0.00",
    "fee": "0.00",
    "currency": "EUR",
    "evidence_due": "2026-09-29T12:00:00Z",
    "evidence_status": "draft",
    "created_at": "2026-09-15T12:00:00Z",
}
EVIDENCE: Example = {
    "dispute_id": DISPUTE["id"],
    "status": "draft",
    "is_open": True,
    "evidence_due": "2026-09-29T12:00:00Z",
    "submitted_at": None,
    "texts": {"product_description": "The video “Tides”, bought for good and watched twice."},
    "files": [{"field": "receipt", "name": "receipt.pdf", "size": 48213}],
}
POOL: Example = {
    "id": "0199c7a0-5100-77ac-98fd-a3b4c5d6e7f8",
    "period": "2026-09",
    "currency": "EUR",
    "balance": "48.00",
    "amount": "48.00",
    "total_seconds": 14400,
    "algorithm": "prorata-v1",
    "input_sha256": HASH,
    "closed_at": "2026-10-04T02:00:00Z",
    "closed_by_id": ADMINISTRATOR,
    "creators": 2,
}
CLOSINGS: Example = {
    "period": "2026-09",
    "dry_run": False,
    "pools": [
        {
            "currency": "EUR",
            "balance": "48.00",
            "amount": "48.00",
            "total_seconds": 14400,
            "algorithm": "prorata-v1",
            "input_sha256": HASH,
            "shares": [{"creator_id": CREATOR, "seconds": 3600, "amount": "12.00"}],
        }
    ],
}
CONFIG: Example = {
    "gateway": "sandbox",
    "sandbox": True,
    "publishable_key": None,
    "currencies": ["EUR", "GBP", "USD"],
    "default_currency": "EUR",
}


def sent(name: str, value: object) -> OpenApiExample:
    """Return an example of a request's body."""
    return OpenApiExample(name, value=value, request_only=True)


def answered(name: str, value: object, *statuses: int) -> OpenApiExample:
    """Return an example of an answer's body: of those with these statuses, or of each 200 and 201."""
    codes = [str(status) for status in statuses] or None  # None: 200 and 201
    return OpenApiExample(name, value=value, response_only=True, status_codes=codes)
