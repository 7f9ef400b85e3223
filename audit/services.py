"""The writing of the audit log."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models

from audit.actions import AuditAction
from audit.context import origin, via_key
from audit.models import AuditEntry
from config import prepared, reasons, rows

Actor = AbstractBaseUser | AnonymousUser | uuid.UUID | None
_BATCH = 500
_FEW = 20  # entries that need no batches
_together: ContextVar[list[AuditEntry] | None] = ContextVar("audit_together", default=None)


class Named(NamedTuple):
    """A target that is no row of a table, such as the address of a failed sign-in without an account."""

    type: str
    id: str


def record(
    *,
    actor: Actor,
    action: AuditAction,
    target: models.Model | Named | None = None,
    **data: object,
) -> AuditEntry:
    """Write an entry about a change, in the transaction of the change.

    Call it inside that transaction: change and entry are then committed together or not at all.
    ``actor`` is a user or a user's id, and None for the service itself; ``target`` is the changed row.
    ``data`` must be JSON, without secrets and personal data. Address and request id come from the
    current request, if any. The reason that an administrator gave for the act on the admin site is kept
    in ``data`` as ``admin_reason``, and the id and name of the API key that made the request as
    ``api_key``.
    """
    entry = _entry(actor, action, target, data)
    waiting = _together.get()
    if waiting is None:
        rows.insert(entry)
    else:
        waiting.append(entry)
    return entry


def record_new(row: models.Model, *, actor: Actor, action: AuditAction, **data: object) -> None:
    """Store a new row together with an entry about it, as `record` writes one: both or neither.

    Needs no transaction around it. Raises IntegrityError.
    """
    rows.insert_together(row, _entry(actor, action, row, data))


@contextmanager
def together() -> Iterator[None]:
    """Write the entries of this block at its end, in the same order, by one statement.

    Open it inside the transaction of the changes. If the block fails, nothing is written. A savepoint
    that is rolled back inside the block does not take its entries with it. A block inside another one
    belongs to the outer one.
    """
    if _together.get() is not None:
        yield
        return
    waiting: list[AuditEntry] = []
    token = _together.set(waiting)
    try:
        yield
    finally:
        _together.reset(token)
    if waiting:
        if len(waiting) <= _FEW:
            rows.insert(*waiting)
        else:
            AuditEntry.objects.bulk_create(waiting, batch_size=_BATCH)


def record_each(
    *, actor: Actor, action: AuditAction, targets: Iterable[models.Model], **data: object
) -> int:
    """Write one entry about each target of a change of many rows, as `record` does; return the number.

    ``data`` is in each of the entries.
    """
    entries = [_entry(actor, action, target, data) for target in targets]
    AuditEntry.objects.bulk_create(entries, batch_size=_BATCH)
    return len(entries)


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, hidden: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return the fields that differ, for ``changes`` of `record`: ``{field: {"before", "after"}}``.

    Times, ids and rows become text; other values must be JSON. A field in ``hidden`` is
    named without its values: they are personal or secret, or too long for the log.
    """
    unnamed = set(hidden)
    return {
        name: {}
        if name in unnamed
        else {"before": _plain(before.get(name)), "after": _plain(after[name])}
        for name in sorted(after)
        if before.get(name) != after[name]
    }


def _plain(value: Any) -> Any:
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, uuid.UUID) else value


def _entry(
    actor: Actor,
    action: AuditAction,
    target: models.Model | Named | None,
    data: dict[str, object],
) -> AuditEntry:
    source = origin()
    if reason := reasons.given():
        data["admin_reason"] = reason
    if (key := via_key.get()) and source.method:
        data["api_key"] = key
    if actor is not None and not isinstance(actor, uuid.UUID):
        actor = actor.pk if actor.is_authenticated else None
    if isinstance(target, models.Model):
        target = Named(target._meta.model_name or "", str(target.pk))
    return prepared.new(
        AuditEntry,
        actor_id=actor,
        action=action,
        target_type=target.type if target else "",
        target_id=target.id if target else "",
        method=source.method,
        path=source.path,
        ip=source.ip,
        user_agent=source.user_agent,
        request_id=source.request_id,
        data=data,
    )
