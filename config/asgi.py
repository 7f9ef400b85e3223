"""The ASGI application: it passes each request to the part that answers it.

``/media/`` goes to the delivery, the notes of nginx to its link (DELIVERY=nginx), uploads to the upload
applications, and other requests to Django in threads. Bytes of clients wait on the event loop: a few
slow clients would occupy all threads.
The API does not run under Django's own ASGI handler, where a request costs several times as much.
"""

import asyncio
import gc
import json
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from config import health, processors, tracing
from config.bodies import BodyRefused, Receive, Scope
from config.bridge import Bridge, Send, headers_without_django, refuse
from config.http import ROUTE
from config.lanes import Lane, Lanes
from config.metrics import processes, scraping
from config.wsgi import application as django

# Hashing a password occupies a processor, so all processes together run as many at once as there are, or
# one each.
HASHERS = max(1, processors.count() // settings.WEB_WORKERS)
PASSWORD_PATHS = (
    "/auth/login", "/auth/register", "/password", "/password/reset", "/auth/email", "/admin/login",
    "/password_change", "/user/add", "DELETE /api/v1/auth/me",
)  # fmt: skip
# SQLite has one writer at a time, and reading it waits for nothing but a processor: one request at once
# is enough, as long as it is quick (`config.lanes`). On PostgreSQL a second one computes while the first
# waits for an answer; more take the interpreter from each other.
SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
AT_ONCE = 1 if SQLITE else 2
# A refund waits until the delivery has noted what it sent, and an upgrade for the next second.
PAUSING_PATHS = ("/refund", "/subscription/change")
SETTLED_SECONDS = 10.0  # after its start a process has its routes and the API document
# A bucket makes one object of the parts of a direct upload. Large ones take it minutes.
FAR_PATHS = ("/complete",)
LANES = Lanes(
    passwords=Lane("passwords", threads=HASHERS, queue=32, nice=10),
    writes=Lane("writes", threads=4 if SQLITE else 8, queue=128, at_once=AT_ONCE),
    reads=Lane("reads", threads=8, queue=256, at_once=AT_ONCE),
    pauses=Lane("pauses", threads=8, queue=32),
    password_paths=PASSWORD_PATHS,
    writing_paths=("/api/v1/stream/play/",),
    pausing_paths=PAUSING_PATHS,
    far=Lane("far", threads=8, queue=32),
    far_paths=FAR_PATHS,
)

api = Bridge(django, LANES)
media = import_string("streaming.delivery.asgi.application")
link = import_string("streaming.delivery.nginx.link.application")
uploads = import_string("videos.uploads.asgi.Uploads")(api)
resumable = import_string("videos.uploads.resumable.ResumableUploads")(api)
prepare_document = import_string("config.api.document.prepare")
record_the_rest = import_string("audit.buffer.record_the_rest")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass one connection on. The delivery also gets the start and stop of the process (lifespan)."""
    if scope["type"] == "lifespan":
        prepare_document()
        clocks = [asyncio.create_task(work) for work in (resumable.keep_time(), _settle())]
        await media(scope, receive, _recording(send))
        for clock in clocks:
            clock.cancel()
    elif scope["type"] != "http":
        return  # uvicorn refuses a WebSocket that is not accepted
    elif scope["path"].startswith("/media/"):  # which counts its requests itself
        await media(scope, receive, send)
    else:
        await _counted(scope, receive, send)


async def _settle() -> None:
    """Leave what the process has loaded out of later collections of garbage, once it has loaded it.

    A full collection goes through all objects that stay for ever, some 150,000: 80 ms in which nobody is
    answered. Without them it takes less than one.
    """
    gc.freeze()  # what was imported, which is most of it
    await asyncio.sleep(SETTLED_SECONDS)
    gc.collect()
    gc.freeze()


async def _counted(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, and count the answer."""
    begun, statuses = time.perf_counter(), []

    async def noting(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        await send(message)

    try:
        await _answer(scope, receive, noting)
    except Exception:
        statuses.append(500)  # unless an answer had begun
        raise
    finally:
        if statuses:  # else the client has gone before
            static = scope["path"].startswith(settings.STATIC_URL)
            route = scope.get(ROUTE, f"{settings.STATIC_URL}*" if static else processes.NO_ROUTE)
            seconds = time.perf_counter() - begun
            processes.count_request(scope["method"], route, statuses[0], seconds)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    reads = scope["method"] in {"GET", "HEAD"}
    if scope["path"].startswith("/health/") and reads:
        await _health(scope, receive, send)
    elif scope["path"].rstrip("/") == scraping.PATH and reads:
        await _metrics(scope, receive, send)
    elif link.takes(scope):
        await link(scope, receive, send)
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
            await asyncio.to_thread(tracing.flush)
        await send(message)

    return send_after_recording


async def _health(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a thread of Django: it does so when all threads are busy."""
    path = scope["path"].rstrip("/")
    if path in {"/health/live", "/health/ready"}:
        scope[ROUTE] = path
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


async def _metrics(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a scrape without a thread of Django, as health checks are answered."""
    scope[ROUTE] = scraping.PATH
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if refused := scraping.refusal((scope.get("client") or ("",))[0], given):
        await refuse(scope, send, BodyRefused(*refused), unread=receive)
        return
    asked = scraping.scrapes.asked()
    if not asked.done():
        await asyncio.wait([asyncio.wrap_future(asked)])
    await _send(scope, send, 200, asked.result(), scraping.HEADERS)


async def _send_json(
    scope: Scope, send: Send, status: int, content: dict[str, object], headers: Mapping[str, str]
) -> None:
    body = json.dumps(content).encode()
    await _send(scope, send, status, body, {"Content-Type": "application/json", **headers})


async def _send(
    scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str]
) -> None:
    pairs = [
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        *headers_without_django(scope),
    ]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
