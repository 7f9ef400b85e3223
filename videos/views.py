from collections.abc import Sequence

from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.pagination import PAGE_SIZE, KeysetPagination
from config.api.parsers import StrictJSONParser
from config.api.refusals import refuses
from config.api.views import GenericViewSet
from config.errors import StorageFull, TooLarge
from videos import jobs, listing, reading
from videos.errors import (
    AlreadyQueued,
    EmptyUpload,
    FilesRemoved,
    LengthRequired,
    NoSource,
    NotFailed,
    QuotaExceeded,
    StorageAway,
    UploadInterrupted,
)
from videos.filters import VideoFilter
from videos.models import Video
from videos.permissions import MayAddVideos, MayBrowse, MayRestoreVideos, OwnsVideo
from videos.querysets import sight_of
from videos.serializers import (
    A_PAID_VIDEO,
    FileSerializer,
    ImportSerializer,
    OwnVideoSerializer,
    VideoSerializer,
    VideoUploadSerializer,
)
from videos.services import catalogue, importing, sources
from videos.uploads.parser import (
    SourceMultiPartParser,
    announced_length,
    is_unread_form,
    require_length,
)

UPLOAD_REFUSALS = (
    EmptyUpload,
    LengthRequired,
    QuotaExceeded,
    StorageAway,
    StorageFull,
    TooLarge,
    UploadInterrupted,
)


