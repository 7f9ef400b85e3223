"""Making files survive a power cut, before a row in the database names them."""

import os
from pathlib import Path


def sync_tree(folder: Path) -> None:
    """Write ``folder`` and all files and folders below it to the disk (fsync)."""
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync(Path(root))


def sync_names(folder: Path, *, up_to: Path) -> None:
    """Write the directory entries of ``folder`` and of its parents, ``up_to`` included, to the disk.

    A new folder is an entry in its parent, and without that entry its files would be lost.
    """
    for place in (folder, *folder.parents):
        _sync(place)
        if place == up_to:
            return


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
