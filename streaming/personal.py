"""What exports and erasures do with the rows of this app (`config.personal`)."""

from config import personal
from config.personal import Fate, Person, Rows
from streaming import watchtime
from streaming.models import PlaybackSession, WatchClock


def _erase_devices(person: Person) -> None:
    """Take in the last watch time, and forget with what the person watched.

    Who watched is forgotten together with the views, in one transaction: analytics.personal.
    """
    watchtime.fold_of(person.user_id)
    personal.emptied(
        PlaybackSession.objects.filter(user=person.user_id),
        network=None,
        network_key="",
        user_agent="",
    )


personal.register(
    Rows(
        PlaybackSession, "user", "what was watched", Fate.ANONYMOUS,
        "Figures keep the numbers. Person, network and program go.",
        "watch_history",
        (
            "id", "video_id", "access", "created_at", "ended_at", "position_seconds",
            "watched_seconds", "network", "user_agent",
        ),
        _erase_devices,
    ),
    Rows(WatchClock, "user", "moments that count once", Fate.REMOVED, ""),
)  # fmt: skip
