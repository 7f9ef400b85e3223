"""The delivery: published files to whoever holds a grant, as a pure ASGI 3 application.

``/media/<grant>/<video>/<version>/<path>``. Nothing in a request touches the database, Django's
middleware or a disk that would block the event loop.
"""

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from django.conf import settings

from streaming.delivery import answers, files
from streaming.delivery.answers import Refusal
from streaming.delivery.grants import GrantRefused, Grants, grants_for
from streaming.delivery.snapshot import Snapshot, database_snapshot

logger = logging.getLogger(__name__)

PREFIX = "/media/"
_START_SECONDS = 5.0  # how long a first request waits for the first look at the ended sessions
_FAIR_BYTES = 1024 * 1024  # a fast reader must not keep the event loop to itself


def authorise(
    grant: str, video: str, *, user_agent: str, address: str, checker: Grants, snapshot: Snapshot
) -> bytes:
    """The one decision about a request: the session's 16 bytes, or a Refusal.

    Needs no database, and holds for every kind of file. ``video`` is the id as it stands in the
    path. Unavailable (503) when it cannot be known whether the session still lives.
    """
    try:
        session = checker.check(
            grant, bytes.fromhex(video.replace("-", "")), user_agent, address, time.time()
        )
    except GrantRefused as error:
        raise Refusal(error.code) from None
    if snapshot.is_stale():
        raise Refusal("unavailable")
    if snapshot.is_ended(session):
        raise Refusal("session_ended")
    snapshot.touch(session)
    return session


class Connection(Protocol):
    """A client's connection that answers by itself (streaming.delivery.protocol)."""

    def cut(self) -> None: ...


