"""The check of the database of countries, for `manage.py doctor`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import maxminddb
from django.conf import settings

from config.doctor import Finding, check, ok, warning
from videos.models import Video

OLD = timedelta(days=90)
NEWER = "Replace the file that GEOIP_DATABASE names; it is read again by itself."


@check("Videos", "countries", needs_tables=True)
def countries() -> Iterator[Finding]:
    bound = Video.objects.alive().exclude(allowed_countries=[], refused_countries=[]).count()
    if not settings.GEOIP_DATABASE:
        if bound:
            yield warning(
                f"Videos with rules for countries: {bound}, and no database of countries, so that nobody"
                " but their owners can watch them.",
                "Set GEOIP_DATABASE to a MaxMind DB of countries (docs/operations.md), or let the owners"
                " remove the rules.",
            )
        return
    try:
        with maxminddb.open_database(settings.GEOIP_DATABASE) as database:
            built = datetime.fromtimestamp(database.metadata().build_epoch, UTC)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        yield warning(f"The database of countries cannot be read: {error}", NEWER)
        return
    if datetime.now(UTC) - built > OLD:
        yield warning(f"The database of countries is of {built:%Y-%m-%d}: addresses move.", NEWER)
    else:
        yield ok(f"The database of countries is of {built:%Y-%m-%d}; videos with rules: {bound}.")
