"""The routes of the pages, which have no prefix."""

from django.urls import path, re_path

from streaming import pages

urlpatterns = [
    path("", pages.start, name="start"),
    re_path(r"^watch/(?P<video_id>[^/]+)/?$", pages.watch, name="watch"),
    re_path(r"^embed/(?P<video_id>[^/]+)/?$", pages.embed, name="embed"),
    re_path(r"^oembed/?$", pages.oembed, name="oembed"),
]
