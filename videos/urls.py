from django.urls import path
from rest_framework.routers import SimpleRouter

from videos.moderation.views import AppealView, ReportView
from videos.presentation.poster_views import PosterView
from videos.presentation.views import CaptionViewSet, ChaptersView
from videos.uploads.views import UploadViewSet
from videos.views import VideoViewSet


class CollectionRouter(SimpleRouter):
    """Routes ``<prefix>/`` to a collection, and ``<prefix>/<id>…`` without a final slash.

    OPTIONS names both by the view alone: DRF's suffixes "List" and "Instance" are left out.
    """

    def __init__(self) -> None:
        collection, *others = (route._replace(initkwargs={}) for route in SimpleRouter.routes)
        self.routes = [collection._replace(url="{prefix}/"), *others]
        super().__init__(trailing_slash=False, use_regex_path=False)


router = CollectionRouter()
router.register("videos", VideoViewSet, basename="video")
router.register("uploads", UploadViewSet, basename="upload")

urlpatterns = [
    *router.urls,
    path(
        "videos/<id:video_id>/chapters",
        ChaptersView.as_view({"get": "list", "put": "update"}),
        name="chapter-list",
    ),
    path(
        "videos/<id:video_id>/poster",
        PosterView.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
        name="video-poster",
    ),
    path("videos/<id:video_id>/reports", ReportView.as_view(), name="video-report"),
    path("videos/<id:video_id>/appeal", AppealView.as_view(), name="video-appeal"),
    path(
        "videos/<id:video_id>/captions/",
        CaptionViewSet.as_view({"get": "list", "post": "create"}),
        name="caption-list",
    ),
    path(
        "videos/<id:video_id>/captions/<id:pk>",
        CaptionViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="caption-detail",
    ),
]
