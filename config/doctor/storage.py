"""Checks of the folders: writable, with room, and not public."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from config.doctor import Finding, check, error, ok, warning

# Folders and names of folders that web servers commonly publish.
WEB_ROOTS = ("/var/www", "/srv/www", "/srv/http", "/usr/share/nginx")
WEB_NAMES = {"public_html", "htdocs", "wwwroot", "webroot"}


@check("Storage", "media_writable", at_start=True, needs_tables=True)
def media_writable() -> Iterator[Finding]:
    """Write a file, and move it to another folder by rename. `migrate` makes the folder."""
    root: Path = settings.MEDIA_ROOT
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=root) as one,
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=root) as other,
        ):
            (Path(one) / "file").write_bytes(b"x")
            os.rename(Path(one) / "file", Path(other) / "file")
    except OSError as fault:
        yield error(
            f"MEDIA_DIR={root} cannot be written ({fault.strerror}): uploads and processing fail.",
            "Mount or create the folder, and give it to the user of the service.",
        )
        return
    device = root.stat().st_dev
    if apart := [each.name for each in root.iterdir() if each.lstat().st_dev != device]:
        yield error(
            f"{', '.join(apart)} in MEDIA_DIR is another file system: files cannot be moved there.",
            "Mount one file system at MEDIA_DIR, and none below it.",
        )
    else:
        yield ok(f"MEDIA_DIR={root} can be written, and files move by rename.")


@check("Storage", "disk", at_start=True)
def disk() -> Iterator[Finding]:
    reserve = settings.STORAGE_RESERVE_BYTES
    for name, folder in (("MEDIA_DIR", settings.MEDIA_ROOT), ("DATA_DIR", settings.DATA_DIR)):
        try:
            usage, files = shutil.disk_usage(folder), os.statvfs(folder)
        except OSError as fault:
            yield error(f"{name}={folder} is not there ({fault.strerror}).", "Mount or create it.")
            continue
        room = f"{name} has {usage.free / 2**30:.1f} GiB free"
        if usage.free < reserve:
            yield error(
                f"{room}, less than STORAGE_RESERVE_BYTES: uploads are refused.",
                "Delete files, or give it a larger disk.",
            )
        elif usage.free < max(2 * reserve, usage.total // 20):
            yield warning(f"{room} of {usage.total / 2**30:.1f}.", "Plan for a larger disk.")
        elif files.f_files and files.f_favail < 10_000:
            yield error(f"{name} has room for {files.f_favail} more files.", "Delete files.")
        else:
            yield ok(f"{room}.")


@check("Storage", "media_private", at_start=True)
def media_private() -> Iterator[Finding]:
    """Check that no web server publishes the folders of videos and of the database."""
    public = [settings.STATIC_ROOT, settings.WHITENOISE_ROOT, *settings.STATICFILES_DIRS]
    for name, folder in (("MEDIA_DIR", settings.MEDIA_ROOT), ("DATA_DIR", settings.DATA_DIR)):
        path = Path(folder).resolve()
        roots = [Path(str(each)).resolve() for each in public]
        if within := [root for root in roots if path == root or root in path.parents]:
            yield error(
                f"{name}={path} lies in {within[0]}, which is served to everybody without a check.",
                f"Set {name} to a folder outside of it.",
            )
        elif WEB_NAMES & {*path.parts} or str(path).startswith(WEB_ROOTS):
            yield warning(
                f"{name}={path} looks like a folder that a web server publishes.",
                f"Set {name} to a folder outside of it, such as /srv/vod.",
            )
        else:
            yield ok(f"{name} lies in no folder that is served.")


@check("Storage", "folder_mode")
def folder_mode() -> Iterator[Finding]:
    """Check whether other users of this machine can read the videos and the database."""
    for name, folder in (("MEDIA_DIR", settings.MEDIA_ROOT), ("DATA_DIR", settings.DATA_DIR)):
        if not folder.is_dir():
            continue  # another check tells of it
        path = folder.resolve()
        is_open = all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))
        if is_open and path.stat().st_mode & stat.S_IROTH:
            yield warning(
                f"Every user of this machine can read {name}={path}.",
                f"chmod o-rwx {path}, unless a web server of another user sends its files.",
            )
        else:
            yield ok(f"Other users of this machine cannot list {name}.")
