"""May this person watch? The only place that answers."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import F, Q, QuerySet

from payments.models import Entitlement
from videos.models import Video


@dataclass(frozen=True, slots=True)
class Access:
    """Why somebody may watch: ``free``, ``owner``, ``admin``, ``order`` or ``subscription``."""

    kind: str
    entitlement_id: uuid.UUID | None = None
    ends_at: datetime | None = None


def can_watch(user, video: Video) -> Access | None:
    """The caller's entitlement to watch a video they can see, or None. At most one query."""
    access = _access_without_entitlement(user, video)
    if access is not None or not video.is_paid or not user.is_authenticated:
        return access
    return _access_by(_live_entitlements(user, [video]).first())


def can_watch_each(user, videos: Iterable[Video]) -> dict[uuid.UUID, Access | None]:
    """The same for a page of videos, by their ids. At most one query, whatever their number."""
    sold, answers = [], {}
    for video in videos:
        answers[video.pk] = _access_without_entitlement(user, video)
        if answers[video.pk] is None and video.is_paid and user.is_authenticated:
            sold.append(video)
    if sold:
        entitlements = list(_live_entitlements(user, sold))
        for video in sold:
            fitting = (one for one in entitlements if one.video_id in {video.pk, None})
            answers[video.pk] = _access_by(next(fitting, None))
    return answers


def _access_without_entitlement(user, video: Video) -> Access | None:
    """What needs no entitlement: one's own, an administrator's, free ones."""
    if user.is_authenticated:
        if video.creator_id == user.pk:
            return Access("owner")
        if user.has_perm("videos.manage_any_video"):
            return Access("admin")
    if not video.is_paid and (user.is_authenticated or settings.ANONYMOUS_PLAYBACK):
        return Access("free")
    return None


def _live_entitlements(user, videos: Iterable[Video]) -> QuerySet[Entitlement]:
    """The live entitlements to any of the videos, the longest-lasting first."""
    return (
        Entitlement.objects.live()
        .filter(Q(video__in=videos) | Q(video=None), user=user)
        # What was bought comes before what was rented, and both before the subscription.
        .order_by(F("video").asc(nulls_last=True), F("ends_at").desc(nulls_first=True))
        .only("pk", "source_type", "ends_at", "video_id")
    )


def _access_by(entitlement: Entitlement | None) -> Access | None:
    if entitlement is None:
        return None
    return Access(entitlement.source_type, entitlement.pk, entitlement.ends_at)
