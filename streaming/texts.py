"""The texts and pictures of a video that show its content: whoever may watch it may have them."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated, ValidationError
from rest_framework.response import Response

from config.api.refusals import refuses, sends_headers
from config.api.views import APIView
from config.errors import NotVisible
from config.headers import FOR_OTHER_SITES
from streaming import sessions
from streaming.errors import PurchaseRequired
from streaming.models import PREVIEW, PlaybackSession
from videos import reading, storage
from videos.availability import errors as availability
from videos.errors import StorageAway
from videos.models import Video
from videos.permissions import MayBrowse
from videos.presentation import cues
from videos.presentation.models import Caption
from videos.processing import storyboards

WEBVTT = "text/vtt; charset=utf-8"
MOST_FOUND = 100
MOST_LETTERS = 200  # of a search
MOST_READ = 2_000_000  # letters of captions
CAPTION_DETAILS = ("id", "language", "label", "kind", "is_forced", "is_sdh", "is_default")


def of_session(session: PlaybackSession, folder: str) -> dict[str, object]:
    """Return the addresses of captions, chapters and storyboard below that of the session's version.

    A preview has no storyboard, whose pictures are of the whole video.
    """
    video = session.video
    has_storyboard = video.has_storyboard and session.access != PREVIEW
    details = Caption.objects.filter(video=video).order_by("pk").values(*CAPTION_DETAILS)
    return {
        "captions": [{**each, "url": f"{folder}/text/{each['id']}.vtt"} for each in details],
        "chapters_url": f"{folder}/chapters.vtt" if video.chapters else None,
        "storyboard_url": f"{folder}/storyboard/index.vtt" if has_storyboard else None,
    }


FoundSerializer = inline_serializer(
    "FoundInCaptions",
    {
        "results": inline_serializer(
            "FoundCue",
            {
                "caption": serializers.UUIDField(),
                "language": serializers.CharField(help_text="A tag of BCP 47."),
                "start_seconds": serializers.FloatField(),
                "end_seconds": serializers.FloatField(),
                "text": serializers.CharField(),
            },
            many=True,
        ),
        "is_complete": serializers.BooleanField(),
    },
)


class OfWatchable(APIView):
    """A view of a part of a video's content, for viewers who may watch the video."""

    permission_classes = [MayBrowse]

    def get_video(self, video_id: UUID) -> Video:
        """Return the video. Raises NotVisible and what `sessions.require_watching` raises."""
        video = reading.find_to_watch(self.request.user, video_id)
        if video is None:
            raise NotVisible()
        sessions.require_watching(
            self.request.user, video, self.request.META.get("REMOTE_ADDR", "")
        )
        return video


class CaptionTextView(OfWatchable):
    """The text of a caption as players show it."""

    @extend_schema(
        summary="Get a caption's text",
        description="The caption as WebVTT, cut at the video's end. Like playback, it is refused to "
        "those who may not watch the video. Players find it below the address of their session, too.",
        parameters=[
            OpenApiParameter("download", bool, description="Whether browsers save it as a file.")
        ],
        responses={
            (200, "text/vtt"): OpenApiResponse(OpenApiTypes.BINARY, description="The text.")
        },
    )
    @refuses(*availability.REFUSALS, NotAuthenticated, PurchaseRequired)
    @sends_headers("Content-Disposition")
    def get(self, request, video_id, pk):
        video = self.get_video(video_id)
        caption = Caption.objects.filter(video=video, pk=pk).first()
        if caption is None:
            raise NotVisible("This video has no such caption.")
        text = cues.cut(caption.text, video.duration_seconds)
        headers = dict(FOR_OTHER_SITES)
        if request.query_params.get("download", "") not in ("", "0", "false"):
            headers["Content-Disposition"] = f'attachment; filename="{caption.language}.vtt"'
        return HttpResponse(text, content_type=WEBVTT, headers=headers)


