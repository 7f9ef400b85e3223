"""Reports and the decisions about them. The only functions that change a case."""

import uuid

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from videos.models import Video
from videos.moderation.errors import AlreadyDecided, OwnVideo
from videos.moderation.models import Appeal, ModerationCase, Report
from videos.signals import case_decided, case_opened, moderation_decided, video_taken_down

Status = ModerationCase.Status


@transaction.atomic
def report(*, video: Video, reporter: User, reason: str, detail: str = "") -> tuple[Report, bool]:
    """Add a user's report to the video's open case, and return it, and whether it is new.

    The first report opens the case. A second one of the same user in the case replaces the first one's
    reason and words. Raises OwnVideo, and NotVisible for a video that is deleted or taken down.
    """
    if video.creator_id == reporter.pk:
        raise OwnVideo()
    case, is_first = _open_case(video.pk)
    row, is_new = Report.objects.update_or_create(
        case=case, reporter=reporter, defaults={"reason": reason, "detail": detail}
    )
    audit.record(
        actor=reporter,
        action=AuditAction.VIDEO_REPORTED,
        target=video,
        reason=reason,
        case=str(case.pk),
    )
    if is_first:
        case_opened.send(sender=ModerationCase, case=case, reason=reason, is_told=False)
    return row, is_new


@transaction.atomic
def open_case(*, video_id: uuid.UUID, actor: User) -> ModerationCase:
    """Return the video's open case; without one, open it at a moderator's own wish.

    Raises OwnVideo, and NotVisible for a video that is unknown, deleted or taken down.
    """
    video = Video.objects.alive().filter(pk=video_id).first()
    if video is None:
        raise NotVisible()
    refuse_own(video, actor)
    case, is_new = _open_case(video_id)
    audit.record(actor=actor, action=AuditAction.CASE_OPENED, target=video, case=str(case.pk))
    if is_new:
        case_opened.send(sender=ModerationCase, case=case, reason="", is_told=False)
    return case


def _open_case(video_id: uuid.UUID) -> tuple[ModerationCase, bool]:
    """Return the open case of a video that can be reported, and whether this call has opened it.

    The video is locked: a case cannot be decided, nor its video deleted, between this and the report.
    """
    videos = Video.objects.alive().filter(pk=video_id, taken_down_at=None)
    if not videos.select_for_update(no_key=True).exists():
        raise NotVisible()
    return ModerationCase.objects.get_or_create(video_id=video_id, status=Status.OPEN)


def dismiss(*, case_id: uuid.UUID, actor: User, note: str = "") -> ModerationCase:
    """Close an open case without a consequence. `reopen` undoes it. Raises AlreadyDecided, OwnVideo."""
    return _decide(case_id, actor, Status.DISMISSED, AuditAction.CASE_DISMISSED, note=note)


@transaction.atomic
def warn(*, case_id: uuid.UUID, actor: User, reason: str, note: str) -> ModerationCase:
    """Close an open case with a warning, which the creator is told. `reopen` takes it back.

    Raises AlreadyDecided, OwnVideo.
    """
    case = _decide(
        case_id, actor, Status.WARNED, AuditAction.CREATOR_WARNED, reason=reason, note=note
    )
    tell(case, "warned")
    return case


@transaction.atomic
def take_down(*, case_id: uuid.UUID, actor: User, reason: str, note: str) -> ModerationCase:
    """Close an open case, and take its video out of the catalogue, the shop and everyone's reach.

    Only the owner, administrators and the desk see it from the commit on, also no buyer: playback ends
    within two seconds, open orders expire, and the creator is told the reason. `restore` undoes it.
    Raises AlreadyDecided, OwnVideo, and NotVisible for a deleted video.
    """
    case = _decide(
        case_id, actor, Status.TAKEN_DOWN, AuditAction.VIDEO_TAKEN_DOWN, reason=reason, note=note
    )
    offered = Video.objects.alive().filter(pk=case.video_id, taken_down_at=None)
    if not offered.update(taken_down_at=case.decided_at):
        raise NotVisible()
    case.video.taken_down_at = case.decided_at
    video_taken_down.send(sender=Video, video=case.video)
    tell(case, "taken_down")
    return case


@transaction.atomic
def restore(*, case_id: uuid.UUID, actor: User, note: str = "") -> ModerationCase:
    """Give a video back that was taken down. It grants the open appeal, if there is one.

    The moderator who took it down may do so, too. Raises AlreadyDecided, OwnVideo.
    """
    case = locked(case_id, Status.TAKEN_DOWN)
    refuse_own(case.video, actor)
    now = timezone.now()
    ModerationCase.objects.filter(pk=case.pk).update(status=Status.RESTORED, restored_at=now)
    Video.objects.filter(pk=case.video_id).update(taken_down_at=None)
    granted = Appeal.objects.filter(case=case, status=Appeal.Status.OPEN).update(
        status=Appeal.Status.GRANTED, decided_at=now, decided_by=actor, answer=note
    )
    case.status, case.restored_at = Status.RESTORED, now
    audit.record(
        actor=actor,
        action=AuditAction.VIDEO_REINSTATED,
        target=case.video,
        case=str(case.pk),
        appeals=granted,
    )
    tell(case, "restored", note=note)
    case_decided.send(sender=ModerationCase, case=case, note=note, is_told=True)
    return case


