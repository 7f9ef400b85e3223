"""The ASGI application: it passes each request to the part that answers it.

``/media/`` goes to the delivery, uploads to the upload application, and other requests to Django in
threads. Bytes of clients wait on the event loop: a few slow clients would occupy all threads.
The API does not run under Django's own ASGI handler, where a request costs several times as much.
"""

import asyncio
import os
from typing import Any

from django.utils.module_loading import import_string

from config.bodies import Receive, Scope
from config.bridge import Bridge, Lane, Lanes, Send
from config.wsgi import application as django

# Hashing a password occupies a processor, so no more run at once than there are.
PASSWORD_PATHS = frozenset(
    f"/{path}"
    for path in ("api/v1/auth/login", "api/v1/auth/register", "api/v1/auth/password", "admin/login")
)
LANES = Lanes(
    passwords=Lane("passwords", threads=os.cpu_count() or 1, queue=32),
    writes=Lane("writes", threads=8, queue=128),
    reads=Lane("reads", threads=8, queue=256),
    password_paths=PASSWORD_PATHS,
)

api = Bridge(django, LANES)
media = import_string("streaming.delivery.asgi.application")
uploads = import_string("videos.uploads.asgi.Uploads")(api)
record_the_rest = import_string("audit.buffer.record_the_rest")

ALIVE = b'{"status": "ok"}'


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass one connection on. The delivery also gets the start and stop of the process (lifespan)."""
    if scope["type"] == "lifespan":
        await media(scope, receive, _recording(send))
    elif scope["type"] != "http":
        return  # uvicorn refuses a WebSocket that is not accepted
    elif scope["path"].startswith("/media/"):
        await media(scope, receive, send)
    elif scope["path"].rstrip("/") == "/health/live":
        await _live(send)
    elif uploads.takes(scope):
        await uploads(scope, receive, send)
    else:
        await api(scope, receive, send)


def _recording(send: Send) -> Send:
    """Return a ``send`` that records the last requests before the process says that it has stopped.

    uvicorn then ends the process by the signal that it got, so that nothing registered with atexit runs.
    """

    async def send_after_recording(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            await asyncio.to_thread(record_the_rest)
        await send(message)

    return send_after_recording


async def _live(send: Send) -> None:
    """Answer that the process is alive, without a thread: it does so when all threads are busy."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ALIVE))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ALIVE})
