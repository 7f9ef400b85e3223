"""Refusals by a video's dates and countries."""

from datetime import UTC, datetime

from rest_framework import status

from config.errors import DomainError


class NotInYourCountry(DomainError):
    """403: the video has rules for countries, and they do not let the caller's one in."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "not_in_your_country"
    default_detail = "This video cannot be watched in the country from which you ask."


class NotYetAvailable(DomainError):
    """409: the video can be watched from ``publish_at`` on, which the error has too."""

    default_code = "not_yet_available"
    default_detail = "This video cannot be watched yet."

    def __init__(self, publish_at: datetime | None = None):
        if publish_at is None:
            super().__init__()
            return
        moment = publish_at.astimezone(UTC)
        super().__init__(f"This video can be watched from {moment:%-d %B %Y, %H:%M} UTC on.")
        self.extra = {"publish_at": moment.isoformat().replace("+00:00", "Z")}


class NoLongerAvailable(DomainError):
    """410: the time in which the video could be watched is over, for all who have not bought it."""

    status_code = status.HTTP_410_GONE
    default_code = "no_longer_available"
    default_detail = "This video is no longer available."


REFUSALS = (NotInYourCountry, NotYetAvailable, NoLongerAvailable)
