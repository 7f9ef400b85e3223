from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Start the web server: the API, the admin site and the videos, on HOST and PORT."

    def handle(self, *args: Any, **options: Any) -> None:
        uvicorn.run(
            "config.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            workers=settings.WEB_WORKERS if settings.WEB_WORKERS > 1 else None,
            loop="auto",
            http="streaming.delivery.protocol:DeliveryProtocol",
            lifespan="on",
            # uvicorn uses X-Forwarded-For and X-Forwarded-Proto of these addresses only.
            proxy_headers=bool(settings.TRUSTED_PROXIES),
            forwarded_allow_ips=settings.TRUSTED_PROXIES,
            access_log=False,  # the audit log records more, and masks the secrets in paths
            server_header=False,
            log_config=None,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
        )
