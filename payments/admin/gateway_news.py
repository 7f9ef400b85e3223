"""Webhook events in the admin site."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin, act_on_each
from payments import models
from payments.services.gateway_news import webhooks


@admin.register(models.WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "gateway", "type", "object_id", "status", "attempts", "error"]
    list_filter = ["status", "gateway", "kind"]
    search_fields = ["external_id", "object_id", "type"]
    date_hierarchy = "received_at"
    actions = ["take_in_again"]

    def has_replay_permission(self, request):
        return request.user.has_perm("payments.replay_webhookevent")

    @admin.action(description="Process again (safe to repeat)", permissions=["replay"])
    def take_in_again(self, request, queryset):
        def process(event):
            webhooks.replay_event(event, actor=request.user)

        act_on_each(self, request, queryset, process, "Processed")
