"""MEDIA_DIR as a part of the service that can be away: not mounted, read-only, broken or full.

A file with the name MARK says that the folder is the service's own. Without it, the folder is the empty
one on which its disk should be mounted, and files in it would lie beside the disk.
"""

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
from videos.models import Video

logger = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a file system answers that is away as a whole. EIO and EACCES are not in it: they may be about one
# file, and `fault` tells whether they are about all.
AWAY = {
    errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT,
    errno.EHOSTDOWN,
}  # fmt: skip

NEARLY_FULL = "nearly full"
MARK = ".vod-media"
REMEDY = f"Mount its disk. If this is the right folder, create the file {MARK} in it."


def fault() -> str:
    """Return why MEDIA_DIR as a whole cannot be used now, in words for its operator; empty if it can."""
    try:
        if not stat.S_ISDIR(os.stat(settings.MEDIA_ROOT).st_mode):
            return "it is not a folder"
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    if not os.access(settings.MEDIA_ROOT, os.R_OK | os.W_OK | os.X_OK):
        return "it cannot be read and written"
    if not os.path.exists(settings.MEDIA_ROOT / MARK):
        return f"the file {MARK} in it is missing, so perhaps its disk is not mounted"
    return ""


def adopt() -> None:
    """Make MEDIA_DIR and its mark, for a new installation; mark the folder of an older version.

    Changes nothing while the database has videos whose files are not there: their disk is away.
    """
    root = settings.MEDIA_ROOT
    if not fault():
        return
    has_files = (root / "sources").is_dir() or (root / "videos").is_dir()
    if not has_files and Video.objects.exclude(source_path="").exists():
        logger.error("MEDIA_DIR=%s cannot be used: %s. %s", root, fault(), REMEDY)
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / MARK).touch()
    except OSError as error:
        logger.error("MEDIA_DIR=%s cannot be made: %s.", root, error.strerror)


def require() -> None:
    """Raise StorageAway if MEDIA_DIR as a whole cannot be used now."""
    if reason := fault():
        logger.error("MEDIA_DIR cannot be used: %s. %s", reason, REMEDY)
        raise StorageAway()


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of the file system into the refusal for a client: StorageFull or StorageAway."""
    try:
        yield
    except OSError as error:
        raise refusal_of(error) from error


def refusal_of(error: OSError) -> ServiceUnavailable:
    logger.error("MEDIA_DIR cannot be used: %s.", error.strerror or error)
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