class CaptionSearchView(OfWatchable):
    """The places of a video at which something is said."""

    @extend_schema(
        summary="Find what is said in a video",
        description="The cues of the video's captions in which all words of `q` occur, in upper or "
        f"lower case, by their time: the first {MOST_FOUND}. `is_complete` is false if there may be "
        "more. Like playback, it is refused to those who may not watch the video.",
        parameters=[
            OpenApiParameter("q", str, required=True, description="Words, 200 characters at most."),
            OpenApiParameter("language", str, description="A tag of BCP 47: captions in it alone."),
        ],
        responses=FoundSerializer,
    )
    @refuses(*availability.REFUSALS, NotAuthenticated, PurchaseRequired, ValidationError)
    def get(self, request, video_id):
        video = self.get_video(video_id)
        words = request.query_params.get("q", "").casefold().split()
        if not words or len(request.query_params["q"]) > MOST_LETTERS:
            raise ValidationError({"q": f"Send 1 to {MOST_LETTERS} characters, with a word."})
        captions = video.captions.order_by("pk")
        if language := request.query_params.get("language"):
            captions = captions.filter(language__iexact=language)
        found, is_complete = search(captions, words, video.duration_seconds)
        return Response({"results": found, "is_complete": is_complete})


def search(
    captions: QuerySet[Caption], words: list[str], seconds: float | None
) -> tuple[list[dict[str, Any]], bool]:
    """Return the cues that have all words, in casefolded form, and whether these are all.

    At most MOST_READ letters of captions are read, so that no search takes long.
    """
    found: list[dict[str, Any]] = []
    left, is_complete = MOST_READ, True
    for caption in captions.iterator(chunk_size=1):  # each may have a megabyte
        left -= len(caption.text)
        if left < 0:
            is_complete = False
            break
        for cue in cues.parse(caption.text):
            text = cues.readable(cue.text)
            if seconds is not None and cue.start >= seconds * 1000:
                continue  # of a longer file
            if all(word in text.casefold() for word in words):
                found.append(
                    {
                        "caption": caption.pk,
                        "language": caption.language,
                        "start_seconds": cue.start / 1000,
                        "end_seconds": cue.end / 1000,
                        "text": text,
                    }
                )
    found.sort(key=lambda each: each["start_seconds"])
    return found[:MOST_FOUND], is_complete and len(found) <= MOST_FOUND


class StoryboardView(OfWatchable):
    """The index of a video's storyboard."""

    @extend_schema(
        summary="Get a video's storyboard",
        description="WebVTT whose cues name a picture for each part of the video, as "
        "`sprite-1.jpg#xywh=x,y,width,height`, relative to this address. Like playback, it is refused "
        "to those who may not watch the video. Players find it below the address of their session, too.",
        responses={
            (200, "text/vtt"): OpenApiResponse(OpenApiTypes.BINARY, description="The index.")
        },
    )
    @refuses(*availability.REFUSALS, NotAuthenticated, PurchaseRequired, StorageAway)
    @sends_headers("Content-Disposition")
    def get(self, request, video_id):
        return _file(self.get_video(video_id), storyboards.INDEX, WEBVTT)


class SpriteView(OfWatchable):
    """A file of a storyboard's pictures."""

    @extend_schema(
        summary="Get pictures of a storyboard",
        description="A file with up to 100 pictures, as the storyboard names it.",
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, description="The pictures.")
        },
    )
    @refuses(*availability.REFUSALS, NotAuthenticated, PurchaseRequired, StorageAway)
    @sends_headers("Content-Disposition")
    def get(self, request, video_id, number):
        return _file(self.get_video(video_id), f"sprite-{number}.jpg", "image/jpeg")


def _file(video: Video, name: str, content_type: str) -> FileResponse:
    path = f"{storage.version_name(video)}/{storyboards.FOLDER}/{name}"
    with storage.refusing():
        file = None
        if video.is_playable:
            with suppress(FileNotFoundError, NotADirectoryError):
                file = storage.store().open(path)
        if file is None:
            storage.require()
            raise NotVisible("This video has no such picture.")
    headers = {**FOR_OTHER_SITES, "Cache-Control": "private, max-age=300"}
    return FileResponse(file, content_type=content_type, headers=headers)
