"""The streaming API: stream tokens, playback sessions and heartbeats."""

from functools import cache
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import status
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAuthenticated,
    ParseError,
    ValidationError,
)
from rest_framework.mixins import DestroyModelMixin, ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from accounts import api_keys
from accounts import tokens as access_tokens
from accounts.authentication import bearer_token
from accounts.errors import InsufficientScope, TokenExpired, TokenInvalid
from config import addresses
from config.api import ratelimit
from config.api.refusals import reads_header, refuses, sends_headers
from config.api.serializers import validated
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from config.headers import FOR_OTHER_SITES
from streaming import drm, heartbeats, reporting, resuming, sessions, texts, tokens
from streaming.delivery import grants
from streaming.errors import (
    NotReady,
    PurchaseRequired,
    SessionEnded,
    StreamTokenExpired,
    StreamTokenInvalid,
    TooManyStreams,
)
from streaming.metrics import CountsDecisions
from streaming.models import PREVIEW, PlaybackSession
from streaming.serializers import (
    FORMATS,
    HeartbeatSerializer,
    PlaybackSerializer,
    SessionSerializer,
    StreamTokenSerializer,
)
from videos.availability import errors as availability
from videos.permissions import MayBrowse
from videos.versions import formats_of

MANIFESTS = {
    "hls": ("master.m3u8", "application/vnd.apple.mpegurl"),
    "dash": ("manifest.mpd", "application/dash+xml"),
}


PREVIEW_WANTED = {"true": True, "1": True, "false": False, "0": False, "": False}


@cache
def _play_path() -> str:
    """Return the path of `PlayView` before the token, which needs no quoting."""
    return reverse("stream-play", args=["-"]).removesuffix("-")


def client_of(request) -> sessions.Client:
    """Return the caller's user agent and address.

    NUL is removed from the user agent: PostgreSQL cannot store it in a text.
    """
    return sessions.Client(
        user_agent=request.META.get("HTTP_USER_AGENT", "").replace("\x00", ""),
        address=request.META.get("REMOTE_ADDR", ""),
    )


class StreamTokenView(CountsDecisions, APIView):
    """Gives a stream token to every caller who has access to the video."""

    step = "token"
    permission_classes = [MayBrowse]
    rate_group = "stream"

    @extend_schema(
        summary="Ask to watch a video",
        description=(
            "Gives a signed token that starts one playback session. Redeem it within one minute."
            " Refused with 401 when the caller is not signed in and the video is not free, with 403"
            " when the caller has no access, and with 409 when the video has no playable version."
            " With `preview=true`, callers without access get a token for the preview of a video that"
            " has `preview_seconds`; `is_preview` tells whether it is one. After buying the video, ask"
            " again. The dates and countries of the video come first: 409 `not_yet_available` with"
            " `publish_at`, 410 `no_longer_available` (not for those who have bought it), 403"
            " `not_in_your_country`."
        ),
        parameters=[
            OpenApiParameter(
                "preview", bool, default=False, description="Whether a preview will do, too."
            )
        ],
        responses=StreamTokenSerializer,
    )
    @refuses(NotAuthenticated, PurchaseRequired, NotReady, ValidationError, *availability.REFUSALS)
    def get(self, request, video_id):
        wanted = request.query_params.get("preview", "false").lower()
        if wanted not in PREVIEW_WANTED:
            raise ValidationError({"preview": "Send `true` or `false`."})
        offered = sessions.stream_token(
            user=request.user,
            video_id=video_id,
            address=client_of(request).address,
            preview=PREVIEW_WANTED[wanted],
        )
        answer = {
            "stream_token": offered.token,
            "stream_url": f"{_play_path()}{offered.token}",
            "expires_in_seconds": settings.STREAM_TOKEN_SECONDS,
            "formats": offered.formats,
            "is_preview": offered.preview_seconds is not None,
            "preview_seconds": offered.preview_seconds,
        }
        return Response(answer)


