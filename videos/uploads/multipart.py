"""Multipart uploads: one call, one file, streamed."""

from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser

from videos.errors import LengthRequired, UploadInterrupted


class SourceMultiPartParser(MultiPartParser):
    """Parses a form with a video in it, and refuses one whose sender went away in the middle.

    A WSGI server shows a broken connection as the end of the body; without the count a video cut in
    two would pass for a whole one. Nothing stays on the disk of a form that is refused.
    """

    def parse(self, stream, media_type=None, parser_context=None):
        request = parser_context["request"]._request
        announced = _announced(request)
        counted = _Counted(request)
        files = []
        try:
            result = super().parse(counted, media_type, parser_context)
            files = [file for _, several in result.files.lists() for file in several]
            if counted.bytes_read < announced:
                raise UploadInterrupted()
            _refuse_nul(result.data)
        except UnreadablePostError as error:
            _discard(request, files)
            raise UploadInterrupted() from error
        except BaseException:
            _discard(request, files)
            raise
        return result


def require_length(request) -> None:
    """Refuse a form of unknown length; the API framework would take it for an empty one."""
    is_form = (request.content_type or "").startswith("multipart/")
    if is_form and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired()


def _announced(request) -> int:
    text = request.META.get("CONTENT_LENGTH", "")
    if not (text.isascii() and text.isdecimal()):
        raise ParseError("Content-Length must be a number.")
    return int(text)


def _refuse_nul(data) -> None:
    for name, values in data.lists():
        if any("\x00" in text for text in (name, *values)):
            raise ParseError("Null characters are not allowed.")


def _discard(request, files) -> None:
    for part in (*files, *request.upload_handlers):  # whole files, and the one that broke off
        part.close()


class _Counted:
    def __init__(self, stream):
        self._stream = stream
        self.bytes_read = 0

    def read(self, *args):
        data = self._stream.read(*args)
        self.bytes_read += len(data)
        return data
