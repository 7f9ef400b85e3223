"""Reactions of playback to news of other apps.

Those that end the sessions of a video, user or entitlement run inside the transaction of the sender:
access and playback end together, or neither does.
"""

from uuid import UUID

from django.dispatch import receiver
from django.utils import timezone

from accounts.models import User
from accounts.signals import moderator_dismissed, user_deactivated
from payments.models import Entitlement
from payments.signals import entitlement_revoked, order_returning
from streaming import forgetting, sessions, watchtime
from streaming.models import INSIDERS, LOSES_ENDED, PREVIEW, PlaybackSession
from videos.availability import policy
from videos.models import Video
from videos.signals import (
    availability_changed,
    creator_suspended,
    video_removed,
    video_restricted,
    video_taken_down,
    worker_tick,
)

Reason = PlaybackSession.EndReason
OPEN_TO_ALL = ("free", "moderator", PREVIEW)  # a moderator watches a free video as everybody does


@receiver(entitlement_revoked, dispatch_uid="streaming.end_sessions_of_revoked_entitlement")
def end_sessions_of_revoked_entitlement(sender, entitlement: Entitlement, **kwargs):
    """End the sessions that rest on the entitlement."""
    sessions.end(PlaybackSession.objects.filter(entitlement=entitlement), Reason.REVOKED)


@receiver(order_returning, dispatch_uid="streaming.delivered_of_orders")
def delivered_of_orders(sender, video: Video, order_ids: list[UUID], **kwargs) -> float:
    """Stop the playback that rests on the orders; return the share of the video that it was sent."""
    return sessions.stop_and_measure(video, order_ids)


@receiver(video_removed, dispatch_uid="streaming.end_sessions_of_removed_video")
def end_sessions_of_removed_video(sender, video: Video, **kwargs):
    """End all sessions of the video."""
    sessions.end(PlaybackSession.objects.filter(video=video), Reason.REMOVED)


@receiver(video_restricted, dispatch_uid="streaming.end_sessions_of_restricted_video")
def end_sessions_of_restricted_video(sender, video: Video, **kwargs):
    """End the sessions that the video allows no more: it was free, visible to all, or had this preview.

    A private video stays with its owner and with administrators. A video that costs money now stays
    with those who have bought it or subscribe, too. A moderator who reviews it starts again at the desk.
    """
    lost = PlaybackSession.objects.filter(video=video, access__in=OPEN_TO_ALL)
    if video.visibility == Video.Visibility.PRIVATE:
        lost = PlaybackSession.objects.filter(video=video).exclude(access__in=["owner", "admin"])
    sessions.end(lost, Reason.RESTRICTED)


@receiver(availability_changed, dispatch_uid="streaming.end_sessions_of_moved_video")
def end_sessions_of_moved_video(sender, video: Video, fields: set[str], **kwargs):
    """End the sessions that the video's new dates or countries may not allow any more.

    Its owner, administrators and moderators go on. A session has no country, so that new rules for
    countries end all others: who may still watch asks for a new stream token.
    """
    lost = PlaybackSession.objects.filter(video=video).exclude(access__in=INSIDERS)
    now = timezone.now()
    if not fields & {"allowed_countries", "refused_countries"}:  # buyers keep it
        is_closed = policy.is_coming(video, now) or policy.has_ended(video, now)
        lost = lost.filter(access__in=LOSES_ENDED) if is_closed else lost.none()
    sessions.end(lost, Reason.RESTRICTED)


@receiver(video_taken_down, dispatch_uid="streaming.end_sessions_of_taken_down_video")
def end_sessions_of_taken_down_video(sender, video: Video, **kwargs):
    """End all sessions of the video, except sessions of its owner, administrators and moderators."""
    watching = PlaybackSession.objects.filter(video=video).exclude(access__in=INSIDERS)
    sessions.end(watching, Reason.RESTRICTED)


@receiver(creator_suspended, dispatch_uid="streaming.end_sessions_of_suspended_creator")
def end_sessions_of_suspended_creator(sender, creator: User, **kwargs):
    """End the sessions of the creator's videos that rest on no purchase."""
    _end_unbought(creator)


@receiver(moderator_dismissed, dispatch_uid="streaming.end_sessions_of_dismissed_moderator")
def end_sessions_of_dismissed_moderator(sender, user: User, **kwargs):
    """End the playback at the desk."""
    watching = PlaybackSession.objects.filter(user=user, access="moderator")
    sessions.end(watching, Reason.RESTRICTED)


@receiver(user_deactivated, dispatch_uid="streaming.end_sessions_of_deactivated_user")
def end_sessions_of_deactivated_user(sender, user: User, **kwargs):
    """End all sessions of the user, and the sessions of the user's videos that rest on no purchase."""
    sessions.end(PlaybackSession.objects.filter(user=user), Reason.DEACTIVATED)
    _end_unbought(user)


def _end_unbought(creator: User) -> None:
    lost = PlaybackSession.objects.filter(
        video__in=Video.objects.filter(creator=creator), access__in=[*OPEN_TO_ALL, "subscription"]
    )
    sessions.end(lost, Reason.RESTRICTED)


@receiver(worker_tick, dispatch_uid="streaming.maintain_sessions")
def maintain_sessions(sender, every: str, **kwargs):
    """End sessions that are idle or whose video's time is over, add new watch time to the daily watch
    time, and forget old devices."""
    if every == "minute":
        sessions.end_idle()
        sessions.end_over()
        watchtime.fold()
    elif every == "hour":
        forgetting.forget_devices()
