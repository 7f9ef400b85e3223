"""A multipart form whose file goes to the disk part by part (RFC 7578).

The memory used does not depend on the file's size.
"""

import hashlib
import html
import io
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from rest_framework.exceptions import ParseError

from config.api.parsers import NOT_UTF8
from config.ids import uuid7
from videos import storage
from videos.errors import UploadInterrupted
from videos.uploads.received import ReceivedFile, check_room, too_large

FIELD = "file"
FORM_BYTES = 1024 * 1024  # of all other fields together
CHECK_EVERY = 16 * 1024 * 1024  # bytes between two looks at the free space
PARTS_MAX = 200
NAME_MAX = 255  # characters
HEADER_BYTES = 8192  # of a part; a name's 255 characters may have twelve bytes each (RFC 8187)
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*([^;\s]*)", re.IGNORECASE)
PLAIN = {b"", b"7bit", b"8bit", b"binary"}  # encodings of a part that change nothing


class SourceUpload(UploadedFile):
    """The uploaded file as a serializer's FileField takes it. The bytes are in ``received``."""

    def __init__(self, received: ReceivedFile):
        super().__init__(name=received.name, size=received.size)
        self.received = received

    def close(self):
        self.received.close()


class _FilePart:
    """The file of the form while it arrives: written to the uploads folder, and hashed meanwhile.

    Raises TooLarge for more than UPLOAD_MAX_BYTES, StorageFull if the disk is full or less than
    STORAGE_RESERVE_BYTES of it would stay free, and StorageAway if it cannot be written.
    """

    def __init__(self, name: str):
        self._name, self._size, self._hash = name, 0, hashlib.sha256()
        folder = settings.MEDIA_ROOT / "uploads"
        self._path: Path = folder / uuid7().hex
        with storage.refusing():
            storage.make_folder(folder)
            self._file: io.FileIO = self._path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        before, self._size = self._size, self._size + len(data)
        if self._size > settings.UPLOAD_MAX_BYTES:
            raise too_large()
        if before // CHECK_EVERY != self._size // CHECK_EVERY:
            check_room(0)
        with storage.refusing():
            unwritten = memoryview(data)
            while unwritten:  # an unbuffered file may write less than it was given
                unwritten = unwritten[self._file.write(unwritten) :]
        self._hash.update(data)

    def complete(self) -> ReceivedFile:
        """Return the file when it is safe on the disk."""
        with storage.refusing():
            os.fsync(self._file.fileno())
            self._file.close()
        checksum = f"sha256:{self._hash.hexdigest()}"
        return ReceivedFile(self._path, self._name, self._size, checksum)

    def discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()


class Form:
    """A form that is fed with the parts of its body, in any sizes.

    ``feed`` and ``complete`` raise ParseError for a body that is no form, TooLarge, StorageFull, and
    UploadInterrupted for one that ends too early. Call ``discard`` after any error: it removes the
    files from the disk.
    """

    def __init__(self, content_type: str):
        """Begin to read a form. Raises ParseError if ``content_type`` names no boundary."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise ParseError("The Content-Type of the form names no boundary.")
        self.fields = QueryDict(mutable=True)
        self.files: MultiValueDict[str, SourceUpload] = MultiValueDict()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_begin": lambda: setattr(self, "_header", (b"", b"")),
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": lambda: setattr(self, "_ended", True),
            },
            max_header_size=HEADER_BYTES,
        )
        self._ended = False
        self._parts = self._field_bytes = 0
        self._header = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._file: _FilePart | None = None
        self._value: bytearray | None = None

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise ParseError(f"The form could not be read: {error}.") from None

    def complete(self) -> None:
        """Note that the body is complete."""
        if not self._ended:
            raise UploadInterrupted()

    def send(self, video_id: uuid.UUID) -> None:
        """Send the file, if there is one, to a store that is far. Raises StorageFull and StorageAway."""
        for _, uploads in self.files.lists():
            for upload in uploads:
                upload.received.send(video_id)

    def discard(self) -> None:
        """Remove all files of the form from the disk, also the unfinished one."""
        if self._file is not None:
            self._file.discard()
            self._file = None
        for _, uploads in self.files.lists():
            for upload in uploads:
                upload.close()

    # --- callbacks of the parser ------------------------------------------------------------------

    def _part_begins(self) -> None:
        self._headers, self._file, self._value = {}, None, None
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise ParseError("The form has too many fields.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + data[start:end], value)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + data[start:end])

    def _header_ends(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value

    def _headers_end(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise ParseError("A part of the form has no name.")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in PLAIN:
            raise ParseError("A part of the form is encoded. Send its bytes as they are.")
        self._name = _text(options[b"name"])
        sent = _extended_name(self._headers[b"content-disposition"])
        if sent is None and b"filename" in options:
            sent = html.unescape(_text(options[b"filename"])).replace("%22", '"')
        if sent is None:
            self._value = bytearray()
            return
        if self._name != FIELD:
            raise ParseError(
                f"The form has a file in the field {self._name[:60]!r}. Send the video in {FIELD!r}."
            )
        if FIELD in self.files:
            raise ParseError("The form has several files. Send one.")
        if name := file_name(sent):
            self._file = _FilePart(name)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._value is not None:
            self._field_bytes += end - start
            if self._field_bytes > FORM_BYTES:
                raise ParseError(f"The fields of the form are longer than {FORM_BYTES} bytes.")
            self._value += data[start:end]

    def _part_ends(self) -> None:
        if self._value is not None:
            try:
                text = self._value.decode()
            except UnicodeDecodeError:
                raise ParseError(NOT_UTF8) from None
            if "\x00" in text or "\x00" in self._name:
                raise ParseError("A form field holds a null character. Send the form without it.")
            self.fields.appendlist(self._name, text)
        elif self._file is not None:
            self.files.appendlist(FIELD, SourceUpload(self._file.complete()))
            self._file = None


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _extended_name(disposition: bytes) -> str | None:
    """Return the file name in ``filename*`` (RFC 8187), which counts more than ``filename``; or None.

    RFC 7578 does not want it in forms, but some clients send names beyond ASCII so. Raises ParseError
    if it cannot be read.
    """
    found = _EXTENDED.search(_QUOTED.sub(b'""', disposition))
    if found is None:
        return None
    try:
        charset, _, value = found[1].decode("ascii").split("'", 2)
        if charset.lower() not in {"utf-8", "iso-8859-1"}:
            raise ValueError(charset)
        return unquote_to_bytes(value).decode(charset)
    except ValueError:
        raise ParseError(
            "The file's name (filename*) cannot be read. Send it as UTF-8''name, percent-encoded."
        ) from None


def file_name(sent: str) -> str:
    """Return the last part of a sent path without control characters; empty if nothing is left."""
    name = sent.rsplit("/")[-1].rsplit("\\")[-1]
    name = "".join(character for character in name if character.isprintable())
    return "" if re.fullmatch(r"\.{0,2}", name) else name[:NAME_MAX]
