"""The captions and chapters that a source has in itself, as rows of its video."""

from dataclasses import dataclass

from django.utils.translation import get_language_info

from videos.models import Video
from videos.presentation import words
from videos.presentation.models import Caption, Presentation
from videos.processing.extras import Extras

# What a video has of its source alone, so that another source replaces it.
OF_SOURCE = (Caption.Origin.EMBEDDED, Caption.Origin.AUTOMATIC)


@dataclass(frozen=True)
class Taken:
    """What is taken over from a source. ``captions`` are rows that are not saved yet.

    ``chapters`` is None where the owner's own chapters stay.
    """

    captions: list[Caption]
    chapters: list[dict[str, object]] | None
    notes: list[str]


def of_source(video: Video, row: Presentation, found: Extras, seconds: float) -> Taken:
    """Return the captions and chapters of a source that lasts ``seconds``, and change nothing.

    They replace those of an earlier source. Captions that the owner has uploaded or edited stay, and so
    do chapters that the owner has set. A caption that the owner deletes does not come back when the
    same source is processed again.
    """
    kept = Caption.objects.filter(video=video).exclude(origin__in=OF_SOURCE)
    may_be_default = not kept.filter(is_default=True).exists()
    captions = []
    for text in found.texts:
        is_default = text.is_default and may_be_default
        may_be_default = may_be_default and not is_default
        captions.append(
            Caption(
                video=video,
                language=text.language,
                label=text.title or language_name(text.language),
                kind=Caption.Kind.CAPTIONS if text.is_sdh else Caption.Kind.SUBTITLES,
                is_forced=text.is_forced,
                is_sdh=text.is_sdh,
                is_default=is_default,
                origin=Caption.Origin.EMBEDDED,
                text=text.text,
                cues=text.cues,
            )
        )
    chapters: list[dict[str, object]] | None = None
    if not row.chapters_are_own:
        chapters = [
            {"start_seconds": start, "title": title}
            for start, title in found.chapters
            if start < seconds
        ]
    return Taken(captions, chapters, found.notes)


def save(video: Video, taken: Taken) -> None:
    """Replace what the video has of its source. Call it in a transaction, with the video locked."""
    Caption.objects.filter(video=video, origin__in=OF_SOURCE).delete()
    for caption in taken.captions:
        caption.save(force_insert=True)
        words.index(caption)
    changes: dict[str, object] = {"source_notes": taken.notes}
    if taken.chapters is not None:
        changes["chapters"] = taken.chapters
    Video.objects.filter(pk=video.pk).update(**changes)


def language_name(tag: str) -> str:
    """Return the name of a language in itself, such as "Deutsch", or its tag if Django knows none."""
    try:
        name: str = get_language_info(tag.lower())["name_local"]
    except KeyError:
        return tag
    return name[:1].upper() + name[1:]
