"""A right that ends is a black screen: what ends playback, in the transaction that ends the right."""

from django.dispatch import receiver

from accounts.signals import user_deactivated
from payments.signals import entitlement_revoked
from streaming import sessions, watchtime
from streaming.models import PlaybackSession
from videos.signals import video_removed, worker_tick

Reason = PlaybackSession.EndReason


@receiver(entitlement_revoked, dispatch_uid="streaming.right_ended")
def right_ended(sender, entitlement, **kwargs):
    sessions.end(PlaybackSession.objects.filter(entitlement=entitlement), Reason.REVOKED)


@receiver(video_removed, dispatch_uid="streaming.video_removed")
def end_sessions_of_removed_video(sender, video, **kwargs):
    sessions.end(PlaybackSession.objects.filter(video=video), Reason.REMOVED)


@receiver(user_deactivated, dispatch_uid="streaming.user_gone")
def user_gone(sender, user, **kwargs):
    sessions.end(PlaybackSession.objects.filter(user=user), Reason.DEACTIVATED)


@receiver(worker_tick, dispatch_uid="streaming.look_after_sessions")
def look_after_sessions(sender, every, **kwargs):
    if every == "minute":
        sessions.end_idle()
        watchtime.fold()
