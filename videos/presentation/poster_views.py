"""The poster of a video."""

from contextlib import suppress
from functools import partial

from django.conf import settings
from django.http import FileResponse, HttpResponseNotModified
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from config.api.parsers import StrictJSONParser, StrictMultiPartParser
from config.api.refusals import refuses, sends_headers
from config.errors import NotVisible, StorageFull, TooLarge
from config.headers import FOR_OTHER_SITES
from videos import storage
from videos.errors import NoVersion, StorageAway
from videos.models import Video
from videos.presentation import posters
from videos.presentation.serializers import PosterSerializer
from videos.presentation.views import OfVideo
from videos.processing.errors import Rejected
from videos.serializers import OwnVideoSerializer

IMMUTABLE = "max-age=31536000, immutable"  # a year, the usual "for ever" (RFC 8246)


class PosterView(OfVideo):
    """The poster: a moment of the video that the service or the owner chose, or the owner's image."""

    queryset = Video.objects.none()
    serializer_class = PosterSerializer
    parser_classes = [StrictJSONParser, StrictMultiPartParser]
    pagination_class = None
    filterset_class = None

    def get_object(self):
        """Return the video, for OPTIONS."""
        return self.get_video()

    @extend_schema(
        summary="Get a video's poster",
        description="The address in `poster_url` names the poster, so its answer can be cached for a "
        "year. Without that parameter the answer must be revalidated. Posters are as visible as the "
        "video, also those of paid videos.",
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, description="The picture."),
            304: OpenApiResponse(description="`If-None-Match` names the current picture."),
        },
    )
    @refuses(StorageAway)
    @sends_headers("ETag", "Content-Disposition")
    def retrieve(self, request, video_id):
        video = self.get_video()
        with storage.refusing():
            file = None
            if video.poster_name:
                with suppress(FileNotFoundError, NotADirectoryError):
                    file = storage.store().open(storage.poster_name(video))
            if file is None:
                storage.require()
                raise NotVisible("This video has no poster until it has been processed.")
        etag = f'"{video.poster_name}"'
        cache = {"ETag": etag, "Cache-Control": _cache(request, video)}
        headers = {**cache, **FOR_OTHER_SITES}
        known = parse_etags(request.headers.get("If-None-Match", ""))
        if {etag, f"W/{etag}", "*"} & {*known}:
            file.close()
            return HttpResponseNotModified(headers=headers)
        return FileResponse(file, content_type="image/jpeg", headers=headers)

    @extend_schema(
        summary="Choose a video's poster",
        description="Takes a moment of the video (`at_seconds`), or an image: JPEG, PNG or WebP, of at "
        "most 5 MiB and 50 million pixels. An image is encoded anew, upright and without metadata. The "
        "poster stays when the video is processed again.",
        request={"application/json": PosterSerializer, "multipart/form-data": PosterSerializer},
        responses=OwnVideoSerializer,
    )
    @refuses(NoVersion, StorageAway, StorageFull, TooLarge)
    def update(self, request, video_id):
        video = self.get_video()
        serializer = PosterSerializer(
            data=request.data, context={**self.get_serializer_context(), "video": video}
        )
        serializer.is_valid(raise_exception=True)
        if "at_seconds" in serializer.validated_data:
            at_seconds = serializer.validated_data["at_seconds"]
            field, choose = "at_seconds", partial(posters.choose_moment, at_seconds=at_seconds)
        else:
            image = serializer.validated_data["file"].read()
            field, choose = "file", partial(posters.choose_image, image=image)
        try:
            choose(video=video, actor=request.user)
        except Rejected as error:
            raise serializers.ValidationError({field: error.detail}, code="invalid") from None
        return self._video(video)

    @extend_schema(
        summary="Go back to the automatic poster",
        description="Safe to repeat.",
        responses={200: OwnVideoSerializer},
    )
    def destroy(self, request, video_id):
        video = self.get_video()
        posters.forget_choice(video=video, actor=request.user)
        return self._video(video)

    def _video(self, video: Video) -> Response:
        row = Video.objects.for_output().get(pk=video.pk)
        return Response(OwnVideoSerializer(row, context=self.get_serializer_context()).data)


def _cache(request, video: Video) -> str:
    """Return the Cache-Control value of a poster.

    Shared caches may keep it only where everybody may see the video. It is immutable only under the
    address with ``?v=<its name>``, because the plain address shows the next poster.
    """
    for_all = video.visibility == Video.Visibility.PUBLIC and settings.ANONYMOUS_PLAYBACK
    this_one = request.query_params.get("v") == video.poster_name
    return f"{'public' if for_all else 'private'}, {IMMUTABLE if this_one else 'no-cache'}"
