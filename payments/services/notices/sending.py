"""Sends the mails that `writing` writes: each once, and none at the cost of another."""

import contextlib
import logging
import smtplib
import time
from datetime import timedelta
from email.errors import MessageError
from email.utils import parseaddr

from django.conf import settings
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.html import escape

from accounts import links
from config import emails
from config.templatetags.mails import LINK
from payments.models import Notice

logger = logging.getLogger(__name__)

BATCH = 100
# For each answer of the mail server, and for a round of mails: the worker has other work too.
ANSWER_SECONDS, ROUND_SECONDS = 5.0, 3.0
MAX_ATTEMPTS = 10  # with the waits between them, about nine hours
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
# A worker that was killed while it sent a mail leaves the mail to others after this time.
LEASE = timedelta(minutes=5)
WAITING = Q(sent_at=None, failed_at=None)

# The pause after the mail server did not answer, or ended the connection: longer each time in a row.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
AUTHENTICATION_WANTED = range(530, 540)  # RFC 4954, section 6: about us, and not about the mail
CLOSING = 421  # RFC 5321, section 3.8: the server ends the connection after this answer
_silent_until = 0.0
_silences = 0  # in a row


class ServerAway(Exception):
    """No mail can be sent now. ``blames_mail``: perhaps the mail itself has broken the connection."""

    def __init__(self, reason: object, *, blames_mail: bool = False) -> None:
        super().__init__(reason)
        self.blames_mail = blames_mail


class Refused(Exception):
    """This mail was refused, and others may be accepted. ``for_good``: it will be refused again."""

    def __init__(self, reason: object, *, for_good: bool) -> None:
        super().__init__(reason)
        self.for_good = for_good


def send_due() -> int:
    """Send the mails that are due, and return how many were sent.

    A mail that is refused waits longer after each attempt, up to MAX_ATTEMPTS, and one that is refused
    for good is given up at once; its row says why. Neither stops the other mails. A server that is away
    is noticed once: then no mail is tried until the pause is over, and none loses an attempt.

    Safe to run in many processes: a mail is sent by the one that raised its number of attempts. If a
    process dies between the server's answer and the row's change, the mail is sent again, with the
    same Message-ID, by which mail programs recognise it.
    """
    if time.monotonic() < _silent_until:
        return 0
    due = Notice.objects.filter(WAITING, not_before__lte=Now()).select_related("user")
    # New mails first: one that has failed before does not hold them up.
    batch = list(due.order_by("attempts", "pk")[:BATCH])
    if not batch:
        return 0
    connection = mail.get_connection(timeout=ANSWER_SECONDS)
    sent, end = 0, time.monotonic() + ROUND_SECONDS
    try:
        _open(connection)
        for notice in batch:
            if time.monotonic() > end:
                break
            if _claim(notice):
                sent += _attempt(notice, connection)
    except ServerAway as away:
        _pause(away)
    finally:
        with contextlib.suppress(OSError):
            connection.close()
    return sent


def _attempt(notice: Notice, connection: BaseEmailBackend) -> bool:
    """Try to send one mail, and store the outcome. Return whether it was sent. Raises ServerAway."""
    global _silences  # one per process
    try:
        _send(notice, connection)
    except ServerAway as away:
        if away.blames_mail:
            _put_off(notice, str(away), for_good=False)
        else:
            _give_back(notice)
        raise
    except Refused as refusal:
        _put_off(notice, str(refusal), for_good=refusal.for_good)
        is_sent = False
    else:
        Notice.objects.filter(pk=notice.pk).update(sent_at=Now(), failure="", html="")
        is_sent = True
    _silences = 0
    return is_sent


def _open(connection: BaseEmailBackend) -> None:
    """Connect to the mail server. Raises ServerAway."""
    try:
        connection.open()
    except OSError as error:  # the errors of smtplib are OSErrors
        raise ServerAway(_text(error)) from error


