"""Parsing a multipart form whose file is streamed to the disk by ``SourceUploadHandler``."""

from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser

from videos.errors import LengthRequired, UploadInterrupted


class SourceMultiPartParser(MultiPartParser):
    """Parses a form with a video file in it, and refuses an incomplete one.

    A WSGI server reports a broken connection as the end of the body. The bytes are therefore counted
    and compared with Content-Length; otherwise half a video would be taken for a whole one.

    Raises UploadInterrupted for an incomplete body, and ParseError for a Content-Length that is no
    number or a field with a null character. The files of a refused form are removed from the disk.
    """

    def parse(self, stream, media_type=None, parser_context=None):
        request = parser_context["request"]._request
        announced = _announced(request)
        counted = _Counted(request)
        files = []
        try:
            result = super().parse(
                counted,  # type: ignore[arg-type]  # no whole IO, but the parser calls only read()
                media_type,
                parser_context,
            )
            files = [file for _, values in result.files.lists() for file in values]
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
    """Raise LengthRequired for a form without a length: DRF would treat its body as empty."""
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
            raise ParseError("A form field holds a null character. Send the form without it.")


def _discard(request, files) -> None:
    for part in (*files, *request.upload_handlers):  # complete files, and the unfinished one
        part.close()


class _Counted:
    """A request body that counts the bytes read from it."""

    def __init__(self, stream):
        self._stream = stream
        self.bytes_read = 0

    def read(self, *args):
        data = self._stream.read(*args)
        self.bytes_read += len(data)
        return data
