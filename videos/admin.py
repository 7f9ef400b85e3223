from django.contrib import admin
from django.utils.html import format_html

from config import humans, money
from config.admin import ReadOnlyAdmin
from config.confirming import asks_first
from config.errors import NotVisible
from videos.models import ProcessingJob, Video
from videos.services import catalogue, reprocessing


def _length(videos):
    seconds = sum(video.duration_seconds or 0 for video in videos)
    return f"{humans.duration_text(seconds)} of video"


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


@admin.register(Video)
class VideoAdmin(ReadOnlyAdmin):
    """Videos, for looking at, deleting, restoring and making again; the actions call services.

    There is no form: saving one would overwrite changes made since the page was opened.
    """

    list_display = [
        "title",
        "creator",
        "status",
        "progress",
        "visibility",
        "price_with_currency",
        "views",
        "created_at",
    ]
    list_filter = [DeletedFilter, "status", "visibility", "is_paid"]
    list_select_related = ["creator", "job"]
    search_fields = ["title", "creator__email", "id"]
    date_hierarchy = "created_at"
    actions = ["delete_videos", "restore_videos", "reprocess_videos"]
    exclude = ["price", "rental_price", "currency"]
    readonly_fields = ["price_with_currency", "rental_price_with_currency"]

    def has_delete_any_permission(self, request):
        return request.user.has_perm("videos.delete_any_video")

    def has_retry_any_permission(self, request):
        return request.user.has_perm("videos.retry_any_video")

    def has_restore_permission(self, request):
        return request.user.has_perm("videos.restore_video")

    @admin.display(description="processing")
    def progress(self, video):
        job = video.job
        if job is None:
            return "-"
        if job.error_code:
            return format_html('<span title="{}">{}</span>', job.error_detail, job.error_code)
        return f"{job.step or job.get_state_display()} {job.percent} %"

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

    @asks_first(
        "Delete …",
        permission="delete_any",
        title="Delete these videos?",
        effect="Playback stops within seconds and they leave the shop. Buyers keep their orders. They"
        " can be restored until their files are removed.",
        button="Delete",
        done="Deleted",
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
        ends_something=False,
    )
    def restore_videos(self, actor, video):
        if video.deleted_at is None:
            raise NotVisible("This video is not deleted.")
        catalogue.restore_video(video_id=video.pk, actor=actor)

    @asks_first(
        "Make all renditions again …",
        permission="retry_any",
        title="Make all renditions of these videos again?",
        effect="They are encoded again from the kept files, which may occupy the workers for days."
        " Uploads are processed before. Viewers keep the renditions that are there until then.",
        button="Make them again",
        about=_length,
        done="Queued",
        ends_something=False,
    )
    def reprocess_videos(self, actor, video):
        if video.deleted_at is not None:
            raise NotVisible("This video is deleted. Restore it first.")
        reprocessing.reprocess(video=video, actor=actor)


@admin.register(ProcessingJob)
class ProcessingJobAdmin(ReadOnlyAdmin):
    """Processing jobs, for looking at."""

    list_display = [
        "video",
        "state",
        "step",
        "percent_done",
        "stage",
        "attempt",
        "strikes",
        "worker",
        "error_code",
        "created_at",
    ]
    list_filter = ["state", "stage", "error_code"]
    list_select_related = ["video"]

    @admin.display(description="progress", ordering="percent")
    def percent_done(self, job):
        return f"{job.percent} %"
