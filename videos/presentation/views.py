"""The captions and chapters of a video."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from config.api.parsers import StrictJSONParser, StrictMultiPartParser
from config.api.refusals import refuses
from config.api.views import GenericViewSet
from config.errors import TooLarge
from videos.errors import TooManyCaptions
from videos.models import Video
from videos.permissions import MayBrowse, MayChangeParts, OwnsVideo
from videos.presentation import captioning, chapters, cues
from videos.presentation.models import Caption
from videos.presentation.serializers import (
    CaptionSerializer,
    ChapterSerializer,
    read_chapters,
    refusal,
)


class OfVideo(GenericViewSet):
    """A view of a part of one video. Reading is open to all who see the video, writing to its owner."""

    permission_classes = [MayBrowse, MayChangeParts]

    def get_video(self) -> Video:
        """Return the video of the path. Raises Http404, and PermissionDenied for a change by others."""
        videos = Video.objects.visible_to(self.request.user).select_related("creator")
        video = get_object_or_404(videos, pk=self.kwargs["video_id"])
        if self.request.method not in SAFE_METHODS and not OwnsVideo.allows(
            self.request.user, video, "update"
        ):
            self.permission_denied(self.request, message=OwnsVideo.message)
        return video


@extend_schema_view(
    list=extend_schema(
        summary="List a video's captions",
        description="The oldest come first. A video has at most 100.",
    ),
    retrieve=extend_schema(summary="Get a caption"),
    create=extend_schema(
        summary="Add a caption",
        description="Takes WebVTT or SubRip (SRT), recognised by its content: a file in UTF-8, UTF-16 "
        "with a byte order mark, or else Windows-1252. A file that is wrong is refused with the line. "
        "Tags that WebVTT does not know are shown as text. Cues beyond the video's end are not shown. "
        "Players get the caption within seconds, and running playback goes on.",
        request={
            "multipart/form-data": CaptionSerializer,
            "application/json": CaptionSerializer,
        },
        responses={201: CaptionSerializer},
    ),
    partial_update=extend_schema(
        summary="Change a caption",
        description="Changes the fields that are sent, the text included.",
        request={
            "multipart/form-data": CaptionSerializer,
            "application/json": CaptionSerializer,
        },
    ),
    destroy=extend_schema(
        summary="Delete a caption",
        description="A caption from the video's file does not come back when the file is processed "
        "again.",
        responses={204: None},
    ),
)
class CaptionViewSet(ListModelMixin, OfVideo):
    """The captions of a video."""

    queryset = Caption.objects.none()
    serializer_class = CaptionSerializer
    parser_classes = [StrictJSONParser, StrictMultiPartParser]
    ordering = "id"
    lookup_url_kwarg = "pk"

    def get_queryset(self):
        return self.get_video().captions.select_related("video").defer("text")

    def list(self, request, video_id):
        return super().list(request)

    def retrieve(self, request, video_id, pk):
        return Response(self.get_serializer(self.get_object()).data)

    @refuses(TooManyCaptions, TooLarge)
    def create(self, request, video_id):
        video = self.get_video()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            caption = captioning.add_caption(
                video=video, actor=request.user, **serializer.validated_data
            )
        except cues.NotCaptions as error:
            raise refusal(error, _sent(request)) from None
        return Response(self.get_serializer(caption).data, status=status.HTTP_201_CREATED)

    @refuses(TooLarge)
    def partial_update(self, request, video_id, pk):
        caption = self.get_object()
        serializer = self.get_serializer(caption, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        try:
            caption = captioning.change_caption(
                caption=caption, actor=request.user, **serializer.validated_data
            )
        except cues.NotCaptions as error:
            raise refusal(error, _sent(request)) from None
        return Response(self.get_serializer(caption).data)

    def destroy(self, request, video_id, pk):
        captioning.delete_caption(caption=self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ChaptersView(OfVideo):
    """The chapters of a video."""

    queryset = Video.objects.none()
    serializer_class = ChapterSerializer
    pagination_class = None
    filterset_class = None

    @extend_schema(
        summary="List a video's chapters",
        description="In their order. The session's answer names the same as WebVTT (kind `chapters`).",
        responses=ChapterSerializer(many=True),
    )
    def list(self, request, video_id):
        return Response(self.get_video().chapters)

    @extend_schema(
        summary="Set a video's chapters",
        description="Takes the place of all chapters, also of those from the video's file; an empty "
        "list removes them. At most 500, in their order, each at its own time, before the video's end.",
        request=ChapterSerializer(many=True),
        responses=ChapterSerializer(many=True),
    )
    def update(self, request, video_id):
        video = self.get_video()
        found = read_chapters(request.data, seconds=video.duration_seconds)
        return Response(
            chapters.set_chapters(video=video, actor=request.user, chapters=found).chapters
        )


def _sent(request) -> str:
    return "file" if "file" in request.data else "text"
