"""The one decision about a video's dates and countries, for playback, the shop and the catalogue.

Whether a user has access is another question (`payments.entitlements`). Both are asked when a stream
token is given and when it is redeemed. Owners and administrators watch whatever the rules say.

Who has bought or rented a video keeps it whatever the dates become: a sale is a promise. Subscribers and
viewers of free videos lose it. Countries hold for buyers, too: such rights end at borders, and the
buyer watches on at home.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.functions import Now

from videos.availability import countries
from videos.availability.errors import NoLongerAvailable, NotInYourCountry, NotYetAvailable

if TYPE_CHECKING:
    from videos.models import Video

FIELDS = ("publish_at", "available_until", "allowed_countries", "refused_countries", "is_preorder")
# What `require_playable` reads, for `videos.reading`.
COLUMNS = FIELDS[:4]
# The videos of the catalogue: those that are coming are in it, and those that have ended are not.
IS_LISTED = Q(available_until=None) | Q(available_until__gt=Now())


def require_playable(video: "Video", *, is_bought: bool, address: str, now: datetime) -> None:
    """Refuse a viewer for whom the video's dates and countries do not allow playback.

    ``address`` is the viewer's; ``is_bought`` says that the viewer has bought or rented the video, and
    could watch it already. Raises NotYetAvailable, NoLongerAvailable and NotInYourCountry, in this
    order.
    """
    if not is_bought and is_coming(video, now):
        raise NotYetAvailable(video.publish_at)
    if not is_bought and has_ended(video, now):
        raise NoLongerAvailable()
    _require_country(video, address)


def require_sellable(
    video: "Video", *, is_purchase: bool, address: str | None, now: datetime
) -> None:
    """Refuse to sell what cannot be watched, except as a pre-order that the owner allows.

    A rental (not ``is_purchase``) is sold from ``publish_at`` on: its hours must be near. ``address`` is
    the buyer's; None: the country was asked before. Raises as `require_playable`.
    """
    if not is_sold(video, is_purchase=is_purchase, now=now):
        raise NoLongerAvailable() if has_ended(video, now) else NotYetAvailable(video.publish_at)
    if address is not None:
        _require_country(video, address)


def is_sold(video: "Video", *, is_purchase: bool, now: datetime) -> bool:
    """Return whether the dates allow the sale at ``now``."""
    waits = is_coming(video, now) and not (is_purchase and video.is_preorder)
    return not waits and not has_ended(video, now)


def is_coming(video: "Video", now: datetime) -> bool:
    """Return whether ``publish_at`` is still to come."""
    return video.publish_at is not None and video.publish_at > now


def has_ended(video: "Video", now: datetime) -> bool:
    """Return whether ``available_until`` has passed."""
    return video.available_until is not None and video.available_until <= now


def _require_country(video: "Video", address: str) -> None:
    """Refuse an address outside of the video's countries, and one whose country is not known."""
    if not video.has_countries:
        return
    country = countries.of_address(address)
    if country is None or country in video.refused_countries:
        raise NotInYourCountry()
    if video.allowed_countries and country not in video.allowed_countries:
        raise NotInYourCountry()
