from django.conf import settings
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from config import domains, humans, money
from config.admin import ReadOnlyAdmin
from config.attention import State, Tile, count, needs_attention
from config.confirming import Question, asks_first
from config.errors import NotVisible
from videos.models import ProcessingJob, Video, WorkerPresence
from videos.moderation import desk as desk  # registers its page
from videos.services import catalogue, reprocessing, sources
from videos.storage import folder

SITES_MAX = 20_000  # characters


def _length(videos):
    seconds = sum(video.duration_seconds or 0 for video in videos)
    return f"{humans.duration_text(seconds)} of video"


def _is_there(status):
    """Return the condition for an act: the video is not deleted, and has this status."""
    return lambda video: video.deleted_at is None and video.status == status


def _queue(service, video, actor):
    """Queue a video by a service. Raises NotVisible for a deleted one, and what the service raises."""
    if video.deleted_at is not None:
        raise NotVisible("This video is deleted. Restore it first.")
    service(video=video, actor=actor)


class DeletedFilter(admin.SimpleListFilter):
    """Hides deleted videos unless they are asked for."""

    title = "deletion"
    parameter_name = "deleted"

    def lookups(self, request, model_admin):
        return [("yes", "deleted"), ("all", "all")]

    def queryset(self, request, queryset):
        if self.value() == "yes":
            return queryset.deleted()
        return queryset if self.value() == "all" else queryset.alive()

    def choices(self, changelist):
        first, *others = super().choices(changelist)
        return [{**first, "display": "not deleted"}, *others]


class ModerationFilter(admin.SimpleListFilter):
    """Shows the videos that moderators have taken down, or whose creators they have suspended."""

    title = "moderation"
    parameter_name = "moderation"

    def lookups(self, request, model_admin):
        return [("taken_down", "taken down"), ("suspended", "creator suspended")]

    def queryset(self, request, queryset):
        if self.value() == "taken_down":
            return queryset.filter(taken_down_at__isnull=False)
        if self.value() == "suspended":
            return queryset.filter(creator__suspended_at__isnull=False)
        return queryset


@admin.register(Video)
class VideoAdmin(ReadOnlyAdmin):
    """Videos, for looking at, deleting, restoring and making again; the actions call services.

    There is no form: saving one would overwrite changes made since the page was opened.
    """

    list_display = [
        "name", "creator", "state", "price_with_currency", "length", "views", "created_at",
    ]  # fmt: skip
    list_filter = [DeletedFilter, ModerationFilter, "status", "visibility", "is_paid"]
    list_select_related = ["creator", "job"]
    search_fields = ["title", "creator__email", "id"]
    date_hierarchy = "created_at"
    actions = [
        "delete_videos", "restore_videos", "retry_videos", "reprocess_videos", "change_embedding",
    ]  # fmt: skip
    # The columns that an operator asks for; the rest of the row is of use to programs.
    fields = [
        "title", "creator", "state", "description", "category", "tags", "price_with_currency",
        "rental_price_with_currency", "rental_hours", "preview_seconds", "trailer", "embedding",
        "length", "picture", "renditions", "views",
        "likes", "dislikes", "source_filename", "size", "source_container", "source_video_codec",
        "source_audio_codec", "source_notes", "source_path", "source_checksum", "current_version",
        "created_at", "published_at", "publish_at", "available_until", "allowed_countries",
        "refused_countries", "is_preorder", "deleted_at", "id",
    ]  # fmt: skip
    readonly_fields = [
        "state", "price_with_currency", "rental_price_with_currency", "embedding", "length", "size",
        "picture", "source_notes", "created_at", "published_at", "deleted_at", "id",
    ]  # fmt: skip

    def has_delete_any_permission(self, request):
        return request.user.has_perm("videos.delete_any_video")

    def has_change_any_permission(self, request):
        return request.user.has_perm("videos.change_any_video")

    def has_retry_any_permission(self, request):
        return request.user.has_perm("videos.retry_any_video")

    def has_restore_permission(self, request):
        return request.user.has_perm("videos.restore_video")

    @admin.display(description="title", ordering="title")
    def name(self, video):
        return str(video)

    @admin.display(description="state", ordering="status")
    def state(self, video):
        """Return where the video is: deleted, taken down, being processed, failed and why, or ready."""
        if video.purged_at is not None:
            return f"deleted on {video.deleted_at:%Y-%m-%d}, files removed"
        if video.deleted_at is not None:
            return f"deleted on {video.deleted_at:%Y-%m-%d}, can be restored"
        if video.taken_down_at is not None:
            return f"taken down by a moderator on {video.taken_down_at:%Y-%m-%d}"
        job = video.job
        if job is not None and job.error_code and video.status == Video.Status.FAILED:
            return format_html(
                'failed: <span title="{}">{}</span>', job.error_detail, job.error_code
            )
        if job is not None and job.finished_at is None:
            return f"{job.step or job.get_state_display()}, {job.percent} %"
        suspended = ", creator suspended" if video.creator.suspended_at else ""
        return f"{video.get_status_display()}, {video.get_visibility_display()}{suspended}"

    @admin.display(description="length", ordering="duration_seconds")
    def length(self, video):
        seconds = video.duration_seconds
        return "-" if seconds is None else humans.duration_text(seconds)

    @admin.display(description="picture")
    def picture(self, video):
        return f"{video.width} x {video.height}" if video.width else "-"

    @admin.display(description="size of the source", ordering="source_size")
    def size(self, video):
        return "-" if video.source_size is None else humans.size_text(video.source_size)

    @admin.display(description="price", ordering="price")
    def price_with_currency(self, video):
        if not video.is_paid:
            return "free"
        return f"{money.to_text(video.price, video.currency)} {video.currency}"

    @admin.display(description="rental price")
    def rental_price_with_currency(self, video):
        if video.rental_price is None:
            return "-"
        return f"{money.to_text(video.rental_price, video.currency)} {video.currency}"

    @admin.display(description="sites that may embed it")
    def embedding(self, video):
        return ", ".join(video.embed_domains) or "those of its creator"

    @asks_first(
        "Delete …",
        permission="delete_any",
        title="Delete these videos?",
        effect="Playback stops within seconds and they leave the shop. Buyers keep their orders. They"
        " can be restored until their files are removed.",
        button="Delete",
        done="Deleted",
        offered=lambda video: video.deleted_at is None,
    )
    def delete_videos(self, actor, video):
        catalogue.delete_video(video=video, actor=actor)

    @asks_first(
        "Restore …",
        permission="restore",
        title="Restore these deleted videos?",
        effect="They can be watched again by everybody who may, and are sold again.",
        button="Restore",
        done="Restored",
        offered=lambda video: video.deleted_at is not None,
        ends_something=False,
    )
    def restore_videos(self, actor, video):
        if video.deleted_at is None:
            raise NotVisible("This video is not deleted.")
        catalogue.restore_video(video_id=video.pk, actor=actor)

    @asks_first(
        "Process again …",
        permission="retry_any",
        title="Process these failed videos again?",
        effect="They are queued as if they had just been uploaded. Do it when the reason for the failure"
        " is gone: a video that no program can read fails again.",
        button="Process again",
        about=_length,
        done="Queued",
        offered=_is_there(Video.Status.FAILED),
        ends_something=False,
    )
    def retry_videos(self, actor, video):
        _queue(sources.retry_processing, video, actor)

    @asks_first(
        "Make all renditions again …",
        permission="retry_any",
        title="Make all renditions of these videos again?",
        effect="They are encoded again from the kept files, which may occupy the workers for days."
        " Uploads are processed before. Viewers keep the renditions that are there until then.",
        button="Make them again",
        about=_length,
        done="Queued",
        offered=_is_there(Video.Status.READY),
        ends_something=False,
    )
    def reprocess_videos(self, actor, video):
        _queue(reprocessing.reprocess, video, actor)

    @asks_first(
        "Change who may embed …",
        permission="change_any",
        title="Change the sites that may embed these videos?",
        effect="Frames on other sites stay empty from the next time that they are loaded.",
        button="Change the sites",
        done="Changed",
        questions=[
            Question("sites", "Sites, with blanks between (- for those of the creator)", SITES_MAX)
        ],
        offered=lambda video: video.deleted_at is None,
    )
    def change_embedding(self, actor, video, sites):
        found = domains.of_text("" if sites.strip() == "-" else sites)
        catalogue.change_video(video=video, actor=actor, embed_domains=found)


