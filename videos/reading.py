"""Videos as the API shows them: three queries for any number, and no column that is not shown."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models.query import BaseIterable
from django.utils import timezone

from accounts.models import User
from config.api.pagination import PAGE_SIZE
from config.prepared import Converting, Prepared, converting, stored
from config.rows import Rows
from videos.availability import policy
from videos.models import Caption, ProcessingJob, Video
from videos.querysets import Sight, VideoQuerySet, sight_of

Caller = User | AnonymousUser

# The id is the first column.
_ALL = tuple(
    sorted((field.attname for field in Video._meta.concrete_fields), key=lambda name: name != "id")
)
_CREATOR = ("display_name",)
_JOB = tuple(field.attname for field in ProcessingJob._meta.concrete_fields)
# Only the owner and administrators see these, so that they are not read for others.
_OF_INSIDERS = frozenset(
    name for name in _ALL if name.startswith(("source_", "deleted_at", "taken_down_at", "embed_"))
)
_COLUMNS = {
    Sight.PUBLIC: tuple(name for name in _ALL if name not in _OF_INSIDERS),
    Sight.OWN: _ALL,
    Sight.ALL: _ALL,
}
# For payments.entitlements, previews and videos.availability.
_WATCHED = (
    "id", "creator_id", "is_paid", "current_version", "preview_seconds", "duration_seconds",
    *policy.COLUMNS,
)  # fmt: skip
# The parameters of the queries: only who sees own videos beside the public ones matters to them.
_LISTING: dict[Sight, dict[str, type]] = {sight: {} for sight in Sight} | {
    Sight.OWN: {"user": UUID}
}
_OPENING = _LISTING | {Sight.OWN: {"user": UUID, "now": datetime}}
# Of a caption in a video.
CAPTION = (
    "id", "language", "label", "kind", "is_forced", "is_sdh", "is_default", "is_automatic",
)  # fmt: skip
BATCHES = (1, 20, 100)  # of videos whose parts are asked for together; a page has at most 100


def columns(sight: Sight) -> tuple[str, ...]:
    """Return the columns that `video_of` takes."""
    of_job = () if sight is Sight.PUBLIC else tuple(f"job__{name}" for name in _JOB)
    return (*_COLUMNS[sight], *(f"creator__{name}" for name in _CREATOR), *of_job)


def video_of(sight: Sight, row: Sequence[Any]) -> Video:
    """Return the video of a row, with creator and job. Other columns are read when they are used."""
    own, creator = len(_COLUMNS[sight]), len(_CREATOR)
    video = stored(Video, _COLUMNS[sight], row)
    related = video._state.fields_cache
    related["creator"] = stored(
        User, ("id", *_CREATOR), (video.creator_id, *row[own : own + creator])
    )
    if sight is not Sight.PUBLIC:
        has_job = video.job_id is not None
        related["job"] = stored(ProcessingJob, _JOB, row[own + creator :]) if has_job else None
    return video


class Found:
    """A row of the catalogue as the driver gives it (`videos.listing` writes most answers from it).

    Whatever else is asked of it, it is the video of the row.
    """

    __slots__ = ("_convert", "_video", "row", "sight")

    def __init__(self, sight: Sight, row: Sequence[Any], convert: Converting) -> None:
        self.sight, self.row, self._convert = sight, row, convert
        self._video: Video | None = None

    @property
    def video(self) -> Video:
        if self._video is None:
            self._video = video_of(self.sight, self._convert([self.row])[0])
        return self._video

    def __getattr__(self, name: str) -> Any:
        return getattr(self.video, name)


class VideoRows(BaseIterable):
    """The rows of a queryset of `rows_of`."""

    sight: ClassVar[Sight]

    def __iter__(self) -> Iterator[Found]:
        videos: Any = self.queryset
        compiler = videos.query.get_compiler(videos.db)
        for rows in compiler.execute_sql():
            convert = converting(compiler)
            for row in rows:
                yield Found(self.sight, row, convert)


_ROWS = {sight: type("VideoRows", (VideoRows,), {"sight": sight}) for sight in Sight}


def rows_of(videos: VideoQuerySet, sight: Sight) -> VideoQuerySet:
    """Return the videos as a queryset that reads the columns of `columns` alone."""
    rows: Any = videos.values_list(*columns(sight))
    rows._iterable_class = _ROWS[sight]
    return rows


@cache
def _one(sight: Sight) -> Prepared:
    return Prepared(
        lambda video, user=None, now=None: (
            Video.objects.visible_by(sight, user, now).filter(pk=video).values_list(*columns(sight))
        ),
        video=UUID,
        **_OPENING[sight],
    )


@cache
def _to_watch(sight: Sight) -> Prepared:
    return Prepared(
        lambda video, user=None, now=None: (
            Video.objects.visible_by(sight, user, now).filter(pk=video).values_list(*_WATCHED)
        ),
        video=UUID,
        **_OPENING[sight],
    )


@cache
def _newest(sight: Sight) -> Prepared:
    return Prepared(
        lambda user=None: (
            Video.objects.listed_by(sight, user)
            .order_by("-created_at", "-pk")
            .values_list(*columns(sight))[: PAGE_SIZE + 1]
        ),
        **_LISTING[sight],
    )


def find(user: Caller, video_id: UUID) -> Video | None:
    """Return the video if the user may open it (`VideoQuerySet.visible_to`), else None. One query."""
    sight = sight_of(user)
    rows = _one(sight).rows(video=video_id, user=user.pk, now=timezone.now())
    return video_of(sight, rows[0]) if rows else None


def find_to_watch(user: Caller, video_id: UUID) -> Video | None:
    """Return the same video with what decides on access to it alone."""
    sight = sight_of(user)
    rows = _to_watch(sight).rows(video=video_id, user=user.pk, now=timezone.now())
    return stored(Video, _WATCHED, rows[0]) if rows else None


@cache
def _whole(sight: Sight) -> Rows[Video]:
    return Rows(
        lambda video, user=None, now=None: Video.objects.visible_by(sight, user, now).filter(
            pk=video
        ),
        Video,
        joined="creator",
        video=UUID,
        **_OPENING[sight],
    )


def find_whole(user: Caller, video_id: UUID) -> Video | None:
    """Return the same video with all its columns and those of its creator. One query."""
    return _whole(sight_of(user)).first(video=video_id, user=user.pk, now=timezone.now())


def find_row(user: Caller, video_id: UUID) -> Found | None:
    """Return the row of the same video."""
    sight = sight_of(user)
    rows, convert = _one(sight).found(video=video_id, user=user.pk, now=timezone.now())
    return Found(sight, rows[0], convert) if rows else None


def newest(user: Caller) -> list[Found]:
    """Return the first page of the user's catalogue (`VideoQuerySet.listed_for`), and one video more."""
    sight = sight_of(user)
    rows, convert = _newest(sight).found(user=user.pk)
    return [Found(sight, row, convert) for row in rows]


