"""How many videos one person plays at once.

A place is held by each running session of a signed-in viewer that counts (`PlaybackSession.counts`) and
gave a sign of life within PLACE_SECONDS: a heartbeat, or a request for a media file. A viewer who was
silent for longer keeps the session as long as nobody needs the place. A start that needs it ends the
session that was silent for longest, and its viewer goes on with a new stream token when there is room.
So the sessions that could play are never more than the limit, the silent ones included.

Anonymous viewers have no limit: only their network could be counted, and a school or a mobile carrier
is one network.
"""

import uuid
from datetime import datetime, timedelta

from django.conf import settings

from payments.models import Entitlement, Subscription
from streaming.errors import TooManyStreams
from streaming.models import UNCOUNTED, PlaybackSession, PlaybackSessionQuerySet

# A player reports every ten seconds and asks for a segment at least once a minute, because players keep
# about as much in memory (hls.js, dash.js and Shaka Player: 30 to 60 s). Half as long again is silence.
PLACE_SECONDS = 90
SHOWN_MAX = 20  # sessions in the refusal


def make_room(user_id: uuid.UUID, now: datetime) -> PlaybackSessionQuerySet:
    """Return the silent sessions that must end before the user starts one more.

    Call it with the user's row locked, and end them in the same transaction: then starts at the same
    moment never pass the limit. Raises TooManyStreams, with the sessions that hold a place, when none is
    free.
    """
    none = PlaybackSession.objects.none()
    most = limit_of(user_id, now)
    if not most:
        return none
    running = PlaybackSession.objects.filter(user=user_id).running(now)
    running = running.exclude(access__in=UNCOUNTED).order_by("last_seen_at", "pk")
    seen = list(running.values_list("pk", "last_seen_at"))
    silent_since = now - timedelta(seconds=PLACE_SECONDS)
    silent = [pk for pk, seen_at in seen if seen_at < silent_since]
    if len(seen) - len(silent) >= most:
        holding = running.filter(last_seen_at__gte=silent_since).select_related("video")
        raise TooManyStreams(most, [_shown(session) for session in holding[:SHOWN_MAX]])
    surplus = len(seen) + 1 - most
    return PlaybackSession.objects.filter(pk__in=silent[:surplus]) if surplus > 0 else none


def limit_of(user_id: uuid.UUID, now: datetime) -> int:
    """Return how many videos the user may play at once; 0 means no limit.

    It is the number of the plan to which the user subscribes, else MAX_CONCURRENT_STREAMS.
    """
    subscribed = Entitlement.objects.live(now).filter(
        user=user_id, source_type=Entitlement.Source.SUBSCRIPTION
    )
    subscriptions = Subscription.objects.filter(pk__in=subscribed.values("source_id"))
    of_plans = subscriptions.values_list("plan__max_streams", flat=True)
    found = [most for most in of_plans if most is not None]
    if not found:
        return settings.MAX_CONCURRENT_STREAMS
    return 0 if 0 in found else max(found)


def _shown(session: PlaybackSession) -> dict[str, object]:
    return {
        "id": str(session.pk),
        "video_id": str(session.video_id),
        "video_title": session.video.title,
        "device": session.device_name,
        "created_at": session.created_at,
    }
