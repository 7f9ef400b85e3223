"""Adding, changing and deleting the captions of a video."""

from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from videos.errors import TooManyCaptions
from videos.models import Video
from videos.presentation import cues, embedded, refreshing, words
from videos.presentation.models import Caption

MOST_CAPTIONS = 100


class CaptionDetails(TypedDict, total=False):
    """The columns of Caption that its owner sets. ``cues`` are those of the new text."""

    language: str
    label: str
    kind: str
    is_forced: bool
    is_sdh: bool
    is_default: bool
    cues: list[cues.Cue]


@transaction.atomic
def add_caption(*, video: Video, actor: User, **details: Unpack[CaptionDetails]) -> Caption:
    """Add a caption with its text and language; without a label it gets the language's name.

    A default caption takes the place of the one before. Raises TooManyCaptions, NotVisible if the video
    has been deleted, and NotCaptions if no cue begins before the video's end.
    """
    _lock(video)
    if video.captions.count() >= MOST_CAPTIONS:
        raise TooManyCaptions()
    columns = _columns(video, details)
    columns["label"] = details.get("label") or embedded.language_name(details["language"])
    if columns.get("is_default"):
        video.captions.filter(is_default=True).update(is_default=False)
    caption = Caption.objects.create(video=video, **columns)
    words.index(caption)
    _note(video, actor, caption)
    return caption


@transaction.atomic
def change_caption(*, caption: Caption, actor: User, **details: Unpack[CaptionDetails]) -> Caption:
    """Change a caption; it counts as the owner's own from then on, and a new text as no automatic one.

    Raises NotVisible if it or its video has been deleted, and NotCaptions as ``add_caption``.
    """
    video = caption.video
    _lock(video)
    columns = _columns(video, details)
    if columns.get("is_default"):
        video.captions.exclude(pk=caption.pk).filter(is_default=True).update(is_default=False)
    columns |= {"origin": Caption.Origin.UPLOADED, "updated_at": timezone.now()}
    if "cues" in details:
        columns["is_automatic"] = False
    if not Caption.objects.filter(pk=caption.pk).update(**columns):
        raise NotVisible()
    caption.refresh_from_db()
    if "cues" in details:
        words.index(caption)
    _note(video, actor, caption)
    return caption


@transaction.atomic
def delete_caption(*, caption: Caption, actor: User) -> None:
    """Delete a caption. One from the video's file stays deleted when the file is processed again."""
    _lock(caption.video)
    if not Caption.objects.filter(pk=caption.pk).delete()[0]:
        raise NotVisible()
    _note(caption.video, actor, caption)


def _lock(video: Video) -> None:
    """Lock the video's row, so that its captions change one after another."""
    if not Video.objects.alive().select_for_update(no_key=True).filter(pk=video.pk).first():
        raise NotVisible()


def _columns(video: Video, details: CaptionDetails) -> dict[str, Any]:
    columns: dict[str, Any] = {**details}
    if "cues" in details:
        read = details["cues"]
        if video.duration_seconds and read[0].start >= video.duration_seconds * 1000:
            raise cues.NotCaptions(
                f"All cues begin after the end of the video, which lasts {video.duration_seconds:.1f} "
                "seconds. Send the captions of this video."
            )
        columns |= {"text": cues.write(read), "cues": len(read)}
    return columns


def _note(video: Video, actor: User, caption: Caption) -> None:
    audit.record(
        actor=actor,
        action=AuditAction.VIDEO_CHANGED,
        target=video,
        fields=["captions"],
        caption=str(caption.pk),
        language=caption.language,
    )
    refreshing.mark(video)
