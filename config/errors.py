"""Errors of the domain: what a service raises, and what the API answers."""

from rest_framework import exceptions, status


class DomainError(exceptions.APIException):
    """A rule of the domain said no. Subclasses name the status and the stable code.

    ``attr`` names the input field at fault, where one is; ``extra`` stands beside the code.
    """

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The current state does not allow this."
    retry_after: int | None = None
    attr: str | None = None
    extra: dict | None = None


class NotVisible(exceptions.NotFound):
    """The object is not there, or not the caller's to see: the two answers are the same."""


class ServiceUnavailable(DomainError):
    """A part the request needs is away or busy; the same request works later."""

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
    default_detail = "There is not enough free space to store this upload. Nothing was stored."
    retry_after = 300
