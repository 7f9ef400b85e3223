from rest_framework import exceptions, status

from config.errors import DomainError


class PurchaseRequired(DomainError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "purchase_required"
    default_detail = "Buy this video or subscribe to watch it."


class NotReady(DomainError):
    default_code = "not_ready"
    default_detail = "This video cannot be played yet."


class StreamTokenInvalid(exceptions.AuthenticationFailed):
    default_code = "token_invalid"
    default_detail = "This stream token is not valid."


class StreamTokenExpired(exceptions.AuthenticationFailed):
    default_code = "token_expired"
    default_detail = "This stream token has expired. Ask for a new one."


class SessionEnded(DomainError):
    status_code = status.HTTP_410_GONE
    default_code = "session_ended"
    default_detail = "This playback session has ended."
