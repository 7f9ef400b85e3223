"""Fetching a file from an address that somebody has given, which must lead to the public Internet."""

import hashlib
import re
import time
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from django.conf import settings

from config import outgoing
from videos.processing.errors import FetchFailed, Rejected

CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 30.0
MOST_SECONDS = 6 * 3600.0  # of one attempt
MOST_REDIRECTS = 5
MOST_RESUMES = 20  # after cuts, within one attempt
CHUNK = 1024 * 1024
ALLOW_LOOPBACK = False  # the tests fetch from servers of their own
# Answers that another attempt may not get, as those from 500 on.
PASSING = {408, 425, 429}
_FIRST = re.compile(r"bytes ([0-9]{1,18})-")  # of Content-Range


class _Cut(Exception):
    """The connection ended before the file did."""


class Download:
    """One file on its way from an address to ``path``, hashed as it comes."""

    def __init__(self, url: str, path: Path, on_percent: Callable[[int], object]):
        self.url, self.path, self._on_percent = url, path, on_percent
        self.name, self.size = "", 0
        self._hash, self._validator = hashlib.sha256(), ""
        self._session = outgoing.session(
            user_agent="vod-import",
            timeouts=(CONNECT_SECONDS, SILENCE_SECONDS),
            allows_loopback=ALLOW_LOOPBACK,
        )

    @property
    def checksum(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def run(self) -> None:
        """Fetch the file; what was cut off goes on where it ended, if the server can.

        Raises Rejected for what would happen again, FetchFailed, and what ``on_percent`` raises.
        """
        with self._session:
            guard = outgoing.Guard(self._session, MOST_SECONDS)
            try:
                with guard:
                    self._try_often(guard)
            except (Rejected, FetchFailed):
                if not guard.is_over:
                    raise
            # Where the file's size was not told, the guard's end looks like the end of the file.
            if guard.is_over:
                raise Rejected("import_too_slow", "The address sends the file too slowly.")

    def _try_often(self, guard: outgoing.Guard) -> None:
        try:
            with self.path.open("wb") as file:
                for _ in range(MOST_RESUMES):
                    try:
                        self._fetch(file)
                        return
                    except _Cut:
                        if guard.is_over:
                            return
                        time.sleep(0.5)
        except outgoing.InvalidIPAddress:
            raise Rejected(
                "import_refused",
                "The address leads to a machine that is not on the public Internet. Use another one.",
            ) from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, ValueError):
            raise Rejected(
                "import_refused", "The address, or a redirect of it, is no http or https address."
            ) from None
        except requests.exceptions.TooManyRedirects:
            raise Rejected("import_refused", "The address redirects too often.") from None
        except requests.exceptions.RequestException as error:
            raise FetchFailed(
                f"The address could not be reached ({type(error).__name__}). It is tried again."
            ) from error
        raise FetchFailed("The connection was cut off too often. It is tried again.")

    def _fetch(self, file) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._validator}
        session = self._session
        with outgoing.follow(session, self.url, headers=headers, most=MOST_REDIRECTS) as answer:
            is_other = answer.status_code == 206 and not self._goes_on(answer)
            # 416: the file had come to its end, which only its length would have told.
            if is_other or (answer.status_code == 416 and self.size):
                self._begin_anew(file)
                raise _Cut()
            if answer.status_code not in (200, 206):
                self._refuse(answer.status_code)
            if answer.status_code == 200:
                self._begin_anew(file)
            strong = answer.headers.get("ETag", "")
            self._validator = strong if strong.startswith('"') else ""
            self._validator = self._validator or answer.headers.get("Last-Modified", "")
            self.name = self.name or _name_of(answer)
            announced = answer.headers.get("Content-Length", "")
            end = self.size + int(announced) if announced.isdecimal() else None
            self._check_size(end or 0)
            self._copy(answer, file, end)

    def _copy(self, answer: requests.Response, file, end: int | None) -> None:
        try:
            # What has come, however little: so a worker hears soon that its import was canceled.
            while piece := answer.raw.read1(CHUNK, decode_content=False):
                file.write(piece)
                self._hash.update(piece)
                self.size += len(piece)
                self._check_size(self.size)
                self._on_percent(min(99, self.size * 100 // end) if end else 0)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._cut(file) from error
        if end is not None and self.size < end:
            raise self._cut(file)

    def _goes_on(self, answer: requests.Response) -> bool:
        """Return whether a part of the file is the rest that was asked for."""
        first = _FIRST.match(answer.headers.get("Content-Range", ""))
        return bool(self.size and first and int(first[1]) == self.size)

    def _cut(self, file) -> _Cut:
        if not self._validator:  # the rest could be that of another file
            self._begin_anew(file)
        return _Cut()

    def _begin_anew(self, file) -> None:
        file.seek(0)
        file.truncate()
        self.size, self._hash = 0, hashlib.sha256()

    def _check_size(self, size: int) -> None:
        if size > settings.UPLOAD_MAX_BYTES:
            raise Rejected(
                "import_too_large",
                f"The file is larger than the limit of {settings.UPLOAD_MAX_BYTES} bytes.",
            )

    def _refuse(self, status: int) -> None:
        if status in PASSING or status >= 500:
            raise FetchFailed(f"The address answered {status}. It is tried again.")
        raise Rejected("import_not_found", f"The address answered {status} instead of a file.")


def _name_of(answer: requests.Response) -> str:
    """Return the file's name as the server tells it (RFC 6266), or the last part of the address."""
    header = Message()
    header["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    told = header.get_filename() or unquote(urlsplit(answer.url).path)
    name = "".join(letter for letter in told.rpartition("/")[2] if letter.isprintable())
    return name[:255] or "import"
