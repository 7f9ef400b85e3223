"""A complete uploaded file on the disk, and the room for it."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.errors import StorageFull, TooLarge
from videos import storage


@dataclass
class ReceivedFile:
    """A complete uploaded file, still in the uploads folder: size in bytes, checksum "sha256:<hex>".

    Call ``keep`` to move it to its final place. ``close`` removes it if it was not moved.
    """

    path: Path
    name: str
    size: int
    checksum: str

    def keep(self, name: str) -> None:
        """Move the file into the store, under this name.

        When this returns, the file would survive a power cut. Raises StorageFull and StorageAway.
        """
        with storage.refusing():
            storage.store().keep(self.path, name)

    def close(self) -> None:
        with suppress(OSError):  # gone, or the storage is away; then ``garbage`` removes it
            self.path.unlink()


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
