"""The store that STORAGE chooses."""

import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from videos.storage.base import Store
from videos.storage.local import LocalStore

_LOCAL = LocalStore()
# All that a store in a bucket depends on.
_NAMES = (
    "STORAGE", "S3_ENDPOINT", "S3_BUCKET", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PREFIX",
    "S3_PATH_STYLE", "S3_PUBLIC_ENDPOINT", "MEDIA_ROOT", "MEDIA_CACHE_BYTES",
)  # fmt: skip


def store() -> Store:
    """Return the store of this installation."""
    if settings.STORAGE == "local" and not settings.S3_BUCKET:
        return _LOCAL
    # One for each process: connections must not be shared with a child.
    return _in_bucket(os.getpid(), *(getattr(settings, name) for name in _NAMES))


@lru_cache(maxsize=2)
def _in_bucket(process: int, *values: object) -> Store:
    # Here, because boto3 is optional, and slow to import.
    from videos.storage import both, s3

    bucket, root = s3.from_settings(), Path(settings.MEDIA_ROOT)
    to_bucket = settings.STORAGE == "s3"
    if to_bucket and not both.has_files(root):
        return bucket
    # An installation that moves: `manage.py move_storage`.
    return both.BothStore(_LOCAL, bucket, root, to_bucket=to_bucket)
