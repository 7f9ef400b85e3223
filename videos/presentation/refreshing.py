"""Bringing the files beside a version's segments in line with the database.

A change calls ``mark`` in its transaction. The files are written after the commit, by ``refresh``. If
the process dies in between, a worker finds the row by ``mend`` and writes them. The files of a new
version are written before it is published (`videos.presentation.beforehand`).
"""

import logging
import uuid
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from django.db import connections, transaction
from django.db.models import F

from videos import durable, storage
from videos.encryption import common, keys, versions
from videos.errors import StorageAway
from videos.models import Video
from videos.presentation import cues, embedded
from videos.presentation.embedded import language_name
from videos.presentation.models import Caption, Presentation
from videos.processing import extras, manifests, storyboards
from videos.processing.extras import Extras, Sound
from videos.processing.packager import MASTER

logger = logging.getLogger(__name__)

ROUNDS = 5  # A change that is made while the files are written takes another round.
MENDED_AT_ONCE = 100
CHAPTERS = "chapters.vtt"
_PURPOSES = {"commentary": "commentary", "description": "audio description"}


def mark(video: Video, *, source: str | None = None) -> None:
    """Note that what the video is presented with has changed, and refresh its files after the commit.

    Call it in the transaction of the change. ``source`` is the source of a version that the
    transaction publishes.
    """
    row, is_new = Presentation.objects.get_or_create(video=video)
    if not is_new:
        Presentation.objects.filter(pk=row.pk).update(changed=F("changed") + 1)
    if source is not None:
        Presentation.objects.filter(pk=row.pk).update(source=source)
    transaction.on_commit(partial(_refresh_or_log, video.pk))


def mend() -> None:
    """Refresh the videos whose files are out of date. Safe in any number of workers at once."""
    due = Presentation.objects.exclude(changed=F("written")).filter(video__deleted_at=None)
    due = due.exclude(video__current_version="")
    for video_id in list(due.order_by("?").values_list("pk", flat=True)[:MENDED_AT_ONCE]):
        _refresh_or_log(video_id)


def refresh(video_id: uuid.UUID) -> None:
    """Write the texts and manifests of a video's current version as the database has them now.

    Safe to repeat, and in any number of processes: one at a time reads the database and writes. It does
    nothing for a video without a version; publishing one marks it again. Raises OSError and StorageAway.
    """
    video = Video.objects.alive().exclude(current_version="").filter(pk=video_id).first()
    if video is None:
        return
    version = video.current_version
    name = storage.version_name(video)
    if not storage.store().exists(f"{name}/{MASTER}"):
        if storage.trouble():
            raise StorageAway()
        logger.warning("Video %s: its version has no manifest to present.", video_id)
        Presentation.objects.filter(pk=video_id).update(written=F("changed"))
        return
    with storage.store().writing(name) as (folder, save):
        for _ in range(ROUNDS):
            due = Presentation.objects.get(pk=video_id)
            # Read after ``due``: a version that is published later has raised ``changed``.
            video = Video.objects.get(pk=video_id)
            if due.changed == due.written or video.current_version != version:
                return
            _write(video, due, folder)
            save()
            Presentation.objects.filter(pk=video_id, changed=due.changed).update(
                written=due.changed
            )


def _refresh_or_log(video_id: uuid.UUID) -> None:
    """Refresh, and leave it to ``mend`` if that fails: the change itself is committed."""
    try:
        refresh(video_id)
    except Exception:
        logger.exception("Video %s: its manifests could not be written; trying again.", video_id)
        if not transaction.get_connection().in_atomic_block:
            connections.close_all()


def _write(video: Video, due: Presentation, folder: Path) -> None:
    found = extras.load(folder)
    if found is not None and due.source != due.taken_from:
        _take_over(video, due, found)
        video.refresh_from_db(fields=["chapters"])
    facts = compose(
        folder,
        video=video.pk,
        version=folder.name,
        captions=video.captions.order_by("pk"),
        chapters=video.chapters,
        sounds=found.sounds if found else [],
        seconds=video.duration_seconds or 0.0,
    )
    if any(getattr(video, name) != value for name, value in facts.items()):
        Video.objects.filter(pk=video.pk, current_version=folder.name).update(**facts)


