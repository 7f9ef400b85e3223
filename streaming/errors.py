"""Refusals of the streaming API. Each class holds one status, one stable code and one sentence."""

from rest_framework import exceptions, status

from config.errors import DomainError


class PurchaseRequired(DomainError):
    """403: the caller can see the video, but has no access to it."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "purchase_required"
    default_detail = "Buy this video or subscribe to watch it."


class NotReady(DomainError):
    """409: the caller has access, but the video has no version that can be played."""

    default_code = "not_ready"
    default_detail = "This video has no playable version yet. Try again when it has been processed."


class TooManyStreams(DomainError):
    """409: every place of the viewer is taken. The error's ``sessions`` are those that hold one.

    ``most`` is the number of streams that the viewer may play at once.
    """

    default_code = "too_many_streams"

    def __init__(self, most: int = 1, sessions: list[dict[str, object]] | None = None):
        streams = "one video" if most == 1 else f"{most} videos"
        super().__init__(
            f"You are playing {streams} already, which is all that you can play at once. Stop"
            " one of the sessions to watch here instead."
        )
        self.extra = {"sessions": sessions or []}


class StreamTokenInvalid(exceptions.AuthenticationFailed):
    """401: the stream token is damaged, or belongs to another device or to a closed account."""

    default_code = "token_invalid"
    default_detail = "This stream token is damaged or belongs to another device. Ask for a new one."


class StreamTokenExpired(exceptions.AuthenticationFailed):
    """401: the stream token is genuine, but older than STREAM_TOKEN_SECONDS."""

    default_code = "token_expired"
    default_detail = "This stream token has expired. Ask for a new one."


class SessionEnded(DomainError):
    """410: the playback session was ended or has expired; it never starts again."""

    status_code = status.HTTP_410_GONE
    default_code = "session_ended"
    default_detail = (
        "This playback session has ended. Ask for a new stream token to go on watching."
    )
