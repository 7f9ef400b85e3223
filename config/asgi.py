"""The ASGI application: it passes each request to the part that answers it.

``/media/`` goes to the delivery, uploads to the upload applications, and other requests to Django in
threads. Bytes of clients wait on the event loop: a few slow clients would occupy all threads.
The API does not run under Django's own ASGI handler, where a request costs several times as much.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from config import health, processors
from config.bodies import Receive, Scope
from config.bridge import Bridge, Lane, Lanes, Send, headers_without_django
from config.wsgi import application as django

# Hashing a password occupies a processor, so all processes together run as many at once as there are, or
# one each.
HASHERS = max(1, processors.count() // settings.WEB_WORKERS)
PASSWORD_PATHS = (
    "/auth/login", "/auth/register", "/password", "/admin/login", "/password_change", "/user/add",
)  # fmt: skip
# SQLite has one writer at a time, and those who wait for it look again and again, the unlucky for
# seconds. In the queue of the lane they wait in their order.
SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
WRITERS = 2 if SQLITE else 8
# Threads that never wait for a database elsewhere only take the interpreter from each other: with eight,
# one request in a hundred took ten times as long as the others, with four three to four times.
READERS = 4 if SQLITE else 8
# A refund waits until the delivery has noted what it sent, and an upgrade for the next second.
PAUSING_PATHS = ("/refund", "/subscription/change")
LANES = Lanes(
    passwords=Lane("passwords", threads=HASHERS, queue=32, nice=10),
    writes=Lane("writes", threads=WRITERS, queue=128),
    reads=Lane("reads", threads=READERS, queue=256),
    pauses=Lane("pauses", threads=8, queue=32),
    password_paths=PASSWORD_PATHS,
    writing_paths=("/api/v1/stream/play/",),
    pausing_paths=PAUSING_PATHS,
)

api = Bridge(django, LANES)
media = import_string("streaming.delivery.asgi.application")
uploads = import_string("videos.uploads.asgi.Uploads")(api)
resumable = import_string("videos.uploads.resumable.ResumableUploads")(api)
prepare_document = import_string("config.api.document.prepare")
record_the_rest = import_string("audit.buffer.record_the_rest")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass one connection on. The delivery also gets the start and stop of the process (lifespan)."""
    if scope["type"] == "lifespan":
        prepare_document()
        clock = asyncio.create_task(resumable.keep_time())
        await media(scope, receive, _recording(send))
        clock.cancel()
    elif scope["type"] != "http":
        return  # uvicorn refuses a WebSocket that is not accepted
    elif scope["path"].startswith("/media/"):
        await media(scope, receive, send)
    elif scope["path"].startswith("/health/") and scope["method"] in {"GET", "HEAD"}:
        await _health(scope, receive, send)
    elif uploads.takes(scope):
        await uploads(scope, receive, send)
    elif resumable.takes(scope):
        await resumable(scope, receive, send)
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


async def _health(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a thread of Django: it does so when all threads are busy."""
    path = scope["path"].rstrip("/")
    if path == "/health/live":
        await _send_json(scope, send, 200, {"status": "ok"}, {})
    elif path == "/health/ready":
        asked = health.readiness.asked()
        if not asked.done():
            await asyncio.wait([asyncio.wrap_future(asked)])
        state = health.result_of(asked)
        await _send_json(scope, send, state.http_status, state.body, state.headers)
    else:
        await api(scope, receive, send)


async def _send_json(
    scope: Scope, send: Send, status: int, content: dict[str, object], headers: Mapping[str, str]
) -> None:
    body = json.dumps(content).encode()
    pairs = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        *headers_without_django(scope),
    ]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
