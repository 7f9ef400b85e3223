"""One attempt at a processing job: transcoding the source and publishing the version, or captions."""

import logging
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models.functions import Coalesce, Now

import audit.services as audit
from audit.actions import AuditAction
from config import tracing
from config.errors import StorageFull
from videos import jobs, storage
from videos.encryption import keys
from videos.errors import LeaseLost, StorageAway
from videos.models import ProcessingJob, Video
from videos.presentation import beforehand
from videos.processing import early, growing, pipeline
from videos.processing.errors import FetchFailed, Rejected, ToolFailed
from videos.processing.pipeline import Output
from videos.services import chunking, encrypting, failures, fetching, importing, transcribing
from videos.services.failures import Ending
from videos.services.finished import Clock, bytes_of, tell_finished
from videos.signals import video_published
from videos.versions import GROWING

logger = logging.getLogger(__name__)
Completeness = Video.Completeness

REPORT_EVERY_SECONDS = 1.0
# Error codes with texts for the creator.
UNKNOWN_JOB = (
    "unknown_job",
    "This service does not know this kind of processing job. Upload the video's file again.",
)
NO_FILE = ("file_missing", "The video's file is missing on the server. Upload it again.")


def process(job: ProcessingJob) -> None:
    """Carry out a claimed job. Afterwards it has ended, or is due again.

    ``failures`` decides what an error means for the job: the end, a strike, or waiting without one.

    Raises LeaseLost if this attempt no longer owns the job, and OperationalError or InterfaceError if
    the database is not reachable. The work folder is removed in any case; finished chunks stay
    as long as the job is open.
    """
    with tracing.span(
        "process video",
        vod__job_id=str(job.pk),
        vod__video_id=str(job.video_id),
        vod__stage=job.get_stage_display(),
        vod__attempt=job.attempt,
    ) as span:
        _process(job, span)


def _process(job: ProcessingJob, span: tracing.Span) -> None:
    jobs.begin(job)
    try:
        _carry_out(job)
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as error:
        failure = failures.failure_of(error, strikes=job.strikes, last_line=job.last_line)
        known = isinstance(error, Rejected | FetchFailed | ToolFailed | OSError)
        span.set(vod__ending=failure.ending.value, vod__code=failure.code)
        if not isinstance(error, Rejected):
            span.fail()
        logger.log(
            logging.INFO if isinstance(error, Rejected) else logging.ERROR,
            "Video %s: %s. %s",
            job.video_id,
            failure.ending.value,
            error,
            exc_info=not known,
        )
        if failure.ending is Ending.WAIT:
            jobs.give_back(job, wait=failure.wait, code=failure.code, detail=failure.detail)
        elif failure.ending is Ending.STRIKE:
            jobs.strike(job, failure.code, failure.detail, failure.last_line)
        else:
            jobs.give_up(job, failure.code, failure.detail, failure.last_line)
    finally:
        shutil.rmtree(job.work_folder, ignore_errors=True)
        chunking.clean(job)


def _carry_out(job: ProcessingJob) -> None:
    """Do the work of the job, and end it. Raises what ``failures`` knows."""
    if job.kind not in ProcessingJob.Kind:
        raise Rejected(*UNKNOWN_JOB)
    if job.kind == ProcessingJob.Kind.IMPORT:
        importing.carry_out(job, _Reporter(job))
        return
    if not storage.store().exists(job.source_path):
        if reason := storage.trouble():
            raise StorageAway(reason)
        raise Rejected(*NO_FILE)
    _remove_earlier_attempts(job)
    if storage.state() == storage.NEARLY_FULL:  # rather than three attempts that find no space
        raise StorageFull()
    storage.make_folder(job.work_folder)
    report = _Reporter(job)
    try:
        _work(job, report)
    finally:
        report.clock.trace()


def _work(job: ProcessingJob, report: "_Reporter") -> None:
    if job.kind == ProcessingJob.Kind.CAPTIONS:
        transcribing.carry_out(job, report)
        return
    prepared = encrypting.prepare(job.video_id)  # before hours of work that need its keys
    source = fetching.source_of(job, report)
    if job.stage == ProcessingJob.Stage.FIRST:
        grower = _Grower(job)
        # Segments of a growing version are clear, and nothing clear may be where everybody can read.
        growth = () if keys.is_on() else (grower.begin, grower.extend)
        output = early.first_rendition(source, job.work_folder, report, *growth)
        publish(job, output, report.clock, prepared)
    else:
        in_chunks = partial(chunking.encode, job)
        output = pipeline.transcode(source, job.work_folder, report, in_chunks=in_chunks)
        publish(job, output, report.clock, prepared)


