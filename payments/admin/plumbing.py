from django.contrib import admin

from config.admin import ReadOnlyAdmin
from payments import models
from payments.admin.common import carry_out
from payments.services import replay


@admin.register(models.WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = [
        "received_at", "gateway", "type", "object_id", "status", "attempts", "error",
    ]  # fmt: skip
    list_filter = ["status", "gateway", "kind"]
    search_fields = ["external_id", "object_id", "type"]
    date_hierarchy = "received_at"
    actions = ["take_in_again"]

    def has_replay_permission(self, request):
        return request.user.has_perm("payments.replay_webhookevent")

    @admin.action(description="Take in again (safe to repeat)", permissions=["replay"])
    def take_in_again(self, request, queryset):
        def act(event):
            replay.take_in_again(event, actor=request.user)

        carry_out(self, request, queryset, act, "Taken in")


@admin.register(models.Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "subject", "attempts", "sent_at"]
    list_filter = [("sent_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user"]
    search_fields = ["user__email", "subject", "dedupe_key"]
