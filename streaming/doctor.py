"""The check of who sends the files of videos, for `manage.py doctor`."""

from collections.abc import Iterator

from django.conf import settings

from config.doctor import Finding, check, ok, warning
from streaming.delivery.nginx import configuration

RENDER = "python manage.py nginx_config --output nginx.conf, and reload nginx (docs/operations.md)."


@check("Videos", "delivery")
def delivery() -> Iterator[Finding]:
    if settings.DELIVERY == "embedded":
        yield ok("The web server sends the files of videos itself.")
        return
    current = configuration.is_current(settings.DATA_DIR / "nginx")
    if current:
        yield ok("nginx sends the files of videos; its files follow the settings.")
    elif current is None:
        yield warning("DELIVERY=nginx, and nginx's files were not written here.", RENDER)
    else:
        yield warning("nginx's files do not follow the settings or this version any more.", RENDER)
    if not settings.TRUSTED_PROXIES:
        yield warning(
            "DELIVERY=nginx, and TRUSTED_PROXIES is empty: all viewers seem to have nginx's address.",
            "Set TRUSTED_PROXIES to the address from which nginx asks, such as 127.0.0.1.",
        )