def _send(notice: Notice, connection: BaseEmailBackend) -> None:
    """Send one mail. Raises Refused and ServerAway."""
    try:
        # Django would write to another mailbox, by MIME's encoding of letters or by IDNA 2003.
        address = emails.normal(notice.address or notice.user.email)
    except ValidationError as error:
        raise Refused(error.messages[0], for_good=True) from error
    body, html = _bodies(notice)
    sender = settings.DEFAULT_FROM_EMAIL
    domain = parseaddr(sender)[1].rpartition("@")[2]
    identity = f"<notice-{notice.pk}-{notice.created_at:%Y%m%d%H%M%S%f}@{domain}>"
    message = mail.EmailMultiAlternatives(
        notice.subject, body, sender, [address], headers={"Message-ID": identity}
    )
    if html:  # mails of an older version that still wait have none
        message.attach_alternative(html, "text/html")
    try:
        connection.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        _raise_for_answer(*next(iter(error.recipients.values())))  # there is one
    except smtplib.SMTPSenderRefused as error:  # our own address
        raise ServerAway(_text(error)) from error
    except smtplib.SMTPResponseException as error:
        _raise_for_answer(error.smtp_code, error.smtp_error)
    except smtplib.SMTPServerDisconnected as error:
        raise ServerAway(_text(error), blames_mail=True) from error
    except (smtplib.SMTPException, ValueError, MessageError) as error:
        # The server cannot do what the mail needs, or no mail can be made of it (as of UnicodeError).
        raise Refused(_text(error), for_good=True) from error
    except OSError as error:  # below SMTPException, which is one
        raise ServerAway(_text(error)) from error


def _bodies(notice: Notice) -> tuple[str, str]:
    """Return a mail's text and HTML with its link. Raises Refused for a link that is over by now."""
    if notice.link_id is None:
        return notice.body, notice.html
    url = links.url_of(notice.link_id)
    if url is None:
        raise Refused("The link of this mail was used, replaced, or has expired.", for_good=True)
    return notice.body.replace(LINK, url), notice.html.replace(LINK, escape(url))


def _raise_for_answer(code: int, answer: bytes | str) -> None:
    """Raise Refused or ServerAway for the server's answer to one mail."""
    text = f"{code} {_text(answer)}"
    if code == CLOSING or code in AUTHENTICATION_WANTED:
        raise ServerAway(text)
    raise Refused(text, for_good=code >= 500)


def _claim(notice: Notice) -> bool:
    """Count an attempt at a mail that is still due. Return whether this call, and no other, did it."""
    mine = Notice.objects.filter(
        WAITING, pk=notice.pk, attempts=notice.attempts, not_before__lte=Now()
    )
    notice.attempts += 1
    return bool(mine.update(attempts=F("attempts") + 1, not_before=Now() + LEASE))


def _put_off(notice: Notice, reason: str, *, for_good: bool) -> None:
    """Let a mail that could not be sent wait for its next attempt, or give it up."""
    shown = reason
    for address in filter(None, (notice.address, notice.user.email)):
        shown = shown.replace(address, "(the address)")  # servers repeat it
    logger.warning("Mail %s could not be sent: %s", notice.pk, shown)
    row = Notice.objects.filter(pk=notice.pk)
    if for_good or notice.attempts >= MAX_ATTEMPTS:
        row.update(failed_at=Now(), failure=reason)
        return
    wait = min(FIRST_WAIT * 2 ** (notice.attempts - 1), LONGEST_WAIT)
    row.update(not_before=Now() + wait, failure=reason)


def _give_back(notice: Notice) -> None:
    """Take back an attempt at a mail that the server has not judged."""
    Notice.objects.filter(pk=notice.pk).update(attempts=F("attempts") - 1, not_before=Now())


def _pause(away: ServerAway) -> None:
    """Send no mail from this process for a while."""
    global _silent_until, _silences  # one per process
    seconds = min(FIRST_PAUSE * 2**_silences, LONGEST_PAUSE)
    _silences += 1
    _silent_until = time.monotonic() + seconds
    logger.warning("The mail server cannot be used; pausing %d seconds: %s", seconds, away)


def _text(answer: object) -> str:
    """Return an error, or a server's answer, as one line that fits into a row."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return " ".join(text.replace("\x00", "").split())[:290]