@transaction.atomic
def reopen(*, case_id: uuid.UUID, actor: User) -> ModerationCase:
    """Undo a dismissal or a warning: the case waits for a decision again, from now on.

    A creator who was warned is told that the warning does not count. If the video has got another open
    case meanwhile, the decision about that one is the way on: AlreadyDecided. Raises OwnVideo, and
    NotVisible for a video that is deleted or taken down.
    """
    case = locked(case_id, Status.DISMISSED, Status.WARNED)
    refuse_own(case.video, actor)
    if case.video.deleted_at is not None or case.video.taken_down_at is not None:
        raise NotVisible(
            "The video of this case is deleted or taken down, so there is nothing to decide."
        )
    if ModerationCase.objects.filter(video=case.video_id, status=Status.OPEN).exists():
        raise AlreadyDecided("This video has a newer open case. Decide that one.")
    before = case.status
    ModerationCase.objects.filter(pk=case.pk).update(
        status=Status.OPEN,
        opened_at=timezone.now(),
        decided_at=None,
        decided_by=None,
        reason="",
        note="",
    )
    audit.record(
        actor=actor,
        action=AuditAction.CASE_REOPENED,
        target=case.video,
        case=str(case.pk),
        before=before,
    )
    if before == Status.WARNED:
        tell(case, "warning_withdrawn")
    case.refresh_from_db()
    case_opened.send(sender=ModerationCase, case=case, reason="", is_told=before == Status.WARNED)
    return case


def close_of_deleted(video: Video) -> None:
    """End what waits for a decision about a video, in the transaction that deletes it."""
    now = timezone.now()
    for case in ModerationCase.objects.filter(video=video, status=Status.OPEN):  # one at most
        case.status, case.decided_at = Status.MOOT, now
        case.save(update_fields=["status", "decided_at"])
        case_decided.send(sender=ModerationCase, case=case, note="", is_told=False)
    Appeal.objects.filter(case__video=video, status=Appeal.Status.OPEN).update(
        status=Appeal.Status.MOOT, decided_at=now
    )


@transaction.atomic
def _decide(
    case_id: uuid.UUID,
    actor: User,
    status: str,
    action: AuditAction,
    *,
    reason: str = "",
    note: str = "",
) -> ModerationCase:
    """Decide an open case. Of several moderators one decides, and the others get AlreadyDecided."""
    case = locked(case_id, Status.OPEN)
    refuse_own(case.video, actor)
    case.status, case.reason, case.note = status, reason, note
    case.decided_at, case.decided_by = timezone.now(), actor
    case.save(update_fields=["status", "reason", "note", "decided_at", "decided_by"])
    audit.record(actor=actor, action=action, target=case.video, case=str(case.pk), reason=reason)
    is_told = status != Status.DISMISSED
    case_decided.send(
        sender=ModerationCase, case=case, note=note if is_told else "", is_told=is_told
    )
    return case


def locked(case_id: uuid.UUID, *expected: str) -> ModerationCase:
    """Lock a case's video and the case, and return the case with an expected status.

    The video first, as `report` and the deletion of a video do. Raises NotVisible for an unknown case,
    and AlreadyDecided, which names the state, for another status. Call it in a transaction.
    """
    of_case = Q(pk__in=ModerationCase.objects.filter(pk=case_id).values("video"))
    video = Video.objects.select_for_update(of=("self",), no_key=True).filter(of_case).first()
    if video is None:
        raise NotVisible()
    case = ModerationCase.objects.select_for_update(no_key=True).get(pk=case_id)
    case.video = video
    if case.status not in expected:
        raise AlreadyDecided(
            f"Another moderator was faster. This case is now: {case.get_status_display()}. Load the "
            "page again."
        )
    return case


def refuse_own(video: Video, actor: User) -> None:
    """Raise OwnVideo for a moderator who would judge a video of their own."""
    if video.creator_id == actor.pk:
        raise OwnVideo()


def tell(case: ModerationCase, kind: str, *, note: str | None = None, key: str = "") -> None:
    """Tell the creator of a decision, in its transaction (`signals.moderation_decided`)."""
    moderation_decided.send(
        sender=ModerationCase,
        kind=kind,
        creator_id=case.video.creator_id,
        video_id=case.video_id,
        title=case.video.title,
        reason=case.get_reason_display(),
        note=case.note if note is None else note,
        key=key or f"{case.pk}:{timezone.now():%Y%m%d%H%M%S%f}",
    )