@admin.register(ProcessingJob)
class ProcessingJobAdmin(ReadOnlyAdmin):
    """Processing jobs, for looking at."""

    list_display = [
        "video", "state", "step", "percent_done", "stage", "attempt", "worker", "error_code",
        "created_at",
    ]  # fmt: skip
    list_filter = ["state", "stage", "error_code"]
    list_select_related = ["video"]
    search_fields = ["video__title", "video__id", "worker"]

    @admin.display(description="progress", ordering="percent")
    def percent_done(self, job):
        return f"{job.percent} %"


@needs_attention("Videos", permission="videos.view_processingjob")
def processing(request):
    """Yield the queue, and the videos that could not be processed."""
    jobs = ProcessingJob.objects.open()
    oldest = jobs.order_by("created_at").values_list("created_at", flat=True).first()
    waits = humans.duration_text((timezone.now() - oldest).total_seconds()) if oldest else ""
    workers = WorkerPresence.objects.alive().count()
    number, state = count(jobs.count(), state="good" if workers else "urgent")
    say = f"{workers} workers." + (f" The oldest waits for {waits}." if waits else "")
    yield Tile("Videos being processed", number, state, _jobs("?state__exact=queued"), say)
    failed = Video.objects.alive().filter(status=Video.Status.FAILED)
    number, state = count(failed.count(), state="look")
    url = f"{reverse('admin:videos_video_changelist')}?status__exact={Video.Status.FAILED}"
    yield Tile("Failed videos", number, state, url, "Their creators were told the reason.")


@needs_attention("Service", permission="videos.view_processingjob")
def disk(request):
    """Yield the free space of the folder of the media."""
    try:
        free, total = folder.space()
    except OSError as error:
        yield Tile("Disk of the media", "away", "urgent", _jobs(""), str(error.strerror))
        return
    reserve = settings.STORAGE_RESERVE_BYTES
    state: State = "good"
    if free < max(2 * reserve, total // 10):
        state = "urgent" if free <= reserve else "look"
    say = f"Free of {humans.size_text(total)}. Uploads stop at {humans.size_text(reserve)}."
    yield Tile("Disk of the media", humans.size_text(free), state, _jobs(""), say)


def _jobs(query):
    return reverse("admin:videos_processingjob_changelist") + query
