"""The web server's side of the exchange with nginx: notes of what was sent come, ended sessions go.

nginx asks five times a second (delivery.js), and tells how many requests it refused, by code. A request
carries a secret that is derived from SECRET_KEY and stands in nginx's facts; without it, and with
DELIVERY=embedded, there is no such address.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from streaming.delivery import answers, snapshot
from streaming.delivery.asgi import LazyDelivery
from streaming.delivery.asgi import application as media

logger = logging.getLogger(__name__)

PATH = "/internal/delivery"
_MAX_BYTES = 2 * 1024 * 1024
_READ_SECONDS = 5.0
# t: the session asked for a file; b: bytes of a segment were sent; s: a whole segment was sent.
_NOTE = re.compile(r"(t)([0-9a-f]{32})|([bs])([0-9a-f]{32}):([0-9]{1,5})")

Ended = Callable[[datetime | None], dict[str, Any]]


def secret() -> str:
    """Return the secret that nginx shows, derived from the key of grants."""
    return hmac.digest(settings.GRANT_KEY, b"link\0", "sha256").hex()


class Link:
    """The ASGI application of the exchange."""

    def __init__(self, media: LazyDelivery, ended: Ended | None = None):
        """``ended`` takes the place of `_ended`, so that tests can give ended sessions of their own."""
        self._media, self._ended = media, ended or _ended
        # One thread: the exchanges of all nginx servers take turns, and keep one database connection.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="delivery-link")

    def takes(self, scope: dict[str, Any]) -> bool:
        """Whether the request is one of nginx, with its secret."""
        if scope["path"] != PATH or settings.DELIVERY != "nginx" or scope["method"] != "POST":
            return False
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, f"Bearer {secret()}".encode())

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            content = json.loads(await asyncio.wait_for(_body(receive), _READ_SECONDS))
            since, notes, lost = content["since"], content["notes"], content["lost"]
            since = None if since is None else datetime.fromtimestamp(since, UTC)
            if not all(isinstance(note, str) for note in notes):
                raise TypeError("a note is a text")
            refused = {code: int(number) for code, number in content.get("refused", {}).items()}
        except (
            AttributeError, ValueError, TypeError, KeyError, OverflowError, OSError, TimeoutError
        ):  # fmt: skip
            await _answer(send, 400, {})
            return
        self._keep(notes)
        if lost:
            logger.warning("nginx had no memory for %s notes of what it sent; they are lost", lost)
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._thread, self._ended, since)
        except (
            Exception
        ):  # Any error of the database: nginx asks again, and refuses all after a while.
            logger.exception("The ended sessions cannot be loaded for nginx")
            await _answer(send, 503, {})
        else:
            await _answer(send, 200, answer)
            self._count(refused)

    def _count(self, refused: dict[str, int]) -> None:
        """Count the requests that nginx refused, as this process counts its own.

        nginx sends numbers again when it got no answer, so they are counted after the answer. An answer
        that is lost on its way makes them too large.
        """
        if self._media.delivery is None:
            return
        known = answers.table()
        for code, number in refused.items():
            if code in known and number > 0:
                self._media.delivery.tally.add(int(str(known[code]["status"])), code, number)

    def _keep(self, notes: list[str]) -> None:
        """Give the notes to this process's snapshot, which records them within a second."""
        if self._media.delivery is None:
            return
        kept = self._media.delivery.snapshot
        for note in notes:
            match = _NOTE.fullmatch(note)
            if match is None:
                continue
            session = bytes.fromhex(match[2] or match[4])
            kept.touch(session)
            if match[3] == "s":
                kept.serve(session, int(match[5]))
            elif match[3] == "b":
                kept.begin(session, int(match[5]))


async def _body(receive: Any) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ValueError("the client has gone")
        body += message.get("body", b"")
        if len(body) > _MAX_BYTES:
            raise ValueError("the body is too long")
        if not message.get("more_body"):
            return bytes(body)


def _ended(since: datetime | None) -> dict[str, Any]:
    """Return the sessions that ended since then (None: all), each with the seconds until it expires.

    Reaches back as the snapshot does, because ended_at is set before its transaction commits.
    """
    from django.db import connections
    from django.utils import timezone

    now = timezone.now()
    begin = now - snapshot.LONGEST_GRANT if since is None else min(since, now) - snapshot.OVERLAP
    try:
        rows = snapshot.ended_sessions(begin, now).values_list("pk", "expires_at")
        ended = [
            [_hex(pk), max(1, round((until - now).total_seconds()) + 60)] for pk, until in rows
        ]
    except Exception:
        connections.close_all()  # of this thread: the next exchange connects anew
        raise
    return {"now": now.timestamp(), "ended": ended}


def _hex(session: UUID) -> str:
    return session.hex


async def _answer(send: Any, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


application = Link(media)
