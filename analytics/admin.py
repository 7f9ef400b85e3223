from django.contrib import admin

from analytics.models import Reaction, VideoView
from config.admin import ReadOnlyAdmin


@admin.register(VideoView)
class VideoViewAdmin(ReadOnlyAdmin):
    list_display = ["video", "at", "viewer_key"]
    list_select_related = ["video"]
    date_hierarchy = "at"


@admin.register(Reaction)
class ReactionAdmin(ReadOnlyAdmin):
    list_display = ["video", "user", "value", "at"]
    list_select_related = ["video", "user"]
    list_filter = ["value"]
