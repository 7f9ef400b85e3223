"""The parser of REST framework for a form with a video file in it."""

import uuid

from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles

from config.ids import uuid7
from videos.errors import LengthRequired, UploadInterrupted
from videos.uploads.form import Form
from videos.uploads.received import check_room

ENVIRON_KEY = "vod.upload"  # the form that the upload application took in, or its refusal
CHUNK = 1024 * 1024


class SourceMultiPartParser(BaseParser):
    """Returns the form that the upload application has taken in (videos.uploads.asgi).

    Under another server, and in tests, it reads the body itself, in the request's thread.

    Raises UploadInterrupted for an incomplete body, TooLarge, StorageFull, and ParseError for a body
    that is no form. The files of a refused form are removed from the disk.
    """

    media_type = "multipart/form-data"

    def parse(self, stream, media_type=None, parser_context=None):
        request = parser_context["request"]._request
        outcome = request.META.get(ENVIRON_KEY)
        if isinstance(outcome, Exception):
            raise outcome
        form = outcome or _read(request, media_type, parser_context["kwargs"].get("pk"))
        return DataAndFiles(form.fields, form.files)


def _read(request, content_type: str, video_id: str | None) -> Form:
    """Read the request's body as a form.

    A WSGI server reports a broken connection as the end of the body. The bytes are therefore counted
    and compared with Content-Length.
    """
    left = announced_length(request.META)
    check_room(left)
    form = Form(content_type)
    try:
        while left:
            data = request.read(min(left, CHUNK))
            if not data:
                raise UploadInterrupted()
            left -= len(data)
            form.feed(data)
        form.complete()
        form.send(uuid.UUID(str(video_id)) if video_id else uuid7())
    except UnreadablePostError as error:
        form.discard()
        raise UploadInterrupted() from error
    except BaseException:
        form.discard()
        raise
    return form


def require_length(request) -> None:
    """Raise LengthRequired for a form without a length: DRF would treat its body as empty."""
    is_form = (request.content_type or "").startswith("multipart/")
    if is_form and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired()


def is_unread_form(request) -> bool:
    """Return whether a form is still to be read; the upload application has not taken it in."""
    is_form = (request.content_type or "").startswith("multipart/")
    return is_form and ENVIRON_KEY not in request.META


def announced_length(environ) -> int:
    """Return the Content-Length in bytes. Raises ParseError if it is no number."""
    text = environ.get("CONTENT_LENGTH", "")
    if not (text.isascii() and text.isdecimal()):
        raise ParseError("Content-Length must be a number.")
    return int(text)
