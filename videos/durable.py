"""Files that are still there after a power cut, before a row says that they are."""

import os
from pathlib import Path


def sync_tree(folder: Path) -> None:
    """Every file and folder below ``folder``, and the folder itself."""
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync(Path(root))


def sync_names(folder: Path, *, up_to: Path) -> None:
    """The entries of ``folder`` and of those above it: a new folder is a new name in each."""
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
