"""The admin site's page of playback sessions, read-only."""

from datetime import datetime

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from config.humans import duration_text
from streaming.models import PlaybackSession


@admin.register(PlaybackSession)
class PlaybackSessionAdmin(ReadOnlyAdmin):
    """The list of playback sessions."""

    list_display = [
        "video",
        "user",
        "access",
        "state",
        "seconds_watched",
        "started",
        "last_activity",
        "end_reason",
    ]
    list_filter = ["access", "end_reason"]
    search_fields = ["video__title", "user__email"]
    list_select_related = ["video", "user"]
    date_hierarchy = "created_at"

    @admin.display(description="watched", ordering="watched_seconds")
    def seconds_watched(self, session: PlaybackSession) -> str:
        return duration_text(session.watched_seconds)

    @admin.display(description="started (UTC)", ordering="created_at")
    def started(self, session: PlaybackSession) -> datetime:
        return session.created_at

    @admin.display(description="last activity (UTC)", ordering="last_seen_at")
    def last_activity(self, session: PlaybackSession) -> datetime:
        return session.last_seen_at
