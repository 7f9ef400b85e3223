"""Appeals of creators against take-downs."""

import uuid

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from accounts.roles import Role
from audit.actions import AuditAction
from videos.models import Video
from videos.moderation import cases
from videos.moderation.errors import (
    AlreadyDecided,
    AnotherMustDecide,
    AppealOpen,
    AppealsUsedUp,
    NotTakenDown,
)
from videos.moderation.models import Appeal, ModerationCase

APPEALS_MAX = 2  # against one take-down


@transaction.atomic
def appeal(*, video: Video, creator: User, detail: str) -> Appeal:
    """File the owner's appeal against the take-down of a video.

    Raises NotTakenDown, AppealOpen while one waits, and AppealsUsedUp after APPEALS_MAX.
    """
    taken_down = ModerationCase.Status.TAKEN_DOWN
    case_id = (
        ModerationCase.objects.filter(video=video, status=taken_down).values_list("pk").first()
    )
    try:
        if case_id is None:
            raise NotTakenDown()
        case = cases.locked(case_id[0], taken_down)
    except AlreadyDecided:  # it was restored at this moment
        raise NotTakenDown() from None
    earlier = list(case.appeals.values_list("status", flat=True))
    if Appeal.Status.OPEN in earlier:
        raise AppealOpen()
    if len(earlier) >= APPEALS_MAX:
        raise AppealsUsedUp()
    row = Appeal.objects.create(case=case, detail=detail)
    audit.record(
        actor=creator, action=AuditAction.APPEAL_FILED, target=case.video, case=str(case.pk)
    )
    return row


@transaction.atomic
def reject(*, case_id: uuid.UUID, actor: User, note: str) -> Appeal:
    """Reject the open appeal of a case: the video stays taken down, and the creator is told why.

    To grant it, restore the video (`cases.restore`). Raises AlreadyDecided, OwnVideo, and
    AnotherMustDecide for the moderator who took the video down, unless there is no other.
    """
    case = cases.locked(case_id, ModerationCase.Status.TAKEN_DOWN)
    cases.refuse_own(case.video, actor)
    row = case.appeals.filter(status=Appeal.Status.OPEN).first()
    if row is None:
        raise AlreadyDecided()
    if case.decided_by_id == actor.pk and others_than(actor, case.video):
        raise AnotherMustDecide()
    row.status, row.answer = Appeal.Status.REJECTED, note
    row.decided_at, row.decided_by = timezone.now(), actor
    row.save(update_fields=["status", "answer", "decided_at", "decided_by"])
    audit.record(
        actor=actor, action=AuditAction.APPEAL_REJECTED, target=case.video, case=str(case.pk)
    )
    cases.tell(case, "appeal_rejected", note=note)
    return row


def others_than(actor: User, video: Video) -> bool:
    """Return whether another active person than ``actor`` may judge a video: not its creator."""
    may = Q(is_moderator=True) | Q(role__name=Role.ADMIN)
    people = User.objects.filter(may, is_active=True)
    return people.exclude(pk__in=[actor.pk, video.creator_id]).exists()
