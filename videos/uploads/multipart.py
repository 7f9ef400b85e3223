"""Multipart uploads: one call, one file, streamed."""

from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser

from videos.errors import LengthRequired, UploadInterrupted


class SourceMultiPartParser(MultiPartParser):
    """Parses a form with a film in it, and refuses one whose sender went away in the middle.

    A WSGI server shows a broken connection as the end of the body; without the count a film cut in
    two would pass for a whole one.
    """

    def parse(self, stream, media_type=None, parser_context=None):
        request = parser_context["request"]._request
        announced = request.META.get("CONTENT_LENGTH")
        if not announced:
            raise LengthRequired()
        counted = _Counted(request)
        result = super().parse(counted, media_type, parser_context)
        if counted.bytes_read < int(announced):
            for file in result.files.values():
                file.close()
            raise UploadInterrupted()
        for name, values in result.data.lists():
            if any("\x00" in value for value in values):
                raise ParseError(f"{name}: null characters are not allowed.")
        return result


class _Counted:
    def __init__(self, stream):
        self._stream = stream
        self.bytes_read = 0

    def read(self, *args):
        data = self._stream.read(*args)
        self.bytes_read += len(data)
        return data
