"""The pages for people: the start page with the newest videos, and the player page of one video.

The player in a frame of another site, and the answer that tells such sites how to embed it (oEmbed).
"""

import json
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config import ids, money
from config.domains import frame_ancestors
from config.headers import FOR_OTHER_SITES, NO_FRAMES, PAGE
from config.pages import html_page
from streaming import embedding
from videos.embedding import domains_of
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
    video = _find(video_id)
    if video is None:
        return _no_such_video()
    page = f"{embedding.origin_of(request)}{reverse('watch', args=[video.pk])}"
    # A trailer that was taken down, or is not ready yet, is not linked.
    trailer = _find(str(video.trailer_id)) if video.trailer_id else None
    context = {
        "video": video,
        "next": _next(video),
        "trailer": trailer,
        "oembed_url": f"{reverse('oembed')}?url={quote(page, safe='')}&format=json",
        "embed": None,
    }
    return html_page("streaming/watch.html", {**context, **_facts(video)})


@csrf_exempt
@require_safe
def embed(request: HttpRequest, video_id: str) -> HttpResponse:
    """Show the player alone, for a frame on the sites that the owner of the video allows.

    It reads no cookie and has no form: what must be paid for is watched on the video's own page.
    """
    video = _find(video_id)
    if video is None:
        return _no_such_video()
    domains = domains_of(video)
    context = {
        "video": video,
        "next": _next(video),
        "embed": json.dumps(domains),
        "page_url": reverse("watch", args=[video.pk]),
    }
    policy = PAGE.replace(NO_FRAMES, frame_ancestors(domains))
    page = html_page("streaming/embed.html", {**context, **_facts(video)}, policy=policy)
    page.xframe_options_exempt = True
    return page


@csrf_exempt
@require_safe
def oembed(request: HttpRequest) -> HttpResponse:
    """Answer how a public video is embedded: oEmbed 1.0, as JSON alone.

    400 for bounds that are no size, 404 for an address that is not that of a public video, 501 for
    another format.
    """
    if request.GET.get("format", "json") != "json":
        return _told("This service answers oEmbed as JSON only. Use format=json.", status=501)
    bounds: dict[str, int | None] = {}
    for name in ("width", "height"):
        text = request.GET.get(f"max{name}", "")
        is_size = text.isascii() and text.isdigit() and len(text) <= 6
        if text and not (is_size and int(text) >= embedding.SIDE_LEAST):
            least = embedding.SIDE_LEAST
            return _told(f"max{name} is a number of pixels, {least} at least.", status=400)
        bounds[name] = min(int(text), embedding.SIDE_MOST) if text else None
    origin = embedding.origin_of(request)
    named = embedding.video_in(request.GET.get("url", ""), origin)
    video = _find(named) if named else None
    if video is None or video.visibility != Video.Visibility.PUBLIC:
        return _told("This is not the address of a public video.", status=404)
    answer = embedding.oembed(video, origin, embedding.fitting(video, **bounds))
    headers = FOR_OTHER_SITES | {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": f"public, max-age={embedding.CACHE_SECONDS}",
    }
    return JsonResponse(answer, headers=headers)


def _find(video_id: str) -> Video | None:
    """Return the video that anyone may open by its link, with its creator; None for every other id."""
    visible = _open_to_all(Video.objects.visible_to(AnonymousUser())).select_related("creator")
    try:
        return visible.filter(pk=ids.parse(video_id)).first()
    except ValueError:
        return None


def _next(video: Video) -> dict[str, str] | None:
    """Return the creator's next video in the public catalogue, by the time of its making."""
    later = _open_to_all(Video.objects.listed_for(AnonymousUser())).filter(
        creator=video.creator_id, created_at__gt=video.created_at
    )
    found = later.order_by("created_at", "id").only("id", "title").first()
    if found is None:
        return None
    return {"title": found.title, "url": reverse("watch", args=[found.pk])}


def _told(sentence: str, *, status: int) -> HttpResponse:
    answer = JsonResponse({"detail": sentence}, status=status)
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


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
