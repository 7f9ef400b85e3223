"""Access to videos. This is the only module that decides whether a user may watch a video."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from payments.models import Entitlement, Order
from videos.availability import policy
from videos.models import Video

KINDS = (
    ("free", "the video is free"),
    ("owner", "it is the caller's own"),
    ("admin", "administrators may watch every video"),
    (
        "moderator",
        "moderators watch free videos without being counted, and reported ones at their desk",
    ),
    ("order", "bought or rented"),
    ("subscription", "subscribed"),
)


INSIDERS = ("owner", "admin", "moderator")  # watch whatever the video's dates and countries say


@dataclass(frozen=True, slots=True)
class Access:
    """The reason why a user may watch a video, and the end of that time (None: it has no end).

    ``kind`` is one of KINDS. The last two come from an entitlement.
    """

    kind: str
    entitlement_id: uuid.UUID | None = None
    ends_at: datetime | None = None


def can_watch(user: User | AnonymousUser, video: Video) -> Access | None:
    """Return the user's access to a video that they can see, or None. Make at most one query."""
    return can_watch_each(user, [video])[video.pk]


def can_watch_each(
    user: User | AnonymousUser, videos: Iterable[Video]
) -> dict[uuid.UUID, Access | None]:
    """Return the user's access to each of the videos, by video id. Make at most one query."""
    answers = {video.pk: _access_without_entitlement(user, video) for video in videos}
    sold = [pk for pk, access in answers.items() if access is None]
    if not sold or not user.is_authenticated:
        return answers
    longest: dict[uuid.UUID | None, Entitlement] = {}
    for entitlement in _live_entitlements(user.pk, sold):
        longest.setdefault(entitlement.video_id, entitlement)
    for pk in sold:
        # An order counts before a subscription, whose entitlement names no video.
        best = longest.get(pk) or longest.get(None)
        if best is not None:
            answers[pk] = Access(best.source_type, best.pk, best.ends_at)
    return answers


def require_available(
    access: Access | None, video: Video, *, address: str, now: datetime | None = None
) -> None:
    """Refuse playback that the video's dates and countries do not allow for this access and address.

    Owners, administrators and moderators are never refused. Raises NotYetAvailable and NoLongerAvailable
    (neither for those who have bought or rented the video and could watch it already), and
    NotInYourCountry. At most one query, and only for a buyer while the video is coming.
    """
    if access is not None and access.kind in INSIDERS:
        return
    now = now or timezone.now()
    is_bought = access is not None and access.kind == Entitlement.Source.ORDER
    if access is not None and access.entitlement_id and is_bought and policy.is_coming(video, now):
        is_bought = _has_begun(access.entitlement_id)
    policy.require_playable(video, is_bought=is_bought, address=address, now=now)


def _has_begun(entitlement_id: uuid.UUID) -> bool:
    """Return whether the order behind the entitlement is no pre-order that still waits for its day."""
    source = Entitlement.objects.filter(pk=entitlement_id).values("source_id")
    begun = Q(available_from=None) | Q(fulfilled_at__isnull=False)
    return Order.objects.filter(begun, pk__in=source).exists()


def bought_by(user_id: uuid.UUID, now: datetime) -> Q:
    """Return the condition that the user has bought a video, or rents it at ``now`` (of videos)."""
    bought = Entitlement.objects.live(now).filter(
        user=user_id, source_type=Entitlement.Source.ORDER
    )
    return Q(pk__in=bought.values("video"))


def _access_without_entitlement(user: User | AnonymousUser, video: Video) -> Access | None:
    """Return the access of the owner, of an administrator, or of anyone to a free video.

    A moderator's is named apart, because playback by moderators is never counted.
    """
    if user.is_authenticated:
        if video.creator_id == user.pk:
            return Access("owner")
        if user.has_perm("videos.watch_any_video"):
            return Access("admin")
    if not video.is_paid and (user.is_authenticated or settings.ANONYMOUS_PLAYBACK):
        is_moderator = user.is_authenticated and user.has_perm("videos.moderate_video")
        return Access("moderator" if is_moderator else "free")
    return None


def _live_entitlements(user_id: uuid.UUID, video_ids: Iterable[uuid.UUID]) -> QuerySet[Entitlement]:
    """Return the user's live entitlements to any of the videos, the longest-lasting first."""
    return (
        Entitlement.objects.live()
        .filter(Q(video__in=video_ids) | Q(video=None), user=user_id)
        .order_by(F("ends_at").desc(nulls_first=True))
        .only("pk", "source_type", "ends_at", "video_id")
    )
