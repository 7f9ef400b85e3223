from django.urls import path

from analytics import views

urlpatterns = [
    path("videos/<id:video_id>/reaction", views.ReactionView.as_view(), name="reaction"),
    path("analytics/creator", views.CreatorDashboardView.as_view(), name="creator-dashboard"),
    path("analytics/admin", views.PlatformDashboardView.as_view(), name="platform-dashboard"),
    path("analytics/videos/<id:video_id>", views.VideoReportView.as_view(), name="video-report"),
]
