"""Playback sessions and heartbeats for tests, without waiting for the clock."""

from datetime import timedelta

from django.contrib.auth.models import AnonymousUser

from streaming import heartbeats, reporting, sessions
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver

PHONE = sessions.Client("Phone/1.0", "203.0.113.7")


def begin(user, video, *, client=PHONE, ago=60.0, delivered=600.0) -> PlaybackSession:
    """Start a session that began ``ago`` seconds ago; None as user is an anonymous viewer.

    The first ``delivered`` seconds of the video were sent to it.
    """
    token = sessions.stream_token(user=user or AnonymousUser(), video_id=video.pk)[0]
    session, _ = sessions.redeem(token=token, client=client)
    session.created_at -= timedelta(seconds=ago)
    session.save(update_fields=["created_at"])
    if delivered:
        deliver(session.pk, delivered)
    return session


def report(session: PlaybackSession, *watched, **quality) -> None:
    """Send one heartbeat with these watched intervals."""
    heartbeat = heartbeats.Heartbeat(
        position_seconds=watched[-1][1] if watched else 0.0,
        state="playing",
        watched=list(watched),
        **quality,
    )
    heartbeats.take_in(reporting.any_session(session.pk), heartbeat)


def view(user, video, *, seconds=10.0, client=PHONE) -> PlaybackSession:
    """Start a session and report the video's first ``seconds`` as watched."""
    session = begin(user, video, client=client)
    report(session, (0.0, seconds))
    return session
