"""An encode in chunks: the worker of the job lays them out, makes them as all others do, and joins them.

What is wrong with the file is never decided here. A chunk that fails by the file's fault, or that cannot
be exact, ends the chunks, and the job encodes the video whole: so it fails with the reason of a whole
encode, or succeeds.
"""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from videos import chunks, jobs, storage
from videos.errors import LeaseLost
from videos.models import Chunk, ProcessingJob
from videos.processing import cutting
from videos.processing.encode import Encoded
from videos.processing.graphs import Part
from videos.processing.ladder import Rendition, ladder
from videos.processing.probe import Probe, probe
from videos.services import failures, fetching

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.3  # between two looks whether another worker has ended its chunk
REPORT_EVERY_SECONDS = 1.0


class CannotHelp(Exception):
    """This worker would cut the encode in another way: it has other settings, tools or software."""


class _Maker:
    """Makes chunks of one job, in this process."""

    def __init__(
        self,
        source: Path,
        video: Probe,
        renditions: tuple[Rendition, ...],
        on_tick: Callable[[], None],
    ) -> None:
        self._source, self._video, self._renditions = source, video, renditions
        self._on_tick = on_tick

    def make(self, chunk: Chunk) -> None:
        """Make a claimed chunk; it is done or refused then.

        Any other end is an exception, which returns the chunk to the queue and leaves no file.
        """
        storage.make_folder(chunk.folder)
        try:
            empty = self._encode(chunk)
            sizes = {file.name: file.stat().st_size for file in chunk.folder.iterdir()}
            storage.store().share(chunk.folder)
            chunks.finish(chunk, sizes, empty)
        except BaseException as error:
            shutil.rmtree(chunk.folder, ignore_errors=True)
            if _is_of_the_file(error):
                logger.warning("Video %s is encoded whole. %r", chunk.job.video_id, error)
                chunks.refuse(chunk.job_id)
                return
            with suppress(OperationalError, InterfaceError):
                failed = isinstance(error, Exception) and not isinstance(error, LeaseLost)
                chunks.put_back(chunk, counted=failed)
            raise

    def _encode(self, chunk: Chunk) -> dict[str, float]:
        reported_at = 0.0

        def on_percent(percent: int) -> None:
            nonlocal reported_at
            if time.monotonic() - reported_at >= REPORT_EVERY_SECONDS:
                reported_at = time.monotonic()
                try:
                    chunks.report(chunk, percent)
                    self._on_tick()
                except (OperationalError, InterfaceError):
                    # Progress is only information; the worker watches over the lease.
                    logger.warning("The progress of %s could not be written.", chunk)
                    connections.close_all()

        if not chunk.frames:
            return cutting.encode_sound(self._source, self._video, chunk.folder, on_percent)
        part = Part(chunk.first_frame, chunk.frames)
        return cutting.encode_part(
            self._source,
            self._video,
            self._renditions,
            part,
            chunk.folder,
            on_percent,
            threads=chunks.threads(chunk.worker),
        )


def _is_of_the_file(error: BaseException) -> bool:
    """Return whether another attempt at the chunk would end the same."""
    if isinstance(error, LeaseLost | OperationalError | InterfaceError):
        return False
    return (
        isinstance(error, Exception)
        and failures.failure_of(error, strikes=0).ending is failures.Ending.GIVE_UP
    )


