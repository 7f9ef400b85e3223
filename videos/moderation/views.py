"""The API of moderation: viewers report, owners appeal. Moderators work on the admin site."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from config.api.refusals import refuses
from config.api.views import APIView
from config.errors import NotVisible
from videos import reading
from videos.models import Video
from videos.moderation import appealing, cases
from videos.moderation.errors import AppealOpen, AppealsUsedUp, NotTakenDown, OwnVideo
from videos.moderation.serializers import AppealSerializer, ReportSerializer


class OfVisible(APIView):
    """A view of a video that the signed-in caller may open."""

    permission_classes = [IsAuthenticated]

    def get_video(self, video_id) -> Video:
        """Return the video. Raises NotVisible."""
        video = reading.find(self.request.user, video_id)
        if video is None:
            raise NotVisible()
        return video


class ReportView(OfVisible):
    """Reports of one video."""

    @extend_schema(
        summary="Report a video",
        description="Puts the video before the moderators. A second report of the same person, while "
        "the first one waits, replaces its reason and words and is answered with 200. One's own video "
        "cannot be reported.",
        request=ReportSerializer,
        responses={
            201: OpenApiResponse(ReportSerializer, "The report waits for a moderator."),
            200: OpenApiResponse(
                ReportSerializer, "The caller's waiting report, with the new words."
            ),
        },
    )
    @refuses(OwnVideo)
    def post(self, request, video_id):
        video = self.get_video(video_id)
        serializer = ReportSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        report, is_new = cases.report(
            video=video, reporter=request.user, **serializer.validated_data
        )
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(ReportSerializer(report).data, status=code)


class AppealView(OfVisible):
    """Appeals against the take-down of one video."""

    @extend_schema(
        summary="Appeal against the take-down of my video",
        description="Another moderator than the one who took the video down decides, where there is "
        "one, and the owner gets a mail. One appeal can wait at a time, and two are all.",
        request=AppealSerializer,
        responses={201: OpenApiResponse(AppealSerializer, "The appeal waits for a moderator.")},
    )
    @refuses(PermissionDenied, NotTakenDown, AppealOpen, AppealsUsedUp)
    def post(self, request, video_id):
        video = self.get_video(video_id)
        if video.creator_id != request.user.pk:
            raise PermissionDenied("Only the owner of a video may appeal against its take-down.")
        serializer = AppealSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        appeal = appealing.appeal(video=video, creator=request.user, **serializer.validated_data)
        return Response(AppealSerializer(appeal).data, status=status.HTTP_201_CREATED)
