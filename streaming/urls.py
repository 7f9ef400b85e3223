from django.urls import path

from streaming import texts, views

urlpatterns = [
    path("stream/sessions/", views.SessionViewSet.as_view({"get": "list"}), name="session-list"),
    path(
        "stream/sessions/<id:pk>",
        views.SessionViewSet.as_view({"delete": "destroy"}),
        name="session-detail",
    ),
    path(
        "stream/sessions/<id:pk>/heartbeat",
        views.HeartbeatView.as_view(),
        name="stream-heartbeat",
    ),
    path("stream/play/<str:token>", views.PlayView.as_view(), name="stream-play"),
    path("stream/<id:video_id>", views.StreamTokenView.as_view(), name="stream-token"),
    path(
        "videos/<id:video_id>/captions/<id:pk>/text",
        texts.CaptionTextView.as_view(),
        name="caption-text",
    ),
    path(
        "videos/<id:video_id>/captions/search",
        texts.CaptionSearchView.as_view(),
        name="caption-search",
    ),
    path(
        "videos/<id:video_id>/storyboard/index.vtt",
        texts.StoryboardView.as_view(),
        name="storyboard-index",
    ),
    path(
        "videos/<id:video_id>/storyboard/sprite-<int:number>.jpg",
        texts.SpriteView.as_view(),
        name="storyboard-sprite",
    ),
]
