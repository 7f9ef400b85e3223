from contextlib import suppress

from django.contrib import admin
from django.utils.html import format_html

from config.admin import ReadOnlyAdmin
from config.errors import NotVisible
from videos.models import ProcessingJob, Video
from videos.services import catalogue


class DeletedFilter(admin.SimpleListFilter):
    title = "deleted"
    parameter_name = "deleted"

    def lookups(self, request, model_admin):
        return [("yes", "deleted"), ("all", "all")]

    def queryset(self, request, queryset):
        if self.value() == "yes":
            return queryset.deleted()
        return queryset if self.value() == "all" else queryset.alive()

    def choices(self, changelist):
        first, *others = super().choices(changelist)
        return [{**first, "display": "in the catalogue"}, *others]


@admin.register(Video)
class VideoAdmin(ReadOnlyAdmin):
    """Videos are looked at, deleted and restored here; everything goes through the services.

    There is no form: saving one would write back what the video was when the page was opened.
    """

    list_display = [
        "title",
        "creator",
        "status",
        "progress",
        "visibility",
        "is_paid",
        "views",
        "created_at",
    ]
    list_filter = [DeletedFilter, "status", "visibility", "is_paid"]
    list_select_related = ["creator", "job"]
    search_fields = ["title", "creator__email", "id"]
    date_hierarchy = "created_at"
    actions = ["delete_videos", "restore_videos"]

    def has_manage_permission(self, request):
        return request.user.has_perm("videos.manage_any_video")

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

    @admin.action(description="Delete (soft): playback stops in seconds", permissions=["manage"])
    def delete_videos(self, request, queryset):
        for video in queryset.alive():
            with suppress(NotVisible):  # somebody else has deleted it just now
                catalogue.delete_video(video=video, actor=request.user)

    @admin.action(description="Restore deleted videos", permissions=["restore"])
    def restore_videos(self, request, queryset):
        for video in queryset.deleted():
            catalogue.restore_video(video_id=video.pk, actor=request.user)


@admin.register(ProcessingJob)
class ProcessingJobAdmin(ReadOnlyAdmin):
    list_display = [
        "video",
        "state",
        "step",
        "percent",
        "attempt",
        "strikes",
        "worker",
        "error_code",
        "created_at",
    ]
    list_filter = ["state", "error_code"]
    list_select_related = ["video"]
