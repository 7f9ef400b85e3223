"""The poster that the owner chooses: a moment of the video, or an image of their own.

It is a file of its own beside the versions, so it stays when the video is processed again.
"""

import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible, ServiceUnavailable
from videos import storage
from videos.encryption import reading
from videos.errors import NoVersion
from videos.models import Video
from videos.processing import posters
from videos.processing.errors import LimitReached, Rejected, ToolFailed
from videos.processing.packager import MASTER

logger = logging.getLogger(__name__)

MOST_BYTES = 5 * 1024 * 1024


def choose_moment(*, video: Video, actor: User, at_seconds: float) -> Video:
    """Make the picture that the video shows at this time its poster.

    Raises NoVersion, StorageFull, StorageAway, NotVisible if the video has been deleted, and
    ServiceUnavailable if the picture cannot be made now.
    """
    if not video.is_playable:
        raise NoVersion()
    with storage.refusing(), _busy(), _folder() as folder:
        name = storage.version_name(video)
        if not storage.store().exists(f"{name}/{MASTER}"):
            storage.require()
            raise NoVersion("The video's files are missing on the server. Upload the video again.")
        with reading.clear(video) as (version, bring):
            made = posters.poster_at(version, video.renditions, at_seconds, folder, bring=bring)
        return _keep(video, actor, made)


def choose_image(*, video: Video, actor: User, image: bytes) -> Video:
    """Make an image (JPEG, PNG or WebP) the video's poster; it is decoded and encoded anew.

    Raises Rejected for a file that is no such image, and else what ``choose_moment`` raises.
    """
    with storage.refusing(), _busy(), _folder() as folder:
        (folder / "image").write_bytes(image)
        return _keep(video, actor, posters.poster_of_image(folder / "image", folder))


def forget_choice(*, video: Video, actor: User) -> Video:
    """Show the automatic poster again. Safe to repeat."""
    if Video.objects.get(pk=video.pk).poster_tag:
        _set(video, actor, "")
    return video


def _keep(video: Video, actor: User, made: Path) -> Video:
    """Put a finished poster in its place, and let the row name it. An earlier one becomes garbage."""
    tag = uuid.uuid4().hex[:12]
    storage.store().keep(made, storage.poster_name(video, tag))
    return _set(video, actor, tag)


@transaction.atomic
def _set(video: Video, actor: User, tag: str) -> Video:
    if not Video.objects.alive().filter(pk=video.pk).update(poster_tag=tag):
        raise NotVisible()
    audit.record(
        actor=actor,
        action=AuditAction.VIDEO_CHANGED,
        target=video,
        fields=["poster"],
        poster="chosen" if tag else "automatic",
    )
    video.poster_tag = tag
    return video


@contextmanager
def _busy() -> Iterator[None]:
    """Turn the failure of a tool into a refusal for now; one at its limits is the image's fault."""
    try:
        yield
    except LimitReached as error:
        raise Rejected(
            "too_large", "The image takes too long to decode. Send a smaller one."
        ) from error
    except ToolFailed as error:
        logger.exception("A poster could not be made.")
        raise ServiceUnavailable("The picture cannot be made at the moment. Try again.") from error


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for unfinished files. After a kill, ``garbage`` removes it with the uploads."""
    folder = settings.MEDIA_ROOT / "uploads" / f"poster-{uuid.uuid4().hex}"
    storage.make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
