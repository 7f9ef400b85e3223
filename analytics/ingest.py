"""From verified playback to views and reactions."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from analytics.models import Reaction, VideoView
from streaming.models import PlaybackSession
from videos.models import Video
from videos.services import catalogue

VIEW_SECONDS = 10.0
AGAIN_AFTER = timedelta(minutes=30)


def view_threshold(duration_seconds: float | None) -> float:
    """Watched seconds that make a view: ten, or half of a video that is shorter than twenty."""
    return min(VIEW_SECONDS, (duration_seconds or 0.0) / 2)


def count_view(session: PlaybackSession, before: float) -> None:
    """Count the session's view at the moment it earns it. Costs nothing on every other heartbeat.

    A viewer counts again on the same video only half an hour after the view before. Called in the
    heartbeat's transaction.
    """
    threshold = view_threshold(session.video.duration_seconds)
    if not before < threshold <= session.watched_seconds:
        return
    # The video's row is the queue for two sessions of one viewer that get here together.
    video = Video.objects.select_for_update(of=("self",)).get(pk=session.video_id)
    now = timezone.now()
    recent = Q(video=video, viewer_key=session.viewer_key, at__gt=now - AGAIN_AFTER)
    # A new file of another length moves the threshold: a session may pass it again.
    if VideoView.objects.filter(recent | Q(session=session)).exists():
        return
    VideoView.objects.create(
        session=session,
        video=video,
        creator_id=video.creator_id,
        viewer_key=session.viewer_key,
        at=now,
    )
    catalogue.set_counters(video.pk, views=F("views") + 1)


@transaction.atomic
def react(*, user, video: Video, value: str | None) -> Video:
    """Set, change or (None) take back a reaction; the video's counters are right when this returns."""
    Video.objects.select_for_update(of=("self",)).get(pk=video.pk)
    if value is None:
        Reaction.objects.filter(user=user, video=video).delete()
    else:
        reaction, created = Reaction.objects.get_or_create(
            user=user, video=video, defaults={"value": value}
        )
        if not created and reaction.value != value:
            reaction.value, reaction.at = value, timezone.now()
            reaction.save(update_fields=["value", "at"])
    counted = Reaction.objects.filter(video=video).aggregate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    catalogue.set_counters(video.pk, **counted)
    video.likes, video.dislikes = counted["likes"], counted["dislikes"]
    return video
