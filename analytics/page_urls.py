"""The routes of the pages of figures."""

from django.urls import path

from analytics import pages

urlpatterns = [
    path("numbers/", pages.home, name="numbers"),
    path("numbers/creator", pages.creator, name="numbers-creator"),
    path("numbers/platform", pages.platform, name="numbers-platform"),
    path("numbers/videos/<id:video_id>", pages.video, name="numbers-video"),
]
