"""The admin site's page of playback sessions, read-only, and the playback at the moderators' desk."""

from datetime import datetime
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import path, reverse

from accounts.models import User
from config.admin import ReadOnlyAdmin
from config.errors import NotVisible
from config.humans import duration_text
from streaming import sessions
from streaming.errors import NotReady
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

    def get_urls(self):
        review = self.admin_site.admin_view(self.review)
        name = "streaming_playbacksession_review"
        return [path("review/<uuid:video_id>/", review, name=name), *super().get_urls()]

    def review(self, request: HttpRequest, video_id: UUID) -> JsonResponse:
        """Answer the player of the moderators' desk as the API answers that of a viewer."""
        try:
            if not isinstance(request.user, User):
                raise NotVisible()
            token = sessions.review_token(moderator=request.user, video_id=video_id)
        except (NotVisible, NotReady) as refusal:
            error = {"code": refusal.get_codes(), "detail": str(refusal.detail)}
            return JsonResponse({"errors": [error]}, status=refusal.status_code)
        address = reverse("stream-play", args=[token])
        return JsonResponse({"stream_token": token, "stream_url": address})
