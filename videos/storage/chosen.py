"""The store that STORAGE chooses."""

import os
from functools import lru_cache

from django.conf import settings

from videos.storage.base import Store
from videos.storage.local import LocalStore

_LOCAL = LocalStore()
# All that a store in a bucket depends on.
_NAMES = (
    "S3_ENDPOINT", "S3_BUCKET", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PREFIX",
    "S3_PATH_STYLE", "MEDIA_ROOT", "MEDIA_CACHE_BYTES",
)  # fmt: skip


def store() -> Store:
    """Return the store of this installation."""
    if settings.STORAGE == "local":
        return _LOCAL
    # One for each process: connections must not be shared with a child.
    return _in_bucket(os.getpid(), *(getattr(settings, name) for name in _NAMES))


@lru_cache(maxsize=2)
def _in_bucket(process: int, *values: object) -> Store:
    # Here, because boto3 is optional, and slow to import.
    from videos.storage import s3

    return s3.from_settings()