def encode(
    job: ProcessingJob,
    source: Path,
    video: Probe,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_percent: Callable[[int], None],
) -> Encoded | None:
    """Encode ``source`` in chunks into ``folder``, together with all workers that help.

    Chunks that an earlier attempt has finished are used again. Returns None if the source must be
    encoded whole. Otherwise as ``processing.encode.encode``, with the percentage of all workers.
    """
    plan = cutting.plan(source, video, renditions)
    if plan is None:
        return None
    chunks.lay_out(job, plan, has_sound=bool(video.audio_tracks))
    _check_files(job, plan.signature)

    def tell() -> None:
        on_percent(chunks.progress(job).percent)

    maker = _Maker(source, video, renditions, tell)
    # Another look at the files, because other machines have made some of them.
    while not (now := chunks.progress(job)).is_done or not _check_files(job, plan.signature):
        on_percent(now.percent)
        if now.is_refused:
            shutil.rmtree(job.chunks_folder, ignore_errors=True)
            return None
        chunk = chunks.claim(job, job.worker, helping=False)
        if chunk is None:
            time.sleep(LOOK_SECONDS)
            continue
        try:
            maker.make(chunk)
        except LeaseLost:
            if not jobs.is_held(job):
                raise
    return _join(job, video, renditions, folder, tell)


def _check_files(job: ProcessingJob, signature: str) -> bool:
    """Return finished chunks to the queue whose files are gone, and remove the files of other plans.

    Return whether all files are there.
    """
    are_there = True
    for chunk in Chunk.objects.select_related("job").filter(job=job, state=Chunk.State.DONE):
        if not _has_files(chunk):
            chunks.reopen(chunk)
            are_there = False
    for folder in job.chunks_folder.glob("*"):
        if folder.name != signature[:12]:
            shutil.rmtree(folder, ignore_errors=True)
    return are_there


def _has_files(chunk: Chunk) -> bool:
    """Return whether the files of a finished chunk are on this machine; get them if they are not."""

    def is_whole() -> bool:
        sizes = {file.name: file.stat().st_size for file in chunk.folder.glob("*")}
        return bool(sizes == chunk.made["sizes"])

    if not is_whole():
        storage.store().bring(chunk.folder)
    return is_whole()


def _join(
    job: ProcessingJob,
    video: Probe,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_tick: Callable[[], None],
) -> Encoded:
    made = list(Chunk.objects.select_related("job").filter(job=job).order_by("number"))
    empty: dict[str, float] = {}
    for chunk in made:
        for name, seconds in chunk.made["empty"].items():
            empty[name] = empty.get(name, 0.0) + seconds
    return cutting.join(
        video,
        renditions,
        [(Part(each.first_frame, each.frames), each.folder) for each in made if each.frames],
        next((each.folder for each in made if not each.frames), None),
        folder,
        empty_seconds=empty,
        on_tick=on_tick,
    )


def help_with(job: ProcessingJob, worker: str) -> None:
    """Make chunks of another worker's job, one after another, as long as no job is due.

    Raises CannotHelp, LeaseLost if a chunk was taken away or the job has ended, and what ``failures``
    knows: a chunk that fails is due again.
    """
    try:
        source = fetching.source_of(job)
        video = probe(source)
        renditions = ladder(video.width, video.height, video.frame_rate, settings.LADDER_CODECS)
        plan = cutting.plan(source, video, renditions)
        if plan is None or not Chunk.objects.filter(job=job, plan=plan.signature).exists():
            raise CannotHelp
        maker = _Maker(source, video, renditions, on_tick=lambda: None)
        while chunk := chunks.claim(job, worker, helping=True):
            if chunk.plan != plan.signature:
                chunks.put_back(chunk, counted=False)
                raise CannotHelp
            maker.make(chunk)
            if ProcessingJob.objects.due().exists():
                return
    finally:
        clean(job)


def clean(job: ProcessingJob) -> None:
    """Remove the chunks' files of a job that has ended, and the job's folder if it is empty."""
    with suppress(OperationalError, InterfaceError):
        if not ProcessingJob.objects.open().filter(pk=job.pk).exists():
            shutil.rmtree(job.chunks_folder, ignore_errors=True)
            with suppress(OSError):  # then ``garbage`` removes them
                storage.store().unshare(job.chunks_folder)
            fetching.let_go(job)
    with suppress(OSError):  # a later attempt, or chunks, have their folders in it
        job.work_folder.parent.rmdir()
