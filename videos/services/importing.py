"""Importing the file of a video from an address: queueing it, and carrying it out."""

from collections.abc import Callable

from django.conf import settings
from django.db import transaction

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from config.ids import uuid7
from videos import jobs, storage
from videos.errors import AlreadyQueued
from videos.models import ProcessingJob, Video
from videos.processing.errors import Rejected
from videos.services import sources
from videos.uploads.received import ReceivedFile, check_room

STEP = "import"


@transaction.atomic
def request_import(*, video: Video, url: str, actor: User) -> Video:
    """Queue the import of a video's file; a worker fetches and then processes it.

    The video keeps its status and plays what it had until then. Raises NotVisible if it has been
    deleted, AlreadyQueued while it is being imported or processed, QuotaExceeded, StorageFull and
    StorageAway.
    """
    row = Video.objects.alive().select_for_update(no_key=True).filter(pk=video.pk).first()
    if row is None:
        raise NotVisible()
    if ProcessingJob.objects.open().filter(video=row).exists():
        raise AlreadyQueued()
    check_room(0)
    jobs.refuse_beyond_quota(row.creator, size=0, replaced=row)
    jobs.queue_import(row, url)
    audit.record(actor=actor, action=AuditAction.VIDEO_IMPORTED, target=row, url=url)
    return row


def carry_out(job: ProcessingJob, report: Callable[[str, int], None]) -> None:
    """Fetch the file of a job, make it the source of its video and queue the processing.

    The job ends in the same transaction, so that a file is attached once. Raises what ``failures``
    knows.
    """
    from videos.importing import Download  # the library for HTTP is large, and for workers alone

    storage.require()
    folder = settings.MEDIA_ROOT / "uploads"
    storage.make_folder(folder)
    path = folder / f"import-{uuid7()}"
    download = Download(job.url, path, lambda percent: report(STEP, percent))
    received = None
    try:
        download.run()
        if not download.size:
            raise Rejected("import_not_found", "The address has an empty file.")
        received = ReceivedFile(path, download.name, download.size, download.checksum)
        received.send(job.video_id)
        with transaction.atomic():
            jobs.finish(job)
            sources.attach_source(video=job.video, received=received, actor=None)
    finally:
        if received is not None:
            received.close()
        path.unlink(missing_ok=True)