@extend_schema_view(
    list=extend_schema(
        summary="List videos",
        description="The catalogue: public videos that can be played. A creator also finds all their "
        "own videos in it, and an administrator finds every video that is not deleted.",
    ),
    retrieve=extend_schema(
        summary="Get a video",
        description="Answers 404 for a deleted video, and for one that the caller may not see.",
    ),
)
class VideoViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Anyone sees the videos that can be played and are not private.

    Owners also see all their own videos, and administrators see every video. A deleted video is
    answered with 404.
    """

    queryset = Video.objects.none()
    serializer_class = VideoSerializer
    permission_classes = [MayBrowse, MayAddVideos, OwnsVideo]
    parser_classes = [StrictJSONParser]
    filterset_class = VideoFilter
    lookup_value_converter = "id"
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
        if self.action == "list":
            sight = sight_of(user)
            return reading.rows_of(Video.objects.listed_by(sight, user.pk), sight)
        return Video.objects.visible_to(user).for_output()

    def _answers(self, page: Sequence[reading.Found]) -> list[listing.Answer]:
        return listing.answers(page, VideoSerializer(context=self.get_serializer_context()))

    def list(self, request):
        pages = KeysetPagination()
        if request.query_params:
            videos = self.filter_queryset(self.get_queryset())
            page = pages.paginate_queryset(videos, request, self)
        else:
            pages.read(Video, request, self)
            page = pages.page(reading.newest(request.user), PAGE_SIZE, None)
        return pages.get_paginated_response(self._answers(page))

    def retrieve(self, request, pk):
        if request.query_params:  # filters apply to one video, too
            return super().retrieve(request, pk)
        found = reading.find_row(request.user, pk)
        if found is None:
            raise Http404("No Video matches the given query.")
        self.check_object_permissions(request, found)
        return Response(self._answers([found])[0])

    @extend_schema(
        summary="Create a video, with or without its file",
        description="With a file (multipart/form-data), processing starts at once. Without one, the "
        "video is CREATED until its file is uploaded.",
        request={
            "application/json": VideoSerializer,
            "multipart/form-data": VideoUploadSerializer,
        },
        responses={201: OwnVideoSerializer},
        examples=[A_PAID_VIDEO],
    )
    @refuses(*UPLOAD_REFUSALS)
    def create(self, request):
        require_length(request)
        if is_unread_form(request):
            length = announced_length(request.META)
            jobs.refuse_beyond_quota(request.user, size=length)
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

    @extend_schema(
        summary="Change a video",
        description="Changes the fields that are sent.",
        request=VideoSerializer,
        responses=OwnVideoSerializer,
        examples=[A_PAID_VIDEO],
    )
    def partial_update(self, request, pk):
        return self._change(request, partial=True)

    @extend_schema(
        summary="Replace a video's details",
        description="Needs the title. An optional field that is not sent keeps its value.",
        request=VideoSerializer,
        responses=OwnVideoSerializer,
        examples=[A_PAID_VIDEO],
    )
    def update(self, request, pk):
        return self._change(request, partial=False)

    def _change(self, request, *, partial: bool):
        video = self.get_object()
        serializer = self.get_serializer(video, data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        catalogue.change_video(video=video, actor=request.user, **serializer.validated_data)
        return Response(self._fresh(video))

    @extend_schema(
        summary="Delete a video",
        description="Playback stops within seconds. Files, orders, payments and statistics are kept, "
        "and an administrator can restore the video.",
        responses={204: None},
    )
    def destroy(self, request, pk):
        catalogue.delete_video(video=self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Upload a video's file",
        description="Stores the file and starts processing it. A version that was published before "
        "can be played until the new one is ready.",
        request={"multipart/form-data": FileSerializer},
        responses=OwnVideoSerializer,
    )
    @refuses(*UPLOAD_REFUSALS)
    @action(
        detail=True,
        methods=["put"],
        url_path="file",
        url_name="file",
        parser_classes=[SourceMultiPartParser],
    )
    def upload(self, request, pk):
        # Access is decided before the first byte of the body is read.
        video = self.get_object()
        require_length(request)
        if is_unread_form(request):
            length = announced_length(request.META)
            jobs.refuse_beyond_quota(video.creator, size=length, replaced=video)
        serializer = FileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        received = serializer.validated_data["file"].received
        sources.attach_source(video=video, received=received, actor=request.user)
        return Response(self._fresh(video))

    @extend_schema(
        summary="Restore a deleted video",
        description="Brings the video back as it was. A video that is not deleted stays unchanged. "
        "Answers 409 when its files were removed since.",
        request=None,
        responses=OwnVideoSerializer,
    )
    @refuses(FilesRemoved)
    @action(detail=True, methods=["patch"], permission_classes=[MayRestoreVideos])
    def restore(self, request, pk):
        video = catalogue.restore_video(video_id=pk, actor=request.user)
        return Response(OwnVideoSerializer(video, context=self.get_serializer_context()).data)

    @extend_schema(
        summary="Process a FAILED video again",
        description="Queues the file that was uploaded last. Answers 409 if the video is not FAILED.",
        request=None,
        responses=OwnVideoSerializer,
    )
    @refuses(NotFailed, NoSource, QuotaExceeded, StorageAway)
    @action(detail=True, methods=["post"])
    def retry(self, request, pk):
        video = sources.retry_processing(video=self.get_object(), actor=request.user)
        return Response(self._fresh(video))

    @extend_schema(
        summary="Import a video's file from an address",
        description="A worker fetches the file, over http or https from the public Internet, and then "
        "processes it like an uploaded one; `processing` shows how far it is, and why it failed. The "
        "old version plays until the new one is ready. Answers 409 while the video is being processed.",
        request=ImportSerializer,
        responses={202: OwnVideoSerializer},
    )
    @refuses(AlreadyQueued, QuotaExceeded, StorageAway, StorageFull)
    @action(detail=True, methods=["post"], url_path="import")
    def import_file(self, request, pk):
        serializer = ImportSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        video = importing.request_import(
            video=self.get_object(), actor=request.user, **serializer.validated_data
        )
        return Response(self._fresh(video), status=status.HTTP_202_ACCEPTED)

    def _fresh(self, video: Video) -> dict:
        """Return the response body for a video that the caller has just changed.

        Reads the row again without ``visible_to``: the change may have made the video one that its
        caller may no longer see.
        """
        row = Video.objects.for_output().get(pk=video.pk)
        return OwnVideoSerializer(row, context=self.get_serializer_context()).data
