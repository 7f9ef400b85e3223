"""MEDIA_DIR as a part of the service that can be away: not mounted, read-only, broken or full.

A file with the name MARK says that the folder is the service's own. Without it, the folder is the empty
one on which its disk should be mounted, and files in it would lie beside the disk.
"""

import errno
import logging
import os
import stat
from pathlib import Path

from django.conf import settings

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


def adopt(*, is_new: bool) -> None:
    """Make MEDIA_DIR and its mark, for a new installation; mark the folder of an older version.

    Unless it ``is_new``, changes nothing without files of videos in it: their disk is away.
    """
    root = settings.MEDIA_ROOT
    if not fault():
        return
    has_files = (root / "sources").is_dir() or (root / "videos").is_dir()
    if not has_files and not is_new:
        logger.error("MEDIA_DIR=%s cannot be used: %s. %s", root, fault(), REMEDY)
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / MARK).touch()
    except OSError as error:
        logger.error("MEDIA_DIR=%s cannot be made: %s.", root, error.strerror)


def make_folder(folder: Path) -> None:
    """Make ``folder``, below MEDIA_DIR, and its parents unless they exist.

    Raises OSError if MEDIA_DIR itself is missing: made anew, it would take files in beside the disk
    that should be mounted there.
    """
    parts = folder.relative_to(settings.MEDIA_ROOT).parts
    for count in range(1, len(parts) + 1):
        settings.MEDIA_ROOT.joinpath(*parts[:count]).mkdir(exist_ok=True)


def space() -> tuple[int, int]:
    """Return the bytes of MEDIA_DIR's file system: free ones, and all. Raises OSError if not known."""
    found = os.statvfs(settings.MEDIA_ROOT)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def is_nearly_full() -> bool:
    """Return whether less than STORAGE_RESERVE_BYTES are free. Raises OSError if that is not known."""
    return space()[0] < settings.STORAGE_RESERVE_BYTES
