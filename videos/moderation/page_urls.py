"""The routes of the pages for reports and appeals. They have no prefix."""

from django.urls import path

from videos.moderation import pages

urlpatterns = [
    path("report/<id:video_id>", pages.report, name="video-report-page"),
    path("appeal/<id:video_id>", pages.appeal, name="video-appeal-page"),
]
