"""Webhook events: verify, store and process what gateways report, once or again."""

import logging
from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config.errors import DomainError
from payments import gateways
from payments.errors import GatewayUnavailable
from payments.gateways.base import GatewayEvent, NotThere, WebhookRefused
from payments.gateways.translation import translate_errors
from payments.models import WebhookEvent
from payments.services.gateway_news import changes

logger = logging.getLogger(__name__)
BODY_MAX = 1024 * 1024
ID_MAX = 120
Status = WebhookEvent.Status
DONE = (Status.PROCESSED, Status.IGNORED)


class NewsFailed(DomainError):
    default_code = "news_failed"


def is_configured(gateway: str) -> bool:
    """False: nothing that claims to come from there can be believed."""
    return gateways.is_known(gateway) and gateways.by_name(gateway).webhook_is_configured()


def receive(*, gateway: str, body: bytes, headers: Mapping[str, str]) -> WebhookEvent:
    """Verify a message and take its news in.

    Raises WebhookRefused (bad signature, old, garbled, of the other mode), and then nothing is
    stored. Whatever else is raised, the gateway shall send it again: the event is kept as failed.
    """
    event = gateways.by_name(gateway).verify_webhook(body, headers)
    if event.livemode != bool(gateways.by_name(gateway).public["livemode"]):
        raise WebhookRefused("A message of the other mode: test and live must not meet.")
    if not 0 < len(event.id) <= ID_MAX or len(event.external_id) > ID_MAX:
        raise WebhookRefused("The message has no usable id.")
    row = _row(gateway, event)
    return row if row.status in DONE else process(row)


def process(row: WebhookEvent) -> WebhookEvent:
    """Take the news of a stored event in. Safe to repeat and to run at once in many places."""
    WebhookEvent.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    try:
        if row.kind:
            changes.take_in(gateway=row.gateway, kind=row.kind, external_id=row.object_id)
        return _finish(row, Status.PROCESSED if row.kind else Status.IGNORED)
    except NotThere:
        return _finish(row, Status.IGNORED, "The gateway does not know this object.")
    except Exception as error:
        logger.exception("The %s event %s could not be taken in.", row.gateway, row.external_id)
        _finish(row, Status.FAILED, type(error).__name__)
        raise


def replay(row: WebhookEvent, *, actor) -> WebhookEvent:
    """Take an event in again, because somebody asks."""
    audit.record(actor=actor, action=AuditAction.WEBHOOK_REPLAYED, target=row, type=row.type)
    return process(row)


def _row(gateway: str, event: GatewayEvent) -> WebhookEvent:
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
    # What one process has done is not undone by the failure of another.
    WebhookEvent.objects.filter(pk=row.pk).exclude(status=Status.PROCESSED).update(
        status=status, error=error, processed_at=timezone.now()
    )
    row.refresh_from_db()
    return row


def take_in_again(event: WebhookEvent, *, actor) -> WebhookEvent:
    """Safe to repeat: the gateway is asked, and the difference is booked.

    Raises GatewayUnavailable or NewsFailed; the event's row says what went wrong.
    """
    try:
        with translate_errors():
            return replay(event, actor=actor)
    except GatewayUnavailable:
        raise
    except Exception as error:  # whatever it is, it was logged, and no caller can repair it
        event.refresh_from_db()
        raise NewsFailed(f"This event could not be taken in: {event.error}.") from error
