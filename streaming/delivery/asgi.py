"""The delivery: sends published files to clients with a valid grant, as an ASGI 3 application.

It serves ``/media/<grant>/<video>/<version>/<path>``. A request uses neither the database nor Django's
middleware, and never makes the event loop wait for a disk.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypedDict

from django.conf import settings

from config.metrics.processes import MediaTally
from streaming.delivery import answers, files, keys, licences, previews
from streaming.delivery.access import authorise, authorise_preview
from streaming.delivery.answers import Refusal
from streaming.delivery.grants import PREVIEW_CHARACTERS, Grants, Part, grants_for
from streaming.delivery.messages import Headers, Receive, Scope, Send, wait_for_disconnect
from streaming.delivery.snapshot import Snapshot, database_snapshot
from streaming.delivery.transfers import Connection, Transfer, call_in
from videos.storage.chosen import store

logger = logging.getLogger(__name__)

PREFIX = "/media/"
Given = keys.Given
Opened = tuple[bytes, files.OpenFile, Given | None]
CUT = "cut"  # an extension of the scope: a function that closes the connection (`Connection.cut`)
_START_SECONDS = 5.0  # The first requests wait so long for the first load of the snapshot.
_PARTLY_MAX = 10_000  # Segments that clients have begun to take in parts; the oldest are forgotten.
_COUNT_SECONDS = 1.0  # after which the counted requests are written for `GET /metrics`
_FAIR_BYTES = 1024 * 1024  # After so many bytes for a fast client, other requests get their turn.


class Delivery:
    """The ASGI application of one process: its snapshot, its open files, its running transfers."""

    def __init__(
        self,
        *,
        checker: Grants,
        snapshot: Snapshot,
        root: Path,
        origins: list[str],
        bring: Callable[[str], object] | None = None,
        sends_segments: bool = True,
    ):
        """``sends_segments``: players get segments from here, and not from another host (CDN_URL)."""
        self._checker, self._snapshot, self._sends_segments = checker, snapshot, sends_segments
        self._files = files.Files(root, bring=bring)
        self.cors, self.request_ids = answers.Cors(origins), answers.RequestIds()
        self._cut = previews.CutFiles(self._files)
        self._turns = licences.Turns(settings.RATE_LIMITS["stream"])
        # The tasks that send long bodies, and the connections whose clients have not read all of a
        # short one, each with its session: what to stop when a session ends.
        self._transfers: dict[asyncio.Task[object], Transfer] = {}
        self.draining: dict[Connection, bytes] = {}
        # The bytes that were served of a segment that clients take in parts.
        self._partly: dict[tuple[bytes, int], int] = {}
        self.tally = MediaTally()
        self._started: asyncio.Future[bool] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        else:
            raise ValueError(f"cannot serve {scope['type']!r}")

    @property
    def snapshot(self) -> Snapshot:
        """The process's snapshot, which also records the segments that nginx has sent."""
        return self._snapshot

    # --- start and end of the process -----------------------------------------------------------

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        """Load the snapshot before the first request, and flush it after the last one."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._snapshot.stop)
                self.tally.flush()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        """Start the snapshot once, and wait at most _START_SECONDS for its first load.

        Without a load by then, requests are answered with 503 until one succeeds.
        """
        if self._started is None:
            self._snapshot.start()
            self._write_counts()
            self._snapshot.on_ended(partial(call_in, asyncio.get_running_loop(), self._stop_ended))
            self._started = asyncio.ensure_future(
                asyncio.to_thread(self._snapshot.wait_until_loaded, _START_SECONDS)
            )
        await asyncio.shield(self._started)

    def _write_counts(self) -> None:
        self.tally.flush()
        asyncio.get_running_loop().call_later(_COUNT_SECONDS, self._write_counts)

    def _stop_ended(self) -> None:
        """Stop all transfers of ended sessions, also the transfers that wait for a slow client."""
        for task, transfer in self._transfers.items():
            if self._snapshot.is_ended(transfer.session):
                task.cancel()
                if transfer.cut is not None:
                    transfer.cut()
        for connection, session in list(self.draining.items()):
            if self._snapshot.is_ended(session):
                connection.cut()

    # --- one request ------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"])
        common = [
            *self.cors.headers(given.get(b"origin")),
            (b"x-request-id", self.request_ids.take(given.get(b"x-request-id"))),
        ]
        try:
            if scope["method"] == "OPTIONS":
                preflight = licences if licences.is_licence(scope["path"]) else answers
                headers = preflight.preflight() + common
                await send({"type": "http.response.start", "status": 204, "headers": headers})
                await send({"type": "http.response.body"})
                self.tally.count("OPTIONS", 204, "")
                return
            licences.require_method(scope["method"], scope["path"])
            session, file, key = await self._open(scope, given, receive)
            if key is not None:
                await self._send_key(session, key, scope["method"], send, common)
                return
            cut = scope.get("extensions", {}).get(CUT)
            transfer = Transfer(session, file, receive, send, cut)
            await self._send_file(transfer, scope["method"], given, common)
        except Refusal as refusal:
            text = refusal.body()
            headers = answers.refused(refusal, text) + common
            status = refusal.status
            self.tally.count(scope["method"], status, refusal.code)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    async def _open(self, scope: Scope, given: dict[bytes, bytes], receive: Receive) -> Opened:
        """Return the session and the open file of a request, or raise Refusal.

        If it asks for keys, return those, too.

        The grant is checked before the file is looked up, so a refused client does not learn which
        files exist.
        """
        if self._started is None or not self._started.done():
            await self._start()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        grant, _, name = path.removeprefix(PREFIX).partition("/")
        asked = keys.ASKED.fullmatch(name) or licences.ASKED.fullmatch(name)
        match = asked or files.PUBLISHED.fullmatch(name)
        # Published names need no percent-encoding; an encoded slash or dot is an attack.
        if match is None or not path.startswith(PREFIX) or b"%" in scope.get("raw_path", b""):
            raise Refusal("not_found")
        client, video, path = scope.get("client"), match["video"], name[len(match["video"]) + 1 :]
        caller: _Caller = {
            "user_agent": given.get(b"user-agent", b"").decode("latin-1"),
            "address": client[0] if client else "",
            "checker": self._checker,
            "snapshot": self._snapshot,
        }
        extension = "m3u8" if asked else match["extension"]
        part: Part | None = None
        if len(grant) == PREVIEW_CHARACTERS:
            session, part = authorise_preview(grant, video, path, extension, **caller)
        else:
            session = authorise(grant, video, **caller)
        # The folder's name is in lower case.
        name = keys.file_of(asked) if asked else f"{video.lower()}/{path}"
        file = self._files.cached(name)
        if file is None:
            try:
                file = await self._files.open(name, extension)
            except FileNotFoundError:
                raise Refusal("not_found") from None
            except OSError as error:  # No descriptor is left, or the disk fails.
                logger.exception("A published file cannot be opened")
                raise Refusal("unavailable") from error
        if asked and keys.is_common(asked):
            self._turns.take(session)
            return session, file, Given(*await licences.given(asked, receive))
        if asked:
            return session, file, keys.given(asked, part, from_here=self._sends_segments)
        if part is not None and file.may_change:
            file = await self._cut.of(name, file, extension, part)
        return session, file, None

    async def _send_key(
        self, session: bytes, key: Given, method: str, send: Send, common: Headers
    ) -> None:
        self.tally.count(method, 200, "granted")
        headers = keys.headers(key) + common
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if method != "HEAD":
            for segment in key.delivered:
                self._snapshot.serve(session, segment)
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else key.body})

    def open_from_memory(
        self, grant: str, name: str, video: str, user_agent: str, address: str
    ) -> tuple[bytes, files.OpenFile] | None:
        """Return the session and a file that is ready to send (`OpenFile.is_ready`), without waiting.

        None when the file is not ready or the grant is refused: call the application with the same
        request, which opens the file or answers with the refusal.
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
        self.tally.sent += 1
        return session, file

    async def _send_file(
        self, transfer: Transfer, method: str, given: dict[bytes, bytes], common: Headers
    ) -> None:
        """Send the file, a part of it, or the answer to a condition that does not hold.

        Conditions are checked in the order of RFC 9110, 13.2.2.
        """
        file = transfer.file
        status, start, length = 200, 0, file.size
        if b"if-match" in given and not answers.is_match(file.tag, given[b"if-match"]):
            raise Refusal("precondition_failed")
        if b"if-none-match" in given and answers.is_unmodified(file.tag, given[b"if-none-match"]):
            status, length, headers = 304, 0, answers.file_headers(file)
        else:
            headers = answers.whole(file)
            # Only GET knows ranges; If-Range is compared strongly (RFC 9110, 13.1.5 and 14.2).
            if b"range" in given and method == "GET" and given.get(b"if-range") in (None, file.tag):
                requested = answers.requested_range(given[b"range"], file.size)
                if requested is not None:
                    status, (start, length) = 206, requested
                    headers = answers.part(file, start, length)
        headers = headers + common
        self.tally.count(method, status, "granted")
        await transfer.send({"type": "http.response.start", "status": status, "headers": headers})
        if method == "HEAD" or not length:
            await transfer.send({"type": "http.response.body"})
            return
        if file.segment is not None:  # a client may break off at any byte
            self._snapshot.begin(transfer.session, file.segment)
        if length <= self._files.chunk:
            sent = await self._send_body(transfer, start, start + length)
        else:
            sent = await self._send_long(transfer, start, start + length)
        self.note_served(transfer.session, file, sent)

    def note_served(self, session: bytes, file: files.OpenFile, sent: int) -> None:
        """Note bytes of a file that its client has been sent; a whole segment counts for its session.

        A segment that is taken in ranges counts when as many bytes as it has were sent.
        """
        if file.segment is None:
            return
        if sent < file.size:
            key = (session, file.segment)
            sent += self._partly.pop(key, 0)
            if sent < file.size:
                if len(self._partly) >= _PARTLY_MAX:
                    del self._partly[next(iter(self._partly))]
                self._partly[key] = sent
                return
        self._snapshot.serve(session, file.segment)

    def note_unread(self, session: bytes, file: files.OpenFile) -> None:
        """Note that a file was sent, of which its client has not read all bytes yet."""
        if file.segment is not None:
            self._snapshot.begin(session, file.segment)

    async def _send_long(self, transfer: Transfer, start: int, end: int) -> int:
        """Send a body of several chunks, and let the end of its session cancel it meanwhile.

        Returns the number of bytes that were sent.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A response must be sent inside an asyncio task.")
        self._transfers[task] = transfer
        try:
            sent = await self._send_body(transfer, start, end)
            # It may have noticed the end itself, before `_stop_ended` came to it.
            if start + sent < end and transfer.cut and self._snapshot.is_ended(transfer.session):
                transfer.cut()
        except asyncio.CancelledError:
            # Our own, when the session has ended: a short body. Any other cancellation goes on.
            if not self._snapshot.is_ended(transfer.session):
                raise
            return 0
        finally:
            del self._transfers[task]
        return sent

    async def _send_body(self, transfer: Transfer, offset: int, end: int) -> int:
        """Send the file's bytes from ``offset`` to ``end``, and return how many were sent.

        Returns early, with a short body, when the session ends, the snapshot becomes stale, the client
        disconnects or the file becomes shorter.
        """
        sent, pause_at, disconnected = 0, _FAIR_BYTES, None
        try:
            while offset < end:
                piece = self._files.read(transfer.file, offset, end - offset)
                if piece is None:
                    piece = await self._files.read_cold(transfer.file, offset, end - offset)
                if not piece or (sent and self._must_stop(transfer.session, disconnected)):
                    return sent
                offset += len(piece)
                sent += len(piece)
                more = offset < end
                await transfer.send(
                    {"type": "http.response.body", "body": piece, "more_body": more}
                )
                if more and sent >= pause_at:
                    pause_at = sent + _FAIR_BYTES
                    # A server accepts pieces for a client that has disconnected without an error, so
                    # only receive() tells.
                    if disconnected is None:
                        disconnected = asyncio.ensure_future(wait_for_disconnect(transfer.receive))
                    await asyncio.sleep(0)
            return sent
        finally:
            if disconnected is not None:
                disconnected.cancel()

    def _must_stop(self, session: bytes, disconnected: asyncio.Future[None] | None) -> bool:
        return (
            self._snapshot.is_ended(session)
            or self._snapshot.is_stale()
            or (disconnected is not None and disconnected.done())
        )


class _Caller(TypedDict):
    """What the check of a grant needs to know of a request and of the process."""

    user_agent: str
    address: str
    checker: Grants
    snapshot: Snapshot


class LazyDelivery:
    """A Delivery with the project's settings, made by the first event.

    So importing this module needs no settings, and each process makes its own after a fork.
    """

    def __init__(self) -> None:
        self.delivery: Delivery | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.delivery is None:
            origins = list(settings.CORS_ALLOWED_ORIGINS)
            if settings.CORS_ALLOW_ALL_ORIGINS:
                origins.append("*")
            root, bring = store().delivered()
            self.delivery = Delivery(
                checker=grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK),
                snapshot=database_snapshot(),
                root=root,
                bring=bring,
                origins=origins,
                sends_segments=not settings.CDN_URL,
            )
        await self.delivery(scope, receive, send)


application = LazyDelivery()
