"""The chapters that the owner sets."""

from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from videos.models import Video
from videos.presentation import refreshing
from videos.presentation.models import Presentation


@transaction.atomic
def set_chapters(*, video: Video, actor: User, chapters: list[dict[str, object]]) -> Video:
    """Make these the video's chapters. They stay when the video gets another file.

    An empty list removes all. Safe to repeat. Raises NotVisible if the video has been deleted.
    """
    if not Video.objects.alive().filter(pk=video.pk).update(chapters=chapters):
        raise NotVisible()
    audit.record(
        actor=actor,
        action=AuditAction.VIDEO_CHANGED,
        target=video,
        fields=["chapters"],
        chapters=len(chapters),
    )
    refreshing.mark(video)
    Presentation.objects.filter(video=video).update(chapters_are_own=True)
    video.chapters = chapters
    return video
