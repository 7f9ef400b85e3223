from django.contrib import admin

from config.admin import ReadOnlyAdmin
from streaming.models import PlaybackSession


@admin.register(PlaybackSession)
class PlaybackSessionAdmin(ReadOnlyAdmin):
    list_display = [
        "video",
        "user",
        "access",
        "state",
        "watched_seconds",
        "created_at",
        "last_seen_at",
        "end_reason",
    ]
    list_filter = ["access", "end_reason"]
    list_select_related = ["video", "user"]
    date_hierarchy = "created_at"
