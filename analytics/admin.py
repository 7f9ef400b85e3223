"""The admin site's pages of views and reactions, read-only."""

from datetime import datetime

from django.contrib import admin

from analytics.models import Reaction, VideoView
from config.admin import ReadOnlyAdmin


@admin.register(VideoView)
class VideoViewAdmin(ReadOnlyAdmin):
    """The list of views."""

    list_display = ["video", "counted", "viewer_key"]
    list_select_related = ["video"]
    date_hierarchy = "at"

    @admin.display(description="counted (UTC)", ordering="at")
    def counted(self, view: VideoView) -> datetime:
        return view.at


@admin.register(Reaction)
class ReactionAdmin(ReadOnlyAdmin):
    """The list of likes and dislikes."""

    list_display = ["video", "user", "value", "given"]
    list_select_related = ["video", "user"]
    list_filter = ["value"]

    @admin.display(description="given (UTC)", ordering="at")
    def given(self, reaction: Reaction) -> datetime:
        return reaction.at
