"""Suspensions of creators."""

import uuid

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from accounts.roles import Role
from audit.actions import AuditAction
from config.errors import NotVisible
from videos.moderation.errors import AlreadySuspended, NotSuspendable
from videos.moderation.models import Reason, Suspension
from videos.signals import creator_suspended, moderation_decided


@transaction.atomic
def suspend(*, creator_id: uuid.UUID, actor: User, reason: str, note: str) -> Suspension:
    """Take all videos of a creator out of the catalogue and the shop until `lift`.

    The creator can still sign in, see their videos, numbers and balance, and watch. Buyers keep what
    they have bought, as with a deactivated creator. Open orders of the videos expire, and playback of
    free and subscribed viewers ends. Payouts wait; the balance stays. The creator is told all of it.

    Raises NotVisible, NotSuspendable (oneself, an administrator), AlreadySuspended.
    """
    creator = _lock(creator_id)
    if creator.pk == actor.pk or creator.role_name == Role.ADMIN:
        raise NotSuspendable()
    if creator.suspended_at is not None:
        raise AlreadySuspended()
    row = Suspension.objects.create(creator=creator, reason=reason, note=note, created_by=actor)
    creator.suspended_at = row.created_at
    creator.save(update_fields=["suspended_at"])
    audit.record(
        actor=actor,
        action=AuditAction.CREATOR_SUSPENDED,
        target=creator,
        reason=reason,
        suspension=str(row.pk),
    )
    creator_suspended.send(sender=User, creator=creator)
    _tell(row, "suspended", note)
    return row


@transaction.atomic
def lift(*, creator_id: uuid.UUID, actor: User, note: str = "") -> Suspension:
    """End a creator's suspension: the videos are in the shop again as they were.

    Raises NotVisible, and AlreadySuspended for a creator who is not suspended.
    """
    creator = _lock(creator_id)
    row = Suspension.objects.filter(creator=creator, lifted_at=None).first()
    if row is None or creator.pk == actor.pk:
        raise AlreadySuspended()
    row.lifted_at, row.lifted_by = timezone.now(), actor
    row.save(update_fields=["lifted_at", "lifted_by"])
    creator.suspended_at = None
    creator.save(update_fields=["suspended_at"])
    audit.record(
        actor=actor, action=AuditAction.SUSPENSION_LIFTED, target=creator, suspension=str(row.pk)
    )
    _tell(row, "suspension_lifted", note)
    return row


def _lock(creator_id: uuid.UUID) -> User:
    creator = User.objects.select_for_update(no_key=True).filter(pk=creator_id).first()
    if creator is None:
        raise NotVisible()
    return creator


def _tell(row: Suspension, kind: str, note: str) -> None:
    moderation_decided.send(
        sender=Suspension,
        kind=kind,
        creator_id=row.creator_id,
        video_id=None,
        title="",
        reason=Reason(row.reason).label,
        note=note,
        key=f"{row.pk}:{kind}",
    )
