"""Previews and trailers: which video may have a preview or be a trailer, and which lose theirs."""

import uuid

from django.db.models import Q
from rest_framework.exceptions import ValidationError

from accounts.models import User
from config import ordered
from videos.models import Video


def require_paid(video: Video) -> None:
    """Refuse the preview of a video that is free now. Locks its row until the transaction ends.

    Raises ValidationError of the field ``preview_seconds``.
    """
    locked = Video.objects.select_for_update(no_key=True).filter(pk=video.pk)
    if locked.values_list("is_paid", flat=True).first() is False:
        raise ValidationError({"preview_seconds": ["Only a paid video has a preview."]}, "invalid")


def require_trailer(trailer_id: uuid.UUID | None, *, creator: User, of: uuid.UUID | None) -> None:
    """Refuse a trailer that is no video of this creator, or that not everybody may watch.

    Locks its row and that of the video whose trailer it becomes, with the id ``of``: both stay as they
    are until the transaction ends. None is no trailer, and always right. Raises ValidationError,
    with the same words for a video of another creator and for one that does not exist.
    """
    if trailer_id is None:
        return
    own = Video.objects.alive().filter(creator=creator, pk__in=[trailer_id, of or trailer_id])
    # Both, and in this order, so that two videos can become each other's trailers at the same time.
    locked = {video.pk: video for video in own.select_for_update(no_key=True).order_by("pk")}
    trailer = locked.get(trailer_id)
    if trailer is None or trailer_id == of:
        _refuse("The trailer must be another video of the same creator.")
    elif not may_be_trailer(trailer):
        _refuse("A trailer must be free, and public or unlisted. Choose another video.")


def may_be_trailer(video: Video) -> bool:
    """Whether everybody who has a video's id may watch it, as far as its owner decides."""
    return not video.is_paid and video.visibility != Video.Visibility.PRIVATE


def lock_with_users(video: Video) -> None:
    """Lock a video and those whose trailer it is, by id: two videos can be each other's trailer."""
    ordered.lock(Video.objects.filter(Q(pk=video.pk) | Q(trailer=video.pk)))


def clear_trailer(trailer: Video) -> None:
    """Take a video away from all videos whose trailer it is. Safe to repeat."""
    ordered.update(Video.objects.filter(trailer=trailer), trailer=None)


def _refuse(detail: str) -> None:
    raise ValidationError({"trailer": [detail]}, "invalid")
