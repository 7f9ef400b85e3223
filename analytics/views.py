from dataclasses import replace

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from analytics import ingest, reports
from analytics.permissions import MaySeeOwnAnalytics, MaySeePlatformAnalytics
from analytics.serializers import (
    BucketSerializer,
    CreatorReportSerializer,
    PlatformReportSerializer,
    ReactionAnswerSerializer,
    ReactionSerializer,
    ScopeSerializer,
    VideoReportSerializer,
)
from config.api.csv import csv_response
from config.api.views import APIView
from config.errors import NotVisible
from payments.entitlements import can_watch
from streaming.errors import PurchaseRequired
from videos.models import Video

DEFINITIONS = (
    "A **view** is a session's first moment with ten watched seconds (or half of a shorter video);"
    " the same viewer counts again after thirty minutes. **Watched seconds** are seconds of the video"
    " that the clock allows. Owners and administrators never count."
)
PARAMETERS = [
    OpenApiParameter("from", str, description="ISO 8601; thirty days before `to`, if not given."),
    OpenApiParameter("to", str, description="ISO 8601; now, if not given."),
    OpenApiParameter("interval", str, enum=sorted(reports.TRUNC), default="day"),
    OpenApiParameter("format", str, enum=["csv"], description="The series as CSV."),
]
VIDEO = OpenApiParameter("video", str, description="One video only.")
CREATOR = OpenApiParameter(
    "creator", str, description="Another creator's dashboard; for ADMIN, others see their own."
)


class ReportView(APIView):
    """A report over a scope, as JSON or as CSV of its series."""

    def scope(self, **fixed) -> reports.Scope:
        serializer = ScopeSerializer(data=self.request.query_params)
        serializer.is_valid(raise_exception=True)
        return serializer.scope(**fixed)

    def answer(self, name: str, scope: reports.Scope, report: dict):
        if self.request.query_params.get("format") == "csv":
            columns = ["bucket", "views", "unique_viewers", "sessions", "watch_seconds"]
            rows = BucketSerializer(report["series"], many=True).data
            rows = ([row[column] for column in columns] for row in rows)
            return csv_response(name, columns, rows)
        head = {"from": scope.start, "to": scope.end, "interval": scope.interval}
        return Response({**head, **report})


class CreatorDashboardView(ReportView):
    permission_classes = [MaySeeOwnAnalytics]

    @extend_schema(
        summary="A creator's dashboard",
        description=DEFINITIONS,
        parameters=[*PARAMETERS, VIDEO, CREATOR],
        responses=CreatorReportSerializer,
    )
    def get(self, request):
        scope = self.scope()
        sees_all = request.user.has_perm("analytics.view_platform_analytics")
        # A creator asking for another one still gets their own videos, and nothing else.
        creator_id = (sees_all and scope.creator_id) or request.user.pk
        scope = replace(scope, creator_id=creator_id)
        return self.answer("creator", scope, reports.creator_report(scope))


class PlatformDashboardView(ReportView):
    permission_classes = [MaySeePlatformAnalytics]

    @extend_schema(
        summary="The platform's dashboard",
        description=DEFINITIONS,
        parameters=[*PARAMETERS, VIDEO],
        responses=PlatformReportSerializer,
    )
    def get(self, request):
        scope = self.scope(creator_id=None)
        return self.answer("platform", scope, reports.platform_report(scope))


class VideoReportView(ReportView):
    @extend_schema(
        summary="One video's numbers",
        description=DEFINITIONS,
        parameters=PARAMETERS,
        responses=VideoReportSerializer,
    )
    def get(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        if video.creator_id != request.user.pk and not request.user.has_perm(
            "analytics.view_platform_analytics"
        ):
            raise PermissionDenied("Only its owner may see the numbers of this video.")
        scope = self.scope(video_id=video.pk, creator_id=None)
        return self.answer("video", scope, reports.video_report(scope, video))


class ReactionView(APIView):
    @extend_schema(
        summary="Like or dislike a video",
        request=ReactionSerializer,
        responses=ReactionAnswerSerializer,
    )
    def put(self, request, video_id):
        serializer = ReactionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._react(video_id, serializer.validated_data["value"])

    @extend_schema(
        summary="Take a reaction back", request=None, responses={200: ReactionAnswerSerializer}
    )
    def delete(self, request, video_id):
        return self._react(video_id, None)

    def _react(self, video_id, value: str | None):
        user = self.request.user
        video = Video.objects.visible_to(user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        if can_watch(user, video) is None:
            raise PurchaseRequired()
        video = ingest.react(user=user, video=video, value=value)
        return Response({"value": value, "likes": video.likes, "dislikes": video.dislikes})
