import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Serve the API, the admin site and the videos on HOST and PORT, until told to stop."

    def handle(self, *args, **options):
        uvicorn.run(
            "config.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            workers=settings.WEB_WORKERS if settings.WEB_WORKERS > 1 else None,
            loop="auto",
            http="streaming.delivery.protocol:DeliveryProtocol",
            lifespan="on",
            # X-Forwarded-For is believed from these addresses only.
            proxy_headers=bool(settings.TRUSTED_PROXIES),
            forwarded_allow_ips=settings.TRUSTED_PROXIES,
            access_log=False,  # the audit log knows more, and masks what must not be logged
            server_header=False,
            log_config=None,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
        )
