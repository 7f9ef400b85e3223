"""The answers of the catalogue, written from the rows of the driver.

Making the objects of a page, with their ids, times and lists, takes longer than reading it, and most of
them only become text again. `VideoSerializer` stays the description of the answer: its public fields in
their order, each of them a column or one of `_MADE`. Who may see more of a video than others gets the
answer of the serializer itself.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any

import orjson
from django.db import DEFAULT_DB_ALIAS, connections, models
from rest_framework import serializers

from config import money
from config.api.representation import readers
from videos import reading
from videos.models import Video
from videos.moderation import standing
from videos.querysets import Sight
from videos.reading import Found, digits
from videos.serializers import RenditionSerializer, VideoSerializer

Answer = dict[str, Any]
# The fields that are no columns, each with the column that stands in its place until it is made.
_MADE = {
    "creator": "creator_id",
    "playable": "current_version",
    "price": "price",
    "rental_price": "rental_price",
    "tags": "id",
    "poster_url": "poster_tag",
    "storyboard_url": "has_storyboard",
    "captions": "id",
    "renditions": "renditions",
    "chapters": "chapters",
    "audio_tracks": "audio_tracks",
}


def answers(page: Sequence[Found], serializer: VideoSerializer) -> list[Answer]:
    """Return what the serializer answers for each row, in two queries for a page.

    Two more if videos are taken down, for the owner or administrator who is shown them.
    """
    if not page:
        return []
    sight = page[0].sight
    names, captions = reading.parts([found.row[0] for found in page])
    creator = reading.columns(sight).index("creator_id")
    caller = getattr(serializer.context["request"].user.pk, "hex", "")
    own = [
        found
        for found in page
        if sight is Sight.ALL or (caller and digits(found.row[creator]) == caller)
    ]
    for found in own:
        key = digits(found.row[0])
        found.video.tag_names = names.get(key, [])
        found.video.caption_rows = captions.get(key, [])
    standing.add([found.video for found in own])
    write = _writer(sight, connections[DEFAULT_DB_ALIAS].vendor)
    special = {id(found) for found in own}
    return [
        serializer.to_representation(found.video)
        if id(found) in special
        else write(found.row, names, captions, serializer)
        for found in page
    ]


@cache
def _writer(sight: Sight, vendor: str) -> Callable[..., Answer]:
    """Return the function that writes the answer for a row with the columns of ``sight``."""
    columns = reading.columns(sight)
    fields, sources, texts = _fields(vendor)
    pick = itemgetter(*(columns.index(source) for source in sources))
    current_version, display_name = map(columns.index, ("current_version", "creator__display_name"))
    rendition, loads = _rendition(), _loaded if vendor == "sqlite" else _loaded_if_text

    def write(
        row: Sequence[Any],
        names: dict[str, list[str]],
        captions: dict[str, list[Any]],
        serializer: VideoSerializer,
    ) -> Answer:
        answer = dict(zip(fields, pick(row), strict=True))
        for name, text in texts:
            value = answer[name]
            if value is not None:
                answer[name] = text(value)
        pk, key, currency = answer["id"], digits(row[0]), answer["currency"]
        creator = digits(answer["creator"])
        answer["creator"] = {
            "id": _dashed(creator),
            "display_name": row[display_name] or f"user-{creator[-6:]}",
        }
        answer["playable"] = answer["playable"] != ""
        answer["price"] = money.to_text(answer["price"], currency)
        rental = answer["rental_price"]
        if rental is not None:
            answer["rental_price"] = money.to_text(rental, currency)
        answer["tags"] = names.get(key, [])
        answer["poster_url"] = serializer.poster_of(pk, row[current_version], answer["poster_url"])
        answer["storyboard_url"] = serializer.storyboard_of(pk, answer["storyboard_url"])
        answer["captions"] = (
            [serializer.caption_of(pk, each) for each in captions[key]] if key in captions else []
        )
        answer["renditions"] = [rendition(each) for each in loads(answer["renditions"])]
        answer["chapters"] = loads(answer["chapters"])
        answer["audio_tracks"] = loads(answer["audio_tracks"])
        return answer

    return write


def _fields(vendor: str) -> tuple[list[str], list[str], list[tuple[str, Callable[[Any], Any]]]]:
    """Return the public fields, their columns, and how columns are written that are not JSON yet.

    Raises TypeError for a field of the serializer that is neither a column nor made here.
    """
    columns: dict[str, models.Field[Any, Any]] = {
        field.attname: field for field in Video._meta.concrete_fields
    }
    declared = VideoSerializer().fields
    fields = [name for name, _ in readers(VideoSerializer, VideoSerializer.NOT_ALWAYS_SENT)]
    sources, texts = [], []
    for name in fields:
        source = _MADE.get(name) or declared[name].source or name
        sources.append(source)
        if name in _MADE:
            continue
        if source not in columns or isinstance(declared[name], serializers.SerializerMethodField):
            raise TypeError(f"{name} of VideoSerializer has to be made in videos.listing.")
        if text := _text_of(columns[source], vendor):
            texts.append((name, text))
    return fields, sources, texts


def _text_of(column: "models.Field[Any, Any]", vendor: str) -> Callable[[Any], Any] | None:
    """Return how a value of the driver is written, or None if JSON has it as it is."""
    is_sqlite = vendor == "sqlite"
    if isinstance(column, models.UUIDField | models.ForeignKey):
        return _dashed if is_sqlite else str
    if isinstance(column, models.DateTimeField):
        return _naive_time if is_sqlite else _time
    if isinstance(column, models.JSONField):
        return _loaded if is_sqlite else _loaded_if_text
    return None


def _dashed(digits: str) -> str:
    """Return an id as text, from its 32 digits."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _naive_time(value: datetime) -> str:
    """Return a time of SQLite, which is in UTC without saying so, as REST framework writes it."""
    return f"{value.isoformat()}Z"


def _time(value: datetime) -> str:
    return f"{value.astimezone(UTC).isoformat()[:-6]}Z"


def _loaded(text: str) -> Any:
    """Return what a JSON text says."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # NaN, which Python's own reader takes
        return json.loads(text)


def _loaded_if_text(value: Any) -> Any:
    return _loaded(value) if isinstance(value, str) else value


def _rendition() -> Callable[[dict[str, Any]], Answer]:
    """Return the function that writes a rendition as its serializer does."""
    parts, serializer = readers(RenditionSerializer), RenditionSerializer()
    kinds = [
        (name, int if isinstance(field, serializers.IntegerField) else str)
        for name, field in serializer.fields.items()
    ]

    def write(rendition: dict[str, Any]) -> Answer:
        try:
            return {name: kind(rendition[name]) for name, kind in kinds}
        except (KeyError, TypeError):  # an old row, without some of them
            return {name: read(serializer, rendition) for name, read in parts}

    return write