class PlayView(CountsDecisions, APIView):
    """Redeems a stream token.

    A player is redirected to the manifest. A client that accepts `application/json` gets the
    addresses of the session instead. The same token continues its session, on the same device.
    """

    step = "session"
    permission_classes = [AllowAny]
    authentication_classes = []
    rate_group = "stream"

    @extend_schema(
        summary="Start or continue a playback session",
        description=(
            "Redeems a stream token. With `Accept: application/json` the answer holds the session's"
            " addresses; otherwise it redirects a player to the manifest. The same token continues its"
            " session, on the same device. A viewer who plays as many videos as the plan or the"
            " operator allows gets 409 `too_many_streams` with the sessions that hold a place:"
            " stop one with `DELETE /stream/sessions/{id}` and redeem the same token again."
        ),
        parameters=[
            OpenApiParameter(
                "format",
                str,
                enum=FORMATS,
                default="hls",
                description="The manifest to redirect to. The JSON answer holds both addresses.",
            )
        ],
        responses={
            200: OpenApiResponse(
                PlaybackSerializer, description="With `Accept: application/json`: the session."
            ),
            302: OpenApiResponse(description="Otherwise: a redirect to the HLS or DASH manifest."),
        },
        auth=[],
    )
    @refuses(
        StreamTokenInvalid,
        StreamTokenExpired,
        NotAuthenticated,
        PurchaseRequired,
        NotReady,
        TooManyStreams,
        SessionEnded,
        *availability.REFUSALS,
    )
    @reads_header(
        "Accept",
        "`application/json` asks for the session's addresses instead of a redirect.",
        {"type": "string", "example": "application/json"},
    )
    @sends_headers("Location")
    def get(self, request, token):
        manifest, _ = self._manifest(request)
        as_json = "application/json" in request.headers.get("Accept", "")
        needs = "dash" if manifest == MANIFESTS["dash"][0] and not as_json else "hls"
        session, grant = sessions.redeem(token=token, client=client_of(request), needs=needs)
        folder = f"/media/{grant}/{session.video_id}/{session.version}"
        if not as_json:
            return HttpResponseRedirect(f"{folder}/{manifest}", headers=FOR_OTHER_SITES)
        absolute = request.build_absolute_uri
        has_dash = "dash" in formats_of(session.version)
        answer = {
            "session_id": session.pk,
            "grant": grant,
            "hls_url": absolute(f"{folder}/master.m3u8"),
            "dash_url": absolute(f"{folder}/manifest.mpd") if has_dash else None,
            "heartbeat_url": absolute(reverse("stream-heartbeat", args=[session.pk])),
            "heartbeat_interval_seconds": settings.HEARTBEAT_SECONDS,
            "resume_seconds": resuming.resume_seconds(session),
            "is_preview": session.access == PREVIEW,
            "preview_seconds": session.video.offered_preview if session.access == PREVIEW else None,
            "drm": drm.of_session(session, grant, folder, absolute),
            **texts.of_session(session, absolute(folder)),
        }
        return Response(answer)

    @extend_schema(exclude=True)
    def head(self, request, token):
        """Answer with the manifest's content type, for a token that is still good.

        Players send HEAD before GET. It starts no session.
        """
        _, content_type = self._manifest(request)
        tokens.read(token)
        return HttpResponse(content_type=content_type, headers=FOR_OTHER_SITES)

    @staticmethod
    def _manifest(request) -> tuple[str, str]:
        """Return the name and content type of the requested manifest, or refuse with ParseError."""
        requested = request.query_params.get("format", "hls")
        if requested not in MANIFESTS:
            raise ParseError(f"This format is not available. Use one of: {', '.join(MANIFESTS)}.")
        return MANIFESTS[requested]


