from django.urls import path

from videos.views import VideoFileViewSet, VideoRestoreViewSet, VideoViewSet

collection = VideoViewSet.as_view({"get": "list", "post": "create"})
single = VideoViewSet.as_view(
    {"get": "retrieve", "patch": "partial_update", "put": "update", "delete": "destroy"}
)

urlpatterns = [
    path("videos/", collection, name="video-list"),
    path("videos/<uuid:pk>", single, name="video-detail"),
    path("videos/<uuid:pk>/file", VideoFileViewSet.as_view({"put": "upload"}), name="video-file"),
    path(
        "videos/<uuid:pk>/restore",
        VideoRestoreViewSet.as_view({"patch": "restore"}),
        name="video-restore",
    ),
    path("videos/<uuid:pk>/retry", VideoViewSet.as_view({"post": "retry"}), name="video-retry"),
    path("videos/<uuid:pk>/poster", VideoViewSet.as_view({"get": "poster"}), name="video-poster"),
]
