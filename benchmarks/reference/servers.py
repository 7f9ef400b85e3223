"""The bare application for each server: WSGI, ASGI by a2wsgi, and ASGI by the service's bridge."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "reference.settings"

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.bridge import Bridge
from config.lanes import Lane, Lanes

wsgi = get_wsgi_application()
a2wsgi = WSGIMiddleware(wsgi, workers=16)

# The lanes of config.asgi, with a thread for hashing.
_sqlite = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
_bridge = Bridge(
    wsgi,
    Lanes(
        passwords=Lane("passwords", threads=1, queue=32, nice=10),
        writes=Lane("writes", threads=4 if _sqlite else 8, queue=128, at_once=1 if _sqlite else 2),
        reads=Lane("reads", threads=8, queue=256, at_once=1 if _sqlite else 2),
        password_paths=("/login",),
    ),
)


async def bridge(scope, receive, send):
    """Answer HTTP through the bridge, and the start and stop of the process."""
    if scope["type"] == "http":
        await _bridge(scope, receive, send)
        return
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
