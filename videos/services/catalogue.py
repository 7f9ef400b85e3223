"""Creating, changing, deleting and restoring videos."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from django.db import transaction
from django.db.models.expressions import Combinable
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from config.ids import uuid7
from videos import jobs
from videos.availability import policy
from videos.errors import FilesRemoved
from videos.models import Tag, Video
from videos.moderation import cases
from videos.services import previews
from videos.signals import availability_changed, video_removed, video_restricted


class VideoDetails(TypedDict, total=False):
    """The columns of Video that its owner sets; amounts in minor units."""

    title: str
    description: str
    category: str
    visibility: str
    is_paid: bool
    price: int
    currency: str
    rental_price: int | None
    rental_hours: int | None
    embed_domains: list[str]
    preview_seconds: int | None
    trailer_id: uuid.UUID | None
    publish_at: datetime | None
    available_until: datetime | None
    allowed_countries: list[str]
    refused_countries: list[str]
    is_preorder: bool


@transaction.atomic
def create_video(
    *,
    creator: User,
    tags: Sequence[str] = (),
    pk: uuid.UUID | None = None,
    **fields: Unpack[VideoDetails],
) -> Video:
    """Create a video without a source (CREATED), with a new id unless one is given.

    Raises ValidationError for a trailer that may not be one.
    """
    previews.require_trailer(fields.get("trailer_id"), creator=creator, of=pk)
    video = Video.objects.create(pk=pk or uuid7(), creator=creator, **fields)
    _set_tags(video, tags)
    audit.record(actor=creator, action=AuditAction.VIDEO_CREATED, target=video)
    return video


@transaction.atomic
def change_video(
    *,
    video: Video,
    actor: User | None,
    tags: Sequence[str] | None = None,
    **fields: Unpack[VideoDetails],
) -> Video:
    """Set ``fields`` and, unless they are None, the tags; return ``video`` with them.

    Raises NotVisible if the video has been deleted since it was read, and ValidationError for a trailer
    that may not be one and for the preview of a free video. A video that becomes free loses its preview.
    If the video becomes private or paid, or its preview changes, ``video_restricted`` is sent, by which
    the playback of viewers ends; a private or paid video is no trailer any more. If its dates or
    countries change, ``availability_changed`` is sent. A change writes one audit entry with each changed
    field before and after, of the description its name alone. Repeating a change writes nothing.
    """
    if fields.get("is_paid") or fields.get("visibility") == Video.Visibility.PRIVATE:
        previews.lock_with_users(video)
    if fields.get("is_paid") is False:
        fields["preview_seconds"] = None
    elif fields.get("preview_seconds") and "is_paid" not in fields:
        previews.require_paid(video)
    before = {name: getattr(video, name) for name in fields}
    new = {name: value for name, value in fields.items() if getattr(video, name) != value}
    if "trailer_id" in new:
        previews.require_trailer(fields["trailer_id"], creator=video.creator, of=video.pk)
    # All fields are written, not only the changed ones: is_paid, price and currency follow one rule,
    # and of two simultaneous changes the later must not keep a part of the earlier one.
    if new and not Video.objects.alive().filter(pk=video.pk).update(**fields):
        raise NotVisible()
    became_private = new.get("visibility") == Video.Visibility.PRIVATE
    for name, value in new.items():
        setattr(video, name, value)
    if became_private or new.get("is_paid") or "preview_seconds" in new:
        video_restricted.send(sender=Video, video=video)
    if became_private or new.get("is_paid"):
        previews.clear_trailer(video)
    if moved := new.keys() & set(policy.FIELDS):
        availability_changed.send(sender=Video, video=video, fields=moved)
    changed = audit.changes(before, new, hidden=["description"])
    tags_before = sorted(tag.name for tag in video.tags.all()) if tags is not None else []
    if tags is not None and _set_tags(video, tags):
        changed["tags"] = {"before": tags_before, "after": sorted(set(tags))}
    if changed:
        audit.record(
            actor=actor,
            action=AuditAction.VIDEO_CHANGED,
            target=video,
            fields=sorted(changed),
            changes=changed,
            price=video.price,
            currency=video.currency,
        )
    return video


@transaction.atomic
def delete_video(*, video: Video, actor: User | None) -> None:
    """Mark a video as deleted and send ``video_removed``, by which its playback ends.

    Its processing stops within a second, and what waits for moderators about it ends.

    Files, orders, payments and statistics are kept. Raises NotVisible if it is deleted already.
    """
    previews.lock_with_users(video)
    deleted = Video.objects.alive().filter(pk=video.pk).update(deleted_at=timezone.now())
    if not deleted:
        raise NotVisible()
    jobs.cancel_open(video)
    previews.clear_trailer(video)
    cases.close_of_deleted(video)
    audit.record(actor=actor, action=AuditAction.VIDEO_DELETED, target=video)
    video_removed.send(sender=Video, video=video)


@transaction.atomic
def restore_video(*, video_id: uuid.UUID, actor: User | None) -> Video:
    """Bring a deleted video back as it was, and return it as ``for_output`` loads it.

    If its processing had not ended, it begins again.

    Safe to repeat: a video that is not deleted is returned unchanged. Raises NotVisible for an
    unknown id, and FilesRemoved if its files were removed since.
    """
    purged = Video.objects.deleted().exclude(purged_at=None).filter(pk=video_id).first()
    if purged is not None:
        raise FilesRemoved(on=purged.purged_at)
    restored = Video.objects.deleted().filter(pk=video_id, purged_at=None).update(deleted_at=None)
    unfinished = Video.objects.filter(
        pk=video_id, status__in=[Video.Status.UPLOADED, Video.Status.PROCESSING]
    )
    if restored and unfinished.update(status=Video.Status.UPLOADED):
        interrupted = unfinished.get()
        jobs.queue(interrupted, interrupted.source_path)  # the deletion canceled its job
    video = Video.objects.for_output().filter(pk=video_id).first()
    if video is None:
        raise NotVisible()
    if restored:
        audit.record(actor=actor, action=AuditAction.VIDEO_RESTORED, target=video)
    return video


def set_counters(video_id: uuid.UUID, **counters: int | Combinable) -> None:
    """Write ``views``, ``likes`` or ``dislikes`` of a video; a value may be an F() expression.

    Call it in the transaction that changes the counted rows. An unknown id changes nothing.
    """
    Video.objects.filter(pk=video_id).update(**counters)


def _set_tags(video: Video, names: Sequence[str]) -> bool:
    """Replace the video's tags by ``names``. Return whether they differed."""
    wanted = sorted(set(names))
    if wanted == sorted(tag.name for tag in video.tags.all()):
        return False
    Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
    video.tags.set(Tag.objects.filter(name__in=wanted))
    return True