@cache
def _tags(size: int) -> Prepared:
    link = Video.tags.through
    return Prepared(
        lambda **ids: link._default_manager.filter(video_id__in=list(ids.values())).values_list(
            "video_id", "tag__name"
        ),
        **{f"video{number}": UUID for number in range(size)},
    )


@cache
def _captions(size: int) -> Prepared:
    return Prepared(
        lambda **ids: (
            Caption.objects.filter(video_id__in=list(ids.values()))
            .order_by("pk")
            .values_list("video_id", *CAPTION)
        ),
        **{f"video{number}": UUID for number in range(size)},
    )


def parts(ids: Sequence[Any]) -> tuple[dict[str, list[str]], dict[str, list[Caption]]]:
    """Return the tags of videos, in alphabetical order, and their captions, in two queries for a page.

    The ids may be those of the driver. The keys of the answer are their hexadecimal digits.
    """
    names: dict[str, list[str]] = defaultdict(list)
    captions: dict[str, list[Caption]] = defaultdict(list)
    if not ids:
        return names, captions
    size = next(size for size in BATCHES if size >= len(ids))
    asked = {f"video{number}": pk for number, pk in enumerate(ids)}
    asked |= {f"video{number}": ids[0] for number in range(len(ids), size)}
    for video_id, name in _tags(size).found(**asked)[0]:
        names[digits(video_id)].append(name)
    for of_one in names.values():
        of_one.sort()
    for video_id, *columns_of_caption in _captions(size).rows(**asked):
        captions[video_id.hex].append(stored(Caption, CAPTION, columns_of_caption))
    return names, captions


def digits(pk: Any) -> str:
    """Return the hexadecimal digits of an id of the driver: a text (SQLite) or a UUID."""
    return pk if type(pk) is str else pk.hex
