"""Mails about moderation: what creators are told of decisions, and moderators of what waits."""

import uuid

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from config import mails
from payments.services.notices.writing import MAILS, write_mail

REASONED = {"warned", "taken_down", "suspended"}  # the decisions whose reason the creator is told


def write_decision(
    creator_id: uuid.UUID,
    *,
    kind: str,
    video_id: uuid.UUID | None,
    title: str,
    reason: str,
    note: str,
    key: str,
) -> None:
    """Write the mail that tells a creator of a moderator's decision, one for each ``key``.

    ``kind`` is the name of the mail's template. ``video_id`` is None for a decision about the creator.
    """
    write_mail(
        creator_id,
        f"{MAILS}/{kind}.html",
        dedupe_key=f"moderation:{kind}:{key}"[:120],
        title=" ".join(title.split()),
        reason=reason if kind in REASONED else "",
        note=note,
        watch_page=mails.watch_page(video_id),
        appeal_page=mails.page(f"/appeal/{video_id}"),
    )


def write_reminder(*, cases: int, appeals: int) -> None:
    """Write to each moderator that reports or appeals wait; without one, to the administrators.

    One mail a day to each of them.
    """
    active = User.objects.filter(is_active=True)
    moderators = active.filter(is_moderator=True)
    people = moderators if moderators.exists() else active.filter(Q(role__name=Role.ADMIN))
    for user in people:
        write_mail(
            user,
            f"{MAILS}/reports_wait.html",
            dedupe_key=f"moderation:waits:{user.pk}:{timezone.now():%Y-%m-%d}",
            cases=cases,
            appeals=appeals,
            desk=mails.page("/admin/"),
        )
