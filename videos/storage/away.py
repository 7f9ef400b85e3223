"""The storage as a part of the service that can be away or full, and the refusals that follow."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.conf import settings

from config.errors import ServiceUnavailable, StorageFull
from videos.errors import StorageAway
from videos.storage import folder
from videos.storage.chosen import store

logger = logging.getLogger(__name__)

NEARLY_FULL = "nearly full"


def trouble() -> str:
    """Return why the storage as a whole cannot be used now, as a sentence for its operator; or ""."""
    if settings.STORAGE != "local" and folder.fault():
        folder.adopt(is_new=True)  # it has only what can be had again
    if reason := folder.fault():
        return f"MEDIA_DIR cannot be used: {reason}."
    return store().trouble()


def adopt() -> None:
    """Make MEDIA_DIR and the store ready for a new installation. Safe to repeat; it logs what fails."""
    # By its name, because processes without Django's apps read published files too.
    is_new = not apps.get_model("videos", "Video").objects.exclude(source_path="").exists()
    folder.adopt(is_new=is_new or settings.STORAGE != "local")
    try:
        store().adopt(is_new=is_new)
    except OSError as error:
        logger.error("The bucket cannot be made ready: %s.", error.strerror)


def require() -> None:
    """Raise StorageAway if the storage as a whole cannot be used now."""
    if reason := trouble():
        logger.error("%s %s", reason, folder.REMEDY)
        raise StorageAway()


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of the storage into the refusal for a client: StorageFull or StorageAway."""
    try:
        yield
    except OSError as error:
        raise refusal_of(error) from error


def refusal_of(error: OSError) -> ServiceUnavailable:
    logger.error("The storage cannot be used: %s.", error.strerror or error)
    return StorageFull() if error.errno in folder.FULL else StorageAway()


def state() -> str:
    """Return the state of the storage for the readiness report: "ok", "unavailable" or "nearly full"."""
    if trouble():
        return "unavailable"
    try:
        return NEARLY_FULL if folder.is_nearly_full() else "ok"
    except OSError:
        return "unavailable"
