"""A complete uploaded file on the disk, and the room for it."""

import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from config.errors import StorageFull, TooLarge
from videos import storage


class Received(Protocol):
    """A complete uploaded file that becomes a source: its size in bytes, and its checksum."""

    name: str
    size: int
    checksum: str
    video_id: uuid.UUID | None

    def keep(self, video_id: uuid.UUID) -> str:
        """Make it durable in the store as a source of this video, and return its name there."""

    def close(self) -> None:
        """Let go of what was not kept."""


@dataclass
class ArrivedObject:
    """A file that its client has sent to the store: it lies at its place, and is the only copy.

    ``checksum`` is `videos.storage.objects.parts_checksum`, or empty if the store does not tell one.
    """

    stored_as: str
    name: str
    size: int
    checksum: str
    video_id: uuid.UUID | None

    def keep(self, video_id: uuid.UUID) -> str:
        return self.stored_as

    def close(self) -> None:
        """Do nothing: another attempt may need it. Who refuses it for good removes it."""


@dataclass
class ReceivedFile:
    """A complete uploaded file, still in the uploads folder: size in bytes, checksum "sha256:<hex>".

    Call ``keep`` to move it to its final place. ``close`` removes it if it was not moved. Call ``send``
    before, where a thread may wait: to a store that is far, a large file takes minutes.
    """

    path: Path
    name: str
    size: int
    checksum: str
    video_id: uuid.UUID | None = None  # of the video for which it was sent
    _sent_as: str = ""
    _is_kept: bool = False

    def send(self, video_id: uuid.UUID) -> None:
        """Send the file to a store that is far, as a source of this video. Raises as ``keep``."""
        if not storage.store().is_far:
            return
        self.video_id, self._sent_as = video_id, storage.source_name(video_id)
        with storage.refusing():
            storage.store().keep(self.path, self._sent_as)

    def keep(self, video_id: uuid.UUID) -> str:
        """Move the file into the store as a source of this video, and return its name.

        When this returns, the file would survive a power cut. Raises StorageFull and StorageAway.
        """
        if self.video_id != video_id:
            self._sent_as = storage.source_name(video_id)
            with storage.refusing():
                storage.store().keep(self.path, self._sent_as)
        self._is_kept = True
        return self._sent_as

    def close(self) -> None:
        with suppress(OSError):  # gone, or the storage is away; then ``garbage`` removes it
            self.path.unlink()
        if self._sent_as and not self._is_kept:
            with suppress(OSError):
                storage.store().remove(self._sent_as.removesuffix("/source"))


FORM_OVERHEAD = 1024 * 1024  # bytes of a form beside its file


def check_room(announced: int) -> None:
    """Raise TooLarge, StorageFull or StorageAway for a request of ``announced`` bytes.

    They are 0 if that is unknown.
    """
    if announced > settings.UPLOAD_MAX_BYTES + FORM_OVERHEAD:
        raise too_large()
    storage.require()
    with storage.refusing():
        free = shutil.disk_usage(settings.MEDIA_ROOT).free
    if announced + settings.STORAGE_RESERVE_BYTES > free:
        raise StorageFull()


def too_large() -> TooLarge:
    return TooLarge(
        f"The file is larger than the limit of {settings.UPLOAD_MAX_BYTES} bytes. "
        "Upload a smaller file."
    )
