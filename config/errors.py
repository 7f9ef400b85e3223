"""Errors that services raise and the API returns."""

from collections.abc import Mapping

from rest_framework import exceptions, status


class DomainError(exceptions.APIException):
    """A refusal by a rule of the domain, such as "this order is already paid".

    A subclass sets ``status_code`` and the stable ``default_code``. ``attr`` names the input field that
    is wrong, if one is. ``extra`` holds further members of the error object in the body.
    ``retry_after`` is the value of the Retry-After header, in seconds.
    """

    status_code: int = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The current state does not allow this."
    retry_after: int | None = None
    attr: str | None = None
    extra: Mapping[str, object] | None = None


class NotVisible(exceptions.NotFound):
    """A 404 for an object that does not exist or that the caller may not see.

    Both get the same answer, so that a caller cannot learn that the object exists.
    """


class ServiceUnavailable(DomainError):
    """A 503 because a part that the request needs is away or busy. The same request works later."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "A part of the service is busy. Try again in a moment."
    retry_after = 5


class TooLarge(DomainError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The request is too large."


class StorageFull(ServiceUnavailable):
    default_code = "storage_full"
    default_detail = "There is not enough disk space for this upload, so nothing was stored."
    retry_after = 300
