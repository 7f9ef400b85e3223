"""Creating, changing, deleting and restoring videos."""

import uuid

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config.errors import NotVisible
from videos.models import Tag, Video
from videos.signals import video_removed


@transaction.atomic
def create_video(*, creator, tags: list[str] = (), **fields) -> Video:
    """A video without a file (CREATED)."""
    video = Video.objects.create(creator=creator, **fields)
    _set_tags(video, tags)
    audit.record(actor=creator, action=AuditAction.VIDEO_CREATED, target=video)
    return video


@transaction.atomic
def change_video(*, video: Video, actor, tags: list[str] | None = None, **fields) -> Video:
    """Change what a creator may change. The audit log names the fields, and the price in full."""
    changed = [name for name, value in fields.items() if getattr(video, name) != value]
    # All of them, not only what changed: is_paid, price and currency are one rule, and of two
    # changes at once the later must not keep a part of the earlier.
    if changed and not Video.objects.alive().filter(pk=video.pk).update(**fields):
        raise NotVisible()
    for name in changed:
        setattr(video, name, fields[name])
    if tags is not None and _set_tags(video, tags):
        changed.append("tags")
    if changed:
        audit.record(
            actor=actor,
            action=AuditAction.VIDEO_CHANGED,
            target=video,
            fields=sorted(changed),
            price=video.price,
            currency=video.currency,
        )
    return video


@transaction.atomic
def delete_video(*, video: Video, actor) -> None:
    """Take a video out of sight. Files, money and history stay; playback ends within seconds."""
    deleted = Video.objects.alive().filter(pk=video.pk).update(deleted_at=timezone.now())
    if not deleted:
        raise NotVisible()
    audit.record(actor=actor, action=AuditAction.VIDEO_DELETED, target=video)
    video_removed.send(sender=Video, video=video)


@transaction.atomic
def restore_video(*, video_id: uuid.UUID, actor) -> Video:
    """Bring a deleted video back as it was. Restoring one that is not deleted changes nothing."""
    restored = Video.objects.deleted().filter(pk=video_id).update(deleted_at=None)
    video = Video.objects.for_output().filter(pk=video_id).first()
    if video is None:
        raise NotVisible()
    if restored:
        audit.record(actor=actor, action=AuditAction.VIDEO_RESTORED, target=video)
    return video


def set_counters(video_id: uuid.UUID, **counters) -> None:
    """Write the denormalised counters of a video card; values may be F() expressions."""
    Video.objects.filter(pk=video_id).update(**counters)


def _set_tags(video: Video, names: list[str]) -> bool:
    wanted = sorted(set(names))
    if wanted == sorted(tag.name for tag in video.tags.all()):
        return False
    Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
    video.tags.set(Tag.objects.filter(name__in=wanted))
    return True
