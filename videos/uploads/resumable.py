"""Resumable uploads as an ASGI application: bytes go from the socket to the disk, past Django.

As in `videos.uploads.asgi`, access is decided before the first byte, the body is taken in on the event
loop, and Django answers, with the transfer in the request's environment. What takes as long as a file is
large (joining parts, hashing, sending to a bucket) is done by threads that answer no requests.
"""

import asyncio
import io
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from django.db import DatabaseError
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.authentication import BearerAuthentication
from config.bodies import BodyRefused, ClientGone, Receive, Scope, Waiting, take_large
from config.bridge import Bridge, Send, environ_of, with_connections
from config.errors import ServiceUnavailable
from config.http import Request as HttpRequest
from config.lanes import Environ
from videos.errors import UploadCut
from videos.models import Upload
from videos.services import completing, direct
from videos.uploads import receiving
from videos.uploads.asgi import THREADS, WRITE_BYTES, refusal_of
from videos.uploads.receiving import JOINED_KEY, KEY, ROUTE, Transfer

logger = logging.getLogger(__name__)

MEND_SECONDS = 15.0  # between two looks for complete uploads whose process was killed
SWEEP_SECONDS = 3600.0
OVERRIDE = b"x-http-method-override"  # for clients that cannot send PATCH
DIRECT = b"upload-mode"  # its bytes go to the bucket, and Django reads the JSON that begins it


class ResumableUploads:
    """The ASGI application for the requests that it ``takes``."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge, self._waiting = bridge, Waiting()
        self._is_away = False
        self._files = ThreadPoolExecutor(THREADS, thread_name_prefix="tus")
        self._settling = ThreadPoolExecutor(THREADS, thread_name_prefix="tus-settle")

    def takes(self, scope: Scope) -> bool:
        """Return whether the request may carry bytes of an upload, or ask for one that is complete."""
        match = ROUTE.fullmatch(scope["path"])
        if match is None:
            return False
        if match["upload"] is None:
            return scope["method"] == "POST" and not _header(scope, DIRECT)
        if scope["method"] == "POST":
            scope["method"] = _header(scope, OVERRIDE).decode("latin-1").upper() or "POST"
        return scope["method"] in {"HEAD", "PATCH"}

    async def keep_time(self) -> None:
        """Complete what killed processes have left, and sweep, as long as the process lives."""
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        while True:
            await self._unless_away(completing.complete_interrupted)
            await self._unless_away(direct.complete_waiting)
            if loop.time() - swept_at >= SWEEP_SECONDS:
                swept_at = loop.time()
                await self._unless_away(completing.sweep)
            await asyncio.sleep(MEND_SECONDS)

    async def _unless_away(self, work: Callable[[], object]) -> None:
        """Run periodic work in a thread. Its failure is logged, and it is tried again next time."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._settling, with_connections(lambda _: work()), None)
            self._is_away = False
        except (DatabaseError, OSError) as error:
            if not self._is_away:  # one line an outage
                logger.warning("Uploads cannot be looked after now: %s", error)
            self._is_away = True
        except Exception:
            logger.exception("%s failed", work.__qualname__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = {**environ_of(scope), "wsgi.input": io.BytesIO()}
        outcome: Transfer | APIException | None = None
        try:
            async with asyncio.timeout(None) as deadline:
                with self._waiting.refuse_newest(environ["REMOTE_ADDR"], deadline):
                    outcome = await self._take_in(environ, receive)
        except BodyRefused as refusal:
            outcome = refusal_of(refusal)
        environ[KEY] = outcome
        is_read = not _has_body(environ) or (isinstance(outcome, Transfer) and outcome.has_all)
        try:
            await self._bridge.answer_upload(environ, scope, receive, send, is_read=is_read)
        finally:
            if isinstance(outcome, Transfer):
                await self._in(self._files, outcome.close)
        if joined := environ.get(JOINED_KEY):
            await self._unless_away(lambda: _join(joined))

    async def _take_in(self, environ: Environ, receive: Receive) -> Transfer | APIException | None:
        """Return the transfer with the whole body in it, or the reason why there is none."""
        transfer = await self._bridge.look_up(_begun, environ)
        if not isinstance(transfer, Transfer):
            return transfer
        try:
            if environ["REQUEST_METHOD"] != "HEAD":
                await self._feed(transfer, receive)
            await self._in(self._settling, partial(with_connections(Transfer.settle), transfer))
        except (APIException, BodyRefused, ClientGone) as error:
            await self._in(self._files, partial(transfer.stop, _refusal(error)))
        except DatabaseError:  # parts are joined by their rows
            await self._in(self._files, partial(transfer.stop, ServiceUnavailable()))
        except BaseException:
            await self._in(self._files, transfer.close)
            raise
        return transfer

    async def _feed(self, transfer: Transfer, receive: Receive) -> None:
        waiting = bytearray()
        try:
            async for part in take_large(receive):
                waiting += part
                if len(waiting) >= WRITE_BYTES:
                    data, waiting = bytes(waiting), bytearray()
                    await self._in(self._files, partial(transfer.feed, data))
        finally:
            # Also what came before the connection broke: the client need not send it again.
            rest = bytes(waiting)
            if rest:
                await self._in(self._files, partial(transfer.feed, rest))
        transfer.has_all = True
        await self._in(self._files, transfer.complete)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], Any]) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, work)


def _refusal(error: APIException | BodyRefused | ClientGone) -> APIException:
    if isinstance(error, BodyRefused):
        return refusal_of(error)
    return error if isinstance(error, APIException) else UploadCut()


def _begun(environ: Environ) -> Transfer | APIException | None:
    """Return the transfer of a request, or why it may not send bytes; None if it sends none.

    Django decides again when it answers.
    """
    request = Request(HttpRequest(environ), authenticators=[BearerAuthentication()])
    match = ROUTE.fullmatch(environ["PATH_INFO"])
    upload_id = uuid.UUID(match["upload"]) if match and match["upload"] else None
    try:
        if environ["REQUEST_METHOD"] == "HEAD" and upload_id:
            return receiving.begin_rest(request.user, upload_id, request.headers)
        return receiving.begin(request.user, upload_id, request.headers)
    except APIException as refusal:
        return refusal
    except DatabaseError:
        return ServiceUnavailable()


def _join(upload: Upload) -> None:
    writer = completing.unfinished(upload)
    if writer is not None:
        completing.complete(upload, writer)


def _has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def _header(scope: Scope, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""
