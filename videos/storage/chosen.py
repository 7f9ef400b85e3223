"""The store of this installation."""

from videos.storage.base import Store
from videos.storage.local import LocalStore

_LOCAL = LocalStore()


def store() -> Store:
    """Return the store of this installation."""
    return _LOCAL
