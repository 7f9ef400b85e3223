"""What the sandbox tells the merchant: written with what it tells, delivered after the commit.

Delivery is a signed message handed to the receivers of ``message_sent``, which verify it like any
other; one that fails is delivered again, later and later.
"""

import json
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from config.ids import uuid7
from payments.gateways import signatures
from payments.gateways.sandbox.locks import lock_clock
from payments.models import SandboxClock, SandboxEvent

HEADER = "Sandbox-Signature"
API_VERSION = "2026-11-01"
TRIES = 12

# Arguments: body (bytes), headers (dict). A receiver that raises has not taken it in.
message_sent = Signal()


def now() -> datetime:
    """The sandbox's time. Only ever moved forward."""
    clock = SandboxClock.objects.filter(pk=1).first()
    return timezone.now() + (clock.ahead if clock else timedelta())


def tell(event_type: str, kind: str, object_id: str) -> None:
    """Call it in the transaction of what it tells."""
    SandboxEvent.objects.create(
        id=f"sbe_{uuid7().hex}", type=event_type, kind=kind, object_id=object_id
    )


def message(event: SandboxEvent) -> tuple[bytes, dict[str, str]]:
    """The signed message of an event: body and headers."""
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
    return body, {HEADER: signatures.sign(body, secret, timezone.now().timestamp())}


def deliver_due() -> int:
    """Deliver what has not been taken in yet; returns how much was. Never inside a transaction."""
    if not settings.SANDBOX_WEBHOOK_SECRETS:
        return 0
    delivered = 0
    due = SandboxEvent.objects.filter(next_attempt_at__lte=timezone.now()).order_by("pk")
    for event in list(due[:200]):
        delivered += _deliver(event)
    return delivered


def _deliver(event: SandboxEvent) -> bool:
    attempts = event.attempts + 1
    later = timezone.now() + timedelta(seconds=min(5 * 2**attempts, 3600))
    # Whoever raises the number of attempts delivers; another process finds nothing to do.
    mine = SandboxEvent.objects.filter(pk=event.pk, attempts=event.attempts).update(
        attempts=attempts, next_attempt_at=later if attempts < TRIES else None
    )
    if not mine:
        return False
    body, headers = message(event)
    outcomes = message_sent.send_robust(sender=SandboxEvent, body=body, headers=headers)
    if any(isinstance(outcome, Exception) for _, outcome in outcomes):
        return False
    SandboxEvent.objects.filter(pk=event.pk).update(
        delivered_at=timezone.now(), next_attempt_at=None
    )
    return True


@transaction.atomic
def move_clock(step: timedelta) -> datetime:
    """Set the sandbox's clock forward; returns its new time."""
    clock = lock_clock()
    clock.ahead += step
    clock.save(update_fields=["ahead"])
    return timezone.now() + clock.ahead
