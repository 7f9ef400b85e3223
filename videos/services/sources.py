"""The source of a video: storing the uploaded file, and queueing its processing job."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Unpack
from uuid import UUID

from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from videos import jobs, storage
from videos.errors import EmptyUpload, NoSource, NotFailed
from videos.models import Video
from videos.services import catalogue
from videos.uploads.received import Received


@transaction.atomic
def create_with_source(
    *,
    creator: User,
    received: Received,
    tags: Sequence[str] = (),
    pk: UUID | None = None,
    **fields: Unpack[catalogue.VideoDetails],
) -> Video:
    """Create a video together with its source and queue its processing job: all of it or nothing.

    Without ``pk`` its id is the one for which the file was sent, or a new one. Raises EmptyUpload for a
    file of zero bytes.
    """
    video = catalogue.create_video(creator=creator, tags=tags, pk=pk or received.video_id, **fields)
    return attach_source(video=video, received=received, actor=creator)


def attach_source(*, video: Video, received: Received, actor: User | None) -> Video:
    """Make an uploaded file the source of a video (UPLOADED) and queue its processing job.

    The file is durable in the store before the row names it. An open job of an earlier source is
    canceled; a published version can be played until the new one is ready.

    Raises EmptyUpload for a file of zero bytes, StorageFull and StorageAway. Raises NotVisible if the
    video has been deleted, and removes the file. After any other error the file stays, because the
    commit may have succeeded; ``garbage`` removes it if no row names it.
    """
    if received.size == 0:
        raise EmptyUpload()
    path = received.keep(video.pk)
    try:
        with transaction.atomic():
            changed = (
                Video.objects.alive()
                .filter(pk=video.pk)
                .update(
                    status=Video.Status.UPLOADED,
                    source_path=path,
                    source_filename=received.name[:255],
                    source_size=received.size,
                    source_checksum=received.checksum,
                    source_container="",
                    source_video_codec="",
                    source_audio_codec="",
                    source_notes=[],
                )
            )
            if not changed:
                raise NotVisible()
            audit.record(
                actor=actor,
                action=AuditAction.VIDEO_UPLOADED,
                target=video,
                size=received.size,
                checksum=received.checksum,
            )
            jobs.queue(video, path)
    except NotVisible:
        with suppress(OSError):  # then ``garbage`` removes it
            storage.store().remove(path.removesuffix("/source"))
        raise
    return video


@transaction.atomic
def retry_processing(*, video: Video, actor: User) -> Video:
    """Queue a new processing job for a FAILED video.

    Raises NoSource if the video has no source or its file is missing, StorageAway if that cannot be
    known, QuotaExceeded, and NotFailed if the video is not FAILED or has been deleted. Of two
    simultaneous calls only one queues a job.
    """
    if not video.source_path:
        raise NoSource()
    with storage.refusing():
        if not storage.store().exists(video.source_path):
            storage.require()
            raise NoSource()
    jobs.refuse_beyond_quota(video.creator, size=video.source_size or 0)
    changed = (
        Video.objects.alive()
        .filter(pk=video.pk, status=Video.Status.FAILED)
        .update(status=Video.Status.UPLOADED)
    )
    if not changed:
        raise NotFailed()
    # Read again, now that the UPDATE has locked the row: another file may have been attached since.
    video.refresh_from_db(fields=["source_path"])
    audit.record(actor=actor, action=AuditAction.VIDEO_RETRIED, target=video)
    jobs.queue(video, video.source_path)
    return video
