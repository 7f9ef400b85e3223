"""The sandbox's clock and its webhook events.

An event is written in the transaction of the change that it reports, and delivered after the commit. To
deliver it means to hand a signed message to the receivers of ``message_sent``, which verify it like a
message of any other gateway. An event whose receiver fails is delivered again, at growing intervals.
"""

import json
import time
from datetime import datetime, timedelta
from itertools import takewhile

from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from config import rows
from config.ids import uuid7
from config.prepared import new
from payments.gateways import signatures
from payments.gateways.base import ObjectKind
from payments.gateways.sandbox.locks import lock_clock
from payments.models import SandboxClock, SandboxEvent

HEADER = "Sandbox-Signature"
API_VERSION = "2026-11-01"
MAX_ATTEMPTS = 12
DUE_AT_ONCE = 200  # events of one call of `deliver_due`
AT_ONCE_SECONDS = 5.0  # of one call of the sandbox's periodic work; the next call goes on
MAX_WAIT_SECONDS = 3600
AHEAD_MAX = timedelta(days=36_500)

# Arguments: body (bytes), headers (dict). A receiver that raises gets the message again later.
message_sent = Signal()


def now() -> datetime:
    """Return the sandbox's time: the real time, or a later one after the clock was moved."""
    clock = SandboxClock.objects.filter(pk=1).first()
    return timezone.now() + (clock.ahead if clock else timedelta())


@transaction.atomic
def move_clock(step: timedelta) -> datetime:
    """Move the sandbox's clock forward and return its new time. Raises ValidationError at its end."""
    clock = lock_clock()
    if clock.ahead + step > AHEAD_MAX:
        detail = f"The clock may be at most {AHEAD_MAX.days} days ahead."
        raise ValidationError({"days": [detail]}, code="max_value")
    clock.ahead += step
    clock.save(update_fields=["ahead"])
    return now()


def record(event_type: str, kind: ObjectKind, object_id: str) -> None:
    """Store an event about an object. Call it in the transaction that changes the object."""
    rows.insert(made(event_type, kind, object_id))


def made(event_type: str, kind: ObjectKind, object_id: str) -> SandboxEvent:
    """Return an event that is not stored yet."""
    return new(
        SandboxEvent, id=f"sbe_{uuid7().hex}", type=event_type, kind=kind, object_id=object_id
    )


def message(event: SandboxEvent) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of an event's message, signed now."""
    body = json.dumps(
        {
            "id": event.pk,
            "type": event.type,
            "created": int(event.created_at.timestamp()),
            "livemode": False,
            "api_version": API_VERSION,
            "data": {"object": {"object": event.kind, "id": event.object_id}},
        }
    ).encode()
    secret = settings.SANDBOX_WEBHOOK_SECRETS[0]
    return body, {HEADER: signatures.sign(body, secret, time.time())}


def deliver_due() -> int:
    """Deliver the events that are due, and return how many were accepted.

    Safe to run in several processes at once. Never call it inside a transaction: the receivers call the
    gateway. Without SANDBOX_WEBHOOK_SECRETS nothing is delivered. Stops after AT_ONCE_SECONDS: a request
    that calls it must not wait for everything that others have caused.
    """
    give_up_at = time.monotonic() + AT_ONCE_SECONDS
    if not settings.SANDBOX_WEBHOOK_SECRETS:
        return 0
    due = SandboxEvent.objects.filter(next_attempt_at__lte=timezone.now()).order_by("pk")
    in_time = takewhile(lambda _: time.monotonic() < give_up_at, list(due[:DUE_AT_ONCE]))
    return sum(map(_deliver, in_time))


def _deliver(event: SandboxEvent) -> bool:
    """Make one attempt to deliver an event, and return whether all receivers accepted it."""
    attempts = event.attempts + 1
    wait = timedelta(seconds=min(5 * 2**attempts, MAX_WAIT_SECONDS))
    # The process whose UPDATE raises the number of attempts delivers. Any other one changes no row.
    claimed = SandboxEvent.objects.filter(pk=event.pk, attempts=event.attempts).update(
        attempts=attempts,
        next_attempt_at=timezone.now() + wait if attempts < MAX_ATTEMPTS else None,
    )
    if not claimed:
        return False
    body, headers = message(event)
    outcomes = message_sent.send_robust(sender=SandboxEvent, body=body, headers=headers)
    if any(isinstance(outcome, Exception) for _, outcome in outcomes):
        return False
    SandboxEvent.objects.filter(pk=event.pk).update(
        delivered_at=timezone.now(), next_attempt_at=None
    )
    return True
