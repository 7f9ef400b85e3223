"""The checks of webhooks, for `manage.py doctor`."""

from collections.abc import Iterator

from django.conf import settings

from config.doctor import Finding, check, warning


@check("Settings", "webhooks_local")
def local_addresses() -> Iterator[Finding]:
    """Warn of endpoints that may lead to this machine's own services."""
    if settings.WEBHOOK_ALLOW_LOCAL and not settings.DEBUG:
        yield warning(
            "WEBHOOK_ALLOW_LOCAL is on: webhooks may lead to the services of this machine.",
            "Set WEBHOOK_ALLOW_LOCAL=false, unless you only try things out.",
        )
