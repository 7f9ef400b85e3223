"""Presenting a version before it is published, so that its first viewer gets its captions and labels.

``prepare`` writes the files into the folder, which nobody reads yet. ``adopt`` notes in the transaction
that publishes the version that they are right, and makes rows of what its source has in itself. If the
database has changed in between, the files are written again after the commit, as after every change.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from django.db import InterfaceError, OperationalError

from videos.models import Video
from videos.presentation import embedded, refreshing
from videos.presentation.embedded import Taken
from videos.presentation.models import Caption, Presentation
from videos.processing import extras

logger = logging.getLogger(__name__)

State = tuple[int, str, str, bool]


@dataclass(frozen=True)
class Prepared:
    """The files of a version that is not published yet, and the state of the rows they were made of.

    ``taken`` is what the version's source has in itself, if that is not in the rows yet. ``facts`` are
    the columns of the video that follow from the files.
    """

    state: State
    source: str
    taken: Taken | None
    facts: dict[str, object]


def prepare(
    video: Video, folder: Path, *, version: str, seconds: float, source: str | None = None
) -> Prepared | None:
    """Write texts and manifests of a finished version, which lies in ``folder`` and lasts ``seconds``.

    ``version`` is the name that it will have, or "" for a clear one. ``source`` is the path of the
    source that it was made from; None is that of the current version. Changes no row. Returns None if
    the files cannot be written, which is logged: `adopt` lets a worker write them after the publication.
    """
    try:
        return _prepare(video, folder, version, seconds, source)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("Video %s: a new version is presented after its publication.", video.pk)
        return None


def _prepare(
    video: Video, folder: Path, version: str, seconds: float, source: str | None
) -> Prepared:
    # The row is read first: what changes from here on changes the row, too.
    row = Presentation.objects.filter(video=video).first()
    state = _state_of(row)
    row = row or Presentation(video=video)
    source = row.source if source is None else source
    found = extras.load(folder)
    taken = None
    captions = Caption.objects.filter(video=video).order_by("pk")
    chapters = Video.objects.values_list("chapters", flat=True).get(pk=video.pk)
    if found is not None and source != row.taken_from:
        taken = embedded.of_source(video, row, found, seconds)
        captions = captions.exclude(origin__in=embedded.OF_SOURCE)
        chapters = chapters if taken.chapters is None else taken.chapters
    facts = refreshing.compose(
        folder,
        video=video.pk,
        version=version,
        captions=[*captions, *(taken.captions if taken else ())],
        chapters=chapters,
        sounds=found.sounds if found else [],
        seconds=seconds,
    )
    return Prepared(state, source, taken, facts)


def adopt(video: Video, prepared: Prepared | None, *, source: str | None = None) -> None:
    """Note how the version that the transaction publishes is presented.

    Call it with the video's row locked. ``source`` is as for `prepare`. If nothing that the prepared
    files say has changed since, the version is up to date from the commit on; else, and without prepared
    files, it is refreshed after the commit.
    """
    row, is_new = Presentation.objects.select_for_update().get_or_create(video=video)
    is_right = prepared is not None and prepared.state == _state_of(None if is_new else row)
    if prepared is None or not is_right or source not in (None, prepared.source):
        refreshing.mark(video, source=source)
        return
    row.changed += 1
    row.written, row.source = row.changed, prepared.source
    if prepared.taken is not None:
        embedded.save(video, prepared.taken)
        row.taken_from = prepared.source
    row.save()
    Video.objects.filter(pk=video.pk).update(**prepared.facts)


def _state_of(row: Presentation | None) -> State:
    """Return what tells that captions and chapters are those that were read."""
    if row is None:
        return 0, "", "", False
    return row.changed, row.source, row.taken_from, row.chapters_are_own