class Delivery:
    """The application of one process: its snapshot, its open files, its running transfers."""

    def __init__(self, *, checker: Grants, snapshot: Snapshot, root: Path, origins: list[str]):
        self._checker, self._snapshot = checker, snapshot
        self._files = files.Files(root)
        self.cors, self.request_ids = answers.Cors(origins), answers.RequestIds()
        self._transfers: dict[asyncio.Task, bytes] = {}
        self.draining: dict[Connection, bytes] = {}  # bodies handed over, but not yet read
        self._started: asyncio.Future | None = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise ValueError(f"cannot serve {scope['type']!r}")

    # --- life -----------------------------------------------------------------------------------

    async def _live(self, receive, send):
        """ASGI lifespan: look before the first request, store the signs of life after the last."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._snapshot.stop)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self):
        """Start the snapshot with the first event, and wait for its first look for a while.

        Not loaded in time: the requests answer 503 until it is.
        """
        if self._started is None:
            self._snapshot.start()
            self._snapshot.on_ended(partial(_call_in, asyncio.get_running_loop(), self._cut))
            self._started = asyncio.ensure_future(
                asyncio.to_thread(self._snapshot.wait_until_loaded, _START_SECONDS)
            )
        await asyncio.shield(self._started)

    def _cut(self):
        """Stop the transfers of ended sessions, those that wait for a slow client included."""
        for task, session in self._transfers.items():
            if self._snapshot.is_ended(session):
                task.cancel()
        for connection, session in list(self.draining.items()):
            if self._snapshot.is_ended(session):
                connection.cut()

    # --- one request ------------------------------------------------------------------------------

    async def _answer(self, scope, receive, send):
        given = dict(scope["headers"])
        common = [
            *self.cors.headers(given.get(b"origin")),
            (b"x-request-id", self.request_ids.take(given.get(b"x-request-id"))),
        ]
        try:
            if scope["method"] == "OPTIONS":
                headers = answers.preflight() + common
                await send({"type": "http.response.start", "status": 204, "headers": headers})
                await send({"type": "http.response.body"})
                return
            if scope["method"] not in {"GET", "HEAD"}:
                raise Refusal("method_not_allowed")
            session, file = await self._find(scope, given)
            await self._send_file(scope["method"], session, file, given, common, receive, send)
        except Refusal as refusal:
            body = refusal.body()
            headers = answers.refused(refusal, body) + common
            status = refusal.status
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _find(self, scope, given) -> tuple[bytes, files.OpenFile]:
        """The session and the file of a request, or a Refusal; the grant is looked at first."""
        if self._started is None or not self._started.done():
            await self._start()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        grant, _, name = path.removeprefix(PREFIX).partition("/")
        match = files.PUBLISHED.fullmatch(name)
        # Our names need no escapes: an encoded slash or dot is somebody's attempt.
        if match is None or not path.startswith(PREFIX) or b"%" in scope.get("raw_path", b""):
            raise Refusal("not_found")
        client = scope.get("client")
        session = authorise(
            grant,
            match["video"],
            user_agent=given.get(b"user-agent", b"").decode("latin-1"),
            address=client[0] if client else "",
            checker=self._checker,
            snapshot=self._snapshot,
        )
        file = self._files.cached(name)
        if file is None:
            try:
                file = await self._files.open(name, match["extension"])
            except FileNotFoundError:
                raise Refusal("not_found") from None
            except OSError as error:  # no descriptors left, a disk that fails
                logger.exception("A published file cannot be opened")
                raise Refusal("unavailable") from error
        return session, file

    def at_once(
        self, grant: str, name: str, video: str, user_agent: str, address: str
    ) -> tuple[bytes, files.OpenFile] | None:
        """The session and a file that is wholly in memory; None for everything else.

        None is no refusal: the same request then takes the long way, which says what is wrong.
        """
        file = self._files.cached(name)
        if file is None or not file.is_ready():
            return None
        try:
            session = authorise(
                grant,
                video,
                user_agent=user_agent,
                address=address,
                checker=self._checker,
                snapshot=self._snapshot,
            )
        except Refusal:
            return None
        return session, file

    async def _send_file(self, method, session, file, given, common, receive, send):
        """The conditions in the order of RFC 9110, section 13.2.2, then the file or its part."""
        status, start, length = 200, 0, file.size
        if b"if-match" in given and not answers.is_match(file.tag, given[b"if-match"]):
            raise Refusal("precondition_failed")
        if b"if-none-match" in given and answers.is_unmodified(file.tag, given[b"if-none-match"]):
            status, length, headers = 304, 0, answers.file_headers(file)
        else:
            headers = answers.whole(file)
            # A range has a meaning for GET only; If-Range is compared strongly (section 13.1.5).
            if b"range" in given and method == "GET" and given.get(b"if-range") in (None, file.tag):
                wanted = answers.requested_range(given[b"range"], file.size)
                if wanted is not None:
                    status, (start, length) = 206, wanted
                    headers = answers.part(file, start, length)
        headers = headers + common
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if method == "HEAD" or not length:
            await send({"type": "http.response.body"})
        elif length <= self._files.chunk:
            await self._send_rest(session, file, start, start + length, receive, send)
        else:
            await self._send_long(session, file, start, start + length, receive, send)

    async def _send_long(self, session, file, start, end, receive, send):
        """Send a body of several chunks, until its end or the end of its session or client."""
        task = asyncio.current_task()
        self._transfers[task] = session
        try:
            await self._send_rest(session, file, start, end, receive, send)
        except asyncio.CancelledError:
            # Returning short makes the server close the connection; anyone else's cancel goes on.
            if not self._snapshot.is_ended(session):
                raise
        finally:
            del self._transfers[task]

    async def _send_rest(self, session, file, offset, end, receive, send):
        """Send a file's bytes; returns early, leaving the body short, when that must stop."""
        sent, pause_at, gone = 0, _FAIR_BYTES, None
        try:
            while offset < end:
                piece = self._files.read(file, offset, end - offset)
                if piece is None:
                    piece = await self._files.read_cold(file, offset, end - offset)
                if not piece or (sent and self._must_stop(session, gone)):
                    return  # nothing to read: the file has become shorter
                offset += len(piece)
                sent += len(piece)
                more = offset < end
                await send({"type": "http.response.body", "body": piece, "more_body": more})
                if more and sent >= pause_at:
                    pause_at = sent + _FAIR_BYTES
                    # A server takes what is sent to a client that has gone and says nothing.
                    gone = gone or asyncio.ensure_future(_disconnected(receive))
                    await asyncio.sleep(0)
        finally:
            if gone is not None:
                gone.cancel()

    def _must_stop(self, session: bytes, gone: asyncio.Future | None) -> bool:
        return (
            self._snapshot.is_ended(session)
            or self._snapshot.is_stale()
            or (gone is not None and gone.done())
        )


def _call_in(loop: asyncio.AbstractEventLoop, function) -> None:
    with suppress(RuntimeError):  # the loop has been closed: nothing is being sent any more
        loop.call_soon_threadsafe(function)


async def _disconnected(receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class LazyDelivery:
    """The delivery over the project's settings, made when the first event comes.

    Importing this module needs no settings, and a process that forks afterwards makes its own.
    """

    def __init__(self):
        self.delivery: Delivery | None = None

    async def __call__(self, scope, receive, send):
        if self.delivery is None:
            origins = list(settings.CORS_ALLOWED_ORIGINS)
            if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
                origins.append("*")
            self.delivery = Delivery(
                checker=grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK),
                snapshot=database_snapshot(),
                root=Path(settings.MEDIA_ROOT) / "videos",
                origins=origins,
            )
        await self.delivery(scope, receive, send)


application = LazyDelivery()
