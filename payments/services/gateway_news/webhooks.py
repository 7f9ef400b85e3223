"""Webhook events: verifying, storing, processing and replaying the messages of gateways."""

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import DomainError
from payments import gateways, modes
from payments.errors import GatewayUnavailable, OfEarlierMode, PaymentsClosed
from payments.gateways.base import GatewayEvent, NotThere, WebhookRefused
from payments.gateways.translation import translate_errors
from payments.models import WebhookEvent
from payments.services.gateway_news import changes

logger = logging.getLogger(__name__)
BODY_MAX = 1024 * 1024  # bytes
ID_MAX = 120  # characters
# The clock of events that were received and not processed: the service tries again by itself.
RETRY_AFTER = timedelta(minutes=5)
MAX_ATTEMPTS = 8
AT_ONCE = 100
Status = WebhookEvent.Status
DONE = (Status.PROCESSED, Status.IGNORED)


class EventFailed(DomainError):
    """A webhook event could not be processed, for a reason that its row names."""

    default_code = "news_failed"


# What `replay_event` can raise, for the API document.
REFUSALS = (EventFailed, GatewayUnavailable, OfEarlierMode, PaymentsClosed)


def is_configured(gateway: str) -> bool:
    """Tell whether the gateway is open and has a secret; without one no message can be verified."""
    if not gateways.is_known(gateway):
        return False
    try:
        return gateways.by_name(gateway).webhook_is_configured()
    except (PaymentsClosed, OfEarlierMode):
        return False


def receive(*, gateway: str, body: bytes, headers: Mapping[str, str]) -> WebhookEvent:
    """Verify a message, store it as a webhook event and process it.

    An event that was processed or ignored before is returned as it is. Raises WebhookRefused, and
    stores nothing, for a message with a bad signature, an old or unreadable one, and one of the other
    mode (test or live). Raises any other error when the event could not be processed: it is stored as
    FAILED, and the gateway shall send it again.
    """
    sender = gateways.by_name(gateway)
    event = sender.verify_webhook(body, headers)
    if event.livemode != bool(sender.public["livemode"]):
        raise WebhookRefused("A message of the other mode: test and live must not meet.")
    if not 0 < len(event.id) <= ID_MAX or len(event.external_id) > ID_MAX:
        raise WebhookRefused("The message has no usable id.")
    row = _store(gateway, event)
    return row if row.status in DONE else process_event(row)


def process_event(row: WebhookEvent) -> WebhookEvent:
    """Process a stored event and note the outcome. Safe to repeat, and to run at once in many places.

    An event without a kind, or of an object that the gateway does not know, is IGNORED. Every error is
    noted as FAILED and raised again.
    """
    WebhookEvent.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    try:
        if row.kind:
            changes.process_change(gateway=row.gateway, kind=row.kind, external_id=row.object_id)
        return _finish(row, Status.PROCESSED if row.kind else Status.IGNORED)
    except NotThere:
        return _finish(row, Status.IGNORED, "The gateway does not know this object.")
    except Exception as error:
        logger.exception("The %s event %s could not be processed.", row.gateway, row.external_id)
        _finish(row, Status.FAILED, type(error).__name__)
        raise


def process_waiting() -> int:
    """Process the events again that a dead process or an error has left; return how many succeeded.

    The wait doubles with each attempt, from RETRY_AFTER on. After MAX_ATTEMPTS an event stays FAILED
    until an administrator replays it. Safe to repeat, and to run at once in many processes. The next
    run continues when a gateway does not answer.
    """
    waiting = WebhookEvent.objects.filter(status__in=[Status.RECEIVED, Status.FAILED])
    for row in waiting.filter(status=Status.RECEIVED, attempts__gte=MAX_ATTEMPTS):
        _finish(row, Status.FAILED, "Each process that worked on this event was killed.")
    processed = 0
    now = timezone.now()
    due = Q()
    for attempts in range(MAX_ATTEMPTS):
        due |= Q(attempts=attempts, last_attempt_at__lte=now - RETRY_AFTER * 2**attempts)
    dated = waiting.annotate(last_attempt_at=Coalesce("processed_at", "received_at"))
    for row in dated.filter(due).order_by("received_at")[:AT_ONCE]:
        try:
            process_event(row)
            processed += 1
        except OSError:
            break
        except Exception:  # noqa: BLE001 - logged with its cause, and noted at the event
            logger.info("The event %s waits for its next attempt.", row.external_id)
    return processed


def replay_event(event: WebhookEvent, *, actor: User) -> WebhookEvent:
    """Process a stored event again, on an administrator's wish. Safe to repeat: only news is booked.

    Raises GatewayUnavailable, OfEarlierMode for an event of an earlier mode, and EventFailed for any
    other error; the event's row names the error.
    """
    gateways.require_open()
    if modes.is_over(event.received_at) or not gateways.is_open(event.gateway):
        raise OfEarlierMode()
    audit.record(actor=actor, action=AuditAction.WEBHOOK_REPLAYED, target=event, type=event.type)
    try:
        with translate_errors():
            process_event(event)
    except GatewayUnavailable:
        raise
    except Exception as error:  # logged by `process_event`
        event.refresh_from_db()
        raise EventFailed(
            f"This event could not be processed ({event.error}). Remove the cause, then replay it."
        ) from error
    event.refresh_from_db()
    return event


def _store(gateway: str, event: GatewayEvent) -> WebhookEvent:
    """Return the row of an event: a new one, or the one that an earlier delivery made."""
    try:
        with transaction.atomic():
            return WebhookEvent.objects.create(
                gateway=gateway,
                external_id=event.id,
                type=event.type[:80],
                kind=event.kind if event.external_id else "",
                object_id=event.external_id,
                api_version=event.api_version[:40],
            )
    except IntegrityError:
        return WebhookEvent.objects.get(gateway=gateway, external_id=event.id)


def _finish(row: WebhookEvent, status: str, error: str = "") -> WebhookEvent:
    """Note the outcome of an event and return its row; an event that is PROCESSED stays so."""
    # Two processes may work on one event: the failure of one does not undo the success of the other.
    outcome = {"status": status, "error": error, "processed_at": timezone.now()}
    if WebhookEvent.objects.filter(pk=row.pk).exclude(status=Status.PROCESSED).update(**outcome):
        for name, value in outcome.items():
            setattr(row, name, value)
    else:
        row.refresh_from_db()
    return row