def compose(
    folder: Path,
    *,
    video: uuid.UUID,
    version: str,
    captions: Iterable[Caption],
    chapters: list[dict[str, object]],
    sounds: list[Sound],
    seconds: float,
) -> dict[str, object]:
    """Write the texts and manifests of a version into its folder.

    Returns the columns of the video that follow from its files. ``sounds`` are what the source says of
    the sound tracks; ``seconds`` is how long the version lasts. Safe to repeat. Raises OSError.
    """
    labelled = _sounds(folder, sounds)
    texts = [_track(caption, seconds) for caption in captions]
    manifests.compose(folder, texts=texts, sounds=labelled, seconds=seconds)
    if keys.is_common(version):
        common.place(folder, version=version)
    elif keys.is_encrypted(version) and keys.is_known(version):  # nobody can play it otherwise
        versions.place(folder, video=video, version=version)
    _write_chapters(folder, chapters, seconds)
    return {
        "audio_tracks": [
            {
                "language": sound.language or "und",
                "label": sound.label,
                "is_default": sound.is_default,
                "roles": list(sound.roles),
            }
            for sound in labelled
        ],
        "has_storyboard": (folder / storyboards.FOLDER / storyboards.INDEX).is_file(),
    }


@transaction.atomic
def _take_over(video: Video, due: Presentation, found: Extras) -> None:
    """Make rows of a source's embedded captions and chapters, once for each source."""
    # In this order, as in every change of captions and chapters.
    Video.objects.select_for_update(no_key=True).get(pk=video.pk)
    row = Presentation.objects.select_for_update().get(pk=due.pk)
    if row.source != due.source or row.taken_from == row.source:
        return
    embedded.save(video, embedded.of_source(video, row, found, video.duration_seconds or 0.0))
    Presentation.objects.filter(pk=row.pk).update(taken_from=row.source)


def _track(caption: Caption, seconds: float) -> manifests.TextTrack:
    return manifests.TextTrack(
        name=str(caption.pk),
        language=caption.language,
        label=caption.label,
        text=cues.cut(caption.text, seconds),
        is_default=caption.is_default,
        is_forced=caption.is_forced,
        is_sdh=caption.is_sdh,
        is_caption=caption.kind == Caption.Kind.CAPTIONS,
    )


def _sounds(folder: Path, found: list[Sound]) -> list[manifests.SoundTrack]:
    """Return the sound tracks with labels that differ, and exactly one default."""
    packaged = manifests.sounds_of(folder)
    if len(found) != len(packaged):  # a version of before, or one that is not complete yet
        found = [
            Sound(
                language=sound.language,
                title="" if sound.label == sound.language else sound.label,
                is_default=sound.is_default,
                roles=(),
            )
            for sound in packaged
        ]
    labels = manifests.unique_labels(_sound_label(sound) for sound in found)
    plain = [place for place, each in enumerate(found) if not set(each.roles) & set(_PURPOSES)]
    default = next((place for place in plain if found[place].is_default), None)
    if default is None:
        default = plain[0] if plain else 0
    return [
        manifests.SoundTrack(
            folder=track.folder,
            language="" if sound.language == "und" else sound.language,
            label=label,
            is_default=place == default,
            roles=sound.roles,
        )
        for place, (track, sound, label) in enumerate(zip(packaged, found, labels, strict=True))
    ]


def _sound_label(sound: Sound) -> str:
    if sound.title:
        return sound.title
    name = "Main" if sound.language in ("", "und") else language_name(sound.language)
    purposes = [_PURPOSES[role] for role in sound.roles if role in _PURPOSES]
    return f"{name} ({', '.join(purposes)})" if purposes else name


def _write_chapters(folder: Path, chapters: list[dict[str, object]], seconds: float) -> None:
    if chapters:
        durable.replace(folder / CHAPTERS, chapters_as_webvtt(chapters, seconds).encode())
    else:
        (folder / CHAPTERS).unlink(missing_ok=True)


def chapters_as_webvtt(chapters: list[dict[str, object]], seconds: float) -> str:
    """Return chapters as WebVTT (kind "chapters"): each lasts until the next one begins."""
    starts = [round(float(str(chapter["start_seconds"])) * 1000) for chapter in chapters]
    ends = [*starts[1:], max(round(seconds * 1000), starts[-1] + 1) if starts else 0]
    return cues.write(
        [
            cues.Cue(start, end, cues.plain(str(chapter["title"])))
            for start, end, chapter in zip(starts, ends, chapters, strict=True)
        ]
    )
