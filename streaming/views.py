from django.conf import settings
from django.db.models import Exists
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from accounts import tokens as access_tokens
from accounts.authentication import bearer_token
from accounts.models import RefreshFamily
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from streaming import heartbeats, sessions
from streaming.delivery import grants
from streaming.models import PlaybackSession
from streaming.serializers import (
    FORMATS,
    HeartbeatSerializer,
    PlaybackSerializer,
    SessionSerializer,
    StreamTokenSerializer,
)

MANIFESTS = {
    "hls": ("master.m3u8", "application/vnd.apple.mpegurl"),
    "dash": ("manifest.mpd", "application/dash+xml"),
}
NO_STORE = {"Cache-Control": "no-store"}


def client_of(request) -> sessions.Client:
    return sessions.Client(
        user_agent=request.headers.get("User-Agent", "").replace("\x00", ""),
        address=request.META.get("REMOTE_ADDR", ""),
    )


class StreamTokenView(APIView):
    permission_classes = [AllowAny]
    rate_group = "stream"

    @extend_schema(
        summary="Ask to watch a video",
        description="A signed token of one minute, for whoever may watch.",
        responses=StreamTokenSerializer,
    )
    def get(self, request, video_id):
        token = sessions.stream_token(user=request.user, video_id=video_id)
        answer = {
            "stream_token": token,
            "stream_url": reverse("stream-play", args=[token]),
            "expires_in_seconds": settings.STREAM_TOKEN_SECONDS,
            "formats": FORMATS,
        }
        return Response(answer, headers=NO_STORE)


class PlayView(APIView):
    """Redeems a token: a player is sent on to the video, a program gets the addresses as JSON."""

    permission_classes = [AllowAny]
    authentication_classes = []
    rate_group = "stream"

    @extend_schema(
        summary="Start or continue a playback session",
        parameters=[OpenApiParameter("format", str, enum=FORMATS, default="hls")],
        responses={
            200: PlaybackSerializer,
            302: OpenApiResponse(description="To the HLS or DASH manifest."),
        },
        auth=[],
    )
    def get(self, request, token):
        manifest, _ = self._manifest(request)
        session, grant = sessions.redeem(token=token, client=client_of(request))
        folder = f"/media/{grant}/{session.video_id}/{session.version}"
        if "application/json" not in request.headers.get("Accept", ""):
            response = HttpResponseRedirect(f"{folder}/{manifest}", headers=NO_STORE)
            response["Referrer-Policy"] = "no-referrer"
            return response
        absolute = request.build_absolute_uri
        answer = {
            "session_id": session.pk,
            "grant": grant,
            "hls_url": absolute(f"{folder}/master.m3u8"),
            "dash_url": absolute(f"{folder}/manifest.mpd"),
            "heartbeat_url": absolute(reverse("stream-heartbeat", args=[session.pk])),
            "heartbeat_interval_seconds": settings.HEARTBEAT_SECONDS,
        }
        return Response(answer, headers=NO_STORE)

    @extend_schema(exclude=True)
    def head(self, request, token):
        """What a GET would lead to. Players ask this first; it opens no session."""
        _, content_type = self._manifest(request)
        sessions.tokens.read(token)
        return HttpResponse(content_type=content_type, headers=NO_STORE)

    @staticmethod
    def _manifest(request) -> tuple[str, str]:
        wanted = request.query_params.get("format", "hls")
        if wanted not in MANIFESTS:
            raise ParseError(f"format must be one of {', '.join(MANIFESTS)}.")
        return MANIFESTS[wanted]


class HeartbeatView(APIView):
    """A heartbeat is checked against its session's row, in the same query that reads it."""

    permission_classes = [AllowAny]
    authentication_classes = []

    def limit_key(self, request) -> str:
        return f"session:{self.kwargs['pk']}"

    @extend_schema(
        summary="Report what was watched",
        description=(
            "By the session's user, or with the header `Playback-Grant`. Video seconds beyond what"
            " the clock allows are dropped."
        ),
        parameters=[
            OpenApiParameter(
                "Playback-Grant", str, OpenApiParameter.HEADER, description="The grant."
            )
        ],
        request=HeartbeatSerializer,
        responses={204: None},
    )
    def post(self, request, pk):
        own = self._sessions_of_caller(request)
        serializer = HeartbeatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        heartbeats.take_in(sessions=own, session_id=pk, beat=serializer.beat())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def _sessions_of_caller(request):
        if grant := request.headers.get("Playback-Grant"):
            client = client_of(request)
            try:
                session_id = grants.verify(
                    grant,
                    video_id=None,
                    user_agent=client.user_agent,
                    address=client.address,
                    now=timezone.now().timestamp(),
                )
            except grants.REFUSALS:
                raise NotVisible() from None
            return PlaybackSession.objects.filter(pk=session_id)
        token = bearer_token(request)
        if token is None:
            raise NotVisible()
        claims = access_tokens.read_access(token)
        signed_in = RefreshFamily.objects.filter(
            pk=claims.family_id,
            revoked_at=None,
            expires_at__gt=timezone.now(),
            user_id=claims.user_id,
            user__is_active=True,
        )
        return PlaybackSession.objects.filter(Exists(signed_in), user_id=claims.user_id)


class SessionViewSet(ListModelMixin, GenericViewSet):
    """The caller's running sessions."""

    queryset = PlaybackSession.objects.none()
    serializer_class = SessionSerializer
    ordering = "-created_at"

    def get_queryset(self):
        mine = PlaybackSession.objects.filter(user=self.request.user)
        return mine.running().select_related("video")

    @extend_schema(summary="Where I am watching")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="Stop watching there", responses={204: None})
    def destroy(self, request, pk):
        sessions.stop(session=self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