def publish(
    job: ProcessingJob,
    output: Output,
    clock: Clock | None = None,
    prepared: encrypting.Prepared | None = None,
) -> None:
    """Publish a finished version: rename its folder, then switch the video to it in one transaction.

    A full version has its captions, chapters and labels before that (`videos.presentation.beforehand`).
    The transaction ends the job, or returns it to the queue after an early version; both check the
    fence. It sends ``video_published`` for a full version. With HLS_ENCRYPTION it is encrypted before,
    with the keys that were ``prepared`` or are asked for now.
    Raises LeaseLost if this attempt no longer owns the job; the folder is removed then. After a kill or
    any other error the folder stays, because the commit may have succeeded; ``garbage`` removes it if
    the video does not name it. The ``clock`` of the attempt is told in the log, and in one line about a
    finished video.
    """
    completeness = Completeness.FULL if output.is_full else Completeness.EARLY
    version = ""
    if keys.is_on():
        if clock:
            clock.enter("encrypt")
        version = encrypting.encrypt_output(output, job.video_id, prepared)
    presented = None
    if output.is_full:
        presented = beforehand.prepare(
            job.video,
            output.directory,
            version=version,
            seconds=output.duration_seconds,
            source=job.source_path,
        )
    size = bytes_of(output.directory)
    seconds = clock.seconds() if clock else {}
    end = jobs.finish if output.is_full else jobs.go_on
    _switch(job, output, completeness, end, version, seconds, presented)
    if output.is_full:
        tell_finished(job, output, seconds, size)


class _Grower:
    """Publishes a growing version and what is added to it. The attempt goes on, if it owns the job."""

    def __init__(self, job: ProcessingJob) -> None:
        self._job, self._version = job, GROWING + uuid.uuid4().hex[1:12]

    def begin(self, output: Output) -> Path:
        """Publish the version, and return the folder in which it grows."""
        return _switch(self._job, output, Completeness.GROWING, jobs.own, self._version)

    def extend(self, folder: Path) -> None:
        """Publish what is new in the folder.

        What fails is tried again with the next part. The version that comes after this one needs none.
        """
        try:
            storage.store().extend(folder, storage.version_name(self._job.video, self._version))
        except OSError as error:
            logger.warning("Video %s: its growing version waits. %s", self._job.video_id, error)


def _switch(
    job: ProcessingJob,
    output: Output,
    completeness: Video.Completeness,
    end_attempt: Callable[[ProcessingJob], None],
    version: str = "",
    seconds: dict[str, float] | None = None,
    presented: beforehand.Prepared | None = None,
) -> Path:
    version = version or uuid.uuid4().hex[:12]
    is_full = completeness is Completeness.FULL
    name = storage.version_name(job.video, version)
    # After a power cut, the full version replaces an early one anyway.
    folder = storage.store().publish(output.directory, name, lasting=is_full)
    try:
        with transaction.atomic():
            end_attempt(job)
            before = Video.objects.get(pk=job.video_id)
            Video.objects.filter(pk=job.video_id, job=job).update(
                status=Video.Status.READY if is_full else Video.Status.PROCESSING,
                current_version=version,
                completeness=completeness,
                segment_seconds=output.segment_seconds,
                published_at=Coalesce("published_at", Now()),
                duration_seconds=output.duration_seconds,
                width=output.width,
                height=output.height,
                renditions=output.renditions,
                source_container=output.container[:80],
                source_video_codec=output.video_codec[:40],
                source_audio_codec=output.audio_codec[:40],
            )
            video = Video.objects.get(pk=job.video_id)
            action = AuditAction.VIDEO_READY if is_full else AuditAction.VIDEO_PLAYABLE
            times = {"seconds": seconds} if seconds else {}
            audit.record(actor=None, action=action, target=video, version=version, **times)
            if is_full:
                beforehand.adopt(video, presented, source=video.source_path)
                video.refresh_from_db()
                video_published.send(sender=Video, video=video)
                if settings.CAPTIONS_MODEL:
                    transcribing.queue(video)
    except LeaseLost:
        with suppress(OSError):  # then ``garbage`` removes it
            storage.store().remove(name)
        raise
    if before.completeness == Completeness.GROWING:
        # An attempt that was killed left it without an end, for which players would wait.
        with (
            suppress(OSError),
            storage.store().writing(storage.version_name(before)) as (old, save),
        ):
            growing.end_playlists(old)
            save()
    return folder


class _Reporter:
    """A progress callback that writes each new step, and the percentage once a second.

    It raises LeaseLost if this attempt no longer owns the job, which stops the work.
    """

    def __init__(self, job: ProcessingJob) -> None:
        self.clock = Clock()
        self._job, self._step, self._written_at = job, "", 0.0

    def __call__(self, step: str, percent: int) -> None:
        now = time.monotonic()
        self.clock.enter(step)
        if step != self._step or now - self._written_at >= REPORT_EVERY_SECONDS:
            self._step, self._written_at = step, now
            try:
                jobs.report(self._job, step, percent)
            except (OperationalError, InterfaceError) as error:
                # Progress is only information, so an unreachable database does not stop the encode.
                # The worker watches over the lease.
                logger.warning(
                    "The progress of video %s could not be written.",
                    self._job.video_id,
                    exc_info=error,
                )
                connections.close_all()


def _remove_earlier_attempts(job: ProcessingJob) -> None:
    """Remove the work folders that earlier attempts at this job left.

    Folders of later attempts stay: this process may have slept while another worker claimed the job.
    """
    for folder in job.work_folder.parent.glob("*"):
        if folder.name.isdecimal() and int(folder.name) <= job.fence:
            shutil.rmtree(folder, ignore_errors=True)
