"""The counting of views from heartbeats."""

from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from analytics.models import VideoView
from streaming.models import PlaybackSession
from videos.models import Video
from videos.services import catalogue

VIEW_SECONDS = 10.0
# A viewer's next view of the same video counts after this time.
AGAIN_AFTER = timedelta(minutes=30)
# Views of one video and day from one network (an IPv4 address or an IPv6 /64): user agents are invented
# without end, and accounts nearly so. Offices and schools share an address.
ANONYMOUS_VIEWS_BY_NETWORK = 10
VIEWS_BY_NETWORK = 50  # where the viewer is signed in


def view_threshold(duration_seconds: float | None) -> float:
    """Return the watched seconds that make a view: ten, or half of a video shorter than twenty."""
    return min(VIEW_SECONDS, (duration_seconds or 0.0) / 2)


def count_view(session: PlaybackSession, before: float) -> None:
    """Count the session's view if its counted seconds passed the threshold now.

    ``before`` is the number of its counted seconds before. All other calls run no query. Not counted:
    a second view of a session, a view within AGAIN_AFTER of the same viewer's latest view of the video,
    and the views of one network and day beyond its bound. Call it in the heartbeat's transaction.
    """
    threshold = view_threshold(session.video.duration_seconds)
    if not before < threshold <= session.counted_seconds:
        return
    # The lock on the video's row lets two sessions of one viewer pass one after the other.
    video = Video.objects.select_for_update(of=("self",)).get(pk=session.video_id)
    now = timezone.now()
    recent = Q(video=video, viewer_key=session.viewer_key, at__gt=now - AGAIN_AFTER)
    # A new file of another length moves the threshold, so the same session may pass it twice.
    if VideoView.objects.filter(recent | Q(session=session)).exists():
        return
    bound = VIEWS_BY_NETWORK if session.user_id else ANONYMOUS_VIEWS_BY_NETWORK
    of_network = VideoView.objects.filter(video=video, network_key=session.network_key)
    if session.network_key and of_network.count() >= bound:
        return
    VideoView.objects.create(
        session=session,
        video=video,
        creator_id=video.creator_id,
        viewer_key=session.viewer_key,
        network_key=session.network_key,
        at=now,
    )
    catalogue.set_counters(video.pk, views=F("views") + 1)
