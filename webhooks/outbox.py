"""Writing events and their deliveries, in the transaction of the change that they tell of."""

import uuid
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.fields import DateTimeField

from config.api.renderers import QuickJSONRenderer
from config.rows import Rows
from webhooks.catalogue import EventType
from webhooks.models import Delivery, Endpoint, Event

_ENABLED = Rows(lambda: Endpoint.objects.filter(disabled_at=None), Endpoint, joined="owner")


def announce(
    event_type: EventType,
    *,
    about: object,
    data: Callable[[], dict[str, Any]],
    key: object = "",
    subject_id: uuid.UUID | None = None,
) -> None:
    """Store an event for each active endpoint that asks for it and whose owner may know of it.

    Call it in the transaction of the change, so that both are committed together or not at all.
    ``about`` is the id of the object, whose events are delivered in order. ``key`` tells apart what
    may happen to one object several times: an event with the same type, object and key is dropped.
    ``data`` makes the event's data, and is called only if there is an endpoint. ``subject_id`` is the
    creator whose video or payout it is.
    """
    endpoints = [
        endpoint
        for endpoint in _ENABLED.all()
        if endpoint.wants(event_type) and endpoint.may_receive(event_type, subject_id)
    ]
    if not endpoints:
        return
    now = timezone.now()
    kind = event_type.partition(".")[0]
    with transaction.atomic():
        event, is_new = Event.objects.get_or_create(
            key=f"{event_type}:{about}:{key}",
            defaults={
                "type": event_type,
                "about": f"{kind}:{about}",
                "subject_id": subject_id,
                "created_at": now,
                "body": _body(event_type, now, data()),
            },
        )
        if is_new:
            Delivery.objects.bulk_create(
                [
                    Delivery(
                        endpoint=endpoint,
                        event=event,
                        about=event.about,
                        created_at=now,
                        due_since=now,
                    )
                    for endpoint in endpoints
                ]
            )


def _body(event_type: str, at: Any, data: dict[str, Any]) -> str:
    timestamp = DateTimeField().to_representation(at)
    payload = {"type": str(event_type), "timestamp": timestamp, "data": data}
    return QuickJSONRenderer().render(payload).decode()
