"""The examples of webhooks in the OpenAPI document."""

from typing import Any

from payments.examples import answered, sent

__all__ = ["DELIVERY", "ENDPOINT", "answered", "sent"]

OWNER = "01994f28-7d10-7c52-8a3e-94b0a2d4c611"
ENDPOINT: dict[str, Any] = {
    "id": "01a21882-4f6c-7b21-9d0e-5c3a8f1e7b44",
    "owner_id": OWNER,
    "url": "https://shop.example.com/hooks/vod",
    "description": "The shop",
    "event_types": ["video.ready", "video.failed"],
    "is_active": True,
    "disabled_at": None,
    "disabled_reason": "",
    "failing_since": None,
    "previous_until": None,
    "created_at": "2026-11-26T15:38:55.752537Z",
}
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDXpJwyEeYQhM="  # noqa: S105 - an example
DELIVERY: dict[str, Any] = {
    "id": "01a21883-0a52-7f00-8d8e-52a4d0b6c9aa",
    "endpoint_id": ENDPOINT["id"],
    "message_id": "msg_01a218830a527f008d8e52a4d0b6c9aa",
    "event_type": "video.ready",
    "status": "delivered",
    "attempts": 1,
    "created_at": "2026-11-26T15:39:43.314112Z",
    "attempted_at": "2026-11-26T15:39:44.020117Z",
    "next_attempt_at": None,
    "finished_at": "2026-11-26T15:39:44.161020Z",
    "answer_status": 204,
    "answer_excerpt": "",
    "duration_ms": 118,
    "failure": "",
    "payload": {
        "type": "video.ready",
        "timestamp": "2026-11-26T15:39:43.314112Z",
        "data": {"id": "01a21880-93d1-7d4b-b8a3-0f1f6a8f2c55", "status": "READY"},
    },
}
