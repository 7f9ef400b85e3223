"""Making files survive a power cut, before a row in the database names them."""

import os
from pathlib import Path


def sync_tree(folder: Path) -> None:
    """Write ``folder`` and all files and folders below it to the disk (fsync)."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(Path(root, name))
        sync(Path(root))


def sync_names(folder: Path, *, up_to: Path) -> None:
    """Write the directory entries of ``folder`` and of its parents, ``up_to`` included, to the disk.

    A new folder is an entry in its parent, and without that entry its files would be lost.
    """
    for place in (folder, *folder.parents):
        sync(place)
        if place == up_to:
            return


def replace(path: Path, content: bytes) -> bool:
    """Make ``content`` the content of ``path`` at once, so that no reader finds half of it.

    A file that has this content already is left alone. Return whether it was written. Two calls for
    one path must not run at the same time.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(content)
    sync(unfinished)
    unfinished.rename(path)
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Write a file or the entries of a folder to the disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
