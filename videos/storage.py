"""MEDIA_DIR as a part of the service that can be away: not mounted, read-only, broken or full."""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from config.errors import ServiceUnavailable, StorageFull
from videos.errors import StorageAway

logger = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a file system answers that is away as a whole. EIO is not in it: it may be about one file.
AWAY = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip

NEARLY_FULL = "nearly full"


def fault() -> str:
    """Return why MEDIA_DIR as a whole cannot be used now, in words for its operator; empty if it can."""
    try:
        if not stat.S_ISDIR(os.stat(settings.MEDIA_ROOT).st_mode):
            return "it is not a folder"
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    if not os.access(settings.MEDIA_ROOT, os.R_OK | os.W_OK | os.X_OK):
        return "it cannot be read and written"
    return ""


def missing_source_fault() -> str:
    """Return why a source that is missing may be there again later; empty if it is lost.

    Without any source, MEDIA_DIR is the empty folder on which its disk should be mounted.
    """
    if not fault() and not (settings.MEDIA_ROOT / "sources").is_dir():
        return "it has no folder of sources; perhaps its disk is not mounted"
    return fault()


def require() -> None:
    """Raise StorageAway if MEDIA_DIR as a whole cannot be used now."""
    if reason := fault():
        logger.error("MEDIA_DIR cannot be used: %s.", reason)
        raise StorageAway()


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of the file system into the refusal for a client: StorageFull or StorageAway."""
    try:
        yield
    except OSError as error:
        raise refusal_of(error) from error


def refusal_of(error: OSError) -> ServiceUnavailable:
    logger.error("MEDIA_DIR cannot be used: %s.", error)
    return StorageFull() if error.errno in FULL else StorageAway()


def make_folder(folder: Path) -> None:
    """Make ``folder``, below MEDIA_DIR, and its parents unless they exist.

    Raises OSError if MEDIA_DIR itself is missing: made anew, it would take files in beside the disk
    that should be mounted there.
    """
    parts = folder.relative_to(settings.MEDIA_ROOT).parts
    for count in range(1, len(parts) + 1):
        settings.MEDIA_ROOT.joinpath(*parts[:count]).mkdir(exist_ok=True)


def state() -> str:
    """Return the state of MEDIA_DIR for the readiness report: "ok", "unavailable" or "nearly full"."""
    if fault():
        return "unavailable"
    try:
        free = os.statvfs(settings.MEDIA_ROOT)
    except OSError:
        return "unavailable"
    too_little = free.f_bavail * free.f_frsize < settings.STORAGE_RESERVE_BYTES
    return NEARLY_FULL if too_little else "ok"
