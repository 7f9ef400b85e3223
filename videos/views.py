from django.conf import settings
from django.http import FileResponse, HttpResponseNotModified
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.parsers import StrictJSONParser
from config.api.views import GenericViewSet
from config.errors import NotVisible
from videos.filters import VideoFilter
from videos.models import Video
from videos.permissions import MayAddVideos, MayBrowse, MayRestoreVideos, OwnsVideo
from videos.serializers import FileSerializer, VideoSerializer, VideoUploadSerializer
from videos.services import catalogue, sources
from videos.uploads.multipart import SourceMultiPartParser, require_length

FOR_GOOD = "max-age=31536000, immutable"


@extend_schema_view(
    list=extend_schema(summary="List videos"), retrieve=extend_schema(summary="One video")
)
class VideoViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The catalogue. Who sees what stands in VideoQuerySet."""

    queryset = Video.objects.none()
    serializer_class = VideoSerializer
    permission_classes = [MayBrowse, MayAddVideos, OwnsVideo]
    parser_classes = [StrictJSONParser]
    filterset_class = VideoFilter
    ordering = "-created_at"
    ordering_fields = {
        name: name
        for name in ("created_at", "published_at", "views", "title", "duration_seconds", "price")
    }

    def get_parsers(self):
        if self.request is not None and self.request.method == "POST" and self._creates():
            return [StrictJSONParser(), SourceMultiPartParser()]
        return super().get_parsers()

    def _creates(self) -> bool:
        return self.action_map.get("post") == "create"

    def get_queryset(self):
        user = self.request.user
        videos = (
            Video.objects.listed_for(user)
            if self.action == "list"
            else (Video.objects.visible_to(user))
        )
        return videos.for_output()

    @extend_schema(
        summary="Create a video, with or without its file",
        request={
            "application/json": VideoSerializer,
            "multipart/form-data": VideoUploadSerializer,
        },
        responses={201: VideoSerializer},
    )
    def create(self, request):
        require_length(request)
        serializer = VideoUploadSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        fields = dict(serializer.validated_data)
        if file := fields.pop("file", None):
            video = sources.create_with_source(
                creator=request.user, received=file.received, **fields
            )
        else:
            video = catalogue.create_video(creator=request.user, **fields)
        return Response(self._fresh(video), status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a video", request=VideoSerializer, responses=VideoSerializer)
    def partial_update(self, request, pk):
        return self._change(partial=True)

    @extend_schema(
        summary="Replace a video's description", request=VideoSerializer, responses=VideoSerializer
    )
    def update(self, request, pk):
        return self._change(partial=False)

    def _change(self, *, partial: bool):
        video = self.get_object()
        serializer = self.get_serializer(video, data=self.request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        catalogue.change_video(video=video, actor=self.request.user, **serializer.validated_data)
        return Response(self._fresh(video))

    @extend_schema(
        summary="Delete a video",
        description="Soft: playback stops in seconds; money and history stay.",
        responses={204: None},
    )
    def destroy(self, request, pk):
        catalogue.delete_video(video=self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(summary="Process a FAILED video again", request=None, responses=VideoSerializer)
    def retry(self, request, pk):
        video = sources.retry_processing(video=self.get_object(), actor=request.user)
        return Response(self._fresh(video))

    @extend_schema(
        summary="The video's poster",
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY, 304: OpenApiResponse()},
    )
    def poster(self, request, pk):
        video = self.get_object()
        path = video.version_folder / "poster.jpg"
        if not video.is_playable or not path.is_file():
            raise NotVisible("This video has no poster yet.")
        etag = f'"{video.current_version}"'
        headers = {"ETag": etag, "Cache-Control": _poster_cache(request, video)}
        if request.headers.get("If-None-Match") == etag:
            return HttpResponseNotModified(headers=headers)
        return FileResponse(path.open("rb"), content_type="image/jpeg", headers=headers)

    def _fresh(self, video: Video) -> dict:
        """The video as it is now, whoever may see it: its caller has just changed it."""
        return self.get_serializer(Video.objects.for_output().get(pk=video.pk)).data


def _poster_cache(request, video: Video) -> str:
    """For good under the address that names the version; shared only where all may see it."""
    for_all = video.visibility == Video.Visibility.PUBLIC and settings.ANONYMOUS_PLAYBACK
    this_version = request.query_params.get("v") == video.current_version
    return f"{'public' if for_all else 'private'}, {FOR_GOOD if this_version else 'no-cache'}"


class VideoFileViewSet(VideoViewSet):
    """A video's own file."""

    parser_classes = [SourceMultiPartParser]

    def get_parsers(self):
        return [SourceMultiPartParser()]

    @extend_schema(
        summary="Upload a video's file",
        description="The version before it plays until the new one is ready.",
        request={"multipart/form-data": FileSerializer},
        responses=VideoSerializer,
    )
    def upload(self, request, pk):
        video = self.get_object()  # before a byte of the body is read
        require_length(request)
        serializer = FileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        received = serializer.validated_data["file"].received
        sources.attach_source(video=video, received=received, actor=request.user)
        return Response(self._fresh(video))


class VideoRestoreViewSet(VideoViewSet):
    permission_classes = [MayRestoreVideos]

    @extend_schema(summary="Restore a deleted video", request=None, responses=VideoSerializer)
    def restore(self, request, pk):
        video = catalogue.restore_video(video_id=pk, actor=request.user)
        return Response(self.get_serializer(video).data)
