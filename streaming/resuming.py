"""Resuming: the place in a video at which a viewer stopped, on whichever device."""

from streaming.models import PREVIEW, PlaybackSession

BEGINNING_SECONDS = 2.0  # Less than this is no place to go on at.
WATCHED_SHARE = 0.95  # A viewer who came this far has seen the video, and begins again.


def resume_seconds(session: PlaybackSession) -> float:
    """Return the seconds into the video at which a player of this session goes on; 0 is the beginning.

    That is the place in the latest heartbeat of the user for this video, in any session. An anonymous
    viewer has a place in the session itself alone. Who has seen a preview to its end goes on there after
    buying; a preview begins anew where the place is after its end.
    """
    own = PlaybackSession.objects.filter(pk=session.pk)
    if session.user_id is not None:
        own = PlaybackSession.objects.filter(user=session.user_id, video=session.video_id)
    latest = (
        own.filter(last_heartbeat_at__isnull=False)
        .order_by("-last_heartbeat_at")
        .values_list("position_seconds", "state", "access")
        .first()
    )
    if latest is None:
        return 0.0
    place, state, access = latest
    seconds = session.video.duration_seconds
    is_over = state == "ended" and access != PREVIEW
    is_over |= seconds is not None and place >= seconds * WATCHED_SHARE
    if session.access == PREVIEW:
        is_over |= place >= (session.video.offered_preview or 0)
    return 0.0 if is_over or place < BEGINNING_SECONDS else round(place, 3)
