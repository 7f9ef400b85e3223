"""Random histories of playback, and a second way to count them: in Python, event by event."""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from analytics.models import VideoView
from streaming.models import PlaybackSession
from videos.models import Video

ACCESS = ["free", "free", "order", "subscription", "owner"]


def make(
    videos: list[Video], start: datetime, end: datetime, number: int, dice: random.Random
) -> None:
    """Insert playback of random viewers at random moments; most moments lie close to a full hour."""
    sessions, views = [], []
    for _ in range(number):
        video, span = dice.choice(videos), (end - start).total_seconds()
        at = start + timedelta(seconds=dice.uniform(0, span))
        if dice.random() < 0.5:
            at = at.replace(minute=dice.choice([0, 15, 30, 45]), second=0, microsecond=0)
        watched = round(dice.uniform(0, 60), 3)
        session = PlaybackSession(
            video=video,
            version="v",
            access=dice.choice(ACCESS),
            viewer_key=f"viewer {dice.randrange(12)}",
            created_at=at,
            expires_at=at + timedelta(hours=1),
            watched=[[0, watched]],
            watched_seconds=watched,
            delivered_seconds=dice.choice([600, 20]),
            last_heartbeat_at=at if dice.random() < 0.8 else None,
            startup_ms=dice.choice([None, 100, 900]),
            rebuffer_ms=dice.choice([0, 0, 250]),
        )
        sessions.append(session)
        if session.counts and dice.random() < 0.7:
            later = at + timedelta(seconds=dice.uniform(0, 7200))
            views.append(
                VideoView(
                    session=session,
                    video=video,
                    creator_id=video.creator_id,
                    viewer_key=session.viewer_key,
                    at=later,
                )
            )
    PlaybackSession.objects.bulk_create(sessions)
    VideoView.objects.bulk_create(views)


def step_of(moment: datetime, interval: str, zone: ZoneInfo) -> datetime:
    """Return the begin of the step that holds the moment, found by walking back a minute at a time.

    The begin is the earliest minute since which the zone's clock has shown the same hour or date.
    """
    if interval == "hour":
        name = lambda at: (at.astimezone(zone).strftime("%F %H"), at.astimezone(zone).utcoffset())  # noqa: E731
    elif interval == "day":
        name = lambda at: at.astimezone(zone).strftime("%F")  # noqa: E731
    elif interval == "week":
        name = lambda at: at.astimezone(zone).isocalendar()[:2]  # noqa: E731
    else:
        name = lambda at: at.astimezone(zone).strftime("%Y %m")  # noqa: E731
    begin = moment.astimezone(UTC).replace(second=0, microsecond=0)
    wanted = name(moment)
    for size in (timedelta(hours=6), timedelta(minutes=15), timedelta(minutes=1)):
        while name(begin - size) == wanted:
            begin -= size
    return begin


def _watched(session: PlaybackSession) -> float:
    return min(session.watched_seconds, session.delivered_seconds)


def recount(
    videos: Iterable[Video], start: datetime, end: datetime, interval: str, zone: ZoneInfo
) -> dict[datetime | None, tuple[int, int, int, float]]:
    """Return views, unique viewers, sessions and watched seconds by step, and None for the whole."""
    wanted = {video.pk for video in videos}
    sessions: dict = defaultdict(list)
    views: dict = defaultdict(list)
    for session in PlaybackSession.objects.all():
        if session.video_id in wanted and session.counts and start <= session.created_at < end:
            for key in (None, step_of(session.created_at, interval, zone)):
                sessions[key].append(session)
    for view in VideoView.objects.all():
        if view.video_id in wanted and start <= view.at < end:
            for key in (None, step_of(view.at, interval, zone)):
                views[key].append(view)
    return {
        key: (
            len(views[key]),
            len({view.viewer_key for view in views[key]}),
            len(sessions[key]),
            round(sum(map(_watched, sessions[key])), 1),
        )
        for key in {None, *sessions, *views}
    }
