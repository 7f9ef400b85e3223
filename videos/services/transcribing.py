"""Automatic captions as a job: queueing it, and carrying it out."""

from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.db import transaction

import audit.services as audit
from audit.actions import AuditAction
from videos import jobs
from videos.encryption import reading
from videos.errors import LeaseLost
from videos.models import Caption, ProcessingJob, Video
from videos.presentation import cues, embedded, refreshing, words
from videos.processing import manifests, speech
from videos.processing.errors import Rejected
from videos.processing.packager import MASTER
from videos.processing.speech import Heard

UNKNOWN = ("", "und", "mul", "zxx", "mis")
TOO_MUCH = ("captions_too_long", "More is said in the video than one caption file may have.")


def queue(video: Video, *, again: bool = False) -> bool:
    """Queue automatic captions for a READY video, behind all other work. Return whether it is queued.

    They are made once for each source: a caption that the owner deletes does not come back, except by
    ``again``. Nothing is queued for a video without sound, or while it is being processed. Call it with
    the video's row locked.
    """
    if video.status != Video.Status.READY or not video.source_audio_codec:
        return False
    if ProcessingJob.objects.open().filter(video=video).exists():
        return False
    made = ProcessingJob.objects.filter(
        video=video, source_path=video.source_path, kind=ProcessingJob.Kind.CAPTIONS
    ).exclude(state=ProcessingJob.State.CANCELED)
    if made.exists() and not again:
        return False
    jobs.queue_captions(video)
    return True


def is_captioned(video: Video, language: str = "") -> bool:
    """Return whether the video has captions in a language, by default that of its sound.

    Any captions count if the language is unknown, and forced ones never: they are only for those who
    understand the sound.
    """
    language = language or _spoken(video)
    there = video.captions.filter(is_forced=False).values_list("language", flat=True)
    return any(not language or _primary(tag) == _primary(language) for tag in there)


def carry_out(job: ProcessingJob, report: Callable[[str, int], None]) -> None:
    """Make the automatic captions of a job's video, and end the job. Raises what ``failures`` knows.

    A video that has captions in the language of its sound is left as it is.
    """
    model = settings.CAPTIONS_MODEL
    if model is None:
        raise Rejected("captions_off", "Automatic captions have been switched off.")
    refreshing.refresh(job.video_id)  # takes the captions of the file over, if nobody has yet
    video = Video.objects.get(pk=job.video_id)
    if is_captioned(video):
        jobs.finish(job)
        return
    with reading.clear(video) as (version, bring):
        samples = _samples(job, video, version, bring, report)
    spoken = _spoken(video)
    heard = speech.hear(
        samples,
        model,
        _primary(spoken),
        on_percent=lambda percent: report("hear", percent),
    )
    _finish(job, heard, spoken or heard.language)


def _samples(
    job: ProcessingJob,
    video: Video,
    version: Path,
    bring: Callable[[Iterable[Path]], object],
    report: Callable[[str, int], None],
) -> Path:
    """Decode the sound track that players choose. Raises Rejected without sound, and ToolFailed."""
    bring([version / name for name in (MASTER, manifests.PACKAGED[MASTER])])
    tracks = manifests.sounds_of(version)
    default = [place for place, track in enumerate(video.audio_tracks) if track["is_default"]]
    if not tracks:
        raise Rejected("no_sound", "The video has no sound.")
    track = tracks[default[0] if default and default[0] < len(tracks) else 0]
    report("sound", 0)
    return speech.samples_of(
        version,
        track.folder,
        job.work_folder,
        seconds=video.duration_seconds or 0.0,
        on_tick=lambda: report("sound", 0),
        bring=bring,
    )


@transaction.atomic
def _finish(job: ProcessingJob, heard: Heard, language: str) -> None:
    """Add the caption and end the job, which checks that this attempt still owns it."""
    jobs.finish(job)
    video = Video.objects.alive().filter(pk=job.video_id, source_path=job.source_path).first()
    if video is None:
        raise LeaseLost()
    if not heard.cues or is_captioned(video, language):
        return
    text = cues.write(heard.cues)
    if len(heard.cues) > cues.MOST_CUES or len(text.encode()) > cues.MOST_BYTES:
        raise Rejected(*TOO_MUCH)
    caption = Caption.objects.create(
        video=video,
        language=language,
        label=f"{embedded.language_name(language)} (automatic)",
        kind=Caption.Kind.CAPTIONS,
        is_automatic=True,
        origin=Caption.Origin.AUTOMATIC,
        text=text,
        cues=len(heard.cues),
    )
    words.index(caption)
    audit.record(
        actor=None,
        action=AuditAction.VIDEO_CHANGED,
        target=video,
        fields=["captions"],
        caption=str(caption.pk),
        language=language,
    )
    refreshing.mark(video)


def _spoken(video: Video) -> str:
    """Return the language of the sound that players choose, as a tag of BCP 47, or "" if unknown."""
    for track in video.audio_tracks:
        if track["is_default"] and track["language"] not in UNKNOWN:
            return str(track["language"])
    return ""


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
