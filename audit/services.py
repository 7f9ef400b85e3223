"""The writing of the audit log."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models

from audit.actions import AuditAction
from audit.context import origin
from audit.models import AuditEntry
from config import reasons


def record(
    *,
    actor: AbstractBaseUser | AnonymousUser | uuid.UUID | None,
    action: AuditAction,
    target: models.Model | None = None,
    **data: object,
) -> AuditEntry:
    """Write an entry about a change, in the transaction of the change.

    Call it inside that transaction: change and entry are then committed together or not at all.
    ``actor`` is a user or a user's id, and None for the service itself; ``target`` is the changed row.
    ``data`` must be JSON, without secrets and personal data. Address and request id come from the
    current request, if any. The reason that an administrator gave for the act on the admin site is kept
    in ``data`` as ``admin_reason``.
    """
    source = origin()
    if reason := reasons.given():
        data["admin_reason"] = reason
    if actor is not None and not isinstance(actor, uuid.UUID):
        actor = actor.pk if actor.is_authenticated else None
    return AuditEntry.objects.create(
        actor_id=actor,
        action=action,
        target_type=(target._meta.model_name or "") if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        method=source.method,
        path=source.path,
        ip=source.ip,
        user_agent=source.user_agent,
        request_id=source.request_id,
        data=data,
    )
