"""The pages for people: the start page with the newest videos, and the player page of one video."""

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config import ids, money
from config.pages import html_page
from videos.models import Video
from videos.querysets import VideoQuerySet

NEWEST = 12


@csrf_exempt  # no cookie is read, so that any other method is a 405
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Show what this service is, and the newest videos that anyone finds in the catalogue."""
    listed = Video.objects.listed_for(AnonymousUser()).select_related("creator")
    newest = _open_to_all(listed).order_by("-created_at", "-id")[:NEWEST]
    cards = [{"video": video, **_facts(video)} for video in newest]
    context = {"cards": cards, "lists_videos": settings.ANONYMOUS_PLAYBACK}
    return html_page("streaming/start.html", context)


@csrf_exempt
@require_safe
def watch(request: HttpRequest, video_id: str) -> HttpResponse:
    """Show the player of a video that anyone may open by its link; the script asks the API to play it.

    Every other id gets the same 404, so that nobody learns which private videos and drafts exist.
    """
    try:
        visible = _open_to_all(Video.objects.visible_to(AnonymousUser()))
        video = visible.select_related("creator").get(pk=ids.parse(video_id))
        # A trailer that was taken down, or is not ready yet, is not linked.
        trailer = video.trailer_id and visible.filter(pk=video.trailer_id).first()
    except (ValueError, Video.DoesNotExist):
        return _no_such_video()
    return html_page("streaming/watch.html", {"video": video, "trailer": trailer, **_facts(video)})


def _open_to_all(videos: VideoQuerySet) -> VideoQuerySet:
    """Return the videos, or none where the service shows its videos only to users (MayBrowse)."""
    return videos if settings.ANONYMOUS_PLAYBACK else videos.none()


def _facts(video: Video) -> dict[str, str]:
    """Return the price and the duration of a playable video, for people."""
    price = f"{money.to_text(video.price, video.currency)} {video.currency}"
    minutes, seconds = divmod(round(video.duration_seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return {"price": price if video.is_paid else "free", "duration": clock}


def _no_such_video() -> HttpResponse:
    hint = "It may have been removed, or its owner keeps it private."
    if not settings.ANONYMOUS_PLAYBACK:
        hint = "This service shows its videos only to users who have signed in to its API."
    context = {"detail": "There is no video at this address.", "hint": hint}
    return html_page("config/error.html", context, status=404)
