"""Getting the source of a job to the machine that works on it."""

from collections.abc import Callable
from pathlib import Path

from videos import storage
from videos.models import ProcessingJob, Video
from videos.processing.errors import Rejected
from videos.storage.objects import SHA256, sha256_of

STEP = "fetch"
DAMAGED = (
    "file_damaged",
    "The video's file was damaged on the server: it is not the file that was sent. Upload it again.",
)


def source_of(job: ProcessingJob, report: Callable[[str, int], None] | None = None) -> Path:
    """Return the path of a job's source on this machine. A copy that was cut off is completed.

    The first one that has a file which its client sent to the bucket hashes it, for all that come later.

    ``report`` is called with the step and 0 percent; an exception in it stops the copy. Raises
    Rejected if the stored file is not the one that was uploaded, and OSError.
    """
    facts = Video.objects.filter(pk=job.video_id, source_path=job.source_path)
    size, checksum = facts.values_list("source_size", "source_checksum").first() or (None, "")

    def on_percent(percent: int) -> None:
        if report is not None:
            report(STEP, 0)  # percentages are of the work, which has not begun

    try:
        path = storage.store().fetch(
            job.source_path, size=size, checksum=checksum, on_percent=on_percent
        )
    except storage.Damaged as error:
        raise Rejected(*DAMAGED) from error
    if storage.store().is_far and not checksum.startswith(SHA256):
        facts.filter(source_checksum=checksum).update(source_checksum=SHA256 + sha256_of(path))
    return path


def let_go(job: ProcessingJob) -> None:
    """Remove this machine's copy of a source that no open job needs."""
    if not ProcessingJob.objects.open().filter(source_path=job.source_path).exists():
        storage.store().let_go(job.source_path)
