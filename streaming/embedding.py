"""The player in a frame of another page: its address, its HTML, and oEmbed 1.0 (https://oembed.com)."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from videos.embedding import domains_of
from videos.models import Video

WIDTH, HEIGHT = 640, 360  # of a frame that asks for no size; the poster has this size too
SIDE_LEAST, SIDE_MOST = 100, 10_000
CACHE_SECONDS = 3600
_PATH = re.compile(r"/(?:watch|embed)/([^/]+)/?")


@dataclass(frozen=True, slots=True)
class Size:
    """The sides of a frame in pixels."""

    width: int
    height: int


def origin_of(request: HttpRequest) -> str:
    """Return the origin under which people see this service."""
    return settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"


def video_in(address: str, origin: str) -> str | None:
    """Return the part of a page's address that names a video; None for another address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if f"{parts.scheme}://{parts.netloc}".lower() != origin.lower():  # RFC 3986, section 6.2.2.1
        return None
    found = _PATH.fullmatch(parts.path)
    return found[1] if found else None


def frame(video: Video, origin: str, size: Size | None = None) -> str:
    """Return the HTML that shows the video on another page."""
    address = f"{origin}{reverse('embed', args=[video.pk])}"
    size = size or Size(WIDTH, HEIGHT)
    return format_html(
        '<iframe src="{}" title="{}" width="{}" height="{}" frameborder="0"'
        ' allow="autoplay; fullscreen; picture-in-picture" allowfullscreen></iframe>',
        address, video.title, size.width, size.height,
    )  # fmt: skip


def fitting(video: Video, *, width: int | None, height: int | None) -> Size:
    """Return the size of a frame for the video within the bounds, in the video's own shape."""
    shape = (video.width or WIDTH) / (video.height or HEIGHT)
    within = min(width or WIDTH, (height or SIDE_MOST) * shape)
    return Size(max(1, round(within)), max(1, round(within / shape)))


def oembed(video: Video, origin: str, size: Size) -> dict[str, object]:
    """Return oEmbed's answer for a public video (section 2.3.4).

    A video that no other site may embed is a link: a frame with it would stay empty.
    """
    answer: dict[str, object] = {
        "version": "1.0",
        "type": "video" if domains_of(video) else "link",
        "title": video.title,
        "author_name": video.creator.public_name,
        "provider_name": "Video on demand",
        "provider_url": f"{origin}/",
        "cache_age": CACHE_SECONDS,
        "thumbnail_url": f"{origin}{reverse('video-poster', args=[video.pk])}",
        "thumbnail_width": WIDTH,
        "thumbnail_height": HEIGHT,
    }
    if answer["type"] == "video":
        answer |= {
            "html": frame(video, origin, size),
            "width": size.width,
            "height": size.height,
        }
    return answer