class HeartbeatView(APIView):
    """Takes in the heartbeats of players.

    The query that reads the session's row also checks the caller's bearer token, so this view
    authenticates no one before it: a heartbeat costs two statements.
    """

    permission_classes = [AllowAny]
    authentication_classes = []
    is_frequent = True

    def limit_key(self, request) -> str:
        """Count requests by session: many viewers may share one address.

        Refused reports are counted by address too, before the database is asked: otherwise invented
        sessions would have no limit.
        """
        strangers = ratelimit.usage_of(
            request._request, group="default", key=self._stranger(request), increment=False
        )
        if strangers is not None and strangers.remaining == 0:
            raise ratelimit.RateLimited(strangers)
        return f"session:{self.kwargs['pk']}"

    def handle_exception(self, exc):
        if isinstance(exc, (NotVisible, AuthenticationFailed)):
            key = self._stranger(self.request)
            ratelimit.usage_of(self.request._request, group="default", key=key, increment=True)
        return super().handle_exception(exc)

    @staticmethod
    def _stranger(request) -> str:
        return f"stranger:{addresses.network(request.META.get('REMOTE_ADDR', ''))}"

    @extend_schema(
        summary="Report the seconds that were played",
        description=(
            "Sent by the session's user, or by anyone who holds the session's grant and sends it in"
            " the header `Playback-Grant`. Every other caller gets 404. A session cannot play more"
            " than two seconds of video in one second: the service drops the seconds beyond that."
        ),
        request=HeartbeatSerializer,
        responses={204: None},
        # The view reads the bearer token itself, so drf-spectacular cannot know of it.
        auth=[{"password": []}, {"bearer": []}, {}],  # type: ignore[list-item]  # its type is wrong
    )
    @refuses(TokenInvalid, TokenExpired, InsufficientScope, SessionEnded)
    @reads_header(
        "Playback-Grant",
        "The session's grant, for a caller who is not signed in.",
        {"type": "string"},
    )
    def post(self, request, pk):
        find = self._session_of_caller(request, pk)
        report = validated(HeartbeatSerializer, request.data)
        heartbeats.take_in(find, heartbeats.Heartbeat(**report))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def _session_of_caller(request, session_id: UUID) -> reporting.Find:
        """Return the query for the session, if the caller may report for it. It has not run yet.

        A grant allows its own session. A bearer token allows the sessions of its user, while that
        sign-in has not been revoked; so does an API key. Raises NotVisible without either and for a bad
        grant or another session's one, TokenInvalid or TokenExpired for a bad bearer token, and
        InsufficientScope for a key that may not do this.
        """
        if grant := request.META.get("HTTP_PLAYBACK_GRANT"):
            client = client_of(request)
            try:
                granted_id = grants.verify(
                    grant,
                    video_id=None,
                    user_agent=client.user_agent,
                    address=client.address,
                    now=timezone.now().timestamp(),
                )
            except grants.REFUSALS:
                raise NotVisible() from None
            if granted_id != session_id:
                raise NotVisible()
            return reporting.any_session(session_id)
        token = bearer_token(request)
        if token is None:
            raise NotVisible()
        if api_keys.is_key(token):
            owner, _ = api_keys.authenticate(token, request._request)
            return reporting.session_of_key(session_id, owner.pk)
        claims = access_tokens.read_access(token)
        request._request.caller_id = claims.user_id  # for the audit log
        return reporting.session_of_user(session_id, claims)


@extend_schema_view(
    list=extend_schema(
        summary="List the running playback sessions",
        description=(
            "Playback sessions of the caller that have neither ended nor expired, with the device in"
            " words. Those that were silent for 90 seconds hold no place any more: a start that needs"
            " it ends them."
        ),
    ),
    destroy=extend_schema(
        summary="Stop a playback session",
        description=(
            "Ends the session; its media files answer 410 within two seconds, and its place is free at"
            " once: stop the session on another device to watch here instead."
        ),
    ),
)
class SessionViewSet(ListModelMixin, DestroyModelMixin, GenericViewSet):
    """The caller's running playback sessions; every other session answers 404."""

    queryset = PlaybackSession.objects.none()
    serializer_class = SessionSerializer
    ordering = "-created_at"

    def get_queryset(self):
        user = self.request.user
        if not user.is_authenticated:
            return PlaybackSession.objects.none()
        return PlaybackSession.objects.filter(user=user).running().select_related("video")

    def perform_destroy(self, instance: PlaybackSession) -> None:
        sessions.stop(session=instance, actor=self.request.user)
