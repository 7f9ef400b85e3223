from contextlib import suppress

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse
from django.utils.html import format_html

from config import money
from config.admin import ReadOnlyAdmin, act_on_each
from config.errors import NotVisible
from videos.models import ProcessingJob, Video
from videos.moderation import desk as desk  # registers its page
from videos.services import catalogue, reprocessing


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

    @admin.action(
        description="Delete (playback stops within seconds; can be restored)",
        permissions=["delete_any"],
    )
    def delete_videos(self, request, queryset):
        for video in queryset.alive():
            with suppress(NotVisible):  # another administrator or the owner was faster
                catalogue.delete_video(video=video, actor=request.user)

    @admin.action(description="Restore deleted videos", permissions=["restore"])
    def restore_videos(self, request, queryset):
        act_on_each(
            self,
            request,
            queryset.deleted(),
            lambda video: catalogue.restore_video(video_id=video.pk, actor=request.user),
            "Restored",
        )

    @admin.action(
        description="Make all renditions again from the kept file", permissions=["retry_any"]
    )
    def reprocess_videos(self, request, queryset):
        """Ask first: it may occupy the workers for days."""
        videos = list(queryset.alive())
        if "confirmed" in request.POST:
            act_on_each(
                self,
                request,
                videos,
                lambda video: reprocessing.reprocess(video=video, actor=request.user),
                "Queued",
            )
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Make all renditions again?",
            "opts": self.opts,
            "videos": videos,
            "seconds": sum(video.duration_seconds or 0 for video in videos),
            "checkbox": ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, "videos/admin/reprocess.html", context)


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
