"""One POST request to an endpoint. No other module of this app talks to the network, and this one to no
database."""

import time
from dataclasses import dataclass

import requests
import urllib3
from django.conf import settings

from config import outgoing
from webhooks import signing

CONNECT_SECONDS, SILENCE_SECONDS = 3.0, 5.0
WHOLE_SECONDS = 5.0  # for a request, whatever the receiver sends
EXCERPT_BYTES = 2000  # of an answer are read; the connection is closed before the rest
EXCERPT_LETTERS = 500
GONE = 410  # the receiver wants no more events
REFUSED = "The address leads to a machine that is not on the public Internet."


@dataclass(frozen=True)
class Message:
    """A request that is ready to be sent. ``keys`` are the secrets that sign it."""

    id: str
    url: str
    body: bytes
    keys: tuple[str, ...]

    def __repr__(self) -> str:  # it may be logged, and the secrets must not
        return f"Message({self.id})"


@dataclass(frozen=True)
class Answer:
    """What became of a request. Without a ``failure`` the receiver has taken the message."""

    status: int | None = None
    excerpt: str = ""
    failure: str = ""
    duration_ms: int = 0


def post(message: Message) -> Answer:
    """Send the message and return what became of it, within WHOLE_SECONDS. Raises nothing.

    Redirects are not followed, so that no other address gets the message. An answer from 200 to 299
    takes it.
    """
    began = time.monotonic()
    with outgoing.session(
        user_agent="vod-webhooks",
        timeouts=(CONNECT_SECONDS, SILENCE_SECONDS),
        allows_loopback=settings.WEBHOOK_ALLOW_LOCAL,
    ) as session:
        guard = outgoing.Guard(session, WHOLE_SECONDS)
        status, excerpt, failure = None, "", ""
        try:
            with guard:
                status, excerpt = _send(session, message, guard)
        except outgoing.InvalidIPAddress:
            failure = REFUSED
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            # The error's own text may hold the address, whose query may be a secret of the receiver.
            failure = f"The address could not be reached ({type(error).__name__})."
        if guard.is_over and status is None:
            failure = f"No answer came within {WHOLE_SECONDS:.0f} seconds."
    if status is not None and not 200 <= status < 300:
        failure = f"The address answered {status} instead of 2xx."
    return Answer(status, excerpt, failure, round((time.monotonic() - began) * 1000))


def _send(
    session: requests.Session, message: Message, guard: outgoing.Guard
) -> tuple[int | None, str]:
    """Return the status and the beginning of the answer; no status if its head was cut off."""
    now = int(time.time())
    signature = signing.signature_header(
        list(message.keys), message_id=message.id, timestamp=now, body=message.body
    )
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }
    with session.post(message.url, data=message.body, headers=headers, stream=True) as answer:
        return (None, "") if guard.is_over else (answer.status_code, _excerpt(answer))


def _excerpt(answer: requests.Response) -> str:
    """Return the beginning of the answer as text. An answer that breaks off has been given anyway."""
    try:
        data: bytes = answer.raw.read(EXCERPT_BYTES, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return ""
    text = data.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)[:EXCERPT_LETTERS].strip()
