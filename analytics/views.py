"""The analytics API: dashboards, the report of one video, and reactions."""

from dataclasses import asdict, astuple, fields
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from accounts.models import User
from analytics import reactions, reports
from analytics.permissions import MaySeeOwnAnalytics, MaySeePlatformAnalytics
from analytics.rows import Bucket, Report
from analytics.scope import Scope
from analytics.serializers import (
    CreatorReportSerializer,
    PlatformReportSerializer,
    ReactionAnswerSerializer,
    ReactionSerializer,
    ScopeSerializer,
    VideoReportSerializer,
)
from analytics.steps import TRUNC
from config.api.csv import csv_response, json_or_csv
from config.api.refusals import refuses, sends_headers
from config.api.views import APIView
from config.errors import NotVisible
from payments.entitlements import can_watch
from streaming.errors import PurchaseRequired
from videos.models import Video

DEFINITIONS = (
    "A **view** counts when a playback session has played ten seconds of the video, or half of a"
    " video that is shorter than twenty seconds; the same viewer counts again on that video after"
    " thirty minutes. **Watched seconds** are the seconds of the video that players reported, as far"
    " as they can have been played in the time that passed. Playback by the video's owner or by an"
    " administrator never counts."
)
PARAMETERS = [
    OpenApiParameter(
        "from",
        OpenApiTypes.DATETIME,
        description="Begin of the period, ISO 8601. Default: thirty days before `to`.",
    ),
    OpenApiParameter(
        "to",
        OpenApiTypes.DATETIME,
        description="End of the period, not included, ISO 8601. Default: now.",
    ),
    OpenApiParameter(
        "interval",
        str,
        enum=sorted(TRUNC),
        default="day",
        description="The length of a step of the series.",
    ),
    OpenApiParameter(
        "tz",
        str,
        default="UTC",
        description="The time zone of the steps, and of moments without an offset, by its IANA name"
        " such as `Europe/Berlin`. A day has 23 or 25 hours where the clock is changed.",
    ),
    OpenApiParameter(
        "compare",
        str,
        enum=["previous"],
        description="`previous` adds the totals of the period before, and the changes in percent.",
    ),
    OpenApiParameter(
        "format",
        str,
        enum=["csv"],
        description="`csv` answers with the series alone, as a CSV file.",
    ),
]
VIDEO = OpenApiParameter(
    "video", OpenApiTypes.UUID, description="Id of a video: count this video only."
)
CREATOR = OpenApiParameter(
    "creator",
    OpenApiTypes.UUID,
    description="Id of a creator, for ADMIN only. Creators always get their own dashboard.",
)


@extend_validation_errors(["invalid", "invalid_choice", "make_aware", "overflow"])
class ReportView(APIView):
    """The base of all reports: reads the scope from the query, answers as JSON or CSV."""

    parameters = PARAMETERS

    def scope(self, **fixed) -> Scope:
        """Return the scope that the query asks for; ``fixed`` fields override the query.

        Raises ValidationError for a bad query.
        """
        names = [parameter.name for parameter in self.parameters]
        serializer = ScopeSerializer(data=self.request.query_params, context={"parameters": names})
        serializer.is_valid(raise_exception=True)
        return serializer.scope(**fixed)

    @property
    def compares(self) -> bool:
        """Whether the query asks for the period before. Read it after ``scope``."""
        return "compare" in self.request.query_params

    def answer(self, name: str, scope: Scope, report: Report) -> Response | StreamingHttpResponse:
        """Answer with the whole report as JSON, or with its series as the CSV file ``name``."""
        if self.request.query_params.get("format") == "csv":
            columns = [field.name for field in fields(Bucket)]
            return csv_response(name, columns, (astuple(bucket) for bucket in report.series))
        head = {
            "from": scope.start.astimezone(scope.zone),
            "to": scope.end.astimezone(scope.zone),
            "interval": scope.interval,
            "tz": str(scope.zone),
        }
        return Response({**head, **asdict(report)})


class CreatorDashboardView(ReportView):
    """The dashboard of one creator."""

    permission_classes = [MaySeeOwnAnalytics]
    parameters = [*PARAMETERS, VIDEO, CREATOR]

    @extend_schema(
        summary="Get a creator's dashboard",
        description=DEFINITIONS,
        parameters=parameters,
        responses=json_or_csv(CreatorReportSerializer),
    )
    @sends_headers("Content-Disposition")
    def get(self, request):
        scope = self.scope()
        sees_all = request.user.has_perm("analytics.view_platform_analytics")
        # `creator` is for administrators; a creator who sends it gets their own dashboard.
        creator_id = (sees_all and scope.creator_id) or request.user.pk
        report = reports.creator_report(scope, creator_id, compares=self.compares)
        return self.answer("creator", scope, report)


class PlatformDashboardView(ReportView):
    """The dashboard over all videos."""

    permission_classes = [MaySeePlatformAnalytics]
    parameters = [*PARAMETERS, VIDEO]

    @extend_schema(
        summary="Get the platform's dashboard",
        description=DEFINITIONS,
        parameters=parameters,
        responses=json_or_csv(PlatformReportSerializer),
    )
    @sends_headers("Content-Disposition")
    def get(self, request):
        scope = self.scope(creator_id=None)
        report = reports.platform_report(scope, compares=self.compares)
        return self.answer("platform", scope, report)


class VideoReportView(ReportView):
    """The report of one video, for its owner and administrators."""

    @extend_schema(
        summary="Get the report of one video",
        description=f"For the video's owner and administrators. {DEFINITIONS}",
        parameters=PARAMETERS,
        responses=json_or_csv(VideoReportSerializer),
    )
    @refuses(PermissionDenied)
    @sends_headers("Content-Disposition")
    def get(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        if video.creator_id != request.user.pk and not request.user.has_perm(
            "analytics.view_platform_analytics"
        ):
            raise PermissionDenied("Only the owner of this video may see its report.")
        scope = self.scope(video_id=video.pk, creator_id=None)
        report = reports.video_report(scope, video, compares=self.compares)
        return self.answer("video", scope, report)


class ReactionView(APIView):
    """The caller's reaction to a video that they have access to."""

    @extend_schema(
        summary="Like or dislike a video",
        description=(
            "Sets or changes the caller's reaction. Repeating it changes nothing. Answers with the"
            " video's current numbers of likes and dislikes."
        ),
        request=ReactionSerializer,
        responses=ReactionAnswerSerializer,
    )
    @refuses(PurchaseRequired)
    def put(self, request, video_id):
        serializer = ReactionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._react(request.user, video_id, serializer.validated_data["value"])

    @extend_schema(
        summary="Remove the reaction to a video",
        description="Removes the caller's reaction, if there is one. Repeating it changes nothing.",
        request=None,
        responses={200: ReactionAnswerSerializer},
    )
    @refuses(PurchaseRequired)
    def delete(self, request, video_id):
        return self._react(request.user, video_id, None)

    @staticmethod
    def _react(user: User, video_id: UUID, value: str | None) -> Response:
        """Set the user's reaction; raises NotVisible, or PurchaseRequired without access."""
        video = Video.objects.visible_to(user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        if can_watch(user, video) is None:
            raise PurchaseRequired()
        video = reactions.react(user=user, video=video, value=value)
        return Response({"value": value, "likes": video.likes, "dislikes": video.dislikes})
