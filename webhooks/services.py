"""All changes of endpoints and deliveries that people ask for."""

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from webhooks import signing
from webhooks.errors import DeliveryWaits, EndpointDisabled, TooManyEndpoints
from webhooks.models import Delivery, Endpoint

OVERLAP = timedelta(hours=24)  # for which a replaced secret still signs
BY_A_PERSON = "Disabled by a person."


@transaction.atomic
def create_endpoint(
    *, owner: User, url: str, description: str = "", event_types: list[str] | None = None
) -> Endpoint:
    """Create an active endpoint with a new secret. Raises TooManyEndpoints."""
    User.objects.select_for_update(no_key=True).get(
        pk=owner.pk
    )  # two at once must not pass the limit
    most = settings.WEBHOOK_ENDPOINTS_MAX
    if Endpoint.objects.filter(owner=owner, deleted_at=None).count() >= most:
        raise TooManyEndpoints(
            f"You have {most} endpoints, the most that are allowed. Delete one first."
        )
    endpoint = Endpoint.objects.create(
        owner=owner,
        url=url,
        description=description,
        event_types=event_types or [],
        secret=signing.new_secret(),
    )
    audit.record(actor=owner, action=AuditAction.WEBHOOK_ENDPOINT_CREATED, target=endpoint)
    return endpoint


@transaction.atomic
def change_endpoint(
    *, endpoint: Endpoint, actor: User, changes: Mapping[str, object], rotates: bool = False
) -> Endpoint:
    """Set ``url``, ``description``, ``event_types`` or ``is_active``, and return the endpoint.

    One that is enabled again begins without failures. Values that are the same change nothing.
    ``rotates`` gives it a new secret; the old one signs too for OVERLAP, and one before it no more.
    """
    row = _locked(endpoint)
    named = [name for name, value in changes.items() if getattr(row, name) != value]
    for name in named:
        if name == "is_active":
            _set_active(row, is_active=bool(changes[name]))
        else:
            setattr(row, name, changes[name])
    if "url" in named:
        _forget_failures(row)
    if named:
        row.save()
        audit.record(
            actor=actor,
            action=AuditAction.WEBHOOK_ENDPOINT_CHANGED,
            target=row,
            fields=sorted(named),  # no values: an address may hold a secret of the receiver
            is_active=row.is_active,
        )
    if rotates:
        row.previous_secret, row.previous_until = row.secret, timezone.now() + OVERLAP
        row.secret = signing.new_secret()
        row.save(update_fields=["secret", "previous_secret", "previous_until"])
        audit.record(actor=actor, action=AuditAction.WEBHOOK_SECRET_ROTATED, target=row)
    return row


def _set_active(row: Endpoint, *, is_active: bool) -> None:
    row.disabled_at = None if is_active else timezone.now()
    row.disabled_reason = "" if is_active else BY_A_PERSON
    if is_active:
        _forget_failures(row)


def _forget_failures(row: Endpoint) -> None:
    row.failures, row.failing_since, row.not_before = 0, None, Now()


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint, actor: User) -> None:
    """Delete the endpoint and its log. What waits for it is not sent any more.

    The secret goes at once, the rows with a sweep. Raises NotVisible if it is deleted already.
    """
    row = _locked(endpoint)
    row.deleted_at = row.disabled_at = timezone.now()
    row.disabled_reason, row.secret, row.previous_secret = "Deleted.", "", ""
    row.save()
    audit.record(actor=actor, action=AuditAction.WEBHOOK_ENDPOINT_DELETED, target=row)


@transaction.atomic
def replay(*, delivery: Delivery, actor: User) -> Delivery:
    """Send a delivery that has ended again, with the same id and body.

    A receiver that remembers ids can drop it. Raises DeliveryWaits and EndpointDisabled.
    """
    if not delivery.endpoint.is_active:
        raise EndpointDisabled()
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(status=Delivery.Status.WAITING)
    changed = ended.update(
        status=Delivery.Status.WAITING,
        attempts=0,
        finished_at=None,
        due_since=timezone.now(),
        not_before=Now(),
    )
    if not changed:
        raise DeliveryWaits()
    audit.record(actor=actor, action=AuditAction.WEBHOOK_REDELIVERED, target=delivery)
    return Delivery.objects.select_related("endpoint", "event").get(pk=delivery.pk)


def _locked(endpoint: Endpoint) -> Endpoint:
    """Lock and return the endpoint's row. Raises NotVisible if it was deleted meanwhile."""
    # NO KEY: deliveries that name the endpoint are inserted meanwhile, in transactions about money.
    rows = Endpoint.objects.select_for_update(no_key=True)
    row = rows.filter(pk=endpoint.pk, deleted_at=None).first()
    if row is None:
        raise NotVisible()
    return row
